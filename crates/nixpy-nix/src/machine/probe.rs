//! Looking at a machine. Nothing here decides, and nothing is changed.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use super::packages::{self, Offers};
use super::{
    Arch, Binfmt, ConfFile, Daemon, Distribution, Environment, Finished, Invocation, Machine,
    NixFound, Os, PackageManager, Privilege, Root, Runner, Site, binfmt, elf, nix_conf, proof,
};

impl Machine {
    /// Looks at files, and runs programs that change nothing.
    pub async fn probe<R: Runner>(site: &Site<'_, R>) -> Self {
        let Site {
            root,
            environment,
            runner,
        } = *site;
        let said = async |program: &str, args: &[&str]| {
            let finished = runner
                .run(&Invocation::new(program, args.iter().copied()))
                .await
                .unwrap_or_default();
            if finished.success() {
                finished.stdout.trim().to_owned()
            } else {
                String::new()
            }
        };
        let os = match said("uname", &["-s"]).await.as_str() {
            "Linux" => Os::Linux(distribution(root)),
            "Darwin" => Os::MacOs,
            other => Os::Other(other.to_owned()),
        };
        let arch = Arch::from_machine(&said("uname", &["-m"]).await);
        let privilege = privilege(runner).await;
        let package_manager = PackageManager::PROGRAMS
            .into_iter()
            .find_map(|(program, manager)| find(root, environment, program).map(|_| manager));
        let offers = match package_manager {
            Some(PackageManager::Apt) => {
                let args: Vec<_> = std::iter::once("policy").chain(packages::ASKED).collect();
                packages::parse_policy(&said("apt-cache", &args).await)
            }
            _ => Offers::new(),
        };
        let nix = match find(root, environment, "nix") {
            None => None,
            Some(path) => {
                let version = said(&path.to_string_lossy(), &["--version"]).await;
                let version = version.rsplit(' ').next().unwrap_or_default().to_owned();
                Some(NixFound { path, version })
            }
        };
        let daemon = daemon(root).await;
        let mut runs = BTreeMap::new();
        for foreign in Arch::ALL
            .into_iter()
            .filter(|&foreign| matches!(os, Os::Linux(_)) && Some(foreign) != arch)
        {
            runs.insert(foreign, proof::run(foreign, runner).await);
        }
        Self {
            arch,
            user: said("id", &["-un"]).await,
            groups: said("id", &["-Gn"])
                .await
                .split_whitespace()
                .map(str::to_owned)
                .collect(),
            home: environment.home.clone(),
            privilege,
            systemd: root.exists("/run/systemd/system"),
            container: [
                "/.dockerenv",
                "/run/.containerenv",
                "/run/systemd/container",
            ]
            .iter()
            .any(|p| root.exists(p)),
            wsl1: root
                .read("/proc/sys/kernel/osrelease")
                .is_some_and(|release| release.trim().ends_with("-Microsoft")),
            selinux_enforcing: root
                .read("/sys/fs/selinux/enforce")
                .is_some_and(|text| text.trim() == "1"),
            package_manager,
            offers,
            has_xz: find(root, environment, "xz").is_some()
                && find(root, environment, "tar").is_some(),
            update_binfmts: find(root, environment, "update-binfmts").is_some(),
            nix,
            store_folder: root.exists("/nix"),
            nixbld_members: nixbld_members(root),
            conf: conf(root, environment, privilege, daemon),
            nix_config: environment.nix_config.clone().unwrap_or_default(),
            daemon,
            user_namespaces: user_namespaces(runner, privilege).await,
            binfmt: match os {
                Os::Linux(_) => binfmt(root, privilege == Privilege::Root),
                _ => not_linux(),
            },
            qemu: Arch::ALL
                .into_iter()
                .filter_map(|arch| Some((arch, qemu(root, arch)?)))
                .collect(),
            runs,
            os,
        }
    }
}

fn distribution(root: &Root) -> Distribution {
    let text = root
        .read("/etc/os-release")
        .or_else(|| root.read("/usr/lib/os-release"))
        .unwrap_or_default();
    let field = |key: &str| {
        let value = text
            .lines()
            .find_map(|line| line.strip_prefix(key)?.strip_prefix('='));
        value
            .unwrap_or_default()
            .trim_matches(['"', '\''])
            .to_owned()
    };
    Distribution {
        id: field("ID"),
        version: field("VERSION_ID"),
        name: field("PRETTY_NAME"),
    }
}

async fn privilege(runner: &impl Runner) -> Privilege {
    let ask = async |program: &str, args: &[&str]| {
        runner
            .run(&Invocation::new(program, args.iter().copied()))
            .await
            .unwrap_or_default()
    };
    if ask("id", &["-u"]).await.stdout.trim() == "0" {
        Privilege::Root
    } else if ask("sudo", &["-n", "--", "true"]).await.success() {
        Privilege::Sudo
    } else {
        Privilege::None
    }
}

/// In `PATH`, in the folders of root's `PATH`, which users often lack, and where
/// Nix's own installer puts it: a shell has to be opened anew to find it.
fn find(root: &Root, environment: &Environment, program: &str) -> Option<PathBuf> {
    let usual = [
        "/usr/bin",
        "/bin",
        "/usr/sbin",
        "/sbin",
        "/nix/var/nix/profiles/default/bin",
    ];
    let own = environment
        .home
        .iter()
        .map(|home| home.join(".nix-profile/bin"));
    let folders = environment
        .path
        .iter()
        .cloned()
        .chain(usual.map(PathBuf::from))
        .chain(own);
    folders
        .map(|folder| folder.join(program))
        .find(|path| root.path(path).is_file())
}

async fn daemon(root: &Root) -> Daemon {
    let socket = root.path("/nix/var/nix/daemon-socket/socket");
    match tokio::net::UnixStream::connect(socket).await {
        Ok(_) => Daemon::Reachable,
        Err(error) if error.kind() == std::io::ErrorKind::PermissionDenied => Daemon::Forbidden,
        // A socket without anybody behind it, left by a daemon that is no more, refuses.
        Err(_) => Daemon::None,
    }
}

fn nixbld_members(root: &Root) -> usize {
    let text = root.read("/etc/group").unwrap_or_default();
    let line = text
        .lines()
        .find(|line| line.starts_with("nixbld:"))
        .unwrap_or_default();
    line.rsplit(':')
        .next()
        .unwrap_or_default()
        .split(',')
        .filter(|name| !name.is_empty())
        .count()
}

/// The file that decides: the system's, except for a user who neither has a
/// daemon to build for him nor may write there.
fn conf(root: &Root, environment: &Environment, privilege: Privilege, daemon: Daemon) -> ConfFile {
    let folder = environment
        .nix_conf_dir
        .clone()
        .unwrap_or_else(|| PathBuf::from("/etc/nix"));
    let system = ConfFile::read(root, &folder.join("nix.conf"));
    match environment.user_conf() {
        Some(own) if privilege == Privilege::None && daemon == Daemon::None => {
            let own = ConfFile::read(root, &own);
            ConfFile {
                effective: format!("{}\n{}", system.effective, own.effective),
                ..own
            }
        }
        _ => system,
    }
}

/// Nix's sandbox wants namespaces for users, mounts and processes, and a fresh
/// /proc in them. A daemon makes them as root.
async fn user_namespaces(runner: &impl Runner, privilege: Privilege) -> bool {
    let args = [
        "--user",
        "--map-root-user",
        "--mount",
        "--pid",
        "--fork",
        "--mount-proc",
        "true",
    ];
    let unshare = Invocation::new("unshare", args);
    let unshare = if privilege == Privilege::Sudo {
        unshare.by_sudo()
    } else {
        unshare
    };
    runner
        .run(&unshare)
        .await
        .as_ref()
        .is_ok_and(Finished::success)
}

/// What the kernel here does with programs of other processors: a few small files.
#[must_use]
pub fn foreign_programs(root: &Root) -> Binfmt {
    let status = root.read("/proc/self/status").unwrap_or_default();
    let mut uids = status.lines().filter_map(|line| line.strip_prefix("Uid:"));
    // The second of four is the one in force.
    let uid = uids.next().and_then(|uids| uids.split_whitespace().nth(1));
    match std::env::consts::OS {
        "linux" => binfmt(root, uid == Some("0")),
        _ => not_linux(),
    }
}

fn not_linux() -> Binfmt {
    Binfmt::Unavailable("binfmt_misc belongs to Linux".to_owned())
}

/// Whether the files in /etc are written by a rebuild of NixOS.
pub(crate) fn is_nixos(root: &Root) -> bool {
    distribution(root).id == "nixos"
}

fn binfmt(root: &Root, is_root: bool) -> Binfmt {
    if root.exists(Path::new(binfmt::FOLDER).join("register")) {
        let status = root
            .read(Path::new(binfmt::FOLDER).join("status"))
            .unwrap_or_default();
        if status.trim() == "disabled" {
            return Binfmt::Off;
        }
        return Binfmt::Mounted(binfmt::registrations(root));
    }
    // CAP_SYS_ADMIN, in force for root, within reach for sudo.
    let field = if is_root { "CapEff:" } else { "CapBnd:" };
    let status = root.read("/proc/self/status").unwrap_or_default();
    let caps = status
        .lines()
        .find_map(|line| line.strip_prefix(field))
        .map(str::trim);
    match caps.and_then(|caps| u64::from_str_radix(caps, 16).ok()) {
        Some(caps) if caps & (1 << 21) == 0 => Binfmt::Unavailable(
            "binfmt_misc is not mounted, and this container has no right to mount it (CAP_SYS_ADMIN)".to_owned(),
        ),
        _ => Binfmt::Mountable,
    }
}

/// The interpreter to register. Names that end in `-P` are Debian's sign to qemu
/// that it is run with the flag P, which keeps a program's own argv[0].
pub(super) fn qemu(root: &Root, arch: Arch) -> Option<String> {
    let name = arch.name();
    let places = [
        format!("/usr/libexec/qemu-binfmt/{name}-binfmt-P"),
        format!("/usr/bin/qemu-{name}-static"),
        format!("/usr/bin/qemu-{name}"),
        format!("/usr/local/bin/qemu-{name}-static"),
    ];
    places
        .into_iter()
        .find(|place| std::fs::read(root.path(place)).is_ok_and(|elf| elf::is_static(&elf)))
}

/// What a nix.conf says of the group of build users; `None` when nothing.
pub(super) fn build_users(conf: &ConfFile) -> Option<String> {
    nix_conf::value_of(&conf.effective, "build-users-group").map(|words| words.join(" "))
}
