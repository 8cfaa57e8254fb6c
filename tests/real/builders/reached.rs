//! Reached as a user reaches them: by either protocol and on any port, by his agent and his
//! own configuration, through a daemon.

use super::*;
use crate::world::program::script_with_own_mounts;

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
    wait_for("the agent", Duration::from_secs(60), || {
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
ping="nix --extra-experimental-features nix-command store ping --store daemon"
until $ping > /dev/null 2>&1; do kill -0 $daemon; sleep 0.1; done
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
        let mut command = script_with_own_mounts(WITH_A_DAEMON);
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
