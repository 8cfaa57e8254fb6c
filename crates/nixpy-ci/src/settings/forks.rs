//! What a fork may not decide. In a job that runs for one, the checkout is the fork's, and so is the
//! file of settings in it: it says what is built, and how the image is. What decides where
//! secrets go, which programs are started, what is published, and which files are
//! written has to be said by a flag, a variable or an input, which are the workflow's.

use super::naming::{event, text};
use super::sources::{Environment, Raw, Source};

/// Settings that a fork's file is not heard on. A `repository` and caches that it names are
/// read, without a password that was given for another.
const NOT_FOR_FORKS: [&str; 14] = [
    "push",
    "plain-http",
    "ca-file",
    "nix",
    "nix-option",
    "builders",
    "builder-known-hosts",
    "smoke-network",
    "setup",
    "load",
    "report",
    "result",
    "html",
    "summary",
];

/// Whether this is from a fork's file, and not for it to say.
pub(super) fn is_unheard(name: &str, raw: &Raw, environment: &Environment) -> bool {
    raw.source == Source::File && NOT_FOR_FORKS.contains(&name) && is_from_fork(environment)
}

/// Whether this runs for somebody who may not push to the repository whose secrets it may
/// have. GitHub describes what it runs for in a file, and what is not described there is not
/// trusted either; GitLab in variables.
pub(super) fn is_from_fork(environment: &Environment) -> bool {
    event(environment).1 || is_from_fork_of_gitlab(environment)
}

/// A merge request that GitLab runs in the project that it is for, with its secrets; in
/// the fork's own it has those of the fork.
pub(super) fn is_from_fork_of_gitlab(environment: &Environment) -> bool {
    let source = text(environment, "CI_MERGE_REQUEST_SOURCE_PROJECT_PATH");
    source.is_some_and(|source| text(environment, "CI_PROJECT_PATH") != Some(source))
}
