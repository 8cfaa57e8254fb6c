//! What a release becomes.

use serde_json::{Value, json};

use nixpy_testkit::github::TOKEN;

use super::{FIRST, SECOND, THIRD, World};

#[test]
fn a_tag_that_is_pushed_becomes_a_release() {
    let world = World::new();
    let ended = world.released("v1.2.3", FIRST, &["--floating-tags"]);
    let digest = world.registry.tag("acme/api", "1.2.3").unwrap();
    for tag in ["1.2", "1", "latest"] {
        assert_eq!(world.registry.tag("acme/api", tag).as_ref(), Some(&digest));
    }
    let told = world.told("v1.2.3");
    assert_eq!(told["draft"], json!(false));
    assert_eq!(told["prerelease"], json!(false));
    assert_eq!(told["make_latest"], json!("true"));
    let body = world.body("v1.2.3");
    let image = format!("{}/acme/api:1.2.3", world.registry.host());
    assert!(
        body.contains(&format!("- `{image}` is `{digest}`")),
        "{body}"
    );
    assert!(
        body.contains(&format!("docker pull {image}@{digest}")),
        "{body}"
    );
    assert!(body.contains("| `linux/arm64` |"), "{body}");
    let digests = world.file("v1.2.3", "digests.txt");
    assert_eq!(
        digests.lines().next(),
        Some(format!("{digest}  {image}").as_str())
    );
    let report = world.file("v1.2.3", "nixpy-ci-release.json");
    let report: Value = serde_json::from_str(&report).unwrap();
    assert_eq!(report["digest"], json!(digest));
    assert_eq!(report["commit"], json!(FIRST));
    assert_eq!(report["platforms"].as_array().unwrap().len(), 2);
    for name in ["tags/v1", "tags/v1.2"] {
        assert_eq!(world.github.git_ref(name).as_deref(), Some(FIRST), "{name}");
    }
    assert!(
        ended
            .stdout
            .contains("https://github.com/acme/api/releases/tag/v1.2.3"),
        "{ended}"
    );
}

#[test]
fn a_draft_with_its_files_comes_before_all_that_people_see() {
    let world = World::new();
    world.released("v1.2.3", FIRST, &["--floating-tags"]);
    let ids = world.github.releases()[0].id;
    let expected = [
        "POST releases".to_owned(),
        format!("POST releases/{ids}/assets"),
        format!("POST releases/{ids}/assets"),
        format!("PATCH releases/{ids}"),
        "POST git/refs".to_owned(),
        "POST git/refs".to_owned(),
        "PUT manifests/1.2.3".to_owned(),
        "PUT manifests/1.2".to_owned(),
        "PUT manifests/1".to_owned(),
        "PUT manifests/latest".to_owned(),
    ];
    assert_eq!(world.written(), expected);
}

#[test]
fn from_the_command_line_the_tag_is_made_with_the_release() {
    let world = World::new();
    world.release("v1.2.3", FIRST, &[]).succeeded();
    assert_eq!(world.github.git_ref("tags/v1.2.3").as_deref(), Some(FIRST));
}

#[test]
fn the_next_release_tells_what_changed_and_moves_what_floats() {
    let world = World::new();
    world.released("v1.2.3", FIRST, &["--floating-tags"]);
    world.released("v1.3.0", THIRD, &["--floating-tags"]);
    let body = world.body("v1.3.0");
    for part in [
        "| platform | digest | size | since 1.2.3 |",
        "### What is different from 1.2.3\n",
        "| `fastapi` | `1.0` | `3.0` |",
        "### Commits since `v1.2.3`",
        "- `3333333` `Third`\n- `2222222` `Second, thanks to @acme`",
    ] {
        assert!(body.contains(part), "{part}\n{body}");
    }
    let floating = |name: &str| world.github.git_ref(name);
    assert_eq!(floating("tags/v1").as_deref(), Some(THIRD));
    assert_eq!(floating("tags/v1.2").as_deref(), Some(FIRST));

    // One for an old line, from a commit that does not follow.
    let ended = world.released("v1.2.4", SECOND, &["--floating-tags"]);
    assert!(
        ended.stdout.contains("git tag v1  stays: 1.3.0 is newer"),
        "{ended}"
    );
    assert_eq!(floating("tags/v1").as_deref(), Some(THIRD));
    assert_eq!(floating("tags/v1.2").as_deref(), Some(SECOND));
    assert_eq!(world.told("v1.2.4")["make_latest"], json!("false"));
    assert!(world.body("v1.2.4").contains("since 1.2.3"));
}

#[test]
fn what_changed_is_told_without_secrets() {
    let (world, fourth) = (World::new(), "4".repeat(40));
    let message = format!("Fourth, from https://me:pass@git.example with {TOKEN}");
    world.github.add_commit(&fourth, Some(THIRD), &message);
    world.push(&fourth, &format!("4.{TOKEN}"));
    world.released("v1.2.3", THIRD, &[]);
    world.released("v1.3.0", &fourth, &["--summary=s.md", "--report=r.json"]);
    let body = world.body("v1.3.0");
    for part in [
        "| `fastapi` | `3.0` | `4.***` |",
        "- `4444444` `Fourth, from https://***@git.example with ***`",
    ] {
        assert!(body.contains(part), "{part}\n{body}");
    }
    let report = world.file("v1.3.0", "nixpy-ci-release.json");
    let left = |name: &str| std::fs::read_to_string(world.place.path(name)).unwrap();
    for told in [body, report, left("s.md"), left("r.json")] {
        assert!(!told.contains(TOKEN) && !told.contains("me:pass"), "{told}");
    }
    // What was told is the same when it is looked at again.
    world.reset();
    world.released("v1.3.0", &fourth, &[]);
    assert_eq!(world.written(), [""; 0]);
}

#[test]
fn a_pre_release_moves_nothing_and_says_what_it_is() {
    let world = World::new();
    world.released("v2.0.0-rc.1", FIRST, &["--floating-tags"]);
    let told = world.told("v2.0.0-rc.1");
    assert_eq!(
        (&told["prerelease"], &told["make_latest"]),
        (&json!(true), &json!("false"))
    );
    assert_eq!(world.github.git_ref("tags/v2"), None);
    assert_eq!(world.registry.tag("acme/api", "latest"), None);
}

#[test]
fn what_people_have_written_is_kept() {
    let world = World::new();
    let notes = "## Hello\r\n\r\nThanks, all.\r\n";
    for draft in [true, false] {
        let tag = if draft { "v1.0.0" } else { "v1.1.0" };
        let release =
            json!({ "tag_name": tag, "name": "The first", "body": notes, "draft": draft });
        world.github.add_release(release);
        world.released(tag, FIRST, &[]);
        let told = world.told(tag);
        assert_eq!(
            (&told["name"], &told["draft"]),
            (&json!("The first"), &json!(false))
        );
        let body = world.body(tag);
        assert!(
            body.starts_with("## Hello\n\nThanks, all.\n\n<!-- nixpy-ci release"),
            "{body}"
        );
        assert!(!world.file(tag, "digests.txt").is_empty());
    }
}

#[test]
fn a_tag_with_an_object_of_its_own_is_the_commit_that_it_leads_to() {
    let world = World::new();
    let object = "4".repeat(40);
    world.github.set_annotated_tag("v1.2.3", &object, FIRST);
    world
        .github
        .set_annotated_tag("v1", &"5".repeat(40), SECOND);
    world
        .release("v1.2.3", FIRST, &["--floating-tags"])
        .succeeded();
    assert_eq!(world.github.git_ref("tags/v1.2.3"), Some(object));
    assert_eq!(world.github.git_ref("tags/v1").as_deref(), Some(FIRST));
}
