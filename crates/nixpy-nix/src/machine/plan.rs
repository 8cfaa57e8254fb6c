//! What has to change on a machine, decided from facts alone.

use std::fmt;

use super::draft::Draft;
use super::{Machine, Privilege, Release, Step};

/// What the user asked for.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Wanted {
    /// Nix systems that shall build here, such as `aarch64-linux`.
    pub systems: Vec<String>,
    /// A release of Nix in place of the pinned one.
    pub nix: Option<Release>,
    /// Whether the same process goes on to build, as `run --setup` does: a
    /// membership that counts from the next login on is then too late.
    pub right_away: bool,
}

/// Something that cannot be done here.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Obstacle {
    /// What was wanted.
    pub what: String,
    /// Why it is out of reach.
    pub why: String,
    /// What to do instead; several lines where there is something to type.
    pub cure: String,
}

/// What to change, what needs no change, and what stands in the way.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SetupPlan {
    /// In the order in which they are done.
    pub steps: Vec<Step>,
    /// What was found as it should be.
    pub already: Vec<String>,
    /// When there is any, nothing is changed at all.
    pub impossible: Vec<Obstacle>,
    /// What the user should know afterwards.
    pub notes: Vec<String>,
    pub(super) privilege: Privilege,
    pub(super) wanted: Wanted,
}

impl SetupPlan {
    /// Decides. The same facts give the same plan.
    #[must_use]
    pub fn make(machine: &Machine, wanted: &Wanted) -> Self {
        let plan = Self {
            steps: Vec::new(),
            already: Vec::new(),
            impossible: Vec::new(),
            notes: Vec::new(),
            privilege: machine.privilege,
            wanted: wanted.clone(),
        };
        Draft::new(machine, plan).finish().without_means(machine)
    }

    /// Whether there is nothing to do, and nothing in the way.
    #[must_use]
    pub fn is_done(&self) -> bool {
        self.steps.is_empty() && self.impossible.is_empty()
    }

    /// Without root's rights the steps become commands for whoever has them.
    fn without_means(mut self, machine: &Machine) -> Self {
        let blocked =
            machine.privilege == Privilege::None && self.steps.iter().any(Step::needs_root);
        if blocked && self.impossible.is_empty() {
            let commands: Vec<_> = self.steps.iter().flat_map(Step::shell).collect();
            self.impossible.push(Obstacle {
                what: "changing this machine".to_owned(),
                why: format!(
                    "{} is not root, and sudo is missing or asks for a password",
                    machine.user
                ),
                cure: format!(
                    "Have root type this, then run setup again:\n{}",
                    commands.join("\n")
                ),
            });
            self.steps.clear();
            self.notes.clear();
        }
        self
    }
}

impl fmt::Display for SetupPlan {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for done in &self.already {
            writeln!(f, "already so: {done}")?;
        }
        for (number, step) in (1..).zip(&self.steps) {
            writeln!(f, "{number}. {step}")?;
        }
        for Obstacle { what, why, cure } in &self.impossible {
            writeln!(
                f,
                "cannot: {what}: {why}\n  {}",
                cure.replace('\n', "\n    ")
            )?;
        }
        if !self.impossible.is_empty() && !self.steps.is_empty() {
            writeln!(f, "nothing is changed while something stands in the way")?;
        }
        for note in &self.notes {
            writeln!(f, "note: {note}")?;
        }
        Ok(())
    }
}
