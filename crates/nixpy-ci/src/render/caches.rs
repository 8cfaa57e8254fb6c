//! What every renderer says of caches that are filled.

use nixpy_pipeline::caching::{End, Filled, Problem};

use super::size;

/// How it is meant.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Weight {
    /// As it should be.
    Fine,
    /// As it was wanted, which somebody may not know.
    Note,
    /// Something is missing there.
    Warning,
}

/// How what became of a cache is meant.
pub fn weight(filled: &Filled) -> Weight {
    match filled.end {
        End::ReadOnly => Weight::Note,
        _ if filled.is_short() => Weight::Warning,
        _ => Weight::Fine,
    }
}

/// One line for what became of a cache; with its problems and cures below it. None of one
/// that the settings say is only read.
pub fn filled_lines(filled: &Filled) -> Vec<String> {
    if filled.end == End::ReadOnly && filled.problems.is_empty() {
        return Vec::new();
    }
    let mut lines = match weight(filled) {
        Weight::Fine => vec![counts(filled)],
        Weight::Note => vec![format!("note: cache {} is only read", filled.cache)],
        Weight::Warning => vec![format!("warning: {}", counts(filled))],
    };
    for problem in &filled.problems {
        lines.extend(problem_lines(problem));
    }
    lines
}

/// Of a problem that is no cache's that is filled.
pub fn trouble_lines(problem: &Problem) -> Vec<String> {
    let mut lines = vec![format!("note: {}", problem.what)];
    lines.extend(problem.cure.iter().map(|cure| format!("  {cure}")));
    lines
}

fn problem_lines(problem: &Problem) -> Vec<String> {
    let mut lines = vec![format!("  {}", problem.what)];
    lines.extend(problem.cure.iter().map(|cure| format!("  {cure}")));
    lines
}

/// `cache s3://acme: 12 paths pushed (34.0 MB), 3 there already`.
pub fn counts(filled: &Filled) -> String {
    let mut parts = Vec::new();
    if filled.pushed > 0 {
        let sent = size(filled.sent_size);
        parts.push(format!("{} pushed ({sent})", paths(filled.pushed)));
    }
    if filled.present > 0 {
        parts.push(match filled.pushed {
            0 => format!("{} there already", paths(filled.present)),
            _ => format!("{} there already", filled.present),
        });
    }
    if filled.failed > 0 {
        parts.push(format!("{} could not be stored", paths(filled.failed)));
    }
    if filled.left > 0 {
        parts.push(format!("{} left out", paths(filled.left)));
    }
    if parts.is_empty() {
        parts.push("nothing pushed".to_owned());
    }
    let end = match filled.end {
        End::Complete | End::ReadOnly => "",
        End::Cut => ", the time to finish was over",
        End::GivenUp => ", given up",
        End::Refused => ", only read from here",
    };
    format!("cache {}: {}{end}", filled.cache, parts.join(", "))
}

fn paths(count: u64) -> String {
    match count {
        1 => "1 path".to_owned(),
        more => format!("{more} paths"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn filled() -> Filled {
        Filled::nothing("s3://acme")
    }

    #[test]
    fn a_cache_that_has_everything_is_one_line() {
        let both = Filled {
            pushed: 12,
            present: 3,
            sent_size: 34_000_000,
            ..filled()
        };
        assert_eq!(
            filled_lines(&both),
            ["cache s3://acme: 12 paths pushed (34.0 MB), 3 there already"]
        );
        let nothing_new = Filled {
            present: 1,
            ..filled()
        };
        assert_eq!(
            filled_lines(&nothing_new),
            ["cache s3://acme: 1 path there already"]
        );
        assert_eq!(filled_lines(&filled()), ["cache s3://acme: nothing pushed"]);
    }

    #[test]
    fn what_is_missing_is_a_warning_with_its_cure() {
        let short = Filled {
            end: End::GivenUp,
            pushed: 1,
            sent_size: 10,
            left: 7,
            problems: vec![Problem {
                what: "it is full".to_owned(),
                cure: Some("make room".to_owned()),
            }],
            ..filled()
        };
        assert_eq!(
            filled_lines(&short),
            [
                "warning: cache s3://acme: 1 path pushed (10 B), 7 paths left out, given up",
                "  it is full",
                "  make room",
            ]
        );
    }

    #[test]
    fn a_cache_that_the_settings_only_read_is_not_worth_a_word_and_a_fork_is() {
        assert!(filled_lines(&Filled::closed("a", End::ReadOnly, None)).is_empty());
        let problem = Problem {
            what: "a fork".to_owned(),
            cure: None,
        };
        assert_eq!(
            filled_lines(&Filled::closed("a", End::ReadOnly, Some(problem))),
            ["note: cache a is only read", "  a fork"]
        );
    }
}
