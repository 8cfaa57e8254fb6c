//! `nixpy-ci cache key`: a key to sign what is pushed with. The secret half is the result,
//! and goes to standard output or to a file of its own; what everybody may know, and what to
//! do with both, is told beside it.

use std::fs::OpenOptions;
use std::hash::{BuildHasher as _, Hasher as _, RandomState};
use std::io::{self, Write as _};
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::Path;

use clap::ArgMatches;
use nixpy_nix::signing::SecretKey;

use crate::exit::Code;
use crate::print;
use crate::redact::clean;
use crate::render::line;

/// Makes one.
pub fn key(flags: &ArgMatches) -> Code {
    let text = |name: &str| flags.get_one::<String>(name);
    let name = text("name").cloned().unwrap_or_else(default_name);
    let key = match SecretKey::generate(&name) {
        Ok(key) => key,
        Err(error) => {
            line(&format!("error: {error}"));
            return Code::Inputs;
        }
    };
    let place = match text("output") {
        Some(file) => match write(Path::new(file), &key) {
            Ok(()) => format!("the text of {file}"),
            Err(error) => {
                line(&format!("error: {file}: {}", told(&error)));
                return Code::Inputs;
            }
        },
        None => {
            print(&clean(format!("{}\n", key.expose())));
            "the line on standard output".to_owned()
        }
    };
    line(&format!("public key: {}", key.public()));
    line(&format!(
        "To sign what is pushed: keep {place} as a secret, and give it in NIXPY_CACHE_KEY."
    ));
    line(&format!(
        "To read it elsewhere: --cache-public-key {}, or in nix.conf: extra-trusted-public-keys = {0}",
        key.public()
    ));
    Code::Success
}

/// Never over something: an old key may have signed a whole cache.
fn write(file: &Path, key: &SecretKey) -> io::Result<()> {
    let mut options = OpenOptions::new();
    let mut file = options
        .write(true)
        .create_new(true)
        .mode(0o600)
        .open(file)?;
    writeln!(file, "{}", key.expose())
}

fn told(error: &io::Error) -> String {
    match error.kind() {
        io::ErrorKind::AlreadyExists => {
            "it exists, and may be a key that is in use: name another file".to_owned()
        }
        _ => format!("it cannot be written: {error}"),
    }
}

/// Of the folder that this is done in, which is the project's for the most part. Of two keys
/// of one name Nix believes one: no two have the same.
fn default_name() -> String {
    let here = std::env::current_dir().unwrap_or_default();
    let folder = here.file_name().unwrap_or_default().to_string_lossy();
    let allowed = |c: char| c.is_ascii_alphanumeric() || "._-".contains(c);
    let name = folder.replace(|c| !allowed(c), "-");
    let name = match name.trim_matches(['-', '.']) {
        "" => "nixpy-ci",
        name => name,
    };
    let drawn = RandomState::new().build_hasher().finish();
    format!("{name}-{:06x}", drawn & 0xff_ffff)
}
