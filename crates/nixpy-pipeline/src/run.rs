//! The stages of a run, one after the other.

mod publishing;
mod trying;

use std::collections::BTreeMap;
use std::time::Instant;

use nixpy_cache::queue::Filled;
use nixpy_nix::builders::BuildersError;
use nixpy_nix::machine::Environment;
use nixpy_nix::path_info::path_info;
use nixpy_nix::{Nix, NixError, NixErrorKind, StorePath};
use nixpy_oci::destination::DestinationError;
use nixpy_oci::image::Image;
use nixpy_oci::publish::PublishError;

use crate::build::build;
use crate::caching::{Begun, Caching};
use crate::described::describe;
use crate::event::{Event, OnEvent, Stage};
use crate::findings::{Collector, Project, evaluation};
use crate::image::{Closure, Files, ImageError, Known, Made, image};
use crate::inputs::{Inputs, Target};
use crate::join::NotThere;
use crate::lockfile::LockFile;
use crate::look::{Asked, For, Seen, Sight, look};
use crate::offer::{Offered, ask};
use crate::plan::{Form, Host, Plan, PlanError, plan};
use crate::publish::{Loadable, Places};
use crate::report::{Outcome, Report, told as in_words};
use crate::result::RunResult;
use crate::smoke::Gate;
use crate::timeline::Recorder;

/// A run that came to no report.
#[derive(Debug, thiserror::Error)]
pub enum RunError {
    /// Nix could not answer.
    #[error(transparent)]
    Nix(#[from] NixError),
    /// Builders cannot be used at all.
    #[error(transparent)]
    Builders(#[from] BuildersError),
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
    /// A run by digest would leave a result that says of nothing what it is.
    #[error(
        "which tree {0} is cannot be told, so its images could not be joined with those of other runs: it was \
         changed while it was evaluated, or Nix has no hash for it; run again"
    )]
    Unidentified(String),
    /// What was to be joined is not where it was published.
    #[error("{}", .0.iter().map(ToString::to_string).collect::<Vec<_>>().join("\n"))]
    NotThere(Vec<NotThere>),
    /// Caches that are required lack what was to be pushed.
    #[error("{}", .0.iter().map(lacking).collect::<Vec<_>>().join("\n"))]
    Caches(Vec<Filled>),
}

fn lacking(filled: &Filled) -> String {
    let lacks = match filled.failed + filled.left {
        0 => "was not filled to the end".to_owned(),
        1 => "lacks 1 path".to_owned(),
        more => format!("lacks {more} paths"),
    };
    let why = filled.problems.first().map(|problem| match &problem.cure {
        Some(cure) => format!(": {}; {cure}", problem.what),
        None => format!(": {}", problem.what),
    });
    let (cache, why) = (&filled.cache, why.unwrap_or_default());
    format!("the cache {cache} is required and {lacks}{why}")
}

/// What a run leaves behind.
pub struct Finished {
    /// The facts.
    pub report: Report,
    /// The image of this machine's platform, if it is to be loaded.
    pub loadable: Option<Loadable>,
    /// What a run by digest leaves for [`crate::join`], if everything succeeded.
    pub result: Option<RunResult>,
    /// Why the run ended early, if it was not for a build; the report tells it in words.
    pub error: Option<RunError>,
}

/// From a flake to a tag. From the plan on, whatever happens is in the report. The gate is
/// asked if the inputs want a smoke test.
///
/// # Errors
/// There is no plan: the flake cannot be evaluated, or lacks something.
pub async fn run(
    nix: &Nix,
    inputs: &Inputs,
    environment: &Environment,
    gate: &dyn Gate,
    on_event: &OnEvent<'_>,
) -> Result<Finished, RunError> {
    let begun = Instant::now();
    let building = Begun::of(inputs);
    let (recorder, collector) = (Recorder::from(begun), Collector::default());
    let told = |event: Event<'_>| {
        recorder.hear(&event);
        collector.hear(&event);
        on_event(event);
    };
    let heard = |event: Event<'_>| {
        building.hear(&event);
        told(event);
    };
    told(Event::Started(Stage::Evaluate));
    let offered = ask(nix, inputs, &heard).await?;
    let sight = Sight::new(nix, environment);
    let Seen { host, asked } = look(&sight, inputs, &offered, For::ThisMachine).await?;
    let mut plan = plan(inputs, &offered, &host).map_err(RunError::Plan)?;
    plan.leave_to_others(inputs).map_err(RunError::Plan)?;
    if inputs.by_digest && !offered.source.is_known() {
        return Err(RunError::Unidentified(inputs.flake.to_string()));
    }
    let (lock, note) = LockFile::of_project(&inputs.flake);
    plan.notes.extend(note);
    plan.notes.extend(inputs.caches.ready.notes.iter().cloned());
    plan.notes.extend(inputs.notes.iter().cloned());
    plan.notes.extend(inputs.rehearse.then(rehearsal));
    told(Event::Finished(Stage::Evaluate));
    told(Event::Planned(&plan));
    let caching = Caching::of(nix, inputs, &plan, &building, &told);
    let mut work = Work {
        nix,
        inputs,
        sight: &sight,
        host: &host,
        asked: asked.as_ref(),
        gate,
        plan: &plan,
        offered: &offered,
        lock,
        on_event: &heard,
        caching: &caching,
        report: Report::of(&plan),
        loadable: None,
        result: None,
        machines: BTreeMap::new(),
    };
    work.report.rehearsed = inputs.rehearse;
    work.report.timings.evaluate = begun.elapsed().as_secs_f64();
    let working = async {
        let ended = work.carry_out().await;
        caching.over();
        (ended.err(), Instant::now())
    };
    let ((mut error, over), caches) = tokio::join!(working, caching.carry_out());
    let mut report = work.report;
    let missed = caching.missed(&caches);
    if error.is_none() && report.outcome == Outcome::Success && !missed.is_empty() {
        error = Some(RunError::Caches(missed));
    }
    if !caches.is_empty() {
        report.timings.cache = over.elapsed().as_secs_f64();
    }
    report.caches = caches;
    if let Some(error) = &error {
        report.outcome = Outcome::Failure;
        report.error = Some(in_words(error));
    }
    (report.timeline, report.counts) = recorder.ended();
    let (loadable, result) = (work.loadable, work.result);
    report.findings = collector.findings(Project::of(&inputs.flake).as_ref());
    report.timings.total = begun.elapsed().as_secs_f64();
    let mut result = result.filter(|_| error.is_none());
    if let Some(result) = &mut result {
        result.counts = report.counts;
    }
    Ok(Finished {
        report,
        loadable,
        result,
        error,
    })
}

/// What can be told of a run that came to no plan: the error, and where it is in the project.
pub fn unplanned(inputs: &Inputs, error: &RunError) -> Report {
    let destinations: Vec<String> = inputs.targets.iter().map(Target::name).collect();
    let mut report = Report::failed(inputs.flake.as_str(), &destinations, &in_words(error));
    if let RunError::Nix(error) = error {
        let project = Project::of(&inputs.flake);
        let finding = evaluation::of_error(error, project.as_ref());
        report.findings.extend(finding);
    }
    report
}

/// A run that has a plan, and how far it has come.
struct Work<'a> {
    nix: &'a Nix,
    inputs: &'a Inputs,
    sight: &'a Sight<'a>,
    host: &'a Host,
    asked: Option<&'a Asked>,
    gate: &'a dyn Gate,
    plan: &'a Plan,
    offered: &'a Offered,
    lock: Option<LockFile>,
    on_event: &'a OnEvent<'a>,
    caching: &'a Caching<'a>,
    report: Report,
    loadable: Option<Loadable>,
    result: Option<RunResult>,
    /// Where outputs were built, if not here.
    machines: BTreeMap<StorePath, String>,
}

impl Work<'_> {
    async fn carry_out(&mut self) -> Result<(), RunError> {
        // A place that cannot be used, or does not let us in, is told before hours of
        // work. A layout that nothing comes to takes itself back.
        let mut places = Places::open(self.inputs, &self.plan.platforms()).await?;

        (self.on_event)(Event::Started(Stage::Build));
        if self.publish_what_is_told(&mut places).await? {
            return Ok(());
        }
        let begun = Instant::now();
        let closure = self.closure_or_build(&places).await;
        self.report.timings.build += begun.elapsed().as_secs_f64();
        let Some(closure) = closure? else {
            self.report.outcome = Outcome::Failure;
            return Ok(());
        };
        (self.on_event)(Event::Finished(Stage::Build));
        let made = self.images(&closure, &Files::OnDisk, &mut places).await?;
        self.publish(&made, &mut places, true).await
    }

    /// Publishes images whose paths are not here, if all their layers were published
    /// before and caches tell the rest.
    async fn publish_what_is_told(&mut self, places: &mut Places) -> Result<bool, RunError> {
        // What was never published cannot be known, and `--load` takes all the bytes.
        if self.inputs.load.is_some() || places.are_new() || self.plan.is_here() {
            return Ok(false);
        }
        let begun = Instant::now();
        let told = describe(self.nix, &self.sight.caches().await, self.plan).await;
        self.report.timings.build = begun.elapsed().as_secs_f64();
        let Some(told) = told else {
            return Ok(false);
        };
        // What cannot be read from this little is told of the outputs themselves.
        let Ok(made) = self.images(&told.closure, &told.files, places).await else {
            return Ok(false);
        };
        if !places.know(&just_images(&made)).await? {
            return Ok(false);
        }
        (self.on_event)(Event::Finished(Stage::Build));
        // Some of the paths may be here, half fetched: nothing is made of them.
        match self.publish(&made, places, false).await {
            // The registry has lost a layer meanwhile, or there is something new to be tried
            // out: it has to be made.
            Err(RunError::Publish(PublishError::WouldMake)) => Ok(false),
            published => {
                published?;
                self.report.from_metadata = true;
                Ok(true)
            }
        }
    }

    /// Everything the outputs refer to; `None` when a build has failed.
    async fn closure_or_build(&mut self, places: &Places) -> Result<Option<Closure>, RunError> {
        // Often everything is there: from a run before, or from another job. To be told
        // so costs less than a `nix build` that finds nothing to do.
        match closure(self.nix, self.plan).await {
            Err(error) if matches!(*error.kind, NixErrorKind::InvalidPaths(_)) => {}
            known => {
                let known = known?;
                self.caching.built();
                return Ok(Some(known));
            }
        }
        places.may_push().await?;
        let again = match self.plan.trusts_the_disk() {
            true => Some(self.plan_again().await?),
            false => None,
        };
        let (plan, host, asked) = match &again {
            Some((plan, seen)) => (plan, &seen.host, seen.asked.as_ref()),
            None => (self.plan, self.host, self.asked),
        };
        self.caching.building();
        let built = build(self.nix, self.inputs, plan, host, asked, self.on_event).await;
        self.caching.built();
        let built = built?;
        self.report.failures = built.failures;
        self.report.troubles = built.troubles;
        self.machines = built.machines;
        if !self.report.failures.is_empty() {
            return Ok(None);
        }
        Ok(Some(closure(self.nix, self.plan).await?))
    }

    /// The plan where what lies in the places of outputs is none of Nix's.
    async fn plan_again(&self) -> Result<(Plan, Seen), RunError> {
        let seen = look(self.sight, self.inputs, self.offered, For::ThisMachineAnew).await?;
        let mut plan = plan(self.inputs, self.offered, &seen.host).map_err(RunError::Plan)?;
        plan.leave_to_others(self.inputs).map_err(RunError::Plan)?;
        Ok((plan, seen))
    }

    async fn images(
        &self,
        closure: &Closure,
        files: &Files,
        places: &mut Places,
    ) -> Result<Vec<Made>, RunError> {
        let lock = self.lock.as_ref();
        images(self.plan, self.inputs, closure, files, lock, places).await
    }
}

/// Makes the images of all jobs.
pub(crate) async fn images(
    plan: &Plan,
    inputs: &Inputs,
    closure: &Closure,
    files: &Files,
    lock: Option<&LockFile>,
    places: &mut Places,
) -> Result<Vec<Made>, RunError> {
    let mut made = Vec::new();
    for job in &plan.jobs {
        // Whoever describes an image has chosen its layers.
        let previous = match job.form {
            Form::Closure => places.partition(job).await?,
            _ => None,
        };
        let known = Known {
            closure,
            files,
            previous: previous.as_deref(),
            lock,
        };
        made.push(image(job, &known, inputs).await?);
    }
    Ok(made)
}

/// What people have to know of a run that keeps nothing.
pub(crate) fn rehearsal() -> String {
    "nothing is pushed and no tag moves: this is a rehearsal (see --push)".to_owned()
}

fn just_images(made: &[Made]) -> Vec<Image> {
    made.iter().map(|made| made.image.clone()).collect()
}

/// Everything the outputs refer to, with NAR hashes: what layers are known by.
pub(crate) async fn closure(nix: &Nix, plan: &Plan) -> Result<Closure, NixError> {
    let outputs: Vec<StorePath> = plan.jobs.iter().map(|job| job.output.clone()).collect();
    let infos = path_info(nix, &outputs, true).await?;
    Ok(infos
        .into_iter()
        .map(|info| (info.path.clone(), info))
        .collect())
}
