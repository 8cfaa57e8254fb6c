//! Who a user is on which host, from the file that Nix gives to curl: `netrc-file`, which
//! is `/etc/nix/netrc` unless it is set, and the user's own `~/.netrc`.
//!
//! Words, whatever stands between them: `machine HOST login USER password SECRET`, or
//! `default` for every host; `account` and macros are passed over. See curl's manual,
//! "The .netrc file".

use std::path::Path;

use nixpy_oci::registry::Secret;

/// A user and a password.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Login {
    pub(crate) user: String,
    pub(crate) password: Secret,
}

/// Who this machine's user is on a host; `user` if the address says which of several.
pub(crate) fn login(host: &str, user: Option<&str>) -> Option<Login> {
    let own = std::env::home_dir().map(|home| home.join(".netrc"));
    let files = [Some(Path::new("/etc/nix/netrc")), own.as_deref()];
    files.into_iter().flatten().find_map(|file| {
        let text = std::fs::read_to_string(file).ok()?;
        login_in(&text, host, user)
    })
}

fn login_in(text: &str, host: &str, user: Option<&str>) -> Option<Login> {
    let mut entries: Vec<(Option<&str>, Option<&str>, Option<&str>)> = Vec::new();
    let mut words = without_macros(text);
    while let Some(word) = words.next() {
        match word {
            "machine" => entries.push((Some(words.next()?), None, None)),
            "default" => entries.push((None, None, None)),
            "login" => entries.last_mut()?.1 = words.next(),
            "password" => entries.last_mut()?.2 = words.next(),
            "account" => drop(words.next()),
            _ => {}
        }
    }
    let fits = |machine: Option<&str>| machine.is_none_or(|name| name.eq_ignore_ascii_case(host));
    entries.into_iter().find_map(|(machine, login, password)| {
        let wanted = user.is_none_or(|user| login.is_none_or(|login| login == user));
        if !fits(machine) || !wanted {
            return None;
        }
        Some(Login {
            user: login.or(user).unwrap_or_default().to_owned(),
            password: Secret::new(password?),
        })
    })
}

/// A macro goes from `macdef` to an empty line.
fn without_macros(text: &str) -> impl Iterator<Item = &str> {
    let mut in_macro = false;
    let lines = text.lines().filter(move |line| {
        in_macro = (in_macro || line.trim_start().starts_with("macdef")) && !line.trim().is_empty();
        !in_macro
    });
    lines.flat_map(str::split_ascii_whitespace)
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    #[test]
    fn the_first_that_fits_counts() {
        let text = "machine a.example\n  login ann\n  password one\n\
                    macdef init\nmachine b.example login no password no\n\n\
                    machine b.example login bob account x password two\n\
                    machine b.example login eve password three\n\
                    default login all password four\n";
        let found = |host, user| {
            let login = login_in(text, host, user).unwrap();
            (login.user, login.password.expose().to_owned())
        };
        let pair = |user: &str, password: &str| (user.to_owned(), password.to_owned());
        assert_eq!(found("A.example", None), pair("ann", "one"));
        assert_eq!(found("b.example", None), pair("bob", "two"));
        assert_eq!(found("b.example", Some("eve")), pair("eve", "three"));
        assert_eq!(found("c.example", None), pair("all", "four"));
        let only = "machine a password x";
        assert_eq!(login_in(only, "a", Some("me")).unwrap().user, "me");
        for none in [
            "",
            "machine",
            "machine a",
            "login x",
            "machine b password y",
        ] {
            assert_eq!(login_in(none, "a", None), None, "{none:?}");
        }
    }
}
