//! Room where it will be needed: in the store, for layers that wait to be sent, and for a
//! layout.

use std::path::{Path, PathBuf};
use std::time::Duration;

use futures_util::future::join_all;
use rustix::fs::statvfs;

use super::aside;
use super::check::{About, Check, Concern, about};
use crate::inputs::{Inputs, Target};

/// Less than this, and a build of Python with a few wheels may not fit.
const SCARCE: u64 = 5_000_000_000;
/// Less than this, and it will not.
const TOO_LITTLE: u64 = 1_000_000_000;

pub(super) async fn check(inputs: &Inputs, patience: Duration) -> Vec<Check> {
    let mut places = vec![
        (PathBuf::from("/nix/store"), "nix store gc"),
        (
            inputs.temp_dir.clone(),
            "Remove what is not needed, or name another folder by TMPDIR",
        ),
    ];
    let layouts = inputs.targets.iter().filter_map(|target| match target {
        Target::Layout(path) => Some((
            path.clone(),
            "Remove what is not needed, or name another: --layout DIR",
        )),
        Target::Registry { .. } => None,
    });
    places.extend(layouts);
    let checks = places.into_iter().map(async |(place, cure)| {
        let asked = place.clone();
        let found = aside(patience, move || one(&asked, cure)).await;
        found.unwrap_or_else(|late| room(&place).not_checked(late))
    });
    join_all(checks).await
}

fn room(place: &Path) -> About {
    about("room", place.display(), Concern::Machine)
}

fn one(place: &Path, cure: &str) -> Check {
    let about = room(place);
    match statvfs(nearest(place)) {
        Ok(there) => judged(&about, there.f_bavail.saturating_mul(there.f_frsize), cure),
        Err(error) => about.not_checked(error.to_string()),
    }
}

fn judged(about: &About, free: u64, cure: &str) -> Check {
    let found = format!("{:.1} GB free", free as f64 / 1e9);
    match free {
        _ if free < TOO_LITTLE => about.trouble(found, cure),
        _ if free < SCARCE => about.warning(found, cure),
        _ => about.fine(found),
    }
}

/// The place itself, or the folder above it that exists.
pub(super) fn nearest(place: &Path) -> &Path {
    let existing = place.ancestors().find(|folder| folder.exists());
    existing.unwrap_or(Path::new("/"))
}

#[cfg(test)]
mod tests {
    use super::super::State;
    use super::*;

    #[test]
    fn a_disk_that_fills_up_is_a_warning_before_it_is_trouble() {
        let about = about("room", "/tmp", Concern::Machine);
        for (free, state) in [
            (0, State::Trouble),
            (999_999_999, State::Trouble),
            (1_000_000_000, State::Warning),
            (4_999_999_999, State::Warning),
            (5_000_000_000, State::Fine),
        ] {
            assert_eq!(judged(&about, free, "make room").state, state, "{free}");
        }
    }
}
