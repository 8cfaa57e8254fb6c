//! A machine whose Nix belongs to a daemon, and an ordinary user on it: a nix.conf, a store
//! and a list of users of its own, in a private mount namespace. The machine's own stay as
//! they are.

use std::ffi::OsStr;
use std::fs;
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU32, Ordering};

use tempfile::TempDir;

use super::nixpy::binary;
use super::program::{Ended, program, run, script_with_own_mounts};

/// Who asks.
pub const USER: &str = "alice";

/// A machine with `nix-daemon`.
pub struct DaemonWorld {
    dir: TempDir,
}

/// Starts the daemon, then the command as the user, and ends when both have. Nobody's
/// processes are left: the daemon's child for a connection ends with it.
const INSIDE: &str = r#"
place=$1; shift
for file in passwd group nix; do mount --bind "$place/etc/$file" "/etc/$file"; done
mount --bind "$place/nix" /nix
touch "$place/nixpy-ci"; mount --bind "$1" "$place/nixpy-ci"; shift
export HOME="$place/root"
nix-daemon > "$place/daemon.log" 2>&1 &
daemon=$!
trap 'kill "$daemon"; wait "$daemon" || true' EXIT
# The socket of a daemon before is there still, with nobody behind it.
until nix store ping --store daemon > /dev/null 2>&1; do kill -0 "$daemon"; sleep 0.05; done
cd "$place/work"
code=0
setpriv --reuid 2000 --regid 2000 --init-groups env -u NIX_CONFIG HOME="$place/home" USER=alice TMPDIR="$place/tmp" "$@" || code=$?
tries=0
while [ -n "$(cat /proc/$daemon/task/*/children)" ] && [ $tries -lt 40 ]; do sleep 0.05; tries=$((tries + 1)); done
exit $code
"#;

impl DaemonWorld {
    /// Whose nix.conf has these lines beside what every build here needs.
    pub fn with_nix_conf(lines: &str) -> Self {
        let dir = tempfile::tempdir().unwrap();
        let world = Self { dir };
        for folder in ["etc/nix", "nix", "home", "root", "work", "tmp"] {
            fs::create_dir_all(world.path(folder)).unwrap();
        }
        let conf = format!(
            "experimental-features = nix-command flakes\nsandbox = true\nsubstituters =\n\
             build-users-group = nixbld\n{lines}\n"
        );
        fs::write(world.path("etc/nix/nix.conf"), conf).unwrap();
        world.write_users();
        let open = fs::Permissions::from_mode(0o755);
        fs::set_permissions(world.dir.path(), open).unwrap();
        for folder in ["home", "work", "tmp"] {
            std::os::unix::fs::chown(world.path(folder), Some(2000), Some(2000)).unwrap();
        }
        world
    }

    /// A file or folder of this world; `work` is where commands run.
    pub fn path(&self, name: &str) -> PathBuf {
        self.dir.path().join(name)
    }

    /// A copy of a folder in the folder to work in, which the user can read.
    pub fn copied(&self, folder: &Path, name: &str) -> PathBuf {
        let place = self.path("work").join(name);
        let copied = program("cp").arg("-r").arg(folder).arg(&place).status();
        assert!(copied.unwrap().success());
        let open = fs::Permissions::from_mode(0o755);
        fs::set_permissions(&place, open).unwrap();
        place
    }

    /// `nixpy-ci` with these arguments, started by the user.
    pub fn nixpy<A: AsRef<OsStr>>(&self, arguments: impl IntoIterator<Item = A>) -> Ended {
        let mut words = vec![self.path("nixpy-ci").into_os_string()];
        words.extend(arguments.into_iter().map(|word| word.as_ref().to_owned()));
        self.user_runs(words)
    }

    /// Any command, started by the user.
    pub fn user_runs<A: AsRef<OsStr>>(&self, words: impl IntoIterator<Item = A>) -> Ended {
        let mut command = script_with_own_mounts(INSIDE);
        command.arg("sh").arg(self.dir.path());
        command.arg(binary()).args(words);
        run(&mut command)
    }

    /// This machine's users, one more, and four for builds. Those have numbers that no
    /// other world's have: Nix ends whatever a build user has running when it takes him.
    fn write_users(&self) {
        static WORLDS: AtomicU32 = AtomicU32::new(0);
        let world = WORLDS.fetch_add(1, Ordering::Relaxed) % 200;
        let first = 1_000_000 + std::process::id() % 100_000 * 1000 + world * 5;
        let builders = 1..=4;
        let known = |file: &str| {
            let text = fs::read_to_string(Path::new("/etc").join(file)).unwrap();
            let lines = text.lines().filter(|line| !line.contains("nixbld"));
            lines.map(|line| format!("{line}\n")).collect::<String>()
        };
        let home = self.path("home");
        let mut users = known("passwd");
        users += &format!("{USER}:x:2000:2000::{}:/bin/sh\n", home.display());
        for n in builders.clone() {
            let number = first + n;
            users += &format!("nixbld{n}:x:{number}:{first}::/var/empty:/usr/sbin/nologin\n");
        }
        fs::write(self.path("etc/passwd"), users).unwrap();
        let members: Vec<String> = builders.map(|n| format!("nixbld{n}")).collect();
        let groups =
            known("group") + &format!("{USER}:x:2000:\nnixbld:x:{first}:{}\n", members.join(","));
        fs::write(self.path("etc/group"), groups).unwrap();
    }
}
