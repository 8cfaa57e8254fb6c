//! Fetching beforehand what a build will fetch, several paths at a time.
//!
//! Before 2.16 Nix takes as many paths at once from caches as it may build at once, and that is
//! one unless somebody says other. Each path waits for the one before: 161 paths of 1.3 GB took 10 to
//! 11 s from a server that needs 40 ms for an answer, and 5 to 6 s sixteen at a time. Since to build so much at once is
//! another matter, the paths are asked of a dry run, and fetched as paths, which builds nothing.
//! Newer versions have `max-substitution-jobs`, 16 by default, and are left alone.

use std::collections::BTreeSet;

use super::PATHS_PER_CALL;
use crate::build::BuildRequest;
use crate::error::NixError;
use crate::log::LogEvent;
use crate::program::Nix;
use crate::run::{OnEvent, run};
use crate::store_path::StorePath;

/// What newer versions do.
const AT_ONCE: &str = "16";

/// Fetches what caches have of everything that these need, if this Nix would do so one by
/// one. What cannot be fetched, the build that follows fetches or builds, and says why.
///
/// # Errors
/// Nix does not start.
pub async fn fetch(
    nix: &Nix,
    requests: &[BuildRequest],
    on_event: OnEvent<'_>,
) -> Result<(), NixError> {
    if nix.version().await?.fetches_several() {
        return Ok(());
    }
    let mut arguments = ["build", "--no-link", "--dry-run"]
        .map(str::to_owned)
        .to_vec();
    let derivations: BTreeSet<&StorePath> =
        requests.iter().map(|request| &request.drv_path).collect();
    arguments.extend(derivations.iter().map(ToString::to_string));
    let mut listed = Listed::default();
    run(nix, &arguments, &mut |event| listed.hear(&event)).await?;
    if listed.paths.len() < 2 {
        return Ok(());
    }
    for paths in listed.paths.chunks(PATHS_PER_CALL) {
        let mut arguments = ["build", "--no-link", "--keep-going", "--max-jobs", AT_ONCE]
            .map(str::to_owned)
            .to_vec();
        arguments.extend(paths.iter().map(ToString::to_string));
        run(nix, &arguments, on_event).await?;
    }
    Ok(())
}

/// The paths that a dry run says would be fetched: a heading, and a line for each.
#[derive(Debug, Default)]
struct Listed {
    is_of_fetches: bool,
    paths: Vec<StorePath>,
}

impl Listed {
    fn hear(&mut self, event: &LogEvent) {
        let LogEvent::Message(message) = event else {
            return;
        };
        for line in message.text.lines() {
            match line.trim().parse::<StorePath>() {
                Ok(path) if self.is_of_fetches => self.paths.push(path),
                Ok(_) => {}
                Err(_) => self.is_of_fetches = line.contains("will be fetched"),
            }
        }
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;
    use crate::log::{Level, Message};

    #[test]
    fn only_what_would_be_fetched_is_listed() {
        let path = |digit: &str| format!("/nix/store/{}-a", digit.repeat(32));
        let mut listed = Listed::default();
        for text in [
            "this derivation will be built:".to_owned(),
            format!("  {}", path("a")),
            "these 2 paths will be fetched (1.00 MiB download, 2.00 MiB unpacked):".to_owned(),
            format!("  {}", path("b")),
            format!("  {}", path("c")),
            "don't know how to build these paths:".to_owned(),
            format!("  {}", path("d")),
        ] {
            listed.hear(&LogEvent::Message(Message {
                level: Level::Error,
                text,
                bare: None,
                position: None,
            }));
        }
        let paths: Vec<String> = listed.paths.iter().map(ToString::to_string).collect();
        assert_eq!(paths, [path("b"), path("c")]);
    }
}
