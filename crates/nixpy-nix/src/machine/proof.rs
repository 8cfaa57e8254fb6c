//! Proof that a processor's programs run here: a program of some 150 bytes that
//! writes `ok` and ends. Whatever the registration says, only running tells.

use std::io::Write as _;
use std::os::unix::fs::PermissionsExt as _;
use std::time::Duration;

use super::{Arch, Invocation, Runner, Runs};

/// The name under which the program is written and run.
pub(super) fn name(arch: Arch) -> String {
    format!("proof-{}", arch.name())
}

/// A static ELF program: write(1, "ok\n", 3), then exit(0).
pub(super) fn program(arch: Arch) -> Vec<u8> {
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
    const HEADERS: u64 = 64 + 56;
    // A page of 64 KiB is the largest that aarch64 kernels use.
    const BASE: u64 = 0x1_0000;
    let size = HEADERS + code.len() as u64 + 3;
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
    elf.extend_from_slice(b"ok\n");
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

/// Writes the program to a temporary folder, and runs it.
pub(super) async fn run(arch: Arch, runner: &impl Runner) -> Runs {
    match attempt(arch, runner).await {
        Ok(runs) => runs,
        Err(error) => Runs::No(error.to_string()),
    }
}

async fn attempt(arch: Arch, runner: &impl Runner) -> std::io::Result<Runs> {
    let folder = tempfile::tempdir()?;
    let path = folder.path().join(name(arch));
    let mut file = std::fs::File::create(&path)?;
    file.write_all(&program(arch))?;
    file.set_permissions(std::fs::Permissions::from_mode(0o755))?;
    drop(file);
    let invocation = Invocation::new(&path.to_string_lossy(), [""; 0]);
    for _ in 0..20 {
        match runner.run(&invocation).await {
            // Another thread forked while the file was open for writing, and its
            // child holds it until it execs.
            Err(error) if error.kind() == std::io::ErrorKind::ExecutableFileBusy => {
                tokio::time::sleep(Duration::from_millis(20)).await;
            }
            // The folder is mounted with `noexec`.
            Err(error) if error.kind() == std::io::ErrorKind::PermissionDenied => {
                return Ok(Runs::Untried);
            }
            Err(error) => return Ok(Runs::No(error.to_string())),
            Ok(done) if done.success() && done.stdout == "ok\n" => return Ok(Runs::Yes),
            Ok(done) => {
                let said = done.tail();
                let ended = done
                    .code
                    .map_or("a signal".to_owned(), |code| format!("exit code {code}"));
                return Ok(Runs::No(if said.is_empty() {
                    ended
                } else {
                    format!("{ended}: {said}")
                }));
            }
        }
    }
    Ok(Runs::No("its file stayed busy".to_owned()))
}
