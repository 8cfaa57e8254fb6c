//! Takes out of a text what differs from run to run, so that the rest can be
//! compared with a recorded one.

use std::collections::BTreeMap;
use std::fmt;
use std::path::Path;

use regex::{Captures, Regex};

/// A text in which some things were replaced; [`fmt::Display`] gives it back.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Redacted(String);

/// Begins with the whole text.
pub fn redact(text: impl Into<String>) -> Redacted {
    Redacted(text.into())
}

impl Redacted {
    /// A path, and its canonical form if that is another, becomes this name. Give
    /// the longer of two paths first if one contains the other.
    pub fn path(self, path: impl AsRef<Path>, name: &str) -> Self {
        let path = path.as_ref();
        let canonical = path.canonicalize().unwrap_or_else(|_| path.to_path_buf());
        let mut forms = [canonical.display().to_string(), path.display().to_string()];
        forms.sort_by_key(|form| std::cmp::Reverse(form.len()));
        Self(
            forms
                .iter()
                .fold(self.0, |text, form| text.replace(form, name)),
        )
    }

    /// A text becomes another.
    pub fn text(self, text: &str, name: &str) -> Self {
        Self(self.0.replace(text, name))
    }

    /// Digests (`sha256:…`, `sha256-…=`, 64 bare hex digits) become `[DIGEST 1]`,
    /// `[DIGEST 2]`: equal ones stay equal, and different ones different.
    pub fn digests(self) -> Self {
        self.numbered(
            r"sha(?:256|512):[0-9a-f]{64,128}|sha256-[A-Za-z0-9+/]{43}=|\b[0-9a-f]{64}\b",
            "DIGEST",
        )
    }

    /// The hashes in store paths become `[HASH 1]`, `[HASH 2]`.
    pub fn store_hashes(self) -> Self {
        self.numbered(r"\b[0-9abcdfghijklmnpqrsvwxyz]{32}-", "HASH-")
    }

    /// Ports of this machine become `[PORT]`.
    pub fn ports(self) -> Self {
        self.replaced(r"(127\.0\.0\.1|localhost|\[::1\]):\d{1,5}\b", "$1:[PORT]")
    }

    /// `12ms`, `3.4 s`, `1m 02s` become `[TIME]`.
    pub fn durations(self) -> Self {
        let one = r"\d+(?:\.\d+)? ?(?:ns|µs|us|ms|s|min|m|h)\b";
        self.replaced(&format!(r"\b{one}(?: ?{one})*"), "[TIME]")
    }

    /// `2024-05-01T12:00:00Z` and the like become `[DATE]`.
    pub fn dates(self) -> Self {
        self.replaced(
            r"\b\d{4}-\d\d-\d\d[T ]\d\d:\d\d:\d\d(?:\.\d+)?(?:Z|[+-]\d\d:\d\d)?",
            "[DATE]",
        )
    }

    /// Colours and other terminal codes go. To be called first: to the others the
    /// `32m` of a colour is a duration.
    pub fn ansi(self) -> Self {
        self.replaced(r"\x1b\[[0-9;?]*[ -/]*[@-~]", "")
    }

    fn replaced(self, pattern: &str, with: &str) -> Self {
        Self(
            Regex::new(pattern)
                .unwrap()
                .replace_all(&self.0, with)
                .into_owned(),
        )
    }

    /// A dash at the end of `name` is one that the pattern takes and the text keeps.
    fn numbered(self, pattern: &str, name: &str) -> Self {
        let mut numbers = BTreeMap::new();
        let (name, tail) = name
            .strip_suffix('-')
            .map_or((name, ""), |name| (name, "-"));
        let replaced = Regex::new(pattern)
            .unwrap()
            .replace_all(&self.0, |found: &Captures<'_>| {
                let next = numbers.len() + 1;
                let number = numbers.entry(found[0].to_owned()).or_insert(next);
                format!("[{name} {number}]{tail}")
            });
        Self(replaced.into_owned())
    }
}

impl fmt::Display for Redacted {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}
