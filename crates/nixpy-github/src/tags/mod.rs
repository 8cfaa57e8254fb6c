//! Tags, labels and annotations of an image, by the rules of docker's metadata action
//! (<https://github.com/docker/metadata-action#tags-input>).
//!
//! A [`Rule`](rule::Rule) is a line: a type and its attributes, or words that are tags. What
//! it gives follows from [`Facts`]: the ref, the commit, the clock. [`Rules`] asks all of
//! them, the one with the highest priority first; the first tag that is given is the image's
//! version, and decides whether `latest` goes with it.
//!
//! Where theirs leaves a thing open, ours takes the way that moves no tag by mistake: an
//! expression that does not exist is an error, and a release candidate moves nothing but
//! itself. `docs/TAGS.md` has the differences.

mod expression;
mod facts;
mod flavor;
mod giving;
mod labels;
mod moment;
mod rule;
#[cfg(test)]
mod tests;
mod version;

use std::collections::BTreeSet;

pub use facts::Facts;
pub use labels::{Annotations, Given, Level, annotations, labels};

use expression::Expressions;
use flavor::{Flavor, Latest};
use giving::Gives;
use rule::{Kind, RefEvent, Rule};

/// No registry takes a longer tag.
const LONGEST: usize = 128;

/// What an image is called, decided by these.
#[derive(Clone, Debug)]
pub struct Rules {
    /// The highest priority first.
    rules: Vec<Rule>,
    flavor: Flavor,
}

/// What came of rules.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Tagged {
    /// None twice; at least one.
    pub tags: Vec<String>,
    /// What people should know: a rule that looks as if it meant something else.
    pub notes: Vec<String>,
}

impl Tagged {
    /// What the image is called first: its version.
    pub fn version(&self) -> &str {
        self.tags.first().map_or("", String::as_str)
    }
}

/// A line that is no rule, or says what cannot be.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{line:?} is not a rule for tags: {problem}")]
pub struct RuleError {
    /// As it was written.
    pub line: String,
    /// What is wrong with it, and what would be right.
    pub problem: String,
}

/// Rules that have given nothing.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum NoTag {
    /// A rule cannot be followed.
    #[error(transparent)]
    Rule(#[from] RuleError),
    /// Every rule has been passed over.
    #[error(
        "no rule gives a tag for {what}: {}; add a rule that does, or name a tag",
        list(passed)
    )]
    None {
        /// What the run is for.
        what: String,
        /// Each rule, and why it does not apply.
        passed: Vec<(String, String)>,
    },
}

fn list(passed: &[(String, String)]) -> String {
    let each = passed.iter().map(|(rule, why)| format!("`{rule}` ({why})"));
    each.collect::<Vec<_>>().join(", ")
}

impl Rules {
    /// Those of a job on GitHub that names none. They give every commit the tag by which
    /// its image is found again.
    pub const OF_GITHUB: [&str; 9] = [
        "type=schedule",
        "type=semver,pattern={{version}}",
        "type=semver,pattern={{major}}.{{minor}}",
        "type=ref,event=branch",
        "type=ref,event=tag",
        "type=ref,event=pr",
        "type=ref,event=merge_group",
        "type=raw,value=latest,enable={{is_default_branch}}",
        "type=sha,format=long",
    ];

    /// Parses lines; a line may be words, each of which is a tag.
    ///
    /// # Errors
    /// Every line that is no rule.
    pub fn parse<'a>(
        lines: impl IntoIterator<Item = &'a str>,
        flavor: impl IntoIterator<Item = &'a str>,
    ) -> Result<Self, Vec<RuleError>> {
        let mut errors = Vec::new();
        let mut rules = Vec::new();
        for line in lines {
            match Rule::read(line) {
                Ok(read) => rules.extend(read),
                Err(error) => errors.push(error),
            }
        }
        // Of the same priority the first comes first.
        rules.sort_by_key(|rule| std::cmp::Reverse(rule.priority));
        let flavor = Flavor::parse(flavor).map_err(|error| errors.push(error));
        match flavor {
            Ok(flavor) if errors.is_empty() => Ok(Self { rules, flavor }),
            _ => Err(errors),
        }
    }

    /// [`Rules::OF_GITHUB`]. The name of a git tag is the image's only if it is no version,
    /// and never moves `latest` by itself.
    ///
    /// # Errors
    /// The flavor is none.
    pub fn of_github<'a>(
        flavor: impl IntoIterator<Item = &'a str>,
    ) -> Result<Self, Vec<RuleError>> {
        let mut rules = Self::parse(Self::OF_GITHUB, flavor)?;
        if rules.flavor.latest == Latest::Never {
            // The only one is the default branch's.
            rules
                .rules
                .retain(|rule| !matches!(rule.kind, Kind::Raw { .. }));
        }
        for rule in &mut rules.rules {
            rule.is_last_resort = matches!(&rule.kind, Kind::Ref(RefEvent::Tag));
        }
        Ok(rules)
    }

    /// The tags of an image that is built now.
    ///
    /// # Errors
    /// A rule cannot be followed, or none of them gives a tag.
    pub fn tags(&self, facts: &Facts) -> Result<Tagged, NoTag> {
        let mut found = Found::default();
        let expressions = Expressions::of(facts);
        for rule in &self.rules {
            let text = rule.line.clone();
            let gives = match rule.is_last_resort && found.has_version {
                true => Gives::Nothing("the git tag is a version".to_owned()),
                false => self.gives(rule, facts, &expressions, &mut found.notes)?,
            };
            match gives {
                Gives::Nothing(why) => found.passed.push((text, why)),
                Gives::Tag { name, latest } => {
                    let name = match rule.is_verbatim {
                        true => name,
                        false => sanitised(&name),
                    };
                    if name.is_empty() {
                        found.passed.push((text, "it comes to nothing".to_owned()));
                        continue;
                    }
                    found.has_version |= matches!(rule.kind, Kind::Semver(_) | Kind::Pep440(_));
                    found.latest.get_or_insert(latest);
                    found.push(name);
                }
            }
        }
        let with_latest = match self.flavor.latest {
            Latest::Auto => found.latest == Some(true),
            Latest::Always => !found.tags.is_empty(),
            Latest::Never => false,
        };
        if with_latest {
            let latest = self.flavor.latest(&expressions)?;
            found.push(sanitised(&latest));
        }
        if found.tags.is_empty() {
            return Err(NoTag::None {
                what: facts.what(),
                passed: found.passed,
            });
        }
        Ok(Tagged {
            tags: found.tags,
            notes: found.notes,
        })
    }

    /// The tag that a push to this branch would be given: by the first rule for branches.
    pub fn of_branch(&self, facts: &Facts, branch: &str) -> Option<String> {
        let facts = facts.on_branch(branch);
        let expressions = Expressions::of(&facts);
        let for_branches =
            |rule: &&Rule| matches!(rule.kind, Kind::Ref(RefEvent::Branch) | Kind::Edge { .. });
        let mut given = self.rules.iter().filter(for_branches).filter_map(|rule| {
            match self.gives(rule, &facts, &expressions, &mut Vec::new()) {
                Ok(Gives::Tag { name, .. }) => Some(sanitised(&name)),
                _ => None,
            }
        });
        given.find(|name| !name.is_empty())
    }
}

#[derive(Default)]
struct Found {
    tags: Vec<String>,
    seen: BTreeSet<String>,
    /// Of the first tag.
    latest: Option<bool>,
    has_version: bool,
    passed: Vec<(String, String)>,
    notes: Vec<String>,
}

impl Found {
    fn push(&mut self, name: String) {
        if self.seen.insert(name.clone()) {
            self.tags.push(name);
        }
    }
}

/// What no tag may have becomes a hyphen, however much of it there is at a stretch. A tag
/// begins with a letter, a digit or `_`, and ends at 128 characters.
pub fn sanitised(text: &str) -> String {
    let mut tag = String::new();
    let mut replaced = false;
    for c in text.chars() {
        let allowed = c.is_ascii_alphanumeric() || "._-".contains(c);
        match allowed {
            true => tag.push(c),
            false if !replaced => tag.push('-'),
            false => {}
        }
        replaced = !allowed;
    }
    let tag = tag.trim_start_matches(['.', '-']);
    tag.chars().take(LONGEST).collect()
}
