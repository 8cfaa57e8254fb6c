//! Paths brought to stores that only Nix speaks to: over ssh, by a daemon's socket, in another
//! folder. Whatever a path refers to goes along, or is fetched there if that is
//! possible: such a store has to have it.
//!
//! A call may take as long as it has to, if only something is heard of it.

use std::collections::BTreeSet;
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

use crate::error::{NixError, NixErrorKind};
use crate::log::LogEvent;
use crate::path_info::known_paths;
use crate::program::Nix;
use crate::run::{Ended, run};
use crate::store_path::StorePath;

/// As many paths as surely fit into the arguments of one call.
const PATHS_PER_CALL: usize = 2_000;
/// Nothing is heard for so long, and a call is given up.
const PATIENCE: Duration = Duration::from_secs(120);
const LOOK_EVERY: Duration = Duration::from_millis(500);

/// Which of these paths a store elsewhere has.
///
/// # Errors
/// It cannot be asked; those of any call.
pub async fn held_by(
    nix: &Nix,
    store: &str,
    paths: &[StorePath],
) -> Result<BTreeSet<StorePath>, NixError> {
    let mut held = BTreeSet::new();
    for paths in paths.chunks(PATHS_PER_CALL) {
        let asked = tokio::time::timeout(PATIENCE, known_paths(nix, paths, Some(store)));
        let known = asked.await.map_err(|_| silent("ask", store))??;
        held.extend(known.into_iter().map(|info| info.path));
    }
    Ok(held)
}

/// Copies these paths to a store elsewhere, with all that they refer to. Whose signatures it
/// wants to see is for that store to decide.
///
/// # Errors
/// Not all of them are there now; those of any call.
pub async fn copy_to(nix: &Nix, store: &str, paths: &[StorePath]) -> Result<(), NixError> {
    for paths in paths.chunks(PATHS_PER_CALL) {
        let mut arguments: Vec<String> = ["copy", "--no-check-sigs", "--to", store]
            .map(str::to_owned)
            .into();
        if store.starts_with("ssh") {
            arguments.push("--substitute-on-destination".to_owned());
        }
        arguments.extend(paths.iter().map(ToString::to_string));
        succeed("copy paths to", store, heard(nix, &arguments, store).await?)?;
    }
    Ok(())
}

/// Takes signatures of these paths over from what another store, `from`, says of them: to this
/// machine's store, or to another.
///
/// # Errors
/// This user may not; those of any call.
pub async fn copy_signatures(
    nix: &Nix,
    from: &str,
    to: Option<&str>,
    paths: &[StorePath],
) -> Result<(), NixError> {
    for paths in paths.chunks(PATHS_PER_CALL) {
        let words = ["store", "copy-sigs", "--substituter", from];
        let mut arguments: Vec<String> = words.map(str::to_owned).into();
        if let Some(to) = to {
            arguments.extend(["--store".to_owned(), to.to_owned()]);
        }
        arguments.extend(paths.iter().map(ToString::to_string));
        let subject = to.unwrap_or("this machine's store");
        succeed(
            "sign paths in",
            subject,
            heard(nix, &arguments, subject).await?,
        )?;
    }
    Ok(())
}

/// Runs a call for as long as something is heard of it.
async fn heard(nix: &Nix, arguments: &[String], store: &str) -> Result<Ended, NixError> {
    let last = Mutex::new(Instant::now());
    let last_heard = || last.lock().unwrap_or_else(PoisonError::into_inner);
    let mut note = |_: LogEvent| *last_heard() = Instant::now();
    let silence = async {
        while last_heard().elapsed() < PATIENCE {
            tokio::time::sleep(LOOK_EVERY).await;
        }
    };
    tokio::select! {
        ended = run(nix, arguments, &mut note) => ended,
        () = silence => Err(silent("copy to", store)),
    }
}

fn succeed(act: &'static str, store: &str, ended: Ended) -> Result<(), NixError> {
    match ended.success {
        true => Ok(()),
        false => {
            let message = ended.complaint();
            Err(NixError::new(act, store, NixErrorKind::Failed { message }))
        }
    }
}

fn silent(act: &'static str, store: &str) -> NixError {
    let message = format!("nothing was heard for {} s", PATIENCE.as_secs());
    let transient = true;
    NixError::new(act, store, NixErrorKind::Fetch { message, transient })
}
