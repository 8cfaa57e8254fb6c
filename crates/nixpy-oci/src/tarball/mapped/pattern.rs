//! Regular expressions as nix2container takes them: Go's, which are RE2's
//! (<https://github.com/google/re2/wiki/Syntax>). The `regex` crate has the same
//! ancestor and takes the same time for the same text, linear in its length.
//!
//! They differ at the edges: `\w`, `\d` and `\s` are Unicode's here and ASCII there.
//! Such a pattern may make another tar, which the diff ID that nix2container states
//! tells.

use regex::bytes::{Regex, RegexBuilder};

/// A pattern that compiles to more has not been written by a person.
const MAX_COMPILED: usize = 1 << 18;

/// A regular expression that is not anchored.
#[derive(Clone, Debug)]
pub struct Pattern {
    text: String,
    /// For text.
    of_characters: Regex,
    /// For what is not UTF-8, where `.` stands for one stray byte as well.
    of_bytes: Regex,
}

/// The text is no pattern.
#[derive(Debug, thiserror::Error)]
#[error("the regular expression {text:?} cannot be used")]
pub struct InvalidPattern {
    text: String,
    #[source]
    source: regex::Error,
}

impl Pattern {
    /// Reads a pattern.
    ///
    /// # Errors
    /// [`InvalidPattern`]: its grammar is wrong, or it would need too much memory.
    pub fn new(text: &str) -> Result<Self, InvalidPattern> {
        let build = |unicode| {
            RegexBuilder::new(text)
                .unicode(unicode)
                .size_limit(MAX_COMPILED)
                .build()
        };
        // `(?i)` is known for ASCII only: tables for all of Unicode are large. And
        // `[é]` means nothing where there are no characters.
        let (of_characters, of_bytes) = match (build(true), build(false)) {
            (Ok(of_characters), Ok(of_bytes)) => (of_characters, of_bytes),
            (Ok(only), Err(_)) | (Err(_), Ok(only)) => (only.clone(), only),
            (Err(source), Err(_)) => {
                return Err(InvalidPattern {
                    // Whole, it may be as long as the file that it is in.
                    text: text.chars().take(80).collect(),
                    source,
                });
            }
        };
        Ok(Self {
            text: text.to_owned(),
            of_characters,
            of_bytes,
        })
    }

    /// As it was written.
    pub fn as_str(&self) -> &str {
        &self.text
    }

    pub(super) fn is_match(&self, text: &[u8]) -> bool {
        self.for_text(text).is_match(text)
    }

    /// The text with every match replaced; `None` if it would be longer than `limit`.
    pub(super) fn replace_all(
        &self,
        text: &[u8],
        replacement: &str,
        limit: usize,
    ) -> Option<Vec<u8>> {
        let mut replaced = Vec::new();
        let mut rest = 0;
        for groups in self.for_text(text).captures_iter(text) {
            let whole = groups.get(0)?;
            replaced.extend_from_slice(&text[rest..whole.start()]);
            groups.expand(replacement.as_bytes(), &mut replaced);
            rest = whole.end();
            if replaced.len() > limit {
                return None;
            }
        }
        replaced.extend_from_slice(&text[rest..]);
        (replaced.len() <= limit).then_some(replaced)
    }

    fn for_text(&self, text: &[u8]) -> &Regex {
        match std::str::from_utf8(text) {
            Ok(_) => &self.of_characters,
            Err(_) => &self.of_bytes,
        }
    }
}

impl PartialEq for Pattern {
    fn eq(&self, other: &Self) -> bool {
        self.text == other.text
    }
}

impl Eq for Pattern {}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    #[test]
    fn patterns_that_people_write_are_small_enough() {
        for text in [
            "",
            "^/nix/store/18xqrvsx1s4sb0wibkn4wq04sggwxha2-python3.11-fastapi-0.115.0",
            r"^/nix/store/[0-9a-z]{32}-[\w.+-]+/(bin|sbin)/[^/]{1,64}$",
            r"(?i)(?P<name>\w+)\s*\d{1,3}.*\.(py|pyc|so(\.\d+)*)$",
            "/grüße/[éλ]",
        ] {
            Pattern::new(text).unwrap();
        }
    }

    #[test]
    fn a_pattern_that_takes_too_much_memory_is_refused() {
        for text in ["(a{1000}){1000}", "((((("] {
            let error = Pattern::new(text).unwrap_err().to_string();
            assert!(error.contains(text), "{error}");
        }
    }

    #[test]
    fn a_replacement_may_name_groups_and_has_an_end() {
        let pattern = Pattern::new("(?i)^/nix/STORE/([^/]*)").unwrap();
        let replace = |text: &str| pattern.replace_all(b"/nix/store/a/b", text, 100);
        assert_eq!(replace("/opt/$1").unwrap(), b"/opt/a/b");
        assert_eq!(replace("").unwrap(), b"/b");
        assert_eq!(replace("$$1${1}x").unwrap(), b"$1ax/b");
        assert_eq!(replace(&"$0".repeat(10)), None);
    }
}
