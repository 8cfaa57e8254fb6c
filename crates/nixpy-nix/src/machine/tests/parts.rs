//! The tables and the small programs.

use crate::machine::{
    Arch, Environment, Invocation, Registration, Runner as _, Runs, SystemRunner, binfmt, elf,
    proof,
};

use super::fake::registration;

#[test]
fn the_line_is_the_one_that_distributions_use() {
    assert_eq!(
        binfmt::line(Arch::Aarch64, "/usr/bin/qemu-aarch64-static", "F"),
        r":qemu-aarch64:M::\x7f\x45\x4c\x46\x02\x01\x01\x00\x00\x00\x00\x00\x00\x00\x00\x00\x02\x00\xb7\x00:\xff\xff\xff\xff\xff\xff\xff\x00\xff\xff\xff\xff\xff\xff\xff\xff\xfe\xff\xff\xff:/usr/bin/qemu-aarch64-static:F"
    );
    assert_eq!(
        binfmt::line(Arch::X86_64, "/usr/bin/qemu-x86_64-static", "F"),
        r":qemu-x86_64:M::\x7f\x45\x4c\x46\x02\x01\x01\x00\x00\x00\x00\x00\x00\x00\x00\x00\x02\x00\x3e\x00:\xff\xff\xff\xff\xff\xfe\xfe\x00\xff\xff\xff\xff\xff\xff\xff\xff\xfe\xff\xff\xff:/usr/bin/qemu-x86_64-static:F"
    );
}

#[test]
fn a_registration_is_known_by_what_it_matches() {
    let entry =
        Registration::parse("rosetta-or-so", &registration("POCF")).expect("a registration");
    assert!(entry.handles(Arch::Aarch64) && !entry.handles(Arch::X86_64));
    assert!(entry.enabled && entry.fixed());
    let entry = Registration::parse("x", &registration("OC").replace("enabled", "disabled"))
        .expect("a registration");
    assert!(!entry.enabled && !entry.fixed());
    assert_eq!(
        Registration::parse(
            "jar",
            "enabled\ninterpreter /usr/bin/jexec\nflags: \nextension .jar\n"
        ),
        None
    );
}

#[test]
fn a_program_with_a_loader_is_not_static() {
    let program = elf::says_ok(Arch::X86_64);
    assert!(elf::is_static(&program));
    let mut dynamic = program;
    dynamic[64] = 3; // PT_INTERP
    assert!(!elf::is_static(&dynamic));
    assert!(!elf::is_static(b"#!/bin/sh\n") && !elf::is_static(b""));
}

#[tokio::test]
async fn the_hosts_own_proof_runs() {
    let host = Arch::from_machine(std::env::consts::ARCH).expect("a known processor");
    assert_eq!(proof::run(host, &SystemRunner).await, Runs::Yes);
}

#[tokio::test]
async fn programs_read_their_input_and_are_told_apart() {
    let finished = SystemRunner
        .run(&Invocation::new("cat", [""; 0]).reading("line"))
        .await
        .expect("cat");
    assert_eq!((finished.code, finished.stdout.as_str()), (Some(0), "line"));
    let missing = SystemRunner
        .run(&Invocation::new("no-such-program", [""; 0]))
        .await;
    assert!(missing.is_err());
}

#[test]
fn sudo_carries_the_variables_along() {
    let line = Invocation::new("apt-get", ["it's"])
        .with_env("A", "b")
        .by_sudo()
        .line();
    assert_eq!(line, r"sudo -n -- env A=b apt-get 'it'\''s'");
}

#[test]
fn the_users_conf_is_where_xdg_says() {
    let vars = |pairs: &[(&str, &str)]| {
        Environment::from_vars(
            pairs
                .iter()
                .map(|(k, v)| ((*k).to_owned(), (*v).to_owned())),
        )
    };
    let conf = |environment: Environment| {
        environment
            .user_conf()
            .map(|path| path.display().to_string())
    };
    assert_eq!(
        conf(vars(&[("HOME", "/home/a")])).as_deref(),
        Some("/home/a/.config/nix/nix.conf")
    );
    assert_eq!(
        conf(vars(&[("HOME", "/home/a"), ("XDG_CONFIG_HOME", "/x")])).as_deref(),
        Some("/x/nix/nix.conf")
    );
    assert_eq!(conf(vars(&[("PATH", "/bin")])), None);
}
