//! Python's tracebacks.
//!
//! Lines below `Traceback (most recent call last):` that stand further to the right belong to it; the next
//! one that does not names the exception. A `SyntaxError` has no such head, only a place.

use super::Level;
use super::clue::{Clue, Kind, Spot};

/// Frames that are kept; the outermost go.
const MOST_FRAMES: usize = 40;

/// Reads line after line.
#[derive(Debug, Default)]
pub(super) struct Tracebacks {
    open: Option<Open>,
}

#[derive(Debug)]
struct Open {
    indent: usize,
    frames: Vec<Spot>,
}

impl Tracebacks {
    pub(super) fn line(&mut self, line: &str) -> Option<Clue> {
        let body = line.trim_start();
        let indent = line.len() - body.len();
        if body.starts_with("Traceback (most recent call last):") {
            let frames = Vec::new();
            self.open = Some(Open { indent, frames });
            return None;
        }
        if let Some((spot, has_function)) = frame(body) {
            if self.open.is_none() && !has_function && indent >= 2 {
                let frames = Vec::new();
                let indent = indent - 2;
                self.open = Some(Open { indent, frames });
            }
            if let Some(open) = &mut self.open {
                if open.frames.len() >= MOST_FRAMES {
                    open.frames.remove(0);
                }
                open.frames.push(spot);
            }
            return None;
        }
        let over = self.open.as_ref().is_some_and(|open| indent <= open.indent);
        if body.is_empty() || !over {
            return None;
        }
        let open = self.open.take()?;
        let title = exception(body)?;
        (!open.frames.is_empty()).then(|| Clue {
            kind: Kind::Traceback,
            level: Level::Error,
            title: title.to_owned(),
            message: body.to_owned(),
            spots: open.frames,
        })
    }
}

/// `File "/build/source/app/x.py", line 3, in f`, and whether it says in which function.
fn frame(body: &str) -> Option<(Spot, bool)> {
    let (path, rest) = body.strip_prefix("File \"")?.split_once("\", line ")?;
    let digits = rest
        .find(|c: char| !c.is_ascii_digit())
        .unwrap_or(rest.len());
    let line = rest[..digits].parse().ok()?;
    Some((Spot::new(path, line, None), rest[digits..].starts_with(',')))
}

/// The name in `json.decoder.JSONDecodeError: Expecting value`.
fn exception(body: &str) -> Option<&str> {
    let name = body.split(':').next()?;
    let is_name = name.starts_with(|c: char| c.is_ascii_alphabetic() || c == '_')
        && name
            .chars()
            .all(|c| c.is_alphanumeric() || c == '_' || c == '.');
    is_name.then(|| name.rsplit('.').next().unwrap_or(name))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn clues(log: &str) -> Vec<Clue> {
        let mut tracebacks = Tracebacks::default();
        log.lines()
            .filter_map(|line| tracebacks.line(line))
            .collect()
    }

    #[test]
    fn all_frames_are_places_and_the_last_line_says_what_happened() {
        let log = "\
building
Traceback (most recent call last):
  File \"/build/source/setup.py\", line 7, in <module>
    main()
    ~~~~^^
  File \"/build/source/app/x.py\", line 3, in main
    raise app.errors.Broken(\"no luck\")
app.errors.Broken: no luck
more";
        let clues = clues(log);
        assert_eq!(clues.len(), 1);
        assert_eq!(clues[0].title, "Broken");
        assert_eq!(clues[0].message, "app.errors.Broken: no luck");
        let spots = &clues[0].spots;
        assert_eq!(spots[0], Spot::new("/build/source/setup.py", 7, None));
        assert_eq!(spots[1], Spot::new("/build/source/app/x.py", 3, None));
    }

    #[test]
    fn code_that_cannot_be_read_has_a_place_without_a_head() {
        let log = "  File \"/build/source/app/x.py\", line 3\n    def f(\n         ^\nSyntaxError: '(' was never closed";
        let clues = clues(log);
        assert_eq!(clues[0].title, "SyntaxError");
        assert_eq!(clues[0].spots.len(), 1);
    }

    #[test]
    fn one_that_another_program_has_indented_ends_where_its_indentation_does() {
        let log = "      Traceback (most recent call last):\n        File \"<string>\", line 8, in <module>\n      ModuleNotFoundError: No module named 'setuptools'\n";
        assert_eq!(clues(log)[0].title, "ModuleNotFoundError");
    }

    #[test]
    fn one_without_an_end_is_none() {
        assert!(
            clues("Traceback (most recent call last):\n  File \"x.py\", line 1, in f").is_empty()
        );
        assert!(clues("Traceback (most recent call last):\nValueError").is_empty());
        assert!(clues("  File \"x.py\", line 99999999999999, in f\nValueError: x").is_empty());
    }

    #[test]
    fn the_frames_of_a_recursion_without_end_are_not_all_kept() {
        let mut log = "Traceback (most recent call last):\n".to_owned();
        for n in 1..2000 {
            log += &format!("  File \"x.py\", line {n}, in f\n    f()\n");
        }
        log += "RecursionError: maximum recursion depth exceeded\n";
        let clues = clues(&log);
        assert_eq!(clues[0].spots.len(), MOST_FRAMES);
        assert_eq!(clues[0].spots[MOST_FRAMES - 1].line, Some(1999));
    }
}
