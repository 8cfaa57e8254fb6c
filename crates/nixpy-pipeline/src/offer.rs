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
use nixpy_nix::{AttrPath, Nix, NixError, StorePath};

use crate::inputs::Inputs;
use crate::plan::{CANDIDATES, Form, form_of};

/// The answer of the flake.
pub struct Offered {
    /// What is to be built.
    pub offers: Offers,
    /// By derivation of what is built instead: the archive's own.
    pub instead_of: BTreeMap<StorePath, StorePath>,
}

/// Asks the flake. `arguments` go to `nix eval`.
///
/// # Errors
/// The flake cannot be evaluated.
pub async fn ask(nix: &Nix, inputs: &Inputs, arguments: &[&str]) -> Result<Offered, NixError> {
    let candidates = match &inputs.attribute {
        Some(attribute) => vec![attribute.clone()],
        None => CANDIDATES.into_iter().map(AttrPath::name).collect(),
    };
    let question = Question {
        flake: inputs.flake.clone(),
        systems: (!inputs.systems.is_empty()).then(|| inputs.systems.clone()),
        candidates,
        extra_arguments: arguments.iter().map(ToString::to_string).collect(),
    };
    let offers = evaluate(nix, &question, |_| {}).await?;
    let mut offered = Offered {
        offers,
        instead_of: BTreeMap::new(),
    };
    // A dry run leaves no derivations to look into.
    if !inputs.build_archive && !arguments.contains(&"--read-only") {
        offered.replace_archives(nix).await?;
    }
    Ok(offered)
}

impl Offered {
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
