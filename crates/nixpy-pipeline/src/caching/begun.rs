//! Derivations whose building has begun, as Nix's log tells: from the first call on, since an
//! evaluation builds too what it imports.

use std::collections::BTreeSet;
use std::sync::{Mutex, MutexGuard, PoisonError};

use nixpy_nix::StorePath;
use nixpy_nix::log::{Activity, LogEvent};

use crate::event::Event;
use crate::inputs::Inputs;

/// Derivations whose building has begun, and that were not looked at since.
#[derive(Debug)]
pub struct Begun {
    /// Whether anything is to be pushed.
    is_wanted: bool,
    derivations: Mutex<BTreeSet<StorePath>>,
}

impl Begun {
    /// Of a run with these inputs, before it asks Nix anything.
    pub fn of(inputs: &Inputs) -> Self {
        Self {
            is_wanted: inputs.caches.writes(),
            derivations: Mutex::default(),
        }
    }

    /// What another process has heard of.
    pub fn of_derivations(derivations: impl IntoIterator<Item = StorePath>) -> Self {
        Self {
            is_wanted: true,
            derivations: Mutex::new(derivations.into_iter().collect()),
        }
    }

    /// Listens to the run.
    pub fn hear(&self, event: &Event<'_>) {
        if let Event::Nix(LogEvent::Started { activity, .. }) = event
            && let Activity::Build { derivation, .. } = activity
            && self.is_wanted
        {
            self.lock().insert(derivation.clone());
        }
    }

    pub(super) fn is_empty(&self) -> bool {
        self.lock().is_empty()
    }

    pub(super) fn take(&self) -> Vec<StorePath> {
        std::mem::take(&mut *self.lock()).into_iter().collect()
    }

    /// They could not be looked at.
    pub(super) fn put_back(&self, derivations: Vec<StorePath>) {
        self.lock().extend(derivations);
    }

    fn lock(&self) -> MutexGuard<'_, BTreeSet<StorePath>> {
        self.derivations
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
    }
}
