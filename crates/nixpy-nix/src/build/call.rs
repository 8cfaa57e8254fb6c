//! One call of `nix build`: what is heard while it runs, and builders that hang meanwhile.

use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use super::machines::{BuilderTrouble, Machines};
use super::{BuildEvent, Means, connections};
use crate::builders::{Trouble, TroubleKind};
use crate::error::NixError;
use crate::log::failures::FailureReason;
use crate::log::{BuildWatch, LogEvent};
use crate::program::Nix;
use crate::run::run;

/// How often it is looked whether a builder hangs.
const LOOK_EVERY: Duration = Duration::from_secs(1);

/// What is kept of what Nix says.
pub(super) struct Hearing<F> {
    pub(super) watch: BuildWatch,
    pub(super) machines: Machines,
    pub(super) troubles: Vec<BuilderTrouble>,
    pub(super) on_event: F,
}

impl<F: FnMut(BuildEvent<'_>)> Hearing<F> {
    fn hear(&mut self, event: &LogEvent) {
        let now = Instant::now();
        self.watch.observe(event, now);
        let trouble = self.machines.observe(event, now);
        (self.on_event)(BuildEvent::Said(event));
        self.fallen(trouble);
    }

    /// Old daemons take no builders from users they do not trust, and say nothing.
    pub(super) fn overlooked(&mut self) {
        for failure in self.watch.failures() {
            if let FailureReason::NoBuilder { system, features } = &failure.reason
                && let Some(trouble) = self.machines.overlooked(system, features)
            {
                (self.on_event)(BuildEvent::Fallen(&trouble));
                self.troubles.push(trouble);
            }
        }
    }

    fn fallen(&mut self, trouble: Option<BuilderTrouble>) {
        if let Some(trouble) = trouble {
            (self.on_event)(BuildEvent::Fallen(&trouble));
            self.troubles.push(trouble);
        }
    }
}

pub(super) fn lock<T>(shared: &Mutex<T>) -> MutexGuard<'_, T> {
    shared.lock().unwrap_or_else(PoisonError::into_inner)
}

/// How a call ended that did not succeed.
pub(super) struct Stop {
    pub(super) complaint: String,
    pub(super) aborted: bool,
}

/// One call of Nix, in which builders that hang are let go of; its complaint if it did
/// not succeed.
pub(super) async fn call<F: FnMut(BuildEvent<'_>) + Send>(
    nix: &Nix,
    arguments: &[String],
    means: &Means,
    hearing: &Mutex<Hearing<F>>,
) -> Result<Option<Stop>, NixError> {
    let mut on_event = |event: LogEvent| lock(hearing).hear(&event);
    let running = run(nix, arguments, &mut on_event);
    tokio::pin!(running);
    let mut looks = tokio::time::interval(LOOK_EVERY);
    let are_ours = !means.through_daemon && connections::are_seen();
    loop {
        tokio::select! {
            ended = &mut running => {
                let ended = ended?;
                return Ok((!ended.success).then(|| Stop {
                    complaint: ended.complaint(),
                    aborted: ended.aborted,
                }));
            }
            _ = looks.tick() => {
                let mut hearing = lock(hearing);
                for builder in hearing.machines.silent(Instant::now(), means.silence) {
                    if are_ours && connections::end(&builder.address) == 0 {
                        hearing.machines.is_idle(&builder);
                        continue;
                    }
                    let words = format!("nothing was heard of it for {} s", means.silence.as_secs());
                    let trouble = hearing.machines.fell(&builder, Trouble::new(TroubleKind::Silent, words.clone()));
                    hearing.fallen(trouble);
                    // Out of reach, so all of it has to end.
                    if !are_ours {
                        return Ok(Some(Stop { complaint: words, aborted: false }));
                    }
                }
            }
        }
    }
}
