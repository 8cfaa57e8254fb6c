//! Builds on other machines: reached by ssh, each with a Nix of its own, and each able to
//! fail in its own way while the run goes on.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::time::{Duration, Instant};

use tempfile::TempDir;

use crate::world::builder::{Builder, Key, here};
use crate::world::flake::Flake;
use crate::world::nixpy::{Workplace, binary};
use crate::world::program::{Ended, output_of, program, run, wait_for};

const MACHINE_CANNOT: i32 = 3;
const ARM: &str = "aarch64-linux";
const BUILD: &str = "echo building $stamp; cat $archive > $out";

/// One run with builders: who they are, and what this side knows of them.
struct Setting<'a> {
    key: &'a Key,
    lines: Vec<String>,
    known_hosts: Vec<String>,
    emulates: bool,
    more: Vec<&'a str>,
}

impl<'a> Setting<'a> {
    fn with(key: &'a Key, builders: &[&Builder]) -> Self {
        Self {
            key,
            lines: builders.iter().map(|builder| builder.line()).collect(),
            known_hosts: builders
                .iter()
                .map(|builder| builder.known_host())
                .collect(),
            emulates: false,
            more: Vec::new(),
        }
    }

    fn command(&self, at: &Workplace, flake: &Flake) -> (std::process::Command, TempDir) {
        let image = flake.image();
        let mut command = at.command([&image, "--json", "--layout", "out"]);
        command.args(&self.more);
        if !self.emulates {
            // The kernel could, and Nix would be told so.
            command.arg("--nix-option=extra-platforms=");
        }
        let lines: Vec<&str> = self.lines.iter().map(String::as_str).collect();
        let known_hosts: Vec<&str> = self.known_hosts.iter().map(String::as_str).collect();
        let conf = here(&mut command, self.key, &lines, &known_hosts, self.emulates);
        (command, conf)
    }

    fn run(&self, at: &Workplace, flake: &Flake) -> Ended {
        let (mut command, _conf) = self.command(at, flake);
        run(&mut command)
    }

    /// Runs it, and does something as soon as there is a process with these words.
    fn run_until(
        &self,
        words: &str,
        then: impl FnOnce(u32),
        at: &Workplace,
        flake: &Flake,
    ) -> (Ended, Duration) {
        let (mut command, _conf) = self.command(at, flake);
        let (out, err) = (at.path("../out"), at.path("../err"));
        command.stdout(fs::File::create(&out).unwrap());
        command.stderr(fs::File::create(&err).unwrap());
        let mut running = command.spawn().unwrap();
        wait_for(words, Duration::from_secs(60), || {
            assert!(
                running.try_wait().unwrap().is_none(),
                "{}",
                fs::read_to_string(&err).unwrap()
            );
            (run(program("pgrep").args(["--full", "--", words])).code == 0).then_some(())
        });
        let begun = Instant::now();
        then(running.id());
        let status = wait_for("the run", Duration::from_secs(120), || {
            running.try_wait().unwrap()
        });
        let took = begun.elapsed();
        (Ended::told(status, &out, &err), took)
    }
}

/// What the report says of the one platform.
fn machine(ended: &Ended) -> Option<String> {
    let report = ended.json();
    let machine = &report["platforms"][0]["machine"];
    machine.as_str().map(str::to_owned)
}

/// What the report says of builders, with their names.
fn troubles(ended: &Ended) -> Vec<(String, String)> {
    let report = ended.json();
    let troubles = report["troubles"].as_array().cloned().unwrap_or_default();
    let text = |value: &serde_json::Value| value.as_str().unwrap().to_owned();
    troubles
        .iter()
        .map(|one| (text(&one["builder"]), text(&one["what"])))
        .collect()
}

fn output(ended: &Ended) -> String {
    ended.json()["platforms"][0]["output"]
        .as_str()
        .unwrap()
        .to_owned()
}

/// Unique, so that it can be found among processes; where builds are quick it is not done.
fn slowly() -> (String, String) {
    static COUNT: std::sync::atomic::AtomicU32 = std::sync::atomic::AtomicU32::new(0);
    let count = COUNT.fetch_add(1, std::sync::atomic::Ordering::Relaxed);
    let sleep = format!("sleep {}{count:02}", 1_000_000 + std::process::id());
    (
        sleep.clone(),
        format!("echo $stamp; if [ -e /slow ]; then {sleep}; fi; cat $archive > $out"),
    )
}

#[test]
fn aarch64_is_built_on_another_machine_by_either_protocol_and_on_any_port() {
    let key = Key::new();
    let builder = Builder::start(&key);
    for uri in [
        builder.uri(),
        format!("ssh://root@{}", builder.address()),
        format!("ssh-ng://root@{}:2222", builder.address()),
    ] {
        let (at, flake) = (Workplace::new(), Flake::for_systems(&[ARM], BUILD));
        let mut setting = Setting::with(&key, &[&builder]);
        setting.lines = vec![format!("{uri} {ARM} - 2")];
        setting.known_hosts.push(format!(
            "[{}]:2222 {}",
            builder.address(),
            builder.host_key()
        ));
        let ended = setting.run(&at, &flake).succeeded();
        assert_eq!(machine(&ended), Some(uri.replace(":2222", "")), "{ended}");
        assert!(troubles(&ended).is_empty(), "{ended}");
        assert!(builder.has(&output(&ended)), "{ended}");
        at.has_only(&["out"]);
    }
}

#[test]
fn the_key_is_seen_by_nobody_and_gone_afterwards() {
    let key = Key::new();
    let builder = Builder::slow(&key);
    let (at, mut setting) = (Workplace::new(), Setting::with(&key, &[&builder]));
    let sleep = format!("sleep 3.{}", std::process::id());
    let flake = Flake::for_systems(&[ARM], &format!("{sleep}; cat $archive > $out"));
    // Through things that have only one line.
    let (mut command, _conf) = setting.command(&at, &flake);
    command.env(
        "NIXPY_BUILDER_SSH_KEY",
        key.text().trim().replace('\n', "\\n"),
    );
    setting.more = vec![];
    command.env("NIXPY_LOG", "debug");
    let (out, err) = (at.path("../out"), at.path("../err"));
    command
        .stdout(fs::File::create(&out).unwrap())
        .stderr(fs::File::create(&err).unwrap());
    let mut running = command.spawn().unwrap();
    wait_for("the build", Duration::from_secs(60), || {
        (run(program("pgrep").args(["--full", "--", &sleep])).code == 0).then_some(())
    });
    let seen = processes_that_show(&key.secret(), running.id());
    let folder = private_folder(&at).unwrap();
    let mode = output_of(
        "stat",
        [
            "--format=%a",
            folder.to_str().unwrap(),
            folder.join("key").to_str().unwrap(),
        ],
    );
    let status = wait_for("the run", Duration::from_secs(60), || {
        running.try_wait().unwrap()
    });
    let ended = Ended::told(status, &out, &err).succeeded();

    assert_eq!(seen, Vec::<String>::new());
    assert_eq!(mode, "700\n600");
    assert!(ended.stderr.contains("calling nix"), "{ended}");
    for text in [&ended.stdout, &ended.stderr] {
        assert!(!text.contains(&key.secret()), "{ended}");
    }
    assert!(!folder.exists());
    // Of this machine's store what has come in the last minutes.
    for (place, age) in [
        (builder.folder().join("nix"), "-99"),
        (at.path(""), "-99"),
        ("/nix/store".into(), "-3"),
    ] {
        let mut grep = program("find");
        grep.arg(place)
            .args(["-mindepth", "1", "-maxdepth", "1", "-cmin", age]);
        grep.args(["-exec", "grep", "-rlF", "--", &key.secret(), "{}", "+"]);
        assert_eq!(run(&mut grep).stdout, "");
    }
}

/// Of all that run here, with the exception of the program that was given the secret.
fn processes_that_show(secret: &str, but: u32) -> Vec<String> {
    let mut found = Vec::new();
    for process in fs::read_dir("/proc").unwrap().flatten() {
        let path = process.path();
        if path.ends_with(but.to_string()) {
            continue;
        }
        for file in ["cmdline", "environ"] {
            let text = fs::read(path.join(file)).unwrap_or_default();
            if String::from_utf8_lossy(&text).contains(secret) {
                found.push(path.join(file).display().to_string());
            }
        }
    }
    found
}

/// Where the key is, if it is anywhere.
fn private_folder(at: &Workplace) -> Option<PathBuf> {
    let entries = fs::read_dir(at.path("../tmp")).unwrap().flatten();
    let is_private = |path: &PathBuf| path.to_string_lossy().contains("nixpy-ci-ssh-");
    entries.map(|entry| entry.path()).find(is_private)
}

#[test]
fn an_interrupt_leaves_no_key_behind_and_the_next_run_sweeps_what_a_kill_left() {
    let key = Key::new();
    let builder = Builder::slow(&key);
    let (sleep, script) = slowly();
    let (at, flake) = (Workplace::new(), Flake::for_systems(&[ARM], &script));
    let mut setting = Setting::with(&key, &[&builder]);
    // Nix itself outlives a program that is killed, and goes on occupying one.
    setting.lines[0] += " - 4";
    for (signal, is_left) in [("-TERM", false), ("-INT", false), ("-KILL", true)] {
        let interrupt = |id: u32| {
            output_of("kill", [signal, &id.to_string()]);
        };
        let (ended, _) = setting.run_until(&sleep, interrupt, &at, &flake);
        assert_eq!(private_folder(&at).is_some(), is_left, "{signal}: {ended}");
        if !is_left {
            wait_for("the build to end", Duration::from_secs(20), || {
                (run(program("pgrep").args(["--full", "--", &sleep])).code == 1).then_some(())
            });
        }
    }
    let flake = Flake::for_systems(&[ARM], BUILD);
    setting.run(&at, &flake).succeeded();
    assert_eq!(private_folder(&at), None);
}

#[test]
fn a_machine_with_a_key_that_nobody_knows_is_not_used_and_its_line_is_told() {
    let key = Key::new();
    let builder = Builder::start(&key);
    let (at, flake) = (Workplace::new(), Flake::for_systems(&[ARM], BUILD));
    let mut setting = Setting::with(&key, &[&builder]);
    setting.known_hosts.clear();
    let ended = setting.run(&at, &flake).ended_with(MACHINE_CANNOT);
    assert!(
        ended.stderr.contains("its host key is not known"),
        "{ended}"
    );
    let line = format!(
        "add this line to --builder-known-hosts: {}",
        builder.known_host()
    );
    assert!(ended.stderr.contains(&line), "{ended}");
    assert!(ended.stderr.contains("after checking"), "{ended}");
    at.has_only(&[]);
}

#[test]
fn a_machine_with_another_key_than_it_should_have_is_not_used() {
    let (key, other) = (Key::new(), Key::new());
    let builder = Builder::start(&key);
    let (at, flake) = (Workplace::new(), Flake::for_systems(&[ARM], BUILD));
    let mut setting = Setting::with(&key, &[&builder]);
    let expected = format!("{} {}", builder.address(), other.public());
    setting.known_hosts = vec![expected.clone()];
    let ended = setting.run(&at, &flake).ended_with(MACHINE_CANNOT);
    let told = format!(
        "ITS HOST KEY IS NOT THE ONE IT SHOULD HAVE: it shows `{}`, expected is `{expected}`",
        builder.known_host()
    );
    assert!(ended.stderr.contains(&told), "{ended}");
}

#[test]
fn a_machine_that_does_not_let_us_in_is_told_and_another_one_builds() {
    let (key, other) = (Key::new(), Key::new());
    let (refusing, builder) = (Builder::start(&other), Builder::start(&key));
    let (at, flake) = (Workplace::new(), Flake::for_systems(&[ARM], BUILD));
    let setting = Setting::with(&key, &[&refusing, &builder]);
    let ended = setting.run(&at, &flake).succeeded();
    assert_eq!(machine(&ended), Some(builder.uri()));
    let told = troubles(&ended);
    assert_eq!(told.len(), 1, "{ended}");
    assert_eq!(told[0].0, refusing.uri());
    assert!(
        told[0].1.contains("Permission denied (publickey)"),
        "{told:?}"
    );
    assert!(ended.stderr.contains("authorized_keys"), "{ended}");
}

#[test]
fn a_machine_that_is_down_is_told_and_what_it_would_build_is_emulated_where_that_can_be() {
    let key = Key::new();
    let builder = Builder::start(&key);
    let mut setting = Setting::with(&key, &[&builder]);
    let line = builder.line();
    builder.cut_off();
    setting.lines = vec![line];
    let (at, flake) = (Workplace::new(), Flake::for_systems(&[ARM], BUILD));
    let ended = setting.run(&at, &flake).ended_with(MACHINE_CANNOT);
    for words in [
        "aarch64-linux cannot be built from here",
        "it does not answer in time",
        "check that it is on",
    ] {
        assert!(ended.stderr.contains(words), "{words}: {ended}");
    }
    setting.emulates = true;
    let ended = setting.run(&at, &flake).succeeded();
    assert_eq!(machine(&ended), None);
    assert_eq!(troubles(&ended).len(), 1, "{ended}");
}

#[test]
fn a_build_that_fails_by_itself_fails_once() {
    let key = Key::new();
    let (one, two) = (Builder::start(&key), Builder::start(&key));
    let (at, flake) = (
        Workplace::new(),
        Flake::for_systems(&[ARM], "echo about to fail; exit 3"),
    );
    let mut setting = Setting::with(&key, &[&one, &two]);
    setting.emulates = true;
    let ended = setting.run(&at, &flake).ended_with(1);
    let builds = ended
        .stderr
        .lines()
        .filter(|line| line.contains("build small-image"))
        .count();
    // Nix tells a build on another machine twice: by itself, and as the machine's own.
    assert_eq!(builds, 2, "{ended}");
    assert!(ended.stderr.contains("> about to fail"), "{ended}");
    assert!(troubles(&ended).is_empty(), "{ended}");
}

#[test]
fn a_build_whose_machine_is_gone_goes_on_at_another_one() {
    let key = Key::new();
    let (slow, quick) = (Builder::slow(&key), Builder::start(&key));
    let (sleep, script) = slowly();
    let (at, flake) = (Workplace::new(), Flake::for_systems(&[ARM], &script));
    let mut setting = Setting::with(&key, &[&slow, &quick]);
    // The first is said to be quicker, so that it is asked first.
    setting.lines[0] += " - 1 10";
    let (ended, took) = setting.run_until(&sleep, |_| slow.cut_off(), &at, &flake);
    let ended = ended.succeeded();
    assert_eq!(machine(&ended), Some(quick.uri()), "{ended}");
    let told = troubles(&ended);
    assert_eq!(told.len(), 1, "{ended}");
    assert_eq!(told[0].0, slow.uri());
    assert!(
        told[0]
            .1
            .starts_with("the connection was lost in mid-build"),
        "{told:?}"
    );
    assert!(took < Duration::from_secs(45), "{took:?}");
}

#[test]
fn a_build_whose_only_machine_is_gone_is_emulated() {
    let key = Key::new();
    let slow = Builder::slow(&key);
    let (sleep, script) = slowly();
    let (at, flake) = (Workplace::new(), Flake::for_systems(&[ARM], &script));
    let mut setting = Setting::with(&key, &[&slow]);
    setting.emulates = true;
    let (ended, _) = setting.run_until(&sleep, |_| slow.cut_off(), &at, &flake);
    let ended = ended.succeeded();
    assert_eq!(machine(&ended), None, "{ended}");
    assert_eq!(troubles(&ended).len(), 1, "{ended}");
}

#[test]
fn a_machine_that_hangs_is_given_up_after_the_time_that_was_set() {
    let key = Key::new();
    let (slow, quick) = (Builder::slow(&key), Builder::start(&key));
    for protocol in ["ssh-ng", "ssh"] {
        let (sleep, script) = slowly();
        let (at, flake) = (Workplace::new(), Flake::for_systems(&[ARM], &script));
        let mut setting = Setting::with(&key, &[&slow, &quick]);
        setting.lines[0] = format!("{protocol}://root@{} {ARM} - 1 10", slow.address());
        setting.more = vec!["--builder-silence", "4s"];
        let (ended, took) = setting.run_until(&sleep, |_| slow.freeze(), &at, &flake);
        let ended = ended.succeeded();
        assert_eq!(machine(&ended), Some(quick.uri()), "{ended}");
        let told = troubles(&ended);
        assert_eq!(told.len(), 1, "{ended}");
        assert!(
            told[0].1.contains("nothing was heard of it for 4 s"),
            "{told:?}"
        );
        assert!(took < Duration::from_secs(20), "{took:?}");
    }
}

#[test]
fn a_build_whose_machine_has_a_full_disk_goes_on_at_another_one() {
    let key = Key::new();
    let (small, large) = (Builder::small(&key), Builder::start(&key));
    let script = "head -c 30000000 /dev/zero > $out; cat $archive > $out";
    let (at, flake) = (Workplace::new(), Flake::for_systems(&[ARM], script));
    let mut setting = Setting::with(&key, &[&small, &large]);
    setting.lines[0] += " - 1 10";
    let ended = setting.run(&at, &flake).succeeded();
    assert_eq!(machine(&ended), Some(large.uri()), "{ended}");
    let told = troubles(&ended);
    assert_eq!(told.len(), 1, "{ended}");
    assert_eq!(told[0].0, small.uri());
    assert!(told[0].1.starts_with("its disk is full"), "{told:?}");
}

#[test]
fn what_is_built_here_goes_on_while_a_machine_is_given_up() {
    let key = Key::new();
    let (slow, quick) = (Builder::slow(&key), Builder::start(&key));
    let (sleep, script) = slowly();
    let script = format!("case $system in x86_64-linux) sleep 12;; esac; {script}");
    let flake = Flake::for_systems(&["x86_64-linux", ARM], &script);
    let (at, mut setting) = (Workplace::new(), Setting::with(&key, &[&slow, &quick]));
    setting.lines[0] += " - 1 10";
    setting.more = vec!["--builder-silence", "4s"];
    let (ended, _) = setting.run_until(&sleep, |_| slow.freeze(), &at, &flake);
    let ended = ended.succeeded();
    let platforms = ended.json()["platforms"].as_array().unwrap().clone();
    let machines: Vec<_> = platforms
        .iter()
        .map(|one| one["machine"].as_str())
        .collect();
    assert_eq!(machines, [Some(&*quick.uri()), None], "{ended}");
    // Here once; at each of the machines as we tell it, and as they do.
    let builds = ended
        .stderr
        .lines()
        .filter(|line| line.contains("build small-image"));
    assert_eq!(builds.count(), 1 + 2 + 2, "{ended}");
}

#[test]
fn builders_that_nix_is_configured_to_use_are_used_and_ssh_reads_its_own_configuration() {
    let key = Key::new();
    let builder = Builder::start(&key);
    let (at, flake) = (Workplace::new(), Flake::for_systems(&[ARM], BUILD));
    let mut setting = Setting::with(&key, &[]);
    setting.lines.clear();
    // An alias, as in ~/.ssh/config; NIX_SSHOPTS is how it is told apart from this machine's.
    let files = tempfile::tempdir().unwrap();
    let file = |name: &str| files.path().join(name).display().to_string();
    write_private(Path::new(&file("key")), &key.text());
    fs::write(file("hosts"), builder.known_host()).unwrap();
    let config = format!(
        "Host arm\n HostName {}\n Port 2222\n HostKeyAlias {0}\n User root\n IdentityFile {}\n UserKnownHostsFile {}\n",
        builder.address(),
        file("key"),
        file("hosts")
    );
    fs::write(file("config"), config).unwrap();
    fs::write(file("machines"), format!("ssh-ng://arm {ARM}\n")).unwrap();
    let (mut command, conf) = setting.command(&at, &flake);
    let mut nix_conf = fs::read_to_string(conf.path().join("nix.conf")).unwrap();
    nix_conf += &format!("builders = @{}\n", file("machines"));
    fs::write(conf.path().join("nix.conf"), nix_conf).unwrap();
    command.env("NIX_SSHOPTS", format!("-F {}", file("config")));
    for variable in [
        "NIXPY_BUILDERS",
        "NIXPY_BUILDER_SSH_KEY",
        "NIXPY_BUILDER_KNOWN_HOSTS",
    ] {
        command.env_remove(variable);
    }
    let ended = run(&mut command).succeeded();
    assert_eq!(machine(&ended).as_deref(), Some("ssh-ng://arm"));

    // And beside it one of ours, by the alias too.
    let flake = Flake::for_systems(&[ARM], BUILD);
    setting.lines = vec![format!("ssh://arm {ARM}")];
    let (mut command, _conf) = setting.command(&at, &flake);
    command.env("NIX_SSHOPTS", format!("-F {}", file("config")));
    command.env_remove("NIXPY_BUILDER_KNOWN_HOSTS");
    let ended = run(command.stdin(Stdio::null())).succeeded();
    assert_eq!(machine(&ended).as_deref(), Some("ssh://arm"));
}

#[test]
fn an_agent_opens_builders_as_it_opens_everything() {
    let key = Key::new();
    let builder = Builder::start(&key);
    let (at, flake) = (Workplace::new(), Flake::for_systems(&[ARM], BUILD));
    let files = tempfile::tempdir().unwrap();
    let (socket, file) = (files.path().join("agent"), files.path().join("key"));
    write_private(&file, &key.text());
    let mut agent = program("ssh-agent")
        .stdout(Stdio::null())
        .arg("-D")
        .arg("-a")
        .arg(&socket)
        .spawn()
        .unwrap();
    wait_for("the agent", Duration::from_secs(10), || {
        socket.exists().then_some(())
    });
    run(program("ssh-add")
        .arg("-q")
        .arg(&file)
        .env("SSH_AUTH_SOCK", &socket))
    .succeeded();
    fs::remove_file(file).unwrap();
    let (mut command, _conf) = Setting::with(&key, &[&builder]).command(&at, &flake);
    command
        .env_remove("NIXPY_BUILDER_SSH_KEY")
        .env("SSH_AUTH_SOCK", &socket);
    let ended = run(&mut command);
    agent.kill().unwrap();
    agent.wait().unwrap();
    assert_eq!(machine(&ended.succeeded()), Some(builder.uri()));
}

/// A machine whose builds a daemon does, for a user whom it trusts or not.
const WITH_A_DAEMON: &str = r#"
place=$0; trusted=$1; binary=$2; flake=$3
mkdir "$place/nix" "$place/etc" "$place/home" "$place/tmp"
cp -r "$flake" "$place/flake"
cp /etc/passwd /etc/group "$place/etc"
echo "alice:x:2000:2000::$place/home:/bin/sh" >> "$place/etc/passwd"
echo alice:x:2000: >> "$place/etc/group"
chown -R 2000:2000 "$place/home" "$place/flake" "$place/tmp"
chmod 755 "$place"
printf 'build-users-group =\nsubstituters =\ntrusted-users = root %s\n' "$trusted" > "$place/etc/nix.conf"
mount --bind "$place/etc/passwd" /etc/passwd
mount --bind "$place/etc/group" /etc/group
mount --bind "$place/nix" /nix
export NIX_CONF_DIR="$place/etc" TMPDIR="$place/tmp"
nix-daemon > "$place/daemon.log" 2>&1 &
daemon=$!
for _ in $(seq 100); do if [ -S /nix/var/nix/daemon-socket/socket ]; then break; fi; sleep 0.1; done
code=0
setpriv --reuid 2000 --regid 2000 --clear-groups env HOME="$place/home" USER=alice XDG_STATE_HOME=/dev/null/state \
  "$binary" run "path:$place/flake#image" --json --layout "$place/home/out" --nix-option=extra-platforms= || code=$?
kill $daemon
ls "$place/tmp" >&2
exit $code
"#;

#[test]
fn through_a_daemon_builders_are_used_by_users_whom_it_trusts() {
    let key = Key::new();
    let builder = Builder::start(&key);
    let mut setting = Setting::with(&key, &[&builder]);
    setting.known_hosts = vec![hashed(&builder.known_host())];
    let run_as = |setting: &Setting<'_>, trusted: &str| {
        let flake = Flake::for_systems(&[ARM], BUILD);
        let place = tempfile::tempdir().unwrap();
        let mut command = program("unshare");
        command.args([
            "--mount",
            "--propagation",
            "private",
            "sh",
            "-euc",
            WITH_A_DAEMON,
        ]);
        command
            .arg(place.path())
            .arg(trusted)
            .arg(binary())
            .arg(flake.folder());
        let lines: Vec<&str> = setting.lines.iter().map(String::as_str).collect();
        let known_hosts: Vec<&str> = setting.known_hosts.iter().map(String::as_str).collect();
        let _conf = here(&mut command, &key, &lines, &known_hosts, false);
        run(&mut command)
    };
    let ended = run_as(&setting, "alice").succeeded();
    assert_eq!(machine(&ended), Some(builder.uri()), "{ended}");
    assert!(
        !ended.stderr.contains("nixpy-ci-ssh-"),
        "the key is gone: {ended}"
    );

    let ended = run_as(&setting, "").ended_with(MACHINE_CANNOT);
    assert!(
        ended.stderr.contains("takes no builders from this user"),
        "{ended}"
    );
    assert!(
        ended
            .stderr
            .contains("`trusted-users` of /etc/nix/nix.conf"),
        "{ended}"
    );

    // Nix 2.8 takes no port, and what knows it here is not the daemon's.
    setting.lines = vec![format!("{}:2222 {ARM}", builder.uri())];
    let ended = run_as(&setting, "alice").ended_with(MACHINE_CANNOT);
    assert!(ended.stderr.contains("cannot be told its port"), "{ended}");
    assert!(ended.stderr.contains("/root/.ssh/config"), "{ended}");
}

/// A line of known hosts that does not tell the name.
fn hashed(line: &str) -> String {
    let files = tempfile::tempdir().unwrap();
    let file = files.path().join("known_hosts");
    fs::write(&file, format!("{line}\n")).unwrap();
    output_of("ssh-keygen", ["-H", "-f", file.to_str().unwrap()]);
    let line = fs::read_to_string(file).unwrap();
    assert!(line.starts_with("|1|"), "{line}");
    line.trim().to_owned()
}

fn write_private(file: &Path, text: &str) {
    use std::os::unix::fs::PermissionsExt as _;
    fs::write(file, text).unwrap();
    fs::set_permissions(file, fs::Permissions::from_mode(0o600)).unwrap();
}
