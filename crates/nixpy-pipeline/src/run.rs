//! The stages of a run, one after the other.

use std::time::{Duration, Instant};

use nixpy_nix::evaluate::{Offers, Question, evaluate};
use nixpy_nix::path_info::path_info;
use nixpy_nix::{AttrPath, Nix, NixError, StorePath};
use nixpy_oci::destination::{Destination, DestinationError};
use nixpy_oci::image::{Image, Pushed};
use nixpy_oci::publish::PublishError;

use crate::build::{Built, build};
use crate::event::{Event, OnEvent, Stage};
use crate::image::{Closure, ImageError, Made, image};
use crate::inputs::Inputs;
use crate::plan::{CANDIDATES, Host, Plan, PlanError, plan};
use crate::publish::{self, Loadable};
use crate::report::{Outcome, PlatformReport, Report, Timings};

/// A run that came to no report.
#[derive(Debug, thiserror::Error)]
pub enum RunError {
    /// Nix could not answer.
    #[error(transparent)]
    Nix(#[from] NixError),
    /// The flake does not offer what is wanted; every lack is named.
    #[error("{}", .0.iter().map(ToString::to_string).collect::<Vec<_>>().join("\n"))]
    Plan(Vec<PlanError>),
    /// What was built cannot become an image.
    #[error(transparent)]
    Image(#[from] ImageError),
    /// The destination cannot be read or written.
    #[error(transparent)]
    Destination(#[from] DestinationError),
    /// An image could not be made or sent.
    #[error(transparent)]
    Publish(#[from] PublishError),
}

/// What a run leaves behind.
pub struct Finished {
    /// The facts.
    pub report: Report,
    /// The image of this machine's platform, if it is to be loaded.
    pub loadable: Option<Loadable>,
}

/// What a run would do. Not even derivations are written to the store.
///
/// # Errors
/// The flake cannot be evaluated, or lacks something.
pub async fn preview(nix: &Nix, inputs: &Inputs, host: &Host) -> Result<Plan, RunError> {
    let offers = ask(nix, inputs, &["--read-only"]).await?;
    plan(inputs, &offers, host).map_err(RunError::Plan)
}

/// From a flake to a tag.
///
/// # Errors
/// [`RunError`]; no tag has moved then. Builds that fail are in the report.
pub async fn run(
    nix: &Nix,
    inputs: &Inputs,
    host: &Host,
    on_event: &OnEvent<'_>,
) -> Result<Finished, RunError> {
    let begun = Instant::now();
    let plan = decide(nix, inputs, host, on_event).await?;
    let evaluated = begun.elapsed();
    // A place that cannot be used is told before hours of work. A layout that
    // nothing comes to takes itself back.
    let destination = publish::open(&inputs.target)?;

    on_event(Event::Started(Stage::Build));
    let built = build(nix, inputs, &plan, on_event).await?;
    let mut timings = Timings {
        evaluate: seconds(evaluated),
        build: seconds(begun.elapsed() - evaluated),
        ..Timings::default()
    };
    if !built.failures.is_empty() {
        timings.total = seconds(begun.elapsed());
        return Ok(failed(&plan, built, timings));
    }
    on_event(Event::Finished(Stage::Build));

    on_event(Event::Started(Stage::Publish));
    let publishing = Instant::now();
    let mut finished = put(nix, inputs, host, &plan, &destination, on_event).await?;
    on_event(Event::Finished(Stage::Publish));
    timings.publish = seconds(publishing.elapsed());
    timings.total = seconds(begun.elapsed());
    finished.report.timings = timings;
    Ok(finished)
}

async fn decide(
    nix: &Nix,
    inputs: &Inputs,
    host: &Host,
    on_event: &OnEvent<'_>,
) -> Result<Plan, RunError> {
    on_event(Event::Started(Stage::Evaluate));
    let offers = ask(nix, inputs, &[]).await?;
    let plan = plan(inputs, &offers, host).map_err(RunError::Plan)?;
    on_event(Event::Finished(Stage::Evaluate));
    on_event(Event::Planned(&plan));
    Ok(plan)
}

async fn ask(nix: &Nix, inputs: &Inputs, arguments: &[&str]) -> Result<Offers, NixError> {
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
    evaluate(nix, &question, |_| {}).await
}

/// Images, then the index, then the tags.
async fn put(
    nix: &Nix,
    inputs: &Inputs,
    host: &Host,
    plan: &Plan,
    destination: &Destination,
    on_event: &OnEvent<'_>,
) -> Result<Finished, RunError> {
    let platforms: Vec<_> = plan.jobs.iter().map(|job| job.platform.clone()).collect();
    let (closure, prior) = tokio::join!(
        closure(nix, plan),
        publish::prior(inputs, destination, &platforms)
    );
    let (closure, prior) = (closure?, prior?);

    let made = plan
        .jobs
        .iter()
        .map(|job| image(job, &closure, &inputs.image, inputs.max_layers))
        .collect::<Result<Vec<Made>, _>>()?;
    let images: Vec<Image> = made.iter().map(|made| made.image.clone()).collect();
    let pushed = publish::publish(&images, destination, &prior, inputs, on_event).await?;
    let platforms = platforms_of(plan, &made, &pushed);
    for platform in &platforms {
        on_event(Event::Published(platform));
    }

    let (index, references) = publish::tag(&pushed, destination, &prior, inputs).await?;
    for reference in &references {
        on_event(Event::Tagged(reference));
    }
    let loadable = match own(inputs, host, plan) {
        Some(n) => Some(publish::loadable(&images[n], &pushed[n], destination, inputs).await?),
        None => None,
    };
    Ok(Finished {
        loadable,
        report: Report {
            version: 1,
            outcome: Outcome::Success,
            flake: plan.flake.clone(),
            destination: destination.to_string(),
            references,
            index: Some(index),
            platforms,
            failures: Vec::new(),
            loaded: None,
            timings: Timings::default(),
        },
    })
}

/// Everything the outputs refer to, with NAR hashes: what layers are known by.
async fn closure(nix: &Nix, plan: &Plan) -> Result<Closure, NixError> {
    let outputs: Vec<StorePath> = plan.jobs.iter().map(|job| job.output.clone()).collect();
    let infos = path_info(nix, &outputs, true).await?;
    Ok(infos
        .into_iter()
        .map(|info| (info.path.clone(), info))
        .collect())
}

/// The job whose image is to be loaded here.
fn own(inputs: &Inputs, host: &Host, plan: &Plan) -> Option<usize> {
    inputs.load?;
    plan.jobs.iter().position(|job| job.system == host.system)
}

fn platforms_of(plan: &Plan, made: &[Made], pushed: &[Pushed]) -> Vec<PlatformReport> {
    let each = plan.jobs.iter().zip(made).zip(pushed);
    each.map(|((job, made), pushed)| PlatformReport {
        platform: job.platform.clone(),
        system: job.system.clone(),
        name: job.name.clone(),
        attribute: job.attribute.clone(),
        form: made.form,
        strategy: job.strategy,
        derivation: job.derivation.clone(),
        output: job.output.clone(),
        digest: pushed.manifest.digest,
        image_id: pushed.image_id,
        compressed_size: pushed.compressed_size(),
        sent_size: pushed.sent_size(),
        layers: pushed.layers.clone(),
    })
    .collect()
}

fn failed(plan: &Plan, built: Built, timings: Timings) -> Finished {
    Finished {
        loadable: None,
        report: Report {
            version: 1,
            outcome: Outcome::Failure,
            flake: plan.flake.clone(),
            destination: plan.destination.clone(),
            references: Vec::new(),
            index: None,
            platforms: Vec::new(),
            failures: built.failures,
            loaded: None,
            timings,
        },
    }
}

fn seconds(duration: Duration) -> f64 {
    duration.as_secs_f64()
}
