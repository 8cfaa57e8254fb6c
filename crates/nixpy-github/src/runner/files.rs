//! The files by which a step tells the runner something: `GITHUB_OUTPUT`, `GITHUB_STATE`. Both
//! take `NAME=VALUE`, or several lines between delimiters; what a value says can end neither
//! form, because every value stands between delimiters that nobody can guess.

use std::fmt::Write as _;
use std::hash::{BuildHasher as _, Hasher as _, RandomState};
use std::io::Write as _;
use std::path::Path;

/// GitHub keeps no more of a job's outputs; a value that is longer is left out.
pub const LARGEST: usize = 1 << 20;

/// Adds these values to a file of the runner.
///
/// # Errors
/// It cannot be written.
pub fn add<'a>(
    file: &Path,
    values: impl IntoIterator<Item = (&'a str, &'a str)>,
) -> std::io::Result<()> {
    let mut text = String::new();
    for (name, value) in values {
        if text.len() + value.len() < LARGEST {
            text.push_str(&between_delimiters(name, value));
        }
    }
    let mut file = std::fs::OpenOptions::new()
        .append(true)
        .create(true)
        .open(file)?;
    file.write_all(text.as_bytes())
}

fn between_delimiters(name: &str, value: &str) -> String {
    let mut delimiter = random();
    while value.contains(&delimiter) {
        delimiter = random();
    }
    let mut text = String::new();
    let _ = writeln!(text, "{name}<<{delimiter}\n{value}\n{delimiter}");
    text
}

/// 128 bits from the seeds that the standard library draws from the system.
fn random() -> String {
    let draw = || RandomState::new().build_hasher().finish();
    format!("end-{:016x}{:016x}", draw(), draw())
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    /// By the rules of `FileCommandManager` in <https://github.com/actions/runner>.
    fn read(text: &str) -> Vec<(String, String)> {
        let mut values = Vec::new();
        let mut lines = text.lines();
        while let Some(line) = lines.next() {
            let (name, delimiter) = line.split_once("<<").unwrap();
            let value: Vec<&str> = lines
                .by_ref()
                .take_while(|line| *line != delimiter)
                .collect();
            values.push((name.to_owned(), value.join("\n")));
        }
        values
    }

    #[test]
    fn a_value_says_nothing_but_itself() {
        let dir = tempfile_dir();
        let file = dir.join("output");
        let hostile = "a\nEOF\nimage=forged\nend-0<<x\n\n";
        add(&file, [("one", "1"), ("two", hostile)]).unwrap();
        add(&file, [("three", "")]).unwrap();
        let found = read(&std::fs::read_to_string(&file).unwrap());
        let names: Vec<&str> = found.iter().map(|(name, _)| name.as_str()).collect();
        assert_eq!(names, ["one", "two", "three"]);
        assert_eq!(found[1].1, hostile);
        std::fs::remove_dir_all(dir).unwrap();
    }

    #[test]
    fn what_is_too_long_is_left_out_and_the_rest_is_there() {
        let dir = tempfile_dir();
        let file = dir.join("output");
        let long = "x".repeat(LARGEST);
        add(&file, [("long", long.as_str()), ("short", "s")]).unwrap();
        let found = read(&std::fs::read_to_string(&file).unwrap());
        assert_eq!(found, [("short".to_owned(), "s".to_owned())]);
        std::fs::remove_dir_all(dir).unwrap();
    }

    #[test]
    fn no_two_values_have_the_same_delimiter() {
        assert_ne!(between_delimiters("a", "b"), between_delimiters("a", "b"));
    }

    fn tempfile_dir() -> std::path::PathBuf {
        let dir = std::env::temp_dir().join(random());
        std::fs::create_dir(&dir).unwrap();
        dir
    }
}
