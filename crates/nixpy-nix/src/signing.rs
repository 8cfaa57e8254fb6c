//! Keys that paths are signed with, and what a signature says.
//!
//! Ed25519 over the fingerprint of a path: `1;PATH;HASH;SIZE;REFERENCE,REFERENCE…`, the
//! hash in Nix's base 32, whole paths, sorted. Keys and signatures are written
//! `NAME:BASE64`; a secret key is its seed followed by the public key, 64 bytes. See Nix's
//! manual, `nix key generate-secret`, and `trusted-public-keys`.

use std::borrow::Cow;
use std::fmt;
use std::str::FromStr;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use ring::rand::SystemRandom;
use ring::signature::{ED25519, Ed25519KeyPair, KeyPair as _, UnparsedPublicKey};

use crate::path_info::PathInfo;
use crate::store_path::StorePath;

/// A public key has 44 characters behind its name, a secret one 88.
const LONGEST_SHOWN: usize = 60;

/// A key that signs; its text cannot be printed.
pub struct SecretKey {
    name: String,
    seed: [u8; 32],
    pair: Ed25519KeyPair,
}

/// A key that signatures are checked with.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct PublicKey {
    name: String,
    bytes: [u8; 32],
}

/// A text that is no key.
#[derive(Debug, thiserror::Error, PartialEq, Eq)]
pub enum KeyError {
    /// Of a secret one, which is not quoted.
    #[error("this is no secret key: `nixpy-ci cache key NAME` makes one, as in NAME:BASE64")]
    Secret,
    /// Of a public one.
    #[error(
        "{0:?} is no public key: it is NAME:BASE64, as in cache.nixos.org-1:6NCHdD59X431o0gWypbMrAURkbJ16ZPMQFGspcDShjY="
    )]
    Public(String),
    /// Of a secret one in a public one's place, of which no more than its name is quoted.
    #[error(
        "this is the secret half of the key {0:?}, which nobody may see: give its public half here, the secret one in \
         NIXPY_CACHE_KEY, and make a new key if others could read this one"
    )]
    SecretHalf(String),
    /// That a key cannot have.
    #[error(
        "a key cannot be called {0:?}: use letters, digits, dots, hyphens and underscores, as in example.org-1"
    )]
    Name(String),
    /// The system gives no random numbers.
    #[error("the system gives no random numbers")]
    Random,
}

impl SecretKey {
    /// A new key of this name.
    ///
    /// # Errors
    /// The name is none, or there are no random numbers.
    pub fn generate(name: &str) -> Result<Self, KeyError> {
        let good = |byte: u8| byte.is_ascii_alphanumeric() || b".-_".contains(&byte);
        if name.is_empty() || !name.bytes().all(good) {
            return Err(KeyError::Name(name.to_owned()));
        }
        let mut seed = [0; 32];
        let filled = ring::rand::SecureRandom::fill(&SystemRandom::new(), &mut seed);
        filled.map_err(|_| KeyError::Random)?;
        Self::of(name, seed).ok_or(KeyError::Random)
    }

    fn of(name: &str, seed: [u8; 32]) -> Option<Self> {
        Some(Self {
            name: name.to_owned(),
            seed,
            pair: Ed25519KeyPair::from_seed_unchecked(&seed).ok()?,
        })
    }

    /// What others trust.
    pub fn public(&self) -> PublicKey {
        let mut bytes = [0; 32];
        bytes.copy_from_slice(self.pair.public_key().as_ref());
        PublicKey {
            name: self.name.clone(),
            bytes,
        }
    }

    /// The key itself, for the file or the secret that it is kept in.
    pub fn expose(&self) -> String {
        let whole = [self.seed.as_slice(), self.pair.public_key().as_ref()].concat();
        format!("{}:{}", self.name, STANDARD.encode(whole))
    }

    /// The signature of a path.
    pub fn sign(&self, info: &PathInfo) -> String {
        let signature = self.pair.sign(fingerprint(info).as_bytes());
        format!("{}:{}", self.name, STANDARD.encode(signature))
    }
}

impl FromStr for SecretKey {
    type Err = KeyError;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let parsed = || {
            let (name, key) = text.trim().split_once(':')?;
            let bytes: [u8; 64] = STANDARD.decode(key).ok()?.try_into().ok()?;
            let key = Self::of(name, *bytes.first_chunk()?)?;
            let is_whole = !name.is_empty() && key.public().bytes == bytes[32..];
            is_whole.then_some(key)
        };
        parsed().ok_or(KeyError::Secret)
    }
}

impl fmt::Debug for SecretKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "SecretKey({}:***)", self.name)
    }
}

impl PublicKey {
    /// What signatures call it.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// Whether it has signed this path.
    pub fn has_signed(&self, info: &PathInfo) -> bool {
        let fingerprint = fingerprint(info);
        let key = UnparsedPublicKey::new(&ED25519, &self.bytes);
        info.signatures.iter().any(|signature| {
            let (name, signature) = signature.split_once(':').unwrap_or_default();
            let signature = STANDARD.decode(signature).unwrap_or_default();
            name == self.name && key.verify(fingerprint.as_bytes(), &signature).is_ok()
        })
    }
}

impl FromStr for PublicKey {
    type Err = KeyError;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let parsed = || {
            let (name, key) = text.split_once(':')?;
            let bytes = STANDARD.decode(key).ok()?.try_into().ok()?;
            // Nix takes several of them between blanks.
            let is_name = !name.is_empty() && name.chars().all(|c| c.is_ascii_graphic());
            let name = name.to_owned();
            is_name.then_some(Self { name, bytes })
        };
        parsed().ok_or_else(|| match without_secret_halves(text) {
            Cow::Borrowed(text) => KeyError::Public(text.to_owned()),
            Cow::Owned(shown) => {
                let name = shown.split_once(':').map_or("", |(name, _)| name);
                KeyError::SecretHalf(name.to_owned())
            }
        })
    }
}

impl fmt::Display for PublicKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:{}", self.name, STANDARD.encode(self.bytes))
    }
}

impl fmt::Debug for PublicKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

/// As it may be shown: without what may be a secret key, by its length.
pub fn without_secret_halves(text: &str) -> Cow<'_, str> {
    let is_of_keys = |c: char| c.is_ascii_alphanumeric() || "+/=".contains(c);
    let mut pieces = text.split(|c| !is_of_keys(c));
    if pieces.all(|piece| piece.len() <= LONGEST_SHOWN) {
        return Cow::Borrowed(text);
    }
    let mut shown = String::new();
    for piece in text.split_inclusive(|c| !is_of_keys(c)) {
        let word = piece.trim_end_matches(|c| !is_of_keys(c));
        match word.len() > LONGEST_SHOWN {
            true => shown.extend(["***", &piece[word.len()..]]),
            false => shown.push_str(piece),
        }
    }
    Cow::Owned(shown)
}

/// What is signed of a path.
fn fingerprint(info: &PathInfo) -> String {
    let references: Vec<&str> = info.references.iter().map(StorePath::as_str).collect();
    format!(
        "1;{};{};{};{}",
        info.path,
        info.nar_hash.to_nix_base32(),
        info.nar_size,
        references.join(",")
    )
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;
    use crate::narinfo::NarInfo;

    const HELLO: &str = "\
StorePath: /nix/store/0c1rh5b9ky9wwkqh1csqjnwsqhdsm9zz-hello-2.12
URL: nar/x.nar
NarHash: sha256:0mdqa9w1p6cmli6976v4wi0sw9r4p5prkj7lzfd1877wk11c9c73
NarSize: 240
References: 0c1rh5b9ky9wwkqh1csqjnwsqhdsm9zz-hello-2.12
";

    fn info() -> PathInfo {
        HELLO.parse::<NarInfo>().unwrap().info
    }

    #[test]
    fn what_a_key_signs_its_public_half_confirms_and_no_other() {
        let (key, other) = (
            SecretKey::generate("a-1").unwrap(),
            SecretKey::generate("a-1").unwrap(),
        );
        let mut info = info();
        assert!(!key.public().has_signed(&info));
        info.signatures = vec!["rubbish".to_owned(), key.sign(&info)];
        assert!(key.public().has_signed(&info));
        assert!(!other.public().has_signed(&info));
        info.nar_size += 1;
        assert!(!key.public().has_signed(&info));
    }

    #[test]
    fn a_signature_is_the_one_that_nix_makes() {
        // By `nix key generate-secret` and `nix store sign` of Nix 2.8.
        let key: SecretKey = "t-1:ZF5SEKUqfW35SHcfawGZnKDY2mgs9KJAD//gIfvKkKMoLu7v+t7q1nodDpCbsQSl/Ozm6WRTCzmThcKyABJPbg=="
            .parse()
            .unwrap();
        let info: NarInfo = "\
StorePath: /nix/store/ab3li50xq0nl4q5lxdyinb8w8y13my9s-f
URL: f.nar
NarHash: sha256-EFUdrtf6Rn0LWIJufrmg8q99aT3jGfLvd1//zaJEufY=
NarSize: 120
References:
"
        .parse()
        .unwrap();
        assert_eq!(
            key.sign(&info.info),
            "t-1:A/1pqx4PNDq76ULAnSNSzCdn4KR5XzFbCVGwtPhynO7nA8o4XldrJEe1//oeNZKh7GD1mEoYRxdLS1RstE3PBQ=="
        );
        let public = "t-1:KC7u7/re6tZ6HQ6Qm7EEpfzs5ulkUws5k4XCsgAST24=";
        assert_eq!(key.public().to_string(), public);
    }

    #[test]
    fn keys_are_read_as_they_are_written_and_secrets_do_not_print() {
        let key = SecretKey::generate("example.org-1").unwrap();
        let again: SecretKey = format!("{}\n", key.expose()).parse().unwrap();
        assert_eq!(again.expose(), key.expose());
        assert_eq!(
            key.public().to_string().parse::<PublicKey>().unwrap(),
            key.public()
        );
        assert_eq!(format!("{key:?}"), "SecretKey(example.org-1:***)");
        let halves = key.expose().replace(':', "");
        for wrong in ["", ":", "a:AAAA", &halves, &key.public().to_string()] {
            assert_eq!(wrong.parse::<SecretKey>().unwrap_err(), KeyError::Secret);
        }
        for wrong in ["", "a:", "a:AAAA", &key.expose()] {
            assert!(wrong.parse::<PublicKey>().is_err());
        }
        let public = key.public().to_string();
        assert!(
            public
                .replace("example", "a b")
                .parse::<PublicKey>()
                .is_err()
        );
        for name in ["", "a b", "a:b", "ä"] {
            assert_eq!(
                SecretKey::generate(name).unwrap_err(),
                KeyError::Name(name.to_owned())
            );
        }
    }

    #[test]
    fn a_secret_key_in_the_place_of_a_public_one_is_not_quoted() {
        let text = SecretKey::generate("acme-1").unwrap().expose();
        let secret = text.split_once(':').unwrap().1;
        for wrong in [text.as_str(), &text[..80], secret, &format!(" {text}")] {
            let error = wrong.parse::<PublicKey>().unwrap_err().to_string();
            assert!(error.contains("secret half"), "{error}");
            assert!(!error.contains(&secret[..20]), "{error}");
        }
        let shown = without_secret_halves(&format!("a key={text} é {secret}")).into_owned();
        assert_eq!(shown, "a key=acme-1:*** é ***");
        assert_eq!(without_secret_halves("a:b"), "a:b");
    }
}
