//! Everything that decides about caches.

use std::path::PathBuf;
use std::sync::OnceLock;
use std::time::Duration;

use nixpy_nix::signing::{PublicKey, SecretKey};
use nixpy_oci::name::Repository;
use nixpy_oci::registry::{Credentials, Registry, RegistryOptions, Secret};

use crate::error::CacheErrorKind;
use crate::registry::RegistryCache;
use crate::spec::{Place, Spec};

/// Everything that decides about caches.
#[derive(Debug)]
pub struct CacheSettings {
    /// The caches, in the order in which they are asked.
    pub wanted: Vec<Spec>,
    /// Trusted beside those of single caches and of Nix's configuration.
    pub public_keys: Vec<PublicKey>,
    /// Signs what is pushed, and is trusted.
    pub signing_key: Option<SecretKey>,
    /// What opens caches.
    pub tokens: Tokens,
    /// What these hold is not pushed: addresses, as Nix writes them.
    pub upstream: Vec<String>,
    /// Names of paths that stay out: `*` stands for anything.
    pub exclude: Vec<String>,
    /// How the registries are reached that caches are in.
    pub registries: Vec<Access>,
    /// Nothing is pushed, whatever the caches say.
    pub read_only: bool,
    /// This is a pull request from a fork, which pushes nothing either.
    pub from_fork: bool,
    /// A cache that cannot be written is a failure of the run.
    pub required: bool,
    /// When nothing else is left to do, pushes may go on for so long.
    pub drain: Duration,
    /// Paths or blobs sent at once, to each cache.
    pub uploads: usize,
    /// Where archives wait, and files with secrets.
    pub place: PathBuf,
    /// The loopback port of what is served to Nix; one that is free if `None`.
    pub port: Option<u16>,
    /// What came of making them ready to be read.
    pub ready: Ready,
}

/// What came of making caches ready to be read.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Ready {
    /// By their addresses as Nix has them, as they were typed.
    pub addresses: Vec<(String, String)>,
    /// What people have to know: one that is not read, and how it would be.
    pub notes: Vec<String>,
}

/// How a registry is reached that a cache is in.
#[derive(Debug)]
pub struct Access {
    place: Place,
    repository: Repository,
    credentials: Credentials,
    options: RegistryOptions,
    /// Read and written by one and the same, so that its contents are asked for once.
    opened: OnceLock<RegistryCache>,
}

impl Access {
    /// To the cache that was typed so: its repository, who asks, and how.
    pub fn new(
        place: Place,
        repository: Repository,
        credentials: Credentials,
        options: RegistryOptions,
    ) -> Self {
        Self {
            place,
            repository,
            credentials,
            options,
            opened: OnceLock::new(),
        }
    }
}

/// What opens caches: one text for all, or a line `CACHE TOKEN` for each.
#[derive(Debug, Clone, Default)]
pub struct Tokens(Vec<(Option<String>, Secret)>);

impl Tokens {
    /// From the text of the secret.
    pub fn parse(text: &str) -> Self {
        let lines = text.lines().map(str::trim).filter(|line| !line.is_empty());
        let tokens = lines.map(|line| match line.split_once(char::is_whitespace) {
            Some((cache, token)) => (Some(cache.to_owned()), Secret::new(token.trim())),
            None => (None, Secret::new(line)),
        });
        Self(tokens.collect())
    }

    /// Without the text for all: only what is meant for one cache is left.
    #[must_use]
    pub fn for_single_caches(self) -> Self {
        let named = self.0.into_iter().filter(|(cache, _)| cache.is_some());
        Self(named.collect())
    }

    /// The caches that the text for all would open. There may be one: of several, each
    /// would see what opens the others.
    pub fn opened_by_one_for_all(&self, caches: &[Spec]) -> Vec<String> {
        if self.0.iter().all(|(cache, _)| cache.is_some()) {
            return Vec::new();
        }
        let caches = caches.iter().filter(|spec| takes_token(&spec.place));
        let mut caches: Vec<String> = caches.map(|spec| spec.place.to_string()).collect();
        let has_own = |cache: &String| {
            let mut lines = self.0.iter();
            lines.any(|(name, _)| name.as_ref() == Some(cache))
        };
        caches.retain(|cache| !has_own(cache));
        caches.sort();
        caches.dedup();
        caches
    }

    /// What opens this cache, as it was typed.
    pub fn of(&self, cache: &str) -> Option<&Secret> {
        let own = self
            .0
            .iter()
            .find(|(name, _)| name.as_deref() == Some(cache));
        let any = || self.0.iter().find(|(name, _)| name.is_none());
        own.or_else(any).map(|(_, token)| token)
    }
}

/// Whether a token is sent to it: registries have logins, files and ssh what the system has.
fn takes_token(place: &Place) -> bool {
    match place {
        Place::Cachix { .. } | Place::Attic { .. } => true,
        Place::Nix(url) => ["http://", "https://", "s3://"]
            .iter()
            .any(|scheme| url.starts_with(scheme)),
        Place::BesideImage | Place::Registry(_) => false,
    }
}

impl Default for CacheSettings {
    fn default() -> Self {
        Self {
            wanted: Vec::new(),
            public_keys: Vec::new(),
            signing_key: None,
            tokens: Tokens::default(),
            upstream: vec!["https://cache.nixos.org".to_owned()],
            exclude: Vec::new(),
            registries: Vec::new(),
            read_only: false,
            from_fork: false,
            required: false,
            drain: Duration::from_secs(300),
            uploads: 8,
            place: std::env::temp_dir(),
            port: None,
            ready: Ready::default(),
        }
    }
}

impl CacheSettings {
    /// The repository that this cache is in, if it is in one.
    pub fn repository(&self, place: &Place) -> Option<&Repository> {
        let mut registries = self.registries.iter();
        let access = registries.find(|access| access.place == *place)?;
        Some(&access.repository)
    }

    /// The cache in a registry that was typed so. These keys are trusted beside those of the
    /// settings by whoever is first to open it.
    ///
    /// # Errors
    /// There is no registry that it could be in.
    pub fn in_registry(
        &self,
        place: &Place,
        trusted: &[PublicKey],
    ) -> Result<RegistryCache, CacheErrorKind> {
        let mut registries = self.registries.iter();
        let Some(access) = registries.find(|access| access.place == *place) else {
            return Err(CacheErrorKind::Refused {
                message: "the image goes to no registry that it could be beside".to_owned(),
                cure: "name a --repository, or the cache's own place, as oci://HOST/NAME"
                    .to_owned(),
            });
        };
        if let Some(opened) = access.opened.get() {
            return Ok(opened.clone());
        }
        let (repository, credentials) = (access.repository.clone(), access.credentials.clone());
        let options = patience(access.options.clone());
        let registry = Registry::new(repository, credentials, options);
        let registry = registry.map_err(|error| CacheErrorKind::Here(error.to_string()))?;
        let mut keys = self.trusted_keys();
        keys.extend(trusted.iter().cloned());
        keys.sort();
        keys.dedup();
        let cache = RegistryCache::new(place.to_string(), registry, keys, self);
        Ok(access.opened.get_or_init(|| cache).clone())
    }

    /// Whether anything may be pushed into any of them.
    pub fn writes(&self) -> bool {
        !self.read_only && !self.from_fork && self.wanted.iter().any(|spec| spec.write)
    }

    /// All keys that are trusted beside those of Nix's configuration; each once.
    pub fn trusted_keys(&self) -> Vec<PublicKey> {
        let mut keys: Vec<PublicKey> = self
            .wanted
            .iter()
            .flat_map(|spec| spec.keys.clone())
            .collect();
        keys.extend(self.public_keys.iter().cloned());
        keys.extend(self.signing_key.as_ref().map(SecretKey::public));
        keys.sort();
        keys.dedup();
        keys
    }
}

/// What a cache lacks is built: there is less to wait for than with an image. One that fails
/// at once is asked as often.
pub(crate) fn patience(options: RegistryOptions) -> RegistryOptions {
    RegistryOptions {
        stalls: 2,
        stall_timeout: Duration::from_secs(15),
        ..options
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    #[test]
    fn a_token_is_for_one_cache_or_for_all() {
        let one = Tokens::parse("secret\n");
        assert_eq!(one.of("cachix:acme").unwrap().expose(), "secret");
        let each = Tokens::parse("cachix:acme abc\n attic:https://a:b  def \n");
        assert_eq!(each.of("cachix:acme").unwrap().expose(), "abc");
        assert_eq!(each.of("attic:https://a:b").unwrap().expose(), "def");
        assert!(each.of("cachix:other").is_none());
        assert!(Tokens::parse("").of("x").is_none());
        assert!(!format!("{each:?}").contains("def"));
    }

    #[test]
    fn a_token_for_all_is_for_one_cache_that_takes_one() {
        let opened = |token: &str, caches: &[&str]| {
            let caches: Vec<Spec> = caches.iter().map(|text| text.parse().unwrap()).collect();
            Tokens::parse(token).opened_by_one_for_all(&caches)
        };
        let all = ["cachix:acme", "https://a.org", "s3://b", "attic:c.org:c"];
        assert_eq!(opened("secret", &all).len(), 4);
        assert!(opened("cachix:acme secret", &all).is_empty());
        assert_eq!(
            opened("cachix:acme a\nsecret", &all[..2]),
            ["https://a.org"]
        );
        let others = [
            "cachix:acme",
            "registry",
            "file:///a",
            "ssh://b",
            "oci://c.org/d",
        ];
        assert_eq!(opened("secret", &others), ["cachix:acme"]);
        let twice = ["cachix:acme read", "cachix:acme write"];
        assert_eq!(opened("secret", &twice), ["cachix:acme"]);
        let tokens = Tokens::parse("cachix:acme a\nsecret").for_single_caches();
        assert_eq!(tokens.of("cachix:acme").unwrap().expose(), "a");
        assert!(tokens.of("https://a.org").is_none());
    }
}
