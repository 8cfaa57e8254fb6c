//! What pytest says of tests that failed: the sections `FAILURES` and `ERRORS`, and the short summary.
//!
//! A test's part begins with its name between underscores. Lines that begin with `E` are what went wrong, and
//! `path:line: …` are the places, the innermost last. A test of which only the summary tells has a
//! file and a name, and its line is found in the file.

use super::Level;
use super::clue::{Clue, Kind, Spot};

/// Lines of what went wrong that are kept.
const MOST_LINES: usize = 12;
const MOST_SPOTS: usize = 40;
/// Names that are remembered, so that the summary does not tell them again.
const MOST_NAMES: usize = 200;

/// Reads line after line.
#[derive(Debug, Default)]
pub(super) struct Pytest {
    section: Section,
    open: Option<Open>,
    told: Vec<String>,
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
enum Section {
    #[default]
    Other,
    Failures,
    Summary,
}

#[derive(Debug)]
struct Open {
    heading: String,
    lines: Vec<String>,
    spots: Vec<Spot>,
}

impl Pytest {
    pub(super) fn line(&mut self, line: &str) -> Option<Clue> {
        if let Some(title) = between(line, '=') {
            let clue = self.end();
            self.section = match title {
                "FAILURES" | "ERRORS" => Section::Failures,
                "short test summary info" => Section::Summary,
                _ => Section::Other,
            };
            return clue;
        }
        match self.section {
            Section::Other => None,
            Section::Summary => self.summary(line),
            Section::Failures => match between(line, '_') {
                Some(heading) => {
                    let clue = self.end();
                    self.open = Some(Open {
                        heading: heading.to_owned(),
                        lines: Vec::new(),
                        spots: Vec::new(),
                    });
                    clue
                }
                None => {
                    if let Some(open) = &mut self.open {
                        open.line(line);
                    }
                    None
                }
            },
        }
    }

    /// No more lines come.
    pub(super) fn end(&mut self) -> Option<Clue> {
        let open = self.open.take()?;
        // With some forms of traceback only the summary knows where.
        if open.spots.is_empty() {
            return None;
        }
        let (name, title) = named(&open.heading);
        if self.told.len() < MOST_NAMES {
            self.told.push(name.to_owned());
        }
        Some(Clue {
            kind: Kind::Test(name.to_owned()),
            level: Level::Error,
            title,
            message: dedented(&open.lines),
            spots: open.spots,
        })
    }

    /// `FAILED tests/test_x.py::TestX::test_y[1] - assert 3 == 4`
    fn summary(&mut self, line: &str) -> Option<Clue> {
        let (failed, rest) = match line.split_once(' ')? {
            ("FAILED", rest) => (true, rest),
            ("ERROR", rest) => (false, rest),
            _ => return None,
        };
        let (test, message) = rest.split_once(" - ").unwrap_or((rest, ""));
        let (file, name) = match test.split_once("::") {
            Some((file, name)) => (file, name.replace("::", ".")),
            None => (test, test.to_owned()),
        };
        if !file.contains('.') {
            return None;
        }
        if let Some(known) = self.told.iter().position(|told| *told == name) {
            self.told.swap_remove(known);
            return None;
        }
        let spot = Spot::somewhere(file);
        Some(Clue {
            level: Level::Error,
            title: match failed {
                true => format!("{name} failed"),
                false => format!("{name} cannot be run"),
            },
            message: message.to_owned(),
            kind: Kind::Test(name),
            spots: vec![spot],
        })
    }
}

impl Open {
    fn line(&mut self, line: &str) {
        if let Some(said) = line.strip_prefix('E')
            && (said.is_empty() || said.starts_with(' '))
        {
            if self.lines.len() < MOST_LINES {
                self.lines.push(said.trim_end().to_owned());
            }
            return;
        }
        if self.spots.len() < MOST_SPOTS {
            self.spots.extend(place(line));
        }
    }
}

/// Lines without the blanks that all of them begin with.
fn dedented(lines: &[String]) -> String {
    let blanks = |line: &String| line.len() - line.trim_start_matches(' ').len();
    let full = lines.iter().filter(|line| !line.is_empty());
    let indent = full.map(blanks).min().unwrap_or(0);
    let cut: Vec<&str> = lines
        .iter()
        .map(|line| line.get(indent..).unwrap_or_default())
        .collect();
    cut.join("\n")
}

/// `tests/test_x.py:5: AssertionError`, `app/x.py:3: in f`, `tests/test_x.py:9: `
fn place(line: &str) -> Option<Spot> {
    let mut parts = line.splitn(3, ':');
    let (path, number, rest) = (parts.next()?, parts.next()?, parts.next()?);
    let is_path = path.ends_with(".py") && !path.starts_with([' ', '>']);
    let is_end = rest.is_empty() || rest.starts_with(' ');
    let line = number.parse().ok()?;
    (is_path && is_end).then(|| Spot::new(path, line, None))
}

/// What stands in the middle of a line of these. A line of nothing else is none.
fn between(line: &str, rule: char) -> Option<&str> {
    let inner = line.strip_prefix(rule)?.strip_suffix(rule)?;
    let inner = inner.trim_start_matches(rule).trim_end_matches(rule);
    let title = inner.strip_prefix(' ')?.strip_suffix(' ')?;
    let is_title = title.contains(|c: char| c != rule && c != ' ');
    is_title.then_some(title)
}

/// The name that the summary has too, and what is said of it.
fn named(heading: &str) -> (&str, String) {
    if let Some(file) = heading.strip_prefix("ERROR collecting ") {
        return (file, format!("{file} cannot be collected"));
    }
    for at in ["setup", "teardown"] {
        let said = heading.strip_prefix("ERROR at ");
        let name = said.and_then(|said| said.strip_prefix(at)?.strip_prefix(" of "));
        if let Some(name) = name {
            return (name, format!("{name}: {at} failed"));
        }
    }
    (heading, format!("{heading} failed"))
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    fn clues(log: &str) -> Vec<Clue> {
        let mut pytest = Pytest::default();
        let mut clues: Vec<Clue> = log.lines().filter_map(|line| pytest.line(line)).collect();
        clues.extend(pytest.end());
        clues
    }

    const LOG: &str = "\
============================= test session starts ==============================
tests/test_app.py FF                                                     [100%]

=================================== FAILURES ===================================
________________________________ test_addition _________________________________

    def test_addition():
>       assert add(1, 2) == 4
E       assert 3 == 4
E        +  where 3 = add(1, 2)

tests/test_app.py:5: AssertionError
________________________________ TestIt.test_y _________________________________

    def test_y(self):
>       broken()

tests/test_app.py:9: 
_ _ _ _ _ _ _ _ _ _ _ _ _ _ _ _ _ _ _ _ _ _ _ _ _ _ _ _ _ _ _ _ _ _ _ _ _ _ _ _ 

>       raise ValueError(\"x\")
E       ValueError: x

app/x.py:3: ValueError
=========================== short test summary info ============================
FAILED tests/test_app.py::test_addition - assert 3 == 4
FAILED tests/test_app.py::TestIt::test_y - ValueError: x
FAILED tests/test_app.py::test_z[a-b] - KeyError: 'k'
============================== 3 failed in 0.12s ===============================
";

    #[test]
    fn each_test_is_told_once_with_its_places() {
        let clues = clues(LOG);
        let titles: Vec<&str> = clues.iter().map(|clue| clue.title.as_str()).collect();
        assert_eq!(
            titles,
            [
                "test_addition failed",
                "TestIt.test_y failed",
                "test_z[a-b] failed"
            ]
        );
        assert_eq!(clues[0].message, "assert 3 == 4\n +  where 3 = add(1, 2)");
        let line = |n: usize| clues[n].spots.last().unwrap().line;
        assert_eq!((line(0), line(1), line(2)), (Some(5), Some(3), None));
        assert_eq!(clues[1].spots.len(), 2);
    }

    #[test]
    fn a_module_that_cannot_be_collected_is_told_with_its_reason() {
        let log = "\
==================================== ERRORS ====================================
_____________________ ERROR collecting tests/test_y.py _____________________
ImportError while importing test module '/build/source/tests/test_y.py'.
Traceback:
/nix/store/hash-python3/lib/python3.12/importlib/__init__.py:90: in import_module
    return _bootstrap._gcd_import(name[level:], package, level)
tests/test_y.py:1: in <module>
    import nothing
E   ModuleNotFoundError: No module named 'nothing'
=========================== short test summary info ============================
ERROR tests/test_y.py
!!!!!!!!!!!!!!!!!!!! Interrupted: 1 error during collection !!!!!!!!!!!!!!!!!!!!
";
        let clues = clues(log);
        assert_eq!(clues.len(), 1, "{clues:?}");
        assert_eq!(clues[0].title, "tests/test_y.py cannot be collected");
        assert_eq!(
            clues[0].message,
            "ModuleNotFoundError: No module named 'nothing'"
        );
        assert_eq!(
            clues[0].spots.last(),
            Some(&Spot::new("tests/test_y.py", 1, None))
        );
    }

    #[test]
    fn a_log_that_is_not_pytests_says_nothing() {
        assert!(
            clues("E   x\ntests/a.py:5: AssertionError\nFAILED tests/a.py::b\n=\n__\n_ _\n")
                .is_empty()
        );
        assert!(clues("= FAILURES =\n_ a _\nno place\n").is_empty());
    }
}
