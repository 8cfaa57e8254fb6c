//! Fixed-output derivations whose content is another than the flake says.

use nixpy_nix::{NarHash, StorePath};

use super::collector::at;
use super::project::Project;
use super::{Finding, Level};

/// Files in which hashes are written down.
const KINDS: [&str; 5] = [".nix", ".lock", ".toml", ".json", ".txt"];

/// What is wrong, at the line that has the old hash, if there is one and no other.
pub(super) fn finding(
    derivation: &StorePath,
    specified: &str,
    got: &str,
    project: Option<&Project>,
) -> Finding {
    let name = derivation.name().trim_end_matches(".drv");
    let place = project.and_then(|project| {
        let mut spellings = spellings(specified).into_iter();
        spellings.find_map(|hash| project.line_with(&hash, &KINDS))
    });
    let message = format!(
        "What was fetched for {name} has another hash than the flake says.\n\
         If it was meant to change, write this in place of {specified}:\n\n{got}"
    );
    Finding {
        level: Level::Error,
        title: format!("hash mismatch in {name}"),
        message,
        place: place.map(|(file, line)| at(file, line)),
        derivation: Some(derivation.clone()),
    }
}

/// As people write it: for one that is all zeros nixpkgs has names.
fn spellings(specified: &str) -> Vec<String> {
    let mut spellings = vec![specified.to_owned()];
    let hash = specified.parse::<NarHash>().ok();
    if let Some(hash) = hash {
        let base32 = hash.to_nix_base32();
        spellings.push(base32.trim_start_matches("sha256:").to_owned());
        spellings.push(hash.to_string());
        spellings.push(hash.to_hex());
        if hash.as_bytes() == &[0; 32] {
            let names = [
                "lib.fakeHash",
                "lib.fakeSha256",
                "hash = \"\"",
                "Hash = \"\"",
            ];
            spellings.extend(names.map(str::to_owned));
        }
    }
    spellings.dedup();
    spellings
}
