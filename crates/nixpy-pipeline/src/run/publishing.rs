//! From images to tags: they are brought to their places, held against those before and
//! against what they may be, tried out, and pointed at.

use std::time::Instant;

use nixpy_oci::config::Runtime;
use nixpy_oci::image::{Image, Pushed};
use nixpy_oci::publish::PublishError;

use super::{RunError, Work, just_images};
use crate::budget::over;
use crate::changes::{self, between};
use crate::event::{Event, Stage};
use crate::image::Made;
use crate::plan::Plan;
use crate::publish::{Places, loadable};
use crate::report::{Outcome, PlatformReport, largest};
use crate::result::RunResult;
use crate::smoke::{Tested, Verdict};

impl Work<'_> {
    /// Images, then their smoke test, then the index, then the tags.
    pub(super) async fn publish(
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
    pub(super) fn own(&self) -> Option<usize> {
        self.inputs.load?;
        let mut jobs = self.plan.jobs.iter();
        jobs.position(|job| job.system == self.host.system)
    }
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
        ports: Runtime::described(&made.image)
            .map(|runtime| runtime.tcp_ports())
            .unwrap_or_default(),
        rehearsed: false,
        before_unknown: None,
        smoke: None,
    })
    .collect()
}
