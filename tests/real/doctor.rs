//! `nixpy-ci doctor` among real parts: what it calls fine is, and an ordinary user whom the
//! daemon does not trust is told the very line that is missing.

use std::path::Path;

use nixpy_pipeline::doctor::{Check, Diagnosis, State};
use tempfile::TempDir;

use crate::world::daemon::DaemonWorld;
use crate::world::flake::{Flake, own_system};
use crate::world::nixpy::Workplace;
use crate::world::program::{Ended, NIX_CONFIG, output_of, program, run};
use crate::world::registry::Registry;

const BOTH: [&str; 2] = ["x86_64-linux", "aarch64-linux"];
const SCRIPT: &str = "echo building $stamp; cat $archive > $out";
/// What a daemon lacks that has not been told of emulation.
const LINE: &str = "extra-platforms = aarch64-linux";

fn diagnosis(ended: &Ended) -> Diagnosis {
    serde_json::from_value(ended.json()).unwrap()
}

#[track_caller]
fn check<'a>(diagnosis: &'a Diagnosis, name: &str, subject: &str) -> &'a Check {
    let mut checks = diagnosis.checks.iter();
    let found = checks.find(|check| check.name == name && check.subject == subject);
    found.unwrap_or_else(|| panic!("no check of {name} {subject}: {diagnosis:#?}"))
}

/// What is found when every check has its answer in time: each has some seconds, which beside
/// every other test are not always enough. The best of three.
fn heard(doctor: impl Fn() -> Ended) -> Ended {
    let is_heard = |ended: &Ended| !ended.stdout.contains("no answer in ");
    let mut asked = (0..2).map(|_| doctor());
    asked.find(is_heard).unwrap_or_else(&doctor)
}

#[test]
fn everything_is_fine_here_for_both_processors() {
    let (registry, place) = (Registry::start(), Workplace::new());
    let flake = Flake::for_systems(&BOTH, SCRIPT);
    let repository = format!("{}/doctor", registry.host());
    let image = flake.image();
    let arguments = ["doctor", "--json", &image, "-r", &repository];
    let ended = heard(|| run(&mut place.nixpy(arguments))).succeeded();
    let found = diagnosis(&ended);
    for system in BOTH {
        assert_eq!(
            check(&found, "system", system).state,
            State::Fine,
            "{ended}"
        );
    }
    // How full this machine's disks are is another matter.
    let others = found.checks.iter().filter(|check| check.name != "room");
    let is_told = |check: &&Check| matches!(check.state, State::Trouble | State::Warning);
    assert_eq!(others.filter(is_told).count(), 0, "{ended}");
    assert!(check(&found, "destination", &repository).state == State::Fine);
}

#[test]
fn a_builder_is_fine_when_it_has_built_and_its_failure_is_told() {
    // A store of its own stands for another machine: Nix's hook copies there, and builds.
    let (other, place) = (TempDir::new().unwrap(), Workplace::new());
    let flake = Flake::small();
    let near = other.path().display().to_string();
    // To everybody is to nobody; and no name has to be looked up.
    let far = "ssh://nobody@255.255.255.255";
    let lines = format!("{near} {0} - 1 1 big big ; {far} {0}", own_system());
    let ended = heard(|| {
        let mut doctor = place.nixpy(["doctor", "--json", &flake.image()]);
        doctor.env("NIX_CONFIG", format!("{NIX_CONFIG}\nbuilders = {lines}"));
        run(&mut doctor)
    });
    let ended = ended.ended_with(4);
    let found = diagnosis(&ended);
    let near = check(&found, "builder", &near);
    assert_eq!(near.state, State::Fine, "{ended}");
    let far = check(&found, "builder", far);
    assert_eq!(far.state, State::Trouble, "{ended}");
    assert!(far.found.contains("255.255.255.255"), "{far:?}");
    assert!(far.found.lines().count() <= 3, "{far:?}");
}

#[test]
fn a_user_whom_the_daemon_does_not_trust_is_told_the_line_and_its_file() {
    let world = DaemonWorld::with_nix_conf("");
    let flake = world.copied(&Flake::for_systems(&BOTH, SCRIPT).folder(), "flake");
    let flake = format!("path:{}#image", flake.display());
    // What he writes himself is not heard.
    std::fs::create_dir_all(world.path("home/.config/nix")).unwrap();
    std::fs::write(world.path("home/.config/nix/nix.conf"), LINE).unwrap();

    let ended = heard(|| world.nixpy(["doctor", "--json", &flake])).ended_with(3);
    let found = diagnosis(&ended);
    assert_eq!(
        check(&found, "system", "x86_64-linux").state,
        State::Fine,
        "{ended}"
    );
    let foreign = check(&found, "system", "aarch64-linux");
    assert_eq!(foreign.state, State::Trouble, "{ended}");
    let cure = foreign.cure.as_deref().unwrap();
    for said in [
        LINE,
        "/etc/nix/nix.conf",
        "trusted-users = alice",
        "restart the daemon",
    ] {
        assert!(cure.contains(said), "{said}: {cure}");
    }

    let planned = world.nixpy(["plan", &flake]);
    let said = format!("{}{}", planned.stdout, planned.stderr);
    assert!(
        said.contains(LINE) && said.contains("/etc/nix/nix.conf"),
        "{planned}"
    );
    let ran = world
        .nixpy(["run", &flake, "--layout", "out"])
        .ended_with(3);
    assert!(
        ran.stderr.contains(LINE) && ran.stderr.contains("/etc/nix/nix.conf"),
        "{ran}"
    );
}

#[test]
fn a_user_whom_the_daemon_trusts_needs_no_line() {
    let world = DaemonWorld::with_nix_conf("trusted-users = root alice");
    let flake = world.copied(&Flake::for_systems(&BOTH, SCRIPT).folder(), "flake");
    let flake = format!("path:{}#image", flake.display());
    let ended = heard(|| world.nixpy(["doctor", "--json", &flake])).succeeded();
    let found = diagnosis(&ended);
    let foreign = check(&found, "system", "aarch64-linux");
    assert_eq!(foreign.state, State::Fine, "{ended}");
    assert!(foreign.found.contains("emulated"), "{ended}");
    world.nixpy(["run", &flake, "--layout", "out"]).succeeded();
}

#[test]
fn the_line_that_is_told_is_enough() {
    let world = DaemonWorld::with_nix_conf("extra-extra-platforms = aarch64-linux");
    let flake = world.copied(&Flake::for_systems(&BOTH, SCRIPT).folder(), "flake");
    let flake = format!("path:{}#image", flake.display());
    let ended = heard(|| world.nixpy(["doctor", "--json", &flake])).succeeded();
    let found = diagnosis(&ended);
    assert_eq!(
        check(&found, "system", "aarch64-linux").state,
        State::Fine,
        "{ended}"
    );
    world.nixpy(["run", &flake, "--layout", "out"]).succeeded();
}

#[test]
fn a_file_that_git_does_not_know_is_named() {
    let dir = TempDir::new().unwrap();
    let flake = Flake::small();
    let all = flake.folder().join(".");
    output_of("cp", [Path::new("-r"), &all, dir.path()]);
    let git = |arguments: &[&str]| {
        run(program("git").arg("-C").arg(dir.path()).args(arguments)).succeeded();
    };
    git(&["init", "--quiet"]);
    git(&["add", "."]);
    std::fs::write(dir.path().join("late.py"), "").unwrap();
    std::fs::write(dir.path().join("notes.txt"), "").unwrap();
    let place = Workplace::new();
    let mut doctor = place.nixpy(["doctor", "--json"]);
    let ended = run(doctor.current_dir(dir.path())).succeeded();
    let found = diagnosis(&ended);
    let untracked = check(&found, "untracked", "");
    assert_eq!(untracked.state, State::Warning, "{ended}");
    assert_eq!(untracked.cure.as_deref(), Some("git add late.py"));
}
