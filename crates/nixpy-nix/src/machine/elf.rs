//! Programs of some 150 bytes for each processor: the smallest thing that tells, by
//! running, whether programs like it run.

use super::Arch;

/// Writes `ok` to its standard output, and ends well.
pub(super) fn says_ok(arch: Arch) -> Vec<u8> {
    let code: &[u8] = match arch {
        Arch::Aarch64 => &[
            0x20, 0x00, 0x80, 0xd2, //  mov  x0, #1
            0xe1, 0x00, 0x00, 0x10, //  adr  x1, message
            0x62, 0x00, 0x80, 0xd2, //  mov  x2, #3
            0x08, 0x08, 0x80, 0xd2, //  mov  x8, #64     write
            0x01, 0x00, 0x00, 0xd4, //  svc  #0
            0x00, 0x00, 0x80, 0xd2, //  mov  x0, #0
            0xa8, 0x0b, 0x80, 0xd2, //  mov  x8, #93     exit
            0x01, 0x00, 0x00, 0xd4, //  svc  #0
        ],
        Arch::X86_64 => &[
            0xbf, 0x01, 0x00, 0x00, 0x00, //              mov  edi, 1
            0x48, 0x8d, 0x35, 0x15, 0x00, 0x00, 0x00, //  lea  rsi, [rip + message]
            0xba, 0x03, 0x00, 0x00, 0x00, //              mov  edx, 3
            0xb8, 0x01, 0x00, 0x00, 0x00, //              mov  eax, 1    write
            0x0f, 0x05, //                                syscall
            0x31, 0xff, //                                xor  edi, edi
            0xb8, 0x3c, 0x00, 0x00, 0x00, //              mov  eax, 60   exit
            0x0f, 0x05, //                                syscall
        ],
    };
    program(arch, &[code, b"ok\n"].concat())
}

/// Makes the folder that its first argument names, and ends as that went.
pub(crate) fn makes_a_folder(arch: Arch) -> Vec<u8> {
    let code: &[u8] = match arch {
        Arch::Aarch64 => &[
            0xe1, 0x0b, 0x40, 0xf9, //  ldr  x1, [sp, #16]   argv[1]
            0x60, 0x0c, 0x80, 0x92, //  mov  x0, #-100       from the current folder
            0xa2, 0x3d, 0x80, 0xd2, //  mov  x2, #0755
            0x48, 0x04, 0x80, 0xd2, //  mov  x8, #34         mkdirat
            0x01, 0x00, 0x00, 0xd4, //  svc  #0
            0xe0, 0x03, 0x00, 0xcb, //  neg  x0, x0          its errno, or 0
            0xa8, 0x0b, 0x80, 0xd2, //  mov  x8, #93         exit
            0x01, 0x00, 0x00, 0xd4, //  svc  #0
        ],
        Arch::X86_64 => &[
            0x48, 0x8b, 0x74, 0x24, 0x10, //              mov  rsi, [rsp + 16]
            0xbf, 0x9c, 0xff, 0xff, 0xff, //              mov  edi, -100
            0xba, 0xed, 0x01, 0x00, 0x00, //              mov  edx, 0755
            0xb8, 0x02, 0x01, 0x00, 0x00, //              mov  eax, 258  mkdirat
            0x0f, 0x05, //                                syscall
            0xf7, 0xd8, //                                neg  eax
            0x89, 0xc7, //                                mov  edi, eax
            0xb8, 0x3c, 0x00, 0x00, 0x00, //              mov  eax, 60   exit
            0x0f, 0x05, //                                syscall
        ],
    };
    program(arch, code)
}

/// A static ELF program: this code, with whatever data it has behind it.
fn program(arch: Arch, code: &[u8]) -> Vec<u8> {
    const HEADERS: u64 = 64 + 56;
    // A page of 64 KiB is the largest that aarch64 kernels use.
    const BASE: u64 = 0x1_0000;
    let size = HEADERS + code.len() as u64;
    let mut elf = arch.magic().to_vec();
    elf.extend(1u32.to_le_bytes()); //                  version
    for word in [BASE + HEADERS, 64, 0] {
        elf.extend(word.to_le_bytes()); //              entry, program headers, no sections
    }
    elf.extend(0u32.to_le_bytes()); //                  flags
    for half in [64u16, 56, 1, 0, 0, 0] {
        elf.extend(half.to_le_bytes()); //              sizes and counts
    }
    elf.extend([1u32, 5].into_iter().flat_map(u32::to_le_bytes)); // load, readable and executable
    for word in [0, BASE, BASE, size, size, BASE] {
        elf.extend(word.to_le_bytes()); //              offset, addresses, sizes, alignment
    }
    elf.extend_from_slice(code);
    elf
}

/// Whether an ELF program needs no loader of its own. A dynamic qemu would be
/// found by the fix-binary flag, and its loader would not: the sandbox has none.
pub(super) fn is_static(elf: &[u8]) -> bool {
    let half = |at: usize| {
        elf.get(at..at + 2)
            .map(|b| usize::from(u16::from_le_bytes([b[0], b[1]])))
    };
    let (Some(table), Some(size), Some(count)) = (half(32), half(54), half(56)) else {
        return false;
    };
    elf.starts_with(b"\x7fELF\x02")
        && (0..count)
            .all(|n| half(table + n * size).is_some_and(|kind| kind != 3 /* PT_INTERP */))
}
