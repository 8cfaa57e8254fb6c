//! What the action does where nobody has said anything: no flag, variable, input, nor
//! `nixpy-ci.yaml`. Pure but for a look at the event.

use std::path::Path;

use serde_json::Value;

use crate::settings::table::SETTINGS;
use crate::settings::{Environment, RawInputs};

use super::Step;

/// The same variables, and for each default one that the weakest source of settings reads.
pub fn with_defaults(environment: &Environment, given: &RawInputs) -> Environment {
    let step = Step { environment };
    let event = step.path("GITHUB_EVENT_PATH");
    let event = event.and_then(|file| serde_json::from_slice(&std::fs::read(file).ok()?).ok());
    let mut with = environment.clone();
    for (name, value) in defaults(&step, given, &event.unwrap_or(Value::Null)) {
        if let Some(setting) = SETTINGS.iter().find(|setting| setting.name == name) {
            with.insert(setting.action_variable().into(), value.into());
        }
    }
    // An action gets its token as an input; the registry's is looked for under its common name.
    if step.variable("GITHUB_TOKEN").is_none()
        && let Some(token) = step.variable("INPUT_GITHUB-TOKEN")
    {
        with.insert("GITHUB_TOKEN".into(), token.into());
    }
    with
}

fn defaults(step: &Step<'_>, given: &RawInputs, event: &Value) -> Vec<(&'static str, String)> {
    let mut defaults = vec![("setup", "true".to_owned())];
    let mut add = |name, value: Option<String>| defaults.extend(value.map(|value| (name, value)));
    add("repository", repository(step));
    add("push", of_another_branch(step, given, event));
    let has_key = given.get("cache-key").or(given.get("cache-public-key"));
    add("cache", has_key.map(|_| "registry".to_owned()));
    add(
        "summary",
        step.variable("GITHUB_STEP_SUMMARY").map(str::to_owned),
    );
    let file = |name: &str| {
        let folder = step.variable("RUNNER_TEMP")?;
        Some(Path::new(folder).join(name).display().to_string())
    };
    // More than one step of a job may do this.
    let id = step.variable("GITHUB_ACTION").unwrap_or_default();
    let id = id.replace(|c: char| !c.is_ascii_alphanumeric(), "-");
    add("report", file(&format!("nixpy-ci-report-{id}.json")));
    if given.get("by-digest").is_some() {
        // In one folder with those of the other jobs it needs a name of its own.
        let systems = given.get("system").map_or(&[][..], |raw| &raw.values);
        let systems = match systems.is_empty() {
            true => std::env::consts::ARCH.to_owned(),
            false => systems.join("+"),
        };
        add("result", file(&format!("nixpy-ci-result-{systems}.json")));
    }
    defaults
}

/// Of a server of one's own nobody knows whether it has a registry, nor its name.
fn repository(step: &Step<'_>) -> Option<String> {
    let server = step.variable("GITHUB_SERVER_URL");
    if server.is_some_and(|server| server.trim_end_matches('/') != "https://github.com") {
        return None;
    }
    let repository = step.variable("GITHUB_REPOSITORY")?;
    Some(format!("ghcr.io/{}", repository.to_lowercase()))
}

/// A push to a branch that is not the default one is built and not published, unless somebody
/// has said which tags it is to get.
fn of_another_branch(step: &Step<'_>, given: &RawInputs, event: &Value) -> Option<String> {
    let branch = step.variable("GITHUB_REF")?.strip_prefix("refs/heads/")?;
    let default = event["repository"]["default_branch"].as_str()?;
    let is_other = step.variable("GITHUB_EVENT_NAME") == Some("push") && branch != default;
    (is_other && given.get("tag").is_none()).then(|| "never".to_owned())
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;
    use serde_json::json;

    const JOB: [(&str, &str); 7] = [
        ("GITHUB_ACTIONS", "true"),
        ("GITHUB_REPOSITORY", "Acme/API"),
        ("GITHUB_EVENT_NAME", "push"),
        ("GITHUB_REF", "refs/heads/main"),
        ("GITHUB_ACTION", "__acme_nixpy-action"),
        ("RUNNER_TEMP", "/tmp/runner"),
        ("GITHUB_STEP_SUMMARY", "/tmp/summary"),
    ];

    /// What is decided in a job with these variables, by name.
    fn decided(variables: &[(&str, &str)]) -> Vec<(&'static str, String)> {
        let all = JOB.iter().chain(variables);
        let environment: Environment = all.map(|(k, v)| (k.into(), v.into())).collect();
        let matches = crate::cli::command().try_get_matches_from(["nixpy-ci", "run"]);
        let matches = matches.unwrap();
        let given = RawInputs::collect(matches.subcommand().unwrap().1, &environment).unwrap();
        let step = Step {
            environment: &environment,
        };
        let event = json!({ "repository": { "default_branch": "main" } });
        defaults(&step, &given, &event)
    }

    fn of<'a>(decided: &'a [(&str, String)], name: &str) -> Option<&'a str> {
        let found = decided.iter().find(|(setting, _)| *setting == name);
        found.map(|(_, value)| value.as_str())
    }

    #[test]
    fn the_image_goes_beside_the_repository_and_the_machine_is_set_up() {
        let decided = decided(&[]);
        assert_eq!(of(&decided, "repository"), Some("ghcr.io/acme/api"));
        assert_eq!(of(&decided, "setup"), Some("true"));
        assert_eq!(of(&decided, "summary"), Some("/tmp/summary"));
        let report = "/tmp/runner/nixpy-ci-report---acme-nixpy-action.json";
        assert_eq!(of(&decided, "report"), Some(report));
        assert_eq!(of(&decided, "push"), None, "the main branch is published");
        assert_eq!(
            of(&decided, "cache"),
            None,
            "nobody would trust what is in it"
        );
    }

    #[test]
    fn another_branch_is_built_only_unless_its_tags_are_named() {
        let branch = ("GITHUB_REF", "refs/heads/next");
        assert_eq!(of(&decided(&[branch]), "push"), Some("never"));
        assert_eq!(
            of(&decided(&[branch, ("INPUT_TAGS", "next")]), "push"),
            None
        );
        assert_eq!(
            of(&decided(&[("GITHUB_REF", "refs/tags/v1")]), "push"),
            None
        );
        let by_hand = ("GITHUB_EVENT_NAME", "workflow_dispatch");
        assert_eq!(of(&decided(&[branch, by_hand]), "push"), None);
    }

    #[test]
    fn the_registry_is_a_cache_where_there_is_a_key() {
        let key = decided(&[("INPUT_CACHE-PUBLIC-KEYS", "acme-1:AAAA")]);
        assert_eq!(of(&key, "cache"), Some("registry"));
    }

    #[test]
    fn another_server_has_another_registry_if_any() {
        let decided = decided(&[("GITHUB_SERVER_URL", "https://ghe.example")]);
        assert_eq!(of(&decided, "repository"), None);
    }

    #[test]
    fn results_of_several_jobs_have_several_names() {
        let leg = decided(&[
            ("INPUT_BY-DIGEST", "true"),
            ("INPUT_SYSTEMS", "aarch64-linux armv7l-linux"),
        ]);
        let file = "/tmp/runner/nixpy-ci-result-aarch64-linux+armv7l-linux.json";
        assert_eq!(of(&leg, "result"), Some(file));
    }
}
