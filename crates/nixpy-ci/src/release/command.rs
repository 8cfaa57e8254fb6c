//! The command line of a release.

use clap::{Arg, Command};

use crate::cli::with_settings;

/// Settings of a run that are not those of a release: which tags there are the version says.
const NOT_FOR_RELEASES: [&str; 13] = [
    "tag",
    "flavor",
    "by-digest",
    "result",
    "push",
    "reuse-from",
    "layout",
    "load",
    "html",
    "comment",
    "check",
    "matrix",
    "runner",
];

/// `nixpy-ci release`.
pub fn command() -> Command {
    let command = Command::new("release")
        .about("Give the image of a commit the names of a version, and make the release on GitHub")
        .long_about(
            "Gives the image that was published for a commit the tags of a version: 1.2.3, 1.2, 1 and latest, the last three \
             only forward and never for a pre-release. The image stays what it is, bit for bit; only where the commit has \
             none is one built. Then the release is made on GitHub, with digests, sizes, and what changed since the last \
             one. A second time it changes nothing; what was left half done it completes.",
        )
        .after_help(
            "Examples:\n  nixpy-ci release v1.2.3 -r ghcr.io/acme/api             the image of the commit that v1.2.3 is\n  \
             nixpy-ci release v1.2.3 -r ghcr.io/acme/api --dry-run   which tags would move, and why not\n  \
             nixpy-ci release v1.2.3 --from sha256:… --no-github     this very image, and only its tags\n  \
             nixpy-ci release                                        in a workflow that runs for a tag",
        );
    let command = command.arg(Arg::new("released").value_name("VERSION").help(
        "The version, as its git tag is called: v1.2.3, v2.0.0-rc.1, 1.2.3rc1. Without it, the tag that a workflow runs for",
    ));
    let command = with_settings(command, |setting| !NOT_FOR_RELEASES.contains(&setting.name));
    command
        .mut_arg("flake", |arg| arg.long("flake"))
        .mut_arg("system", |arg| {
            arg.help("The image must be for this system, as in x86_64-linux; may be repeated")
        })
        .mut_arg("dry-run", |arg| {
            arg.help("Only say what would be done, and change nothing")
        })
}
