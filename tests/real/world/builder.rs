//! Other machines that build: a real sshd and a real Nix, in a network of their own with
//! an address of their own, with a store of their own that has nothing in it yet.
//!
//! They emulate aarch64, as the kernel under all of them does. Whether this side does is
//! said by the configuration that [`here`] makes for it.

use std::fs::{self, File};
use std::net::TcpStream;
use std::os::unix::fs::PermissionsExt as _;
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;

use tempfile::TempDir;

use super::program::{output_of, place_of, program, run, wait_for};

/// A pair of keys.
pub struct Key {
    dir: TempDir,
}

impl Key {
    pub fn new() -> Self {
        let dir = tempfile::tempdir().unwrap();
        let file = dir.path().join("key");
        let arguments = ["-q", "-t", "ed25519", "-N", "", "-C", "", "-f"];
        output_of("ssh-keygen", arguments.iter().copied().chain(file.to_str()));
        Self { dir }
    }

    /// The private one, as its file has it.
    pub fn text(&self) -> String {
        fs::read_to_string(self.dir.path().join("key")).unwrap()
    }

    /// A line that is only in the private one.
    pub fn secret(&self) -> String {
        self.text().lines().nth(2).unwrap().to_owned()
    }

    /// `ssh-ed25519 AAAA…`
    pub fn public(&self) -> String {
        let text = fs::read_to_string(self.dir.path().join("key.pub")).unwrap();
        text.trim().to_owned()
    }
}

/// A running machine; dropping it ends it and takes its network away.
pub struct Builder {
    dir: TempDir,
    name: String,
    address: String,
    host_key: Key,
    process: Child,
}

/// In namespaces of its own for mounts and processes: its store, and a place for what sshd wants.
const START: &str = r#"
mount --bind "$0/nix" /nix
if [ -e "$0/small" ]; then mount -t tmpfs -o size=24m tmpfs /nix; fi
mount -t tmpfs tmpfs /run
mkdir /run/sshd
# Two that open a store for the first time at once get into each other's way.
NIX_CONF_DIR="$0" nix store ping --store local
exec "$1" -D -e -f "$0/sshd_config"
"#;

impl Builder {
    /// That lets in whoever has this key.
    pub fn start(key: &Key) -> Self {
        Self::with(key, |_| String::new())
    }

    /// The same; builds see that they are there by `/slow`.
    pub fn slow(key: &Key) -> Self {
        Self::with(key, |dir| {
            File::create(dir.join("slow")).unwrap();
            format!(
                "extra-sandbox-paths = /slow={}\n",
                dir.join("slow").display()
            )
        })
    }

    /// The same, with a disk that is soon full: 24 MB.
    pub fn small(key: &Key) -> Self {
        Self::with(key, |dir| {
            File::create(dir.join("small")).unwrap();
            String::new()
        })
    }

    fn with(key: &Key, more: impl Fn(&Path) -> String) -> Self {
        static COUNT: AtomicU32 = AtomicU32::new(0);
        let (process, count) = (std::process::id(), COUNT.fetch_add(1, Ordering::Relaxed));
        assert!(count < 64, "there are no addresses for more machines");
        let name = format!("nb{process}x{count}");
        // 64 machines for each process, and as many processes as there are ports.
        let net = format!("10.{}.{}", 64 + (process >> 8) % 64, process % 256);
        let (ours, theirs) = (
            format!("{net}.{}", 4 * count + 1),
            format!("{net}.{}", 4 * count + 2),
        );
        let dir = tempfile::tempdir().unwrap();
        fs::create_dir(dir.path().join("nix")).unwrap();
        let host_key = Key::new();
        let config = format!(
            "build-users-group =\nsubstituters =\nextra-extra-platforms = aarch64-linux\n\
             experimental-features = nix-command flakes\n{}",
            more(dir.path())
        );
        fs::write(dir.path().join("nix.conf"), config).unwrap();
        fs::write(dir.path().join("authorized_keys"), key.public()).unwrap();
        let config = format!(
            "Port 22\nPort 2222\nHostKey {host}\nAuthorizedKeysFile {dir}/authorized_keys\nPidFile none\nUsePAM no\n\
             StrictModes no\nPermitRootLogin prohibit-password\nPasswordAuthentication no\nMaxAuthTries 3\n\
             KbdInteractiveAuthentication no\nSetEnv NIX_CONF_DIR={dir}\n",
            host = host_key.dir.path().join("key").display(),
            dir = dir.path().display(),
        );
        fs::write(dir.path().join("sshd_config"), config).unwrap();
        // sshd looks at these after it has become somebody else.
        fs::set_permissions(dir.path(), fs::Permissions::from_mode(0o755)).unwrap();

        let ip = |words: &str| output_of("ip", words.split(' '));
        ip(&format!("netns add {name}"));
        ip(&format!(
            "link add va{name} type veth peer name vb{name} netns {name}"
        ));
        ip(&format!("addr add {ours}/30 dev va{name}"));
        ip(&format!("link set va{name} up"));
        for words in [
            format!("addr add {theirs}/30 dev vb{name}"),
            format!("link set vb{name} up"),
            "link set lo up".to_owned(),
        ] {
            ip(&format!("-netns {name} {words}"));
        }
        let log = File::create(dir.path().join("log")).unwrap();
        let process = program("ip")
            .args([
                "netns",
                "exec",
                &name,
                "unshare",
                "--pid",
                "--fork",
                "--kill-child",
                "--mount-proc",
                "--propagation",
                "private",
            ])
            .args(["sh", "-euc", START])
            .arg(dir.path())
            .arg(place_of("sshd"))
            .env_remove("NIX_CONFIG")
            .stdout(Stdio::null())
            .stderr(log)
            .spawn()
            .unwrap();
        let builder = Self {
            dir,
            name,
            address: theirs,
            host_key,
            process,
        };
        wait_for("sshd to listen", Duration::from_secs(60), || {
            TcpStream::connect((builder.address(), 22)).ok()
        });
        builder
    }

    pub fn address(&self) -> &str {
        &self.address
    }

    /// What it is called, over `ssh-ng`.
    pub fn uri(&self) -> String {
        format!("ssh-ng://root@{}", self.address)
    }

    /// Its line among builders, for aarch64.
    pub fn line(&self) -> String {
        format!("{} aarch64-linux", self.uri())
    }

    /// Its line among known hosts.
    pub fn known_host(&self) -> String {
        format!("{} {}", self.address, self.host_key.public())
    }

    /// Its public key.
    pub fn host_key(&self) -> String {
        self.host_key.public()
    }

    /// Whether a path of `/nix/store` is in its store.
    pub fn has(&self, path: &str) -> bool {
        let below = Path::new(path).strip_prefix("/").unwrap();
        self.dir.path().join(below).symlink_metadata().is_ok()
    }

    /// Where its store and its files are.
    pub fn folder(&self) -> &Path {
        self.dir.path()
    }

    /// Pulls the cable.
    pub fn cut_off(&self) {
        output_of("ip", ["link", "set", &format!("va{}", self.name), "down"]);
    }

    /// Its Nix does nothing any more, and its connections stay.
    pub fn freeze(&self) {
        for id in self.processes() {
            let name = fs::read_to_string(format!("/proc/{id}/comm")).unwrap_or_default();
            if name.starts_with("nix") {
                output_of("kill", ["-STOP", &id]);
            }
        }
    }

    /// It takes connections, and says nothing for so long.
    pub fn sleep(&self, time: Duration) {
        let is_sshd = |id: &String| {
            let name = fs::read_to_string(format!("/proc/{id}/comm")).unwrap_or_default();
            name.trim() == "sshd"
        };
        let sshd: Vec<String> = self.processes().into_iter().filter(is_sshd).collect();
        output_of("kill", ["-STOP"].into_iter().chain(ids(&sshd)));
        std::thread::spawn(move || {
            std::thread::sleep(time);
            run(program("kill").arg("-CONT").args(sshd));
        });
    }

    fn processes(&self) -> Vec<String> {
        let listed = output_of("ip", ["netns", "pids", &self.name]);
        listed.lines().map(str::to_owned).collect()
    }
}

fn ids(processes: &[String]) -> impl Iterator<Item = &str> {
    processes.iter().map(String::as_str)
}

impl Drop for Builder {
    fn drop(&mut self) {
        // Builds are in networks of their own, and may outlive the Nix that started them;
        // nothing outlives the first process of their world.
        let mut kill = program("kill");
        kill.arg("-KILL").args(self.processes());
        run(&mut kill);
        let _ = self.process.wait();
        output_of("ip", ["netns", "delete", &self.name]);
    }
}

/// Lets `nixpy-ci` build here with these builders, opened by this key, and nothing else:
/// no other system is this machine's, unless it emulates it.
pub fn here(
    command: &mut Command,
    key: &Key,
    lines: &[&str],
    known_hosts: &[&str],
    emulates: bool,
) -> TempDir {
    let conf = tempfile::tempdir().unwrap();
    let emulated = match emulates {
        true => "extra-platforms = aarch64-linux i686-linux\n",
        false => "extra-platforms = i686-linux\n",
    };
    fs::write(conf.path().join("nix.conf"), emulated).unwrap();
    command
        .env("NIX_CONF_DIR", conf.path())
        .env("NIXPY_BUILDERS", lines.join("\n"))
        .env("NIXPY_BUILDER_SSH_KEY", key.text())
        .env("NIXPY_BUILDER_KNOWN_HOSTS", known_hosts.join("\n"));
    conf
}
