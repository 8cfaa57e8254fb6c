//! What flakes have answered, kept between runs on one machine.
//!
//! An answer is found by the flake's fingerprint and the question, and holds only as
//! long as every derivation it names is in the store. Losing the directory costs an
//! evaluation, nothing else; so whatever goes wrong with it is passed over.

use std::fs;
use std::path::{Path, PathBuf};
use std::time::SystemTime;

use serde::Serialize;
use serde::de::DeserializeOwned;

/// The oldest go beyond this; one has a few kilobytes.
const MOST: usize = 200;

/// One answer's place.
#[derive(PartialEq, Eq)]
pub struct Memo {
    file: PathBuf,
}

impl Memo {
    /// The place for the answer of the flake with this fingerprint to this question.
    pub fn of(directory: &Path, fingerprint: &str, question: &impl Serialize) -> Self {
        let identity = nixpy_oci::layer::Identity::of(fingerprint, question);
        let name = identity.to_string().replace(':', "-");
        Self {
            file: directory.join(name).with_extension("json"),
        }
    }

    /// The answer, if there is one that reads back.
    pub fn recall<T: DeserializeOwned>(&self) -> Option<T> {
        serde_json::from_slice(&fs::read(&self.file).ok()?).ok()
    }

    /// Keeps an answer, and drops the oldest of too many.
    pub fn keep(&self, answer: &impl Serialize) {
        let Some(directory) = self.file.parent() else {
            return;
        };
        let write = || -> Option<()> {
            fs::create_dir_all(directory).ok()?;
            let mut file = tempfile::NamedTempFile::new_in(directory).ok()?;
            serde_json::to_writer(&mut file, answer).ok()?;
            file.persist(&self.file).ok()?;
            Some(())
        };
        if write().is_some() {
            drop_oldest(directory);
        }
    }
}

fn drop_oldest(directory: &Path) {
    let entries = fs::read_dir(directory).into_iter().flatten().flatten();
    let mut aged: Vec<(SystemTime, PathBuf)> = entries
        .filter_map(|entry| Some((entry.metadata().ok()?.modified().ok()?, entry.path())))
        .collect();
    aged.sort();
    let surplus = aged.len().saturating_sub(MOST);
    for (_, file) in aged.into_iter().take(surplus) {
        let _ = fs::remove_file(file);
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    #[test]
    fn an_answer_is_found_by_flake_and_question_and_nothing_else() {
        let dir = tempfile::tempdir().unwrap();
        Memo::of(dir.path(), "flake", &"question").keep(&"answer");
        let recalled = |flake: &str, question: &str| -> Option<String> {
            Memo::of(dir.path(), flake, &question).recall()
        };
        assert_eq!(recalled("flake", "question").as_deref(), Some("answer"));
        assert_eq!(recalled("changed", "question"), None);
        assert_eq!(recalled("flake", "other"), None);
    }

    #[test]
    fn a_damaged_answer_is_none() {
        let dir = tempfile::tempdir().unwrap();
        let memo = Memo::of(dir.path(), "flake", &"question");
        memo.keep(&"answer");
        fs::write(&memo.file, "{").unwrap();
        assert_eq!(memo.recall::<String>(), None);
    }

    #[test]
    fn the_oldest_of_too_many_go() {
        let dir = tempfile::tempdir().unwrap();
        for n in 0..MOST + 3 {
            Memo::of(dir.path(), "flake", &n).keep(&n);
        }
        assert_eq!(fs::read_dir(dir.path()).unwrap().count(), MOST);
    }
}
