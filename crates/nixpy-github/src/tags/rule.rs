//! One line of rules: `type=semver,pattern={{version}}`, or tags as they are.
//!
//! A line is a record of comma-separated fields; one with a comma in it stands in double
//! quotes. What follows a ` #` is for people.

use regex::{Captures, Regex, RegexBuilder};

use super::RuleError;

/// A rule, parsed.
#[derive(Clone, Debug)]
pub(super) struct Rule {
    pub kind: Kind,
    /// An expression that comes to `true` or `false`.
    pub enable: String,
    pub priority: i64,
    /// The flavor's if `None`.
    pub prefix: Option<String>,
    /// The flavor's if `None`.
    pub suffix: Option<String>,
    /// A word that is a tag, or none: nothing in it is made fit.
    pub is_verbatim: bool,
    /// Not asked where a version was found, and moves no `latest`.
    pub is_last_resort: bool,
    /// As it was written.
    pub line: String,
}

#[derive(Clone, Debug)]
pub(super) enum Kind {
    Schedule {
        pattern: String,
    },
    Semver(Versioned),
    Pep440(Versioned),
    Match {
        pattern: Regex,
        group: usize,
        value: String,
    },
    Edge {
        /// The default branch if empty.
        branch: String,
    },
    Ref(RefEvent),
    Raw {
        value: String,
    },
    Sha {
        long: bool,
    },
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum RefEvent {
    Branch,
    Tag,
    Pr,
    MergeGroup,
}

/// What rules for both kinds of version say.
#[derive(Clone, Debug)]
pub(super) struct Versioned {
    pub pattern: String,
    /// The git tag if it comes to nothing.
    pub value: String,
    pub matching: Option<Regex>,
}

/// Those that every type has.
const OF_ALL: [&str; 4] = ["enable", "priority", "prefix", "suffix"];

impl Rule {
    /// One rule, or a raw one for each word.
    pub fn read(line: &str) -> Result<Vec<Self>, RuleError> {
        let text = without_comment(line);
        if text.contains('=') || text.contains("{{") {
            let rule = Attributes::of(text).and_then(|attributes| Self::of(text, attributes));
            return rule.map(|rule| vec![rule]).map_err(|problem| RuleError {
                line: text.to_owned(),
                problem,
            });
        }
        let words = text.split(|c: char| c == ',' || c.is_whitespace());
        let words = words.filter(|word| !word.is_empty());
        Ok(words
            .map(|word| Self {
                kind: Kind::Raw {
                    value: word.to_owned(),
                },
                enable: "true".to_owned(),
                priority: 200,
                prefix: None,
                suffix: None,
                is_verbatim: true,
                is_last_resort: false,
                line: word.to_owned(),
            })
            .collect())
    }

    fn of(line: &str, mut attributes: Attributes) -> Result<Self, String> {
        let kind = attributes.take("type").unwrap_or_else(|| "raw".to_owned());
        let mut prefix = attributes.take("prefix");
        let (kind, priority) = match kind.as_str() {
            "schedule" => {
                let pattern = attributes.take("pattern");
                let pattern = pattern.unwrap_or_else(|| "nightly".to_owned());
                (Kind::Schedule { pattern }, 1000)
            }
            "semver" => (Kind::Semver(attributes.versioned()?), 900),
            "pep440" => (Kind::Pep440(attributes.versioned()?), 900),
            "match" => (attributes.matching()?, 800),
            "edge" => {
                let branch = attributes.take("branch").unwrap_or_default();
                (Kind::Edge { branch }, 700)
            }
            "ref" => {
                let event = match attributes.take("event").as_deref() {
                    Some("branch") => RefEvent::Branch,
                    Some("tag") => RefEvent::Tag,
                    Some("pr") => RefEvent::Pr,
                    Some("merge_group") => RefEvent::MergeGroup,
                    _ => return Err("it needs event=branch, tag, pr or merge_group".to_owned()),
                };
                if matches!(event, RefEvent::Pr | RefEvent::MergeGroup) {
                    prefix.get_or_insert_with(|| "pr-".to_owned());
                }
                (Kind::Ref(event), 600)
            }
            "raw" => match attributes.take("value") {
                Some(value) => (Kind::Raw { value }, 200),
                None => return Err("it needs a value, as in type=raw,value=stable".to_owned()),
            },
            "sha" => {
                prefix.get_or_insert_with(|| "sha-".to_owned());
                let long = match attributes.take("format").as_deref() {
                    None | Some("short") => false,
                    Some("long") => true,
                    Some(_) => return Err("its format is short or long".to_owned()),
                };
                (Kind::Sha { long }, 100)
            }
            other => {
                return Err(format!(
                    "there is no type {other:?}: there are schedule, semver, pep440, match, edge, ref, raw and sha"
                ));
            }
        };
        let priority = match attributes.take("priority") {
            None => priority,
            Some(text) => text
                .parse()
                .map_err(|_| format!("its priority {text:?} is no number"))?,
        };
        let rule = Self {
            kind,
            enable: attributes
                .take("enable")
                .unwrap_or_else(|| "true".to_owned()),
            priority,
            prefix,
            suffix: attributes.take("suffix"),
            is_verbatim: false,
            is_last_resort: false,
            line: line.to_owned(),
        };
        match attributes.0.first() {
            None => Ok(rule),
            Some((key, _)) => Err(format!(
                "it has {key:?}, which is no attribute of its type nor of all: {}",
                OF_ALL.join(", ")
            )),
        }
    }

    pub fn error(&self, problem: String) -> RuleError {
        RuleError {
            line: self.line.clone(),
            problem,
        }
    }
}

/// What a line says, and has not been asked for yet.
struct Attributes(Vec<(String, String)>);

impl Attributes {
    fn of(line: &str) -> Result<Self, String> {
        let mut attributes: Vec<(String, String)> = Vec::new();
        for field in fields(line) {
            // A field without a key is the value.
            let (key, value) = match field.split_once('=') {
                Some((key, value)) if !key.is_empty() && !key.contains("{{") => {
                    (key.trim().to_ascii_lowercase(), value.trim().to_owned())
                }
                _ => ("value".to_owned(), field.trim().to_owned()),
            };
            if attributes.iter().any(|(known, _)| *known == key) {
                return Err(format!("it has {key:?} twice"));
            }
            attributes.push((key, value));
        }
        Ok(Self(attributes))
    }

    fn take(&mut self, wanted: &str) -> Option<String> {
        let n = self.0.iter().position(|(key, _)| key == wanted)?;
        Some(self.0.remove(n).1)
    }

    fn versioned(&mut self) -> Result<Versioned, String> {
        let Some(pattern) = self.take("pattern") else {
            return Err("it needs a pattern, as in pattern={{version}}".to_owned());
        };
        let matching = self.take("match").filter(|text| !text.is_empty());
        Ok(Versioned {
            pattern,
            value: self.take("value").unwrap_or_default(),
            matching: matching.map(|text| expression(&text)).transpose()?,
        })
    }

    fn matching(&mut self) -> Result<Kind, String> {
        let Some(pattern) = self.take("pattern") else {
            return Err(r"it needs a pattern, as in pattern=v(.*),group=1".to_owned());
        };
        let group = self.take("group").unwrap_or_else(|| "0".to_owned());
        Ok(Kind::Match {
            pattern: expression(&pattern)?,
            group: group
                .parse()
                .map_err(|_| format!("its group {group:?} is no number"))?,
            value: self.take("value").unwrap_or_default(),
        })
    }
}

/// `\d+`, or with flags `/\d+/i`. Size and time of these are bounded, so that whoever names
/// a tag cannot make a run hang.
fn expression(text: &str) -> Result<Regex, String> {
    let enclosed = text.strip_prefix('/').and_then(|rest| {
        let (pattern, flags) = rest.rsplit_once('/')?;
        let are_flags = flags.chars().all(|c| c.is_ascii_lowercase());
        (!pattern.is_empty() && are_flags).then_some((pattern, flags))
    });
    let (pattern, flags) = enclosed.unwrap_or((text, ""));
    RegexBuilder::new(pattern)
        .case_insensitive(flags.contains('i'))
        .multi_line(flags.contains('m'))
        .dot_matches_new_line(flags.contains('s'))
        .build()
        .map_err(|e| {
            let told = e.to_string();
            let told = told.lines().last().unwrap_or_default();
            format!("{pattern:?} is no regular expression that is understood here ({told})")
        })
}

/// The text of a group, if it took part.
pub(super) fn group(found: &Captures<'_>, n: usize) -> Option<String> {
    Some(found.get(n)?.as_str().to_owned())
}

/// Whether a pattern is the git tag itself, and nothing else.
pub(super) fn is_raw(pattern: &str) -> bool {
    let pattern = pattern.trim();
    let inner = pattern
        .strip_prefix("{{{")
        .and_then(|rest| rest.strip_suffix("}}}"))
        .or_else(|| pattern.strip_prefix("{{")?.strip_suffix("}}"));
    inner.is_some_and(|inner| inner.trim() == "raw")
}

/// The fields of a record.
pub(super) fn fields(line: &str) -> Vec<String> {
    let mut fields = Vec::new();
    let mut field = String::new();
    let mut quoted = false;
    let mut chars = line.trim().chars().peekable();
    while let Some(c) = chars.next() {
        match c {
            '"' if quoted && chars.peek() == Some(&'"') => {
                chars.next();
                field.push('"');
            }
            '"' if quoted => quoted = false,
            '"' if field.is_empty() => quoted = true,
            ',' if !quoted => fields.push(std::mem::take(&mut field)),
            c => field.push(c),
        }
    }
    fields.push(field);
    fields.retain(|field| !field.trim().is_empty());
    fields
}

/// A `#` at the beginning, or behind a blank.
fn without_comment(line: &str) -> &str {
    let line = line.trim();
    match line.starts_with('#') {
        true => "",
        false => line.split(" #").next().unwrap_or(line).trim(),
    }
}
