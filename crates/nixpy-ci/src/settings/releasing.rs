//! What `nixpy-ci release` takes beside the settings of a run.

use std::ffi::OsStr;

use nixpy_github::api::Token;
use nixpy_github::context::Context;
use nixpy_nix::{Revision, System};
use nixpy_oci::platform::Platform;
use nixpy_pipeline::inputs::Target;
use nixpy_pipeline::platform::platform_of;
use nixpy_pipeline::release::{Named, Version};

use super::output::Output;
use super::resolve::{Problem, Reader, Surroundings, parse};
use super::sources::RawInputs;
use super::target::{registries, repositories};

/// Which version, of what, and what is told of it.
#[derive(Debug)]
pub struct ToRelease {
    /// Without a `v`.
    pub version: Version,
    /// The version's git tag, as it was written.
    pub tag: String,
    /// The image, if it was named.
    pub image: Option<Named>,
    /// The commit, if it was named.
    pub commit: Option<Revision>,
    /// What the image must be for.
    pub platforms: Vec<Platform>,
    /// Whether one may be built.
    pub build: bool,
    /// Whether `v1` moves as well.
    pub floating: bool,
    /// Whether there is to be a release on GitHub.
    pub github: bool,
    /// For GitHub.
    pub token: Option<Token>,
    /// The job of a workflow that this is.
    pub context: Option<Context>,
    /// Where the image is.
    pub targets: Vec<Target>,
    /// Only say what would be done.
    pub dry_run: bool,
    /// What is told.
    pub output: Output,
}

/// Parses what `nixpy-ci release` takes; how an image is built only matters where none is
/// there, and there may be no flake where there is one.
///
/// # Errors
/// Every problem there is, not the first.
pub async fn to_release(
    version: Option<&str>,
    raw: &RawInputs,
    around: &Surroundings<'_>,
) -> Result<ToRelease, Vec<Problem>> {
    let mut reader = Reader::of(raw);
    let variable = |name: &str| {
        let value = around.environment.get(OsStr::new(name))?.to_str()?;
        (!value.is_empty()).then(|| value.to_owned())
    };
    let context = around.context.clone();
    let of_the_job = context
        .as_ref()
        .and_then(|context| context.git_ref.strip_prefix("refs/tags/"));
    let tag = match version.or(of_the_job) {
        Some(tag) => Some(tag.to_owned()),
        None => {
            let problem = "which version? Name it, as in `nixpy-ci release v1.2.3`; in a workflow that runs for a tag it is \
                           that tag";
            reader.fail("VERSION", problem);
            None
        }
    };
    let version = tag.as_deref().and_then(|tag| {
        let version = parse::<Version>(tag);
        version.map_err(|e| reader.fail("VERSION", e)).ok()
    });
    let image = reader.one("from", |text| match text.contains(':') {
        true => parse(text).map(Named::Digest),
        false => parse(text).map(Named::Tag),
    });
    let commit = reader.one("commit", parse);
    let platforms = reader.many("system", |text| {
        let system: System = parse(text)?;
        platform_of(&system).ok_or_else(|| format!("no image can be for {system}"))
    });
    let build = !reader.switch("no-build");
    let floating = reader.switch("floating-tags");
    let github = !reader.switch("no-github");
    let token = raw.get("github-token").map(|raw| raw.first().to_owned());
    let token = token.or_else(|| variable("GITHUB_TOKEN"));
    let token = token.as_deref().and_then(Token::new);
    let named = repositories(&mut reader);
    if raw.get("repository").is_none() {
        let problem = "a release is of an image that is published: name its repository, as in ghcr.io/owner/name";
        reader.fail("--repository", problem);
    }
    let targets = registries(&mut reader, named, around).await;
    let (dry_run, output) = (reader.switch("dry-run"), reader.output());
    if around.is_only_proposed() && !dry_run {
        let problem = "a release is made of what was decided on: this job runs for a pull request, a merge queue, or somebody \
                       who may not push here. Run it for the version's tag, or add --dry-run";
        reader.fail("release", problem);
    }
    let to_release = version.zip(tag).map(|(version, tag)| ToRelease {
        version,
        tag,
        image,
        commit,
        platforms,
        build,
        floating,
        github,
        token,
        context,
        targets,
        dry_run,
        output,
    });
    // Without a version there is a problem.
    reader.ended(to_release)?.ok_or_else(Vec::new)
}
