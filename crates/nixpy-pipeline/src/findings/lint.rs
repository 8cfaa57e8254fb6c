//! Lines of tools that name a place and what is wrong there: mypy, pyright, ruff, flake8, black,
//! and the compilers of extensions.
//!
//! | tool | line |
//! |---|---|
//! | mypy | `x.py:3:5: error: Incompatible return value type  [return-value]` |
//! | pyright | `/build/source/x.py:3:5 - error: … (reportReturnType)` |
//! | ruff, flake8 | ``x.py:1:8: F401 [*] `os` imported but unused`` |
//! | ruff in full | the same without the place, and ` --> x.py:1:8` below |
//! | rustc | `error[E0425]: cannot find value`, and ` --> src/lib.rs:1:8` below |
//! | gcc, clang | `src/x.c:3:5: error: …` |
//! | ruff, black | `Would reformat: x.py` |

use super::Level;
use super::clue::{Clue, Kind, Spot};

/// Reads line after line.
#[derive(Debug, Default)]
pub(super) struct Lints {
    /// What was said a line before its place.
    head: Option<Said>,
}

#[derive(Debug, PartialEq, Eq)]
struct Said {
    kind: Kind,
    level: Level,
    title: String,
    message: String,
}

impl Said {
    fn at(self, spot: Spot) -> Clue {
        Clue {
            kind: self.kind,
            level: self.level,
            title: self.title,
            message: self.message,
            spots: vec![spot],
        }
    }
}

impl Lints {
    pub(super) fn line(&mut self, line: &str) -> Option<Clue> {
        let body = line.trim();
        if let Some(place) = body.strip_prefix("--> ") {
            let (spot, _) = located(place)?;
            return self.head.take().map(|said| said.at(spot));
        }
        self.head = head(body);
        if let Some(path) = reformatted(body) {
            let said = Said {
                kind: Kind::Format,
                level: Level::Error,
                title: "not formatted".to_owned(),
                message: body.to_owned(),
            };
            return Some(said.at(Spot::new(path, 1, None)));
        }
        let (spot, rest) = located(body)?;
        let said = said(&spot.path, rest)?;
        Some(said.at(spot))
    }
}

/// `path:line[:column[:…]]`, and what is said of it.
fn located(text: &str) -> Option<(Spot, &str)> {
    let (at, _) = text.match_indices(':').find(|(at, _)| {
        let next = text.as_bytes().get(at + 1);
        next.is_some_and(u8::is_ascii_digit)
    })?;
    let path = &text[..at];
    if !path.contains('.') || path.len() > 500 {
        return None;
    }
    let mut numbers = Vec::new();
    let mut rest = &text[at..];
    while let Some(next) = rest.strip_prefix(':') {
        let end = next
            .find(|c: char| !c.is_ascii_digit())
            .unwrap_or(next.len());
        let Ok(number) = next[..end].parse::<u32>() else {
            break;
        };
        numbers.push(number);
        rest = &next[end..];
    }
    let line = *numbers.first()?;
    let said = rest.strip_prefix(':').or_else(|| rest.strip_prefix(" - "));
    let said = match rest {
        "" => "",
        _ => said?,
    };
    Some((Spot::new(path, line, numbers.get(1).copied()), said.trim()))
}

/// What is said behind a place.
fn said(path: &str, rest: &str) -> Option<Said> {
    let levels = [
        ("error: ", Level::Error),
        ("fatal error: ", Level::Error),
        ("warning: ", Level::Warning),
    ];
    for (word, level) in levels {
        if let Some(message) = rest.strip_prefix(word) {
            let is_python = path.ends_with(".py") || path.ends_with(".pyi");
            let title = match (is_python, code_at_end(message)) {
                (true, Some(code)) => code.to_owned(),
                (true, None) => "type error".to_owned(),
                (false, _) => "does not compile".to_owned(),
            };
            return Some(Said {
                kind: Kind::Types,
                level,
                title,
                message: message.to_owned(),
            });
        }
    }
    rule(rest)
}

/// `return-value` of `…  [return-value]`, `reportReturnType` of `… (reportReturnType)`.
fn code_at_end(message: &str) -> Option<&str> {
    let mypy = message.strip_suffix(']').and_then(|m| m.rsplit_once("  ["));
    let pyright = message.strip_suffix(')').and_then(|m| m.rsplit_once(" ("));
    let (_, code) = mypy.or(pyright)?;
    let is_code = |c: char| c.is_ascii_alphanumeric() || c == '-';
    (!code.is_empty() && code.chars().all(is_code)).then_some(code)
}

/// ``F401 [*] `os` imported but unused``, `C0114: Missing module docstring`.
fn rule(text: &str) -> Option<Said> {
    let (code, message) = text.split_once(' ')?;
    let code = code.trim_end_matches(':');
    let letters = code
        .find(|c: char| !c.is_ascii_uppercase())
        .unwrap_or(code.len());
    let digits = &code[letters..];
    let is_rule = (1..=6).contains(&letters)
        && (3..=4).contains(&digits.len())
        && digits.bytes().all(|byte| byte.is_ascii_digit());
    let is_syntax = code == "invalid-syntax" || code == "SyntaxError";
    (is_rule || is_syntax).then(|| Said {
        kind: Kind::Lint,
        level: Level::Error,
        title: code.to_owned(),
        message: message.trim_start_matches("[*] ").trim().to_owned(),
    })
}

/// What may have its place on the next line.
fn head(body: &str) -> Option<Said> {
    let rust = |word: &str, level| {
        let rest = body.strip_prefix(word)?;
        let (code, message) = rest.split_once(": ")?;
        let is_code = code.is_empty() || code.starts_with('[') && code.ends_with(']');
        is_code.then(|| Said {
            kind: Kind::Types,
            level,
            title: "does not compile".to_owned(),
            message: message.to_owned(),
        })
    };
    rule(body)
        .or_else(|| rust("error", Level::Error))
        .or_else(|| rust("warning", Level::Warning))
}

fn reformatted(body: &str) -> Option<&str> {
    let path = body
        .strip_prefix("Would reformat: ")
        .or_else(|| body.strip_prefix("would reformat "))?;
    path.contains('.').then_some(path)
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    fn clue(log: &str) -> Clue {
        let mut lints = Lints::default();
        log.lines().find_map(|line| lints.line(line)).unwrap()
    }

    #[test]
    fn each_tool_is_read_in_its_own_form() {
        let mypy = "app/x.py:3:5: error: Incompatible return value type (got \"int\", expected \"str\")  [return-value]";
        let pyright =
            "  /build/source/app/x.py:3:5 - error: Type \"int\" is not \"str\" (reportReturnType)";
        let concise = "app/x.py:1:8: F401 [*] `os` imported but unused";
        let full = "F401 [*] `os` imported but unused\n --> app/x.py:1:8\n  |\n1 | import os";
        let flake8 = "./app/x.py:1:80: E501 line too long (99 > 79 characters)";
        let gcc = "src/fast.c:3:5: error: expected ';' before '}' token";
        let rustc = "error[E0425]: cannot find value `y` in this scope\n  --> src/lib.rs:3:5\n   |";
        let read = [
            (mypy, "return-value", "app/x.py", 3, Some(5)),
            (
                pyright,
                "reportReturnType",
                "/build/source/app/x.py",
                3,
                Some(5),
            ),
            (concise, "F401", "app/x.py", 1, Some(8)),
            (full, "F401", "app/x.py", 1, Some(8)),
            (flake8, "E501", "./app/x.py", 1, Some(80)),
            (gcc, "does not compile", "src/fast.c", 3, Some(5)),
            (rustc, "does not compile", "src/lib.rs", 3, Some(5)),
            (
                "Would reformat: app/x.py",
                "not formatted",
                "app/x.py",
                1,
                None,
            ),
            (
                "would reformat /build/source/x.py",
                "not formatted",
                "/build/source/x.py",
                1,
                None,
            ),
            ("x.py:3: error: bad", "type error", "x.py", 3, None),
        ];
        for (log, title, path, line, column) in read {
            let clue = clue(log);
            assert_eq!(clue.title, title, "{log}");
            assert_eq!(clue.spots, [Spot::new(path, line, column)], "{log}");
        }
        assert_eq!(clue(concise).message, "`os` imported but unused");
        assert_eq!(clue(full).message, "`os` imported but unused");
    }

    #[test]
    fn a_place_of_which_nothing_bad_is_said_is_none() {
        let mut lints = Lints::default();
        for line in [
            "x.py:3: note: See https://example.org/x.py:3",
            "tests/x.py:5: AssertionError",
            "12:30:05: error: x",
            "http://localhost:8000: error: no",
            "x.py:99999999999: error: x",
            " --> x.py:3:5",
            ":::::",
            "",
        ] {
            assert_eq!(lints.line(line), None, "{line}");
        }
    }
}
