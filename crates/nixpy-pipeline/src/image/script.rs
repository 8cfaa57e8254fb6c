//! Scripts of `dockerTools.streamLayeredImage`: finding the description that
//! they are given, and running them when it is not understood.
//!
//! nixpkgs wraps one Python program, and the wrapper names a `…-conf.json` in
//! the store. How the wrapper is written has changed over the years; that the
//! name stands in it has not.

use std::path::{Path, PathBuf};

use nixpy_oci::image::Archive;

use super::Files;

/// The description that a script names.
pub(crate) fn conf_of(script: &str, store_dir: &str) -> Option<PathBuf> {
    let mut names = names(script, store_dir);
    let conf = names.find(|name| name.ends_with("conf.json"))?;
    Some(Path::new(store_dir).join(conf))
}

/// The files that may be the program which a script wraps.
pub(crate) fn programs_of(script: &str, store_dir: &str) -> Vec<PathBuf> {
    let programs = names(script, store_dir).filter(|name| name.contains("stream"));
    programs
        .map(|name| Path::new(store_dir).join(name))
        .collect()
}

/// The mode that a script gives to `/nix` and `/nix/store`: nixpkgs has changed it, and
/// nothing but the program itself says so.
pub(super) fn store_mode(script: &str, store_dir: &str, files: &Files) -> u32 {
    let programs = programs_of(script, store_dir).into_iter();
    let mut texts = programs.filter_map(|program| files.read(&program).ok());
    match texts.any(|text| text.contains("0o0555")) {
        true => 0o555,
        false => 0o755,
    }
}

/// What is named of the store, without the store itself.
fn names<'a>(script: &'a str, store_dir: &'a str) -> impl Iterator<Item = &'a str> {
    let in_name = |c: char| c.is_ascii_alphanumeric() || "+-._?=".contains(c);
    script
        .match_indices(store_dir)
        .filter_map(move |(start, _)| {
            let rest = script[start..].strip_prefix(store_dir)?.strip_prefix('/')?;
            rest.split(|c| !in_name(c)).next()
        })
}

/// The archive that a script writes to its standard output.
pub(super) fn run(script: &Path) -> Archive {
    let script = script.to_owned();
    Archive::Stream {
        name: script.clone(),
        open: std::sync::Arc::new(move || nixpy_nix::script::output_of(&script)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::image::Fetched;

    #[test]
    fn the_description_is_found_in_every_kind_of_wrapper() {
        let conf = "/nix/store/18xqrvsx1s4sb0wibkn4wq04sggwxha2-base-api-conf.json";
        let python = "/nix/store/45la72p0whwhrkyhyjaxrvnn9ribq4vx-python3-3.11.2/bin/python3";
        for script in [
            format!("#!{python}\nimport sys\nsys.argv[1:1] = ['{conf}']\n"),
            format!("#! /bin/sh -e\nexec \"/nix/store/x-stream\" {conf} \"$@\"\n"),
            format!("#!/bin/sh\nexec {python} x.py \"{conf}\""),
        ] {
            assert_eq!(
                conf_of(&script, "/nix/store").as_deref(),
                Some(Path::new(conf))
            );
        }
        assert_eq!(
            conf_of("#!/bin/sh\nexec /nix/store/a-b/bin/c\n", "/nix/store"),
            None
        );
    }

    #[test]
    fn the_mode_of_the_store_is_what_the_program_says() {
        let program = "/nix/store/45la72p0whwhrkyhyjaxrvnn9ribq4vx-stream";
        let script = format!("#!/bin/sh\nexec {program} /nix/store/x-conf.json\n");
        for (text, mode) in [
            (
                "def nix_root(ti):\n  ti.mode = 0o0555  # r-xr-xr-x\n",
                0o555,
            ),
            (
                "def nix_root(ti):\n  ti.mode = 0o0755  # rwxr-xr-x\n",
                0o755,
            ),
        ] {
            let file = (PathBuf::from(program), Fetched::Text(text.to_owned()));
            let files = Files::Fetched([file].into());
            assert_eq!(store_mode(&script, "/nix/store", &files), mode, "{text}");
        }
        let none = Files::Fetched([].into());
        assert_eq!(store_mode(&script, "/nix/store", &none), 0o755);
    }
}
