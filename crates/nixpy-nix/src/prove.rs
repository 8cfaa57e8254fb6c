//! Proof that a system is built: a derivation of it is, which nobody has built before.
//!
//! Its builder is a static program of some 150 bytes that makes a folder ([`elf`]), so
//! that nothing has to be fetched and nothing of nixpkgs is needed. It goes the whole way
//! that a real build goes: the store, the daemon, the sandbox, the emulator; or the hook,
//! ssh and the builder's own sandbox. What configuration says of all these may be true or
//! not; this is. It takes some 60 ms here, leaves a few hundred bytes in the store, and
//! nothing that keeps them from being collected.
//!
//! [`elf`]: crate::machine

use std::io::Write as _;
use std::os::unix::fs::PermissionsExt as _;
use std::time::{Duration, Instant, SystemTime};

use crate::error::{NixError, NixErrorKind};
use crate::evaluate::{store_failure, string};
use crate::log::failures::FailureReason;
use crate::log::{BuildWatch, DEFAULT_TAIL, Level};
use crate::machine::{Arch, makes_a_folder};
use crate::program::Nix;
use crate::run::run;
use crate::system::System;

/// Where it is to be built.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Where<'a> {
    /// On this machine, by whoever builds here.
    Here,
    /// On this remote builder alone: its line, as a machines file has it. A daemon takes
    /// it only from users it trusts. What ssh needs from the environment is given by
    /// [`crate::builders::Builders::nix`].
    Builder(&'a str),
}

/// It was built.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Proven {
    /// From the question to the answer.
    pub took: Duration,
    /// The remote builder that Nix names.
    pub machine: Option<String>,
}

/// It was not built, and why.
#[derive(Debug, thiserror::Error)]
pub enum ProofError {
    /// There is no small program for this system.
    #[error("nothing is known here that could be built for {0}")]
    Unheard(System),
    /// It took longer.
    #[error("no answer in {} s", .0.as_secs_f64())]
    Late(Duration),
    /// Nobody takes such derivations: whoever builds has not been told of the system.
    #[error("whoever builds here does not take derivations for {0}")]
    NotTaken(System),
    /// The builder was named, and the build was done elsewhere.
    #[error("it was not the builder that built, but {}", .0.as_deref().unwrap_or("this machine"))]
    Elsewhere(Option<String>),
    /// Nix's own words, or those of the builder.
    #[error("{0}")]
    Failed(String),
    /// Nix could not be asked.
    #[error(transparent)]
    Nix(#[from] NixError),
}

/// Builds one, and waits so long at most.
///
/// # Errors
/// It was not built.
pub async fn prove(
    nix: &Nix,
    system: &System,
    place: Where<'_>,
    deadline: Duration,
) -> Result<Proven, ProofError> {
    let arch =
        Arch::of_system(system.as_str()).ok_or_else(|| ProofError::Unheard(system.clone()))?;
    let folder = tempfile::tempdir().map_err(unwritable)?;
    let program = folder.path().join(format!("proof-{}", arch.name()));
    write(&program, &makes_a_folder(arch)).map_err(unwritable)?;

    let mut arguments: Vec<String> = ["build", "--impure", "--no-link"]
        .map(str::to_owned)
        .to_vec();
    let (builders, features) = match place {
        Where::Here => ("", Vec::new()),
        Where::Builder(line) => {
            arguments.extend(["--max-jobs".to_owned(), "0".to_owned()]);
            (line, mandatory_features(line))
        }
    };
    arguments.extend(["--builders".to_owned(), builders.to_owned()]);
    // It is nowhere, and a cache that hangs would have to be waited for.
    arguments.extend(["--option", "substitute", "false"].map(str::to_owned));
    let expression = derivation(system, &program.to_string_lossy(), &features);
    arguments.extend(["--expr".to_owned(), expression]);

    let begun = Instant::now();
    let mut watch = BuildWatch::new(DEFAULT_TAIL);
    let mut listen = |event| watch.observe(&event, Instant::now());
    let ended = tokio::time::timeout(deadline, run(nix, &arguments, &mut listen)).await;
    let ended = ended.map_err(|_| ProofError::Late(deadline))??;
    let took = begun.elapsed();
    let own = watch.builds().values().next();
    if ended.success {
        let machine = own.and_then(|build| build.machine.clone());
        return match (place, machine) {
            (Where::Builder(line), machine) if !is_of(line, machine.as_deref()) => {
                Err(ProofError::Elsewhere(machine))
            }
            (_, machine) => Ok(Proven { took, machine }),
        };
    }
    let complaint = ended.complaint();
    let reason = watch.failures().first().map(|failure| &failure.reason);
    if let (Some(FailureReason::NoBuilder { .. }), Where::Here) = (reason, place) {
        return Err(ProofError::NotTaken(system.clone()));
    }
    if let (None, Some(kind)) = (reason, store_failure(&complaint)) {
        return Err(NixError::new("build with", nix.program().display(), kind).into());
    }
    let warned = ended.messages.iter().filter(|message| {
        message.level <= Level::Notice && !message.text.starts_with("building '")
    });
    let mut said: Vec<String> = warned.map(|message| message.text.clone()).collect();
    // Why a builder could not be used is said first, and then at length that it was not.
    let verdict = said.iter().position(|text| is_verdict(text));
    if let Some(end @ 1..) = verdict {
        said.truncate(end);
    }
    said.extend(own.iter().flat_map(|build| build.tail.iter().cloned()));
    said.dedup();
    Err(ProofError::Failed(said.join("\n")))
}

/// Whether Nix only says that there is nobody left to build.
fn is_verdict(text: &str) -> bool {
    let verdicts = [
        "Failed to find a machine for remote build",
        "nable to start any build",
        "local builds are disabled",
    ];
    verdicts.iter().any(|verdict| text.contains(verdict))
}

fn unwritable(cause: std::io::Error) -> ProofError {
    let message = "the temporary folder cannot be written".to_owned();
    let kind = NixErrorKind::Failed { message };
    NixError::new("write", "a small program", kind)
        .caused_by(cause)
        .into()
}

fn write(place: &std::path::Path, program: &[u8]) -> std::io::Result<()> {
    let mut file = std::fs::File::create(place)?;
    file.write_all(program)?;
    file.set_permissions(std::fs::Permissions::from_mode(0o755))
}

/// Other than any before, or the folder would be there already.
fn derivation(system: &System, program: &str, features: &[&str]) -> String {
    let now = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH);
    let nonce = format!(
        "{}-{}",
        now.unwrap_or_default().as_nanos(),
        std::process::id()
    );
    let features: Vec<String> = features.iter().map(|name| string(name)).collect();
    format!(
        r#"derivation {{
  name = "proof";
  system = {system};
  builder = "${{/. + {program}}}";
  args = [ (placeholder "out") ];
  requiredSystemFeatures = [ {features} ];
  nonce = {nonce};
}}"#,
        system = string(system.as_str()),
        program = string(program),
        features = features.join(" "),
        nonce = string(&nonce),
    )
}

/// The seventh word of a builder's line: features without which it takes nothing.
fn mandatory_features(line: &str) -> Vec<&str> {
    let word = line.split_whitespace().nth(6).filter(|word| *word != "-");
    word.map(|word| word.split(',').collect())
        .unwrap_or_default()
}

/// Whether the machine that Nix names is the one of the line, where `ssh://` may be left out.
fn is_of(line: &str, machine: Option<&str>) -> bool {
    let store = line.split_whitespace().next().unwrap_or_default();
    let bare = |text: &str| {
        let text = text.split_once("://").map_or(text, |(_, rest)| rest);
        text.split('?').next().unwrap_or_default().to_owned()
    };
    machine.is_some_and(|machine| bare(machine) == bare(store))
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    #[test]
    fn a_builder_is_known_again_however_it_is_written() {
        let line = "ssh-ng://root@b?compress=1 aarch64-linux /key 2 1";
        for (machine, same) in [
            (Some("ssh-ng://root@b"), true),
            (Some("root@b"), true),
            (Some("ssh-ng://root@c"), false),
            (None, false),
        ] {
            assert_eq!(is_of(line, machine), same, "{machine:?}");
        }
        assert!(is_of("root@b aarch64-linux", Some("ssh://root@b")));
    }

    #[test]
    fn features_that_a_builder_insists_on_are_required_of_it() {
        assert_eq!(
            mandatory_features("ssh://b x86_64-linux - 1 1 kvm,big kvm,big -"),
            ["kvm", "big"]
        );
        assert!(mandatory_features("ssh://b x86_64-linux - 1 1 kvm - -").is_empty());
        assert!(mandatory_features("ssh://b").is_empty());
    }

    #[test]
    fn no_two_derivations_are_alike() {
        let system: System = "x86_64-linux".parse().unwrap();
        let one = derivation(&system, "/tmp/a \"b\" ${c}/proof", &[]);
        assert!(one.contains(r#"/. + "/tmp/a \"b\" \${c}/proof""#), "{one}");
        assert_ne!(one, derivation(&system, "/tmp/proof", &[]));
    }
}
