//! The ways to build for a system, best first, and why each can be taken or not.

use std::collections::BTreeSet;
use std::fmt;

use nixpy_nix::System;
use nixpy_nix::evaluate::Offer;
use serde::{Deserialize, Serialize};

use super::host::{Emulation, Host};
use crate::platform::{platform_of, system_of};

/// How a system is built, the quickest first.
#[derive(Clone, Copy, Debug, Serialize, Deserialize, PartialEq, Eq, PartialOrd, Ord)]
#[serde(rename_all = "kebab-case")]
pub enum Strategy {
    /// Not at all: the output is on this machine, or in a cache.
    Cached,
    /// This machine's processor runs its programs.
    Native,
    /// By Nix on another machine.
    Remote,
    /// By compilers of this machine's system.
    Cross,
    /// This machine runs its programs under an emulator.
    Emulated,
    /// By another job, on a machine of that system.
    Elsewhere,
    /// By whatever Nix is configured to ask, which cannot be looked into from here.
    Configured,
}

impl Strategy {
    /// Those that a user may ask for.
    pub const WORDS: [(&'static str, Self); 5] = [
        ("native", Self::Native),
        ("remote", Self::Remote),
        ("cross", Self::Cross),
        ("emulated", Self::Emulated),
        ("elsewhere", Self::Elsewhere),
    ];
}

impl fmt::Display for Strategy {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Cached => "built already",
            Self::Native => "natively",
            Self::Remote => "on a remote builder",
            Self::Cross => "cross-compiled",
            Self::Emulated => "emulated by qemu",
            Self::Elsewhere => "by another job",
            Self::Configured => "by what Nix is configured to use",
        })
    }
}

/// What stands in a way.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Obstacle {
    /// In one line.
    pub why: String,
    /// What to do about it.
    pub cure: Option<String>,
}

/// A better way that was not taken.
#[derive(Clone, Debug, Serialize, Deserialize, PartialEq, Eq)]
#[serde(rename_all = "camelCase")]
pub struct Declined {
    /// Which.
    pub strategy: Strategy,
    /// In one line.
    pub why: String,
    /// What would open it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub cure: Option<String>,
}

impl fmt::Display for Declined {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "not {}: {}", self.strategy, self.why)?;
        match &self.cure {
            Some(cure) => write!(f, "; {cure}"),
            None => Ok(()),
        }
    }
}

/// What a flake offers for one system.
pub(super) struct OneOffer<'a> {
    pub(super) system: &'a System,
    /// Under the system's own name.
    pub(super) own: Option<&'a Offer>,
    /// Under this machine's.
    pub(super) cross: Option<&'a Offer>,
    /// Whether the user has named that.
    pub(super) is_named: bool,
}

/// One way, and whether it is open.
pub(super) struct Way<'a> {
    pub(super) strategy: Strategy,
    /// `None` if there is nothing that could be built this way.
    pub(super) offer: Option<&'a Offer>,
    pub(super) obstacle: Option<Obstacle>,
}

/// The ways to what is offered for a system, best first.
pub(super) fn ways<'a>(offered: &OneOffer<'a>, host: &Host) -> Vec<Way<'a>> {
    let mut ways = Vec::new();
    if let Some(own) = offered.own {
        let builds = own.built_on.as_ref().unwrap_or(offered.system);
        let way = |strategy, obstacle| Way {
            strategy,
            offer: Some(own),
            obstacle,
        };
        if host.at_hand.contains(&own.out_path) {
            ways.push(way(Strategy::Cached, None));
        }
        if builds != offered.system && host.runs(builds) {
            ways.push(way(Strategy::Cross, None));
        } else if let Some(crossed) = offered.cross
            && host.at_hand.contains(&crossed.out_path)
            && cross(offered, host).is_none()
        {
            // What is built already needs no better way.
            ways.push(Way {
                strategy: Strategy::Cross,
                offer: Some(crossed),
                obstacle: None,
            });
        }
        ways.push(way(Strategy::Native, native(builds, host)));
        ways.push(way(Strategy::Remote, remote(builds, host)));
    }
    if !ways.iter().any(|way| way.strategy == Strategy::Cross) {
        ways.push(Way {
            strategy: Strategy::Cross,
            offer: offered.cross,
            obstacle: cross(offered, host),
        });
    }
    if let Some(own) = offered.own {
        let builds = own.built_on.as_ref().unwrap_or(offered.system);
        ways.push(Way {
            strategy: Strategy::Emulated,
            offer: Some(own),
            obstacle: emulated(builds, host),
        });
        ways.push(Way {
            strategy: Strategy::Elsewhere,
            offer: Some(own),
            obstacle: None,
        });
    }
    ways
}

fn native(builds: &System, host: &Host) -> Option<Obstacle> {
    (!host.runs(builds)).then(|| Obstacle {
        why: format!("this machine is {}", host.system),
        cure: Some(format!(
            "a job on a runner that is {builds} builds it so, see `nixpy-ci plan --matrix`"
        )),
    })
}

fn remote(builds: &System, host: &Host) -> Option<Obstacle> {
    let mut troubles = Vec::new();
    for builder in host.builders.iter().filter(|b| b.systems.contains(builds)) {
        let Some(trouble) = &builder.trouble else {
            return None;
        };
        troubles.push((&builder.name, trouble));
    }
    let told = troubles
        .iter()
        .map(|(name, trouble)| format!("{name}: {}", trouble.why));
    let cures = troubles.iter().filter_map(|(_, it)| it.cure.as_deref());
    let cures: BTreeSet<&str> = cures.collect();
    Some(match troubles.is_empty() {
        true => Obstacle {
            why: format!("no builder for {builds} is known"),
            cure: Some(format!(
                "name one, as in --builders 'ssh-ng://user@host {builds}'"
            )),
        },
        false => Obstacle {
            why: told.collect::<Vec<_>>().join("; "),
            cure: (!cures.is_empty()).then(|| Vec::from_iter(cures).join("; ")),
        },
    })
}

fn cross(offered: &OneOffer<'_>, host: &Host) -> Option<Obstacle> {
    let Some(offer) = offered.cross else {
        return Some(Obstacle {
            why: format!(
                "packages.{} has no attribute that is for {}",
                host.system, offered.system
            ),
            cure: Some(format!(
                "offer one by pkgsCross as `image-{}`, or name it with --cross {}=NAME",
                offered.system.cpu(),
                offered.system
            )),
        });
    };
    let attribute = format!("packages.{}.{}", host.system, offer.attribute);
    if !offered.is_named && says(offer).is_none() && offer.image_name.is_none() {
        return Some(Obstacle {
            why: format!("{attribute} does not say what it is for"),
            cure: Some(format!(
                "if it is for {0}, add --cross {0}={1}",
                offered.system, offer.attribute
            )),
        });
    }
    if let Some(says) = says(offer)
        && says != *offered.system
    {
        let architecture = platform_of(offered.system).map(|platform| platform.architecture);
        return Some(Obstacle {
            why: format!("{attribute} says that it is for {says}"),
            cure: architecture.map(|name| format!("give its image architecture = \"{name}\"")),
        });
    }
    let builds = offer.built_on.as_ref().unwrap_or(&host.system);
    (!host.runs(builds)).then(|| Obstacle {
        why: format!("{attribute} is built on {builds}"),
        cure: None,
    })
}

fn emulated(builds: &System, host: &Host) -> Option<Obstacle> {
    match host.emulation.get(builds) {
        Some(Emulation::Ready | Emulation::ByOption) => None,
        Some(Emulation::Closed { why, cure }) => Some(Obstacle {
            why: why.clone(),
            cure: Some(cure.clone()),
        }),
        None => Some(Obstacle {
            why: format!("this machine runs no programs of {builds}"),
            cure: Some("run `nixpy-ci setup`, or add --setup".to_owned()),
        }),
    }
}

/// The system that something says of itself that it is for.
pub(super) fn says(offer: &Offer) -> Option<System> {
    let architecture = offer.architecture.as_deref();
    match architecture.and_then(system_of) {
        Some(system) => Some(system),
        None => offer.runs_on.clone(),
    }
}
