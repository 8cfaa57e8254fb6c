//! What caches hold that everybody has: it need not be pushed.
//!
//! A path that is signed by the key of such a cache is there; that is known without a
//! question. Of the others the cache is asked, once. One that does not answer, or takes
//! its time, is not asked again in this run: then only signatures tell, and some paths are
//! pushed that are there already, which costs room and nothing else.

use std::collections::HashMap;
use std::time::Duration;

use nixpy_nix::StorePath;
use nixpy_nix::path_info::PathInfo;
use nixpy_nix::signing::PublicKey;

use crate::error::{CacheError, CacheErrorKind};
use crate::store::Store;

/// For one question.
const PATIENCE: Duration = Duration::from_secs(10);

/// The key that nixpkgs' own cache signs with; known even where Nix does not trust it.
const NIXOS: &str = "cache.nixos.org-1:6NCHdD59X431o0gWypbMrAURkbJ16ZPMQFGspcDShjY=";

/// What caches hold that everybody has.
#[derive(Debug)]
pub struct Upstream {
    stores: Vec<Box<dyn Store>>,
    keys: Vec<PublicKey>,
    /// What was asked for, and whether it is there.
    asked: HashMap<StorePath, bool>,
    /// Whether one of the keys has signed a path: to verify that takes time.
    signed: HashMap<StorePath, bool>,
    patience: Duration,
}

impl Upstream {
    /// These caches, who sign with these keys.
    pub fn new(stores: Vec<Box<dyn Store>>, keys: Vec<PublicKey>) -> Self {
        Self {
            stores,
            keys,
            asked: HashMap::new(),
            signed: HashMap::new(),
            patience: PATIENCE,
        }
    }

    /// Whether it is known to be there, as far as was verified and asked.
    pub(super) fn holds(&self, info: &PathInfo) -> bool {
        let is_known = |known: &HashMap<_, _>| known.get(&info.path) == Some(&true);
        is_known(&self.asked) || is_known(&self.signed)
    }

    /// Finds out which of these are signed, so far as nobody has before.
    pub(super) fn verify<'a>(&mut self, infos: impl Iterator<Item = &'a PathInfo>) {
        for info in infos {
            if !self.signed.contains_key(&info.path) {
                let is_signed = self.keys.iter().any(|key| key.has_signed(info));
                self.signed.insert(info.path.clone(), is_signed);
            }
        }
    }

    /// Asks of these paths, so far as nobody has asked before; gives what went wrong.
    pub(super) async fn ask(&mut self, infos: &[PathInfo]) -> Vec<CacheError> {
        let new = infos
            .iter()
            .filter(|info| !self.asked.contains_key(&info.path));
        let mut open: Vec<PathInfo> = new.cloned().collect();
        let mut troubles = Vec::new();
        let mut answering = Vec::new();
        for store in std::mem::take(&mut self.stores) {
            if open.is_empty() {
                answering.push(store);
                continue;
            }
            let missing = tokio::time::timeout(self.patience, store.missing(&open)).await;
            let missing = missing.unwrap_or_else(|_| {
                let silence = format!("no answer within {} s", self.patience.as_secs());
                let kind = CacheErrorKind::Unreachable(silence);
                Err(CacheError::new(store.name(), "say what it holds", kind))
            });
            match missing {
                Ok(missing) => {
                    let is_there = |info: &PathInfo| !missing.contains(&info.path);
                    let there = open.iter().filter(|info| is_there(info));
                    self.asked
                        .extend(there.map(|info| (info.path.clone(), true)));
                    open.retain(|info| !is_there(info));
                    answering.push(store);
                }
                Err(error) => troubles.push(error),
            }
        }
        self.asked
            .extend(open.into_iter().map(|info| (info.path, false)));
        self.stores = answering;
        troubles
    }
}

/// Which of the keys that Nix trusts are these caches' own: keys are called after the host,
/// with a number, as in `cache.nixos.org-1`.
pub fn keys_of(caches: &[String], trusted: &[String]) -> Vec<PublicKey> {
    let hosts: Vec<&str> = caches.iter().filter_map(|url| host(url)).collect();
    let known = trusted.iter().map(String::as_str).chain([NIXOS]);
    let keys = known.filter_map(|text| text.parse::<PublicKey>().ok());
    let is_of = |key: &PublicKey| {
        let name = key
            .name()
            .rsplit_once('-')
            .map_or(key.name(), |(name, _)| name);
        hosts.contains(&name)
    };
    let mut keys: Vec<PublicKey> = keys.filter(is_of).collect();
    keys.sort();
    keys.dedup();
    keys
}

fn host(url: &str) -> Option<&str> {
    let (_, rest) = url.split_once("://")?;
    let authority = rest.split(['/', '?']).next()?;
    let host = authority.rsplit('@').next()?;
    Some(host.split(':').next().unwrap_or(host)).filter(|host| !host.is_empty())
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use std::collections::BTreeSet;

    use futures_util::future::BoxFuture;
    use nixpy_nix::NarHash;
    use nixpy_nix::signing::SecretKey;

    use super::*;
    use crate::store::Put;

    /// Holds one path, and answers so often.
    #[derive(Debug)]
    struct Fixed(StorePath, std::sync::atomic::AtomicI32);

    impl Store for Fixed {
        fn name(&self) -> &str {
            "fixed"
        }

        fn missing<'a>(
            &'a self,
            paths: &'a [PathInfo],
        ) -> BoxFuture<'a, Result<BTreeSet<StorePath>, CacheError>> {
            Box::pin(async move {
                if self.1.fetch_sub(1, std::sync::atomic::Ordering::Relaxed) <= 0 {
                    std::future::pending::<()>().await;
                }
                let names = paths.iter().map(|info| info.path.clone());
                Ok(names.filter(|path| *path != self.0).collect())
            })
        }

        fn put<'a>(&'a self, _: &'a [PathInfo]) -> BoxFuture<'a, Put> {
            Box::pin(async { Put::default() })
        }
    }

    fn info(name: &str) -> PathInfo {
        PathInfo {
            path: format!("/nix/store/{:0>32}-{name}", 1).parse().unwrap(),
            nar_hash: NarHash::from_bytes([0; 32]),
            nar_size: 1,
            references: Vec::new(),
            deriver: None,
            ca: None,
            is_own: false,
            signatures: Vec::new(),
        }
    }

    #[test]
    fn keys_are_called_after_their_hosts() {
        let trusted = [
            "acme.cachix.org-1:6NCHdD59X431o0gWypbMrAURkbJ16ZPMQFGspcDShjY=".to_owned(),
            "other.cachix.org-1:6NCHdD59X431o0gWypbMrAURkbJ16ZPMQFGspcDShjY=".to_owned(),
            "rubbish".to_owned(),
        ];
        let names = |caches: &[&str]| -> Vec<String> {
            let caches: Vec<String> = caches.iter().map(|&url| url.to_owned()).collect();
            let keys = keys_of(&caches, &trusted);
            keys.iter().map(|key| key.name().to_owned()).collect()
        };
        assert_eq!(names(&["https://cache.nixos.org"]), ["cache.nixos.org-1"]);
        assert_eq!(
            names(&[
                "https://acme.cachix.org/",
                "https://cache.nixos.org?priority=1"
            ]),
            ["acme.cachix.org-1", "cache.nixos.org-1"]
        );
        assert!(names(&["https://nixos.org", "file:///srv/cache", "s3://a"]).is_empty());
    }

    #[test]
    fn what_is_signed_by_its_key_is_there_without_a_question() {
        let (key, other) = (
            SecretKey::generate("a-1").unwrap(),
            SecretKey::generate("a-1").unwrap(),
        );
        let mut upstream = Upstream::new(Vec::new(), vec![key.public()]);
        let (mut signed, mut named) = (info("app"), info("lib"));
        signed.signatures.push(key.sign(&signed));
        named.signatures.push(other.sign(&named));
        upstream.verify([&signed, &named, &info("plain")].into_iter());
        assert!(upstream.holds(&signed));
        assert!(!upstream.holds(&named), "the name of a key is no proof");
        assert!(!upstream.holds(&info("plain")));
    }

    #[test]
    fn a_signature_is_verified_once() {
        let key = SecretKey::generate("a-1").unwrap();
        let mut upstream = Upstream::new(Vec::new(), vec![key.public()]);
        let (mut signed, unsigned) = (info("app"), info("app"));
        signed.signatures.push(key.sign(&signed));
        upstream.verify([&signed].into_iter());
        upstream.verify([&unsigned].into_iter());
        assert!(upstream.holds(&unsigned), "it is remembered by the path");
    }

    #[tokio::test]
    async fn it_is_asked_once_and_not_again_when_it_is_silent() {
        let (there, absent, later) = (info("there"), info("absent"), info("later"));
        let store = Fixed(there.path.clone(), 1.into());
        let mut upstream = Upstream::new(vec![Box::new(store)], Vec::new());
        upstream.patience = Duration::from_millis(50);
        let both = [there.clone(), absent.clone()];
        assert!(upstream.ask(&both).await.is_empty());
        assert!(upstream.holds(&there) && !upstream.holds(&absent));
        assert!(upstream.ask(&both).await.is_empty(), "nobody asks again");
        assert_eq!(upstream.ask(std::slice::from_ref(&later)).await.len(), 1);
        assert!(
            upstream.ask(&[info("last")]).await.is_empty(),
            "it is let alone"
        );
        assert!(upstream.holds(&there) && !upstream.holds(&later));
    }
}
