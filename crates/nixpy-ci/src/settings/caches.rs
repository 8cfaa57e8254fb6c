//! Binary caches, and what opens them.

use nixpy_cache::settings::{Access, Ready, Tokens};
use nixpy_cache::{CacheSettings, Place, Spec};
use nixpy_oci::name::Repository;
use nixpy_pipeline::inputs::Target;

use super::forks::is_from_fork_of_gitlab;
use super::image::time;
use super::output::Output;
use super::resolve::{Problem, Reader, Surroundings, parse};
use super::sources::RawInputs;
use super::target::{another, one_password_for_one_registry, targets};

/// Everything that serving caches needs.
#[derive(Debug)]
pub struct ToServe {
    /// Which, and what opens them.
    pub caches: CacheSettings,
    /// What is told.
    pub output: Output,
}

/// The repository of the cache beside an image.
const BESIDE: &str = "nix-cache";

/// Parses what `nixpy-ci cache serve` takes.
///
/// # Errors
/// Every problem there is, not the first.
pub async fn to_serve(raw: &RawInputs, around: &Surroundings<'_>) -> Result<ToServe, Vec<Problem>> {
    let mut reader = Reader::of(raw);
    let mut caches = reader.caches(around);
    if raw.get("cache").is_none() {
        reader.fail(
            "--cache",
            "name a cache, as in --cache oci://ghcr.io/owner/name/nix-cache",
        );
    }
    let targets = targets(&mut reader, around).await;
    caches.registries = accesses(&mut reader, &caches, &targets, around).await;
    let output = reader.output();
    reader.ended(ToServe { caches, output })
}

/// How those of the caches are reached that are in a registry; without the one beside the
/// image, where no image goes to a registry.
pub(super) async fn accesses(
    reader: &mut Reader<'_>,
    caches: &CacheSettings,
    targets: &[Target],
    around: &Surroundings<'_>,
) -> Vec<Access> {
    let goes_to_registry = |target: &Target| matches!(target, Target::Registry { .. });
    if !targets.iter().any(goes_to_registry) {
        // Then a password is for theirs.
        let named = caches.wanted.iter().filter_map(|spec| match &spec.place {
            Place::Registry(repository) => Some(repository.clone()),
            _ => None,
        });
        one_password_for_one_registry(reader, &named.collect::<Vec<_>>());
    }
    let mut found = Vec::new();
    for spec in &caches.wanted {
        let repository = match &spec.place {
            Place::BesideImage => beside(reader, targets),
            Place::Registry(repository) => Some(repository.clone()),
            _ => None,
        };
        let Some(repository) = repository else {
            continue;
        };
        if let Some((credentials, options)) =
            another(reader, "cache", &repository, targets, around).await
        {
            found.push(Access::new(
                spec.place.clone(),
                repository,
                credentials,
                options,
            ));
        }
    }
    found
}

/// Of the first registry that the image goes to.
fn beside(reader: &mut Reader<'_>, targets: &[Target]) -> Option<Repository> {
    let mut targets = targets.iter();
    let repository = targets.find_map(|target| match target {
        Target::Registry { repository, .. } => Some(repository),
        Target::Layout(_) => None,
    })?;
    let beside = repository.beside(BESIDE);
    beside
        .map_err(|e| reader.fail("--cache", e.to_string()))
        .ok()
}

impl Reader<'_> {
    pub(super) fn caches(&mut self, around: &Surroundings<'_>) -> CacheSettings {
        let default = CacheSettings::default();
        // Of one that is asked what it holds, an address tells as much as of one that is read.
        let mut upstream = self.many("cache-upstream", |url| {
            parse::<Spec>(url).map(|_| url.trim_end_matches('/').to_owned())
        });
        if self.raw.get("cache-upstream").is_none() {
            upstream = default.upstream;
        }
        let wanted = self.many("cache", parse);
        let from_fork = around.is_from_fork();
        CacheSettings {
            tokens: self.tokens(&wanted, from_fork),
            wanted,
            public_keys: self.many("cache-public-key", parse),
            signing_key: self.one("cache-key", parse),
            upstream,
            exclude: self.many("cache-exclude", |pattern| Ok(pattern.to_owned())),
            registries: Vec::new(),
            read_only: self.switch("cache-read-only"),
            from_fork,
            required: self.switch("cache-required"),
            drain: self.one("cache-drain", time).unwrap_or(default.drain),
            uploads: self
                .number("cache-uploads", 1..=64)
                .unwrap_or(default.uploads),
            place: around.temp_dir(),
            port: self
                .number("cache-port", 1..=65_535)
                .and_then(|port| u16::try_from(port).ok()),
            ready: Ready::default(),
        }
    }

    /// What opens caches. A fork could name a cache of its own to have a token sent there.
    fn tokens(&mut self, wanted: &[Spec], from_fork: bool) -> Tokens {
        let tokens = self.one("cache-token", |text| Ok(Tokens::parse(text)));
        let tokens = tokens.unwrap_or_default();
        if from_fork {
            return tokens.for_single_caches();
        }
        let opened = tokens.opened_by_one_for_all(wanted);
        if opened.len() > 1 {
            let origin = self.raw.get("cache-token").map(|raw| raw.origin.clone());
            let problem = format!(
                "one token cannot be for several caches, each of which would see it: write a line CACHE TOKEN for each, \
                 where CACHE is {}",
                opened.join(", ")
            );
            self.fail(&origin.unwrap_or_default(), problem);
        }
        tokens
    }
}

impl Surroundings<'_> {
    /// See [`is_from_fork`](super::forks::is_from_fork).
    pub(super) fn is_from_fork(&self) -> bool {
        self.from_fork_of_github || is_from_fork_of_gitlab(self.environment)
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use std::ffi::OsString;
    use std::path::PathBuf;

    use serde_json::json;

    use super::*;

    fn is_from_fork(event: &str, text: &str) -> bool {
        let dir = tempfile::tempdir().unwrap();
        let file = dir.path().join("event.json");
        std::fs::write(&file, text).unwrap();
        with_variables(&[
            ("GITHUB_EVENT_NAME", event),
            ("GITHUB_EVENT_PATH", file.to_str().unwrap()),
        ])
    }

    fn with_variables(variables: &[(&str, &str)]) -> bool {
        let environment = variables.iter().map(|(n, v)| (n.into(), OsString::from(v)));
        let environment = environment.collect();
        let now = std::time::SystemTime::UNIX_EPOCH;
        let around = Surroundings::of(&environment, PathBuf::from("/"), now);
        around.is_from_fork()
    }

    #[test]
    fn what_github_describes_decides_and_what_it_does_not_is_not_trusted() {
        let event = |head: &str| {
            let side = |name: &str| json!({ "repo": { "full_name": name } });
            let sides = json!({ "head": side(head), "base": side("acme/api") });
            json!({ "pull_request": sides }).to_string()
        };
        assert!(!is_from_fork("pull_request", &event("acme/api")));
        assert!(is_from_fork("pull_request", &event("mallory/api")));
        assert!(is_from_fork("pull_request", "{"), "nobody knows");
        assert!(is_from_fork("issue_comment", "{"), "nobody knows");
        assert!(!is_from_fork("push", "{}"));
        assert!(with_variables(&[("GITHUB_EVENT_NAME", "pull_request")]));
    }

    #[test]
    fn gitlab_runs_a_forks_merge_request_in_the_project_that_it_is_for() {
        let source = "CI_MERGE_REQUEST_SOURCE_PROJECT_PATH";
        let project = ("CI_PROJECT_PATH", "acme/api");
        assert!(with_variables(&[(source, "mallory/api"), project]));
        assert!(with_variables(&[(source, "mallory/api")]));
        assert!(!with_variables(&[(source, "acme/api"), project]));
        assert!(!with_variables(&[(source, ""), project]));
        assert!(!with_variables(&[project]));
    }
}
