//! Looking at what a plan depends on: what is built already, what this machine's Nix can
//! do for other systems, which builders answer.
//!
//! The cheapest is asked first, and nothing that could not change the plan: where all
//! outputs are here, no process is started, and no builder is asked that builds for none
//! of the systems in question.

use std::collections::BTreeSet;
use std::time::Duration;

use nixpy_nix::abilities::{Abilities, Builds, Emulation as Found, store_was_opened};
use nixpy_nix::builders::{Answer, Builder, Builders, BuildersError, TroubleKind};
use nixpy_nix::cache::Caches;
use nixpy_nix::evaluate::Offer;
use nixpy_nix::machine::{Environment, Root, foreign_programs};
use nixpy_nix::{Nix, StorePath, System};
use tokio::sync::OnceCell;

use crate::inputs::Inputs;
use crate::offer::Offered;
use crate::plan::{Emulation, Host, KnownBuilder, Obstacle};

/// For all caches together. To know saves time, and Nix asks them again in any case.
const PATIENCE: Duration = Duration::from_secs(4);

/// For a builder to say hello. One that needs longer is not going to be quick.
const FOR_A_BUILDER: Duration = Duration::from_secs(8);
/// For one that nothing else stands in for: it may have to be woken first.
const FOR_THE_ONLY_BUILDER: Duration = Duration::from_secs(30);

/// Nix's option for systems that a machine takes beside its own.
const PLATFORMS: &str = "extra-platforms";

/// How much has to be known.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum For {
    /// What decides how a run builds here. What this machine runs by itself it can build,
    /// whatever is in a cache.
    ThisMachine,
    /// The same, where what lies in the places of outputs turned out to be something else.
    ThisMachineAnew,
    /// What decides which machines are needed: one that has nothing but what caches hold.
    AnyMachine,
}

/// Something that may have to be built.
struct Missing {
    output: StorePath,
    /// By a machine of this system.
    builds: System,
}

/// What was seen.
pub struct Seen {
    /// What the plan depends on.
    pub host: Host,
    /// Builders, if there are any that matter.
    pub asked: Option<Asked>,
}

/// Builders, and what those said that were asked.
pub struct Asked {
    /// All.
    pub builders: Builders,
    /// Those that build for a system in question.
    pub answers: Vec<Answer>,
}

/// This machine's Nix, of which is asked once what it can.
pub struct Sight<'a> {
    nix: &'a Nix,
    environment: &'a Environment,
    abilities: OnceCell<Abilities>,
}

impl<'a> Sight<'a> {
    /// Nothing is asked yet.
    pub fn new(nix: &'a Nix, environment: &'a Environment) -> Self {
        Self {
            nix,
            environment,
            abilities: OnceCell::new(),
        }
    }

    /// What it can; `None` if it does not tell: what is wrong with it, a build will tell.
    /// It is asked again the next time.
    pub async fn abilities(&self) -> Option<&Abilities> {
        let ask = async || Abilities::ask(self.nix, self.environment).await;
        self.abilities.get_or_try_init(ask).await.ok()
    }

    /// The same before anybody wants to know, where that gets into nobody's way.
    pub async fn abilities_meanwhile(&self) {
        if store_was_opened(self.environment) {
            self.abilities().await;
        }
    }

    /// The caches that Nix takes paths from.
    pub async fn caches(&self) -> Caches {
        match self.abilities().await {
            Some(abilities) => Caches::of(&abilities.settings),
            None => Caches::none(),
        }
    }
}

/// Looks.
///
/// # Errors
/// Builders cannot be used at all.
pub async fn look(
    sight: &Sight<'_>,
    inputs: &Inputs,
    offered: &Offered,
    whose_plan: For,
) -> Result<Seen, BuildersError> {
    let mut host = Host::of(System::host());
    let (here, missing) = apart(offered, whose_plan);
    host.at_hand = here;
    host.kernel_emulates = foreign_programs(&Root::system()).systems();
    let foreign: BTreeSet<&System> = missing
        .iter()
        .map(|missing| &missing.builds)
        .filter(|system| **system != host.system)
        .collect();
    let asked = missing
        .iter()
        .filter(|missing| whose_plan == For::AnyMachine || missing.builds != host.system);
    let asked: Vec<StorePath> = asked.map(|missing| missing.output.clone()).collect();
    let has_own_builders = !missing.is_empty() && !inputs.builders.wanted.is_empty();
    if asked.is_empty() && !has_own_builders {
        return Ok(Seen { host, asked: None });
    }
    let nix = sight.nix;
    let Some(abilities) = sight.abilities().await else {
        host.is_opaque = true;
        return Ok(Seen { host, asked: None });
    };
    host.at_hand
        .extend(held(nix, &sight.caches().await, &asked).await);
    let is_settled = nix.options().iter().any(|(name, _)| name == PLATFORMS);
    learn(&mut host, abilities, &foreign, is_settled);
    let open = missing
        .iter()
        .filter(|it| !host.at_hand.contains(&it.output));
    let open: BTreeSet<&System> = open.map(|missing| &missing.builds).collect();
    let asked = ask(nix, inputs, abilities, &open, &host).await?;
    let answers = asked.iter().flat_map(|asked| &asked.answers);
    host.builders = answers.map(known).collect();
    Ok(Seen { host, asked })
}

/// Asks the builders that build for one of these systems; twice where nothing is known
/// that would build for it otherwise.
async fn ask(
    nix: &Nix,
    inputs: &Inputs,
    abilities: &Abilities,
    open: &BTreeSet<&System>,
    host: &Host,
) -> Result<Option<Asked>, BuildersError> {
    if open.is_empty() {
        return Ok(None);
    }
    let builders = Builders::prepare(nix, &inputs.builders, abilities).await?;
    if builders.is_empty() {
        return Ok(None);
    }
    let is_wanted = |builder: &Builder| open.iter().any(|system| builder.is_for(system));
    let mut answers = builders.probe(nix, FOR_A_BUILDER, is_wanted).await;
    let has_builder = |system: &System| {
        let mut sound = answers.iter().filter(|(_, answer)| answer.is_ok());
        sound.any(|(builder, _)| builder.builds(system))
    };
    let stuck: Vec<&System> = open
        .iter()
        .copied()
        .filter(|system| !builds_here(host, system) && !has_builder(system))
        .collect();
    let is_late = |builder: &Builder| {
        let late = |(known, answer): &Answer| {
            known == builder && matches!(answer, Err(it) if it.kind == TroubleKind::TimedOut)
        };
        stuck.iter().any(|system| builder.builds(system)) && answers.iter().any(late)
    };
    let left = FOR_THE_ONLY_BUILDER - FOR_A_BUILDER;
    for (builder, answer) in builders.probe(nix, left, is_late).await {
        let mut known = answers.iter_mut();
        if let Some(known) = known.find(|(known, _)| *known == builder) {
            known.1 = answer;
        }
    }
    Ok(Some(Asked { builders, answers }))
}

/// Whether this machine builds for it, if need be by emulation.
fn builds_here(host: &Host, system: &System) -> bool {
    let emulation = host.emulation.get(system);
    host.is_opaque
        || host.runs(system)
        || emulation.is_some_and(|it| !matches!(it, Emulation::Closed { .. }))
}

fn known((builder, answer): &Answer) -> KnownBuilder {
    let trouble = answer.as_ref().err().map(|trouble| Obstacle {
        why: trouble.to_string(),
        cure: trouble.cure(),
    });
    KnownBuilder {
        name: builder.name(),
        systems: builder.systems(),
        trouble: trouble.or_else(|| insists(builder)),
    }
}

/// What it wants of everything that is built there, and nothing that is planned is sure to have.
fn insists(builder: &Builder) -> Option<Obstacle> {
    let mandatory: Vec<&str> = builder.mandatory.iter().map(String::as_str).collect();
    (!mandatory.is_empty()).then(|| Obstacle {
        why: format!("it builds only what requires {}", mandatory.join(", ")),
        cure: Some("leave the seventh field of its line empty".to_owned()),
    })
}

/// The outputs that are here, and those of the others that may have to be built. What is
/// here is nothing to other machines.
fn apart(offered: &Offered, whose_plan: For) -> (BTreeSet<StorePath>, Vec<Missing>) {
    let is_here = |offer: &&Offer| {
        whose_plan == For::ThisMachine && offer.out_path.as_path().symlink_metadata().is_ok()
    };
    let here = offered.all().filter(is_here);
    let here = here.map(|offer| offer.out_path.clone()).collect();
    let offers = &offered.offers;
    let own = offers.systems.iter().filter_map(|(system, there)| {
        let is_settled = offers.cross.get(system).is_some_and(|it| is_here(&it));
        Some((system.clone(), there.chosen.as_ref()?)).filter(|_| !is_settled)
    });
    let cross = offers.cross.values().map(|offer| (System::host(), offer));
    let missing = own.chain(cross).filter(|(_, offer)| !is_here(offer));
    let missing = missing.map(|(system, offer)| Missing {
        output: offer.out_path.clone(),
        builds: offer.built_on.clone().unwrap_or(system),
    });
    (here, missing.collect())
}

async fn held(nix: &Nix, caches: &Caches, outputs: &[StorePath]) -> BTreeSet<StorePath> {
    let held = tokio::time::timeout(PATIENCE, caches.hold(nix, outputs)).await;
    held.unwrap_or_default()
}

/// `is_settled`: whether the command line says what this machine takes.
fn learn(host: &mut Host, abilities: &Abilities, foreign: &BTreeSet<&System>, is_settled: bool) {
    host.is_opaque = matches!(abilities.builds, Builds::Elsewhere(_));
    host.platforms = abilities.extra_platforms.clone();
    for system in foreign {
        if abilities.is_native(system) && abilities.takes(system) {
            host.also_runs.push((*system).clone());
            continue;
        }
        let found = abilities.how_emulated(system);
        let emulation = match (&found, found.obstacle()) {
            (Found::ByOption { .. }, _) if is_settled => Emulation::Closed {
                why: format!("--nix-option {PLATFORMS} leaves it out"),
                cure: "leave that option out".to_owned(),
            },
            (Found::ByOption { .. }, _) => Emulation::ByOption,
            (_, None) => Emulation::Ready,
            (_, Some((why, cure))) => Emulation::Closed { why, cure },
        };
        host.emulation.insert((*system).clone(), emulation);
    }
}
