//! Plans, made without Nix: what a flake offers is given.
#![allow(clippy::unwrap_used, reason = "a test that cannot go on shall stop")]

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use nixpy_nix::evaluate::{Offer, Offers, SystemOffer};
use nixpy_nix::{AttrPath, FlakeRef, NixVersion, Source, StorePath, System};
use nixpy_oci::compress::Compression;
use nixpy_pipeline::inputs::{Annotations, ImageSettings, Inputs, Target};
use nixpy_pipeline::offer::Offered;
use nixpy_pipeline::plan::{
    Emulation, Form, Host, Job, KnownBuilder, Obstacle, Plan, PlanError, Strategy, plan,
};

fn inputs(systems: &[&str]) -> Inputs {
    Inputs {
        flake: FlakeRef::parse("github:acme/api", Path::new("/")).unwrap(),
        attribute: None,
        systems: systems
            .iter()
            .map(|system| system.parse().unwrap())
            .collect(),
        strategies: BTreeMap::new(),
        cross: BTreeMap::new(),
        targets: vec![Target::Layout(PathBuf::from("/out"))],
        by_digest: false,
        reuse: Vec::new(),
        baselines: Vec::new(),
        budgets: Vec::new(),
        remake: false,
        state_dir: None,
        tags: vec!["v1".parse().unwrap()],
        compression: Compression::Gzip(6),
        smoke: None,
        load: None,
        image: ImageSettings::default(),
        max_layers: 100,
        build_archive: false,
        annotations: Annotations::default(),
        rehearse: false,
        keep_going: true,
        uploads: 8,
        now: std::time::SystemTime::UNIX_EPOCH,
        memo_dir: None,
        caches: Default::default(),
        builders: Default::default(),
        temp_dir: PathBuf::from("/tmp"),
    }
}

fn path(name: &str) -> StorePath {
    StorePath::in_store("/nix/store", &format!("{}-{name}", "0".repeat(32))).unwrap()
}

fn offer(name: &str, image_name: Option<&str>) -> Offer {
    Offer {
        attribute: AttrPath::name("image"),
        name: name.to_owned(),
        pname: None,
        version: None,
        drv_path: path(&format!("{name}.drv")),
        output: "out".to_owned(),
        out_path: path(name),
        outputs: vec!["out".to_owned()],
        image_name: image_name.map(str::to_owned),
        image_tag: None,
        main_program: None,
        architecture: None,
        built_on: None,
        runs_on: None,
    }
}

fn offers(systems: &[(&str, Option<Offer>)]) -> Offered {
    let of = |(system, chosen): &(&str, Option<Offer>)| {
        let there = SystemOffer {
            attributes: vec!["devtools".to_owned(), "docs".to_owned()],
            chosen: chosen.clone(),
        };
        (system.parse::<System>().unwrap(), there)
    };
    let offers = Offers {
        nix_version: NixVersion::parse("2.8.0").unwrap(),
        store_dir: "/nix/store".to_owned(),
        offered: systems
            .iter()
            .map(|(system, _)| (*system).to_owned())
            .collect(),
        systems: systems.iter().map(of).collect::<BTreeMap<_, _>>(),
        cross: BTreeMap::new(),
    };
    Offered {
        offers,
        note: None,
        instead_of: BTreeMap::new(),
        source: Source::default(),
    }
}

fn on(system: &str, emulated: &[&str]) -> Host {
    let ready = |system: &&str| (system.parse().unwrap(), Emulation::Ready);
    Host {
        emulation: emulated.iter().map(ready).collect(),
        ..Host::of(system.parse().unwrap())
    }
}

fn builder(name: &str, system: &str, trouble: Option<&str>) -> KnownBuilder {
    KnownBuilder {
        name: name.to_owned(),
        systems: vec![system.parse().unwrap()],
        trouble: trouble.map(|why| Obstacle {
            why: why.to_owned(),
            cure: None,
        }),
    }
}

fn both(name: &str, image_name: Option<&str>) -> Offered {
    let offer = Some(offer(name, image_name));
    offers(&[("x86_64-linux", offer.clone()), ("aarch64-linux", offer)])
}

fn strategies(plan: &Plan) -> Vec<(String, Strategy)> {
    let jobs = plan.jobs.iter();
    jobs.map(|job| (job.platform.to_string(), job.strategy))
        .collect()
}

#[test]
fn every_system_the_flake_offers_is_built_as_well_as_this_machine_can() {
    let offers = both("stream-api", Some("api"));
    let host = on("x86_64-linux", &["aarch64-linux"]);
    let made = plan(&inputs(&[]), &offers, &host).unwrap();
    let expected = [
        ("linux/arm64/v8".to_owned(), Strategy::Emulated),
        ("linux/amd64".to_owned(), Strategy::Native),
    ];
    assert_eq!(strategies(&made), expected);
    assert_eq!(made.notes, Vec::<String>::new());
}

/// The job for aarch64 of a flake that offers it and x86_64.
fn arm(inputs: &Inputs, offered: &Offered, host: &Host) -> Job {
    let made = plan(inputs, offered, host).unwrap();
    let mut jobs = made.jobs.into_iter();
    jobs.find(|job| job.system.cpu() == "aarch64").unwrap()
}

fn declined(job: &Job) -> Vec<(Strategy, &str)> {
    let declined = job.declined.iter();
    declined.map(|d| (d.strategy, d.why.as_str())).collect()
}

fn with_cross(name: &str, says: Option<&str>) -> Offered {
    let mut offered = both("stream-api", Some("api"));
    let crossed = Offer {
        attribute: AttrPath::name(name),
        architecture: says.map(str::to_owned),
        built_on: Some("x86_64-linux".parse().unwrap()),
        ..offer("stream-crossed", Some("api"))
    };
    let target = "aarch64-linux".parse().unwrap();
    offered.offers.cross.insert(target, crossed);
    offered
}

#[test]
fn a_system_that_no_way_leads_to_is_another_jobs_and_each_way_is_explained() {
    let host = on("x86_64-linux", &[]);
    let wanted = inputs(&[]);
    let mut made = plan(&wanted, &both("api", None), &host).unwrap();
    assert_eq!(made.jobs[0].strategy, Strategy::Elsewhere);
    let ways: Vec<Strategy> = made.jobs[0].declined.iter().map(|d| d.strategy).collect();
    let all = [
        Strategy::Native,
        Strategy::Remote,
        Strategy::Cross,
        Strategy::Emulated,
    ];
    assert_eq!(ways, all);
    let problems = made.leave_to_others(&wanted).unwrap_err();
    let text = problems[0].to_string();
    for cure in ["--matrix", "--builders", "--cross", "nixpy-ci setup"] {
        assert!(text.contains(cure), "{text}");
    }
    assert!(problems[0].is_of_the_machine());
}

#[test]
fn where_nothing_can_be_known_nix_is_asked() {
    let mut host = on("x86_64-linux", &[]);
    host.is_opaque = true;
    let job = arm(&inputs(&[]), &both("api", None), &host);
    assert_eq!(job.strategy, Strategy::Configured);
}

#[test]
fn the_quickest_way_that_is_open_is_taken_and_the_better_ones_are_explained() {
    let mut host = on("x86_64-linux", &["aarch64-linux"]);
    let offered = with_cross("image-aarch64", Some("arm64"));
    let job = arm(&inputs(&[]), &offered, &host);
    assert_eq!(job.strategy, Strategy::Cross);
    assert_eq!(job.offered_as(), "packages.x86_64-linux.image-aarch64");
    assert_eq!(job.builds_on().as_str(), "x86_64-linux");
    let ways: Vec<Strategy> = job.declined.iter().map(|d| d.strategy).collect();
    assert_eq!(ways, [Strategy::Native, Strategy::Remote]);

    host.builders = vec![builder("arm-1", "aarch64-linux", Some("no route to host"))];
    let job = arm(&inputs(&[]), &both("api", None), &host);
    assert_eq!((job.strategy, job.fallback), (Strategy::Emulated, None));
    assert!(
        declined(&job).contains(&(Strategy::Remote, "arm-1: no route to host")),
        "{job:?}"
    );

    host.builders.push(builder("arm-2", "aarch64-linux", None));
    let job = arm(&inputs(&[]), &offered, &host);
    assert_eq!(job.strategy, Strategy::Remote);
    assert_eq!(job.fallback, Some(Strategy::Emulated));

    host.at_hand = [path("stream-api")].into();
    let job = arm(&inputs(&[]), &offered, &host);
    assert_eq!((job.strategy, job.fallback), (Strategy::Cached, None));
    assert!(job.declined.is_empty());

    let job = arm(&inputs(&[]), &offered, &on("aarch64-linux", &[]));
    assert_eq!(job.strategy, Strategy::Native);
}

#[test]
fn a_way_that_was_asked_for_is_taken_or_refused_with_the_reason() {
    let mut host = on("x86_64-linux", &["aarch64-linux"]);
    host.builders = vec![builder("arm", "aarch64-linux", None)];
    let aarch64: System = "aarch64-linux".parse().unwrap();
    let forced = |strategy| {
        let mut inputs = inputs(&[]);
        inputs.strategies = [(aarch64.clone(), strategy)].into();
        inputs
    };
    let offered = both("api", None);
    for strategy in [Strategy::Emulated, Strategy::Remote, Strategy::Elsewhere] {
        let mut wanted = forced(strategy);
        let job = arm(&wanted, &offered, &host);
        // Whoever asks for a builder does not want the emulator instead.
        assert_eq!((job.strategy, job.fallback), (strategy, None));
        let mut made = plan(&wanted, &offered, &host).unwrap();
        if strategy == Strategy::Elsewhere {
            let refused = made.leave_to_others(&wanted).unwrap_err();
            assert!(matches!(refused[0], PlanError::Incomplete(_)));
            wanted.by_digest = true;
        }
        made.leave_to_others(&wanted).unwrap();
        let left_out = strategy == Strategy::Elsewhere;
        assert_eq!(made.jobs.len(), if left_out { 1 } else { 2 });
    }
    // What is built already was built in whichever way.
    let mut built = Host::of("x86_64-linux".parse().unwrap());
    built.at_hand = [path("api")].into();
    for strategy in [Strategy::Emulated, Strategy::Remote, Strategy::Native] {
        assert_eq!(
            arm(&forced(strategy), &offered, &built).strategy,
            Strategy::Cached
        );
    }
    let refused = plan(&forced(Strategy::Cross), &offered, &built).unwrap_err();
    assert!(refused[0].is_of_the_machine());
    let refused = plan(&forced(Strategy::Native), &offered, &host).unwrap_err();
    assert!(refused[0].is_of_the_machine());
    assert!(
        refused[0]
            .to_string()
            .contains("this machine is x86_64-linux")
    );
}

#[test]
fn what_is_built_already_is_taken_whatever_way_was_asked_for() {
    for way in [Strategy::Emulated, Strategy::Remote] {
        let mut inputs = inputs(&[]);
        inputs
            .strategies
            .insert("aarch64-linux".parse().unwrap(), way);
        let offered = both("stream-api", Some("api"));
        // As [`look`] leaves it where every output is here: nothing else was asked.
        let mut host = on("x86_64-linux", &[]);
        host.at_hand = offered.all().map(|offer| offer.out_path.clone()).collect();
        assert!(plan(&inputs, &offered, &host).is_ok(), "{way}");
    }
}

#[test]
fn settings_that_an_image_does_not_heed_are_told() {
    let host = on("x86_64-linux", &["aarch64-linux"]);
    let mut wanted = inputs(&[]);
    wanted.image.ports = vec!["8000/tcp".to_owned()];
    let notes = |offered: Offered| plan(&wanted, &offered, &host).unwrap().notes;
    let described = notes(both("stream-api", Some("api")));
    assert!(described[0].contains("for plain packages"), "{described:?}");
    assert!(notes(both("api", None)).is_empty());
}

#[test]
fn a_plain_package_is_not_for_a_platform_by_its_name_alone() {
    let host = on("x86_64-linux", &[]);
    let own = Some(offer("api", None));
    let mut offered = offers(&[("x86_64-linux", own)]);
    let crossed = Offer {
        attribute: AttrPath::name("default-arm64"),
        built_on: Some("x86_64-linux".parse().unwrap()),
        ..offer("api-arm64", None)
    };
    let target: System = "aarch64-linux".parse().unwrap();
    offered.offers.cross.insert(target.clone(), crossed);
    let made = plan(&inputs(&[]), &offered, &host).unwrap();
    let expected = [("linux/amd64".to_owned(), Strategy::Native)];
    assert_eq!(strategies(&made), expected);

    let mut named = inputs(&[]);
    named.cross = [(target, AttrPath::name("default-arm64"))].into();
    let job = arm(&named, &offered, &host);
    assert_eq!(job.strategy, Strategy::Cross, "as the user says");
}

#[test]
fn an_image_that_says_it_is_for_another_platform_is_never_published_as_this_one() {
    let host = on("x86_64-linux", &[]);
    // Cross-compiled, and called as if it were not.
    let says_arm = Offer {
        architecture: Some("arm64".to_owned()),
        ..offer("stream-api", Some("api"))
    };
    let offered = offers(&[("x86_64-linux", Some(says_arm))]);
    let made = plan(&inputs(&[]), &offered, &host).unwrap();
    let expected = [("linux/arm64/v8".to_owned(), Strategy::Cross)];
    assert_eq!(strategies(&made), expected);
    let refused = plan(&inputs(&["x86_64-linux"]), &offered, &host).unwrap_err();
    assert!(
        refused[0]
            .to_string()
            .contains("says that it is for aarch64-linux")
    );

    // Called as for aarch64, and made without saying so to dockerTools.
    let job = arm(
        &inputs(&[]),
        &with_cross("image-aarch64", Some("amd64")),
        &host,
    );
    assert_eq!(job.strategy, Strategy::Elsewhere);
    let cure = job.declined.iter().filter_map(|d| d.cure.as_deref());
    assert!(
        cure.clone()
            .any(|cure| cure.contains(r#"architecture = "arm64""#)),
        "{job:?}"
    );
}

#[test]
fn what_is_offered_for_a_system_and_built_on_this_one_needs_nothing_else() {
    let crossed = Offer {
        built_on: Some("x86_64-linux".parse().unwrap()),
        ..offer("stream-api", Some("api"))
    };
    let offered = offers(&[("aarch64-linux", Some(crossed))]);
    let job = arm(&inputs(&[]), &offered, &on("x86_64-linux", &[]));
    assert_eq!(job.strategy, Strategy::Cross);
    assert_eq!(job.offered_as(), "packages.aarch64-linux.image");
}

#[test]
fn the_form_is_guessed_from_what_image_tools_leave_in_a_derivation() {
    let host = on("x86_64-linux", &["aarch64-linux"]);
    for (name, image_name, form) in [
        ("stream-api", Some("api"), Form::Stream),
        ("api.tar.gz", Some("api"), Form::Archive),
        ("image-api.json", Some("api"), Form::Nix2container),
        ("image-api.json", None, Form::Closure),
        ("api-1.0", None, Form::Closure),
    ] {
        let made = plan(&inputs(&[]), &both(name, image_name), &host).unwrap();
        assert_eq!(made.jobs[0].form, form, "{name}");
    }
}

#[test]
fn everything_that_is_missing_is_told_at_once() {
    let offers = offers(&[("x86_64-linux", None)]);
    let wanted = inputs(&["x86_64-linux", "aarch64-linux", "x86_64-darwin"]);
    let problems = plan(&wanted, &offers, &on("x86_64-linux", &[])).unwrap_err();
    let text: Vec<String> = problems.iter().map(ToString::to_string).collect();
    assert!(matches!(problems[0], PlanError::NoAttribute { .. }));
    assert!(text[0].contains("it offers: devtools, docs"), "{text:?}");
    assert!(
        text[1].contains("its systems are: x86_64-linux"),
        "{text:?}"
    );
    assert!(
        text[2].contains("no image can be for x86_64-darwin"),
        "{text:?}"
    );
}

#[test]
fn a_flake_for_no_linux_system_is_told_apart() {
    let mut offers = offers(&[]);
    offers.offers.offered = vec!["aarch64-darwin".to_owned()];
    let problems = plan(&inputs(&[]), &offers, &on("x86_64-linux", &[])).unwrap_err();
    assert!(
        problems[0].to_string().contains("aarch64-darwin"),
        "{problems:?}"
    );
}

#[test]
fn a_plan_reads_back_from_its_json() {
    let made = plan(&inputs(&[]), &both("api", None), &on("x86_64-linux", &[])).unwrap();
    let text = serde_json::to_string(&made).unwrap();
    assert_eq!(serde_json::from_str::<Plan>(&text).unwrap(), made);
}
