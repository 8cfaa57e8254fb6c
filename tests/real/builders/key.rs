//! The key that opens them, which nobody else sees.

use super::*;
use crate::world::secrets::processes_that_show;

#[test]
fn the_key_is_seen_by_nobody_and_gone_afterwards() {
    let key = Key::new();
    let builder = Builder::slow(&key);
    let (at, mut setting) = (Workplace::new(), Setting::with(&key, &[&builder]));
    let nap = Nap::new();
    let script = format!("{}; cat $archive > $out", nap.script());
    let flake = Flake::for_systems(&[ARM], &script);
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
    nap.begins();
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
    nap.end();
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
    let (nap, script) = slowly();
    let (at, flake) = (Workplace::new(), Flake::for_systems(&[ARM], &script));
    let mut setting = Setting::with(&key, &[&builder]);
    // Nix itself outlives a program that is killed, and goes on occupying one.
    setting.lines[0] += " - 4";
    for (signal, is_left) in [
        ("-TERM", false),
        ("-INT", false),
        ("-HUP", false),
        ("-KILL", true),
    ] {
        let interrupt = |id: u32| {
            output_of("kill", [signal, &id.to_string()]);
        };
        let (ended, _) = setting.run_until(&nap, interrupt, &at, &flake);
        assert_eq!(private_folder(&at).is_some(), is_left, "{signal}: {ended}");
        if !is_left {
            wait_for("the build to end", Duration::from_secs(60), || {
                (!nap.is_on()).then_some(())
            });
        }
    }
    let flake = Flake::for_systems(&[ARM], BUILD);
    setting.run(&at, &flake).succeeded();
    assert_eq!(private_folder(&at), None);
}
