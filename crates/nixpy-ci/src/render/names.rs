//! What derivations are called.

use std::collections::BTreeMap;
use std::sync::Mutex;

use nixpy_nix::derivation::system_of;
use nixpy_nix::{StorePath, System};
use nixpy_pipeline::plan::Plan;

/// Derivations by name; with their system where several are built, which have the same names.
#[derive(Default)]
pub struct Names {
    /// Of what was asked; the derivations of a plan to begin with.
    systems: Mutex<Option<BTreeMap<StorePath, Option<System>>>>,
}

impl Names {
    /// From now on, what is built is named as this plan has to have it.
    pub fn planned(&self, plan: &Plan) {
        let jobs = plan.jobs.iter();
        let known: BTreeMap<StorePath, Option<System>> = jobs
            .map(|job| (job.derivation.clone(), Some(job.builds_on().clone())))
            .collect();
        let mut systems: Vec<_> = known.values().collect();
        systems.sort();
        systems.dedup();
        let several = systems.len() > 1;
        if let Ok(mut systems) = self.systems.lock() {
            *systems = several.then_some(known);
        }
    }

    /// `fastapi-0.115.0`, `fastapi-0.115.0 (aarch64-linux)`.
    pub fn of(&self, derivation: &StorePath) -> String {
        let name = derivation.name().trim_end_matches(".drv");
        let Ok(mut systems) = self.systems.lock() else {
            return name.to_owned();
        };
        let system = systems.as_mut().and_then(|known| {
            let known = known.entry(derivation.clone());
            known.or_insert_with(|| system_of(derivation)).clone()
        });
        match system {
            Some(system) => format!("{name} ({system})"),
            None => name.to_owned(),
        }
    }
}
