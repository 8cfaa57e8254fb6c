//! What the flake offers, with the archives it makes replaced by their descriptions.
//!
//! `dockerTools.buildLayeredImage` is `runCommand "NAME.tar.gz"` around the script that
//! `streamLayeredImage` makes, `stream-NAME`, which therefore is among the derivation's
//! inputs. That script's description says everything about the image; so it is built in
//! the archive's place, and the archive, which takes longer to make than all the rest
//! and as much room in the store, never comes to be.

use std::collections::BTreeMap;

use nixpy_nix::derivation::{Derivation, show_derivations};
use nixpy_nix::evaluate::{Offer, Offers, Question, evaluate};
use nixpy_nix::fingerprint::fingerprint;
use nixpy_nix::{AttrPath, Nix, NixError, StorePath};
use serde::{Deserialize, Serialize};

use crate::event::{Event, OnEvent};
use crate::inputs::Inputs;
use crate::memo::Memo;
use crate::plan::{CANDIDATES, Form, form_of};

/// The answer of the flake.
#[derive(Debug, Serialize, Deserialize)]
pub struct Offered {
    /// What is to be built.
    pub offers: Offers,
    /// By derivation of what is built instead: the archive's own.
    pub instead_of: BTreeMap<StorePath, StorePath>,
}

/// Asks the flake, unless it has answered before and is what it was then.
///
/// # Errors
/// The flake cannot be evaluated.
pub async fn ask(nix: &Nix, inputs: &Inputs, on_event: &OnEvent<'_>) -> Result<Offered, NixError> {
    let question = question(inputs);
    let memo = match &inputs.memo_dir {
        Some(directory) => {
            let fingerprint = fingerprint(nix, &inputs.flake).await;
            let asked = (&question, inputs.build_archive);
            fingerprint.map(|fingerprint| Memo::of(directory, &fingerprint, &asked))
        }
        None => None,
    };
    if let Some(offered) = memo.as_ref().and_then(Memo::recall::<Offered>)
        && offered.is_in_store()
    {
        // The fingerprint holds the program: it is the one that answered.
        nix.learn_version(&offered.offers.nix_version);
        return Ok(offered);
    }
    let mut offered = Offered {
        offers: evaluate(nix, &question, |event| on_event(Event::Nix(&event))).await?,
        instead_of: BTreeMap::new(),
    };
    if !inputs.build_archive {
        offered.replace_archives(nix).await?;
    }
    if let Some(memo) = memo {
        memo.keep(&offered);
    }
    Ok(offered)
}

/// Asks the flake and writes nothing, not even derivations. What an archive is made
/// from stands in derivations, so archives stay archives.
///
/// # Errors
/// The flake cannot be evaluated.
pub async fn ask_only(nix: &Nix, inputs: &Inputs) -> Result<Offered, NixError> {
    let mut question = question(inputs);
    question.extra_arguments.push("--read-only".to_owned());
    Ok(Offered {
        offers: evaluate(nix, &question, |_| {}).await?,
        instead_of: BTreeMap::new(),
    })
}

fn question(inputs: &Inputs) -> Question {
    let candidates = match &inputs.attribute {
        Some(attribute) => vec![attribute.clone()],
        None => CANDIDATES.into_iter().map(AttrPath::name).collect(),
    };
    Question {
        flake: inputs.flake.clone(),
        systems: (!inputs.systems.is_empty()).then(|| inputs.systems.clone()),
        candidates,
        extra_arguments: Vec::new(),
    }
}

impl Offered {
    /// Derivations can be collected as garbage between two runs.
    fn is_in_store(&self) -> bool {
        let mut chosen = self
            .offers
            .systems
            .values()
            .filter_map(|system| system.chosen.as_ref());
        chosen.all(|offer| offer.drv_path.as_path().exists())
    }

    async fn replace_archives(&mut self, nix: &Nix) -> Result<(), NixError> {
        let chosen = self
            .offers
            .systems
            .values_mut()
            .filter_map(|system| system.chosen.as_mut());
        let mut archives: Vec<&mut Offer> = chosen
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
            .filter_map(|archive| Some((archive.path.clone(), script_of(archive)?)))
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

/// `stream-NAME` for an archive called `NAME.tar` or `NAME.tar.*`. Anything else may
/// do something with what the script writes.
fn script_of(archive: &Derivation) -> Option<StorePath> {
    let (name, suffix) = archive.name.split_once(".tar")?;
    if !matches!(suffix, "" | ".gz" | ".zst" | ".xz") {
        return None;
    }
    let wanted = format!("stream-{name}.drv");
    let inputs = archive.input_drvs.iter();
    let mut scripts = inputs
        .map(|(path, _)| path)
        .filter(|path| path.name() == wanted);
    scripts.next().cloned()
}
