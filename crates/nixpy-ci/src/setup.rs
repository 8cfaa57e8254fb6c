//! `nixpy-ci setup`: says what it will change, and changes it.

use nixpy_nix::machine::{
    Environment as MachineEnvironment, Machine, Obstacle, Release, Root, SetupError, SetupEvent,
    SetupPlan, Site, SystemRunner, Wanted, apply,
};

use nixpy_pipeline::report::told;

use crate::exit::Code;
use crate::render::line;
use crate::settings::Environment;

/// The systems a machine is made able to build when nobody says which.
pub const SYSTEMS: [&str; 2] = ["x86_64-linux", "aarch64-linux"];

/// What `setup` was asked.
pub struct Request {
    /// Systems, or none for [`SYSTEMS`].
    pub systems: Vec<String>,
    /// A release of Nix in place of the pinned one.
    pub nix: Option<Release>,
    /// Only say.
    pub dry_run: bool,
    /// A build follows in this process.
    pub right_away: bool,
}

/// Why this machine is not ready.
pub enum Stopped {
    /// Something stands in the way, and nothing was changed.
    Impossible(Vec<Obstacle>),
    /// A step failed.
    Failed(SetupError),
}

impl Stopped {
    /// As the shell sees it.
    pub fn code(&self) -> Code {
        match self {
            Self::Failed(e) if e.is_transient() => Code::Remote,
            _ => Code::Machine,
        }
    }

    /// In words, with what to do.
    pub fn told(&self) -> Vec<String> {
        match self {
            Self::Impossible(obstacles) => {
                let each = obstacles.iter();
                each.map(|Obstacle { what, why, cure }| {
                    format!("this machine cannot be made ready: {what}: {why}\n{cure}")
                })
                .collect()
            }
            Self::Failed(e) => vec![told(e)],
        }
    }
}

/// Probes, says, changes, looks again, and says why if that was not to be.
pub async fn setup(request: Request, environment: &Environment) -> Code {
    match make_ready(request, environment).await {
        Ok(()) => Code::Success,
        Err(stopped) => {
            // What stands in the way was said with the plan.
            if let Stopped::Failed(e) = &stopped {
                line(&format!("error: {}", told(e)));
            }
            stopped.code()
        }
    }
}

/// The same for who has others to tell why it was not to be.
pub async fn make_ready(request: Request, environment: &Environment) -> Result<(), Stopped> {
    let environment = machine_environment(environment);
    let site = Site {
        root: &Root::system(),
        environment: &environment,
        runner: &SystemRunner,
    };
    let machine = Machine::probe(&site).await;
    let systems = match request.systems {
        systems if systems.is_empty() => SYSTEMS.map(str::to_owned).to_vec(),
        systems => systems,
    };
    let plan = SetupPlan::make(
        &machine,
        &Wanted {
            systems,
            nix: request.nix,
            right_away: request.right_away,
        },
    );
    if !request.right_away || !plan.is_done() {
        line("setup:");
        plan.to_string()
            .lines()
            .for_each(|text| line(&format!("  {text}")));
    }
    if !plan.impossible.is_empty() {
        return Err(Stopped::Impossible(plan.impossible));
    }
    if request.dry_run || plan.is_done() {
        return Ok(());
    }
    change(&plan, &site).await.map_err(Stopped::Failed)
}

/// What of the environment decides about this machine's Nix.
pub fn machine_environment(environment: &Environment) -> MachineEnvironment {
    let text = environment.iter();
    let text = text.filter_map(|(k, v)| Some((k.to_str()?.to_owned(), v.to_str()?.to_owned())));
    MachineEnvironment::from_vars(text)
}

async fn change(plan: &SetupPlan, site: &Site<'_, SystemRunner>) -> Result<(), SetupError> {
    // Taken already is as good: it is the only provider in this program.
    let _ = rustls::crypto::ring::default_provider().install_default();
    apply(plan, site, &reqwest::Client::new(), |event| match event {
        SetupEvent::Started { number, of, step } => {
            line(&format!("setup {number}/{of}: {}", step.describe()));
        }
        SetupEvent::Unneeded { number, why } => {
            line(&format!("setup {number}: nothing to do: {why}"))
        }
        SetupEvent::Ready { found } => {
            found
                .iter()
                .for_each(|text| line(&format!("  now so: {text}")));
        }
        SetupEvent::Finished { .. } | SetupEvent::Verifying => {}
    })
    .await
}
