//! What binary caches know and hold of paths that are not on this machine, asked
//! without fetching the paths.
//!
//! A path's closure may lie in several caches: what nixpkgs has in one, the rest in the
//! project's own. So the references are followed from the outputs on, all paths of one
//! step at once, and every cache and the store of this machine are asked for each step.
//! A cache that cannot be reached, or says nothing in time, is passed over and not asked
//! again: whoever asks can always build, and Nix then says what is wrong with the cache.
//!
//! Nothing is believed that Nix would not take from there. Hash, size and references of
//! a path are what a trusted key has signed, or what its name was computed from; Nix
//! judges that (`nix store verify`), unless it is told to require no signatures. And a
//! file's text is read out of an archive that has that hash ([`KnownClosure`]).

use std::collections::BTreeSet;
use std::time::Duration;

use futures_util::future::join_all;

use crate::path_info::{PathInfo, elsewhere, known_paths};
use crate::program::Nix;
use crate::run::run;
use crate::settings::Settings;
use crate::store_path::StorePath;

pub use closure::KnownClosure;
pub use fetch::fetch;
pub use reach::{Held, held, reach};

mod closure;
mod fetch;
mod reach;

/// For one question to one cache. Slower than this, building is no worse.
const PATIENCE: Duration = Duration::from_secs(8);
/// A closure's longest chain of references; none seen has a hundred.
const MOST_STEPS: usize = 1_000;
/// A closure's paths; that of a desktop system has some ten thousand.
const MOST_PATHS: usize = 100_000;
/// As many paths as surely fit into the arguments of one call.
const PATHS_PER_CALL: usize = 4_000;

/// The caches that Nix takes paths from.
#[derive(Debug)]
pub struct Caches {
    urls: Vec<String>,
    /// Whether Nix takes only what is signed or content-addressed.
    signed_only: bool,
}

impl Caches {
    /// Those of Nix's configuration; none if it is told to use none.
    pub fn of(settings: &Settings) -> Self {
        match settings.substitute {
            true => Self {
                urls: settings.substituters.clone(),
                signed_only: settings.require_sigs,
            },
            false => Self::none(),
        }
    }

    /// None at all.
    pub fn none() -> Self {
        Self {
            urls: Vec::new(),
            signed_only: true,
        }
    }

    /// Whether there is none to ask.
    pub fn is_empty(&self) -> bool {
        self.urls.is_empty()
    }

    /// Which of these paths some cache holds that is to be believed. What they refer to is
    /// there as well then: nobody can put a path into a cache without it.
    pub async fn hold(&self, nix: &Nix, paths: &[StorePath]) -> BTreeSet<StorePath> {
        let each = self.urls.iter().map(async |url| {
            let told = ask(nix, url, paths).await.unwrap_or_default();
            let held = told.into_iter().map(|info| info.path);
            let held: Vec<StorePath> = held.filter(|path| paths.contains(path)).collect();
            if !self.signed_only || held.is_empty() {
                return held;
            }
            let all: Vec<&StorePath> = held.iter().collect();
            if verified(nix, url, &all).await {
                return held;
            }
            let verified = held
                .iter()
                .map(async |path| verified(nix, url, &[path]).await);
            let verified = join_all(verified).await;
            let signed = held.into_iter().zip(verified).filter(|(_, signed)| *signed);
            signed.map(|(path, _)| path).collect()
        });
        join_all(each).await.into_iter().flatten().collect()
    }

    /// Everything that these paths refer to, themselves included; `None` unless all of
    /// it is known, here or from a cache that is to be believed.
    pub async fn closure(&self, nix: &Nix, roots: &[StorePath]) -> Option<KnownClosure> {
        let known = self.told(nix, roots).await?;
        let is_trusted = !self.signed_only || (known.is_bound() && trusted(nix, &known).await);
        is_trusted.then_some(known)
    }

    /// What is told, true or not.
    async fn told(&self, nix: &Nix, roots: &[StorePath]) -> Option<KnownClosure> {
        let mut known = KnownClosure::default();
        let mut answering: Vec<&String> = self.urls.iter().collect();
        let mut wanted: BTreeSet<StorePath> = roots.iter().cloned().collect();
        for _ in 0..MOST_STEPS {
            if wanted.is_empty() {
                return Some(known);
            }
            if known.paths.len() + wanted.len() > MOST_PATHS {
                return None;
            }
            let asked: Vec<StorePath> = wanted.iter().cloned().collect();
            let here = known_paths(nix, &asked, None).await.unwrap_or_default();
            for info in here {
                known.add(info, None);
            }
            let missing: Vec<StorePath> = known.missing(&asked).collect();
            if !missing.is_empty() {
                let told = answering.iter().map(|url| ask(nix, url, &missing));
                let told: Vec<_> = answering
                    .iter()
                    .copied()
                    .zip(join_all(told).await)
                    .collect();
                answering.clear();
                for (url, infos) in told {
                    let Some(infos) = infos else { continue };
                    answering.push(url);
                    // Nobody is to know of a path before all caches are asked about it.
                    let infos = infos.into_iter();
                    for info in infos.filter(|info| wanted.contains(&info.path)) {
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
}

/// What a cache knows of these paths; `None` if it does not answer.
async fn ask(nix: &Nix, url: &str, paths: &[StorePath]) -> Option<Vec<PathInfo>> {
    let asked = known_paths(nix, paths, Some(url));
    match tokio::time::timeout(PATIENCE, asked).await {
        Ok(Ok(infos)) => Some(infos),
        Ok(Err(error)) => {
            tracing::debug!(%url, %error, "the cache does not tell");
            None
        }
        Err(_) => {
            tracing::debug!(%url, "the cache does not tell in time");
            None
        }
    }
}

/// Whether Nix would take everything from where it is known, as far as keys go.
async fn trusted(nix: &Nix, known: &KnownClosure) -> bool {
    let by_cache = known.by_cache();
    let judged = by_cache.iter().map(|(url, paths)| async move {
        for paths in paths.chunks(PATHS_PER_CALL) {
            if !verified(nix, url, paths).await {
                tracing::debug!(%url, "not all that the cache tells is signed by a trusted key");
                return false;
            }
        }
        true
    });
    join_all(judged).await.into_iter().all(|trusted| trusted)
}

/// Without contents: they are looked at when they are read. One signature has to be there
/// even if the store elsewhere says that it has built the path itself, which its users
/// may believe, and we may not.
async fn verified(nix: &Nix, url: &str, paths: &[&StorePath]) -> bool {
    let mut arguments = ["store", "verify", "--no-contents", "--sigs-needed", "1"]
        .map(str::to_owned)
        .to_vec();
    arguments.extend(elsewhere(url));
    arguments.extend(paths.iter().map(ToString::to_string));
    let mut ignored = |_| {};
    let called = run(nix, &arguments, &mut ignored);
    let ended = tokio::time::timeout(PATIENCE, called).await;
    ended.is_ok_and(|ended| ended.is_ok_and(|ended| ended.success))
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    #[test]
    fn no_cache_is_asked_where_nothing_is_to_be_substituted() {
        let settings = |substitute| {
            let text = format!(
                r#"{{"system": {{"value": "x86_64-linux"}}, "store": {{"value": "auto"}},
                    "substituters": {{"value": ["file:///a"]}}, "substitute": {{"value": {substitute}}}}}"#
            );
            Settings::read(&text).unwrap()
        };
        assert_eq!(Caches::of(&settings(true)).urls, ["file:///a"]);
        assert!(Caches::of(&settings(false)).is_empty());
    }
}
