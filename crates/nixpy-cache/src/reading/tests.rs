#![allow(clippy::unwrap_used)]

use std::path::PathBuf;

use nixpy_nix::Abilities;
use nixpy_nix::abilities::{Builds, Trust};
use nixpy_nix::machine::{Root, foreign_programs};
use nixpy_nix::settings::Settings;
use nixpy_nix::signing::SecretKey;
use nixpy_oci::registry::Secret;

use super::*;

fn key(name: &str) -> PublicKey {
    SecretKey::generate(name).unwrap().public()
}

fn cache(url: &str, keys: &[PublicKey]) -> Substituter {
    Substituter {
        cache: url.to_owned(),
        url: url.to_owned(),
        keys: keys.to_vec(),
        told: Vec::new(),
        login: None,
        is_served: false,
    }
}

fn served(keys: &[PublicKey]) -> Substituter {
    Substituter {
        cache: "registry".to_owned(),
        is_served: true,
        ..cache("http://127.0.0.1:4321", keys)
    }
}

/// A machine on which they build, with a nix.conf of no interest.
fn machine(builds: Builds) -> Abilities {
    let settings = Settings {
        system: "x86_64-linux".to_owned(),
        extra_platforms: Vec::new(),
        default_platforms: Vec::new(),
        builders: String::new(),
        max_jobs: Some(1),
        substituters: Vec::new(),
        default_substituters: Vec::new(),
        substitute: true,
        require_sigs: true,
        trusted_public_keys: vec![format!("{UPSTREAMS_KEY}:AAAA")],
        default_public_keys: Vec::new(),
        netrc_file: String::new(),
        sandbox: nixpy_nix::settings::Sandbox::On,
        store: "auto".to_owned(),
    };
    let is_deaf = builds == Builds::Daemon(Trust::Untrusted);
    Abilities {
        settings,
        builds,
        builders_version: None,
        extra_platforms: Vec::new(),
        caches_allowed: is_deaf.then(Vec::new),
        keys_allowed: is_deaf.then(Vec::new),
        user: "alice".to_owned(),
        conf: PathBuf::from("/etc/nix/nix.conf"),
        nixos: false,
        binfmt: foreign_programs(&Root::system()),
    }
}

fn value<'a>(reading: &'a Reading, name: &str) -> Option<&'a str> {
    let mut options = reading.options.iter();
    options
        .find(|(known, _)| known == name)
        .map(|(_, value)| value.as_str())
}

#[test]
fn caches_come_before_upstream_in_their_order_and_all_keys_are_told_once() {
    let (one, two) = (key("one-1"), key("two-1"));
    let caches = vec![
        cache("file:///srv/cache", &[one.clone(), two.clone()]),
        cache("s3://acme?region=eu", std::slice::from_ref(&two)),
        cache("https://a.org?priority=50", &[]),
        served(std::slice::from_ref(&one)),
    ];
    let reading = decide(caches, Some(&machine(Builds::Here)), &[], false);
    assert_eq!(
        value(&reading, "extra-substituters").unwrap(),
        "file:///srv/cache?priority=10 s3://acme?region=eu&priority=11 https://a.org?priority=50 \
         http://127.0.0.1:4321?priority=13"
    );
    let mut keys = [one.to_string(), two.to_string()];
    keys.sort();
    assert_eq!(
        value(&reading, "extra-trusted-public-keys").unwrap(),
        keys.join(" ")
    );
    assert_eq!(value(&reading, "fallback"), Some("true"));
    let name = ("http://127.0.0.1:4321?priority=13", "registry");
    let (url, cache) = reading.addresses.last().unwrap();
    assert_eq!((url.as_str(), cache.as_str()), name);
    // One of them has no key, and nobody's is known beside upstream's.
    assert_eq!(reading.notes.len(), 1, "{:?}", reading.notes);
    assert!(
        reading.notes[0].contains("https://a.org"),
        "{:?}",
        reading.notes
    );
}

#[test]
fn of_keys_of_one_name_the_users_own_counts_and_nixs_before_it() {
    let (own, other, third) = (key("acme-1"), key("acme-1"), key("third-1"));
    let told = Substituter {
        told: vec![other.clone(), third.clone()],
        ..cache("https://a.org", &[])
    };
    let caches = || {
        vec![
            told.clone(),
            cache("https://b.org", std::slice::from_ref(&own)),
        ]
    };
    let reading = decide(caches(), None, &[], false);
    let told_keys = format!("{own} {third}");
    assert_eq!(
        value(&reading, "extra-trusted-public-keys"),
        Some(told_keys.as_str())
    );
    assert_eq!(reading.notes.len(), 1, "{:?}", reading.notes);
    assert!(
        reading.notes[0].contains(&other.to_string()),
        "{:?}",
        reading.notes
    );

    let mut machine = machine(Builds::Here);
    machine.settings.trusted_public_keys.push(other.to_string());
    let reading = decide(caches(), Some(&machine), &[], false);
    let told_keys = format!("{other} {third}");
    assert_eq!(
        value(&reading, "extra-trusted-public-keys"),
        Some(told_keys.as_str())
    );
    assert!(
        reading.notes[0].contains(&own.to_string()),
        "{:?}",
        reading.notes
    );
}

#[test]
fn what_the_user_tells_nix_himself_is_not_told_again() {
    let own = [("fallback".to_owned(), "false".to_owned())];
    let reading = decide(vec![cache("file:///a", &[key("a-1")])], None, &own, false);
    assert_eq!(value(&reading, "fallback"), None);
    assert!(value(&reading, "connect-timeout").is_some());
    assert_eq!(decide(Vec::new(), None, &[], false), Reading::default());
}

#[test]
fn a_daemon_that_does_not_listen_is_told_with_every_line_that_it_wants() {
    let key = key("acme-1");
    let deaf = machine(Builds::Daemon(Trust::Untrusted));
    let caches = || vec![served(std::slice::from_ref(&key))];
    let reading = decide(caches(), Some(&deaf), &[], false);
    assert!(reading.options.is_empty(), "{:?}", reading.options);
    let note = &reading.notes[0];
    for words in [
        "registry",
        "alice",
        "/etc/nix/nix.conf",
        "extra-trusted-substituters = http://127.0.0.1:4321;",
        &format!("extra-trusted-public-keys = {key}"),
        "--cache-port",
        "restart the daemon",
    ] {
        assert!(note.contains(words), "{words}: {note}");
    }
    let fixed = decide(caches(), Some(&deaf), &[], true);
    assert!(
        !fixed.notes[0].contains("--cache-port"),
        "{:?}",
        fixed.notes
    );

    let mut taught = deaf.clone();
    taught.caches_allowed = Some(vec!["http://127.0.0.1:4321".to_owned()]);
    taught.keys_allowed = Some(vec![key.to_string()]);
    let reading = decide(caches(), Some(&taught), &[], true);
    assert!(reading.notes.is_empty(), "{:?}", reading.notes);
    // Letter by letter, or the daemon does not know it.
    let told = value(&reading, "extra-substituters");
    assert_eq!(told, Some("http://127.0.0.1:4321"));
}

#[test]
fn a_login_is_for_who_is_heard_and_what_is_served_here_for_who_builds_here() {
    let mut private = cache("https://a.org", &[key("a-1")]);
    private.login = Login::of("https://a.org", &Secret::new("hunter2"), true);
    let reading = decide(vec![private.clone()], None, &[], false);
    assert_eq!(reading.logins.len(), 1);
    assert!(!format!("{reading:?}").contains("hunter2"));

    let mut deaf = machine(Builds::Daemon(Trust::Untrusted));
    deaf.caches_allowed = None;
    deaf.keys_allowed = None;
    let reading = decide(vec![private], Some(&deaf), &[], false);
    assert!(reading.logins.is_empty());
    assert!(
        reading.notes[0].contains("netrc-file"),
        "{:?}",
        reading.notes
    );

    let elsewhere = machine(Builds::Elsewhere("ssh-ng://big".to_owned()));
    let reading = decide(vec![served(&[key("a-1")])], Some(&elsewhere), &[], false);
    assert!(reading.options.is_empty());
    assert!(
        reading.notes[0].contains("ssh-ng://big"),
        "{:?}",
        reading.notes
    );
}
