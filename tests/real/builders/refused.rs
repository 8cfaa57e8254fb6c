//! Those that are not used in the first place.

use super::*;

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
fn what_requires_a_feature_that_no_machine_has_is_emulated_where_that_can_be() {
    let key = Key::new();
    let builder = Builder::start(&key);
    let mut setting = Setting::with(&key, &[&builder]);
    let flake = Flake::requiring("big-parallel", ARM, BUILD);
    let ended = setting
        .run(&Workplace::new(), &flake)
        .ended_with(MACHINE_CANNOT);
    let told = "nothing here can build for aarch64-linux with the features big-parallel";
    assert!(ended.stderr.contains(told), "{ended}");
    setting.emulates = true;
    let ended = setting.run(&Workplace::new(), &flake).succeeded();
    assert_eq!(machine(&ended), None, "{ended}");
    assert!(troubles(&ended).is_empty(), "{ended}");
}

#[test]
fn a_machine_that_insists_on_a_feature_leaves_the_rest_to_emulation() {
    let key = Key::new();
    let builder = Builder::start(&key);
    let mut setting = Setting::with(&key, &[&builder]);
    setting.lines[0] += " - 1 1 - kvm";
    let flake = Flake::for_systems(&[ARM], BUILD);
    let ended = setting
        .run(&Workplace::new(), &flake)
        .ended_with(MACHINE_CANNOT);
    let told = "it builds only what requires kvm";
    assert!(ended.stderr.contains(told), "{ended}");
    setting.emulates = true;
    let ended = setting.run(&Workplace::new(), &flake).succeeded();
    assert_eq!(machine(&ended), None, "{ended}");
}

#[test]
fn a_machine_that_has_to_be_woken_is_waited_for_where_nothing_else_builds() {
    let key = Key::new();
    let builder = Builder::start(&key);
    let mut setting = Setting::with(&key, &[&builder]);
    // Where it is emulated otherwise eight seconds are enough, and else thirty.
    for (emulates, asleep) in [(false, 12), (true, 40)] {
        setting.emulates = emulates;
        builder.sleep(Duration::from_secs(asleep));
        let flake = Flake::for_systems(&[ARM], BUILD);
        let ended = setting.run(&Workplace::new(), &flake).succeeded();
        let waited = machine(&ended).is_some();
        assert_eq!(waited, !emulates, "{ended}");
        assert_eq!(troubles(&ended).is_empty(), waited, "{ended}");
    }
}
