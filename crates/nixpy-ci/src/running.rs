//! A run as this machine carries it out, whoever wants one: `run`, and `release` for a commit that
//! has no image. Both say what is built, and tell what came of it; what lies between is here.
//! `plan` and `doctor` need the first half of it.

use nixpy_nix::machine::Environment as Machine;
use nixpy_nix::{Nix, NixError};
use nixpy_pipeline::event::Event;
use nixpy_pipeline::inputs::Inputs;
use nixpy_pipeline::report::told;
use nixpy_pipeline::run::{self, Finished, RunError};

use crate::cache::{Opened, Wanted};
use crate::exit::Code;
use crate::github::action::Notes;
use crate::listening::Listeners;
use crate::render::{beside, line};
use crate::settings::table::withheld_variables;
use crate::settings::{Environment, Resolved};
use crate::setup::{self, machine_environment};
use crate::smoke::Starter;

/// A machine that can do what was asked of it; Nix reads the caches as long as this is there.
pub struct Ready<'a> {
    /// What decides about this machine's Nix.
    pub machine: Machine,
    environment: &'a Environment,
    opened: Opened,
}

/// Why nothing was begun, in the words for people.
pub struct Hindered {
    /// As the shell sees it.
    pub code: Code,
    /// Each of them.
    pub problems: Vec<String>,
}

impl<'a> Ready<'a> {
    /// The machine is set up if that was asked for; then as [`Self::found`].
    pub async fn made(
        resolved: &mut Resolved,
        environment: &'a Environment,
    ) -> Result<Self, Hindered> {
        if resolved.setup {
            let systems = resolved.inputs.systems.iter();
            let request = setup::Request {
                systems: systems.map(ToString::to_string).collect(),
                nix: None,
                dry_run: resolved.dry_run,
                right_away: true,
            };
            let made = setup::make_ready(request, environment).await;
            made.map_err(|stopped| Hindered {
                code: stopped.code(),
                problems: stopped.told(),
            })?;
        }
        let found = Self::found(resolved, environment).await;
        found.map_err(|e| Hindered {
            code: Code::from(&e),
            problems: vec![told(&e)],
        })
    }

    /// Nix is found on the machine as it is, and told of the caches.
    pub async fn found(
        resolved: &mut Resolved,
        environment: &'a Environment,
    ) -> Result<Self, NixError> {
        let nix = nix(resolved)?;
        let machine = machine_environment(environment);
        let wanted = Wanted {
            caches: &resolved.inputs.caches,
            options: &resolved.nix_options,
        };
        let opened = Opened::of(nix, &wanted, &machine).await;
        resolved.inputs.caches.ready = opened.ready.clone();
        Ok(Self {
            machine,
            environment,
            opened,
        })
    }

    /// Who is asked.
    pub fn nix(&self) -> &Nix {
        &self.opened.nix
    }

    /// From the flake to the tags, in the hearing of these.
    pub async fn carry_out(
        &self,
        inputs: &Inputs,
        listeners: &Listeners<'_>,
    ) -> Result<Finished, RunError> {
        let gate = Starter::new(inputs.load, inputs.temp_dir.clone(), self.environment);
        let notes = Notes::of(inputs, self.environment);
        let on_event = |event: Event<'_>| {
            notes.hear(&event);
            listeners.hear(&event);
        };
        let running = run::run(self.nix(), inputs, &self.machine, &gate, &on_event);
        let ended = beside(listeners.renderer, running).await;
        notes.are_done();
        listeners.renderer.close();
        for trouble in self.opened.troubles() {
            line(&format!("warning: {trouble}; the run went on without it"));
        }
        ended
    }
}

/// The program that the settings name, told what they say, and none of our secrets.
pub fn nix(resolved: &Resolved) -> Result<Nix, NixError> {
    let nix = Nix::find(resolved.nix.as_deref())?;
    Ok(nix
        .with_options(resolved.nix_options.clone())
        .without_variables(withheld_variables()))
}
