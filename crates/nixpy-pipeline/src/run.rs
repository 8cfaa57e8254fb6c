//! The stages of a run, one after the other.

mod trying;

use std::collections::BTreeMap;
use std::time::Instant;

use nixpy_cache::queue::Filled;
use nixpy_nix::builders::BuildersError;
use nixpy_nix::machine::Environment;
use nixpy_nix::path_info::path_info;
use nixpy_nix::{Nix, NixError, NixErrorKind, StorePath};
use nixpy_oci::destination::DestinationError;
use nixpy_oci::image::{Image, Pushed};
use nixpy_oci::publish::PublishError;

use crate::budget::over;
use crate::build::build;
use crate::caching::{Begun, Caching};
use crate::changes::{self, between};
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
use crate::publish::{Loadable, Places, loadable};
use crate::report::{Outcome, PlatformReport, Report, largest, told as in_words};
use crate::result::RunResult;
use crate::smoke::{Gate, Tested, Verdict};
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
    let mut report = Report::to(inputs.flake.as_str(), &destinations);
    report.outcome = Outcome::Failure;
    report.error = Some(in_words(error));
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

    /// Images, then their smoke test, then the index, then the tags.
    async fn publish(
        &mut self,
        made: &[Made],
        places: &mut Places,
        making: bool,
    ) -> Result<(), RunError> {
        (self.on_event)(Event::Started(Stage::Publish));
        let begun = Instant::now();
        let put = self.put(made, places, making).await;
        self.report.timings.publish += begun.elapsed().as_secs_f64();
        let (images, pushed) = put?;
        (self.on_event)(Event::Finished(Stage::Publish));
        self.compare(&pushed, places).await?;
        if !self.report.over_budget.is_empty() {
            self.report.outcome = Outcome::Failure;
            return Ok(());
        }
        if !self.pass(&images, &pushed, places).await? {
            self.report.outcome = Outcome::Failure;
            return Ok(());
        }
        let begun = Instant::now();
        let tagged = self.tag(&images, &pushed, places).await;
        self.report.timings.publish += begun.elapsed().as_secs_f64();
        tagged
    }

    /// Brings all images to their places, without a tag.
    async fn put(
        &mut self,
        made: &[Made],
        places: &mut Places,
        making: bool,
    ) -> Result<(Vec<Image>, Vec<Pushed>), RunError> {
        let images = just_images(made);
        let pushed = places.publish(&images, making, self.on_event).await?;
        let mut platforms = platforms_of(self.plan, made, &pushed);
        if let Some(smoke) = &self.inputs.smoke {
            // Tags tell what was published, not whether it was ever tried out.
            let unchanged =
                !smoke.required && places.are_tagged(&pushed, &self.inputs.tags).await?;
            if !unchanged && !making {
                return Err(PublishError::WouldMake.into());
            }
            for platform in platforms.iter_mut().filter(|_| unchanged) {
                let wanted = smoke.wanted(None);
                platform.smoke = Some(Tested::of(Verdict::Unchanged, wanted));
            }
        }
        self.report.platforms = platforms;
        // Until they are seen to be the same.
        self.report.changed = true;
        for platform in &mut self.report.platforms {
            platform.machine = self.machines.get(&platform.output).cloned();
            platform.rehearsed = self.inputs.rehearse;
        }
        for platform in &self.report.platforms {
            (self.on_event)(Event::Published(platform));
            if platform.smoke.is_some() {
                (self.on_event)(Event::Tested(platform));
            }
        }
        Ok((images, pushed))
    }

    /// Holds the images against those before, and against what they may be.
    async fn compare(&mut self, pushed: &[Pushed], places: &mut Places) -> Result<(), RunError> {
        let budgets = &self.inputs.budgets;
        for (image, platform) in pushed.iter().zip(&mut self.report.platforms) {
            let baseline = places
                .baseline(&image.platform, &self.inputs.baselines)
                .await;
            let baseline = match baseline {
                Ok(baseline) => baseline,
                // To tell what has changed is not worth a run; to see to a limit is.
                Err(_) if budgets.is_empty() => None,
                Err(error) => return Err(error.into()),
            };
            if baseline.is_none() {
                platform.before_unknown = places.baseline_unknown();
            }
            if let Some(before) = baseline {
                let (was, is) = (before.seen(), changes::Seen::pushed(image));
                let lock = self.lock.as_ref();
                let changes = between(&image.platform, &before.name, was, is, lock);
                self.report.changes.push(changes);
            }
        }
        self.report.notes = places.unknown();
        self.report.changed = match places.is_first_of_its_name() {
            true => self.report.is_new(),
            false if self.inputs.by_digest => places.lack(pushed),
            false => places.differ(pushed),
        };
        let images = pushed
            .iter()
            .map(|image| (&image.platform, image.compressed_size()));
        self.report.over_budget = over(budgets, images, &self.report.changes);
        self.report.budgets = budgets.clone();
        Ok(())
    }

    /// Puts the index, and points the tags at it; or leaves a result for whoever does.
    async fn tag(
        &mut self,
        images: &[Image],
        pushed: &[Pushed],
        places: &Places,
    ) -> Result<(), RunError> {
        if self.inputs.by_digest {
            if !self.inputs.rehearse {
                self.report.references = places.by_digest(pushed);
            }
            let (source, repositories) = (self.offered.source.clone(), places.repositories());
            self.result = Some(RunResult::of(&self.report, source, repositories, pushed));
        } else {
            let references = &mut self.report.references;
            let index = places.tag(pushed, self.inputs, |reference| {
                (self.on_event)(Event::Tagged(&reference));
                references.push(reference);
            });
            self.report.index = Some(index.await?);
        }
        places.note(pushed, self.inputs);
        if let Some(n) = self.own()
            && self.loadable.is_none()
        {
            let loadable = loadable(&images[n], &pushed[n], places, self.inputs).await?;
            self.loadable = Some(loadable);
        }
        Ok(())
    }

    /// The job whose image is to be loaded here.
    fn own(&self) -> Option<usize> {
        self.inputs.load?;
        let mut jobs = self.plan.jobs.iter();
        jobs.position(|job| job.system == self.host.system)
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

fn platforms_of(plan: &Plan, made: &[Made], pushed: &[Pushed]) -> Vec<PlatformReport> {
    let each = plan.jobs.iter().zip(made).zip(pushed);
    each.map(|((job, made), pushed)| PlatformReport {
        platform: job.platform.clone(),
        system: job.system.clone(),
        name: job.name.clone(),
        attribute: job.attribute.clone(),
        form: made.form,
        strategy: job.strategy,
        machine: None,
        derivation: job.derivation.clone(),
        output: job.output.clone(),
        digest: pushed.manifest.digest,
        image_id: pushed.image_id,
        compressed_size: pushed.compressed_size(),
        sent_size: pushed.sent_size(),
        layers: pushed.layers.clone(),
        contents: largest(changes::Seen::pushed(pushed).contents()),
        rehearsed: false,
        before_unknown: None,
        smoke: None,
    })
    .collect()
}
