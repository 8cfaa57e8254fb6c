//! What is built goes into a cache while it is built, and what a cache does never changes
//! how a run ends.

use std::fs;
use std::net::{Ipv4Addr, TcpListener};
use std::path::Path;
use std::process::Stdio;
use std::time::{Duration, Instant};

use serde_json::Value;

use crate::world::chain::{Chain, Folder, with_key};
use crate::world::daemon::DaemonWorld;
use crate::world::flake::own_system;
use crate::world::nixpy::{Workplace, binary};
use crate::world::program::{Ended, NIX_CONFIG, output_of, program, run, wait_for};
use crate::world::registry::Registry;
use crate::world::secrets::processes_that_show;
use crate::world::store::Store;

/// A cache to be written in the folder to work in; upstream has nothing.
fn arguments(at: &Workplace, chain: &Chain, cache: &Folder) -> Vec<String> {
    fs::create_dir_all(at.path("upstream")).unwrap();
    let upstream = format!("file://{}", at.path("upstream").display());
    let written = format!("{} write", cache.url());
    let words = [
        chain.app(),
        "--json".to_owned(),
        "--layout=out".to_owned(),
        format!("--cache={written}"),
        format!("--cache-upstream={upstream}"),
    ];
    words.into()
}

fn cache_in(at: &Workplace) -> Folder {
    Folder(at.path("cache"))
}

/// What the report says of the one cache.
fn filled(ended: &Ended) -> Value {
    let report = ended.json();
    assert_eq!(
        report["caches"].as_array().map(Vec::len),
        Some(1),
        "{ended}"
    );
    report["caches"][0].clone()
}

#[test]
fn what_is_finished_is_in_the_cache_before_the_build_has_ended() {
    let (at, (chain, nap)) = (Workplace::new(), Chain::slow());
    let cache = cache_in(&at);
    let mut command = at.command(arguments(&at, &chain, &cache));
    let key = with_key(&mut command);
    let (out, err) = (at.path("../out"), at.path("../err"));
    command.stdout(fs::File::create(&out).unwrap());
    command.stderr(fs::File::create(&err).unwrap());
    let mut running = command.spawn().unwrap();
    let lib = chain.place_of("lib");

    wait_for("the library in the cache", Duration::from_secs(60), || {
        assert!(running.try_wait().unwrap().is_none(), "the run has ended");
        cache.has(&lib).then_some(())
    });
    // It is not built before it is woken.
    nap.begins();
    nap.end();

    let status = wait_for("the run", Duration::from_secs(60), || {
        running.try_wait().unwrap()
    });
    let ended = Ended::told(status, &out, &err).succeeded();
    assert_eq!(
        cache.names(),
        ["app", "lib", "tool"],
        "no source, no derivation: {ended}"
    );
    assert_eq!(filled(&ended)["pushed"], 3);
    assert_eq!(filled(&ended)["end"], "complete");
    cache.is_sound(&chain.place_of("app"), &key);
    let told = format!("cache {}: 3 paths pushed (", cache.url());
    assert!(ended.stderr.contains(&told), "{ended}");
}

#[test]
fn what_another_machine_builds_is_pushed_when_it_is_here() {
    // A store of its own stands for another machine: Nix's hook copies there, and builds.
    let (at, other, chain) = (Workplace::new(), Workplace::new(), Chain::quick());
    let cache = cache_in(&at);
    let mut command = at.command(arguments(&at, &chain, &cache));
    let builder = format!("{} {} - 1 1", other.path("store").display(), own_system());
    let config = format!("{NIX_CONFIG}\nbuilders = {builder}\nmax-jobs = 0");
    let ended = run(command.env("NIX_CONFIG", config)).succeeded();
    assert!(ended.stderr.contains("build app on "), "{ended}");
    assert_eq!(cache.names(), ["app", "lib", "tool"], "{ended}");
}

#[test]
fn what_a_build_that_fails_has_finished_is_pushed_too() {
    let (at, chain) = (Workplace::new(), Chain::built_by("echo $lib; exit 3"));
    let cache = cache_in(&at);
    let ended = at.run(arguments(&at, &chain, &cache)).ended_with(1);
    assert_eq!(cache.names(), ["lib", "tool"], "{ended}");
    assert_eq!(filled(&ended)["end"], "complete");
}

#[test]
fn what_was_built_before_goes_too_and_what_nothing_refers_to_as_well() {
    let (at, chain) = (Workplace::new(), Chain::quick());
    chain.build("app");
    let cache = cache_in(&at);
    let ended = at.run(arguments(&at, &chain, &cache)).succeeded();
    assert_eq!(cache.names(), ["app", "lib", "tool"], "{ended}");
    // Once more: nothing is sent, or even asked.
    let again = at.run(arguments(&at, &chain, &cache)).succeeded();
    let again = filled(&again);
    assert_eq!(
        (&again["pushed"], &again["present"]),
        (&0.into(), &3.into())
    );
}

#[test]
fn an_empty_machine_builds_nothing_and_makes_the_same_image() {
    let (at, chain) = (Workplace::new(), Chain::quick());
    let cache = cache_in(&at);
    let mut first = at.command(arguments(&at, &chain, &cache));
    let key = with_key(&mut first);
    let first = run(&mut first).succeeded();

    let (other, store) = (Workplace::new(), Store::empty());
    let mut command = store.command(binary());
    command
        .args(["run", &chain.app(), "--json", "--layout", "out"])
        .arg(format!("--cache={} read key={key}", cache.url()))
        // Nix kills all processes of the users it builds as, others' too.
        .args(["--nix-option", "build-users-group="]);
    other.prepare(&mut command);
    let second = run(&mut command).succeeded();

    let built = |ended: &Ended| {
        let lines = ended.stderr.lines();
        lines
            .filter(|line| line.trim_start().starts_with("build "))
            .count()
    };
    assert_eq!((built(&first), built(&second)), (3, 0), "{second}");
    assert_eq!(first.json()["index"], second.json()["index"]);
    assert!(store.has(&chain.place_of("app")) || second.json()["fromMetadata"] == true);
}

#[test]
fn what_is_built_to_be_imported_is_pushed_too() {
    let (at, chain) = (Workplace::new(), Chain::with_built_name());
    let cache = cache_in(&at);
    let ended = at.run(arguments(&at, &chain, &cache)).succeeded();
    assert_eq!(cache.names(), ["app", "lib", "names", "tool"], "{ended}");
}

#[test]
fn what_was_copied_into_the_store_and_nobody_has_signed_is_not_pushed_and_that_is_told() {
    let (at, chain) = (Workplace::new(), Chain::quick());
    let (lib, elsewhere) = (chain.build("lib"), at.path("elsewhere"));
    let other = format!("file://{}", elsewhere.display());
    let lib = lib.to_str().unwrap();
    output_of("nix", ["copy", "--to", &other, lib]);
    // Only what another has built is left.
    output_of("nix", ["store", "delete", lib]);
    output_of("nix", ["copy", "--no-check-sigs", "--from", &other, lib]);

    let cache = cache_in(&at);
    let command = || {
        let mut command = at.command(arguments(&at, &chain, &cache));
        command.env("XDG_STATE_HOME", at.path("../state"));
        command
    };
    for _ in 0..2 {
        let ended = run(&mut command()).succeeded();
        assert_eq!(cache.names(), ["tool"], "{ended}");
        let told = format!("{lib} and what refers to it is not pushed");
        assert_eq!(ended.stderr.matches(&told).count(), 1, "{ended}");
        // Nobody remembers it as complete.
        assert_eq!(filled(&ended)["end"], "complete");
    }
}

#[test]
fn what_is_built_in_its_place_is_pushed_though_the_build_fails_after_it() {
    let at = Workplace::new();
    let chain = Chain::built_by("echo $lib; exit 3");
    let flake = chain.folder().join("flake.nix");
    // It is on the disk for longer than it takes to be looked at twice.
    let text = fs::read_to_string(&flake).unwrap();
    let slow = text.replace("\"echo $stamp > $out\"", "\"echo $stamp > $out; sleep 3\"");
    assert_ne!(text, slow);
    fs::write(&flake, slow).unwrap();
    let cache = cache_in(&at);
    let mut words = arguments(&at, &chain, &cache);
    words.push("--nix-option=sandbox=false".to_owned());
    let ended = at.run(words).ended_with(1);
    assert_eq!(cache.names(), ["lib", "tool"], "{ended}");
}

#[test]
fn a_pattern_keeps_paths_out_unless_something_refers_to_them() {
    let (at, chain) = (Workplace::new(), Chain::quick());
    let cache = cache_in(&at);
    let mut words = arguments(&at, &chain, &cache);
    words.extend([
        "--cache-exclude=to*".to_owned(),
        "--cache-exclude=lib".to_owned(),
    ]);
    let ended = at.run(words).succeeded();
    assert_eq!(cache.names(), ["app", "lib"], "{ended}");
}

#[test]
fn what_upstream_holds_is_not_pushed() {
    let (at, chain) = (Workplace::new(), Chain::quick());
    let cache = cache_in(&at);
    let words = arguments(&at, &chain, &cache);
    let lib = chain.build("lib");
    let upstream = format!("file://{}", at.path("upstream").display());
    output_of("nix", ["copy", "--to", &upstream, lib.to_str().unwrap()]);
    let ended = at.run(words).succeeded();
    assert_eq!(cache.names(), ["app", "tool"], "{ended}");
}

#[test]
fn a_cache_that_cannot_be_written_is_told_and_nothing_fails_unless_it_is_required() {
    let chain = Chain::quick();
    // One that nobody can make, and one where nobody is.
    for (url, said) in [
        ("file:///proc/no/cache", "/proc/no"),
        ("http://127.0.0.1:1/cache", "127.0.0.1:1"),
    ] {
        let at = Workplace::new();
        let mut words = arguments(&at, &chain, &cache_in(&at));
        words[3] = format!("--cache={url} write");
        let begun = Instant::now();
        let ended = at.run(&words).succeeded();
        assert!(begun.elapsed() < Duration::from_secs(120), "{ended}");
        let warning = format!("warning: cache {url}: 3 paths ");
        assert!(ended.stderr.contains(&warning), "{ended}");
        assert!(ended.stderr.contains(said), "{ended}");
        assert_eq!(filled(&ended)["pushed"], 0);
        assert_eq!(ended.json()["outcome"], "success");

        words.push("--cache-required".to_owned());
        let required = at.run(&words);
        assert_eq!(required.json()["outcome"], "failure", "{required}");
        required.complains(4, &[url, "is required and lacks 3 paths"]);
    }
}

#[test]
fn a_run_that_only_reads_pushes_nothing() {
    let (at, chain) = (Workplace::new(), Chain::quick());
    let cache = cache_in(&at);
    let mut words = arguments(&at, &chain, &cache);
    words.push("--cache-required".to_owned());
    let mut only_reads = words.clone();
    only_reads.push("--cache-read-only".to_owned());
    let ended = at.run(only_reads).succeeded();
    assert_eq!(filled(&ended)["end"], "readOnly");
    assert!(!ended.stderr.contains("cache file"), "{ended}");

    let event = at.path("event.json");
    let side = |name: &str| format!(r#"{{"repo": {{"full_name": "{name}/api"}}}}"#);
    let text = format!(
        r#"{{"pull_request": {{"head": {}, "base": {}}}}}"#,
        side("mallory"),
        side("acme")
    );
    fs::write(&event, text).unwrap();
    let mut fork = at.command(&words);
    fork.env("GITHUB_EVENT_NAME", "pull_request");
    fork.env("GITHUB_EVENT_PATH", &event);
    let ended = run(&mut fork).succeeded();
    assert!(ended.stderr.contains("is only read"), "{ended}");
    assert!(ended.stderr.contains("fork"), "{ended}");
    assert!(!Path::new(&cache.0).exists(), "{ended}");
}

#[test]
fn an_ordinary_users_builds_by_a_daemon_are_pushed_while_it_builds() {
    let world = DaemonWorld::with_nix_conf("");
    let (chain, nap) = Chain::slow();
    let flake = world.copied(chain.folder(), "flake");
    let cache = Folder(world.path("work/cache"));
    let lib = chain.place_of("lib");
    let upstream = format!("file://{}", world.path("work/upstream").display());
    std::thread::scope(|scope| {
        let running = scope.spawn(|| {
            world.nixpy([
                "run",
                &format!("path:{}#app", flake.display()),
                "--json",
                "--layout=out",
                &format!("--cache={} write", cache.url()),
                &format!("--cache-upstream={upstream}"),
            ])
        });
        wait_for("the library in the cache", Duration::from_secs(60), || {
            assert!(!running.is_finished(), "the run has ended");
            cache.has(&lib).then_some(())
        });
        // It is not built before it is woken.
        nap.begins();
        nap.end();
        let ended = running.join().unwrap().succeeded();
        assert_eq!(cache.names(), ["app", "lib", "tool"], "{ended}");
    });
}

#[test]
fn the_registry_of_the_image_is_the_cache_of_another_machine() {
    let (at, chain, registry) = (Workplace::new(), Chain::quick(), Registry::start());
    let repository = format!("{}/acme/api", registry.host());
    let words = |cache: &str| {
        let words = [
            &chain.app(),
            "--json",
            &format!("--repository={repository}"),
            &format!("--cache={cache}"),
            "--cache-upstream=file:///nowhere",
        ];
        words.map(str::to_owned)
    };
    // Nobody could trust what nobody signs.
    let unsigned = at.run(words("registry")).succeeded();
    assert_eq!(filled(&unsigned)["end"], "refused");
    assert!(unsigned.stderr.contains("nixpy-ci cache key"), "{unsigned}");

    let mut first = at.command(words("registry"));
    let key = with_key(&mut first);
    let first = run(&mut first).succeeded();
    assert_eq!(filled(&first)["pushed"], 3, "{first}");

    let (other, store) = (Workplace::new(), Store::empty());
    let mut command = store.command(binary());
    command
        .arg("run")
        .args(words(&format!("registry read key={key}")))
        .args(["--nix-option", "build-users-group=", "--remake"]);
    other.prepare(&mut command);
    let second = run(&mut command).succeeded();
    assert!(!second.stderr.contains("  build "), "{second}");
    assert_eq!(first.json()["index"], second.json()["index"]);
}

/// Accepts, and says nothing.
fn silent() -> (TcpListener, String) {
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
    let url = format!("http://{}/cache", listener.local_addr().unwrap());
    (listener, url)
}

#[test]
fn a_cache_that_hangs_is_cut_after_the_time_that_it_has() {
    let (at, chain, (_listener, url)) = (Workplace::new(), Chain::quick(), silent());
    let mut words = arguments(&at, &chain, &cache_in(&at));
    words[3] = format!("--cache={url} write");
    words.push("--cache-drain=2s".to_owned());
    let begun = Instant::now();
    let ended = at.run(words).succeeded();
    // It would have had five minutes.
    assert!(begun.elapsed() < Duration::from_secs(60), "{ended}");
    assert_eq!(filled(&ended)["end"], "cut");
    let told = "3 paths left out, the time to finish was over";
    assert!(ended.stderr.contains(told), "{ended}");
}

#[test]
fn an_interrupt_does_not_wait_for_a_cache() {
    let (at, chain, (_listener, url)) = (Workplace::new(), Chain::quick(), silent());
    let mut words = arguments(&at, &chain, &cache_in(&at));
    words[3] = format!("--cache={url} write");
    let err = at.path("../err");
    let mut command = at.command(words);
    command.stdout(Stdio::null());
    command.stderr(fs::File::create(&err).unwrap());
    let mut running = command.spawn().unwrap();
    wait_for("the rest of the run", Duration::from_secs(60), || {
        let said = fs::read_to_string(&err).unwrap();
        said.contains("pushing to caches").then_some(())
    });
    output_of("kill", ["-INT", &running.id().to_string()]);
    // The cache would have been waited for for five minutes.
    let status = wait_for("the end", Duration::from_secs(120), || {
        running.try_wait().unwrap()
    });
    assert_eq!(status.code(), Some(130));
    assert!(fs::read_to_string(err).unwrap().contains("moved already"));
    assert!(!at.is_busy());
}

#[test]
fn the_key_that_signs_is_seen_by_nobody() {
    let (at, (chain, nap)) = (Workplace::new(), Chain::slow());
    let cache = cache_in(&at);
    let mut command = at.command(arguments(&at, &chain, &cache));
    with_key(&mut command);
    command.env("NIXPY_LOG", "debug");
    let key = command
        .get_envs()
        .find(|(name, _)| *name == "NIXPY_CACHE_KEY");
    let key = key.unwrap().1.unwrap().to_str().unwrap().to_owned();
    let secret = key.split_once(':').unwrap().1.to_owned();
    let (out, err) = (at.path("../out"), at.path("../err"));
    command.stdout(fs::File::create(&out).unwrap());
    command.stderr(fs::File::create(&err).unwrap());
    let mut running = command.spawn().unwrap();
    nap.begins();
    let mut seen = processes_that_show(&secret, running.id());
    nap.end();
    let status = wait_for("the run", Duration::from_secs(60), || {
        seen.extend(processes_that_show(&secret, running.id()));
        running.try_wait().unwrap()
    });
    let ended = Ended::told(status, &out, &err).succeeded();
    assert_eq!(filled(&ended)["pushed"], 3);
    assert_eq!(seen, Vec::<String>::new());
    assert!(ended.stderr.contains("calling nix"), "{ended}");
    assert!(!ended.stderr.contains(&secret) && !ended.stdout.contains(&secret));
    // Of this machine's store what has come in the last minutes.
    for (place, age) in [(at.path(""), "-99"), ("/nix/store".into(), "-3")] {
        let mut find = program("find");
        find.arg(place)
            .args(["-mindepth", "1", "-maxdepth", "1", "-cmin", age]);
        find.args(["-exec", "grep", "-rlF", "--", &secret, "{}", "+"]);
        assert_eq!(run(&mut find).stdout, "");
    }
}

#[test]
fn a_run_with_nothing_to_do_remembers_that_a_cache_is_complete() {
    let (at, chain) = (Workplace::new(), Chain::quick());
    let cache = cache_in(&at);
    let command = || {
        let mut command = at.command(arguments(&at, &chain, &cache));
        command.env("XDG_STATE_HOME", at.path("../state"));
        command
    };
    let built = run(&mut command()).succeeded();
    assert_eq!(filled(&built)["pushed"], 3);
    let again = run(&mut command()).succeeded();
    assert_eq!(again.json()["caches"], Value::Null, "{again}");
    // What is complete for one is not for another.
    let other = Folder(at.path("other"));
    let mut command = at.command(arguments(&at, &chain, &other));
    command.env("XDG_STATE_HOME", at.path("../state"));
    assert_eq!(filled(&run(&mut command).succeeded())["pushed"], 3);
}
