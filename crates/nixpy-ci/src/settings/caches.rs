//! Binary caches, and what opens them.

use std::ffi::OsStr;

use nixpy_cache::settings::{Access, Tokens};
use nixpy_cache::{CacheSettings, Place, Spec};
use nixpy_oci::registry::Credentials;
use nixpy_pipeline::inputs::Target;
use serde_json::Value;

use super::image::time;
use super::resolve::{Reader, Surroundings, parse};
use super::target::{discovered, registry_options};

/// The cache of `registry`, beside the image.
const BESIDE: &str = "nix-cache";

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
        }
    }
}

/// How the registries are reached that caches are in. One that cannot be is told when it is
/// used: no cache keeps a run from being started.
pub(super) async fn registries(
    reader: &mut Reader<'_>,
    wanted: &[Spec],
    targets: &[Target],
    around: &Surroundings<'_>,
) -> Vec<Access> {
    if !wanted.iter().any(|spec| is_in_registry(&spec.place)) {
        return Vec::new();
    }
    let in_registries = targets.iter().filter_map(|target| match target {
        Target::Registry {
            repository,
            credentials,
            options,
        } => Some((repository, credentials, options)),
        Target::Layout(_) => None,
    });
    let options = match in_registries.clone().next() {
        Some((_, _, options)) => options.clone(),
        None => registry_options(reader, around),
    };
    let mut registries = Vec::new();
    for spec in wanted {
        let mut in_registries = in_registries.clone();
        let access = match &spec.place {
            Place::BesideImage => in_registries.next().and_then(|(image, who, _)| {
                Some(Access {
                    place: spec.place.clone(),
                    repository: image.beside(BESIDE).ok()?,
                    credentials: who.clone(),
                    options: options.clone(),
                })
            }),
            Place::Registry(repository) => {
                // A password that was given is for the registry of the image.
                let given = reader.raw.get("password").and_then(|_| {
                    in_registries.find(|(image, ..)| image.registry() == repository.registry())
                });
                let credentials = match given {
                    Some((_, who, _)) => who.clone(),
                    None => discovered(repository, around)
                        .await
                        .unwrap_or(Credentials::Anonymous),
                };
                Some(Access {
                    place: spec.place.clone(),
                    repository: repository.clone(),
                    credentials,
                    options: options.clone(),
                })
            }
            _ => None,
        };
        registries.extend(access);
    }
    registries
}

fn is_in_registry(place: &Place) -> bool {
    matches!(place, Place::BesideImage | Place::Registry(_))
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
