//! Secrets, taken out of a report before anybody is told of it: GitHub hides them in logs, and
//! in no comment, check run, summary or file.
//!
//! What is cleaned are the texts in which others' words may stand: of an error, a log, an
//! address. Names by which things are found (store paths, digests) stay what they are.

use std::str::FromStr as _;

use nixpy_nix::StorePath;
use nixpy_oci::digest::Digest;
use nixpy_pipeline::report::Report;
use serde::Serialize;
use serde::de::DeserializeOwned;
use serde_json::Value;

use crate::mask;
use crate::settings::{Environment, RawInputs};

const HIDDEN: &str = "***";

/// What this run was given and nobody may read.
pub struct Secrets {
    /// The longest first: a part of one may be another.
    values: Vec<String>,
}

impl Secrets {
    /// All that there are.
    pub fn of(raw: &RawInputs, environment: &Environment) -> Self {
        let mut values: Vec<String> = mask::known(raw, environment).into_iter().collect();
        values.sort_by_key(|value| std::cmp::Reverse(value.len()));
        Self { values }
    }

    /// The report without them.
    pub fn out_of(&self, mut report: Report) -> Report {
        report.flake = self.hidden(&report.flake);
        self.clean(&mut report.error);
        self.clean(&mut report.notes);
        self.clean(&mut report.troubles);
        self.clean(&mut report.failures);
        self.clean(&mut report.caches);
        self.clean(&mut report.findings);
        self.clean(&mut report.timeline);
        for image in &mut report.platforms {
            self.clean(&mut image.smoke);
            self.clean(&mut image.machine);
        }
        report
    }

    /// What cannot be read any more without a secret is not told at all.
    fn clean<T: Serialize + DeserializeOwned + Default>(&self, part: &mut T) {
        let value = serde_json::to_value(&*part).unwrap_or_default();
        let clean = self.cleaned(value.clone());
        if clean != value {
            *part = serde_json::from_value(clean).unwrap_or_default();
        }
    }

    fn cleaned(&self, value: Value) -> Value {
        match value {
            Value::String(text) if is_name(&text) => Value::String(text),
            Value::String(text) => Value::String(self.hidden(&text)),
            Value::Array(items) => items.into_iter().map(|item| self.cleaned(item)).collect(),
            Value::Object(fields) => {
                let fields = fields.into_iter();
                fields
                    .map(|(name, value)| (name, self.cleaned(value)))
                    .collect()
            }
            other => other,
        }
    }

    fn hidden(&self, text: &str) -> String {
        let known = self.values.iter();
        let text = known.fold(text.to_owned(), |text, value| text.replace(value, HIDDEN));
        without_logins(&text)
    }
}

fn is_name(text: &str) -> bool {
    StorePath::from_str(text).is_ok() || Digest::from_str(text).is_ok()
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
    fn the_longest_goes_first_and_names_stay() {
        let values = vec!["hunter22".to_owned(), "hunt".to_owned()];
        let secrets = Secrets { values };
        assert_eq!(secrets.hidden("hunter22 hunt"), "*** ***");
        let path = "/nix/store/l8s71q1sbqa8q6yd8zi3ak40kn1h9dhf-hunt";
        let cleaned = secrets.cleaned(serde_json::json!([path, { "of": "hunt" }]));
        assert_eq!(cleaned, serde_json::json!([path, { "of": "***" }]));
    }
}
