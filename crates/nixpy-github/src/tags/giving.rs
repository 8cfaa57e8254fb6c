//! What one rule gives, asked about one set of facts.

use super::expression::Expressions;
use super::facts::Facts;
use super::rule::{self, Kind, RefEvent, Rule};
use super::version::Version;
use super::{RuleError, Rules};

/// What one rule gives.
pub(super) enum Gives {
    /// A tag, and whether `latest` goes with it by itself.
    Tag { name: String, latest: bool },
    /// Nothing, and why.
    Nothing(String),
}

impl Rules {
    /// With what stands around it.
    pub(super) fn gives(
        &self,
        rule: &Rule,
        facts: &Facts,
        expressions: &Expressions<'_>,
        notes: &mut Vec<String>,
    ) -> Result<Gives, RuleError> {
        let blame = |problem: String| rule.error(problem);
        match expressions.fill(&rule.enable).map_err(blame)?.as_str() {
            "true" => {}
            "false" => return Ok(Gives::Nothing("it is not enabled".to_owned())),
            other => {
                return Err(blame(format!(
                    "enable is {other:?}, which is neither true nor false"
                )));
            }
        }
        let (value, latest) = match self.value(rule, facts, expressions, notes)? {
            Gives::Tag { name, latest } => (name, latest),
            nothing => return Ok(nothing),
        };
        if value.is_empty() {
            return Ok(Gives::Nothing("it comes to nothing".to_owned()));
        }
        let prefix = rule.prefix.as_ref().unwrap_or(&self.flavor.prefix);
        let suffix = rule.suffix.as_ref().unwrap_or(&self.flavor.suffix);
        let prefix = expressions.fill(prefix).map_err(blame)?;
        let suffix = expressions.fill(suffix).map_err(blame)?;
        Ok(Gives::Tag {
            name: format!("{prefix}{value}{suffix}"),
            latest: latest && !rule.is_last_resort,
        })
    }

    /// Before anything is put around it.
    fn value(
        &self,
        rule: &Rule,
        facts: &Facts,
        expressions: &Expressions<'_>,
        notes: &mut Vec<String>,
    ) -> Result<Gives, RuleError> {
        let blame = |problem: String| rule.error(problem);
        let nothing = |why: &str| Ok(Gives::Nothing(why.to_owned()));
        let plain = |name: String| {
            Ok(Gives::Tag {
                name,
                latest: false,
            })
        };
        match &rule.kind {
            Kind::Schedule { pattern } => match facts.is_scheduled() {
                true => plain(expressions.fill(pattern).map_err(blame)?),
                false => nothing("the clock has not started it"),
            },
            Kind::Semver(versioned) | Kind::Pep440(versioned) => {
                let raw = match expressions.fill(&versioned.value).map_err(blame)? {
                    value if !value.is_empty() => value,
                    _ => match facts.tag() {
                        Some(tag) => tag.to_owned(),
                        None => return nothing("the ref is no tag"),
                    },
                };
                let raw = match &versioned.matching {
                    Some(matching) => match matching.captures(&raw) {
                        Some(found) => rule::group(&found, 1)
                            .or_else(|| rule::group(&found, 0))
                            .unwrap_or_default(),
                        None => {
                            notes.push(format!(
                                "`{}`: {raw:?} is not matched by {matching}",
                                rule.line
                            ));
                            raw
                        }
                    },
                    None => raw,
                };
                let raw = raw.replace('/', "-");
                let version = match rule.kind {
                    Kind::Semver(_) => Version::semver(&raw),
                    _ => Version::pep440(&raw),
                };
                let Some(version) = version else {
                    return Ok(Gives::Nothing(format!("{raw:?} is no such version")));
                };
                let pattern = match version.is_plain || rule::is_raw(&versioned.pattern) {
                    true => versioned.pattern.as_str(),
                    // What is not for everybody moves nobody's tag.
                    false => "{{version}}",
                };
                let name = expressions.of_version(&version).fill(pattern);
                Ok(Gives::Tag {
                    name: name.map_err(blame)?,
                    latest: version.is_plain,
                })
            }
            Kind::Match {
                pattern,
                group,
                value,
            } => {
                let raw = match expressions.fill(value).map_err(blame)? {
                    value if !value.is_empty() => value,
                    _ => match facts.tag() {
                        Some(tag) => tag.to_owned(),
                        None => return nothing("the ref is no tag"),
                    },
                };
                let Some(found) = pattern.captures(&raw) else {
                    return Ok(Gives::Nothing(format!("{raw:?} is not matched")));
                };
                match rule::group(&found, *group) {
                    Some(name) => Ok(Gives::Tag { name, latest: true }),
                    None => Ok(Gives::Nothing(format!("it has no group {group}"))),
                }
            }
            Kind::Edge { branch } => {
                let Some(on) = facts.branch() else {
                    return nothing("the ref is no branch");
                };
                let wanted = match (branch.as_str(), &facts.default_branch) {
                    ("", Some(default)) => default,
                    ("", None) => return nothing("the default branch is not known"),
                    (named, _) => named,
                };
                match on == wanted {
                    true => plain("edge".to_owned()),
                    false => Ok(Gives::Nothing(format!("the branch is not {wanted}"))),
                }
            }
            Kind::Ref(event) => match event {
                RefEvent::Branch => match (facts.branch(), facts.queued()) {
                    (Some(branch), _) => plain(branch.to_owned()),
                    (None, Some(_)) => nothing("the ref is a merge queue's: event=merge_group"),
                    (None, None) => nothing("the ref is no branch"),
                },
                RefEvent::Tag => match facts.tag() {
                    Some(tag) => Ok(Gives::Tag {
                        name: tag.to_owned(),
                        latest: true,
                    }),
                    None => nothing("the ref is no tag"),
                },
                RefEvent::Pr => match facts.pull() {
                    Some(number) => plain(number),
                    None => nothing("the ref is no pull request"),
                },
                RefEvent::MergeGroup => match facts.queued() {
                    Some(number) => plain(number.to_string()),
                    None => nothing("the ref is no merge queue's"),
                },
            },
            Kind::Raw { value } => match rule.is_verbatim {
                true => plain(value.clone()),
                false => plain(expressions.fill(value).map_err(blame)?),
            },
            Kind::Sha { long } => match (facts.sha.as_str(), long) {
                ("", _) => nothing("the commit is not known"),
                (sha, true) => plain(sha.to_owned()),
                (_, false) => plain(facts.short_sha()),
            },
        }
    }
}
