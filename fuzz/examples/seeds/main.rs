//! Writes the hand-made part of the corpus: an input of every form that is known to
//! occur, from which fuzzing sets out. Run in this directory: `cargo run --example seeds`.

mod archives;
mod descriptions;
mod layouts;
mod recorded;
mod records;

use std::fs;
use std::path::Path;

/// Inputs by name.
type Seeds = Vec<(&'static str, Vec<u8>)>;

fn main() {
    for (target, seeds) in [
        ("archive", archives::seeds()),
        ("stored", layouts::seeds()),
        ("conf", descriptions::conf()),
        ("nix2container", descriptions::nix2container()),
        ("records", records::records()),
        ("lockfile", records::lock_files()),
        ("result", records::results()),
    ] {
        for (name, bytes) in seeds {
            write(target, name, &bytes);
        }
    }
    recorded::copy();
}

fn write(target: &str, name: &str, bytes: &[u8]) {
    let directory = Path::new(env!("CARGO_MANIFEST_DIR"))
        .join("corpus")
        .join(target);
    fs::create_dir_all(&directory).unwrap();
    fs::write(directory.join(format!("seed-{name}")), bytes).unwrap();
}
