//! Binary caches, and what opens them.

use std::ffi::OsStr;

use nixpy_cache::settings::{Access, Ready, Tokens};
use nixpy_cache::{CacheSettings, Place};
use nixpy_oci::name::Repository;
use nixpy_pipeline::inputs::Target;
use serde_json::Value;

use super::image::time;
use super::resolve::{Output, Problem, Reader, Surroundings, parse};
use super::sources::RawInputs;
use super::target::{another, targets};

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
        if let Some((credentials, options)) = another(reader, &repository, targets, around).await {
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
        let mut upstream = self.many("cache-upstream", |url| {
            Ok(url.trim_end_matches('/').to_owned())
        });
        if self.raw.get("cache-upstream").is_none() {
            upstream = default.upstream;
        }
        CacheSettings {
            wanted: self.many("cache", parse),
            public_keys: self.many("cache-public-key", parse),
            signing_key: self.one("cache-key", parse),
            tokens: self
                .one("cache-token", |text| Ok(Tokens::parse(text)))
                .unwrap_or_default(),
            upstream,
            exclude: self.many("cache-exclude", |pattern| Ok(pattern.to_owned())),
            registries: Vec::new(),
            read_only: self.switch("cache-read-only"),
            from_fork: around.is_from_fork(),
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
}

impl Surroundings<'_> {
    /// Whether GitHub runs this for a pull request from another repository, by the event
    /// that it describes in a file. What is not described is not trusted either.
    fn is_from_fork(&self) -> bool {
        let variable = |name: &str| self.environment.get(OsStr::new(name));
        let name = variable("GITHUB_EVENT_NAME").and_then(|name| name.to_str());
        if !name.is_some_and(|name| name.starts_with("pull_request")) {
            return false;
        }
        let file = variable("GITHUB_EVENT_PATH").and_then(|path| std::fs::read(path).ok());
        let event: Option<Value> = file.and_then(|text| serde_json::from_slice(&text).ok());
        let repository = |side: &str| {
            let name = format!("/pull_request/{side}/repo/full_name");
            event.as_ref()?.pointer(&name)?.as_str()
        };
        match (repository("head"), repository("base")) {
            (Some(head), Some(base)) => head != base,
            // A fork that is gone by now has no name.
            _ => true,
        }
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
        let environment = [
            ("GITHUB_EVENT_NAME".into(), OsString::from(event)),
            ("GITHUB_EVENT_PATH".into(), file.into()),
        ];
        let environment = environment.into_iter().collect();
        let around = Surroundings {
            environment: &environment,
            cwd: PathBuf::from("/"),
            now: std::time::SystemTime::UNIX_EPOCH,
        };
        around.is_from_fork()
    }

    #[test]
    fn a_pull_request_is_from_a_fork_unless_both_sides_are_one_repository() {
        let event = |head: Value| {
            let base = json!({ "repo": { "full_name": "acme/api" } });
            json!({ "pull_request": { "head": { "repo": head }, "base": base } }).to_string()
        };
        let own = event(json!({ "full_name": "acme/api" }));
        let fork = event(json!({ "full_name": "mallory/api" }));
        assert!(!is_from_fork("pull_request", &own));
        assert!(is_from_fork("pull_request", &fork));
        assert!(is_from_fork("pull_request_target", &fork));
        assert!(
            is_from_fork("pull_request", &event(Value::Null)),
            "it is gone"
        );
        assert!(is_from_fork("pull_request", "{"), "nobody knows");
        assert!(!is_from_fork("push", "{}"));
    }
}
