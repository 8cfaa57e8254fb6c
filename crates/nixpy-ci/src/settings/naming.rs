//! What images are called and say of themselves: tags by rules, labels and annotations.

use std::collections::BTreeMap;
use std::ffi::OsStr;
use std::process::{Command, Stdio};

use nixpy_github::context::{Context, is_from_fork};
use nixpy_github::tags::{self, Facts, Given, NoTag, RuleError, Rules};
use nixpy_oci::name::Tag;
use nixpy_pipeline::inputs::{Annotations, Target};
use serde_json::Value;

use super::resolve::{Reader, Surroundings, parse};
use super::sources::{Environment, Raw, Source};

/// What an image is called.
pub(super) struct Naming {
    /// The first is its version.
    pub tags: Vec<Tag>,
    /// On manifests and on the index.
    pub annotations: Annotations,
    /// Those that are given, for the config of an image that is made from a plain package.
    pub labels: BTreeMap<String, String>,
    /// What the repository says of itself, for the same place.
    pub told: BTreeMap<String, String>,
    /// What people should know of the rules.
    pub notes: Vec<String>,
    /// What the image of a pull request's base branch is called.
    pub base: Option<Tag>,
}

impl Reader<'_> {
    /// Where no tag is to be moved, rules that give none are worth a note.
    pub(super) fn naming(&mut self, around: &Surroundings<'_>, moves_tags: bool) -> Naming {
        let facts = around.facts();
        let rules = self.rules(around);
        let given = rules
            .as_ref()
            .map(|rules| self.given_by(rules, &facts, moves_tags));
        let (tags, notes) = given.unwrap_or_default();
        let version = tags.first().map_or("", |tag| tag.as_ref());
        let annotations = self.annotations(around, &facts, version);
        Naming {
            base: around.base_branch(rules.as_ref(), &facts),
            labels: self.labels(&facts),
            told: tags::labels(around.context()),
            annotations,
            notes,
            tags,
        }
    }

    /// Those that are named; else GitHub's, on GitHub.
    fn rules(&mut self, around: &Surroundings<'_>) -> Option<Rules> {
        let flavor = self.raw.get("flavor");
        let flavor = flavor.map_or(&[][..], |raw| &raw.values);
        let flavor = flavor.iter().map(String::as_str);
        let rules = match self.raw.get("tag") {
            Some(raw) => {
                let wrong = wrong_words(raw);
                if !wrong.is_empty() {
                    self.wrong_rules(wrong);
                    return None;
                }
                let lines = raw.values.iter().flat_map(|value| value.lines());
                Rules::parse(lines, flavor)
            }
            None if around.context().is_some() => Rules::of_github(flavor),
            None => Rules::parse(["latest"], flavor),
        };
        rules
            .map_err(|errors| self.wrong_rules(errors.iter().map(ToString::to_string)))
            .ok()
    }

    fn given_by(
        &mut self,
        rules: &Rules,
        facts: &Facts,
        moves_tags: bool,
    ) -> (Vec<Tag>, Vec<String>) {
        let found = match rules.tags(facts) {
            Ok(found) => found,
            Err(e @ NoTag::None { .. }) if !moves_tags => {
                let note = format!("none is needed where no tag moves, but {e}");
                return (Vec::new(), vec![note]);
            }
            Err(e) => {
                self.wrong_rules([e.to_string()]);
                return Default::default();
            }
        };
        let mut tags: Vec<Tag> = Vec::new();
        for name in &found.tags {
            match parse(name) {
                Ok(tag) => tags.push(tag),
                Err(problem) => self.wrong_rules([problem]),
            }
        }
        (tags, found.notes)
    }

    fn wrong_rules(&mut self, problems: impl IntoIterator<Item = String>) {
        let origin = |name| self.raw.get(name).map(|raw| raw.origin.clone());
        let origin = origin("tag").or_else(|| origin("flavor"));
        let origin = origin.unwrap_or_else(|| "--tag".to_owned());
        for problem in problems {
            self.fail(&origin, problem);
        }
    }

    fn annotations(
        &mut self,
        around: &Surroundings<'_>,
        facts: &Facts,
        version: &str,
    ) -> Annotations {
        let given = self.many("annotation", |text| match text.split_once('=') {
            Some((key, value)) => Given::parse(key, value),
            None => Err(format!("{text:?} is not KEY=VALUE")),
        });
        let found = tags::annotations(around.context(), facts, version, &given);
        let found = found.unwrap_or_else(|e: RuleError| {
            self.fail("--annotation", e.to_string());
            tags::Annotations::default()
        });
        Annotations {
            manifest: found.manifest,
            index: found.index,
        }
    }

    /// Whether nothing is to be pushed to the registries among these targets.
    pub(super) fn rehearses(&mut self, targets: &[Target], around: &Surroundings<'_>) -> bool {
        // Who comes from docker's action has true and false.
        let word = |text: &str| match text {
            "auto" => Ok(None),
            "always" | "true" => Ok(Some(false)),
            "never" | "false" => Ok(Some(true)),
            _ => Err(format!("{text:?} is none of auto, always, never")),
        };
        let never = match self.one("push", word).flatten() {
            Some(never) => never,
            None => around.is_only_proposed(),
        };
        let is_registry = |target: &Target| matches!(target, Target::Registry { .. });
        never && targets.iter().any(is_registry)
    }

    fn labels(&mut self, facts: &Facts) -> BTreeMap<String, String> {
        let mut labels = BTreeMap::new();
        for (key, value) in self.pairs("label") {
            match tags::filled(facts, &key, &value) {
                Ok(value) => drop(labels.insert(key, value)),
                Err(e) => self.fail("--label", e.to_string()),
            }
        }
        labels
    }
}

impl Surroundings<'_> {
    /// What the job is run for; `None` outside of GitHub.
    pub fn context(&self) -> Option<&Context> {
        self.context.as_ref()
    }

    /// Whether nobody has decided yet that what is built becomes part of a branch, or it is
    /// somebody's who may not decide that.
    pub(super) fn is_only_proposed(&self) -> bool {
        self.is_from_fork() || self.context().is_some_and(Context::is_proposal)
    }

    /// What rules for tags are asked about. Outside of GitHub, what GitLab's variables tell;
    /// else nothing but the clock.
    pub(super) fn facts(&self) -> Facts {
        let mut facts = Facts::of(self.context(), self.now);
        if self.context().is_some() {
            if facts.commit_date.is_none() {
                facts.commit_date = self.told_by_git(&facts.sha);
            }
            return facts;
        }
        let text = |name: &str| self.text(name).unwrap_or_default().to_owned();
        let git_ref = [
            ("CI_COMMIT_TAG", "refs/tags/", ""),
            ("CI_COMMIT_BRANCH", "refs/heads/", ""),
            ("CI_MERGE_REQUEST_IID", "refs/pull/", "/merge"),
        ];
        let mut git_ref = git_ref.iter().filter_map(|(name, before, behind)| {
            let named = self.text(name)?;
            Some(format!("{before}{named}{behind}"))
        });
        facts.git_ref = git_ref.next().unwrap_or_default();
        facts.sha = text("CI_COMMIT_SHA");
        facts.event_name = text("CI_PIPELINE_SOURCE");
        facts.base_ref = text("CI_MERGE_REQUEST_TARGET_BRANCH_NAME");
        facts.default_branch = self.text("CI_DEFAULT_BRANCH").map(str::to_owned);
        let date = self.text("CI_COMMIT_TIMESTAMP");
        facts.commit_date = date.and_then(|date| date.parse().ok());
        facts
    }

    /// When a commit was made that the event tells nothing of, if it is checked out here.
    fn told_by_git(&self, sha: &str) -> Option<jiff::Timestamp> {
        if sha.is_empty() || !sha.bytes().all(|b| b.is_ascii_hexdigit()) {
            return None;
        }
        let mut git = Command::new("git");
        git.env_clear();
        let variables = self.environment.iter();
        git.envs(variables.filter(|(name, _)| ["PATH", "HOME"].iter().any(|it| name == it)));
        // What a partial clone lacks is not worth a connection.
        git.env("GIT_NO_LAZY_FETCH", "1");
        git.arg("-C").arg(&self.cwd);
        git.args([
            "show",
            "--no-patch",
            "--no-show-signature",
            "--format=%cI",
            sha,
        ]);
        let told = git
            .stdin(Stdio::null())
            .stderr(Stdio::null())
            .output()
            .ok()?;
        String::from_utf8(told.stdout).ok()?.trim().parse().ok()
    }

    /// The tag under which the image of the branch is published that a pull request or a
    /// merge queue is for: what a push to it is given by the same rules.
    pub(super) fn base_branch(&self, rules: Option<&Rules>, facts: &Facts) -> Option<Tag> {
        let told = self.context().and_then(Context::base_branch);
        let branch = told.or_else(|| self.text("GITHUB_BASE_REF").map(str::to_owned))?;
        let by_rule = rules.and_then(|rules| rules.of_branch(facts, &branch));
        let name = by_rule.unwrap_or_else(|| tags::sanitised(&branch));
        name.parse().ok()
    }

    pub(super) fn text(&self, name: &str) -> Option<&str> {
        text(self.environment, name)
    }
}

/// Where each value stands by itself, one that is no rule is one tag. A variable's lines may
/// hold several.
fn wrong_words(raw: &Raw) -> Vec<String> {
    if matches!(raw.source, Source::Variable | Source::Input) {
        return Vec::new();
    }
    let is_text = |value: &str| value.contains(['=', '\n', ',']) || value.contains("{{");
    let words = raw.values.iter().filter(|value| !is_text(value));
    words
        .filter_map(|word| word.parse::<Tag>().err())
        .map(|e| e.to_string())
        .collect()
}

/// A variable that is empty is none.
pub(super) fn text<'a>(environment: &'a Environment, name: &str) -> Option<&'a str> {
    let value = environment.get(OsStr::new(name))?.to_str()?;
    (!value.is_empty()).then_some(value)
}

/// What GitHub says that the job is run for, read once; and whether that is somebody's who
/// may not push to the repository.
pub(super) fn event(environment: &Environment) -> (Option<Context>, bool) {
    let payload = text(environment, "GITHUB_EVENT_PATH").and_then(|file| std::fs::read(file).ok());
    let variable = |name: &str| text(environment, name).map(str::to_owned);
    let context = Context::read(&variable, payload.as_deref());
    // Runners that do not say that they are one are trusted no more for it.
    let name = text(environment, "GITHUB_EVENT_NAME").unwrap_or_default();
    let payload = payload.and_then(|bytes| serde_json::from_slice(&bytes).ok());
    let from_fork = is_from_fork(name, &payload.unwrap_or(Value::Null));
    (context, from_fork)
}
