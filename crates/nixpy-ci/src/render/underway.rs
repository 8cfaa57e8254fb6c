//! What is under way while nothing is printed: a log that stands still looks like a job that
//! hangs.

use std::collections::BTreeMap;
use std::sync::Mutex;
use std::time::{Duration, Instant};

use nixpy_nix::log::{Activity, LogEvent};
use nixpy_pipeline::event::{Event, Stage};
use tokio::time::MissedTickBehavior;

use super::names::Names;
use super::{Renderer, stage_line};

/// Nothing was printed for so long.
const SILENCE: Duration = Duration::from_secs(30);
/// How often somebody looks.
const LOOK: Duration = Duration::from_secs(1);
/// Builds that are named; the others are counted.
const MOST_NAMES: usize = 4;

/// Does the work, and lets the renderer see how time goes by.
pub async fn beside<T>(renderer: &dyn Renderer, work: impl Future<Output = T>) -> T {
    looking_every(LOOK, renderer, work).await
}

async fn looking_every<T>(
    time: Duration,
    renderer: &dyn Renderer,
    work: impl Future<Output = T>,
) -> T {
    let mut looks = tokio::time::interval(time);
    looks.set_missed_tick_behavior(MissedTickBehavior::Delay);
    tokio::pin!(work);
    loop {
        tokio::select! {
            biased;
            done = &mut work => return done,
            _ = looks.tick() => renderer.time_goes_by(Instant::now()),
        }
    }
}

/// Listens, and knows what to say after a long silence.
pub struct Underway {
    silence: Duration,
    state: Mutex<State>,
}

struct State {
    stage: Option<(Stage, Instant)>,
    /// By Nix's number of the activity: the first to begin has the lowest.
    builds: BTreeMap<u64, (String, Instant)>,
    printed: Instant,
}

impl Underway {
    pub fn new() -> Self {
        Self::with(SILENCE, Instant::now())
    }

    fn with(silence: Duration, now: Instant) -> Self {
        let state = State {
            stage: None,
            builds: BTreeMap::new(),
            printed: now,
        };
        Self {
            silence,
            state: Mutex::new(state),
        }
    }

    /// Takes note of what begins and ends.
    pub fn hear(&self, event: &Event<'_>, names: &Names, now: Instant) {
        let Ok(mut state) = self.state.lock() else {
            return;
        };
        match event {
            Event::Started(stage) => state.stage = Some((*stage, now)),
            Event::Finished(_) => {
                state.stage = None;
                state.builds.clear();
            }
            Event::Nix(LogEvent::Started {
                id,
                activity: Activity::Build { derivation, .. },
                ..
            }) => {
                state.builds.insert(*id, (names.of(derivation), now));
            }
            Event::Nix(LogEvent::Stopped { id }) => {
                state.builds.remove(id);
            }
            _ => {}
        }
    }

    /// Something was printed.
    pub fn printed(&self, now: Instant) {
        if let Ok(mut state) = self.state.lock() {
            state.printed = now;
        }
    }

    /// What to print after a long silence, which it then ends.
    pub fn after_silence(&self, now: Instant) -> Option<String> {
        let mut state = self.state.lock().ok()?;
        if now.saturating_duration_since(state.printed) < self.silence {
            return None;
        }
        let (stage, begun) = state.stage?;
        state.printed = now;
        let span = |since: Instant| lasted(now.saturating_duration_since(since));
        if state.builds.is_empty() {
            return Some(format!("still {}, for {}", stage_line(stage), span(begun)));
        }
        let builds = state.builds.values().take(MOST_NAMES);
        let named: Vec<String> = builds
            .map(|(name, since)| format!("{name} for {}", span(*since)))
            .collect();
        let more = match state.builds.len() - named.len() {
            0 => String::new(),
            more => format!(" and {more} more"),
        };
        Some(format!("still building {}{more}", named.join(", ")))
    }
}

/// `45 s`, `2 min 5 s`, `1 h 2 min`.
fn lasted(time: Duration) -> String {
    match time.as_secs() {
        seconds @ 0..60 => format!("{seconds} s"),
        seconds @ 60..3600 => format!("{} min {} s", seconds / 60, seconds % 60),
        seconds => format!("{} h {} min", seconds / 3600, seconds % 3600 / 60),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn build(id: u64, name: &str) -> LogEvent {
        let path = format!("/nix/store/18xqrvsx1s4sb0wibkn4wq04sggwxha2-{name}.drv");
        let Ok(derivation) = path.parse() else {
            panic!("{path}");
        };
        let activity = Activity::Build {
            derivation,
            machine: None,
        };
        let parent = None;
        LogEvent::Started {
            id,
            parent,
            activity,
        }
    }

    #[test]
    fn a_long_silence_is_ended_by_what_is_under_way_and_begins_anew() {
        let begun = Instant::now();
        let at = |seconds: u64| begun + Duration::from_secs(seconds);
        let (underway, names) = (Underway::with(SILENCE, begun), Names::default());
        let hear = |event: Event<'_>, seconds| underway.hear(&event, &names, at(seconds));
        assert_eq!(underway.after_silence(at(99)), None, "nothing has begun");
        hear(Event::Started(Stage::Evaluate), 0);
        underway.printed(at(0));
        assert_eq!(underway.after_silence(at(29)), None);
        let said = underway.after_silence(at(30));
        assert_eq!(
            said.as_deref(),
            Some("still evaluating the flake, for 30 s")
        );
        assert_eq!(underway.after_silence(at(59)), None, "that was said");
        assert!(underway.after_silence(at(60)).is_some());

        hear(Event::Started(Stage::Build), 60);
        hear(Event::Nix(&build(1, "numpy-2.1")), 61);
        hear(Event::Nix(&build(2, "app")), 100);
        let said = underway.after_silence(at(195));
        let said = said.as_deref();
        assert_eq!(
            said,
            Some("still building numpy-2.1 for 2 min 14 s, app for 1 min 35 s")
        );
        hear(Event::Nix(&LogEvent::Stopped { id: 1 }), 196);
        for id in 3..10 {
            hear(Event::Nix(&build(id, "x")), 200);
        }
        let said = underway.after_silence(at(3900)).unwrap_or_default();
        assert!(
            said.starts_with("still building app for 1 h 3 min, x for"),
            "{said}"
        );
        assert!(said.ends_with(" and 4 more"), "{said}");
    }

    #[tokio::test]
    async fn somebody_looks_while_the_work_goes_on() {
        struct Looked(tokio::sync::Semaphore);
        impl Renderer for Looked {
            fn event(&self, _: &Event<'_>) {}
            fn time_goes_by(&self, _: Instant) {
                self.0.add_permits(1);
            }
        }
        let looked = Looked(tokio::sync::Semaphore::new(0));
        // It is done when somebody has looked three times.
        let work = async { looked.0.acquire_many(3).await.map(|_| 7).ok() };
        let time = Duration::from_millis(1);
        assert_eq!(looking_every(time, &looked, work).await, Some(7));
    }
}
