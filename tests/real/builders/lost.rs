//! Those that are lost in the middle of a build, and builds that are.

use super::*;

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
    let (nap, script) = slowly();
    let (at, flake) = (Workplace::new(), Flake::for_systems(&[ARM], &script));
    let mut setting = Setting::with(&key, &[&slow, &quick]);
    // The first is said to be quicker, so that it is asked first.
    setting.lines[0] += " - 1 10";
    let (ended, took) = setting.run_until(&nap, |_| slow.cut_off(), &at, &flake);
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
    // It would have been waited for for half an hour.
    assert!(took < Duration::from_secs(100), "{took:?}");
}

#[test]
fn a_build_whose_only_machine_is_gone_is_emulated() {
    let key = Key::new();
    let slow = Builder::slow(&key);
    let (nap, script) = slowly();
    let (at, flake) = (Workplace::new(), Flake::for_systems(&[ARM], &script));
    let mut setting = Setting::with(&key, &[&slow]);
    setting.emulates = true;
    let (ended, _) = setting.run_until(&nap, |_| slow.cut_off(), &at, &flake);
    let ended = ended.succeeded();
    assert_eq!(machine(&ended), None, "{ended}");
    assert_eq!(troubles(&ended).len(), 1, "{ended}");
    drop(slow);
    wait_for("its build to be gone", Duration::from_secs(60), || {
        (!nap.is_on()).then_some(())
    });
}

#[test]
fn a_machine_that_hangs_is_given_up_after_the_time_that_was_set() {
    let key = Key::new();
    let (slow, quick) = (Builder::slow(&key), Builder::start(&key));
    for protocol in ["ssh-ng", "ssh"] {
        let (nap, script) = slowly();
        let (at, flake) = (Workplace::new(), Flake::for_systems(&[ARM], &script));
        let mut setting = Setting::with(&key, &[&slow, &quick]);
        setting.lines[0] = format!("{protocol}://root@{} {ARM} - 1 10", slow.address());
        setting.more = vec!["--builder-silence", "4s"];
        let (ended, took) = setting.run_until(&nap, |_| slow.freeze(), &at, &flake);
        let ended = ended.succeeded();
        assert_eq!(machine(&ended), Some(quick.uri()), "{ended}");
        let told = troubles(&ended);
        assert_eq!(told.len(), 1, "{ended}");
        assert!(
            told[0].1.contains("nothing was heard of it for 4 s"),
            "{told:?}"
        );
        assert!(took < Duration::from_secs(100), "{took:?}");
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
    let (nap, script) = slowly();
    let script = format!("case $system in x86_64-linux) sleep 12;; esac; {script}");
    let flake = Flake::for_systems(&["x86_64-linux", ARM], &script);
    let (at, mut setting) = (Workplace::new(), Setting::with(&key, &[&slow, &quick]));
    setting.lines[0] += " - 1 10";
    setting.more = vec!["--builder-silence", "4s"];
    let (ended, _) = setting.run_until(&nap, |_| slow.freeze(), &at, &flake);
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
