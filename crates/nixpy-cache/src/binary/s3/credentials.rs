//! Who asks S3: a token `KEY:SECRET`, the environment, or a profile of `~/.aws/credentials`, in
//! this order. Roles of machines and single sign-on are Amazon's programs' to resolve: those
//! put what they find into the environment.

use std::path::PathBuf;

use nixpy_oci::registry::Secret;
use rusty_s3::Credentials;

type Environment<'a> = &'a dyn Fn(&str) -> Option<String>;

/// Whether anything opens this address, as it stands behind `s3://`.
pub(in crate::binary) fn are_known(rest: &str, token: Option<&Secret>) -> bool {
    let profile = super::Address::parse(rest)
        .ok()
        .and_then(|address| address.profile);
    find(token, profile.as_deref(), &|name| std::env::var(name).ok()).is_some()
}

/// What opens a bucket, if anything is known.
pub(super) fn find(
    token: Option<&Secret>,
    profile: Option<&str>,
    environment: Environment<'_>,
) -> Option<Credentials> {
    let given = || {
        // One text may open all caches: that of another kind has no colon.
        let (key, secret) = token?.expose().split_once(':')?;
        Some(Credentials::new(key, secret))
    };
    // A profile that is named in the address counts before the environment, as with Nix.
    let named = || from_file(profile?, environment);
    let default = || {
        let name = environment("AWS_PROFILE");
        from_file(name.as_deref().unwrap_or("default"), environment)
    };
    given()
        .or_else(named)
        .or_else(|| from_environment(environment))
        .or_else(default)
}

fn from_environment(environment: Environment<'_>) -> Option<Credentials> {
    let value = |name: &str| environment(name).filter(|value| !value.is_empty());
    let key = value("AWS_ACCESS_KEY_ID")?;
    let secret = value("AWS_SECRET_ACCESS_KEY")?;
    Some(match value("AWS_SESSION_TOKEN") {
        Some(token) => Credentials::new_with_token(key, secret, token),
        None => Credentials::new(key, secret),
    })
}

fn from_file(profile: &str, environment: Environment<'_>) -> Option<Credentials> {
    let file = match environment("AWS_SHARED_CREDENTIALS_FILE") {
        Some(file) => PathBuf::from(file),
        None => PathBuf::from(environment("HOME")?).join(".aws/credentials"),
    };
    let text = std::fs::read_to_string(file).ok()?;
    let value = |name: &str| value_in(&text, profile, name);
    let (key, secret) = (value("aws_access_key_id")?, value("aws_secret_access_key")?);
    Some(match value("aws_session_token") {
        Some(token) => Credentials::new_with_token(key, secret, token),
        None => Credentials::new(key, secret),
    })
}

/// `NAME = VALUE` below `[PROFILE]`.
fn value_in<'a>(text: &'a str, profile: &str, name: &str) -> Option<&'a str> {
    let mut lines = text.lines().map(str::trim);
    let heading = |line: &str| Some(line.strip_prefix('[')?.strip_suffix(']')?.trim().to_owned());
    lines.find(|line| heading(line).as_deref() == Some(profile))?;
    let own = lines.take_while(|line| heading(line).is_none());
    let mut pairs = own.filter_map(|line| line.split_once('='));
    let (_, value) = pairs.find(|(key, _)| key.trim() == name)?;
    Some(value.trim())
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    #[test]
    fn a_token_counts_before_a_profile_and_that_before_the_environment() {
        let dir = tempfile::tempdir().unwrap();
        let file = dir.path().join("credentials");
        let text = "# mine\n[default]\naws_access_key_id = default-key\naws_secret_access_key = s\n\n\
                    [ci]\naws_access_key_id=ci-key\naws_secret_access_key=s\naws_session_token=t\n[none]\n";
        std::fs::write(&file, text).unwrap();
        let file = file.to_str().unwrap().to_owned();
        let key = |token: Option<&str>, profile: Option<&str>, variables: &[(&str, &str)]| {
            let environment = |name: &str| match name {
                "AWS_SHARED_CREDENTIALS_FILE" => Some(file.clone()),
                _ => {
                    let found = variables.iter().find(|(known, _)| *known == name);
                    found.map(|(_, value)| (*value).to_owned())
                }
            };
            let token = token.map(Secret::new);
            let found = find(token.as_ref(), profile, &environment)?;
            Some((found.key().to_owned(), found.token().map(str::to_owned)))
        };
        let pair =
            |key: &str, token: Option<&str>| Some((key.to_owned(), token.map(str::to_owned)));
        let mine = [
            ("AWS_ACCESS_KEY_ID", "env-key"),
            ("AWS_SECRET_ACCESS_KEY", "s"),
        ];
        assert_eq!(key(Some("a:b"), Some("ci"), &mine), pair("a", None));
        assert_eq!(
            key(Some("opens-another"), Some("ci"), &mine),
            pair("ci-key", Some("t"))
        );
        assert_eq!(key(None, None, &mine), pair("env-key", None));
        assert_eq!(key(None, Some("none"), &mine), pair("env-key", None));
        assert_eq!(key(None, None, &mine[..1]), pair("default-key", None));
        assert_eq!(
            key(None, None, &[("AWS_PROFILE", "ci")]),
            pair("ci-key", Some("t"))
        );
        assert_eq!(key(None, None, &[("AWS_PROFILE", "none")]), None);
    }
}
