//! `nixpy-ci doctor`: what is wrong, whose affair it is, and what to do about it. What
//! really builds, and in whose sandbox, is the real tier's part.

use std::net::TcpListener;
use std::time::Duration;

use nixpy_pipeline::doctor::{Check, Diagnosis, State};
use nixpy_testkit::fake_nix::Replay;
use nixpy_testkit::registry::{Auth, Bearer, Registry};

use crate::scenario::nix::{self, Version};
use crate::scenario::{Ended, Scenario};

/// A service whose Nix answers whatever a doctor asks, and builds what it is asked to.
fn healthy(version: Version) -> Scenario {
    with_caches(version, &[])
}

fn with_caches(version: Version, caches: &[&str]) -> Scenario {
    nix::machine(version, caches)
        .into_iter()
        .fold(Scenario::app().version(version), Scenario::on)
}

/// What it found for this machine's own system, which needs no emulation.
fn diagnosis(scenario: &Scenario, arguments: &[&str]) -> (Diagnosis, Ended) {
    let system = nix::own_system();
    let arguments = ["doctor", "--json", "-s", &system]
        .into_iter()
        .chain(arguments.iter().copied());
    let ended = scenario.nixpy(arguments).ended();
    let diagnosis = serde_json::from_str(&ended.stdout);
    (diagnosis.unwrap_or_else(|e| panic!("{e}\n{ended}")), ended)
}

#[track_caller]
fn check<'a>(diagnosis: &'a Diagnosis, name: &str) -> &'a Check {
    let mut checks = diagnosis.checks.iter();
    let found = checks.find(|check| check.name == name);
    found.unwrap_or_else(|| panic!("no check of {name}: {diagnosis:#?}"))
}

#[track_caller]
fn says(check: &Check, state: State, found: &str, cure: &str) {
    assert_eq!(check.state, state, "{check:?}");
    assert!(check.found.contains(found), "{found:?}: {check:?}");
    let to_do = check.cure.as_deref().unwrap_or_default();
    assert!(to_do.contains(cure), "{cure:?}: {check:?}");
}

#[test]
fn everything_is_fine_with_every_version() {
    for version in Version::ALL {
        let (diagnosis, ended) = diagnosis(&healthy(version), &[]);
        // How full a disk is here is nobody's fault.
        let all = diagnosis.checks.iter().filter(|check| check.name != "room");
        assert!(
            all.clone().all(|check| check.state == State::Fine),
            "{ended}"
        );
        let names: Vec<&str> = all.map(|check| check.name.as_str()).collect();
        let needed = ["nix", "store", "flake", "system", "destination"];
        assert_eq!(names, needed);
        assert!(check(&diagnosis, "nix").found.contains(version.number()));
        ended.succeeded();
    }
}

#[test]
fn people_read_a_line_for_each_and_a_count() {
    let scenario = healthy(Version::Nix2_26);
    let system = nix::own_system();
    let ended = scenario
        .nixpy(["doctor", "-s", &system])
        .ended()
        .succeeded();
    let last = ended.stdout.lines().last().unwrap();
    let checkout = scenario.checkout().display().to_string();
    assert!(
        last.starts_with(&checkout) && last.contains(" fine"),
        "{ended}"
    );
    ended.prints("✓ fine         nix ").prints(&system);
}

#[test]
fn hosts_that_hang_cost_seconds() {
    // They accept, and never answer.
    let (silent, cache) = (
        TcpListener::bind("127.0.0.1:0").unwrap(),
        "https://hangs.example",
    );
    let hangs = Replay::of(["path-info", cache]).hang(Duration::from_secs(50));
    let scenario = with_caches(Version::Nix2_26, &[cache])
        .asked_first(hangs)
        .asked_first(Replay::of(["eval"]).hang(Duration::from_secs(50)));
    let repository = format!("{}/acme/api", silent.local_addr().unwrap());
    let (diagnosis, ended) = diagnosis(&scenario, &["-r", &repository]);
    says(
        check(&diagnosis, "cache"),
        State::Warning,
        "no answer in 8 s",
        "network",
    );
    says(
        check(&diagnosis, "destination"),
        State::Trouble,
        "no answer in 8 s",
        "network",
    );
    says(
        check(&diagnosis, "flake"),
        State::NotChecked,
        "no answer in 6 s",
        "",
    );
    assert_eq!(check(&diagnosis, "system").state, State::Fine);
    assert!(ended.took < Duration::from_secs(40), "{:?}", ended.took);
    ended.with_code(4);
}

#[test]
fn a_cache_that_cannot_be_reached_is_a_warning_in_nixs_words() {
    let cache = "https://gone.example";
    let refused = nix::error("unable to download 'https://gone.example/nix-cache-info': refused");
    let scenario = with_caches(Version::Nix2_26, &[cache])
        .asked_first(Replay::of(["path-info", cache]).stderr(refused).exit(1));
    let (diagnosis, ended) = diagnosis(&scenario, &[]);
    says(
        check(&diagnosis, "cache"),
        State::Warning,
        "unable to download",
        "substituters",
    );
    ended.succeeded();
}

#[test]
fn a_cache_that_is_signed_by_somebody_unknown_is_told_with_the_line_to_add() {
    let cache = "https://cache.example";
    let scenario = Scenario::app();
    let output = scenario.output(&nix::own_system());
    let held = serde_json::json!({ &output: {
        "narHash": "sha256-rxBLLFaiIPnII4ziRPnqmRZqoNrP+3Ew0WyUjvjI1lw=",
        "narSize": 1024, "references": [], "signatures": ["acme-1:c2ln"],
    }});
    let scenario = nix::machine(Version::Nix2_26, &[cache])
        .into_iter()
        .fold(scenario, Scenario::on)
        .asked_first(Replay::of(["path-info", "--json", cache]).stdout(held.to_string()))
        .asked_first(Replay::of(["verify", cache]).exit(1));
    let (diagnosis, ended) = diagnosis(&scenario, &[]);
    let line = "extra-trusted-public-keys = acme-1:";
    says(
        check(&diagnosis, "cache"),
        State::Warning,
        "signed by acme-1",
        line,
    );
    ended.succeeded();
}

#[test]
fn a_registry_that_does_not_let_us_in_is_known_before_anything_is_built() {
    let auth = Auth::basic("ci-bot", "correct-horse");
    let registry = Registry::builder().auth(auth).start();
    let repository = format!("{}/base-api", registry.host());
    let scenario = healthy(Version::Nix2_26);
    let system = nix::own_system();
    let arguments = [
        "doctor",
        "-s",
        &system,
        "-r",
        &repository,
        "--username",
        "ci-bot",
    ];
    let run = scenario
        .nixpy(arguments)
        .env("NIXPY_PASSWORD", "battery-staple");
    let ended = run
        .ended()
        .with_code(4)
        .prints("✗ trouble      destination");
    ended.prints("login").never_says("battery-staple");
}

#[test]
fn a_registry_that_may_only_be_read_is_known_too_and_nothing_is_left_there() {
    let (user, password) = ("ci-bot", "correct-horse");
    for (auth, state) in [
        (Bearer::new(user, password), State::Fine),
        (Bearer::new(user, password).pull_only(), State::Trouble),
    ] {
        let registry = Registry::builder().auth(auth).start();
        let repository = format!("{}/base-api", registry.host());
        let scenario = healthy(Version::Nix2_26);
        let system = nix::own_system();
        let arguments = ["doctor", "--json", "-s", &system, "-r", &repository];
        let run = scenario.nixpy(arguments).env("NIXPY_USERNAME", user);
        let ended = run.env("NIXPY_PASSWORD", password).ended();
        let diagnosis: Diagnosis = serde_json::from_str(&ended.stdout).unwrap();
        says(check(&diagnosis, "destination"), state, "", "");
        assert_eq!(registry.open_uploads(), 0);
        ended.never_says(password);
    }
}

#[test]
fn files_that_git_does_not_track_are_named() {
    // What runs have left does not belong there.
    let ours = "oci-image/index.json\\0nixpy-ci-result-x86_64-linux.json\\0";
    let git =
        format!("#!/bin/sh\nprintf 'src/new module.py\\0notes.txt\\0nix/more.nix\\0{ours}'\n");
    let scenario = healthy(Version::Nix2_26)
        .file(".git/HEAD", "ref: refs/heads/main\n")
        .file("oci-image/oci-layout", "{}")
        .program("git", &git);
    let (diagnosis, ended) = diagnosis(&scenario, &[]);
    let untracked = check(&diagnosis, "untracked");
    let found = "git does not track src/new module.py, nix/more.nix, and";
    says(
        untracked,
        State::Warning,
        found,
        "git add 'src/new module.py' nix/more.nix",
    );
    ended.succeeded();
}

#[test]
fn a_git_that_refuses_is_quoted() {
    let git = "#!/bin/sh\necho 'fatal: detected dubious ownership' >&2\nexit 128\n";
    let scenario = healthy(Version::Nix2_26)
        .file(".git/HEAD", "ref: refs/heads/main\n")
        .program("git", git);
    let (diagnosis, _) = diagnosis(&scenario, &[]);
    says(
        check(&diagnosis, "untracked"),
        State::NotChecked,
        "dubious ownership",
        "",
    );
}

#[test]
fn a_pipe_that_nobody_writes_into_is_no_lock_and_is_not_waited_for() {
    let project = "[project]\nname = 'base-api'\ndependencies = ['fastapi']\n";
    let scenario = healthy(Version::Nix2_26).file("pyproject.toml", project);
    let pipe = scenario.checkout().join("uv.lock");
    let made = std::process::Command::new("mkfifo").arg(pipe).status();
    assert!(made.unwrap().success());
    let (found, ended) = diagnosis(&scenario, &[]);
    assert!(found.seconds < 10.0, "{ended}");
    assert!(
        found.checks.iter().all(|check| check.name != "lock"),
        "{ended}"
    );
    let ended = scenario.run([]).ended().succeeded();
    ended.says("uv.lock says nothing about layers: it is not a regular file");
}

#[test]
fn a_lock_that_lacks_a_requirement_is_trouble_with_the_files() {
    let lock = "[[package]]\nname = 'fastapi'\nversion = '0.115.0'\n";
    let project = "[project]\nname = 'base-api'\ndependencies = ['fastapi', 'SQLAlchemy>=2']\n";
    for (name, cure) in [("uv.lock", "uv lock"), ("poetry.lock", "poetry lock")] {
        let scenario = healthy(Version::Nix2_26)
            .file(name, lock)
            .file("pyproject.toml", project);
        let (diagnosis, ended) = diagnosis(&scenario, &[]);
        let lock = check(&diagnosis, "lock");
        says(lock, State::Trouble, "requires: SQLAlchemy", cure);
        assert_eq!(lock.subject, name);
        ended.with_code(2);
    }
}

#[test]
fn a_system_that_does_not_build_is_told_in_the_builders_words() {
    let log = Version::Nix2_26.log("build-failure");
    let scenario = healthy(Version::Nix2_26)
        .asked_first(Replay::of(["build", "--expr"]).stderr_file(log).exit(1));
    let (diagnosis, ended) = diagnosis(&scenario, &[]);
    says(
        check(&diagnosis, "system"),
        State::Trouble,
        "exit code 3",
        "nixpy-ci setup",
    );
    ended.with_code(3);
}

#[test]
fn each_builder_builds_by_itself_and_its_failure_is_short() {
    let refused = nix::error("cannot build on 'ssh://arm.example': connection refused")
        + &nix::error("Failed to find a machine for remote build!\nderivation: proof.drv")
        + &nix::error("unable to start any build");
    let line = "ssh://arm.example aarch64-linux";
    let told = format!("{line} - 1 1 - - -");
    let scenario = nix::machine_with(Version::Nix2_8, |settings| {
        settings["builders"]["value"] = format!("{line} ; ssh://here.example - ").into();
    })
    .into_iter()
    .fold(Scenario::app().version(Version::Nix2_8), Scenario::on)
    .asked_first(
        Replay::of(["build", "--builders", &told])
            .stderr(refused)
            .exit(1),
    );
    let (diagnosis, ended) = diagnosis(&scenario, &[]);
    let builder = check(&diagnosis, "builder");
    let found = "cannot build on 'ssh://arm.example': connection refused";
    says(
        builder,
        State::Trouble,
        found,
        "nix store ping --store ssh://arm.example",
    );
    assert!(!builder.found.contains("any build"), "{builder:?}");
    let alone = ended.nix_calls();
    let alone = alone.iter().filter(|call| call.contains(&told));
    assert!(alone.clone().count() == 1 && alone.flatten().any(|word| word == "--max-jobs"));
    // The other one says that it built, and names no machine: so somebody else did.
    let mut checks = diagnosis.checks.iter();
    let here = checks
        .find(|check| check.subject == "ssh://here.example")
        .unwrap();
    says(
        here,
        State::Trouble,
        "it was not the builder that built",
        "",
    );
    ended.with_code(4);
}

#[test]
fn a_daemon_that_is_not_there_is_this_machines_affair() {
    let error = nix::error("cannot connect to daemon at '/nix/var/nix/daemon-socket/socket'");
    let scenario =
        healthy(Version::Nix2_26).asked_first(Replay::of(["store", "ping"]).stderr(error).exit(1));
    let (diagnosis, ended) = diagnosis(&scenario, &[]);
    says(
        check(&diagnosis, "store"),
        State::Trouble,
        "cannot connect to daemon",
        "nix-daemon",
    );
    assert_eq!(check(&diagnosis, "system").state, State::NotChecked);
    ended.with_code(3);
}

#[test]
fn a_daemon_that_does_not_trust_takes_no_cache_from_this_user() {
    let cache = "https://cache.example";
    let scenario = with_caches(Version::Nix2_26, &[cache])
        .asked_first(nix::store("daemon", Some(false)))
        .asked_first(
            Replay::of(["path-info", cache])
                .stderr(nix::error("path is not valid"))
                .exit(1),
        );
    let (diagnosis, _) = diagnosis(&scenario, &[]);
    says(
        check(&diagnosis, "store"),
        State::Fine,
        "takes no settings of",
        "",
    );
    let line = format!("extra-trusted-substituters = {cache}");
    says(
        check(&diagnosis, "cache"),
        State::Warning,
        "takes nothing from it",
        &line,
    );
}

#[test]
fn without_nix_the_rest_is_looked_at_all_the_same() {
    let scenario = healthy(Version::Nix2_26);
    let run = scenario.nixpy(["doctor"]).without_nix();
    let ended = run.ended().with_code(3).prints("nixpy-ci setup");
    ended.prints("✓ fine         room ");
}

#[test]
fn the_first_kind_of_trouble_decides_the_exit_code() {
    let scenario = Scenario::where_nix_says("undefined variable 'x'");
    let scenario = nix::machine(Version::Nix2_26, &[])
        .into_iter()
        .fold(scenario, Scenario::on)
        .asked_first(Replay::of(["build", "--expr"]).exit(1));
    let (diagnosis, ended) = diagnosis(&scenario, &[]);
    says(
        check(&diagnosis, "flake"),
        State::Trouble,
        "undefined variable",
        "--show-trace",
    );
    assert_eq!(check(&diagnosis, "system").state, State::Trouble);
    ended.with_code(2);
}
