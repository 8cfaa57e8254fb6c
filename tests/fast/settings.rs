//! Where settings come from, which of them wins, and what is said of wrong ones.

use crate::scenario::{Image, Scenario};

/// One setting, in each of its four spellings, the strongest first; each says its own value.
struct Spellings {
    flag: [&'static str; 2],
    variable: (&'static str, &'static str),
    input: (&'static str, &'static str),
    yaml: &'static str,
    /// What the image shows when a spelling has won, in the same order.
    shown: [&'static str; 4],
    look: fn(&Scenario) -> String,
}

impl Spellings {
    /// Leaves the strongest out, one after another.
    #[track_caller]
    fn win_in_order(&self) {
        for strongest in 0..4 {
            let scenario = Scenario::app().file("nixpy-ci.yaml", self.yaml);
            let flags = self.flag.into_iter().filter(|_| strongest == 0);
            let mut run = scenario.run(flags);
            if strongest <= 1 {
                run = run.envs([self.variable]);
            }
            if strongest <= 2 {
                run = run.envs([self.input]);
            }
            run.ended().succeeded();
            assert_eq!((self.look)(&scenario), self.shown[strongest]);
        }
    }
}

fn image(scenario: &Scenario) -> Image {
    scenario.layout().image("amd64")
}

#[test]
fn one_value_is_taken_from_flag_then_variable_then_input_then_file() {
    let user = Spellings {
        flag: ["--user", "1"],
        variable: ("NIXPY_USER", "2"),
        input: ("INPUT_USER", "3"),
        yaml: "image:\n  user: 4\n",
        shown: ["1", "2", "3", "4"],
        look: |scenario| image(scenario).configured("User"),
    };
    user.win_in_order();
}

#[test]
fn a_list_is_taken_whole_from_the_first_that_has_one() {
    let tags = Spellings {
        flag: ["--tag", "a"],
        variable: ("NIXPY_TAG", "b c"),
        input: ("INPUT_TAG", "d\ne"),
        yaml: "tags: [f, g]\n",
        shown: ["a", "b c", "d e", "f g"],
        look: |scenario| scenario.layout().tags().join(" "),
    };
    tags.win_in_order();
}

#[test]
fn pairs_are_taken_whole_from_the_first_that_has_them() {
    let env = Spellings {
        flag: ["--env", "PATH=1"],
        variable: ("NIXPY_ENV", "PATH=2\nX=a b"),
        input: ("INPUT_ENV", "PATH=3"),
        yaml: "image:\n  env:\n    PATH: 4\n    Y: yes please\n",
        shown: ["PATH=1", "PATH=2 X=a b", "PATH=3", "PATH=4 Y=yes please"],
        look: |scenario| image(scenario).configured("Env"),
    };
    env.win_in_order();
}

#[test]
fn a_name_with_a_hyphen_keeps_it_as_an_input_and_not_as_a_variable() {
    let layers = Spellings {
        flag: ["--max-layers", "2"],
        variable: ("NIXPY_MAX_LAYERS", "3"),
        input: ("INPUT_MAX-LAYERS", "4"),
        yaml: "image:\n  max-layers: 5\n",
        shown: ["2", "3", "4", "5"],
        look: |scenario| image(scenario).layer_digests().len().to_string(),
    };
    layers.win_in_order();
}

#[test]
fn an_input_that_is_empty_says_nothing() {
    let scenario = Scenario::app().file("nixpy-ci.yaml", "tags: [v1]\nimage: { user: 7 }\n");
    let run = scenario.run([]).envs([
        ("INPUT_TAG", ""),
        ("INPUT_USER", "  "),
        ("INPUT_JSON", ""),
        ("INPUT_REPOSITORY", ""),
        ("NIXPY_LAYOUT", ""),
    ]);
    run.ended().succeeded();
    assert_eq!(scenario.layout().tags(), ["v1"]);
    assert_eq!(scenario.layout().images("v1")[0].configured("User"), "7");
}

#[test]
fn a_switch_can_be_switched_off_above_a_file_that_switches_it_on() {
    let scenario = Scenario::app().file("nixpy-ci.yaml", "dry-run: true\n");
    scenario
        .run([])
        .env("NIXPY_DRY_RUN", "false")
        .ended()
        .succeeded();
    assert!(scenario.has("oci-image"));
}

#[test]
fn a_file_can_be_named() {
    let scenario = Scenario::app().file("ci/release.yaml", "tags: stable\n");
    scenario
        .run(["--config", "ci/release.yaml"])
        .ended()
        .succeeded();
    assert_eq!(scenario.layout().tags(), ["stable"]);
    let ended = scenario.run(["-c", "absent.yaml"]).ended().with_code(2);
    ended.with_the_error(&["absent.yaml", "cannot be read"]);
}

#[test]
fn a_key_that_is_none_is_named_with_the_one_that_was_meant() {
    let yaml = "tagz: v1\nimage:\n  entrypont: [base-api]\n  colour: red\n";
    let scenario = Scenario::app().file("nixpy-ci.yaml", yaml);
    let ended = scenario.run([]).ended().with_code(2).prints_nothing();
    assert_eq!(ended.errors().len(), 3, "{ended}");
    let ended = ended.says("`tagz`; did you mean `tags`?");
    let ended = ended.says("`image.entrypont`; did you mean `image.entrypoint`?");
    ended.says("`image.colour`: see `nixpy-ci run --help`");
}

#[test]
fn a_variable_that_is_nearly_a_settings_is_no_setting() {
    // What it was meant to keep from happening: that `latest` is moved.
    let ended = Scenario::app().run([]).env("NIXPY_TAGS", "v1").ended();
    ended
        .with_code(2)
        .with_the_error(&["NIXPY_TAGS", "did you mean NIXPY_TAG?"]);
    let scenario = Scenario::app();
    let run = scenario.run([]).env("NIXPY_CI_BUILD_NUMBER", "7");
    run.ended().succeeded();
}

#[test]
fn a_file_that_is_no_yaml_says_where_and_is_never_quoted() {
    let yaml = "password: hunter2\nimage:\n  user: [1\n";
    let scenario = Scenario::app().file("nixpy-ci.yaml", yaml);
    let ended = scenario.run([]).ended().with_code(2).prints_nothing();
    let ended = ended.never_says("hunter2");
    ended.with_the_error(&["nixpy-ci.yaml: line 3 column 9: unclosed bracket"]);
}

#[test]
fn a_value_of_another_shape_says_which_is_right() {
    for (yaml, expected) in [
        ("tags: { a: b }\n", "`tags` must be a list, or one value"),
        (
            "image: { user: [1, 2] }\n",
            "`image.user` must be one value",
        ),
        ("dry-run: [true]\n", "`dry-run` must be true or false"),
        (
            "image: { env: [[a]] }\n",
            "`image.env` must be a map, or a list of KEY=VALUE",
        ),
        ("- tags\n", "nixpy-ci.yaml"),
    ] {
        let scenario = Scenario::app().file("nixpy-ci.yaml", yaml);
        let ended = scenario.run([]).ended().with_code(2);
        ended.with_the_error(&[expected]);
    }
}

#[test]
fn every_problem_is_told_at_once_and_where_it_comes_from() {
    let yaml = "compression: brotli\nimage: { workdir: srv }\n";
    let scenario = Scenario::app().file("nixpy-ci.yaml", yaml);
    let run = scenario.run([
        "--tag=-x",
        "--tag=y z",
        "--port=http",
        "-r=api",
        "--uploads=0",
    ]);
    let run = run.envs([("NIXPY_ENV", "GREETING"), ("INPUT_DRY-RUN", "maybe")]);
    let ended = run.ended().with_code(2).prints_nothing();
    let origins = [
        "--tag",
        "--tag",
        "--repository",
        "nixpy-ci.yaml: compression",
        "nixpy-ci.yaml: image.workdir",
        "NIXPY_ENV",
        "--port",
        "--uploads",
        "input dry-run",
    ];
    let mut found: Vec<&str> = ended.errors();
    for origin in origins {
        let place = found
            .iter()
            .position(|error| error.starts_with(&format!("{origin}: ")));
        found.remove(place.unwrap_or_else(|| panic!("nothing of {origin}\n{ended}")));
    }
    assert!(found.is_empty(), "{found:?}");
    assert_eq!(ended.nix_calls().len(), 0);
}

#[test]
fn wrong_keys_of_the_file_do_not_hide_wrong_flags() {
    let scenario = Scenario::app().file("nixpy-ci.yaml", "tagz: v1\n");
    let ended = scenario.run(["--port=http"]).ended().with_code(2);
    ended.says("`tagz`").says("--port: \"http\" is not a port");
}

#[test]
fn an_empty_list_in_the_file_says_nothing() {
    let scenario = Scenario::app().file("nixpy-ci.yaml", "tags: []\nsystems: []\n");
    scenario.run([]).ended().succeeded().prints(":latest");
}

#[test]
fn a_layout_of_a_flag_wins_over_a_repository_of_the_file() {
    let file = "repository: 127.0.0.1:1/base-api\n";
    let scenario = Scenario::app().file("nixpy-ci.yaml", file);
    scenario.run(["--layout=out"]).ended().succeeded();
    assert!(scenario.has("out/index.json"));
}

#[test]
fn a_system_that_is_named_twice_is_built_once() {
    let scenario = Scenario::app();
    let twice = ["-s", "x86_64-linux", "-s", "x86_64-linux"];
    scenario.run(twice).ended().succeeded();
    assert_eq!(scenario.layout().images("latest").len(), 1);
}

#[test]
fn what_yaml_would_write_in_another_way_has_to_be_in_quotes() {
    for (yaml, key) in [
        ("tags: [2026.10]\n", "tags"),
        ("image: { env: { V: 1.10 } }\n", "image.env"),
    ] {
        let scenario = Scenario::app().file("nixpy-ci.yaml", yaml);
        let ended = scenario.run(["--dry-run"]).ended().with_code(2);
        ended.says(&format!("`{key}` must be in quotes"));
    }
    let yaml = "tags: ['2026.10', 7]\nimage: { env: { Y: yes, N: 12 } }\n";
    let scenario = Scenario::app().file("nixpy-ci.yaml", yaml);
    scenario.run([]).ended().succeeded();
    let layout = scenario.layout();
    assert_eq!(layout.tags(), ["2026.10", "7"]);
    let env = layout.images("7")[0].configured("Env");
    assert!(env.contains("Y=yes") && env.contains("N=12"), "{env}");
}
