//! What Nix is told, so that it reads the caches: options, and logins in a netrc file.
//!
//! | module | subject |
//! |---|---|
//! | `services` | what Cachix and Attic say of a cache: where it is read, by which keys it is signed |
//! | `netrc` | logins, in a file that only this user can read |
//!
//! [`decide`] is pure: it is told which caches there are, and what is known of this machine's
//! Nix, and says which options every call of Nix gets and what people have to know. An
//! option that the user gives himself is never given again.

mod netrc;
mod services;
#[cfg(test)]
mod tests;

use nixpy_nix::Abilities;
use nixpy_nix::abilities::{Builds, Trust};
use nixpy_nix::signing::PublicKey;

pub use netrc::{Login, Netrc};
pub use services::{Service, ServiceError, ask_attic, ask_cachix};

/// The key of cache.nixos.org: that it is trusted says nothing of other caches.
const UPSTREAMS_KEY: &str = "cache.nixos.org-1";
/// In what follows is asked before cache.nixos.org, whose number is 40.
const FIRST: usize = 10;
const LAST: usize = 29;

/// A cache that Nix reads.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Substituter {
    /// As it was typed.
    pub cache: String,
    /// As Nix takes it.
    pub url: String,
    /// By which its paths are signed.
    pub keys: Vec<PublicKey>,
    /// What opens it.
    pub login: Option<Login>,
    /// Whether this process serves it.
    pub is_served: bool,
}

/// What Nix is told.
#[derive(Debug, Default, PartialEq, Eq)]
pub struct Reading {
    /// For `--option`, in this order, behind those of the user.
    pub options: Vec<(String, String)>,
    /// For the netrc file, whose option is not among them: the file has to be written first.
    pub logins: Vec<Login>,
    /// What is read: by its address as Nix has it, and as it was typed.
    pub addresses: Vec<(String, String)>,
    /// What people have to know: a cache that is not read, and how it would be.
    pub notes: Vec<String>,
}

/// Decides. `abilities` are of Nix with the user's own options, which are `given`;
/// `has_fixed_port` says whether what is served here has the same address every time.
pub fn decide(
    substituters: Vec<Substituter>,
    abilities: Option<&Abilities>,
    given: &[(String, String)],
    has_fixed_port: bool,
) -> Reading {
    let mut reading = Reading::default();
    let trusts = abilities.map(|abilities| &abilities.builds);
    let is_heard = !matches!(trusts, Some(Builds::Daemon(Trust::Untrusted)));
    let mut urls: Vec<String> = Vec::new();
    let mut keys: Vec<PublicKey> = Vec::new();
    for (n, substituter) in substituters.into_iter().enumerate() {
        if let (Some(abilities), false) = (abilities, is_heard)
            && let Some(note) = not_heard(&substituter, abilities, has_fixed_port)
        {
            reading.notes.push(note);
            continue;
        }
        if substituter.is_served
            && let Some(Builds::Elsewhere(store)) = trusts
        {
            reading.notes.push(format!(
                "the cache {} is not read: {store} builds, and what this machine serves is out of its reach",
                substituter.cache
            ));
            continue;
        }
        reading.notes.extend(unsigned(&substituter, abilities));
        // A daemon that does not trust this user compares addresses letter by letter.
        let url = match is_heard {
            true => before_upstream(&substituter.url, n),
            false => substituter.url.clone(),
        };
        if urls.contains(&url) {
            continue;
        }
        reading
            .addresses
            .push((url.clone(), substituter.cache.clone()));
        urls.push(url);
        keys.extend(substituter.keys);
        if let Some(login) = substituter.login {
            match is_heard {
                true => reading.logins.push(login),
                false => reading.notes.push(format!(
                    "what opens the cache {} cannot be given to the Nix daemon, which does not trust this user: as \
                     root, write it to the file that its setting netrc-file names",
                    substituter.cache
                )),
            }
        }
    }
    if urls.is_empty() {
        return reading;
    }
    keys.sort();
    keys.dedup();
    let keys: Vec<String> = keys.iter().map(ToString::to_string).collect();
    let mut tell = |name: &str, value: String| {
        reading.options.push((name.to_owned(), value));
    };
    tell("extra-substituters", urls.join(" "));
    if !keys.is_empty() {
        tell("extra-trusted-public-keys", keys.join(" "));
    }
    for (name, value) in IN_A_RUN {
        if !given.iter().any(|(own, _)| own == name) {
            tell(name, value.to_owned());
        }
    }
    reading
}

/// What makes caches harmless: what cannot be had from one is built; what a cache did not
/// have a while ago is asked for again, since another machine may have pushed it; one that
/// does not answer is soon passed over.
const IN_A_RUN: [(&str, &str); 5] = [
    ("fallback", "true"),
    ("narinfo-cache-negative-ttl", "0"),
    ("connect-timeout", "10"),
    ("stalled-download-timeout", "30"),
    ("download-attempts", "2"),
];

/// Why a daemon that does not trust this user would not read it.
fn not_heard(
    substituter: &Substituter,
    abilities: &Abilities,
    has_fixed_port: bool,
) -> Option<String> {
    let mut lines = Vec::new();
    if !abilities.may_take_from(&substituter.url) {
        lines.push(format!("extra-trusted-substituters = {}", substituter.url));
    }
    let unknown = substituter.keys.iter().map(ToString::to_string);
    let unknown: Vec<String> = unknown.filter(|key| !abilities.may_trust(key)).collect();
    if !unknown.is_empty() {
        lines.push(format!("extra-trusted-public-keys = {}", unknown.join(" ")));
    }
    if lines.is_empty() {
        return None;
    }
    let port = match substituter.is_served && !has_fixed_port {
        true => {
            ", and give a --cache-port, as 8181, which then stands in the first line for good, too"
        }
        false => "",
    };
    Some(format!(
        "the cache {} is not read: the Nix daemon does not trust {}. As root, add to {}, and restart the daemon \
         (systemctl restart nix-daemon): {}{port}",
        substituter.cache,
        match abilities.user.as_str() {
            "" => "this user",
            user => user,
        },
        abilities.conf.display(),
        lines.join("; "),
    ))
}

/// A cache without keys, of which nobody can say by whom it is signed.
fn unsigned(substituter: &Substituter, abilities: Option<&Abilities>) -> Option<String> {
    let settings = &abilities?.settings;
    let mut others = settings.trusted_public_keys.iter();
    let knows_others = others.any(|key| !key.starts_with(&format!("{UPSTREAMS_KEY}:")));
    let is_wanting = substituter.keys.is_empty() && settings.require_sigs && !knows_others;
    is_wanting.then(|| {
        format!(
            "no key is known for the cache {}: Nix takes nothing from it but what cache.nixos.org has signed. Add \
             key=NAME:BASE64 to it; `nixpy-ci cache key` makes a key to sign with",
            substituter.cache
        )
    })
}

/// With a place in the order of caches, unless the user has given it one.
fn before_upstream(url: &str, n: usize) -> String {
    let (_, parameters) = url.split_once('?').unwrap_or((url, ""));
    let mut parameters = parameters.split('&');
    if parameters.any(|parameter| parameter.starts_with("priority=")) {
        return url.to_owned();
    }
    let joint = if url.contains('?') { '&' } else { '?' };
    format!("{url}{joint}priority={}", (FIRST + n).min(LAST))
}

/// Those of Nix's configuration that may sign for anybody's cache.
pub fn keys_of_nix(abilities: &Abilities) -> Vec<PublicKey> {
    let keys = abilities.settings.trusted_public_keys.iter();
    let keys = keys.filter_map(|key| key.parse::<PublicKey>().ok());
    keys.filter(|key| key.name() != UPSTREAMS_KEY).collect()
}
