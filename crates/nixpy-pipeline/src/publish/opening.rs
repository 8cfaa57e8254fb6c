//! Opening destinations, and what this machine's ledger knows of them: what a repository
//! was given from here, and what can be mounted from those beside it.

use std::collections::HashMap;
use std::path::Path;

use nixpy_oci::destination::{Destination, DestinationError};
use nixpy_oci::layout::{Layout, LayoutError};
use nixpy_oci::ledger::{self, Ledger};
use nixpy_oci::name::Repository;
use nixpy_oci::prior::Prior;
use nixpy_oci::registry::Registry;

use crate::inputs::{Inputs, Target};

/// [`Layout::open`], or [`Layout::look`] where nothing may be written.
pub(super) type OpenLayout = fn(&Path) -> Result<Layout, LayoutError>;

/// A destination, ready to be written to or only looked at.
pub(super) fn open(
    target: &Target,
    sources: &[Repository],
    layout: OpenLayout,
) -> Result<Destination, DestinationError> {
    Ok(match target {
        Target::Layout(path) => Destination::Layout(layout(path)?),
        Target::Registry {
            repository,
            credentials,
            options,
        } => {
            let mut options = options.clone();
            options.mount_from = sources.to_vec();
            let registry = Registry::new(repository.clone(), credentials.clone(), options);
            Destination::Registry(registry?)
        }
    })
}

/// A destination by itself, of which nothing is known.
///
/// # Errors
/// It cannot be used.
pub fn place(target: &Target) -> Result<Destination, DestinationError> {
    open(target, &[], Layout::open)
}

/// Whether this user may push to a destination, without anything being pushed. A layout
/// is not asked: to open it would make it.
///
/// # Errors
/// The registry does not let him, and says why; or it cannot be asked.
pub async fn may_push(target: &Target) -> Result<(), DestinationError> {
    match target {
        Target::Layout(_) => Ok(()),
        Target::Registry { .. } => place(target)?.may_push().await,
    }
}

/// A token is asked for each; more than these hardly ever have what others lack.
const MOST_SOURCES: usize = 8;

/// Repositories from which layers may be mounted: those of this run, and those that
/// this machine has published to.
pub(super) fn sources(target: &Target, inputs: &Inputs, ledger: &Ledger) -> Vec<Repository> {
    let Target::Registry { repository, .. } = target else {
        return Vec::new();
    };
    let targets = inputs.targets.iter().filter_map(|target| match target {
        Target::Registry { repository, .. } => Some(repository),
        Target::Layout(_) => None,
    });
    let known = ledger.beside(repository).map(|(other, _)| other);
    let mut sources: Vec<Repository> = Vec::new();
    for other in targets.chain(known) {
        let new = other != repository && !sources.contains(other);
        if new && other.registry() == repository.registry() && sources.len() < MOST_SOURCES {
            sources.push(other.clone());
        }
    }
    sources
}

/// Tells what is known of a place what this machine's ledger knows of it.
pub(super) fn remember(
    prior: &mut Prior,
    destination: &Destination,
    sources: &[Repository],
    ledger: &Ledger,
) {
    let Some(repository) = destination.repository() else {
        return;
    };
    let here = ledger.of(repository);
    prior.remembered = here
        .filter_map(|layer| Some((ledger::identity(layer)?.to_owned(), layer.clone())))
        .collect();
    let mut elsewhere = HashMap::new();
    for (other, layer) in ledger.beside(repository) {
        if let Some(identity) = ledger::identity(layer)
            && sources.contains(other)
        {
            elsewhere.insert(identity.to_owned(), (other.clone(), layer.clone()));
        }
    }
    prior.elsewhere = elsewhere;
}
