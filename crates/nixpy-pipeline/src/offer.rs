//! What the flake offers, with the archives it makes replaced by their descriptions.
//!
//! `dockerTools.buildLayeredImage` is `runCommand "NAME.tar.gz"` around the script that
//! `streamLayeredImage` makes, `stream-NAME`, which therefore is among the derivation's
//! inputs, and the command only compresses what it writes. That script's description says everything about the image; so it is built in
//! the archive's place, and the archive, which takes longer to make than all the rest
//! and as much room in the store, never comes to be.

use std::collections::BTreeMap;
use std::str::FromStr as _;

use nixpy_nix::derivation::{Derivation, show_derivations};
use nixpy_nix::evaluate::{CrossNames, Offer, Offers, Question, evaluate};
use nixpy_nix::fingerprint::{is_pure, metadata};
use nixpy_nix::log::LogEvent;
use nixpy_nix::{AttrPath, Nix, NixError, NixErrorKind, Source, StorePath, System};
use serde::{Deserialize, Serialize};

use crate::event::{Event, OnEvent};
use crate::inputs::Inputs;
use crate::memo::Memo;
use crate::plan::{CANDIDATES, Form, form_of};
use crate::platform::{platform_of, systems};

/// The answer of the flake.
#[derive(Debug, Serialize, Deserialize)]
pub struct Offered {
    /// What is to be built.
    pub offers: Offers,
    /// By derivation of what is built instead: the archive's own.
    pub instead_of: BTreeMap<StorePath, StorePath>,
    /// What the user should know of the answer.
    #[serde(default)]
    pub note: Option<String>,
    /// The tree that answered, as far as it is known: always where
    /// [`Inputs::by_digest`] asks for it. Not kept: what recalls an answer knows it.
    #[serde(skip)]
    pub source: Source,
}

/// Asks the flake, unless it has answered before and is what it was then.
///
/// # Errors
/// The flake cannot be evaluated.
pub async fn ask(nix: &Nix, inputs: &Inputs, on_event: &OnEvent<'_>) -> Result<Offered, NixError> {
    let question = question(inputs);
    let before = moment(nix, inputs, &question).await;
    if let Some(offered) = before.recall(nix) {
        return Ok(offered);
    }
    let (offers, note) =
        answer(nix, inputs, &question, |event| on_event(Event::Nix(&event))).await?;
    let mut offered = Offered {
        offers,
        instead_of: BTreeMap::new(),
        note,
        source: Source::default(),
    };
    if !inputs.build_archive {
        offered.replace_archives(nix).await?;
    }
    // A file saved while Nix was reading belongs to the next evaluation.
    if before != Moment::default() && moment(nix, inputs, &question).await == before {
        if let Some(memo) = &before.memo {
            memo.keep(&offered);
        }
        offered.source = before.source;
    }
    Ok(offered)
}

/// What the flake has answered before, if it is what it was then. Nothing is evaluated.
pub async fn recalled(nix: &Nix, inputs: &Inputs) -> Option<Offered> {
    moment(nix, inputs, &question(inputs)).await.recall(nix)
}

/// One evaluation. If it fails, attributes may be at fault that nobody has named, only
/// looked through for what is cross-compiled: then one more without them tells.
async fn answer(
    nix: &Nix,
    inputs: &Inputs,
    question: &Question,
    mut on_event: impl FnMut(LogEvent) + Send,
) -> Result<(Offers, Option<String>), NixError> {
    let failed = match evaluate(nix, question, &mut on_event).await {
        Ok(offers) => return Ok((offers, None)),
        Err(error) => error,
    };
    let is_evaluation = matches!(*failed.kind, NixErrorKind::Evaluation(_));
    if !is_evaluation || !inputs.cross.is_empty() {
        return Err(failed);
    }
    let without = Question {
        cross: None,
        ..question.clone()
    };
    // What it says itself is no better.
    let Ok(offers) = evaluate(nix, &without, &mut on_event).await else {
        return Err(failed);
    };
    let told = crate::report::told(&failed);
    let reason = told.lines().next().unwrap_or_default();
    let note = format!("attributes for other systems are left out, as one is broken: {reason}");
    Ok((offers, Some(note)))
}

/// Asks the flake and writes nothing, not even derivations. What an archive is made
/// from stands in derivations, so archives stay archives.
///
/// # Errors
/// The flake cannot be evaluated.
pub async fn ask_only(nix: &Nix, inputs: &Inputs) -> Result<Offered, NixError> {
    let mut question = question(inputs);
    let arguments = ["--read-only", "--no-write-lock-file"];
    question.extra_arguments = arguments.map(str::to_owned).to_vec();
    let (offers, note) = answer(nix, inputs, &question, |_| {}).await?;
    Ok(Offered {
        offers,
        instead_of: BTreeMap::new(),
        note,
        source: Source::default(),
    })
}

/// The flake as it is at a moment.
#[derive(Default, PartialEq, Eq)]
struct Moment {
    /// Where its answer would be kept.
    memo: Option<Memo>,
    source: Source,
}

impl Moment {
    /// What the flake answered at a moment like this.
    fn recall(&self, nix: &Nix) -> Option<Offered> {
        let recalled = self.memo.as_ref().and_then(Memo::recall::<Offered>);
        let mut offered = recalled.filter(Offered::is_in_store)?;
        // The fingerprint holds the program: it is the one that answered.
        nix.learn_version(&offered.offers.nix_version);
        offered.source = self.source.clone();
        Some(offered)
    }
}

/// Looks at the flake, if that is of any use.
async fn moment(nix: &Nix, inputs: &Inputs, question: &Question) -> Moment {
    let directory = inputs.memo_dir.as_ref().filter(|_| is_pure(nix));
    if directory.is_none() && !inputs.by_digest {
        return Moment::default();
    }
    let Some(metadata) = metadata(nix, &inputs.flake).await else {
        return Moment::default();
    };
    let memo = directory.and_then(|directory| {
        let asked = (question, inputs.build_archive);
        Some(Memo::of(directory, &metadata.fingerprint(nix)?, &asked))
    });
    Moment {
        memo,
        source: metadata.source(),
    }
}

fn question(inputs: &Inputs) -> Question {
    let candidates = match &inputs.attribute {
        Some(attribute) => vec![attribute.clone()],
        None => CANDIDATES.into_iter().map(AttrPath::name).collect(),
    };
    Question {
        flake: inputs.flake.clone(),
        systems: (!inputs.systems.is_empty()).then(|| inputs.systems.clone()),
        cross: Some((System::host(), cross_names(inputs))),
        candidates,
        extra_arguments: Vec::new(),
    }
}

/// How what is cross-compiled for a system may be called: `image-aarch64`,
/// `image-aarch64-linux`, `image-arm64`.
fn cross_names(inputs: &Inputs) -> Vec<CrossNames> {
    let targets = match inputs.systems.is_empty() {
        true => systems().collect(),
        false => inputs.systems.clone(),
    };
    let foreign = targets.into_iter().filter(|t| *t != System::host());
    let names = foreign.filter_map(|target| {
        let architecture = platform_of(&target)?.architecture;
        let words = [target.cpu(), target.as_str(), &architecture];
        // `arm` is in `arm64` too.
        let telling = [target.cpu(), &architecture].into_iter();
        let telling = telling.filter(|word| word.len() > 3);
        Some(CrossNames {
            named: inputs.cross.get(&target).cloned(),
            suffixes: words.map(|word| format!("-{word}")).into(),
            words: telling.map(str::to_owned).collect(),
            architecture: architecture.clone(),
            target,
        })
    });
    names.collect()
}

impl Offered {
    /// Derivations can be collected as garbage between two runs.
    fn is_in_store(&self) -> bool {
        let mut all = self.all();
        all.all(|offer| offer.drv_path.as_path().exists())
    }

    /// Everything that may come to be built.
    pub fn all(&self) -> impl Iterator<Item = &Offer> {
        let systems = self.offers.systems.values();
        let chosen = systems.filter_map(|system| system.chosen.as_ref());
        chosen.chain(self.offers.cross.values())
    }

    async fn replace_archives(&mut self, nix: &Nix) -> Result<(), NixError> {
        let systems = self.offers.systems.values_mut();
        let chosen = systems.filter_map(|system| system.chosen.as_mut());
        let mut archives: Vec<&mut Offer> = chosen
            .chain(self.offers.cross.values_mut())
            .filter(|offer| form_of(offer) == Form::Archive)
            .collect();
        let derivations: Vec<StorePath> = archives
            .iter()
            .map(|offer| offer.drv_path.clone())
            .collect();
        // Nothing is asked when there is no archive.
        let shown = show_derivations(nix, &derivations).await?;
        let scripts: BTreeMap<StorePath, StorePath> = shown
            .iter()
            .filter_map(|archive| Some((archive.path.clone(), script_of(archive)?.clone())))
            .collect();
        let wanted: Vec<StorePath> = scripts.values().cloned().collect();
        let shown = show_derivations(nix, &wanted).await?;
        for offer in &mut archives {
            let script = scripts.get(&offer.drv_path);
            let found = shown.iter().find(|shown| Some(&shown.path) == script);
            let output = found.and_then(|shown| Some((shown, shown.outputs.get("out")?.clone()?)));
            if let Some((script, output)) = output {
                let archive = std::mem::replace(&mut offer.drv_path, script.path.clone());
                offer.name = script.name.clone();
                offer.output = "out".to_owned();
                offer.out_path = output;
                self.instead_of.insert(script.path.clone(), archive);
            }
        }
        Ok(())
    }
}

/// The script that writes an archive, if the derivation does nothing else with what it
/// writes than to compress it.
fn script_of(archive: &Derivation) -> Option<&StorePath> {
    let name = archive.name.split_once(".tar")?.0;
    let wanted = format!("stream-{name}.drv");
    let inputs = archive.input_drvs.iter().map(|(path, _)| path);
    let mut scripts = inputs.filter(|path| path.name() == wanted);
    let script = scripts.next()?;
    let alone = scripts.next().is_none();
    let command = archive.env.get("buildCommand")?;
    (alone && only_compresses(command, &format!("stream-{name}"))).then_some(script)
}

/// Whether a command is `SCRIPT | COMPRESSOR > $out`, as nixpkgs has written it for
/// every compressor it knows. What is not exactly that may make another image.
fn only_compresses(command: &str, script: &str) -> bool {
    let Some((written, compressed)) = command.trim().split_once(" | ") else {
        return false;
    };
    let Some(compressor) = compressed.strip_suffix(" > $out") else {
        return false;
    };
    let is_script = StorePath::from_str(written).is_ok_and(|path| path.name() == script);
    let mut words = compressor.split(' ');
    let program = words.next().and_then(|word| word.rsplit('/').next());
    let known = matches!(program, Some("pigz" | "gzip" | "zstd" | "xz" | "cat"));
    // `-nTR`, `-p$NIX_BUILD_CORES`: options, and nothing that a shell would act on.
    let plain = |c: char| c.is_ascii_alphanumeric() || "-_$=".contains(c);
    is_script && known && words.all(|word| word.starts_with('-') && word.chars().all(plain))
}

#[cfg(test)]
mod tests {
    use super::only_compresses;

    #[test]
    fn only_what_nixpkgs_writes_counts_as_compressing() {
        let script = "/nix/store/gh97jkznl0c7wajlwq5d3axzp9h53lql-stream-api";
        for compressor in [
            "pigz -nTR",
            "pigz -p$NIX_BUILD_CORES -nTR",
            "cat",
            "/x/bin/zstd -T$N",
        ] {
            let command = format!("{script} | {compressor} > $out\n");
            assert!(only_compresses(&command, "stream-api"), "{command}");
        }
        for command in [
            "cp hardened.tar $out".to_owned(),
            format!("{script} | squash > $out"),
            format!("{script} | pigz -n > $out; scan $out"),
            format!("{script} | pigz $(cat more) > $out"),
            format!("{script} | patch-image | pigz -n > $out"),
            format!("{script} > $out"),
            format!("{script}-other | pigz -n > $out"),
        ] {
            assert!(!only_compresses(&command, "stream-api"), "{command}");
        }
    }
}
