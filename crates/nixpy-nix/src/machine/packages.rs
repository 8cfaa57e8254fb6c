//! Packages of the distribution: which there are, and what they are called.

use std::collections::BTreeMap;

use super::{Arch, Distribution};

/// Who installs packages here.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum PackageManager {
    /// Debian, Ubuntu and their kin: the one that setup drives itself.
    Apt,
    /// Fedora, RHEL and their kin.
    Dnf,
    /// Arch.
    Pacman,
    /// Alpine.
    Apk,
    /// openSUSE.
    Zypper,
}

impl PackageManager {
    /// With the programs that tell them.
    pub(super) const PROGRAMS: [(&'static str, Self); 5] = [
        ("apt-get", Self::Apt),
        ("dnf", Self::Dnf),
        ("pacman", Self::Pacman),
        ("apk", Self::Apk),
        ("zypper", Self::Zypper),
    ];

    /// What a person types to have a static qemu that registers itself.
    pub(super) fn qemu_command(self, arch: Arch) -> String {
        match self {
            Self::Apt => "apt-get install qemu-user-static".to_owned(),
            Self::Dnf => format!(
                "dnf install qemu-user-static-{}",
                arch.name().replace("x86_64", "x86")
            ),
            Self::Pacman => "pacman -S qemu-user-static qemu-user-static-binfmt".to_owned(),
            Self::Apk => format!("apk add qemu-{} qemu-openrc", arch.name()),
            Self::Zypper => "zypper install qemu-linux-user".to_owned(),
        }
    }
}

/// The names that are looked up.
pub(super) const ASKED: [&str; 5] = [
    "nix-bin",
    "nix-setup-systemd",
    "qemu-user-static",
    "qemu-user",
    "qemu-user-binfmt",
];

/// What `apt-cache policy` offers: name and version.
pub(super) type Offers = BTreeMap<String, String>;

/// Reads `apt-cache policy NAME…`. Names that do not exist are left out.
pub(super) fn parse_policy(text: &str) -> Offers {
    let mut offers = Offers::new();
    let mut name = "";
    for line in text.lines() {
        if let Some(heading) = line.strip_suffix(':').filter(|line| !line.starts_with(' ')) {
            name = heading;
        } else if let Some(version) = line
            .trim()
            .strip_prefix("Candidate: ")
            .filter(|v| *v != "(none)")
        {
            offers.insert(name.to_owned(), version.to_owned());
        }
    }
    offers
}

/// The name of a Nix new enough for flakes, if the distribution has one. Before
/// the first `apt-get update` nothing is on offer, and the release decides:
/// Debian has had such a one since 12, Ubuntu since 23.04.
pub(super) fn nix(offers: &Offers, distribution: &Distribution) -> Option<&'static str> {
    let new_enough = match offers.get("nix-bin") {
        Some(version) => version_pair(version) >= (2, 8),
        None => offers.is_empty() && distribution.is_at_least(12, (23, 4)),
    };
    new_enough.then_some("nix-bin")
}

/// The names under which a static qemu comes. From 9.2 on Debian builds
/// `qemu-user` itself static, and `qemu-user-static` only points to it.
pub(super) fn qemu(offers: &Offers, distribution: &Distribution) -> Vec<&'static str> {
    let static_user = match offers.get("qemu-user") {
        Some(version) => version_pair(version) >= (9, 2) && offers.contains_key("qemu-user-binfmt"),
        None => offers.is_empty() && distribution.is_at_least(13, (25, 10)),
    };
    if static_user {
        vec!["qemu-user", "qemu-user-binfmt"]
    } else if offers.is_empty() || offers.contains_key("qemu-user-static") {
        vec!["qemu-user-static"]
    } else {
        Vec::new()
    }
}

/// Whether the package's nix.conf will say `sandbox = false`: Debian's did before 2.17.
pub(super) fn distrusts_sandbox(offers: &Offers, distribution: &Distribution) -> bool {
    match offers.get("nix-bin") {
        Some(version) => version_pair(version) < (2, 17),
        None => !distribution.is_at_least(13, (23, 10)),
    }
}

/// Major and minor of `1:7.2+dfsg-7` or `2.18.1`; zeros for what is no number.
pub(super) fn version_pair(version: &str) -> (u32, u32) {
    let version = version.split_once(':').map_or(version, |(_, rest)| rest);
    let mut numbers = version
        .split(|c: char| !c.is_ascii_digit())
        .map(|digits| digits.parse().unwrap_or(0));
    (numbers.next().unwrap_or(0), numbers.next().unwrap_or(0))
}
