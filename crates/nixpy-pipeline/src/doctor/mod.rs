//! Everything that a run needs, looked at beforehand, and each lack with its cure.
//!
//! What can be tried is tried, on a small scale: a derivation is built for each system and
//! on each builder, a cache is asked for a path, a registry is asked in. What a setting
//! says is only what explains a failure. All checks go on at once, and none has longer
//! than [`PATIENCE`], so that a host that hangs costs seconds.
//!
//! | module | subject |
//! |---|---|
//! | `check` | what came of one check |
//! | `nix` | the program, and who builds |
//! | `systems` | each wanted system, built here |
//! | `builders` | each remote builder |
//! | `caches` | each binary cache |
//! | `pushes` | each cache that is to be written |
//! | `destinations` | where the image goes |
//! | `disk` | room where it will be needed |
//! | `flake` | what it offers, and what git keeps from it |
//! | `locked` | the lock file beside pyproject.toml |

mod builders;
mod caches;
mod check;
mod destinations;
mod disk;
mod flake;
mod locked;
mod nix;
mod pushes;
mod systems;

use std::collections::BTreeSet;
use std::time::{Duration, Instant};

use nixpy_nix::abilities::store_was_opened;
use nixpy_nix::builders::{Builders, BuildersError};
use nixpy_nix::machine::Environment;
use nixpy_nix::{Abilities, Nix, NixError, System};
use tokio::sync::OnceCell;
use tokio::task::spawn_blocking;

use check::concern_of;
pub use check::{Check, Concern, Diagnosis, State};

use crate::inputs::Inputs;
use crate::offer::{Offered, ask_only, recalled};
use crate::report::told;

/// No check has longer.
pub const PATIENCE: Duration = Duration::from_secs(8);
/// All together have a little longer: some wait for the flake's answer.
const IN_ALL: Duration = Duration::from_secs(10);
/// For the flake's answer, on which others wait.
const FOR_THE_FLAKE: Duration = Duration::from_secs(6);

/// Checks everything. `nix` is the program, or why there is none.
pub async fn diagnose(
    nix: Result<Nix, NixError>,
    inputs: &Inputs,
    environment: &Environment,
) -> Diagnosis {
    let begun = Instant::now();
    let mut checks = Vec::new();
    match nix {
        Ok(nix) => {
            let patient = Patient {
                nix: &nix,
                inputs,
                environment,
                end: begun + IN_ALL,
                abilities: OnceCell::new(),
                builders: OnceCell::new(),
                offered: OnceCell::new(),
            };
            if !store_was_opened(environment) {
                // What it says is looked at below.
                let _ = patient.abilities().await;
            }
            let (nix, systems, builders, caches, pushes, flake, places, room, lock) = tokio::join!(
                nix::check(&patient),
                systems::check(&patient),
                builders::check(&patient),
                caches::check(&patient),
                pushes::check(&patient),
                flake::check(&patient),
                destinations::check(&patient),
                disk::check(inputs, PATIENCE),
                locked::check(inputs, PATIENCE),
            );
            for found in [nix, flake, systems, builders, caches, pushes, places, room] {
                checks.extend(found);
            }
            checks.extend(lock);
        }
        Err(error) => {
            checks.push(nix::missing(&error));
            let (room, lock) = tokio::join!(
                disk::check(inputs, PATIENCE),
                locked::check(inputs, PATIENCE),
            );
            checks.extend(room);
            checks.extend(lock);
        }
    }
    Diagnosis {
        version: 1,
        flake: inputs.flake.to_string(),
        checks,
        seconds: begun.elapsed().as_secs_f64(),
    }
}

/// What a look at files gives in time. A disk behind a network may never answer, and is not
/// to hold up the rest, nor a signal.
async fn aside<T: Send + 'static>(
    patience: Duration,
    look: impl FnOnce() -> T + Send + 'static,
) -> Result<T, String> {
    match tokio::time::timeout(patience, spawn_blocking(look)).await {
        Ok(seen) => seen.map_err(|error| error.to_string()),
        Err(_) => Err(late(patience)),
    }
}

fn late(patience: Duration) -> String {
    format!("no answer in {} s", patience.as_secs_f64().round())
}

/// Whom it is about, and what several checks want to know of him, asked once.
struct Patient<'a> {
    nix: &'a Nix,
    inputs: &'a Inputs,
    environment: &'a Environment,
    end: Instant,
    abilities: OnceCell<Result<Abilities, Reason>>,
    builders: OnceCell<Result<Builders, BuildersError>>,
    offered: OnceCell<Result<Offered, Reason>>,
}

/// Why something could not be found out.
#[derive(Clone, Debug)]
struct Reason {
    text: String,
    concern: Concern,
    is_late: bool,
}

impl Patient<'_> {
    /// How long a check that begins now may take.
    fn patience(&self) -> Duration {
        self.end
            .saturating_duration_since(Instant::now())
            .min(PATIENCE)
    }

    /// What comes of it in time.
    async fn within<T>(&self, work: impl Future<Output = T>) -> Result<T, String> {
        let patience = self.patience();
        let done = tokio::time::timeout(patience, work).await;
        done.map_err(|_| late(patience))
    }

    async fn abilities(&self) -> Result<&Abilities, &Reason> {
        let ask = async || {
            let asked = self.within(Abilities::ask(self.nix, self.environment));
            Reason::or(asked.await)
        };
        self.abilities.get_or_init(ask).await.as_ref()
    }

    /// Those of the settings and of Nix's configuration, with the one folder for their key.
    async fn builders(&self, abilities: &Abilities) -> Result<&Builders, &BuildersError> {
        let prepare = || Builders::prepare(self.nix, &self.inputs.builders, abilities);
        self.builders.get_or_init(prepare).await.as_ref()
    }

    /// What the flake offers, as it was when it was asked last, or is now.
    async fn offered(&self) -> Result<&Offered, &Reason> {
        let ask = async || {
            let answer = async {
                match recalled(self.nix, self.inputs).await {
                    Some(offered) => Ok(offered),
                    None => ask_only(self.nix, self.inputs).await,
                }
            };
            let answer = tokio::time::timeout(FOR_THE_FLAKE, answer).await;
            Reason::or(answer.map_err(|_| late(FOR_THE_FLAKE)))
        };
        self.offered.get_or_init(ask).await.as_ref()
    }

    /// The systems that are wanted: those named, else those offered, else the one here.
    async fn systems(&self) -> Vec<System> {
        if !self.inputs.systems.is_empty() {
            return self.inputs.systems.clone();
        }
        match self.offered().await {
            Ok(offered) => {
                let offers = &offered.offers;
                let all = offers.systems.keys().chain(offers.cross.keys());
                let all: BTreeSet<&System> = all.collect();
                all.into_iter().cloned().collect()
            }
            Err(_) => vec![System::host()],
        }
    }
}

impl Reason {
    fn or<T>(answer: Result<Result<T, NixError>, String>) -> Result<T, Self> {
        match answer {
            Ok(Ok(value)) => Ok(value),
            Ok(Err(error)) => Err(Self {
                text: told(&error),
                concern: concern_of(&error),
                is_late: false,
            }),
            Err(late) => Err(Self {
                text: late,
                concern: Concern::Machine,
                is_late: true,
            }),
        }
    }
}
