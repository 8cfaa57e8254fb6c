#![allow(clippy::unwrap_used)]

use std::fs;

use super::keeper::Store;
use super::*;

/// A machine of files, with a daemon or without, and somebody who asks.
struct Scene {
    dir: tempfile::TempDir,
    url: &'static str,
    trusts_us: Option<bool>,
    user: &'static str,
    groups: &'static [&'static str],
    options: &'static [&'static str],
}

const KERNEL: &str = "enabled\ninterpreter /usr/bin/qemu-aarch64-static\nflags: PF\noffset 0\n\
    magic 7f454c460201010000000000000000000200b700\nmask ffffffffffffff00fffffffffffffffffeffffff\n";

/// Run by root alone, where the kernel runs programs for ARM.
fn scene() -> Scene {
    let scene = Scene {
        dir: tempfile::tempdir().unwrap(),
        url: "local",
        trusts_us: None,
        user: "alice",
        groups: &["alice", "users"],
        options: &[],
    };
    scene
        .file("proc/sys/fs/binfmt_misc/register", "")
        .file("proc/sys/fs/binfmt_misc/status", "enabled\n")
        .file("proc/sys/fs/binfmt_misc/qemu-aarch64", KERNEL)
}

impl Scene {
    fn file(self, path: &str, text: &str) -> Self {
        let path = self.dir.path().join(path);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, text).unwrap();
        self
    }

    fn without(self, path: &str) -> Self {
        fs::remove_file(self.dir.path().join(path)).unwrap();
        self
    }

    fn nix_conf(self, text: &str) -> Self {
        self.file("etc/nix/nix.conf", text)
    }

    fn daemon(mut self, trusts_us: Option<bool>) -> Self {
        (self.url, self.trusts_us) = ("daemon", trusts_us);
        self
    }

    /// The user's own nix.conf, or his options, name this system.
    fn user_names(mut self, systems: &'static [&'static str]) -> Self {
        self.options = systems;
        self
    }

    fn abilities(&self) -> Abilities {
        let settings = r#"{"system": {"value": "x86_64-linux"}, "store": {"value": "auto"},
            "extra-platforms": {"defaultValue": ["i686-linux"], "value": ["i686-linux"]}}"#;
        let mut settings = Settings::read(settings).unwrap();
        let own = self.options.iter().map(|system| (*system).to_owned());
        settings.extra_platforms.extend(own);
        let store = Store {
            url: self.url.to_owned(),
            version: None,
            trusts_us: self.trusts_us,
        };
        let who = Who {
            user: self.user.to_owned(),
            groups: self.groups.iter().map(|name| (*name).to_owned()).collect(),
        };
        let root = Root::at(self.dir.path());
        Abilities::of(settings, store, who, &root, &Environment::default())
    }

    fn emulation(&self) -> Emulation {
        self.abilities().how_emulated(&system("aarch64-linux"))
    }
}

fn system(name: &str) -> System {
    name.parse().unwrap()
}

#[test]
fn what_the_store_says_of_itself_is_read_in_every_version() {
    let read = |lines: &[&str]| Store::read(lines.iter().copied());
    let old = read(&["Store URL: daemon", "Version: 2.8.0"]);
    assert_eq!((old.url.as_str(), old.trusts_us), ("daemon", None));
    let warning = "warning: 'nix store ping' is a deprecated alias for 'nix store info'";
    let new = read(&[
        warning,
        "Store URL: daemon",
        "Version: 2.26.3",
        "Trusted: 0",
    ]);
    assert_eq!((new.is_daemon(), new.trusts_us), (true, Some(false)));
    assert_eq!(new.version.as_deref(), Some("2.26.3"));
    assert!(read(&["Store URL: unix:///run/nix.sock", "Trusted: 1"]).is_daemon());
    assert!(!read(&["Store URL: local"]).is_daemon());
}

#[test]
fn where_this_process_builds_the_users_settings_count() {
    let ready = Emulation::Ready {
        by: "/usr/bin/qemu-aarch64-static".to_owned(),
    };
    assert_eq!(scene().user_names(&["aarch64-linux"]).emulation(), ready);
    assert_eq!(
        scene().emulation(),
        Emulation::ByOption {
            option: (
                "extra-extra-platforms".to_owned(),
                "aarch64-linux".to_owned()
            ),
            is_sure: true,
        }
    );
}

#[test]
fn a_daemon_goes_by_its_own_file_and_hears_only_whom_it_trusts() {
    let told = || scene().nix_conf("extra-extra-platforms = aarch64-linux\n");
    for trusts_us in [None, Some(false), Some(true)] {
        let named = told().user_names(&["aarch64-linux"]).daemon(trusts_us);
        let emulation = named.emulation();
        assert!(
            matches!(emulation, Emulation::Ready { .. }),
            "{emulation:?}"
        );
    }
    assert!(matches!(
        told().daemon(Some(false)).emulation(),
        Emulation::Ready { .. }
    ));

    let heard = scene().user_names(&["aarch64-linux"]).daemon(Some(true));
    assert!(matches!(heard.emulation(), Emulation::Ready { .. }));
    let asked = scene().daemon(Some(true)).emulation();
    assert!(matches!(asked, Emulation::ByOption { is_sure: true, .. }));

    // What the user says is not heard, so it is as if it had not been said.
    let unheard = scene().user_names(&["aarch64-linux"]).daemon(Some(false));
    let Emulation::NotTrusted(not_heard) = unheard.emulation() else {
        panic!("{:?}", unheard.emulation());
    };
    let file = std::path::Path::new("/etc/nix/nix.conf");
    assert_eq!(not_heard.file, file);
    for said in [
        "alice",
        "extra-platforms = aarch64-linux",
        "trusted-users = alice",
        "/etc/nix/nix.conf",
        "restart",
    ] {
        assert!(not_heard.to_string().contains(said), "{said}: {not_heard}");
    }
}

#[test]
fn a_daemon_that_does_not_tell_is_known_by_its_file() {
    let trust = |conf: &str| scene().nix_conf(conf).daemon(None).abilities().builds;
    for conf in [
        "trusted-users = root alice",
        "extra-trusted-users = alice",
        "trusted-users = *",
        "trusted-users = root @users",
    ] {
        assert_eq!(trust(conf), Builds::Daemon(Trust::Trusted), "{conf}");
    }
    for conf in [
        "",
        "trusted-users = root alicia",
        "trusted-users = alice\ntrusted-users = root",
        "trusted-users = @wheel # alice",
    ] {
        assert_eq!(trust(conf), Builds::Daemon(Trust::Untrusted), "{conf}");
    }
    let mut root = scene().daemon(None);
    root.user = "root";
    assert_eq!(root.abilities().builds, Builds::Daemon(Trust::Trusted));
    // What the daemon says itself counts for more.
    let told = scene()
        .nix_conf("trusted-users = alice")
        .daemon(Some(false));
    assert_eq!(told.abilities().builds, Builds::Daemon(Trust::Untrusted));
}

#[test]
fn where_neither_daemon_nor_file_tells_the_option_may_not_be_heard() {
    let hidden = scene().daemon(None);
    // A folder cannot be read as a file, not even by root.
    fs::create_dir_all(hidden.dir.path().join("etc/nix/nix.conf")).unwrap();
    assert_eq!(hidden.abilities().builds, Builds::Daemon(Trust::Unknown));
    let emulation = hidden.emulation();
    assert!(
        matches!(emulation, Emulation::ByOption { is_sure: false, .. }),
        "{emulation:?}"
    );
}

#[test]
fn without_a_kernel_that_runs_its_programs_in_a_sandbox_it_is_told_how_to_get_one() {
    let file = "proc/sys/fs/binfmt_misc/qemu-aarch64";
    let no_flag = KERNEL.replace("PF", "P");
    let disabled = KERNEL.replace("enabled", "disabled");
    for (scene, why, cure) in [
        (
            scene().without(file),
            "does not run aarch64",
            "nixpy-ci setup",
        ),
        (scene().file(file, &no_flag), "flag F", "nixpy-ci setup"),
        (scene().file(file, &disabled), "disabled", "nixpy-ci setup"),
        (
            scene().file("proc/sys/fs/binfmt_misc/status", "disabled\n"),
            "switched off",
            "echo 1",
        ),
        (
            scene().without("proc/sys/fs/binfmt_misc/register").file(
                "proc/self/status",
                "Uid:\t0\t0\t0\t0\nCapEff:\t00000000a80425fb\n",
            ),
            "CAP_SYS_ADMIN",
            "docker run --privileged",
        ),
    ] {
        let (said, to_do) = scene.emulation().obstacle().unwrap();
        assert!(said.contains(why), "{why}: {said}");
        assert!(to_do.contains(cure), "{cure}: {to_do}");
        // Somebody who has told Nix may know more, but not that the kernel does nothing.
        let is_told = scene.user_names(&["aarch64-linux"]).emulation();
        let may_be_so = ["flag F", "CAP_SYS_ADMIN"].contains(&why);
        assert_eq!(is_told.obstacle().is_none(), may_be_so, "{why}");
    }
}

#[test]
fn nixos_is_told_in_its_own_words() {
    let nixos = scene()
        .file("etc/os-release", "ID=nixos\n")
        .daemon(Some(false));
    let (_, cure) = nixos.emulation().obstacle().unwrap();
    assert!(cure.contains("boot.binfmt.emulatedSystems"), "{cure}");
}

#[test]
fn the_processors_own_systems_are_not_emulated() {
    let abilities = scene().abilities();
    for own in ["x86_64-linux", "i686-linux"] {
        assert!(
            abilities.is_native(&system(own)) && abilities.takes(&system(own)),
            "{own}"
        );
    }
    assert!(!abilities.is_native(&system("aarch64-linux")));
    let unaided = Emulation::Ready { by: String::new() };
    assert_eq!(abilities.how_emulated(&system("i686-linux")), unaided);
    let told_otherwise = scene().nix_conf("extra-platforms =").daemon(Some(false));
    let emulation = told_otherwise
        .abilities()
        .how_emulated(&system("i686-linux"));
    assert!(
        matches!(emulation, Emulation::NotTrusted(_)),
        "{emulation:?}"
    );
    assert_eq!(
        abilities.how_emulated(&system("riscv64-linux")),
        Emulation::Unheard
    );
    let told = scene().user_names(&["riscv64-linux"]).abilities();
    let emulation = told.how_emulated(&system("riscv64-linux"));
    assert!(matches!(emulation, Emulation::Ready { .. }));
}

#[test]
fn a_store_elsewhere_knows_for_itself() {
    let mut far = scene();
    far.url = "ssh-ng://builder";
    assert!(matches!(far.emulation(), Emulation::Elsewhere { .. }));
}

#[test]
fn a_store_was_opened_when_its_database_is_there() {
    let state = |folder: &str| Environment {
        nix_state_dir: Some(folder.into()),
        ..Environment::default()
    };
    let scene = scene().file("srv/nix/db/schema", "10");
    let root = Root::at(scene.dir.path());
    assert!(was_opened(&root, &state("/srv/nix")));
    assert!(!was_opened(&root, &Environment::default()));
    let scene = scene.file("nix/var/nix/db/schema", "10");
    let root = Root::at(scene.dir.path());
    assert!(was_opened(&root, &Environment::default()));
}
