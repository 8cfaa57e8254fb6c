//! What binary caches know and hold of paths that are not on this machine, asked
//! without fetching the paths.
//!
//! A path's closure may lie in several caches: what nixpkgs has in one, the rest in the
//! project's own. So the references are followed from the outputs on, all paths of one
//! step at once, and every cache and the store of this machine are asked for each step.
//! A cache that cannot be reached, or says nothing in time, is passed over: whoever asks
//! can always build, and Nix then says what is wrong with the cache.
//!
//! Nothing here checks signatures. What is told decides which layers are recognised, by
//! NAR hashes that the project's own earlier runs have recorded; a path whose hash is
//! another is not recognised, and is then fetched by Nix, which checks.

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;
use std::time::Duration;

use futures_util::future::join_all;
use serde_json::Value;

use crate::path_info::{PathInfo, elsewhere, known_paths};
use crate::program::Nix;
use crate::run::run;
use crate::store_path::StorePath;

/// For one question to one cache. Slower than this, building is no worse.
const PATIENCE: Duration = Duration::from_secs(15);
/// A closure's longest chain of references; none seen has a hundred.
const MOST_STEPS: usize = 1_000;

/// The caches that Nix takes paths from.
#[derive(Debug)]
pub struct Caches {
    urls: Vec<String>,
}

/// A closure that is known path by path.
#[derive(Debug, Default)]
pub struct KnownClosure {
    /// Every path, from wherever it is known.
    pub paths: BTreeMap<StorePath, PathInfo>,
    /// Which cache holds a path; none for what this machine has.
    held_by: BTreeMap<StorePath, String>,
}

impl Caches {
    /// Those of Nix's configuration; none if it is told to use none.
    pub async fn configured(nix: &Nix) -> Self {
        let urls = configured(nix).await.unwrap_or_default();
        Self { urls }
    }

    /// Whether there is none to ask.
    pub fn is_empty(&self) -> bool {
        self.urls.is_empty()
    }

    /// Everything that these paths refer to, themselves included; `None` unless all of
    /// it is known, here or in a cache.
    pub async fn closure(&self, nix: &Nix, roots: &[StorePath]) -> Option<KnownClosure> {
        let mut known = KnownClosure::default();
        let mut wanted: BTreeSet<StorePath> = roots.iter().cloned().collect();
        for _ in 0..MOST_STEPS {
            if wanted.is_empty() {
                return Some(known);
            }
            let asked: Vec<StorePath> = wanted.iter().cloned().collect();
            let here = known_paths(nix, &asked, None).await.unwrap_or_default();
            for info in here {
                known.add(info, None);
            }
            let missing: Vec<StorePath> = known.missing(&asked).collect();
            if !missing.is_empty() {
                let told = self.urls.iter().map(|url| self.ask(nix, url, &missing));
                for (url, infos) in self.urls.iter().zip(join_all(told).await) {
                    for info in infos {
                        known.add(info, Some(url));
                    }
                }
            }
            if known.missing(&asked).next().is_some() {
                return None;
            }
            let references = asked
                .iter()
                .flat_map(|path| &known.paths[path].references)
                .cloned();
            wanted = references
                .filter(|path| !known.paths.contains_key(path))
                .collect();
        }
        None
    }

    async fn ask(&self, nix: &Nix, url: &str, paths: &[StorePath]) -> Vec<PathInfo> {
        let asked = known_paths(nix, paths, Some(url));
        match tokio::time::timeout(PATIENCE, asked).await {
            Ok(Ok(infos)) => infos,
            Ok(Err(error)) => {
                tracing::debug!(%url, %error, "the cache does not tell");
                Vec::new()
            }
            Err(_) => {
                tracing::debug!(%url, "the cache does not tell in time");
                Vec::new()
            }
        }
    }
}

impl KnownClosure {
    /// The text of a small file in a path of the closure.
    pub async fn read(&self, nix: &Nix, path: &StorePath, file: &Path) -> Option<String> {
        match self.held_by.get(path) {
            None => std::fs::read_to_string(file).ok(),
            Some(url) => store(nix, "cat", url, &[], file).await,
        }
    }

    /// The names in a directory of a path of the closure; none if it is not there.
    pub async fn names(&self, nix: &Nix, path: &StorePath, directory: &Path) -> Vec<String> {
        match self.held_by.get(path) {
            None => {
                let entries = std::fs::read_dir(directory).into_iter().flatten().flatten();
                entries
                    .map(|entry| entry.file_name().to_string_lossy().into_owned())
                    .collect()
            }
            Some(url) => {
                let listed = store(nix, "ls", url, &["--json"], directory).await;
                listed.and_then(|text| entries(&text)).unwrap_or_default()
            }
        }
    }

    fn add(&mut self, info: PathInfo, from: Option<&String>) {
        if self.paths.contains_key(&info.path) {
            return;
        }
        if let Some(url) = from {
            self.held_by.insert(info.path.clone(), url.clone());
        }
        self.paths.insert(info.path.clone(), info);
    }

    fn missing<'a>(&'a self, paths: &'a [StorePath]) -> impl Iterator<Item = StorePath> + 'a {
        let missing = paths.iter().filter(|path| !self.paths.contains_key(path));
        missing.cloned()
    }
}

/// `nix store cat` or `nix store ls` of a file in a cache.
async fn store(nix: &Nix, verb: &str, url: &str, flags: &[&str], file: &Path) -> Option<String> {
    let mut arguments = vec!["store".to_owned(), verb.to_owned()];
    arguments.extend(elsewhere(url));
    arguments.extend(flags.iter().map(|flag| (*flag).to_owned()));
    arguments.push(file.to_str()?.to_owned());
    let mut ignored = |_| {};
    let called = run(nix, &arguments, &mut ignored);
    let ended = tokio::time::timeout(PATIENCE, called).await.ok()?.ok()?;
    ended.success.then_some(ended.stdout)
}

/// The names that `nix store ls --json` lists.
fn entries(listed: &str) -> Option<Vec<String>> {
    let listed: Value = serde_json::from_str(listed).ok()?;
    let entries = listed.get("entries")?.as_object()?;
    Some(entries.keys().cloned().collect())
}

async fn configured(nix: &Nix) -> Option<Vec<String>> {
    let verb: &[&str] = match nix.version().await.ok()?.shows_config_by_two_words() {
        true => &["config", "show", "--json"],
        false => &["show-config", "--json"],
    };
    let arguments: Vec<String> = verb.iter().map(|word| (*word).to_owned()).collect();
    let ended = run(nix, &arguments, &mut |_| {}).await.ok()?;
    let settings: Value = serde_json::from_str(&ended.stdout).ok()?;
    let setting = |name: &str| Some(settings.get(name)?.get("value")?.clone());
    if setting("substitute") == Some(Value::Bool(false)) {
        return None;
    }
    let urls = setting("substituters")?;
    let urls = urls.as_array()?.iter().filter_map(Value::as_str);
    Some(urls.map(str::to_owned).collect())
}
