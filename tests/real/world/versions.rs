//! Other versions of Nix, each in a root directory of its own: those of the
//! distribution's later releases, fetched once.

use std::ffi::OsStr;
use std::fmt::Display;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::OnceLock;

use super::alone::{hold, kept, loudly};
use super::nixpy::binary;
use super::program::{Ended, output_of, program, run, script_with_own_mounts};

/// A root directory with the Nix of a release in it.
pub struct Root {
    path: PathBuf,
}

/// What a build needs to know there, where nobody has set anything up.
const NIX_CONF: &str = "build-users-group =\nextra-platforms = aarch64-linux\nsubstituters =\n";

/// Runs a command below the root, on an empty store, with folders of this machine where
/// they are here. pivot_root, because Nix's sandbox cannot be made in a chroot.
const INSIDE: &str = r#"
root=$1; shift
mount --bind "$root" "$root"
for folder in dev proc sys; do mount --rbind "/$folder" "$root/$folder"; done
while [ "$1" != -- ]; do mkdir -p "$root/$1"; mount --bind "$1" "$root/$1"; shift; done; shift
mkdir -p "$root/nix" "$root/old"
mount -t tmpfs tmpfs "$root/nix"
here=$PWD
cd "$root"; pivot_root . old; cd "$here"; umount --lazy /old
exec "$@"
"#;

impl Root {
    /// Of later releases of Debian: 2.26, and whatever is newest. The latter is what it is on the
    /// day, so it is done without where it cannot be had or is the same; and that is said.
    pub fn all() -> &'static [Self] {
        static ALL: OnceLock<Vec<Root>> = OnceLock::new();
        ALL.get_or_init(|| {
            let trixie = Self::of("trixie").unwrap_or_else(|ended| panic!("no trixie: {ended}"));
            let without = |why: &dyn Display| {
                loudly(&format!(
                    "NOTHING IS TESTED WITH THE NEWEST NIX, of sid: {why}"
                ));
                None
            };
            let newest = match Self::of("sid") {
                Ok(sid) if sid.version() == trixie.version() => without(&"it is that of trixie"),
                Ok(sid) => Some(sid),
                Err(ended) => without(&ended),
            };
            [trixie].into_iter().chain(newest).collect()
        })
    }

    /// The root directory of a release; fetched by the first test that asks.
    fn of(suite: &str) -> Result<Self, Ended> {
        let _alone = hold("roots");
        let path = kept("roots").join(suite);
        if !path.exists() {
            let new = kept("roots").join(format!("{suite}.new"));
            fetch(suite, &new)?;
            fs::rename(new, &path).unwrap();
        }
        Ok(Self { path })
    }

    /// A command that sees this root as `/` and an empty store as `/nix`; also the
    /// current folder, which must be a temporary one, and these.
    pub fn command(&self, program_: impl AsRef<OsStr>, folders: &[&Path]) -> Command {
        let mut command = script_with_own_mounts(INSIDE);
        command.arg("sh").arg(&self.path);
        command.arg(std::env::temp_dir()).args(folders);
        command.arg(binary().parent().unwrap());
        command.arg("--").arg(program_);
        command
    }

    /// What its Nix calls itself.
    pub fn version(&self) -> String {
        let mut nix = self.command("nix", &[]);
        nix.arg("--version").current_dir(std::env::temp_dir());
        let version = run(&mut nix).succeeded().stdout;
        version.trim().rsplit(' ').next().unwrap().to_owned()
    }
}

/// From where this machine has its own packages.
fn fetch(suite: &str, path: &Path) -> Result<(), Ended> {
    let _ = fs::remove_dir_all(path);
    let ask = ["indextargets", "--format", "$(REPO_URI)"];
    let which = ["Created-By: Packages", "Component: main", "Label: Debian"];
    let known = output_of("apt-get", ask.iter().chain(&which));
    let mirror = known.lines().next().unwrap_or_else(|| {
        panic!("this machine's packages come from no Debian: there is no {suite} for it")
    });
    let mut make = program("mmdebstrap");
    make.args(["--quiet", "--mode=root", "--variant=essential"]);
    make.args([
        "--include=nix-bin,mount",
        "--aptopt=APT::Sandbox::User \"root\"",
    ]);
    make.args([
        "--aptopt=Acquire::Check-Valid-Until \"false\"",
        "--aptopt=Acquire::Retries \"5\"",
        suite,
    ]);
    let key = "/usr/share/keyrings/debian-archive-keyring.gpg";
    make.arg(path)
        .arg(format!("deb [signed-by={key}] {mirror} {suite} main"));
    let made = run(&mut make);
    if made.code != 0 {
        return Err(made);
    }
    fs::create_dir_all(path.join("etc/nix")).unwrap();
    fs::write(path.join("etc/nix/nix.conf"), NIX_CONF).unwrap();
    Ok(())
}
