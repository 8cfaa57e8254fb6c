//! What every container finds beside the image: `/proc`, `/dev`, and who it is.
//!
//! Root in the image may be root of the machine. So what of `/proc` speaks to the whole
//! machine can only be read, or is hidden, as container runtimes do it
//! (<https://github.com/opencontainers/runc/blob/main/libcontainer/specconv/example.go>).
//! There is no terminal among the devices, and no `/sys`: programs do without.

use std::fs;
use std::io;
use std::path::Path;

use rustix::io::Errno;
use rustix::mount::{
    MountFlags, UnmountFlags, mount, mount_bind, mount_bind_recursive, mount_remount, unmount,
};

const PLAIN: MountFlags = MountFlags::NOSUID
    .union(MountFlags::NODEV)
    .union(MountFlags::NOEXEC);

/// Settings of the kernel.
const READ_ONLY: [&str; 5] = ["bus", "fs", "irq", "sys", "sysrq-trigger"];
/// Its memory, its keys, and what it tells of others.
const HIDDEN: [&str; 10] = [
    "acpi",
    "asound",
    "interrupts",
    "kcore",
    "keys",
    "latency_stats",
    "sched_debug",
    "scsi",
    "timer_list",
    "timer_stats",
];

/// Mounts over an empty folder what [`furnish`] is going to mount, and takes it away again:
/// after this a failure is no longer the machine's.
pub fn try_on(folder: &Path) -> io::Result<()> {
    mount("tmpfs", folder, "tmpfs", PLAIN, None)?;
    unmount(folder, UnmountFlags::DETACH)?;
    mount_proc(folder, Path::new("/dev/null"))?;
    Ok(unmount(folder, UnmountFlags::DETACH)?)
}

/// With the devices of what was the root before.
pub fn furnish(before: &Path) -> io::Result<()> {
    for place in ["/proc", "/dev"] {
        if !Path::new(place).is_dir() {
            fs::create_dir(place)?;
        }
    }
    let devices = before.join("dev");
    mount_proc(Path::new("/proc"), &devices.join("null"))?;
    let mode = Some(c"mode=0755");
    mount(
        "tmpfs",
        "/dev",
        "tmpfs",
        MountFlags::NOSUID | MountFlags::NOEXEC,
        mode,
    )?;
    for device in ["null", "zero", "full", "random", "urandom"] {
        let place = Path::new("/dev").join(device);
        fs::write(&place, "")?;
        mount_bind(devices.join(device), &place)?;
    }
    fs::create_dir("/dev/shm")?;
    mount("tmpfs", "/dev/shm", "tmpfs", PLAIN, Some(c"mode=1777"))?;
    for (name, target) in [
        ("fd", "/proc/self/fd"),
        ("stdin", "/proc/self/fd/0"),
        ("stdout", "/proc/self/fd/1"),
        ("stderr", "/proc/self/fd/2"),
    ] {
        std::os::unix::fs::symlink(target, Path::new("/dev").join(name))?;
    }
    Ok(())
}

/// Of this namespace, without what it could do to the machine.
fn mount_proc(place: &Path, null: &Path) -> io::Result<()> {
    mount("proc", place, "proc", PLAIN, None)?;
    for name in READ_ONLY {
        let path = place.join(name);
        match mount_bind_recursive(&path, &path) {
            // Kernels differ in what they have.
            Err(Errno::NOENT) => {}
            bound => {
                bound?;
                let read_only = MountFlags::BIND | MountFlags::RDONLY | PLAIN;
                mount_remount(&path, read_only, "")?;
            }
        }
    }
    for name in HIDDEN {
        let path = place.join(name);
        match fs::symlink_metadata(&path) {
            Err(_) => {}
            Ok(found) if found.is_dir() => {
                mount("tmpfs", &path, "tmpfs", PLAIN | MountFlags::RDONLY, None)?;
            }
            Ok(_) => mount_bind(null, &path)?,
        }
    }
    Ok(())
}

/// The files that docker and podman put over the image's own.
pub fn name_ourselves() -> io::Result<()> {
    if !Path::new("/etc").is_dir() {
        fs::create_dir("/etc")?;
    }
    for (name, text) in [
        ("/etc/hosts", "127.0.0.1\tlocalhost\n::1\tlocalhost\n"),
        ("/etc/hostname", "smoke\n"),
        ("/etc/resolv.conf", ""),
    ] {
        match fs::remove_file(name) {
            Err(e) if e.kind() != io::ErrorKind::NotFound => return Err(e),
            _ => fs::write(name, text)?,
        }
    }
    Ok(())
}
