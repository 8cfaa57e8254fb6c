//! A machine of its own to be changed: this one's files under a layer that is
//! thrown away, without Nix and qemu, and with a list of foreign programs of its own.

use std::fs;

use tempfile::TempDir;

use super::nixpy;
use super::program::{Ended, run, script_with_own_mounts};

/// Makes the machine, in a private mount namespace, and starts a script in it.
///
/// pivot_root and not chroot, because in a chroot no user namespace can be made,
/// and Nix's sandbox is one. The user namespace maps every user to itself; it is
/// there because the kernel keeps a list of foreign programs (binfmt_misc) for
/// each, from Linux 6.7 on.
const MACHINE: &str = r#"
place=$1; script=$2
mount -t tmpfs tmpfs "$place"
mkdir "$place/upper" "$place/work" "$place/root"
mount -t overlay overlay -o "lowerdir=/,upperdir=$place/upper,workdir=$place/work" "$place/root"
for folder in dev sys proc; do mount --rbind "/$folder" "$place/root/$folder"; done
for folder in tmp nix; do mkdir -p "$place/root/$folder"; mount -t tmpfs tmpfs "$place/root/$folder"; done
cp "$script" "$place/root/tmp/script"
cp "$3" "$place/root/tmp/nixpy-ci"
cp -r "$4" "$place/root/tmp/flake"
mkdir "$place/root/tmp/old"
cd "$place/root" && pivot_root . tmp/old && cd / && umount --lazy /tmp/old
mkfifo /tmp/mapped
unshare --user --mount --propagation private sh -c 'read _ < /tmp/mapped
  mount -t binfmt_misc binfmt_misc /proc/sys/fs/binfmt_misc || exit 9 # before Linux 6.7
  exec sh -eu /tmp/script' &
inside=$!
until [ "$(readlink /proc/$inside/ns/user)" != "$(readlink /proc/$$/ns/user)" ]; do sleep 0.05; done
echo '0 0 4294967295' > /proc/$inside/uid_map
echo '0 0 4294967295' > /proc/$inside/gid_map
echo > /tmp/mapped
wait $inside
"#;

/// Takes away what `nixpy-ci setup` brings.
const BARE: &str = "
dpkg --purge --force-depends nix-setup-systemd nix-bin qemu-user-static binfmt-support > /dev/null 2>&1 || true
rm -rf /etc/nix
sed -i /nixbld/d /etc/passwd /etc/group /etc/shadow /etc/gshadow
";

/// Runs a script on a machine without Nix and qemu, with `/tmp/nixpy-ci` and a
/// flake in `/tmp/flake`.
pub fn on_a_bare_machine(flake: &std::path::Path, script: &str) -> Ended {
    let dir = TempDir::new().unwrap();
    let file = dir.path().join("script");
    fs::write(&file, format!("{BARE}{script}")).unwrap();
    let place = dir.path().join("machine");
    fs::create_dir(&place).unwrap();
    let mut command = script_with_own_mounts(MACHINE);
    command
        .arg("sh")
        .arg(&place)
        .arg(&file)
        .arg(nixpy::binary())
        .arg(flake);
    run(command.env_remove("NIX_CONFIG"))
}
