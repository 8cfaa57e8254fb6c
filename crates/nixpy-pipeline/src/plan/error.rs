//! Why there is no plan.

use nixpy_nix::System;

use crate::platform::systems;

use super::ways::{Declined, Obstacle, Strategy};

/// There is no plan.
#[derive(Debug, thiserror::Error)]
pub enum PlanError {
    /// No attribute of that name, or of any known one.
    #[error("{flake} has no {wanted} for {system}; it offers: {}", list(.offered))]
    NoAttribute {
        /// The flake.
        flake: String,
        /// What was looked for.
        wanted: String,
        /// For which system.
        system: System,
        /// What exists there.
        offered: Vec<String>,
    },
    /// The flake says nothing about the system.
    #[error("{flake} offers nothing for {system}; its systems are: {}", list(.offered))]
    NoSystem {
        /// The flake.
        flake: String,
        /// Which.
        system: System,
        /// What it offers.
        offered: Vec<String>,
    },
    /// Nothing that an image can be made for.
    #[error("{flake} has packages for no Linux system; its systems are: {}", list(.offered))]
    NoLinux {
        /// The flake.
        flake: String,
        /// What it offers.
        offered: Vec<String>,
    },
    /// The attribute that was named for cross-compiling is not there.
    #[error("{flake} has no packages.{host}.{named}, which --cross names for {system}")]
    NoCross {
        /// The flake.
        flake: String,
        /// The attribute.
        named: String,
        /// For which system.
        system: System,
        /// Under which it was looked for.
        host: System,
    },
    /// What is offered for one system says that it is for another.
    #[error(
        "packages.{system}.{attribute} says that it is for {says}, not for {system}; \
         leave `--system {system}` out, or give its image another architecture"
    )]
    ForAnother {
        /// The attribute.
        attribute: String,
        /// Under which it is offered.
        system: System,
        /// What it says.
        says: System,
    },
    /// The way that was asked for is closed.
    #[error("{system} cannot be built {strategy}: {}", told(.obstacle))]
    Closed {
        /// For which system.
        system: System,
        /// The way.
        strategy: Strategy,
        /// What stands in it.
        obstacle: Obstacle,
    },
    /// No way is open from here.
    #[error("{system} cannot be built from here:{}", lines(.declined))]
    NoWay {
        /// For which system.
        system: System,
        /// Every way, and why not.
        declined: Vec<Declined>,
    },
    /// What this run would tag is not all that was planned.
    #[error(
        "{0} is left to another job, and an index made here would lack it: add --by-digest, and join \
         what the jobs leave with `nixpy-ci index`"
    )]
    Incomplete(System),
    /// An image cannot be for this system.
    #[error(
        "no image can be for {system}: systems are {}, as in --system x86_64-linux",
        known()
    )]
    NotAPlatform {
        /// What was named.
        system: System,
    },
}

impl PlanError {
    /// Whether another machine could do it with the same inputs.
    pub fn is_of_the_machine(&self) -> bool {
        matches!(self, Self::Closed { .. } | Self::NoWay { .. })
    }
}

fn known() -> String {
    let known: Vec<String> = systems().map(|system| system.to_string()).collect();
    known.join(", ")
}

fn told(obstacle: &Obstacle) -> String {
    match &obstacle.cure {
        Some(cure) => format!("{}; {cure}", obstacle.why),
        None => obstacle.why.clone(),
    }
}

fn lines(declined: &[Declined]) -> String {
    let lines = declined.iter().map(|declined| format!("\n  {declined}"));
    lines.collect()
}

fn list(names: &[String]) -> String {
    match names {
        [] => "nothing".to_owned(),
        names => {
            let printable = |name: &String| match name.chars().any(char::is_control) {
                true => format!("{name:?}"),
                false => name.clone(),
            };
            names.iter().map(printable).collect::<Vec<_>>().join(", ")
        }
    }
}
