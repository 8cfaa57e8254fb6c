//! Plans that are carried out on a folder.

use crate::machine::{Finished, SetupErrorKind, SetupEvent, SetupPlan, apply};

use super::fake::{BINFMT, DEBIAN_12, Fake, put, registration, says};

/// A Debian whose apt-get and kernel do what real ones do.
fn debian() -> Fake {
    let fake = Fake::linux(DEBIAN_12)
        .apt("2.8.0-1", "1:7.2+dfsg-7")
        .systemd();
    fake.file(&format!("{BINFMT}/register"), "")
        .file(&format!("{BINFMT}/status"), "enabled")
        .react("DEBIAN_FRONTEND=noninteractive apt-get", |root, _| {
            put(root, "/usr/bin/nix", "");
            put(
                root,
                "/etc/nix/nix.conf",
                "# the sandbox feature does not seem to work on Debian\nsandbox = false\n",
            );
            put(root, "/etc/group", "nixbld:x:9:nixbld1\n");
            put(
                root,
                "/usr/bin/qemu-aarch64-static",
                crate::machine::elf::says_ok(crate::machine::Arch::X86_64),
            );
            put(root, "/usr/lib/systemd/systemd-binfmt", "");
            put(
                root,
                "/usr/lib/binfmt.d/qemu-aarch64.conf",
                ":qemu-aarch64:M::x:y:/usr/bin/qemu-aarch64-static:OPF\n",
            );
            says("")
        })
        .answer("/usr/bin/nix --version", "nix (Nix) 2.8.0")
        .react("/usr/lib/systemd/systemd-binfmt", |root, _| {
            put(root, &format!("{BINFMT}/qemu-aarch64"), registration("OPF"));
            says("")
        })
        .react("proof-aarch64", |root, _| {
            let registered = root.exists(format!("{BINFMT}/qemu-aarch64"));
            if registered {
                says("ok\n")
            } else {
                Finished {
                    code: Some(126),
                    ..Finished::default()
                }
            }
        })
        .answer("systemctl", "")
}

async fn carry_out(
    fake: &Fake,
    plan: &SetupPlan,
) -> Result<Vec<SetupEvent>, crate::machine::SetupError> {
    let mut events = Vec::new();
    apply(plan, &fake.site(), &super::release::http(), |event| {
        events.push(event)
    })
    .await?;
    Ok(events)
}

#[tokio::test]
async fn a_debian_is_made_ready_and_a_second_run_finds_nothing_to_do() {
    let fake = debian();
    let events = carry_out(&fake, &fake.plan().await).await.expect("ready");
    assert!(
        matches!(events.last(), Some(SetupEvent::Ready { found }) if found.len() == 4),
        "{events:?}"
    );
    assert_eq!(
        fake.changes(),
        [
            "DEBIAN_FRONTEND=noninteractive apt-get -o Dpkg::Options::=--force-confdef -o Dpkg::Options::=--force-confold install --no-install-recommends -y nix-bin nix-setup-systemd qemu-user-static",
            "/usr/lib/systemd/systemd-binfmt /usr/lib/binfmt.d/qemu-aarch64.conf",
            "systemctl restart nix-daemon.service",
        ]
    );
    assert_eq!(
        fake.read("/etc/nix/nix.conf"),
        "# the sandbox feature does not seem to work on Debian\nsandbox = true\n\n# Added by nixpy-ci setup.\n\
         extra-experimental-features = nix-command flakes\nextra-extra-platforms = aarch64-linux\n"
    );
    let again = fake.plan().await;
    assert!(again.is_done(), "{again}");
    assert_eq!(
        carry_out(&fake, &again).await.expect("still ready").len(),
        2
    );
    assert_eq!(fake.changes().len(), 3);
}

#[tokio::test]
async fn the_first_failure_ends_it() {
    let fake = debian().react("DEBIAN_FRONTEND=noninteractive apt-get", |_, _| Finished {
        code: Some(100),
        stderr: "E: Unable to locate package nix-bin\n".to_owned(),
        ..Finished::default()
    });
    let error = carry_out(&fake, &fake.plan().await)
        .await
        .expect_err("failed");
    assert_eq!(
        error.to_string(),
        "install packages: nix-bin nix-setup-systemd qemu-user-static: cannot install packages; \
         see what apt-get says, mend that, and run setup again"
    );
    assert!(
        error
            .kind
            .to_string()
            .ends_with("ended with exit code 100: E: Unable to locate package nix-bin")
    );
    assert_eq!(fake.changes().len(), 1);
    assert_eq!(fake.read("/etc/nix/nix.conf"), "");
}

#[tokio::test]
async fn steps_that_go_well_and_change_nothing_are_found_out() {
    let fake = debian().answer("/usr/lib/systemd/systemd-binfmt", "");
    let error = carry_out(&fake, &fake.plan().await)
        .await
        .expect_err("not ready");
    let SetupErrorKind::StillMissing(missing) = &error.kind else {
        panic!("{error:?}")
    };
    assert!(
        missing[0].starts_with("register /usr/bin/qemu-aarch64-static"),
        "{missing:?}"
    );
    assert_eq!(missing[1], "aarch64 programs do not run: exit code 126");
}

#[tokio::test]
async fn a_plan_with_obstacles_changes_nothing() {
    let fake = debian().file("/proc/sys/fs/binfmt_misc/status", "disabled");
    let plan = fake.plan().await;
    assert!(!plan.steps.is_empty());
    let error = carry_out(&fake, &plan).await.expect_err("refused");
    assert!(matches!(error.kind, SetupErrorKind::Impossible(1)));
    assert!(fake.changes().is_empty());
}

#[tokio::test]
async fn a_registration_without_the_flag_is_taken_away_before_another_is_made() {
    let fake = Fake::linux(DEBIAN_12)
        .apt("2.8.0-1", "1:7.2")
        .nix("2.8.0")
        .qemu()
        .registered("mine", "P");
    let _fake_kernel_keeps_the_file = carry_out(&fake, &fake.plan().await).await;
    assert_eq!(fake.read(&format!("{BINFMT}/mine")).get(..2), Some("-1"));
    assert!(
        fake.read(&format!("{BINFMT}/register"))
            .ends_with(":/usr/bin/qemu-aarch64-static:F")
    );
}

#[tokio::test]
async fn with_sudo_files_are_put_in_place_by_programs_of_root() {
    let fake = Fake::linux(DEBIAN_12)
        .apt("2.8.0-1", "1:7.2")
        .nix("2.8.0")
        .registered("q", "F")
        .user(true);
    let _nothing_was_really_written = carry_out(&fake, &fake.plan().await).await;
    let changes = fake.changes();
    let target = fake.folder().join("etc/nix/nix.conf").display().to_string();
    assert!(
        changes[0].starts_with("sudo -n -- install -D -m 644 -- "),
        "{changes:?}"
    );
    assert!(
        changes[1].starts_with("sudo -n -- mv -T -- ") && changes[1].ends_with(&target),
        "{changes:?}"
    );
}

#[tokio::test]
async fn an_edited_file_keeps_its_mode() {
    use std::os::unix::fs::PermissionsExt as _;
    let fake = Fake::linux(DEBIAN_12)
        .nix("2.8.0")
        .registered("q", "F")
        .file("/etc/nix/nix.conf", "cores = 2\n");
    let path = fake.root().path("/etc/nix/nix.conf");
    std::fs::set_permissions(&path, std::fs::Permissions::from_mode(0o640)).expect("mode");
    carry_out(&fake, &fake.plan().await).await.expect("ready");
    assert_eq!(
        std::fs::metadata(&path).expect("file").permissions().mode() & 0o777,
        0o640
    );
    assert!(
        fake.read("/etc/nix/nix.conf")
            .starts_with("cores = 2\n\n# Added")
    );
}
