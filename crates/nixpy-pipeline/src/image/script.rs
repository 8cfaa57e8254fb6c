//! Scripts of `dockerTools.streamLayeredImage`: finding the description that
//! they are given, and running them when it is not understood.
//!
//! nixpkgs wraps one Python program, and the wrapper names a `…-conf.json` in
//! the store. How the wrapper is written has changed over the years; that the
//! name stands in it has not.

use std::path::{Path, PathBuf};

use nixpy_oci::image::Archive;

/// The description that a script names.
pub(crate) fn conf_of(script: &str, store_dir: &str) -> Option<PathBuf> {
    let in_name = |c: char| c.is_ascii_alphanumeric() || "+-._?=".contains(c);
    script.match_indices(store_dir).find_map(|(start, _)| {
        let rest = script[start..].strip_prefix(store_dir)?.strip_prefix('/')?;
        let name = rest.split(|c| !in_name(c)).next()?;
        name.ends_with("conf.json")
            .then(|| Path::new(store_dir).join(name))
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
}
