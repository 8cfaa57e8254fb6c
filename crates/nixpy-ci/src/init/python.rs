//! Which of nixpkgs' interpreters a project wants: what `.python-version` says, else the newest that
//! `requires-python` allows if it sets a bound above, else nixpkgs' own choice.

use regex::Regex;

/// An interpreter, and why it.
#[derive(Debug, PartialEq, Eq)]
pub struct Python {
    /// `python3` or `python312`.
    pub attribute: String,
    /// In words.
    pub why: String,
}

/// Decides.
pub fn interpreter(pinned: Option<&str>, requires: Option<&str>) -> Python {
    let minor = |text: &str, form: &str, from: fn(u32) -> u32| {
        let form = Regex::new(form).ok()?;
        let minor = form.captures(text)?.get(1)?.as_str().parse().ok()?;
        Some(from(minor))
    };
    let of_pin =
        pinned.and_then(|text| minor(text.trim(), r"^(?:cpython-)?3\.(\d+)", |found| found));
    if let Some(minor) = of_pin {
        return python(minor, ".python-version names it");
    }
    let requires = requires.unwrap_or_default();
    // `~3.11` is Poetry's; `~=3.11` has no bound below 4, `~=3.11.2` has.
    let of_bound = minor(requires, r"(?:==|~)\s*3\.(\d+)", |found| found)
        .or_else(|| minor(requires, r"~=\s*3\.(\d+)\.", |found| found))
        .or_else(|| minor(requires, r"<\s*3\.(\d+)", |found| found.saturating_sub(1)))
        .or_else(|| minor(requires, r"<=\s*3\.(\d+)", |found| found));
    match of_bound {
        Some(minor) => python(minor, &format!("the newest that `{requires}` allows")),
        None => Python {
            attribute: "python3".to_owned(),
            why: "nixpkgs' own choice".to_owned(),
        },
    }
}

fn python(minor: u32, why: &str) -> Python {
    Python {
        attribute: format!("python3{minor}"),
        why: why.to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_interpreter_is_the_pinned_one_or_the_newest_that_is_allowed() {
        let cases = [
            (Some("3.12\n"), Some(">=3.10"), "python312"),
            (Some("cpython-3.13.1"), None, "python313"),
            (Some("pypy3.10"), None, "python3"),
            (None, Some(">=3.10,<3.13"), "python312"),
            (None, Some("==3.11.*"), "python311"),
            (None, Some("~=3.12.1"), "python312"),
            (None, Some("~=3.12"), "python3"),
            (None, Some("~3.11"), "python311"),
            (None, Some("<=3.11"), "python311"),
            (None, Some("^3.11"), "python3"),
            (None, Some(">=3.11"), "python3"),
            (None, Some("<4"), "python3"),
            (None, None, "python3"),
        ];
        for (pinned, requires, wanted) in cases {
            assert_eq!(
                interpreter(pinned, requires).attribute,
                wanted,
                "{requires:?}"
            );
        }
    }
}
