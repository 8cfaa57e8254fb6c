//! The one place where Nix's systems and the registry's platforms meet.

use nixpy_nix::System;
use nixpy_oci::platform::Platform;

/// Nix's system, and Go's word for its architecture.
const LINUX: [(&str, &str); 7] = [
    ("x86_64-linux", "amd64"),
    ("aarch64-linux", "arm64"),
    ("i686-linux", "386"),
    ("armv7l-linux", "arm"),
    ("riscv64-linux", "riscv64"),
    ("powerpc64le-linux", "ppc64le"),
    ("s390x-linux", "s390x"),
];

/// The platform that programs of a system run on; `None` for systems that no
/// image can be for (Darwin).
pub fn platform_of(system: &System) -> Option<Platform> {
    let known = LINUX.iter().find(|(name, _)| *name == system.as_str());
    known.map(|(_, architecture)| Platform::linux(architecture))
}

/// The system whose programs run on an architecture.
pub fn system_of(architecture: &str) -> Option<System> {
    let known = LINUX.iter().find(|(_, name)| *name == architecture);
    known.and_then(|(system, _)| system.parse().ok())
}

/// All systems that an image can be for.
pub fn systems() -> impl Iterator<Item = System> {
    LINUX.iter().filter_map(|(system, _)| system.parse().ok())
}
