//! Plans, made without Nix: what a flake offers is given.
#![allow(clippy::unwrap_used, reason = "a test that cannot go on shall stop")]

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use nixpy_nix::evaluate::{Offer, Offers, SystemOffer};
use nixpy_nix::{AttrPath, FlakeRef, NixVersion, StorePath, System};
use nixpy_oci::compress::Compression;
use nixpy_pipeline::inputs::{ImageSettings, Inputs, Target};
use nixpy_pipeline::offer::Offered;
use nixpy_pipeline::plan::{Form, Host, Plan, PlanError, Strategy, plan};

fn inputs(systems: &[&str]) -> Inputs {
    Inputs {
        flake: FlakeRef::parse("github:acme/api", Path::new("/")).unwrap(),
        attribute: None,
        systems: systems
            .iter()
            .map(|system| system.parse().unwrap())
            .collect(),
        targets: vec![Target::Layout(PathBuf::from("/out"))],
        reuse: Vec::new(),
        remake: false,
        state_dir: None,
        tags: vec!["v1".parse().unwrap()],
        compression: Compression::Gzip(6),
        load: None,
        image: ImageSettings::default(),
        max_layers: 100,
        build_archive: false,
        keep_going: true,
        uploads: 8,
        now: std::time::SystemTime::UNIX_EPOCH,
        memo_dir: None,
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
    };
    Offered {
        offers,
        instead_of: BTreeMap::new(),
    }
}

fn on(system: &str, emulated: &[&str]) -> Host {
    Host {
        system: system.parse().unwrap(),
        emulated: emulated
            .iter()
            .map(|system| system.parse().unwrap())
            .collect(),
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

#[test]
fn a_system_that_nothing_here_can_build_is_tried_with_a_word_of_warning() {
    let made = plan(&inputs(&[]), &both("api", None), &on("x86_64-linux", &[])).unwrap();
    assert_eq!(made.jobs[0].strategy, Strategy::Configured);
    assert!(made.notes[0].contains("nixpy-ci setup"), "{:?}", made.notes);
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
