//! The settings of work that is spread over several machines: `--by-digest`, the runners
//! of a matrix, and all that `nixpy-ci index` takes.

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;

use nixpy_nix::System;
use nixpy_oci::name::Tag;
use nixpy_pipeline::inputs::{Annotations, Target};
use nixpy_pipeline::join::{Called, Named, Wishes};
use nixpy_pipeline::matrix::{Labels, Runners};

use super::output::Output;
use super::resolve::{Problem, Reader, Surroundings, parse};
use super::sources::{RawInputs, Source};
use super::target::{registries, repositories};
use super::telling::Telling;

/// Everything that joining needs beside the results.
#[derive(Debug)]
pub struct ToJoin {
    /// What the index must be.
    pub wishes: Wishes,
    /// Where it goes.
    pub targets: Vec<Target>,
    /// What points to it afterwards.
    pub tags: Vec<Tag>,
    /// What it says of itself; those of the images are there already.
    pub annotations: Annotations,
    /// It goes nowhere.
    pub rehearse: bool,
    /// What is told.
    pub output: Output,
    /// What is told on GitHub.
    pub telling: Telling,
}

impl ToJoin {
    /// For the pipeline.
    pub fn called(&self) -> Called<'_> {
        Called {
            tags: &self.tags,
            annotations: self.annotations.index.clone(),
            rehearse: self.rehearse,
        }
    }
}

/// Parses what `nixpy-ci index` takes. Without a repository the index goes to where the
/// results are.
///
/// # Errors
/// Every problem there is, not the first.
pub async fn to_join(
    raw: &RawInputs,
    results: &[Named],
    around: &Surroundings<'_>,
) -> Result<ToJoin, Vec<Problem>> {
    let mut reader = Reader::of(raw);
    let systems: BTreeSet<System> = reader.many("system", parse).into_iter().collect();
    let wishes = Wishes {
        repositories: repositories(&mut reader),
        systems: systems.into_iter().collect(),
    };
    let going_to = match (raw.get("repository"), results.first()) {
        (None, Some(first)) => first.result.repositories.clone(),
        _ => wishes.repositories.clone(),
    };
    if let (Some(username), None) = (raw.get("username"), raw.get("repository")) {
        // A result may come from anywhere, and name any host.
        let problem = "a password is shown to no registry that only a result names: name the --repository as well";
        reader.fail(&username.origin.clone(), problem);
    }
    let targets = registries(&mut reader, going_to, around).await;
    let rehearse = reader.rehearses(&targets, around);
    let rehearsed = results.iter().any(|one| one.result.rehearsed);
    let naming = reader.naming(around, !rehearse && !rehearsed);
    let output = reader.output();
    let telling = reader.telling(around);
    reader.ended(ToJoin {
        wishes,
        targets,
        tags: naming.tags,
        annotations: naming.annotations,
        rehearse,
        output,
        telling,
    })
}

impl Reader<'_> {
    /// Whether images go without a tag, which only a registry lets be joined.
    pub(super) fn by_digest(&mut self, targets: &[Target], around: &Surroundings<'_>) -> bool {
        let by_digest = self.switch("by-digest");
        let layout = |target: &Target| matches!(target, Target::Layout(_));
        if let Some(raw) = self.raw.get("by-digest")
            && by_digest
            && targets.iter().any(layout)
        {
            let problem = "images without a tag can be joined only where all jobs reach them, in a registry: \
                           name a --repository, or leave --by-digest out";
            self.fail(&raw.origin.clone(), problem);
        }
        if let Some(raw) = self.raw.get("result")
            && raw.source == Source::Flag
            && !by_digest
        {
            let problem = "only a run --by-digest leaves a result: add that, or leave this out";
            self.fail(&raw.origin.clone(), problem);
        }
        if let (Some(raw), true) = (self.raw.get("result"), by_digest) {
            // Better known now than after the work that it is to tell of.
            let file = around.cwd.join(raw.first());
            if !file.parent().is_some_and(Path::is_dir) {
                let problem = format!(
                    "the directory of {} is not there: make it, or name another file",
                    file.display()
                );
                self.fail(&raw.origin.clone(), problem);
            }
        }
        by_digest
    }

    /// GitHub's own, and those that the user has.
    pub(super) fn runners(&mut self) -> Runners {
        let pairs = self.many("runner", |text| {
            let wrong = || format!("{text:?} is not SYSTEM=LABEL, as in aarch64-linux=my-arm");
            let (system, labels) = text.split_once('=').ok_or_else(wrong)?;
            Ok((parse::<System>(system)?, Labels::parse(labels)?))
        });
        Runners::new(pairs.into_iter().collect::<BTreeMap<_, _>>())
    }
}
