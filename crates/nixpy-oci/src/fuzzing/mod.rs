//! What has to hold of the readers here, whatever they are given: a function for each,
//! which panics when something does not hold, and tells whether the input was understood.
//!
//! `fuzz/` calls them with random input, the tests below with everything that has been
//! worth keeping of it (`fuzz/corpus`). They are compiled for these two alone.

mod archive;
mod mended;
mod records;
mod stored;

use std::error::Error;

pub use archive::archive;
pub use records::records;
pub use stored::stored;

/// That an error can be told.
fn is_told(error: &dyn Error) {
    let mut cause = Some(error);
    while let Some(error) = cause {
        assert!(!error.to_string().is_empty(), "without a word: {error:?}");
        cause = error.source();
    }
}

#[cfg(test)]
mod tests {
    use nixpy_testkit::corpus;

    #[test]
    fn what_archives_must_keep_to_holds_of_all_that_were_found() {
        corpus::replay("archive", super::archive);
    }

    #[test]
    fn what_layouts_must_keep_to_holds_of_all_that_were_found() {
        corpus::replay("stored", super::stored);
    }

    #[test]
    fn what_records_must_keep_to_holds_of_all_that_were_found() {
        corpus::replay("records", super::records);
    }
}
