//! What the kernel does with foreign programs: `/proc/sys/fs/binfmt_misc`.
//!
//! One file per registration, as described in the kernel's
//! Documentation/admin-guide/binfmt-misc.rst:
//!
//! ```text
//! enabled
//! interpreter /usr/bin/qemu-aarch64-static
//! flags: PF
//! offset 0
//! magic 7f454c460201010000000000000000000200b700
//! mask ffffffffffffff00fffffffffffffffffeffffff
//! ```

use super::{Arch, Root, elf};
use crate::system::System;

/// Where binfmt_misc is mounted.
pub(super) const FOLDER: &str = "/proc/sys/fs/binfmt_misc";

/// What there is of binfmt_misc.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Binfmt {
    /// Mounted, with these registrations.
    Mounted(Vec<Registration>),
    /// Mounted, and switched off as a whole.
    Off,
    /// Not mounted, and nothing speaks against it.
    Mountable,
    /// Not to be had, for this reason.
    Unavailable(String),
}

/// One way in which the kernel runs a kind of file.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Registration {
    /// The name of its file.
    pub name: String,
    /// Whether it is in force.
    pub enabled: bool,
    /// The program that runs such files.
    pub interpreter: String,
    /// Letters such as `POCF`.
    pub flags: String,
    offset: usize,
    magic: Vec<u8>,
    mask: Vec<u8>,
}

impl Registration {
    /// Reads one of the kernel's files; `None` when it goes by extension.
    #[must_use]
    pub fn parse(name: &str, text: &str) -> Option<Self> {
        let field = |key: &str| {
            text.lines()
                .find_map(|line| line.strip_prefix(key))
                .map(str::trim)
        };
        let magic = hex::decode(field("magic ")?).ok()?;
        Some(Self {
            name: name.to_owned(),
            enabled: text.starts_with("enabled"),
            interpreter: field("interpreter ")?.to_owned(),
            flags: field("flags:").unwrap_or_default().to_owned(),
            offset: field("offset ")
                .and_then(|number| number.parse().ok())
                .unwrap_or(0),
            mask: field("mask ")
                .and_then(|mask| hex::decode(mask).ok())
                .unwrap_or_else(|| vec![0xff; magic.len()]),
            magic,
        })
    }

    /// Whether programs for `arch` come here, whatever the name says.
    #[must_use]
    pub fn handles(&self, arch: Arch) -> bool {
        let program = elf::says_ok(arch);
        let Some(start) = program.get(self.offset..) else {
            return false;
        };
        start.len() >= self.magic.len()
            && self
                .magic
                .iter()
                .zip(&self.mask)
                .zip(start)
                .all(|((magic, mask), byte)| (magic ^ byte) & mask == 0)
    }

    /// Whether the kernel keeps the interpreter open: flag `F`. Without it the
    /// path is looked up when a program starts, and a sandbox does not have it.
    #[must_use]
    pub fn fixed(&self) -> bool {
        self.flags.contains('F')
    }

    /// Why programs are not run by it inside a sandbox, if they are not.
    #[must_use]
    pub fn fault(&self) -> Option<&'static str> {
        match (self.enabled, self.fixed()) {
            (false, _) => Some("it is disabled"),
            (true, false) => Some("it lacks the flag F"),
            (true, true) => None,
        }
    }
}

impl Binfmt {
    /// The systems whose programs the kernel runs by these registrations, also where the
    /// interpreter's path does not exist.
    pub fn systems(&self) -> Vec<System> {
        let Self::Mounted(registrations) = self else {
            return Vec::new();
        };
        let runs = |arch: &Arch| {
            let mut handling = registrations.iter().filter(|entry| entry.handles(*arch));
            handling.any(|entry| entry.fault().is_none())
        };
        let all = Arch::ALL.into_iter().filter(runs);
        all.filter_map(|arch| arch.system().parse().ok()).collect()
    }
}

/// All registrations, sorted by name.
pub(super) fn registrations(root: &Root) -> Vec<Registration> {
    let names = root
        .names(FOLDER)
        .into_iter()
        .filter(|name| name != "register" && name != "status");
    names
        .filter_map(|name| Registration::parse(&name, &root.read(format!("{FOLDER}/{name}"))?))
        .collect()
}

/// The line that registers `arch`, as the kernel and `binfmt.d` read it.
pub(super) fn line(arch: Arch, interpreter: &str, flags: &str) -> String {
    let escaped = |bytes: [u8; 20]| bytes.map(|byte| format!("\\x{byte:02x}")).concat();
    format!(
        ":{}:M::{}:{}:{interpreter}:{flags}",
        rule(arch),
        escaped(arch.magic()),
        escaped(arch.mask())
    )
}

/// The name under which distributions register `arch`.
pub(super) fn rule(arch: Arch) -> String {
    format!("qemu-{}", arch.name())
}
