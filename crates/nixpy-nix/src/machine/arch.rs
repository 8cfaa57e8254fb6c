//! The processors that can stand in for one another here.

/// A processor that Linux systems are built for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Arch {
    /// 64-bit ARM.
    Aarch64,
    /// 64-bit Intel and AMD.
    X86_64,
}

impl Arch {
    /// All of them.
    pub const ALL: [Self; 2] = [Self::Aarch64, Self::X86_64];

    /// As `uname -m` names it.
    #[must_use]
    pub fn from_machine(name: &str) -> Option<Self> {
        match name {
            "aarch64" | "arm64" => Some(Self::Aarch64),
            "x86_64" | "amd64" => Some(Self::X86_64),
            _ => None,
        }
    }

    /// Of a Nix system such as `aarch64-linux`; `None` for all others.
    #[must_use]
    pub fn of_system(system: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|arch| arch.system() == system)
    }

    /// The kernel's and qemu's name.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Aarch64 => "aarch64",
            Self::X86_64 => "x86_64",
        }
    }

    /// The Nix system.
    #[must_use]
    pub fn system(self) -> &'static str {
        match self {
            Self::Aarch64 => "aarch64-linux",
            Self::X86_64 => "x86_64-linux",
        }
    }

    /// What binfmt_misc looks for at the start of a file: a 64-bit little-endian
    /// ELF program (type 2) for this machine. The values are those that qemu
    /// publishes in `scripts/qemu-binfmt-conf.sh`.
    #[must_use]
    pub fn magic(self) -> [u8; 20] {
        let mut magic = *b"\x7fELF\x02\x01\x01\0\0\0\0\0\0\0\0\0\x02\0\0\0";
        magic[18..].copy_from_slice(&self.elf_machine().to_le_bytes());
        magic
    }

    /// Which bits of [`Self::magic`] count. The ABI byte does not, and the lowest
    /// bit of the type does not either: position-independent programs (3) pass.
    /// For x86_64 two more bytes are loose, as in qemu's own table.
    #[must_use]
    pub fn mask(self) -> [u8; 20] {
        let mut mask = [0xff; 20];
        mask[7] = 0;
        mask[16] = 0xfe;
        if self == Self::X86_64 {
            (mask[5], mask[6]) = (0xfe, 0xfe);
        }
        mask
    }

    /// `e_machine` of the ELF header.
    pub(super) fn elf_machine(self) -> u16 {
        match self {
            Self::Aarch64 => 183,
            Self::X86_64 => 62,
        }
    }

    /// What docker and podman call it.
    pub(super) fn platform(self) -> &'static str {
        match self {
            Self::Aarch64 => "arm64",
            Self::X86_64 => "amd64",
        }
    }
}
