//! `nixpy-ci doctor`: what a run needs, as it is found, with cures. It is the result, and
//! so goes to standard output.

use clap::ArgMatches;
use nixpy_pipeline::doctor::{Check, Concern, Diagnosis, State, diagnose};

use crate::audience::wrong;
use crate::exit::Code;
use crate::print;
use crate::redact::clean;
use crate::render::without_controls;
use crate::report::json;
use crate::running::Ready;
use crate::settings::{Environment, resolved};
use crate::setup::machine_environment;

/// Looks at everything, and tells it.
pub async fn doctor(flags: &ArgMatches, environment: &Environment) -> Code {
    let mut resolved = match resolved(flags, environment).await {
        Ok(resolved) => resolved,
        Err(problems) => return wrong(&problems, environment),
    };
    let machine = machine_environment(environment);
    // What is served to Nix is served as long as it is asked.
    let (nix, _ready) = match Ready::found(&mut resolved, environment).await {
        Ok(ready) => (Ok(ready.nix().clone()), Some(ready)),
        Err(error) => (Err(error), None),
    };
    let diagnosis = clean(diagnose(nix, &resolved.inputs, &machine).await);
    match resolved.output.json {
        true => print(&json(&diagnosis)),
        false => print(&diagnosis.made(text)),
    }
    diagnosis.worst().map_or(Code::Success, Code::from)
}

impl From<Concern> for Code {
    fn from(concern: Concern) -> Self {
        match concern {
            Concern::Inputs => Self::Inputs,
            Concern::Machine => Self::Machine,
            Concern::Remote => Self::Remote,
        }
    }
}

/// A line for each check, its cure below it, and how many came to what.
fn text(diagnosis: &Diagnosis) -> String {
    let width = diagnosis.checks.iter().map(|check| name(check).len()).max();
    let mut lines: Vec<String> = Vec::new();
    for check in &diagnosis.checks {
        lines.extend(check_lines(check, width.unwrap_or_default().min(WIDEST)));
    }
    lines.push(last_line(diagnosis));
    lines.push(String::new());
    lines.join("\n")
}

/// Longer names, addresses mostly, push what was found to the right.
const WIDEST: usize = 30;

fn name(check: &Check) -> String {
    match check.subject.as_str() {
        "" => check.name.clone(),
        subject => format!("{} {}", check.name, without_controls(subject)),
    }
}

fn check_lines(check: &Check, width: usize) -> Vec<String> {
    let (sign, word) = match check.state {
        State::Fine => ("✓", "fine"),
        State::Warning => ("!", "warning"),
        State::Trouble => ("✗", "trouble"),
        State::NotChecked => ("?", "not checked"),
    };
    let mut found = check.found.lines();
    let first = without_controls(found.next().unwrap_or_default());
    let mut lines = vec![format!(
        "{sign} {word:<11}  {:<width$}  {first}",
        name(check)
    )];
    lines.extend(found.map(|line| format!("    {}", without_controls(line))));
    let cure = check.cure.iter().flat_map(|cure| cure.lines());
    lines.extend(cure.enumerate().map(|(n, line)| match n {
        0 => format!("    → {}", without_controls(line)),
        _ => format!("      {}", without_controls(line)),
    }));
    lines
}

fn last_line(diagnosis: &Diagnosis) -> String {
    let counted = [
        (State::Fine, "fine"),
        (State::Warning, "with a warning"),
        (State::Trouble, "in trouble"),
        (State::NotChecked, "not checked"),
    ];
    let counted = counted.iter().filter_map(|(state, words)| {
        let count = diagnosis.count(*state);
        (count > 0).then(|| format!("{count} {words}"))
    });
    format!(
        "{}: {} ({:.1} s)",
        without_controls(&diagnosis.flake),
        counted.collect::<Vec<_>>().join(", "),
        diagnosis.seconds
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_check_is_a_line_and_its_cure_stands_below() {
        let check = Check {
            name: "system".to_owned(),
            subject: "aarch64-linux".to_owned(),
            state: State::Trouble,
            found: "not\u{1b}[31m taken\nreally".to_owned(),
            cure: Some("add this line:\n  a = b".to_owned()),
            concern: Concern::Machine,
        };
        assert_eq!(
            check_lines(&check, 22),
            [
                "✗ trouble      system aarch64-linux    not\u{fffd}[31m taken",
                "    really",
                "    → add this line:",
                "        a = b",
            ]
        );
    }
}
