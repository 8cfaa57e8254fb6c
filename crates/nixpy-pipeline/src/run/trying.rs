//! The stage between publishing and tagging: every platform's image is tried out.

use std::time::Instant;

use futures_util::stream::{self, StreamExt as _, TryStreamExt as _};
use nixpy_oci::config::Runtime;
use nixpy_oci::image::{Image, Pushed};

use super::{RunError, Work};
use crate::event::{Event, Stage};
use crate::publish::{Loadable, Places, loadable};
use crate::report::PlatformReport;
use crate::smoke::{Smoke, Tested, Trial, patience};

impl Work<'_> {
    /// Has every image tried out, several at once; whether tags may move.
    pub(super) async fn pass(
        &mut self,
        images: &[Image],
        pushed: &[Pushed],
        places: &Places,
    ) -> Result<bool, RunError> {
        let untried = |platform: &PlatformReport| platform.smoke.is_none();
        let Some(smoke) = self.inputs.smoke.as_ref() else {
            return Ok(true);
        };
        if !self.report.platforms.iter().any(untried) {
            return Ok(true);
        }
        (self.on_event)(Event::Started(Stage::Smoke));
        let begun = Instant::now();
        let own = self.own();
        let at_once = std::thread::available_parallelism().map_or(2, usize::from);
        let tried = stream::iter((0..images.len()).map(|n| {
            let this = &*self;
            async move {
                let (tested, loadable) = this.try_out(smoke, n, images, pushed, places).await?;
                // Its bytes go when it was tried out, unless somebody else waits for them.
                let loadable = loadable.filter(|_| own == Some(n));
                let mut platform = this.report.platforms[n].clone();
                platform.smoke = Some(tested);
                (this.on_event)(Event::Tested(&platform));
                Ok::<_, RunError>((platform, loadable))
            }
        }));
        let tried: Result<Vec<_>, _> = tried.buffered(at_once.max(2)).try_collect().await;
        self.report.timings.smoke = begun.elapsed().as_secs_f64();
        let mut passes = true;
        for (n, (platform, loadable)) in tried?.into_iter().enumerate() {
            let stops = platform
                .smoke
                .as_ref()
                .is_some_and(|tested| tested.stops(smoke));
            passes = passes && !stops;
            self.report.platforms[n] = platform;
            if loadable.is_some() {
                self.loadable = loadable;
            }
        }
        if !passes {
            self.loadable = None;
            return Ok(false);
        }
        (self.on_event)(Event::Finished(Stage::Smoke));
        Ok(true)
    }

    async fn try_out(
        &self,
        smoke: &Smoke,
        n: usize,
        images: &[Image],
        pushed: &[Pushed],
        places: &Places,
    ) -> Result<(Tested, Option<Loadable>), RunError> {
        let job = &self.plan.jobs[n];
        let Some(timeout) = patience(smoke, &job.system, self.host) else {
            let why = format!("this machine does not run programs of {}", job.system);
            let cure = "run `nixpy-ci setup`, or add --setup; or test on a machine that is one";
            let wanted = smoke.wanted(None);
            return Ok((Tested::untested(wanted, why, cure), None));
        };
        let image = loadable(&images[n], &pushed[n], places, self.inputs).await?;
        let runtime = match Runtime::of(&image.layout, &image.image) {
            Ok(runtime) => runtime,
            Err(e) => {
                let why = format!("the image's configuration cannot be read: {e}");
                let cure = "see that the flake makes a sound image";
                let tested = Tested::failed(smoke.wanted(None), why, cure);
                return Ok((tested, Some(image)));
            }
        };
        if smoke.service.is_some() && runtime.entrypoint.is_empty() && runtime.cmd.is_empty() {
            let why = "the image says of no program that it is to be started";
            let cure = "give it an Entrypoint or a Cmd, or only run a program with --smoke-cmd";
            let wanted = smoke.wanted(smoke.port(&runtime));
            return Ok((Tested::failed(wanted, why, cure), Some(image)));
        }
        let trial = Trial {
            image: &image,
            platform: &job.platform,
            port: smoke.port(&runtime),
            runtime: &runtime,
            smoke,
            timeout,
        };
        let tested = self.gate.try_out(trial).await;
        Ok((tested, Some(image)))
    }
}
