//! Who hears how a command ended: those who read its files, a pull request, a commit.
//!
//! They are known before anything else is, as far as the settings tell. So a run that ends before
//! it has begun, for a setting that is wrong or a machine that cannot, is told to the same
//! people and in the same forms as any other; and what an earlier one has left for them is gone
//! by then, so that nobody takes it for this one's.

use std::path::Path;

use clap::ArgMatches;
use nixpy_pipeline::report::Report;

use crate::exit::Code;
use crate::redact::{Clean, clean};
use crate::render::{Renderer, renderer};
use crate::settings::{Environment, Hearers, Progress, RawInputs, hearers};
use crate::{github, report};

/// Of one command.
pub struct Audience<'a> {
    environment: &'a Environment,
    who: Hearers,
}

impl<'a> Audience<'a> {
    /// As far as these tell, whatever is wrong with them.
    pub fn of(flags: &ArgMatches, environment: &'a Environment) -> Self {
        let raw = RawInputs::as_far_as_known(flags, environment);
        let who = hearers(&raw, environment);
        Self { environment, who }
    }

    /// Takes away what an earlier run has left in the files of this one.
    pub fn forget(&self) {
        let output = &self.who.output;
        let summary = match output.adds_to_summary {
            true => &None,
            false => &output.summary,
        };
        let files = [summary, &output.report, &output.html];
        files.into_iter().flatten().for_each(|file| remove(file));
    }

    /// And what it has left for others to join, which is what joining reads.
    pub fn forget_result(&self) {
        self.who.output.result.iter().for_each(|file| remove(file));
    }

    /// Tells why nothing was begun, and with which code that ends.
    pub async fn hears(&self, code: Code, problems: &[String]) -> Code {
        let renderer = renderer(self.who.output.progress, self.environment);
        let report = self.reads(problems, renderer.as_ref());
        github::tell(&report, &self.who.telling, renderer.as_ref()).await;
        code
    }

    /// Tells it in the log and in files, and GitHub nothing.
    pub fn reads(&self, problems: &[String], renderer: &dyn Renderer) -> Clean<Report> {
        problems.iter().for_each(|problem| renderer.error(problem));
        let (flake, destinations) = (&self.who.flake, &self.who.destinations);
        let report = clean(Report::failed(flake, destinations, &problems.join("\n")));
        report::write(&report, &self.who.output, renderer);
        report
    }
}

/// Tells who started the command, and nobody else, what is wrong with what was given.
pub fn wrong(problems: &[String], environment: &Environment) -> Code {
    // How to show anything is itself a setting.
    let renderer = renderer(Progress::Auto, environment);
    problems.iter().for_each(|problem| renderer.error(problem));
    Code::Inputs
}

/// No terminal, and nothing that only leads somewhere.
fn remove(file: &Path) {
    if std::fs::symlink_metadata(file).is_ok_and(|it| it.is_file()) {
        // Where it cannot be removed it cannot be written either, which is told then.
        let _ = std::fs::remove_file(file);
    }
}
