//! Secrets, told to GitHub's runner before anything else is printed: it then shows `***`
//! wherever one of them would stand, whoever writes it.
//!
//! The runner takes them line by line, out of the log itself, in which they do not appear. So
//! nothing is told where nobody is known to take them: by the action only, whose log is the
//! runner's. What a step of a workflow writes may go through another program into a file; and
//! there the runner hides `secrets.*` already.

use std::collections::BTreeSet;
use std::ffi::OsStr;
use std::io::Write as _;
use std::os::fd::AsFd as _;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use clap::ArgMatches;
use nixpy_github::runner::command::escaped;

use crate::settings::table::secret_variables;
use crate::settings::{Environment, RawInputs};

/// Whatever is shorter would hide words that are no secret.
const SHORTEST: usize = 4;

/// Tells the runner, if there is one, of all secrets that this program was given.
pub fn mask(flags: &ArgMatches, environment: &Environment) {
    let is_github = environment
        .get(OsStr::new("GITHUB_ACTIONS"))
        .is_some_and(|value| value == "true");
    if !is_github || log_is_a_file() {
        return;
    }
    let mut log = std::io::stderr().lock();
    let raw = RawInputs::as_far_as_known(flags, environment);
    for value in known(&raw, environment) {
        let _ = writeln!(log, "::add-mask::{}", escaped(&value));
    }
}

/// Every text that is a secret, or has one in it.
pub fn known(raw: &RawInputs, environment: &Environment) -> BTreeSet<String> {
    let username = raw.get("username").map(|raw| raw.first().to_owned());
    masked(environment, username.as_deref())
}

fn log_is_a_file() -> bool {
    let log = std::io::stderr();
    let file = log.as_fd().try_clone_to_owned().map(std::fs::File::from);
    let data = file.and_then(|file| file.metadata());
    data.is_ok_and(|data| data.is_file())
}

/// Each line of each secret, and what becomes of it in a header of HTTP.
fn masked(environment: &Environment, username: Option<&str>) -> BTreeSet<String> {
    let values = secret_variables().filter_map(|name| environment.get(OsStr::new(&name))?.to_str());
    let actor = environment.get(OsStr::new("GITHUB_ACTOR"));
    let actor = actor.and_then(|actor| actor.to_str());
    let users: BTreeSet<&str> = username
        .into_iter()
        .chain(actor)
        .chain(["x-access-token", ""])
        .collect();
    let mut masked = BTreeSet::new();
    let values = values.chain(tokens_of_nix(environment));
    for line in values.flat_map(str::lines).map(str::trim) {
        // `CACHE TOKEN` and `NAME:KEY` have the secret at their end.
        let word = line.rsplit(' ').next().unwrap_or(line);
        let key = word.split_once(':').map(|(_, key)| key);
        for secret in [Some(line), Some(word), key].into_iter().flatten() {
            // The first and last line of a key are no secret.
            if secret.len() < SHORTEST || secret.starts_with("-----") {
                continue;
            }
            masked.insert(secret.to_owned());
            masked.insert(STANDARD.encode(secret));
            let basic = users.iter().map(|user| format!("{user}:{secret}"));
            masked.extend(basic.map(|basic| STANDARD.encode(basic)));
        }
    }
    masked
}

/// What opens `github:` flakes, where the environment says it: `access-tokens = HOST=TOKEN …`.
fn tokens_of_nix(environment: &Environment) -> impl Iterator<Item = &str> {
    let config = environment.get(OsStr::new("NIX_CONFIG"));
    let config = config
        .and_then(|config| config.to_str())
        .unwrap_or_default();
    let settings = config.lines().filter_map(|line| line.split_once('='));
    settings
        .filter(|(name, _)| name.trim().trim_start_matches("extra-") == "access-tokens")
        .flat_map(|(_, tokens)| tokens.split_whitespace())
        .filter_map(|token| Some(token.split_once('=')?.1))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn environment(pairs: &[(&str, &str)]) -> Environment {
        let pairs = pairs.iter();
        pairs
            .map(|(name, value)| ((*name).into(), (*value).into()))
            .collect()
    }

    #[test]
    fn each_line_of_a_secret_is_masked_and_its_forms_in_headers() {
        let environment = environment(&[
            ("NIXPY_PASSWORD", "hunter22"),
            (
                "INPUT_BUILDER-SSH-KEY",
                "-----BEGIN KEY-----\nc2VjcmV0\n\n-----END KEY-----\n",
            ),
            ("NIXPY_CACHE_TOKEN", "https://c.example me:tokentoken"),
            ("GITHUB_ACTOR", "octocat"),
            ("HOME", "/home/me"),
        ]);
        let masked = masked(&environment, Some("robot"));
        for secret in [
            "hunter22",
            "c2VjcmV0",
            "me:tokentoken",
            "tokentoken",
            &STANDARD.encode("robot:hunter22"),
            &STANDARD.encode("octocat:hunter22"),
            &STANDARD.encode("me:tokentoken"),
            &STANDARD.encode("x-access-token:hunter22"),
        ] {
            assert!(masked.contains(secret), "{secret} is not in {masked:?}");
        }
        let has = |text: &str| masked.iter().any(|masked| masked == text);
        assert!(!has("/home/me") && !has("octocat") && !has("") && !has("-----BEGIN KEY-----"));
    }

    #[test]
    fn what_opens_flakes_is_masked_too() {
        let config = "cores = 2\nextra-access-tokens = github.com=ghs_one git.example=PAT:two2\n";
        let masked = masked(&environment(&[("NIX_CONFIG", config)]), None);
        for secret in ["ghs_one", "PAT:two2", "two2"] {
            assert!(masked.contains(secret), "{secret} is not in {masked:?}");
        }
        assert!(!masked.contains("github.com=ghs_one") && !masked.contains("2"));
    }

    #[test]
    fn what_is_too_short_to_be_a_secret_hides_nothing() {
        let environment = environment(&[("NIXPY_PASSWORD", "abc")]);
        assert!(masked(&environment, None).is_empty());
    }
}
