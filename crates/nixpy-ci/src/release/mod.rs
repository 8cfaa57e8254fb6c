//! `nixpy-ci release`: an image that is published gets the names of a version, and GitHub a
//! release that tells of it.
//!
//! First everything is looked at and decided, on the registry's side by
//! [`nixpy_pipeline::release`] and on GitHub's by [`github`]; every reason why not is told
//! before anything is changed. Then, in this order, so that whatever people can see is whole:
//! a draft with its files, which only those see who may write; the version's own tag, and the
//! tags that move; the draft becomes public; `v1`. Whoever is stopped in between is continued by
//! the next call, which looks again.

mod building;
mod command;
mod commit;
mod github;
mod images;
mod tell;

use std::ffi::OsStr;

use clap::ArgMatches;
use nixpy_nix::{Installable, Revision};
use nixpy_oci::registry::{Registry, RemoteError};
use nixpy_pipeline::lockfile::LockFile;
use nixpy_pipeline::release::{
    ReleasePlan, ReleaseProblem, Seen, Wanted, decide, look, open, point,
};
use nixpy_pipeline::report::told;

use crate::audience::Audience;
use crate::exit::Code;
use crate::redact::clean;
use crate::render::{Renderer, line, renderer};
use crate::running::Hindered;
use crate::settings::{
    Environment, Progress, RawInputs, Surroundings, ToRelease, resolve, to_release,
};
pub use command::command;
use commit::Checkout;
use github::GithubError;
use images::Images;

/// Everything that was settled before anybody was asked.
struct Asked<'a> {
    wanted: ToRelease,
    checkout: Checkout,
    raw: RawInputs,
    around: Surroundings<'a>,
}

/// Why there is no release, in the words for people.
struct Failed {
    problems: Vec<String>,
    code: Code,
    /// Whether a build has left one, which says more.
    has_report: bool,
}

/// Does it, and tells how it ended.
pub async fn release(flags: &ArgMatches, environment: &Environment) -> Code {
    let audience = Audience::of(flags, environment);
    audience.forget();
    let asked = match settled(flags, environment).await {
        Ok(asked) => asked,
        Err(problems) => {
            let renderer = renderer(Progress::Auto, environment);
            audience.reads(&problems, renderer.as_ref());
            return Code::Inputs;
        }
    };
    let renderer = renderer(asked.wanted.output.progress, environment);
    let ended = released(&asked, environment, renderer.as_ref()).await;
    renderer.close();
    match ended {
        Ok(()) => Code::Success,
        Err(failed) => {
            match failed.has_report {
                true => failed.problems.iter().for_each(|it| renderer.error(it)),
                false => _ = audience.reads(&failed.problems, renderer.as_ref()),
            }
            failed.code
        }
    }
}

async fn settled<'a>(
    flags: &ArgMatches,
    environment: &'a Environment,
) -> Result<Asked<'a>, Vec<String>> {
    let mut raw = RawInputs::collect(flags, environment).map_err(|e| vec![e.to_string()])?;
    let around = Surroundings::here(environment).map_err(|e| vec![e])?;
    let version = flags.get_one::<String>("released").map(String::as_str);
    let wanted = to_release(version, &raw, &around).await;
    let mut wanted = wanted.map_err(|e| e.iter().map(ToString::to_string).collect::<Vec<_>>())?;
    let checkout = Checkout::here(&around);
    wanted.tag = checkout.tag(&wanted.tag).await;
    // An image that is built for a release says of itself that it is that version, whatever
    // rules there are for other runs.
    raw.decide("tag", wanted.version.to_string());
    Ok(Asked {
        wanted,
        checkout,
        raw,
        around,
    })
}

async fn released(
    asked: &Asked<'_>,
    environment: &Environment,
    renderer: &dyn Renderer,
) -> Result<(), Failed> {
    let found = asked.checkout.commit(&asked.wanted).await;
    if let Some(found) = &found {
        line(&format!("commit {}: {}", found.commit, found.by));
    }
    let wanted = Wanted {
        version: asked.wanted.version.clone(),
        commit: found.map(|found| found.commit),
        image: asked.wanted.image.clone(),
        platforms: asked.wanted.platforms.clone(),
    };
    if wanted.names().is_empty() {
        let problem = "which commit is released? There is none checked out here: name it by --commit, or the image by --from";
        return Err(Failed::inputs(problem));
    }
    let home = home(asked, environment).await?;
    let registries = open(&asked.wanted.targets).map_err(|e| Failed::of(&[e]))?;
    let mut seen = look(&registries, &wanted).await?;
    let mut decided = decide(&wanted, &seen);
    let mut built = false;
    if let (Err(problems), Some(commit)) = (&decided, &wanted.commit)
        && may_build(asked, problems)
    {
        if asked.wanted.dry_run {
            let texts = problems.iter().map(ToString::to_string);
            texts.for_each(|text| line(&format!("note: {text}")));
            tell::would_build(commit, asked);
            return Ok(());
        }
        build(asked, commit, environment, renderer).await?;
        built = true;
        seen = look(&registries, &wanted).await?;
        decided = decide(&wanted, &seen);
    }
    let plan = decided.map_err(|problems| Failed::of(&problems))?;
    let lock = lock(asked, wanted.commit.as_ref()).await;
    let images = Images::of(&registries, &seen, &plan, &wanted, lock.as_ref());
    let images = clean(images.await?);
    let mut github = match home {
        Some(client) => {
            let planned = github::plan(client, &asked.wanted, &images, &seen).await?;
            Some(planned)
        }
        None => None,
    };
    if !asked.wanted.dry_run {
        carry_out(&registries, &seen, &plan, github.as_mut(), renderer).await?;
    }
    let told = tell::Told {
        images: &images,
        plan: &plan,
        github: github.as_ref(),
        built,
        tag: &asked.wanted.tag,
        dry_run: asked.wanted.dry_run,
    };
    told.print(asked.wanted.output.json);
    told.write(&asked.wanted.output).map_err(|problem| Failed {
        problems: vec![problem],
        code: Code::Machine,
        has_report: false,
    })
}

/// The lock file of the released commit, if that is what is checked out.
async fn lock(asked: &Asked<'_>, commit: Option<&Revision>) -> Option<LockFile> {
    if asked.checkout.head().await.as_ref() != Some(commit?) {
        return None;
    }
    let flake = asked.raw.get("flake").map_or(".", |raw| raw.first());
    let flake = Installable::parse(flake, &asked.around.cwd).ok()?.flake;
    LockFile::of_project(&flake).0
}

/// In the order in which nothing is seen that is not whole.
async fn carry_out(
    registries: &[Registry],
    seen: &[Seen],
    plan: &ReleasePlan,
    mut github: Option<&mut github::Planned>,
    renderer: &dyn Renderer,
) -> Result<(), Failed> {
    if let Some(github) = github.as_deref_mut() {
        github.prepare().await?;
    }
    let stored = seen.iter().find_map(|place| place.image.as_ref());
    if let Some(image) = stored {
        point(registries, plan, &image.stored, |reference| {
            line(&format!("{reference} is {}", plan.digest));
        })
        .await?;
    }
    if let Some(github) = github {
        github.publish(renderer).await?;
    }
    Ok(())
}

/// Where the release is made, if it is to be made on GitHub.
async fn home(
    asked: &Asked<'_>,
    environment: &Environment,
) -> Result<Option<nixpy_github::api::Client>, Failed> {
    if !asked.wanted.github {
        return Ok(None);
    }
    let variable = |name: &str| {
        let value = environment.get(OsStr::new(name))?.to_str()?;
        (!value.is_empty()).then(|| value.to_owned())
    };
    let Some(home) = asked.checkout.home(&variable).await else {
        line("note: this is no checkout of a repository on GitHub, so no release is made there");
        return Ok(None);
    };
    let Some(token) = &asked.wanted.token else {
        let problem = format!(
            "a release of {} on GitHub needs a token with `contents: write`: set GITHUB_TOKEN, or leave the release out by \
             --no-github",
            home.repository
        );
        return Err(Failed::inputs(&problem));
    };
    Ok(Some(github::client(&home, token)?))
}

/// What is checked out becomes the image of the commit.
async fn build(
    asked: &Asked<'_>,
    commit: &Revision,
    environment: &Environment,
    renderer: &dyn Renderer,
) -> Result<(), Failed> {
    let resolved = resolve(&asked.raw, &asked.around).await;
    let mut resolved = resolved.map_err(|problems| Failed {
        problems: problems.iter().map(ToString::to_string).collect(),
        code: Code::Inputs,
        has_report: false,
    })?;
    building::build(commit, &mut resolved, environment, renderer).await
}

/// Only what a build would cure is built for.
fn may_build(asked: &Asked<'_>, problems: &[ReleaseProblem]) -> bool {
    let cured = |problem: &ReleaseProblem| matches!(problem, ReleaseProblem::NotThere { .. });
    asked.wanted.build && asked.wanted.image.is_none() && problems.iter().all(cured)
}

impl Failed {
    /// By the report.
    fn told(code: Code) -> Self {
        Self {
            problems: Vec::new(),
            code,
            has_report: true,
        }
    }

    fn inputs(problem: &str) -> Self {
        Self {
            problems: vec![problem.to_owned()],
            code: Code::Inputs,
            has_report: false,
        }
    }

    fn of(problems: &[ReleaseProblem]) -> Self {
        let is_remote = |problem: &ReleaseProblem| {
            matches!(
                problem,
                ReleaseProblem::NotThere { .. }
                    | ReleaseProblem::NotEverywhere { .. }
                    | ReleaseProblem::NotWhole { .. }
            )
        };
        let code = match problems {
            [ReleaseProblem::Destination(error)] => Code::from(error),
            problems if problems.iter().all(is_remote) => Code::Remote,
            _ => Code::Inputs,
        };
        Self {
            problems: problems.iter().map(|e| told(e)).collect(),
            code,
            has_report: false,
        }
    }
}

impl From<Hindered> for Failed {
    fn from(hindered: Hindered) -> Self {
        let Hindered { problems, code } = hindered;
        Self {
            problems,
            code,
            has_report: false,
        }
    }
}

impl From<RemoteError> for Failed {
    fn from(error: RemoteError) -> Self {
        Self {
            problems: vec![told(&error)],
            code: Code::Remote,
            has_report: false,
        }
    }
}

impl From<GithubError> for Failed {
    fn from(error: GithubError) -> Self {
        let code = match &error {
            GithubError::Api(_) => Code::Remote,
            GithubError::Client(_) => Code::Machine,
            GithubError::Problems(_) => Code::Inputs,
        };
        Self {
            problems: error.lines(),
            code,
            has_report: false,
        }
    }
}
