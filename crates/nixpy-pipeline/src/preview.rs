//! What a run would do, without doing it: the plan, and as far as the outputs are known
//! already, the layers of their images and what would be sent again after a change.
//!
//! Nothing is built, fetched or written. Outputs that are here, or that binary caches
//! know of, can be described; of others only the plan is told.

use nixpy_nix::machine::Environment;
use nixpy_nix::{Nix, StorePath, System};
use nixpy_oci::image::{Body, Image};
use nixpy_oci::platform::Platform;
use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::described::{Described, describe};
use crate::image::layering::{Partition, Resent, resent};
use crate::image::{Closure, Files, paths_of};
use crate::inputs::Inputs;
use crate::lockfile::LockFile;
use crate::look::{For, Sight, look};
use crate::matrix::{Matrix, Runners, matrix};
use crate::offer::ask_only;
use crate::plan::{Job, Plan, plan};
use crate::publish::Places;
use crate::run::{RunError, closure, images, rehearsal};

/// What a run would do. Written as the plan's versioned JSON, with more in it.
#[derive(Debug, Serialize, Deserialize, PartialEq)]
#[serde(rename_all = "camelCase")]
pub struct Preview {
    /// What was decided.
    #[serde(flatten)]
    pub plan: Plan,
    /// One for each job, as far as the outputs are known; else none at all.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub images: Vec<PlannedImage>,
}

/// One platform's image, before it is made.
#[derive(Debug, Serialize, Deserialize, PartialEq)]
#[serde(rename_all = "camelCase")]
pub struct PlannedImage {
    /// What it runs on.
    pub platform: Platform,
    /// What Nix calls that.
    pub system: System,
    /// From the bottom up; none for an archive, which has to be read for it.
    pub layers: Vec<PlannedLayer>,
    /// What would be sent again after a change, as far as it can be said.
    pub resent: Vec<Resent>,
}

/// A layer, before it is made.
#[derive(Debug, Serialize, Deserialize, PartialEq)]
#[serde(rename_all = "camelCase")]
pub struct PlannedLayer {
    /// What is in it.
    pub paths: Vec<String>,
    /// For people, where it holds no store path.
    pub comment: String,
    /// In bytes, not compressed, as Nix counts them.
    pub nar_size: u64,
    /// Whether it was published before: it would be neither made nor sent.
    pub published: bool,
}

/// Decides, and touches nothing: not even derivations are written to the store.
///
/// # Errors
/// The flake cannot be evaluated, or lacks something.
pub async fn preview(
    nix: &Nix,
    inputs: &Inputs,
    environment: &Environment,
    whose_plan: For,
) -> Result<Preview, RunError> {
    preview_by(&Sight::new(nix, environment), nix, inputs, whose_plan).await
}

async fn preview_by(
    sight: &Sight<'_>,
    nix: &Nix,
    inputs: &Inputs,
    whose_plan: For,
) -> Result<Preview, RunError> {
    // Who plans has mostly something to ask this machine; it answers before the flake does.
    let (offered, _) = tokio::join!(ask_only(nix, inputs), sight.abilities_meanwhile());
    let offered = offered?;
    let seen = look(sight, inputs, &offered, whose_plan).await?;
    let mut plan = plan(inputs, &offered, &seen.host).map_err(RunError::Plan)?;
    plan.notes.extend(inputs.caches.ready.notes.iter().cloned());
    plan.notes.extend(inputs.notes.iter().cloned());
    plan.notes.extend(inputs.rehearse.then(rehearsal));
    if whose_plan == For::ThisMachine
        && let Err(problems) = plan.clone().leave_to_others(inputs)
    {
        let told = problems.iter().map(ToString::to_string);
        let told = told.filter_map(|text| Some(text.lines().next()?.to_owned()));
        let notes = told.map(|text| format!("a run would end before it builds anything: {text}"));
        plan.notes.extend(notes);
    }
    Ok(Preview {
        plan,
        images: Vec::new(),
    })
}

/// The same with the layers of each image.
///
/// # Errors
/// As [`preview`]. What cannot be said of the images stands in the plan's notes.
pub async fn preview_layers(
    nix: &Nix,
    inputs: &Inputs,
    environment: &Environment,
) -> Result<Preview, RunError> {
    let sight = Sight::new(nix, environment);
    let mut preview = preview_by(&sight, nix, inputs, For::ThisMachine).await?;
    let here = match preview.plan.is_here() {
        true => closure(nix, &preview.plan).await.ok(),
        false => None,
    };
    let known = match here {
        Some(closure) => Some(Described {
            closure,
            files: Files::OnDisk,
        }),
        None => describe(nix, &sight.caches().await, &preview.plan).await,
    };
    let Some(known) = known else {
        let note = "the layers are known when the outputs are built, or in a binary cache";
        preview.plan.notes.push(note.to_owned());
        return Ok(preview);
    };
    let (lock, note) = LockFile::of_project(&inputs.flake);
    preview.plan.notes.extend(note);
    let platforms = preview.plan.platforms();
    let mut places = match Places::look(inputs, &platforms).await {
        Ok(places) => places,
        Err(error) => {
            let told = crate::report::told(&error);
            preview
                .plan
                .notes
                .push(format!("what is published is not known: {told}"));
            Places::nowhere(inputs)
        }
    };
    let Described { closure, files } = &known;
    let made = images(
        &preview.plan,
        inputs,
        closure,
        files,
        lock.as_ref(),
        &mut places,
    )
    .await?;
    for (job, made) in preview.plan.jobs.iter().zip(&made) {
        let published = places.published(&made.image).await.unwrap_or_default();
        let layers = planned(&made.image, &published);
        preview.images.push(PlannedImage {
            platform: job.platform.clone(),
            system: job.system.clone(),
            resent: resent_of(job, &made.image, closure, lock.as_ref()),
            layers,
        });
    }
    Ok(preview)
}

/// The legs of a matrix over which the work can be spread.
///
/// # Errors
/// As [`preview`].
pub async fn preview_matrix(
    nix: &Nix,
    inputs: &Inputs,
    environment: &Environment,
    runners: &Runners,
) -> Result<Matrix, RunError> {
    let preview = preview(nix, inputs, environment, For::AnyMachine).await?;
    Ok(matrix(&preview.plan, runners))
}

/// What a cache states of sizes may be anything.
fn total(sizes: impl Iterator<Item = u64>) -> u64 {
    sizes.fold(0, u64::saturating_add)
}

fn planned(image: &Image, published: &[bool]) -> Vec<PlannedLayer> {
    let Body::Layers { layers, .. } = &image.body else {
        return Vec::new();
    };
    let layers = layers.iter().enumerate().map(|(n, layer)| PlannedLayer {
        paths: layer
            .contents
            .iter()
            .map(|path| path.name.clone())
            .collect(),
        comment: layer.comment.clone(),
        nar_size: total(layer.contents.iter().map(|path| path.size)),
        published: published.get(n).copied().unwrap_or(false),
    });
    layers.collect()
}

fn resent_of(job: &Job, image: &Image, closure: &Closure, lock: Option<&LockFile>) -> Vec<Resent> {
    let Body::Layers { layers, config, .. } = &image.body else {
        return Vec::new();
    };
    let config: Value = serde_json::from_slice(&config.finish(&[])).unwrap_or_default();
    let store_dir = job.output.store_dir();
    let paths = layers
        .iter()
        .map(|layer| paths_of(&layer.contents, store_dir));
    let paths: Vec<Vec<StorePath>> = paths.filter(|paths| !paths.is_empty()).collect();
    // A description is no part of its image: what it starts is the app.
    let app = match paths.iter().flatten().any(|path| *path == job.output) {
        true => Some(job.output.clone()),
        false => started(&config["config"]),
    };
    let app = app.or_else(|| paths.last()?.last().cloned());
    let told = app.and_then(|app| {
        let partition = Partition::given(&paths, &app, closure, lock).ok()?;
        resent(&partition, &app, closure, lock).ok()
    });
    told.unwrap_or_default()
}

/// The store path of the program that a container starts.
fn started(config: &Value) -> Option<StorePath> {
    let words = ["Entrypoint", "Cmd"]
        .iter()
        .filter_map(|key| config.get(key));
    let words = words.filter_map(Value::as_array).flatten();
    let mut paths = words.filter_map(|word| StorePath::split(word.as_str()?));
    paths.next().map(|(path, _)| path)
}
