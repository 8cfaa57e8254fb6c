//! What a line or several of a log say, before it is known whether the project has
//! the files that they name.

use super::Level;

/// Bytes of a line that are looked at.
pub(super) const LONGEST_LINE: usize = 2000;

/// A longer path is none of a project.
const LONGEST_PATH: usize = 500;

/// What was recognised.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Clue {
    pub kind: Kind,
    pub level: Level,
    pub title: String,
    pub message: String,
    /// The outermost first: the last that is a file of the project counts.
    pub spots: Vec<Spot>,
}

/// Who said it, the most useful to the reader first.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Kind {
    /// Python has no such module, and it is one that builds packages.
    Backend(String),
    /// A test that failed, by its name.
    Test(String),
    /// What Python said when it ended.
    Traceback,
    /// A type checker or a compiler.
    Types,
    /// A linter.
    Lint,
    /// A formatter.
    Format,
}

/// A place as a log names it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Spot {
    pub path: String,
    /// Unknown if `None`.
    pub line: Option<u32>,
    pub column: Option<u32>,
}

impl Spot {
    pub(super) fn new(path: &str, line: u32, column: Option<u32>) -> Self {
        Self {
            path: cut(path, LONGEST_PATH).to_owned(),
            line: Some(line.max(1)),
            column: column.filter(|column| *column > 0),
        }
    }

    /// Somewhere in a file.
    pub(super) fn somewhere(path: &str) -> Self {
        Self {
            path: cut(path, LONGEST_PATH).to_owned(),
            line: None,
            column: None,
        }
    }
}

/// The beginning of a text, at a character's end.
pub(super) fn cut(text: &str, most: usize) -> &str {
    &text[..text.floor_char_boundary(most)]
}
