//! Annotations by workflow commands: what a token without `checks: write` can still have shown
//! at a line of the project.
//!
//! A step shows ten of each level, and drops what comes after; a message is cut at 4,096
//! characters. So whoever has more chooses before.

use super::command::{escaped, escaped_property};

/// Of each level, a step shows so many.
pub const MOST_OF_A_LEVEL: usize = 10;
/// The runner cuts messages here, as it counts: in units of UTF-16.
pub const LONGEST_MESSAGE: usize = 4096;
/// A check run takes no longer title; no more is read of one here either.
pub const LONGEST_TITLE: usize = 255;

/// How bad it is, in GitHub's words.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Level {
    /// `error`, a check run's `failure`.
    Error,
    /// `warning`.
    Warning,
    /// `notice`.
    Notice,
}

/// Something to show, at a line of a file if it has one.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Annotation {
    /// How bad it is.
    pub level: Level,
    /// One line.
    pub title: String,
    /// As many lines as it takes.
    pub message: String,
    /// From the top of the repository, with slashes.
    pub file: Option<String>,
    /// From 1.
    pub line: Option<u32>,
    /// The last of them, if there are several.
    pub end_line: Option<u32>,
    /// From 1.
    pub column: Option<u32>,
}

/// What a step has shown of each level so far.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Shown {
    errors: usize,
    warnings: usize,
    notices: usize,
}

impl Level {
    /// As a workflow command is called.
    pub fn word(self) -> &'static str {
        match self {
            Self::Error => "error",
            Self::Warning => "warning",
            Self::Notice => "notice",
        }
    }
}

impl Shown {
    /// Takes note of one more; `false` if a step shows no more of that level.
    pub fn one_more(&mut self, level: Level) -> bool {
        let count = match level {
            Level::Error => &mut self.errors,
            Level::Warning => &mut self.warnings,
            Level::Notice => &mut self.notices,
        };
        *count += 1;
        *count <= MOST_OF_A_LEVEL
    }
}

impl Annotation {
    /// The workflow command, on one line.
    pub fn command(&self) -> String {
        let mut properties = Vec::new();
        let number = |name: &str, number: Option<u32>| number.map(|n| format!("{name}={n}"));
        if let Some(file) = &self.file {
            properties.push(format!("file={}", escaped_property(file)));
            properties.extend(number("line", self.line));
            properties.extend(number("endLine", self.end_line));
            properties.extend(number("col", self.column));
        }
        if !self.title.is_empty() {
            let title = cut(&self.title, LONGEST_TITLE);
            properties.push(format!("title={}", escaped_property(&title)));
        }
        let before = if properties.is_empty() { "" } else { " " };
        let message = match self.message.is_empty() {
            // The runner makes nothing of a command that says nothing.
            true => &self.title,
            false => &self.message,
        };
        format!(
            "::{}{before}{}::{}",
            self.level.word(),
            properties.join(","),
            escaped(&cut(message, LONGEST_MESSAGE))
        )
    }
}

/// The commands that a step shows, of annotations in the order of their use; and how many are
/// left out.
pub fn commands(annotations: &[Annotation], shown: &mut Shown) -> (Vec<String>, usize) {
    let chosen = annotations
        .iter()
        .filter(|annotation| shown.one_more(annotation.level));
    let commands: Vec<String> = chosen.map(Annotation::command).collect();
    let left = annotations.len() - commands.len();
    (commands, left)
}

/// The beginning of a text, as long as GitHub lets it be, with a sign that there was more.
pub fn cut(text: &str, most: usize) -> String {
    let mut units = 0;
    let mut fits = 0;
    for (at, c) in text.char_indices() {
        units += c.len_utf16();
        if units < most {
            fits = at + c.len_utf8();
        }
    }
    match units <= most {
        true => text.to_owned(),
        false => format!("{}…", &text[..fits]),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn annotation(level: Level, title: &str) -> Annotation {
        Annotation {
            level,
            title: title.to_owned(),
            message: "what\nto do".to_owned(),
            file: Some("app/x.py".to_owned()),
            line: Some(3),
            end_line: None,
            column: Some(5),
        }
    }

    #[test]
    fn a_command_names_the_place_and_stays_on_its_line() {
        assert_eq!(
            annotation(Level::Error, "a: b, c\n::error::d").command(),
            "::error file=app/x.py,line=3,col=5,title=a%3A b%2C c%0A%3A%3Aerror%3A%3Ad::what%0Ato do"
        );
        let bare = Annotation {
            title: String::new(),
            file: None,
            ..annotation(Level::Warning, "")
        };
        assert_eq!(bare.command(), "::warning::what%0Ato do");
    }

    #[test]
    fn ten_of_each_level_are_shown_and_the_rest_is_counted() {
        let mut all = vec![annotation(Level::Error, "e"); 14];
        all.extend(vec![annotation(Level::Warning, "w"); 3]);
        let mut shown = Shown::default();
        assert!(shown.one_more(Level::Error));
        let (commands, left) = commands(&all, &mut shown);
        assert_eq!((commands.len(), left), (9 + 3, 5));
    }

    #[test]
    fn a_message_is_cut_at_a_character_as_the_runner_counts() {
        let long = "🦀".repeat(3000);
        let cut = cut(&long, LONGEST_MESSAGE);
        assert!(cut.ends_with("🦀…"));
        assert_eq!(cut.encode_utf16().count(), LONGEST_MESSAGE - 1);
        assert_eq!(super::cut("fits", 4), "fits");
        assert_eq!(super::cut("fits not", 4), "fit…");
    }
}
