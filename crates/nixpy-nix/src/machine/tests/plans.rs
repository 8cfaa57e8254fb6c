//! One machine a test, and the whole text of its plan.

use crate::machine::SetupPlan;

use super::fake::{
    BINFMT, DEBIAN_12, DEBIAN_13, DEBIANS_CONF, Fake, UBUNTU_2404, registration, wanted,
};

const FEDORA: &str = "ID=fedora\nVERSION_ID=41\nPRETTY_NAME=\"Fedora Linux 41\"\n";

async fn expect(fake: Fake, lines: &[&str]) {
    assert_eq!(fake.plan().await.to_string(), lines.join("\n") + "\n");
}

fn debian_12() -> Fake {
    Fake::linux(DEBIAN_12).apt("2.8.0-1.1+b1", "1:7.2+dfsg-7+deb12u18")
}

#[tokio::test]
async fn debian_12_with_systemd_gets_everything() {
    expect(debian_12().systemd(), &[
        "1. install packages: nix-bin nix-setup-systemd qemu-user-static",
        "2. mount binfmt_misc on /proc/sys/fs/binfmt_misc",
        "3. register /usr/libexec/qemu-binfmt/aarch64-binfmt-P for aarch64 programs through systemd-binfmt, kept after a restart; with the fix-binary flag F, so that it works inside the build sandbox",
        "4. /etc/nix/nix.conf: add `extra-experimental-features = nix-command flakes`; add `extra-extra-platforms = aarch64-linux`; change `sandbox = false` to `sandbox = true`",
        "5. restart nix-daemon, which reads its configuration when it starts",
    ]).await;
}

#[tokio::test]
async fn debian_12_whose_packages_are_there_gets_configured() {
    let fake = debian_12()
        .nix("2.8.0")
        .qemu()
        .file("/etc/nix/nix.conf", DEBIANS_CONF)
        .registered("qemu-aarch64", "PF");
    expect(fake, &[
        "already so: Nix 2.8.0 at /usr/bin/nix",
        "already so: aarch64 programs run here, by /usr/bin/qemu-aarch64-static (registration `qemu-aarch64`, flags PF)",
        "1. /etc/nix/nix.conf: add `extra-experimental-features = nix-command flakes`; add `extra-extra-platforms = aarch64-linux`; add `build-users-group =`; change `sandbox = false` to `sandbox = true`",
    ]).await;
}

#[tokio::test]
async fn build_users_that_exist_are_used() {
    let fake = debian_12()
        .nix("2.8.0")
        .registered("qemu-aarch64", "PF")
        .file("/etc/group", "nixbld:x:994:nixbld1,nixbld2\n");
    assert!(!fake.plan().await.to_string().contains("build-users-group"));
}

#[tokio::test]
async fn ubuntu_with_sudo_can_use_the_daemon_at_once_when_it_has_to() {
    let fake = Fake::linux(UBUNTU_2404)
        .apt("2.18.1+dfsg-1ubuntu5", "1:8.2.2+ds-0ubuntu1")
        .systemd()
        .user(true);
    let wanted = crate::machine::Wanted {
        right_away: true,
        ..wanted()
    };
    assert_eq!(SetupPlan::make(&fake.machine().await, &wanted).to_string(), [
        "1. install packages: nix-bin nix-setup-systemd qemu-user-static",
        "2. mount binfmt_misc on /proc/sys/fs/binfmt_misc",
        "3. register /usr/libexec/qemu-binfmt/aarch64-binfmt-P for aarch64 programs through systemd-binfmt, kept after a restart; with the fix-binary flag F, so that it works inside the build sandbox",
        "4. /etc/nix/nix.conf: add `extra-experimental-features = nix-command flakes`; add `extra-extra-platforms = aarch64-linux`",
        "5. restart nix-daemon, which reads its configuration when it starts",
        "6. add dev to the group nix-users, which may use nix-daemon; counts from the next login on",
        "7. open /nix/var/nix/daemon-socket to all users until the machine restarts (mode 0755)",
        "note: the group nix-users counts once you log in again",
        "",
    ].join("\n"));
}

#[tokio::test]
async fn debian_13_in_a_privileged_container_asks_for_the_lists_first() {
    let fake = Fake::linux(DEBIAN_13)
        .file("/usr/bin/apt-get", "")
        .file("/.dockerenv", "");
    expect(fake, &[
        "1. fetch the package lists, then install packages: nix-bin qemu-user qemu-user-binfmt",
        "2. mount binfmt_misc on /proc/sys/fs/binfmt_misc",
        "3. register /usr/libexec/qemu-binfmt/aarch64-binfmt-P for aarch64 programs with the kernel, until the machine restarts; with the fix-binary flag F, so that it works inside the build sandbox",
        "4. /etc/nix/nix.conf: add `extra-experimental-features = nix-command flakes`; add `extra-extra-platforms = aarch64-linux`; add `build-users-group =`",
        "note: the registration is gone after a restart; run setup again then",
    ]).await;
}

#[tokio::test]
async fn a_nix_too_old_for_flakes_is_not_installed_from_packages() {
    let fake = Fake::linux("ID=debian\nVERSION_ID=11\n")
        .apt("2.3.7+dfsg1-1", "1:5.2+dfsg-11")
        .registered("qemu-aarch64", "F");
    let plan = fake.plan().await.to_string();
    assert!(
        plan.contains("install Nix for this user alone from https://releases.nixos.org/nix/nix-"),
        "{plan}"
    );
    let (conf, nix) = (plan.find("build-users-group ="), plan.find("install Nix"));
    assert!(
        conf.is_some() && conf < nix,
        "root's single-user installer wants its configuration first:\n{plan}"
    );
}

#[tokio::test]
async fn a_container_without_rights_is_told_what_its_host_can_do() {
    let fake = debian_12().file("/.dockerenv", "").file(
        "/proc/self/status",
        "CapEff:\t00000000a80425fb\nCapBnd:\t00000000a80425fb\n",
    );
    expect(fake, &[
        "1. install packages: nix-bin",
        "2. /etc/nix/nix.conf: add `extra-experimental-features = nix-command flakes`; add `extra-extra-platforms = aarch64-linux`; add `build-users-group =`",
        "cannot: running aarch64 programs: binfmt_misc is not mounted, and this container has no right to mount it (CAP_SYS_ADMIN)",
        "  On the host, once: `docker run --privileged --rm tonistiigi/binfmt --install arm64`. Or start this container with --privileged, build on a runner of that processor (ubuntu-24.04-arm), or name a remote builder.",
            "nothing is changed while something stands in the way",
    ]).await;
}

#[tokio::test]
async fn a_container_whose_host_emulates_needs_no_registration() {
    let fake = debian_12()
        .nix("2.8.0")
        .file("/proc/self/status", "CapEff:\t0\n")
        .answer("proof-aarch64", "ok\n");
    assert!(
        fake.plan()
            .await
            .already
            .contains(&"aarch64 programs run here".to_owned())
    );
}

#[tokio::test]
async fn a_registration_without_the_flag_is_replaced() {
    let fake = debian_12().nix("2.8.0").qemu().registered("mine", "OC");
    let plan = fake.plan().await.to_string();
    assert!(plan.contains("1. take away the registration `mine` (it lacks the flag F) and register /usr/bin/qemu-aarch64-static for aarch64 programs with the kernel"), "{plan}");
}

#[tokio::test]
async fn a_registration_that_does_not_work_is_replaced() {
    let fake = debian_12()
        .nix("2.8.0")
        .qemu()
        .registered("qemu-aarch64", "F")
        .react("proof-aarch64", |_, _| crate::machine::Finished {
            code: Some(255),
            stderr: "Could not open '/lib/ld-linux-aarch64.so.1'".to_owned(),
            ..Default::default()
        });
    let plan = fake.plan().await.to_string();
    assert!(plan.contains("take away the registration `qemu-aarch64` (a program failed: exit code 255: Could not open"), "{plan}");
}

#[tokio::test]
async fn fedora_is_told_what_to_install() {
    let fake = Fake::linux(FEDORA)
        .file("/usr/bin/dnf", "")
        .file("/sys/fs/selinux/enforce", "1")
        .systemd();
    let plan = fake.plan().await;
    let obstacles: Vec<_> = plan
        .impossible
        .iter()
        .map(|o| (o.what.as_str(), o.cure.as_str()))
        .collect();
    assert_eq!(
        obstacles,
        [
            (
                "installing Nix",
                "Install Nix from the distribution (`dnf install nix`, Fedora 42 and newer) or with an installer that knows SELinux, then run setup again."
            ),
            (
                "running aarch64 programs",
                "Install one: `dnf install qemu-user-static-aarch64`; then run setup again."
            ),
        ]
    );
}

#[tokio::test]
async fn fedora_with_qemu_gets_the_rest() {
    let fake = Fake::linux(FEDORA)
        .file("/usr/bin/dnf", "")
        .systemd()
        .registered("qemu-aarch64-static", "F")
        .qemu();
    let plan = fake.plan().await.to_string();
    assert!(
        plan.contains("1. install Nix with its daemon from https://releases.nixos.org/"),
        "{plan}"
    );
    assert!(plan.contains("2. /etc/nix/nix.conf: add"), "{plan}");
    assert!(plan.contains("3. restart nix-daemon"), "{plan}");
}

#[tokio::test]
async fn nixos_is_told_its_two_lines() {
    expect(Fake::linux("ID=nixos\n").nix("2.28.4").systemd(), &[
        "cannot: changing NixOS: its configuration is written in Nix, and would be lost at the next rebuild",
        "  Add to configuration.nix, then `nixos-rebuild switch`:",
        "    boot.binfmt.emulatedSystems = [ \"aarch64-linux\" ];",
        "    nix.settings.experimental-features = [ \"nix-command\" \"flakes\" ];",
    ]).await;
}

#[tokio::test]
async fn nixos_that_is_configured_is_left_alone() {
    let conf =
        "experimental-features = nix-command flakes\nextra-platforms = aarch64-linux i686-linux\n";
    let fake = Fake::linux("ID=nixos\n")
        .nix("2.28.4")
        .file("/etc/nix/nix.conf", conf)
        .registered("aarch64-linux", "P");
    expect(fake, &["already so: NixOS is configured for it"]).await;
}

#[tokio::test]
async fn a_mac_is_told_of_linux_builders() {
    expect(Fake::linux("").answer("uname -s", "Darwin").answer("uname -m", "arm64"), &[
        "cannot: Linux builds on this Mac: binfmt_misc and Nix's Linux sandbox belong to Linux",
        "  Give Nix a Linux builder (`nix run nixpkgs#darwin.linux-builder`, or `nix.linux-builder.enable = true` with nix-darwin), or run nixpy-ci on a Linux machine.",
    ]).await;
}

#[tokio::test]
async fn the_first_wsl_cannot() {
    let fake = debian_12().file("/proc/sys/kernel/osrelease", "4.4.0-19041-Microsoft\n");
    assert_eq!(
        fake.plan().await.impossible[0].why,
        "this is WSL 1, which has no Linux kernel"
    );
}

#[tokio::test]
async fn a_user_without_sudo_gets_the_commands() {
    let fake = debian_12()
        .nix("2.8.0")
        .qemu()
        .file("/etc/nix/nix.conf", DEBIANS_CONF)
        .systemd()
        .user(false)
        .file(&format!("{BINFMT}/register"), "")
        .env(|environment| environment.home = None);
    expect(fake, &[
        "already so: Nix 2.8.0 at /usr/bin/nix",
        "cannot: changing this machine: dev is not root, and sudo is missing or asks for a password",
        "  Have root type this, then run setup again:",
        r"    printf '%s' ':qemu-aarch64:M::\x7f\x45\x4c\x46\x02\x01\x01\x00\x00\x00\x00\x00\x00\x00\x00\x00\x02\x00\xb7\x00:\xff\xff\xff\xff\xff\xff\xff\x00\xff\xff\xff\xff\xff\xff\xff\xff\xfe\xff\xff\xff:/usr/bin/qemu-aarch64-static:F' > /proc/sys/fs/binfmt_misc/register",
        "    echo 'extra-experimental-features = nix-command flakes' >> /etc/nix/nix.conf",
        "    echo 'extra-extra-platforms = aarch64-linux' >> /etc/nix/nix.conf",
        "    sed -i 's|^sandbox = false$|sandbox = true|' /etc/nix/nix.conf",
    ]).await;
}

#[tokio::test]
async fn a_user_without_a_daemon_may_configure_for_himself() {
    let fake = debian_12()
        .nix("2.8.0")
        .registered("qemu-aarch64", "F")
        .user(false);
    expect(fake, &[
        "already so: Nix 2.8.0 at /usr/bin/nix",
        "already so: aarch64 programs run here, by /usr/bin/qemu-aarch64-static (registration `qemu-aarch64`, flags F)",
        "1. /home/dev/.config/nix/nix.conf: add `extra-experimental-features = nix-command flakes`; add `extra-extra-platforms = aarch64-linux`",
    ]).await;
}

#[tokio::test]
async fn a_system_that_nobody_emulates_is_refused() {
    let wanted = crate::machine::Wanted {
        systems: vec!["riscv64-linux".to_owned()],
        ..wanted()
    };
    let plan = SetupPlan::make(&debian_12().machine().await, &wanted);
    assert_eq!(plan.impossible[0].what, "builds for `riscv64-linux`");
}

#[tokio::test]
async fn x86_64_is_emulated_on_arm() {
    let entry = registration("F")
        .replace("3e00", "")
        .replace("0200b700", "02003e00")
        .replace("ffffffffffffff00", "fffffffffffefe00");
    let fake = Fake::linux(DEBIAN_12)
        .answer("uname -m", "aarch64")
        .nix("2.34.8")
        .file(&format!("{BINFMT}/register"), "")
        .file(&format!("{BINFMT}/qemu-x86_64"), entry)
        .answer("proof-x86_64", "ok\n");
    let plan = fake.plan().await.to_string();
    assert!(plan.contains("already so: x86_64 programs run here, by /usr/bin/qemu-aarch64-static (registration `qemu-x86_64`"), "{plan}");
    assert!(
        plan.contains("`extra-extra-platforms = x86_64-linux`"),
        "{plan}"
    );
}

#[tokio::test]
async fn what_nix_config_says_counts_where_no_daemon_builds() {
    let fake = debian_12()
        .nix("2.8.0")
        .registered("qemu-aarch64", "F")
        .file("/etc/group", "nixbld:x:9:a\n")
        .env(|environment| {
            environment.nix_config = Some(
                "experimental-features = nix-command flakes\nextra-platforms = aarch64-linux"
                    .to_owned(),
            );
        });
    assert!(fake.plan().await.is_done());
}

#[tokio::test]
async fn where_nothing_can_be_tried_a_registration_is_believed() {
    let denied = || std::io::Error::from(std::io::ErrorKind::PermissionDenied);
    let fake = debian_12()
        .nix("2.8.0")
        .registered("qemu-aarch64", "F")
        .unstartable("proof-aarch64", denied);
    let already = fake.plan().await.already;
    assert!(
        already[1].starts_with("aarch64 programs run here, by"),
        "{already:?}"
    );
}

#[tokio::test]
async fn nixos_that_emulates_nothing_is_told_of_flakes_only() {
    let fake = Fake::linux("ID=nixos\n").nix("2.28.4");
    let wanted = crate::machine::Wanted {
        systems: vec!["x86_64-linux".to_owned()],
        ..wanted()
    };
    let plan = SetupPlan::make(&fake.machine().await, &wanted).to_string();
    assert!(
        !plan.contains("emulatedSystems") && plan.contains("flakes"),
        "{plan}"
    );
}
