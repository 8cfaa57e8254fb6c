//! The report as one page to look at.

use nixpy_pipeline::report::Report;

/// The page.
pub fn page(_report: &Report) -> String {
    String::new()
}
