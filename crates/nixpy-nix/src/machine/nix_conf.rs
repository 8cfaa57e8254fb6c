//! nix.conf: what it says in effect, and the smallest edit that makes it say more.
//!
//! The grammar is a setting a line, `name = words # comment`; `include` and
//! `!include` read another file; the last assignment counts, and `extra-name`
//! adds to what came before. Lists are only ever added to, by an `extra-` line
//! at the end: nobody's line is rewritten, and defaults stay. The setting
//! `extra-platforms` is itself such a list (its default names i686-linux), so the
//! line that adds to it is `extra-extra-platforms`.

use std::path::{Path, PathBuf};

use super::Root;

const HEADING: &str = "# Added by nixpy-ci setup.";

/// The words with which Debian's package explains its `sandbox = false`. Where
/// they are missing, somebody chose that value.
const DEBIANS_EXCUSE: &str = "the sandbox feature does not seem to work on Debian";

/// What a nix.conf of Debian's package says, as far as setup is concerned.
pub(super) const DEBIANS: &str =
    "# So far the sandbox feature does not seem to work on Debian:\nsandbox = false\n";

/// The file to write to, and all that counts now.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ConfFile {
    /// Where edits go.
    pub path: PathBuf,
    /// Its text; `None` when there is no such file.
    pub text: Option<String>,
    /// The text in force, with what it includes.
    pub effective: String,
}

impl ConfFile {
    /// Reads the file and what it includes.
    #[must_use]
    pub fn read(root: &Root, path: &Path) -> Self {
        let text = root.read(path);
        let mut effective = String::new();
        let mut target = path.to_owned();
        for line in text.iter().flat_map(|text| text.lines()) {
            match line
                .trim()
                .strip_prefix('!')
                .unwrap_or(line.trim())
                .strip_prefix("include ")
            {
                None => effective.extend([line, "\n"]),
                Some(included) => {
                    let included = path.parent().unwrap_or(path).join(included.trim());
                    // Installers that rewrite nix.conf on every upgrade leave this one to the user.
                    if included
                        .file_name()
                        .is_some_and(|name| name == "nix.custom.conf")
                    {
                        target.clone_from(&included);
                    }
                    effective.push_str(&root.read(&included).unwrap_or_default());
                    effective.push('\n');
                }
            }
        }
        let text = if target == path {
            text
        } else {
            root.read(&target)
        };
        Self {
            path: target,
            text,
            effective,
        }
    }
}

/// One thing that a nix.conf shall say.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Edit {
    /// The list `setting` has all of `values`.
    Extend {
        /// The list's name.
        setting: &'static str,
        /// What it shall have.
        values: Vec<String>,
    },
    /// `setting` is `value`.
    Set {
        /// The setting's name.
        setting: &'static str,
        /// What it shall be.
        value: &'static str,
    },
    /// `sandbox = true` where Debian's package wrote `false` for want of user
    /// namespaces; anybody else's `false` stays.
    TrustSandbox,
}

impl Edit {
    /// Whether `effective` says it already.
    #[must_use]
    pub fn is_met(&self, effective: &str) -> bool {
        match self {
            Self::Extend { .. } => self.missing(effective).is_empty(),
            Self::Set { setting, value } => {
                value_of(effective, setting).is_some_and(|words| words.join(" ") == *value)
            }
            Self::TrustSandbox => {
                !effective.contains(DEBIANS_EXCUSE)
                    || value_of(effective, "sandbox").is_none_or(|words| words != ["false"])
            }
        }
    }

    fn missing(&self, effective: &str) -> Vec<&str> {
        let Self::Extend { setting, values } = self else {
            return Vec::new();
        };
        let present = value_of(effective, setting).unwrap_or_default();
        values
            .iter()
            .map(String::as_str)
            .filter(|value| !present.contains(value))
            .collect()
    }
}

/// The change of a line, for people.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Change {
    Add(String),
    Replace { from: String, to: String },
}

/// What `edits` do to a file's text, and the text they leave.
pub(super) fn edit(text: &str, edits: &[Edit]) -> (Vec<Change>, String) {
    let mut lines: Vec<String> = text.lines().map(str::to_owned).collect();
    let mut changes = Vec::new();
    for edit in edits {
        let now = lines.join("\n");
        if edit.is_met(&now) {
            continue;
        }
        let (setting, value) = match edit {
            Edit::Extend { setting, .. } => {
                (format!("extra-{setting}"), edit.missing(&now).join(" "))
            }
            Edit::Set { setting, value } => ((*setting).to_owned(), (*value).to_owned()),
            Edit::TrustSandbox => ("sandbox".to_owned(), "true".to_owned()),
        };
        let line = format!("{setting} = {value}").trim_end().to_owned();
        let assigned = |line: &String| assignment(line).is_some_and(|(name, _)| name == setting);
        let replaced = match edit {
            Edit::Extend { .. } => None,
            _ => lines.iter().rposition(assigned),
        };
        if let Some(at) = replaced {
            let comment = lines[at]
                .find('#')
                .map(|hash| format!(" {}", &lines[at][hash..]));
            let from =
                std::mem::replace(&mut lines[at], line.clone() + &comment.unwrap_or_default());
            changes.push(Change::Replace {
                from: from.trim().to_owned(),
                to: line,
            });
        } else {
            if !lines.iter().any(|line| line == HEADING) {
                lines.extend((!lines.is_empty()).then(String::new));
                lines.push(HEADING.to_owned());
            }
            lines.push(line.clone());
            changes.push(Change::Add(line));
        }
    }
    if changes.is_empty() {
        return (changes, text.to_owned());
    }
    (changes, lines.join("\n") + "\n")
}

/// The words of a setting; `None` when nothing sets it.
pub(super) fn value_of<'a>(text: &'a str, setting: &str) -> Option<Vec<&'a str>> {
    let mut found: Option<Vec<&str>> = None;
    for (name, words) in text.lines().filter_map(assignment) {
        if name == setting {
            found = Some(words);
        } else if name.strip_prefix("extra-") == Some(setting) {
            found.get_or_insert_default().extend(words);
        }
    }
    found
}

/// The words of a list, whose default is this, in the text in force.
pub(crate) fn setting_in(text: &str, setting: &str, by_default: &[String]) -> Vec<String> {
    let text = format!("{setting} = {}\n{text}", by_default.join(" "));
    let words = value_of(&text, setting).unwrap_or_default();
    words.into_iter().map(str::to_owned).collect()
}

fn assignment(line: &str) -> Option<(&str, Vec<&str>)> {
    let line = line.split_once('#').map_or(line, |(before, _)| before);
    let (name, value) = line.split_once('=')?;
    Some((name.trim(), value.split_whitespace().collect()))
}
