//! What is in a layer, by name and size, as its descriptor says it.
//!
//! A digest tells nothing of what is behind it. These few bytes let a later run
//! keep together what was together, and tell people what has grown, without
//! fetching a layer. What the names mean is the caller's affair.
//!
//! Grammar: `NAME=SIZE`, separated by one space; SIZE is decimal, in bytes, and NAME
//! has no white space.

use serde::{Deserialize, Serialize};

/// More is not read: an image has a few thousand things in it at most.
const MOST: usize = 100_000;

/// One thing in a layer.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Content {
    /// What it is called.
    pub name: String,
    /// In bytes, uncompressed.
    pub size: u64,
}

/// As it stands in an annotation; what has no name that can stand there is left out.
pub fn written(contents: &[Content]) -> String {
    let named = contents.iter().filter(|content| can_stand(&content.name));
    let words: Vec<String> = named
        .map(|content| format!("{}={}", content.name, content.size))
        .collect();
    words.join(" ")
}

/// What an annotation says; nothing if a word of it is no content.
pub fn read(text: &str) -> Vec<Content> {
    let words = text.split(' ').take(MOST).map(|word| {
        let (name, size) = word.rsplit_once('=')?;
        if !can_stand(name) {
            return None;
        }
        Some(Content {
            name: name.to_owned(),
            size: size.parse().ok()?,
        })
    });
    words.collect::<Option<_>>().unwrap_or_default()
}

fn can_stand(name: &str) -> bool {
    !name.is_empty() && !name.contains(char::is_whitespace)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_written_is_read() {
        let contents = [("abc-python3-3.11", 5), ("d=e", u64::MAX)].map(|(name, size)| Content {
            name: name.to_owned(),
            size,
        });
        assert_eq!(
            written(&contents),
            "abc-python3-3.11=5 d=e=18446744073709551615"
        );
        assert_eq!(read(&written(&contents)), contents);
    }

    #[test]
    fn what_is_no_list_of_contents_says_nothing() {
        for text in ["", "a", "a=", "a=-1", "a=1  b=2", "a=1 b", "=1", "a\tb=1"] {
            assert_eq!(read(text), [], "{text:?}");
        }
    }
}
