//! The one place where Nix's systems and the registry's platforms meet.

use nixpy_nix::System;
use nixpy_oci::platform::Platform;

/// The platform that programs of a system run on; `None` for systems that no
/// image can be for (Darwin).
pub fn platform_of(system: &System) -> Option<Platform> {
    let architecture = match (system.cpu(), system.os()) {
        ("x86_64", "linux") => "amd64",
        ("aarch64", "linux") => "arm64",
        ("i686", "linux") => "386",
        ("armv7l", "linux") => "arm",
        ("riscv64", "linux") => "riscv64",
        ("powerpc64le", "linux") => "ppc64le",
        ("s390x", "linux") => "s390x",
        _ => return None,
    };
    Some(Platform::linux(architecture))
}
