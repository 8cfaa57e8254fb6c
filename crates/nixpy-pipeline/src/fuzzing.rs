//! What has to hold of the readers here, whatever they are given: a function for each,
//! which panics when something does not hold, and tells whether the input was understood.
//!
//! `fuzz/` calls them with random input, the tests below with everything that has been
//! worth keeping of it (`fuzz/corpus`). They are compiled for these two alone.

pub use crate::findings::fuzzing::builder_log;
pub use crate::image::fuzzing::{conf, nix2container};
use nixpy_oci::manifest::Annotations;

use crate::index::index;
use crate::join::{Joined, Named, Wishes, join};
use crate::lockfile::{LockFile, ProjectName};
use crate::result::RunResult;

/// Larger inputs take longer, and tell nothing more.
pub(crate) const MOST: usize = 256 << 10;
/// jiff's range of years.
const MOST_DAYS: u32 = 20_000 * 366;

/// A lock file that is read says of its packages what can be: ages from the first to
/// the last day there is, names that do not change when they are normalised again.
pub fn lockfile(input: &[u8]) -> bool {
    let Ok(text) = std::str::from_utf8(input) else {
        return false;
    };
    if text.len() > MOST {
        return false;
    }
    let words = text.split(|c: char| !c.is_alphanumeric() && !"-_.".contains(c));
    let names: Vec<ProjectName> = words.map(ProjectName::of).collect();
    for name in &names {
        assert_eq!(&ProjectName::of(&name.to_string()), name);
    }
    let lock = match LockFile::parse(text) {
        Ok(lock) => lock,
        Err(error) => {
            assert!(!error.to_string().is_empty());
            return false;
        }
    };
    assert_eq!(LockFile::parse(text).ok().as_ref(), Some(&lock));
    for name in &names {
        let age = lock.age_in_days(name);
        assert!(age.is_none_or(|days| days <= MOST_DAYS), "{name}: {age:?}");
    }
    true
}

/// A result that is read back is what it was; and joined with itself it is what it is alone:
/// no platform twice, and one index.
pub fn result(input: &[u8]) -> bool {
    let result = match RunResult::parse(input) {
        Ok(result) => result,
        Err(error) => {
            assert!(!error.to_string().is_empty());
            return false;
        }
    };
    let again = RunResult::parse(result.to_json().as_bytes());
    assert_eq!(again.ok().as_ref(), Some(&result));
    let joined = |times: usize| {
        let name = "result.json".to_owned();
        let named = Named {
            name,
            result: result.clone(),
        };
        join(&vec![named; times], &Wishes::default())
    };
    match (joined(1), joined(2)) {
        (Ok(once), Ok(twice)) => {
            let bytes = |joined: &Joined| {
                let images = joined.images.iter();
                let manifests: Vec<_> = images.map(|image| image.manifest.clone()).collect();
                index(&manifests, &Annotations::new()).1
            };
            assert_eq!(bytes(&once), bytes(&twice));
            for (n, image) in once.images.iter().enumerate() {
                let platform = &image.report.platform;
                let mut others = once.images[..n].iter();
                assert!(!others.any(|other| other.report.platform.matches(platform)));
            }
        }
        (Err(once), Err(twice)) => assert!(!once.is_empty() && !twice.is_empty()),
        (once, twice) => panic!("once {once:?}, twice {twice:?}"),
    }
    true
}

#[cfg(test)]
mod tests {
    use nixpy_testkit::corpus;

    #[test]
    fn what_descriptions_of_scripts_must_keep_to_holds_of_all_that_were_found() {
        corpus::replay("conf", super::conf);
    }

    #[test]
    fn what_descriptions_of_nix2container_must_keep_to_holds_of_all_that_were_found() {
        corpus::replay("nix2container", super::nix2container);
    }

    #[test]
    fn what_logs_of_builders_must_keep_to_holds_of_all_that_were_found() {
        corpus::replay("builder_log", super::builder_log);
    }

    #[test]
    fn what_lock_files_must_keep_to_holds_of_all_that_were_found() {
        corpus::replay("lockfile", super::lockfile);
    }

    #[test]
    fn what_results_must_keep_to_holds_of_all_that_were_found() {
        corpus::replay("result", super::result);
    }
}
