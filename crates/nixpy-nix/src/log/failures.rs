//! What a message of failure means: the versions word it differently, and people
//! need to be told different things.
//!
//! Texts are matched, because Nix has no codes. What is not recognised is passed on
//! in Nix's own words as [`FailureReason::Other`].

use crate::store_path::StorePath;

/// A failure that Nix reported.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Failure {
    /// The derivation that Nix named, if it named one.
    pub derivation: Option<StorePath>,
    /// What it means.
    pub reason: FailureReason,
}

/// Why a derivation was not built.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum FailureReason {
    /// The builder ended with this exit code.
    Exit(i32),
    /// The builder was ended by this signal; 9 is often the kernel, out of memory.
    Signal(i32),
    /// A fixed-output derivation gave something else than what was specified.
    HashMismatch {
        /// What the flake says.
        specified: String,
        /// What came.
        got: String,
    },
    /// Neither this machine nor any remote builder can build for this system.
    NoBuilder {
        /// The system that is required.
        system: String,
        /// The features that are required (`kvm`, `big-parallel`).
        features: Vec<String>,
    },
    /// The disk is full.
    DiskFull,
    /// The build took longer than `timeout` or was silent longer than `max-silent-time`.
    TimedOut {
        /// The limit in seconds.
        seconds: u64,
        /// Whether silence was the fault.
        silent: bool,
    },
    /// The builder ended well and an output is missing.
    OutputMissing,
    /// Something it depends on has failed; the cause is reported by itself.
    Dependency,
    /// The daemon does not let this user do that.
    NotTrusted(String),
    /// Nix gave no reason. Before 2.20 or so it tells only one of several failures.
    Unreported,
    /// Nix stopped before it came to this, because of something else.
    NotAttempted,
    /// In Nix's own words.
    Other(String),
}

impl FailureReason {
    /// Whether the whole call of Nix ends by it, even under `--keep-going`, on versions that do so.
    pub(crate) fn ends_the_call(&self) -> bool {
        matches!(self, Self::NoBuilder { .. } | Self::NotTrusted(_))
    }
}

impl std::fmt::Display for FailureReason {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Exit(code) => write!(formatter, "the builder ended with exit code {code}"),
            Self::Signal(9) => formatter
                .write_str("the builder was killed (signal 9), most often for want of memory"),
            Self::Signal(number) => write!(formatter, "the builder was ended by signal {number}"),
            Self::HashMismatch { specified, got } => {
                write!(
                    formatter,
                    "the hash of what was fetched is {got}, and the flake specifies {specified}"
                )
            }
            Self::NoBuilder { system, features } if features.is_empty() => {
                write!(
                    formatter,
                    "nothing here can build for {system}: neither this machine nor a remote builder"
                )
            }
            Self::NoBuilder { system, features } => {
                write!(
                    formatter,
                    "nothing here can build for {system} with the features {}",
                    features.join(", ")
                )
            }
            Self::DiskFull => formatter.write_str("the disk is full; `nix store gc` frees space"),
            Self::TimedOut {
                seconds,
                silent: true,
            } => write!(formatter, "it was silent for {seconds} seconds"),
            Self::TimedOut {
                seconds,
                silent: false,
            } => write!(formatter, "it took longer than {seconds} seconds"),
            Self::OutputMissing => {
                formatter.write_str("the builder ended well but did not make its output ($out)")
            }
            Self::Dependency => formatter.write_str("something it depends on failed"),
            Self::NotTrusted(text) => {
                write!(
                    formatter,
                    "{text}; the daemon wants this user in its `trusted-users`"
                )
            }
            Self::Unreported => formatter.write_str("Nix gave no reason"),
            Self::NotAttempted => formatter.write_str("Nix stopped before it came to this"),
            Self::Other(text) => formatter.write_str(text),
        }
    }
}

/// What this error message (without colours) says about a build; `None` if it is about something else.
pub fn recognise(message: &str) -> Option<Failure> {
    // `build of 'X.drv' on 'ssh://m' failed: …` wraps what the machine said.
    let text = match message.split_once("' failed: ") {
        Some((head, rest)) if head.starts_with("build of '") => rest.trim(),
        _ => message.trim(),
    };
    let derivation = quoted(text).chain(quoted(message)).find_map(|name| {
        name.parse::<StorePath>()
            .ok()
            .filter(StorePath::is_derivation)
    });
    // The tail of the log may be part of the message, and may say anything.
    let head = text
        .split("last ")
        .next()
        .unwrap_or(text)
        .split("Last ")
        .next()
        .unwrap_or(text);
    let reason = hash_mismatch(text)
        .or_else(|| no_builder(text))
        .or_else(|| timed_out(head))
        .or_else(|| full_disk(text))
        .or_else(|| not_trusted(head))
        .or_else(|| number_after(head, "failed with exit code ").map(FailureReason::Exit))
        .or_else(|| number_after(head, "failed due to signal ").map(FailureReason::Signal))
        .or_else(|| {
            head.contains("failed to produce output")
                .then_some(FailureReason::OutputMissing)
        })
        .or_else(|| dependency(head));
    match (reason, derivation) {
        (Some(reason), derivation) => Some(Failure { derivation, reason }),
        (None, Some(derivation)) if is_about_a_build(text) => Some(Failure {
            derivation: Some(derivation),
            reason: FailureReason::Other(text.to_owned()),
        }),
        _ => None,
    }
}

fn is_about_a_build(text: &str) -> bool {
    [
        "builder for '",
        "build of '",
        "Cannot build '",
        "building of '",
        "derivation '",
        "while setting up the build",
    ]
    .iter()
    .any(|known| text.contains(known))
}

/// What stands between single quotes, in order.
fn quoted(text: &str) -> impl Iterator<Item = &str> {
    text.split('\'').skip(1).step_by(2)
}

fn number_after<N: std::str::FromStr>(text: &str, words: &str) -> Option<N> {
    let (_, rest) = text.split_once(words)?;
    let end = rest
        .find(|other: char| !other.is_ascii_digit())
        .unwrap_or(rest.len());
    rest[..end].parse().ok()
}

fn hash_mismatch(text: &str) -> Option<FailureReason> {
    if !text.contains("hash mismatch in fixed-output derivation") {
        return None;
    }
    let value = |label: &str| {
        let line = text
            .lines()
            .find_map(|line| line.trim().strip_prefix(label));
        line.map(|value| value.trim().to_owned())
            .unwrap_or_default()
    };
    Some(FailureReason::HashMismatch {
        specified: value("specified:"),
        got: value("got:"),
    })
}

fn no_builder(text: &str) -> Option<FailureReason> {
    // Until 2.27 or so and in Lix: "a 'S' with features {…} is required to build";
    // since then: "Required system: 'S' with features {…}".
    let old = text
        .contains("is required to build")
        .then(|| text.split_once("a '"))
        .flatten();
    let (_, rest) = old.or_else(|| text.split_once("Required system: '"))?;
    let (system, rest) = rest.split_once('\'')?;
    let listed = rest
        .split_once('{')
        .and_then(|(_, rest)| rest.split_once('}'))
        .map_or("", |(listed, _)| listed);
    let features = listed
        .split(',')
        .map(str::trim)
        .filter(|feature| !feature.is_empty())
        .map(str::to_owned);
    Some(FailureReason::NoBuilder {
        system: system.to_owned(),
        features: features.collect(),
    })
}

fn timed_out(text: &str) -> Option<FailureReason> {
    let seconds = number_after(text, "timed out after ")?;
    Some(FailureReason::TimedOut {
        seconds,
        silent: text.contains("seconds of silence"),
    })
}

/// Also looks into the tail of the log: a full disk is the cause, whatever the builder made of it.
pub(super) fn full_disk(text: &str) -> Option<FailureReason> {
    let full =
        text.contains("No space left on device") || text.contains("database or disk is full");
    full.then_some(FailureReason::DiskFull)
}

fn not_trusted(text: &str) -> Option<FailureReason> {
    let refused = text.contains("not a trusted user")
        || text.contains("lacks a signature by a trusted key")
        || text.contains("lacks a valid signature")
        || text.contains("you are not privileged");
    refused.then(|| FailureReason::NotTrusted(text.trim().to_owned()))
}

fn dependency(text: &str) -> Option<FailureReason> {
    let words = [
        "dependencies of derivation '",
        "dependency of derivation '",
        " dependency failed",
        " dependencies failed",
    ];
    words
        .iter()
        .any(|known| text.contains(known))
        .then_some(FailureReason::Dependency)
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests;
