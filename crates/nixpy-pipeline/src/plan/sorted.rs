//! What a flake offers, under the systems that it is for: by their own names, by this
//! machine's for what is cross-compiled, and by what it says of itself.

use std::collections::{BTreeMap, BTreeSet};

use nixpy_nix::System;
use nixpy_nix::evaluate::Offer;

use super::host::Host;
use super::ways::{OneOffer, says};
use super::{CANDIDATES, PlanError};
use crate::inputs::Inputs;
use crate::offer::Offered;
use crate::platform::platform_of;

/// What the flake offers, under the systems that it is for.
pub(super) struct Sorted<'a> {
    offered: &'a Offered,
    /// Offered under a system's own name.
    own: BTreeMap<&'a System, &'a Offer>,
    /// Offered under this machine's name, for others.
    cross: BTreeMap<System, &'a Offer>,
    /// Offered under a name that is not what it says of itself.
    misnamed: BTreeMap<&'a System, (&'a Offer, System)>,
}

impl<'a> Sorted<'a> {
    pub(super) fn new(offered: &'a Offered, host: &Host) -> Self {
        let offers = &offered.offers;
        let mut sorted = Self {
            offered,
            own: BTreeMap::new(),
            cross: BTreeMap::new(),
            misnamed: BTreeMap::new(),
        };
        for (target, offer) in &offers.cross {
            sorted.cross.insert(target.clone(), offer);
        }
        for (system, there) in &offers.systems {
            let Some(offer) = &there.chosen else { continue };
            match says(offer) {
                Some(says) if !runs_on(&says, system) => {
                    // An image that is cross-compiled need not be called so.
                    if *system == host.system {
                        sorted.cross.entry(says.clone()).or_insert(offer);
                    }
                    sorted.misnamed.insert(system, (offer, says));
                }
                _ => {
                    sorted.own.insert(system, offer);
                }
            }
        }
        sorted
    }

    /// All systems for which there is something, or should be.
    pub(super) fn systems(&self, inputs: &Inputs) -> Vec<System> {
        let offers = &self.offered.offers.systems;
        let named = offers.keys().filter(|system| {
            let crossed = self.misnamed.get(system);
            crossed.is_none_or(|(_, says)| !self.cross.contains_key(says))
        });
        // A name alone does not make a system wanted where it is contradicted.
        let is_meant = |target: &System| inputs.cross.contains_key(target);
        let fitting = self
            .cross
            .iter()
            .filter(|(target, offer)| is_meant(target) || fits(offer, target));
        let fitting = fitting.map(|(target, _)| target);
        let all: BTreeSet<System> = named.chain(fitting).cloned().collect();
        all.into_iter().collect()
    }

    /// What there is for one system.
    pub(super) fn of<'s>(
        &self,
        system: &'s System,
        inputs: &Inputs,
    ) -> Result<OneOffer<'s>, PlanError>
    where
        'a: 's,
    {
        if platform_of(system).is_none() {
            return Err(PlanError::NotAPlatform {
                system: system.clone(),
            });
        }
        let offers = &self.offered.offers;
        let flake = inputs.flake.to_string();
        if let Some(named) = inputs.cross.get(system)
            && !self.cross.contains_key(system)
        {
            return Err(PlanError::NoCross {
                flake,
                named: named.to_string(),
                system: system.clone(),
                host: System::host(),
            });
        }
        let one = OneOffer {
            system,
            own: self.own.get(system).copied(),
            cross: self.cross.get(system).copied(),
            is_named: inputs.cross.contains_key(system),
        };
        if one.own.is_some() || one.cross.is_some() {
            return Ok(one);
        }
        if let Some((offer, says)) = self.misnamed.get(system) {
            return Err(PlanError::ForAnother {
                attribute: offer.attribute.to_string(),
                system: system.clone(),
                says: says.clone(),
            });
        }
        Err(match offers.systems.get(system) {
            Some(there) => PlanError::NoAttribute {
                flake,
                wanted: wanted(inputs),
                system: system.clone(),
                offered: there.attributes.clone(),
            },
            None => PlanError::NoSystem {
                flake,
                system: system.clone(),
                offered: offers.offered.clone(),
            },
        })
    }
}

/// Whether an offer may be for a target. An image's own statement is read once more when
/// it is made; of a plain package there would be none.
pub(super) fn fits(offer: &Offer, target: &System) -> bool {
    match says(offer) {
        Some(says) => says == *target,
        None => offer.image_name.is_some(),
    }
}

/// Whether machines of one system run programs of the other by themselves.
fn runs_on(program: &System, machine: &System) -> bool {
    program == machine || (program.as_str(), machine.as_str()) == ("i686-linux", "x86_64-linux")
}

pub(crate) fn wanted(inputs: &Inputs) -> String {
    match &inputs.attribute {
        Some(attribute) => format!("`{attribute}`"),
        None => format!(
            "attribute that is an image or a program (any of {})",
            CANDIDATES.join(", ")
        ),
    }
}
