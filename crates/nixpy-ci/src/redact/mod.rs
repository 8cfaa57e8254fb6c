//! Secrets, taken out of everything that leaves this process: GitHub hides them in its logs, and
//! in no comment, check run, summary or file; and elsewhere nobody does.
//!
//! They are learned before any command begins, and the ways out are the same for all commands.
//! A line on standard error is cleaned where it is written. Standard output, files and GitHub
//! take only what is [`Clean`], which nobody makes but this module: whoever adds a command, or
//! something new to tell, is asked by the compiler which of its parts are words.

mod clean;

use std::io::{self, Write};
use std::sync::{PoisonError, RwLock};

use clap::ArgMatches;

pub use self::clean::{Clean, Tell};
use crate::mask;
use crate::settings::{Environment, RawInputs};

const HIDDEN: &str = "***";

/// There is one standard error, and so there is one list of what is not written there.
static KNOWN: RwLock<Secrets> = RwLock::new(Secrets { values: Vec::new() });

/// What this process was given and nobody may read.
pub struct Secrets {
    /// The longest first: a part of one may be another.
    values: Vec<String>,
}

/// From here on, what is told has none of these secrets, nor any that was learned before.
pub fn learn(flags: &ArgMatches, environment: &Environment) {
    let raw = RawInputs::as_far_as_known(flags, environment);
    let mut known = KNOWN.write().unwrap_or_else(PoisonError::into_inner);
    known.add(mask::known(&raw, environment));
}

/// The same with nothing in it that nobody may read.
pub fn clean<T: Tell>(told: T) -> Clean<T> {
    let known = KNOWN.read().unwrap_or_else(PoisonError::into_inner);
    known.out_of(told)
}

/// A text without secrets, and without what opens the hosts in it.
pub fn hidden(text: &str) -> String {
    let known = KNOWN.read().unwrap_or_else(PoisonError::into_inner);
    known.hidden(text)
}

impl Secrets {
    fn add(&mut self, values: impl IntoIterator<Item = String>) {
        self.values.extend(values);
        self.values
            .sort_by(|a, b| b.len().cmp(&a.len()).then_with(|| a.cmp(b)));
        self.values.dedup();
    }

    fn hidden(&self, text: &str) -> String {
        let mut text = text.to_owned();
        for value in &self.values {
            // Hardly any line has one.
            if text.contains(value) {
                text = text.replace(value, HIDDEN);
            }
        }
        match text.contains("://") {
            true => without_logins(&text),
            false => text,
        }
    }
}

/// Writes what is written to it, without secrets; each call is a text of its own.
pub struct Hiding<W>(pub W);

impl<W: Write> Write for Hiding<W> {
    fn write(&mut self, text: &[u8]) -> io::Result<usize> {
        let clean = hidden(&String::from_utf8_lossy(text));
        self.0.write_all(clean.as_bytes())?;
        Ok(text.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        self.0.flush()
    }
}

/// `https://user:pass@host` loses what stands before the host; `ssh://root@host` tells nothing.
fn without_logins(text: &str) -> String {
    let mut parts = text.split("://");
    let mut clean = parts.next().unwrap_or_default().to_owned();
    for part in parts {
        let is_web = clean.ends_with("http") || clean.ends_with("https");
        let ends = |c: char| c.is_whitespace() || "/?#\"'<>`".contains(c);
        let (authority, rest) = part.split_at(part.find(ends).unwrap_or(part.len()));
        clean.push_str("://");
        match authority.rsplit_once('@') {
            Some((login, host)) if is_web || login.contains(':') => {
                clean.extend([HIDDEN, "@", host]);
            }
            _ => clean.push_str(authority),
        }
        clean.push_str(rest);
    }
    clean
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    #[test]
    fn what_opens_a_host_is_not_told_and_the_host_is() {
        for (text, told) in [
            (
                "cannot fetch git+https://me:hunter2@git.example/x?ref=a: 403",
                "cannot fetch git+https://***@git.example/x?ref=a: 403",
            ),
            (
                "'https://ghp_x@git.example' and http://a:b@c",
                "'https://***@git.example' and http://***@c",
            ),
            ("ssh-ng://root@arm.example", "ssh-ng://root@arm.example"),
            ("s3://a:b@c", "s3://***@c"),
            ("https://pypi.example/a@b", "https://pypi.example/a@b"),
            ("a@b: c", "a@b: c"),
        ] {
            assert_eq!(without_logins(text), told);
        }
    }

    #[test]
    fn the_longest_goes_first() {
        let mut secrets = Secrets { values: Vec::new() };
        secrets.add(["hunt".to_owned()]);
        secrets.add(["hunter22".to_owned(), "hunt".to_owned()]);
        assert_eq!(secrets.values, ["hunter22", "hunt"]);
        assert_eq!(secrets.hidden("hunter22 hunt"), "*** ***");
    }

    #[test]
    fn whoever_writes_is_told_that_all_of_it_was_written() {
        let mut log = Hiding(Vec::new());
        log.write_all(b"from https://me:pass@git.example\n")
            .unwrap();
        assert_eq!(log.0, b"from https://***@git.example\n");
    }
}
