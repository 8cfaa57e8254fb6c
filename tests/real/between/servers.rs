//! Servers that know nothing of Nix, and another machine's store: nginx, S3, ssh. What opens
//! them is seen by nobody else.

use std::fs;
use std::process::Command;

use super::{Builder, Elsewhere, Other, builds, filled};
use crate::world::builder::{Builder as Machine, Key};
use crate::world::chain::Chain;
use crate::world::moto::Moto;
use crate::world::nginx::Nginx;
use crate::world::program::{Ended, output_of, place_of};
use crate::world::secrets::{Watch, store_paths_that_show};

/// Runs both, the second on an empty machine, with what `open` gives them, and sees to it
/// that nobody else sees `secret`, nor the key. Nix may have it in its environment where
/// `nix_may` says so.
fn both_runs(
    builder: &Builder,
    cache: &str,
    secret: &str,
    nix_may: bool,
    open: impl Fn(&mut Command),
) {
    let signs = builder.secret.split_once(':').unwrap().1;
    let watched = |mut command: Command, at| -> Ended {
        open(&mut command);
        command.env("NIXPY_LOG", "debug");
        let mut watch = Watch::of(at, &[signs]);
        match nix_may {
            true => watch.also_but_nix(secret),
            false => watch.also(secret),
        }
        let (ended, seen) = watch.run(&mut command);
        assert_eq!(seen, [""; 0], "{ended}");
        assert!(ended.stderr.contains("calling nix"), "{ended}");
        ended
    };
    let first = watched(builder.filling(cache), &builder.at);
    let first = builder.has_filled(first);
    assert_eq!(filled(&first)["pushed"], 3, "{first}");
    assert_eq!(builds(&first), ["app", "lib", "tool"], "{first}");

    let other = Other::new();
    let mut command = other.command(builder, &format!("{cache} read key={}", builder.key()));
    command.args(["--nix-option", "max-jobs=0"]);
    let second = watched(command, &other.at);
    let second: Elsewhere = other.ended(second);
    second.built_nothing(builder, &first);
    for secret in [signs, secret] {
        assert_eq!(store_paths_that_show(secret), "");
    }
}

/// Which stands in no file: this one may be in the store as somebody's source.
fn secret_of(whom: &str) -> String {
    format!("hunter2-of-{whom}-{}", std::process::id())
}

#[test]
fn nginx_is_filled_by_who_has_the_password_and_read_by_an_empty_machine() {
    let secret = secret_of("nginx");
    let (server, builder) = (
        Nginx::that_wants("me", &secret),
        Builder::of(Chain::of_two_seconds()),
    );
    both_runs(&builder, server.url(), &secret, false, |command| {
        command.env("NIXPY_CACHE_TOKEN", format!("me:{secret}"));
    });
}

#[test]
fn a_bucket_is_filled_and_read_by_a_machine_whose_nix_knows_no_s3() {
    let (server, builder) = (Moto::start(), Builder::of(Chain::of_two_seconds()));
    let secret = secret_of("the-bucket");
    both_runs(&builder, &server.bucket(), &secret, true, |command| {
        command.env("AWS_ACCESS_KEY_ID", "AKIDEXAMPLE");
        command.env("AWS_SECRET_ACCESS_KEY", &secret);
    });
}

#[test]
fn another_machines_store_is_filled_and_read_over_ssh() {
    let key = Key::new();
    let (machine, builder) = (Machine::start(&key), Builder::of(Chain::quick()));
    let files = tempfile::tempdir().unwrap();
    let file = |name: &str| files.path().join(name).display().to_string();
    fs::write(file("key"), key.text()).unwrap();
    output_of("chmod", ["600", &file("key")]);
    fs::write(file("hosts"), machine.known_host()).unwrap();
    // As a user's environment would have it.
    let script = format!(
        "#!/bin/sh\nexec {} -i {} -o UserKnownHostsFile={} \"$@\"\n",
        place_of("ssh").display(),
        file("key"),
        file("hosts")
    );
    fs::write(file("ssh"), script).unwrap();
    output_of("chmod", ["755", &file("ssh")]);
    let path = std::env::var("PATH").unwrap();
    let path = format!("{}:{path}", files.path().display());
    let secret = key.secret();
    both_runs(&builder, &machine.uri(), &secret, false, |command| {
        command.env("PATH", &path);
    });
    let app = builder.chain.place_of("app");
    assert!(machine.has(app.to_str().unwrap()));
}
