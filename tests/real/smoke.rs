//! Images are started before they are tagged: by podman, and without any engine in
//! namespaces, as root and as a user without rights; and a broken one keeps the tags where
//! they were.

use std::fs;
use std::os::unix::fs::symlink;
use std::process::{Command, Stdio};
use std::time::Duration;

use serde_json::Value;

use crate::world::example::example;
use crate::world::flake::{Flake, archive, stamp};
use crate::world::nap::is_running;
use crate::world::nixpy::{Workplace, binary, names_in};
use crate::world::podman::Podman;
use crate::world::program::{Ended, output_of, place_of, program, run, wait_for};
use crate::world::registry::Registry;
use crate::world::skopeo;

const SYSTEMS: [&str; 2] = ["aarch64-linux", "x86_64-linux"];
const WELL: &str = "exec /bin/busybox httpd -f -p 8080 -h /www";
const BUILD_FAILED: i32 = 1;

/// The verdict for each platform, and what has run it.
fn verdicts(ended: &Ended) -> Vec<(String, String)> {
    let report = ended.json();
    let platforms = report["platforms"].as_array().unwrap().iter();
    let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
    platforms
        .map(|one| (text(&one["smoke"]["verdict"]), text(&one["smoke"]["by"])))
        .collect()
}

fn all(verdict: &str, by: &str) -> Vec<(String, String)> {
    vec![(verdict.to_owned(), by.to_owned()); 2]
}

/// A machine whose only programs are Nix and unshare.
fn has_no_engine(command: &mut Command, here: &Workplace) {
    let programs = here.path("programs");
    fs::create_dir_all(&programs).unwrap();
    for name in ["nix", "unshare"] {
        let _ = symlink(place_of(name), programs.join(name));
    }
    command.env("PATH", programs);
}

/// By somebody who owns the files here, and has no rights beyond that.
fn as_an_ordinary_user(here: &Workplace, arguments: &[&str]) -> Command {
    let mut command = program("unshare");
    command.args(["--user", "--map-user=1000", "--map-group=1000", "--"]);
    command.arg(binary()).arg("run").args(arguments);
    here.prepare(&mut command);
    command
}

#[test]
fn both_platforms_are_started_by_podman_and_tagged() {
    let (here, registry, podman) = (Workplace::new(), Registry::start(), Podman::new());
    let repository = format!("{}/acme/api", registry.host());
    let flake = example().flake("stream");
    let push = |tag: &str, route: &str| {
        let route = format!("--smoke-http={route}");
        let mut push = here.command([&flake, "-r", &repository, "-t", tag, &route, "--json"]);
        podman.offer_to(&mut push);
        run(&mut push).succeeded()
    };
    let tried = push("v1", "/");
    assert_eq!(verdicts(&tried), all("passed", "podman"), "{tried}");
    assert_eq!(verdicts(&push("v1", "/")), all("unchanged", ""));
    assert_eq!(
        verdicts(&push("v2", "/openapi.json")),
        all("passed", "podman")
    );
    assert_eq!(registry.tags("acme/api"), ["v1", "v2"]);
    podman.has_nothing();
    here.has_only(&[]);
}

#[test]
fn without_an_engine_they_are_started_in_namespaces_by_root_and_by_others() {
    let here = Workplace::new();
    let flake = example().flake("stream");
    let arguments = [
        &flake,
        "--layout=out",
        "--smoke-http=/openapi.json",
        "--json",
    ];
    let mut by_root = here.command(arguments);
    has_no_engine(&mut by_root, &here);
    let tried = run(&mut by_root).succeeded();
    assert_eq!(verdicts(&tried), all("passed", "namespaces"), "{tried}");

    let arguments = [&flake, "--layout=other", "--smoke-http=/", "--json"];
    let mut by_another = as_an_ordinary_user(&here, &arguments);
    has_no_engine(&mut by_another, &here);
    let tried = run(&mut by_another).succeeded();
    assert_eq!(verdicts(&tried), all("passed", "namespaces"), "{tried}");
    here.has_only(&["other", "out", "programs"]);
}

/// A sound image, and then one whose arm64 runs this, by whoever starts it.
fn keeps_the_tag(broken: &str, prepare: impl Fn(&mut Command, &Workplace), words: &[&str]) {
    let (here, registry) = (Workplace::new(), Registry::start());
    let repository = format!("{}/acme/api", registry.host());
    let push = |script: &str| {
        let flake = Flake::with_services(&[(SYSTEMS[0], script), (SYSTEMS[1], WELL)]);
        let image = flake.image();
        let arguments = [
            &image,
            "-r",
            &repository,
            "--smoke-http=/",
            "--smoke-timeout=20s",
        ];
        let mut push = here.command(arguments);
        push.arg("--json");
        prepare(&mut push, &here);
        run(&mut push)
    };
    let tried = push(WELL).succeeded();
    assert!(
        verdicts(&tried)
            .iter()
            .all(|(verdict, _)| verdict == "passed"),
        "{tried}"
    );
    let reference = format!("docker://{repository}:latest");
    let before = skopeo::raw(&reference);

    let ended = push(broken).ended_with(BUILD_FAILED);
    assert_eq!(skopeo::raw(&reference), before, "the tag has moved");
    let verdicts: Vec<String> = verdicts(&ended)
        .into_iter()
        .map(|(verdict, _)| verdict)
        .collect();
    assert_eq!(verdicts, ["failed", "passed"], "{ended}");
    assert_eq!(ended.json()["references"].as_array().unwrap().len(), 0);
    for word in words {
        assert!(ended.stderr.contains(word), "{word} is not said: {ended}");
    }
}

const ENDS: &str = "echo the database is not there; exit 3";
const DEAF: &str = "exec /bin/busybox httpd -f -p 127.0.0.1:8080 -h /www";

#[test]
fn a_platform_whose_program_ends_keeps_the_tag_where_it_was() {
    let words = [
        "linux/arm64/v8 failed its smoke test (200 from / at port 8080, in",
        "): it ended with exit code 3",
        "> the database is not there",
        "no tag was moved",
    ];
    let podman = Podman::new();
    keeps_the_tag(ENDS, |push, _| podman.offer_to(push), &words);
    podman.has_nothing();
    keeps_the_tag(ENDS, has_no_engine, &words);
}

#[test]
fn a_platform_that_nobody_could_reach_keeps_the_tag_where_it_was() {
    let words = [
        "linux/arm64/v8 failed",
        "127.0.0.1:8080 only",
        "let it bind 0.0.0.0",
    ];
    let podman = Podman::new();
    keeps_the_tag(DEAF, |push, _| podman.offer_to(push), &words);
    keeps_the_tag(DEAF, has_no_engine, &words);
}

/// Each has to be so in the container.
const ALONE: &str = "
test $(busybox id -u):$(busybox id -g) = 1000:1000
test -c /dev/null -a -d /proc/self
test ! -e /root -a ! -e /.nixpy-ci-before
test $(busybox wc -l < /proc/net/dev) = 3
test $(busybox ps -o pid | busybox wc -l) -lt 9
busybox grep -q '^CapBnd:.00000000800005fb$' /proc/self/status
busybox grep -q '^CapEff:.0000000000000000$' /proc/self/status
busybox grep -q '^NoNewPrivs:.1$' /proc/self/status
";

#[test]
fn a_command_is_run_as_the_images_user_and_sees_nothing_but_the_image() {
    let here = Workplace::new();
    let flake = Flake::with_services(&[(SYSTEMS[1], "exit 1")]);
    let words = ["/bin/busybox", "sh", "-euxc", ALONE].map(|word| format!("--smoke-cmd={word}"));
    for (layout, by_root) in [("one", true), ("other", false)] {
        let image = flake.image();
        let mut arguments = vec![image.as_str(), "--layout", layout, "--json"];
        arguments.extend(words.iter().map(String::as_str));
        let mut command = match by_root {
            true => here.command(&arguments),
            false => as_an_ordinary_user(&here, &arguments),
        };
        has_no_engine(&mut command, &here);
        let ended = run(&mut command).succeeded();
        let tested = &ended.json()["platforms"][0]["smoke"];
        assert_eq!(tested["verdict"], "passed", "{ended}");
    }
}

/// A flake whose image has this configuration, a busybox, and another file.
fn configured(config: Value, other: &str) -> Flake {
    let shell = example().built(SYSTEMS[1], "busybox").join("bin/busybox");
    let shell = fs::read(shell).unwrap();
    let archive = archive(&stamp())
        .layer(&[("bin/busybox", &shell), (other, b"text")])
        .config("architecture", "amd64".into())
        .config("config", config);
    Flake::with_archive(&archive.build())
}

/// A flake whose image runs this line as root.
fn as_root(script: &str) -> Flake {
    let entrypoint = ["/bin/busybox", "sh", "-c", script];
    configured(serde_json::json!({ "Entrypoint": entrypoint }), "etc/issue")
}

#[test]
fn an_image_that_cannot_be_started_has_failed_whoever_starts_it() {
    let podman = Podman::new();
    let start = ["/bin/busybox", "sleep", "99"];
    let started = |key: &str, value: &str| serde_json::json!({ "Entrypoint": start, key: value });
    for (config, other, why) in [
        (serde_json::json!({}), "etc/issue", "says of no program"),
        (
            started("WorkingDir", "/bin/busybox/x"),
            "etc/issue",
            "/bin/busybox",
        ),
        (started("User", "nobody-knows"), "etc/issue", "nobody-knows"),
        (started("User", "0"), "proc", "proc"),
        (started("User", "0"), "bin/busybox/below-a-file", "busybox"),
    ] {
        for engine in [true, false] {
            let here = Workplace::new();
            let flake = configured(config.clone(), other);
            let image = flake.image();
            let port = "--smoke-port=8080";
            let arguments = [&image, "--layout=out", port, "--smoke-timeout=3s", "--json"];
            let mut command = here.command(arguments);
            match engine {
                true => podman.offer_to(&mut command),
                false => has_no_engine(&mut command, &here),
            }
            let ended = run(&mut command).ended_with(BUILD_FAILED);
            assert_eq!(verdicts(&ended)[0].0, "failed", "{ended}");
            assert!(ended.stderr.contains(why), "{ended}");
        }
    }
    podman.has_nothing();
}

#[test]
fn an_image_that_ends_its_container_by_a_signal_has_failed() {
    let here = Workplace::new();
    let flake = as_root("/bin/busybox kill 1; /bin/busybox sleep 9");
    let image = flake.image();
    let arguments = [
        &image,
        "--layout=out",
        "--smoke-port=8080",
        "--smoke-timeout=3s",
        "--json",
    ];
    let mut command = here.command(arguments);
    has_no_engine(&mut command, &here);
    let ended = run(&mut command).ended_with(BUILD_FAILED);
    assert_eq!(verdicts(&ended)[0].0, "failed", "{ended}");
}

/// Such files can be written by whoever is root on the machine: open them, write nothing.
const CONFINED: &str = "
for file in sys/kernel/core_pattern sysrq-trigger irq/default_smp_affinity; do
  if ( : >> /proc/$file ); then exit 1; fi
done
test ! -f /proc/kcore -a ! -f /proc/timer_list
test $(busybox cut -d' ' -f6 /proc/self/stat) != 0
test $(busybox cut -d' ' -f7 /proc/self/stat) = 0
test ! -e /dev/tty -a ! -t 0 -a ! -t 1 -a ! -t 2
test ! -e /proc/self/fd/8 -a ! -e /proc/self/fd/9
";

#[test]
fn root_in_an_image_reaches_neither_the_kernels_settings_nor_our_terminal() {
    let here = Workplace::new();
    let flake = as_root("exit 1");
    let words = ["/bin/busybox", "sh", "-euxc", CONFINED];
    let words = words.map(|word| format!("--smoke-cmd={word}"));
    let image = flake.image();
    let mut arguments = vec![image.as_str(), "--layout=out", "--json"];
    arguments.extend(words.iter().map(String::as_str));
    // Whoever calls has more open than we asked for.
    let mut command = program("sh");
    let opens = "exec 9<>/dev/null 8</etc/passwd; exec \"$@\"";
    command.args(["-c", opens, "sh"]).arg(binary()).arg("run");
    command.args(&arguments);
    here.prepare(&mut command);
    has_no_engine(&mut command, &here);
    let ended = run(&mut command).succeeded();
    assert_eq!(verdicts(&ended)[0].0, "passed", "{ended}");
}

#[test]
fn an_interrupt_leaves_no_container_no_process_and_no_file() {
    let podman = Podman::new();
    let here = Workplace::new();
    let sleep = format!("exec /bin/busybox sleep {}", 2_000_000 + std::process::id());
    let flake = Flake::with_services(&[(SYSTEMS[1], &sleep)]);
    let words = sleep.split_once(' ').unwrap().1;
    for engine in [true, false] {
        let mut command = here.command([&flake.image(), "--layout=out", "--smoke-http=/"]);
        match engine {
            true => podman.offer_to(&mut command),
            false => has_no_engine(&mut command, &here),
        }
        let command = command.stdout(Stdio::null()).stderr(Stdio::piped());
        let trying = command.spawn().unwrap();
        wait_for("the container", Duration::from_secs(60), || {
            is_running(words).then_some(())
        });
        output_of("kill", ["-INT", &trying.id().to_string()]);
        let ended = trying.wait_with_output().unwrap();
        let said = String::from_utf8_lossy(&ended.stderr);
        assert_eq!(ended.status.code(), Some(130), "{said}");
        assert!(said.contains("cancelled: no tag was moved"), "{said}");
        wait_for("the container to be gone", Duration::from_secs(60), || {
            (!is_running(words)).then_some(())
        });
        podman.has_nothing();
        let left: &[&str] = if engine { &[] } else { &["programs"] };
        here.has_only(left);
    }
}

#[test]
fn a_run_that_is_killed_leaves_nobody_in_the_room_and_its_folder_to_the_next() {
    let here = Workplace::new();
    let sleep = format!("exec /bin/busybox sleep {}", 3_000_000 + std::process::id());
    let flake = Flake::with_services(&[(SYSTEMS[1], &sleep)]);
    let words = sleep.split_once(' ').unwrap().1;
    let start = || {
        let port = "--smoke-timeout=30s";
        let mut command = here.command([&flake.image(), "--layout=out", "--smoke-http=/", port]);
        has_no_engine(&mut command, &here);
        let command = command.stdout(Stdio::null()).stderr(Stdio::null());
        let trying = command.spawn().unwrap();
        wait_for("the container", Duration::from_secs(60), || {
            is_running(words).then_some(())
        });
        trying
    };
    let ends = |mut trying: std::process::Child, signal: &str| {
        output_of("kill", [signal, &trying.id().to_string()]);
        trying.wait().unwrap();
        wait_for("the container to be gone", Duration::from_secs(60), || {
            (!is_running(words)).then_some(())
        });
    };
    ends(start(), "-KILL");
    ends(start(), "-INT");
    let left = names_in(&here.path("../tmp"));
    let rooms = left.iter().filter(|name| name.starts_with("nixpy-smoke"));
    assert_eq!(rooms.count(), 0, "{left:?}");
}
