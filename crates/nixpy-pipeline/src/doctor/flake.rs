//! What the flake offers, and files in its folder that git keeps from it.

use std::path::Path;

use nixpy_nix::untracked::untracked_files;

use super::check::{Check, Concern, about};
use super::{Patient, Reason};
use crate::offer::Offered;
use crate::plan::PlanError;

/// More names are only counted.
const MOST_NAMES: usize = 5;
/// What a Python service, or the flake around it, is made of.
const MATTER: [&str; 16] = [
    "nix", "py", "pyi", "pyx", "toml", "lock", "cfg", "in", "ini", "json", "yaml", "yml", "c", "h",
    "rs", "html",
];

pub(super) async fn check(patient: &Patient<'_>) -> Vec<Check> {
    let (flake, untracked) = tokio::join!(offers(patient), untracked(patient));
    [flake].into_iter().chain(untracked).collect()
}

async fn offers(patient: &Patient<'_>) -> Check {
    let about = about("flake", &patient.inputs.flake, Concern::Inputs);
    match patient.offered().await {
        Ok(offered) => match lacks(patient, offered) {
            lacks if lacks.is_empty() => about.fine(told_of(offered)),
            lacks => about.trouble(
                lacks.join("\n"),
                "Name what it offers: FLAKE#NAME, --system SYSTEM; `nix flake show` lists it",
            ),
        },
        Err(Reason {
            text,
            is_late: true,
            ..
        }) => about.not_checked(format!("it was not evaluated: {text}")),
        Err(Reason { text, concern, .. }) => {
            let cure = "The whole trace: nix flake show --show-trace";
            about.concerning(*concern).trouble(text, cure)
        }
    }
}

/// What is wanted and not offered.
fn lacks(patient: &Patient<'_>, offered: &Offered) -> Vec<String> {
    let offers = &offered.offers;
    let flake = patient.inputs.flake.to_string();
    let mut lacks = Vec::new();
    if offers.systems.is_empty() && patient.inputs.systems.is_empty() {
        let offered = offers.offered.clone();
        lacks.push(PlanError::NoLinux { flake, offered }.to_string());
        return lacks;
    }
    for system in &patient.inputs.systems {
        if !offers.systems.contains_key(system) && !offers.cross.contains_key(system) {
            let lack = PlanError::NoSystem {
                flake: flake.clone(),
                system: system.clone(),
                offered: offers.offered.clone(),
            };
            lacks.push(lack.to_string());
        }
    }
    let unmet = offers.systems.iter();
    for (system, there) in unmet
        .filter(|(system, there)| there.chosen.is_none() && !offers.cross.contains_key(*system))
    {
        let lack = PlanError::NoAttribute {
            flake: flake.clone(),
            wanted: crate::plan::wanted(patient.inputs),
            system: system.clone(),
            offered: there.attributes.clone(),
        };
        lacks.push(lack.to_string());
    }
    lacks
}

fn told_of(offered: &Offered) -> String {
    let chosen = offered.offers.systems.iter();
    let chosen = chosen.filter_map(|(system, there)| {
        let offer = there.chosen.as_ref()?;
        Some(format!("packages.{system}.{}", offer.attribute))
    });
    let cross = offered.offers.cross.iter();
    let cross = cross.map(|(system, offer)| format!("{} for {system}", offer.attribute));
    let chosen = chosen.chain(cross);
    format!("offers {}", chosen.collect::<Vec<_>>().join(", "))
}

async fn untracked(patient: &Patient<'_>) -> Option<Check> {
    let flake = &patient.inputs.flake;
    flake.repository()?;
    let about = about("untracked", "", Concern::Inputs);
    let files = match patient.within(untracked_files(patient.nix, flake)).await {
        Ok(Ok(files)) => files,
        Ok(Err(error)) => return Some(about.not_checked(error.to_string())),
        Err(late) => return Some(about.not_checked(late)),
    };
    let folder = flake.local_dir();
    let mattering: Vec<String> = files
        .iter()
        .filter(|file| matters(file) && !folder.is_some_and(|folder| is_ours(file, folder)))
        .map(|file| file.display().to_string())
        .collect();
    Some(match mattering.as_slice() {
        [] => about.fine("git tracks every file that matters"),
        files => {
            let named = files.iter().take(MOST_NAMES).cloned().collect::<Vec<_>>();
            let more = match files.len() - named.len() {
                0 => String::new(),
                more => format!(" and {more} more"),
            };
            let others = match more.as_str() {
                "" => "",
                _ => "; the others are listed by `git status`",
            };
            let quoted = named.iter().map(|name| quoted(name)).collect::<Vec<_>>();
            about.warning(
                format!(
                    "git does not track {}{more}, and Nix sees only what git tracks",
                    named.join(", ")
                ),
                format!("git add {}{others}", quoted.join(" ")),
            )
        }
    })
}

fn matters(file: &Path) -> bool {
    let extension = file.extension().and_then(|extension| extension.to_str());
    extension.is_some_and(|extension| MATTER.contains(&extension))
}

/// Whether a run has written it: a part of an image layout, a result or a report by its usual name.
fn is_ours(file: &Path, folder: &Path) -> bool {
    let name = file.file_name().and_then(|name| name.to_str());
    let mut above = file.ancestors().skip(1);
    name.is_some_and(|name| name.starts_with("nixpy-ci-"))
        || above.any(|above| folder.join(above).join("oci-layout").is_file())
}

/// As a shell reads it back.
fn quoted(name: &str) -> String {
    let plain = |c: char| c.is_ascii_alphanumeric() || "-_./+,@".contains(c);
    match name.chars().all(plain) {
        true => name.to_owned(),
        false => format!("'{}'", name.replace('\'', r"'\''")),
    }
}
