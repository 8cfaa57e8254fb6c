//! What has to hold of the readers here, whatever they are given: a function for each,
//! which panics when something does not hold, and tells whether the input was understood.
//!
//! `fuzz/` calls them with random input, the tests below with everything that has been
//! worth keeping of it (`fuzz/corpus`). They are compiled for these two alone.

use std::collections::BTreeSet;
use std::time::Instant;

use serde_json::{Value, json};

use crate::log::{BuildWatch, LogEvent, LogParser, strip_ansi};
use crate::path_info::PathInfo;
use crate::{NarHash, derivation, path_info};

/// Larger inputs take longer, and tell nothing more.
const MOST: usize = 256 << 10;
const STORE: &str = "/nix/store";

/// What Nix tells about paths and derivations, whether it comes from this machine's
/// store or from what a binary cache says: what is understood is understood again.
pub fn path_info(input: &[u8]) -> bool {
    let Ok(text) = std::str::from_utf8(input) else {
        return false;
    };
    if text.len() > MOST {
        return false;
    }
    let told = path_info::read(text, STORE);
    if let Some(told) = &told {
        for (path, info) in told {
            let Some(info) = info else { continue };
            assert_eq!(&info.path, path);
            assert!(info.references.is_sorted());
            let hash = info.nar_hash;
            for spelt in [hash.to_string(), hash.to_nix_base32(), hash.to_hex()] {
                assert_eq!(spelt.parse::<NarHash>().ok(), Some(hash), "{spelt}");
            }
        }
        let list: Vec<Value> = told
            .iter()
            .map(|(path, info)| match info {
                Some(info) => listed(info),
                None => json!({ "path": path.as_str(), "valid": false }),
            })
            .collect();
        let again = path_info::read(&json!(list).to_string(), STORE);
        assert_eq!(again.as_ref(), Some(told));
    }
    let derivations = derivation::read(text, STORE);
    let listed = derivations.iter().flatten();
    assert!(listed.is_sorted_by(|one, other| one.path <= other.path));
    told.is_some() || derivations.is_some()
}

/// As Nix up to 2.18 writes it.
fn listed(info: &PathInfo) -> Value {
    let references: Vec<&str> = info.references.iter().map(|path| path.as_str()).collect();
    json!({
        "path": info.path.as_str(),
        "narHash": info.nar_hash.to_string(),
        "narSize": info.nar_size,
        "references": references,
        "deriver": info.deriver.as_ref().map(|path| path.as_str()),
        "ultimate": info.is_own,
        "ca": info.ca,
        "signatures": info.signatures,
    })
}

/// What Nix says while it works: the same events however the bytes come, harmless
/// texts, and a watch that keeps no more than it should.
pub fn log(input: &[u8]) -> bool {
    const TAIL: usize = 3;
    if input.len() > MOST {
        return false;
    }
    let whole = events(std::iter::once(input));
    assert_eq!(events(input.chunks(3)), whole);

    let mut watch = BuildWatch::new(TAIL);
    let now = Instant::now();
    for event in &whole {
        if let LogEvent::Message(message) = event {
            is_harmless(&message.text);
        }
        if let LogEvent::Line { text, .. } = event {
            is_harmless(text);
        }
        watch.observe(event, now);
    }
    for build in watch.builds().values() {
        assert!(build.tail.len() <= TAIL);
        assert!(build.duration().is_none_or(|took| took.is_zero()));
    }
    let named = watch
        .failures()
        .iter()
        .filter_map(|failure| failure.derivation.as_ref());
    let mut seen = BTreeSet::new();
    for derivation in named {
        assert!(seen.insert(derivation), "{derivation} failed twice");
    }
    whole
        .iter()
        .any(|event| !matches!(event, LogEvent::Message(_)))
}

fn events<'a>(parts: impl Iterator<Item = &'a [u8]>) -> Vec<LogEvent> {
    let mut parser = LogParser::default();
    let mut events = Vec::new();
    for part in parts {
        parser.feed(part, &mut |event| events.push(event));
    }
    parser.finish(&mut |event| events.push(event));
    events
}

/// A terminal shows it, and does nothing else.
fn is_harmless(text: &str) {
    assert!(
        text.chars().all(|c| !c.is_control() || "\n\t".contains(c)),
        "{text:?}"
    );
    assert_eq!(strip_ansi(text), text);
}

#[cfg(test)]
mod tests {
    use nixpy_testkit::corpus;

    #[test]
    fn what_paths_must_keep_to_holds_of_all_that_were_found() {
        corpus::replay("path_info", super::path_info);
    }

    #[test]
    fn what_logs_must_keep_to_holds_of_all_that_were_found() {
        corpus::replay("log", super::log);
    }
}
