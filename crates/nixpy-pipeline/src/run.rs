//! The stages of a run, one after the other.

use std::time::Instant;

use futures_util::future::try_join_all;
use nixpy_nix::path_info::path_info;
use nixpy_nix::{Nix, NixError, NixErrorKind, StorePath};
use nixpy_oci::destination::DestinationError;
use nixpy_oci::image::{Image, Pushed};
use nixpy_oci::publish::PublishError;

use crate::build::build;
use crate::event::{Event, OnEvent, Stage};
use crate::image::{Closure, ImageError, Made, image};
use crate::inputs::Inputs;
use crate::offer::{ask, ask_only};
use crate::plan::{Host, Plan, PlanError, plan};
use crate::publish::{Loadable, Place, loadable};
use crate::report::{Outcome, PlatformReport, Report, told};

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
    /// Why the run ended early, if it was not for a build; the report tells it in words.
    pub error: Option<RunError>,
}

/// What a run would do. Not even derivations are written to the store.
///
/// # Errors
/// The flake cannot be evaluated, or lacks something.
pub async fn preview(nix: &Nix, inputs: &Inputs, host: &Host) -> Result<Plan, RunError> {
    let offered = ask_only(nix, inputs).await?;
    plan(inputs, &offered, host).map_err(RunError::Plan)
}

/// From a flake to a tag. From the plan on, whatever happens is in the report.
///
/// # Errors
/// There is no plan: the flake cannot be evaluated, or lacks something.
pub async fn run(
    nix: &Nix,
    inputs: &Inputs,
    host: &Host,
    on_event: &OnEvent<'_>,
) -> Result<Finished, RunError> {
    let begun = Instant::now();
    let plan = decide(nix, inputs, host, on_event).await?;
    let mut finished = Finished {
        report: Report::of(&plan),
        loadable: None,
        error: None,
    };
    finished.report.timings.evaluate = begun.elapsed().as_secs_f64();
    if let Err(error) = carry_out(nix, inputs, host, &plan, &mut finished, on_event).await {
        finished.report.outcome = Outcome::Failure;
        finished.report.error = Some(told(&error));
        finished.error = Some(error);
    }
    finished.report.timings.total = begun.elapsed().as_secs_f64();
    Ok(finished)
}

/// Builds, publishes and tags, and notes in `finished` how far it came.
async fn carry_out(
    nix: &Nix,
    inputs: &Inputs,
    host: &Host,
    plan: &Plan,
    finished: &mut Finished,
    on_event: &OnEvent<'_>,
) -> Result<(), RunError> {
    // A place that cannot be used, or does not let us in, is told before hours of
    // work. A layout that nothing comes to takes itself back.
    let platforms: Vec<_> = plan.jobs.iter().map(|job| job.platform.clone()).collect();
    let place = Place::open(inputs, &platforms).await?;
    let report = &mut finished.report;
    report.destination = place.destination.to_string();

    on_event(Event::Started(Stage::Build));
    let begun = Instant::now();
    // Often everything is there: from a run before, or from another job. To be told
    // so costs less than a `nix build` that finds nothing to do.
    let closure = match closure(nix, plan).await {
        Err(error) if matches!(*error.kind, NixErrorKind::InvalidPaths(_)) => {
            report.failures = build(nix, inputs, plan, on_event).await?.failures;
            if !report.failures.is_empty() {
                report.outcome = Outcome::Failure;
                report.timings.build = begun.elapsed().as_secs_f64();
                return Ok(());
            }
            self::closure(nix, plan).await?
        }
        known => known?,
    };
    report.timings.build = begun.elapsed().as_secs_f64();
    on_event(Event::Finished(Stage::Build));

    on_event(Event::Started(Stage::Publish));
    let begun = Instant::now();
    let put = put(inputs, host, plan, &closure, &place, finished, on_event).await;
    finished.report.timings.publish = begun.elapsed().as_secs_f64();
    put?;
    on_event(Event::Finished(Stage::Publish));
    Ok(())
}

async fn decide(
    nix: &Nix,
    inputs: &Inputs,
    host: &Host,
    on_event: &OnEvent<'_>,
) -> Result<Plan, RunError> {
    on_event(Event::Started(Stage::Evaluate));
    let offered = ask(nix, inputs, on_event).await?;
    let plan = plan(inputs, &offered, host).map_err(RunError::Plan)?;
    on_event(Event::Finished(Stage::Evaluate));
    on_event(Event::Planned(&plan));
    Ok(plan)
}

/// Images, then the index, then the tags.
async fn put(
    inputs: &Inputs,
    host: &Host,
    plan: &Plan,
    closure: &Closure,
    place: &Place,
    finished: &mut Finished,
    on_event: &OnEvent<'_>,
) -> Result<(), RunError> {
    let made = plan.jobs.iter().map(|job| image(job, closure, inputs));
    let made: Vec<Made> = try_join_all(made).await?;
    let images: Vec<Image> = made.iter().map(|made| made.image.clone()).collect();
    let pushed = place.publish(&images, inputs, on_event).await?;
    let report = &mut finished.report;
    report.platforms = platforms_of(plan, &made, &pushed);
    for platform in &report.platforms {
        on_event(Event::Published(platform));
    }

    let references = &mut report.references;
    let index = place.tag(&pushed, inputs, |reference| {
        on_event(Event::Tagged(&reference));
        references.push(reference);
    });
    report.index = Some(index.await?);
    if let Some(n) = own(inputs, host, plan) {
        let loadable = loadable(&images[n], &pushed[n], place, inputs).await?;
        finished.loadable = Some(loadable);
    }
    Ok(())
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
