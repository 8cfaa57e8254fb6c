//! Where the image goes: whether a registry lets us push, whether a folder can be written.

use std::path::Path;

use futures_util::future::join_all;
use rustix::fs::{Access, access};

use super::check::{About, Check, Concern, about};
use super::disk::nearest;
use super::{Patient, State, aside};
use crate::inputs::Target;
use crate::publish::may_push;
use crate::report::told;

pub(super) async fn check(patient: &Patient<'_>) -> Vec<Check> {
    let targets = patient.inputs.targets.iter();
    join_all(targets.map(|target| one(patient, target))).await
}

async fn one(patient: &Patient<'_>, target: &Target) -> Check {
    match target {
        Target::Layout(path) => {
            let asked = path.clone();
            let found = aside(patient.patience(), move || layout(&asked)).await;
            found.unwrap_or_else(|late| about_layout(path).not_checked(late))
        }
        Target::Registry { repository, .. } if patient.inputs.rehearse => {
            let about = about("destination", repository, Concern::Remote);
            about.fine("nothing would be pushed: a run would be a rehearsal (see --push)")
        }
        Target::Registry { repository, .. } => {
            let about = about("destination", repository, Concern::Remote);
            match patient.within(may_push(target)).await {
                Ok(Ok(())) => about.fine("this user may push"),
                // Errors of registries bring their cure along.
                Ok(Err(error)) => about.is(State::Trouble, told(&error), None),
                Err(late) => about.trouble(
                    late,
                    "Check the registry's name and the network: it accepts connections and says nothing",
                ),
            }
        }
    }
}

fn about_layout(path: &Path) -> About {
    let subject = format!("oci:{}", path.display());
    about("destination", subject, Concern::Machine)
}

fn layout(path: &Path) -> Check {
    let about = about_layout(path);
    let there = nearest(path);
    match access(there, Access::WRITE_OK) {
        Ok(()) if there == path && !there.is_dir() => {
            about.trouble("it is a file", "Name a directory: --layout DIR")
        }
        Ok(()) => about.fine("can be written"),
        Err(error) => about.trouble(
            format!("{} cannot be written: {error}", there.display()),
            "Name a directory that can: --layout DIR",
        ),
    }
}
