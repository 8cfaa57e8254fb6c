//! A terminal: a line that moves for everything that is under way, above one
//! that counts, and nothing left of them in the end.

use std::collections::HashMap;
use std::sync::Mutex;
use std::time::Duration;

use indicatif::{MultiProgress, ProgressBar, ProgressStyle};
use nixpy_nix::log::{Activity, LogEvent};
use nixpy_pipeline::event::{Event, Stage};

use super::caches::{filled_lines, trouble_lines};
use super::names::Names;
use super::smoke::tested_lines;
use super::{
    Renderer, failure_lines, fell_lines, plain, plan_lines, published_line, size, stage_line,
};

use crate::redact::hidden;

/// Redraws standard error.
pub struct Bars {
    area: MultiProgress,
    names: Names,
    state: Mutex<State>,
}

#[derive(Default)]
struct State {
    /// The counting line.
    total: Option<ProgressBar>,
    /// By Nix's number of the activity.
    running: HashMap<u64, ProgressBar>,
    layers: u64,
    bytes: u64,
    stage: Option<Stage>,
}

impl Bars {
    pub fn new() -> Self {
        Self {
            area: MultiProgress::new(),
            names: Names::default(),
            state: Mutex::new(State::default()),
        }
    }

    fn say(&self, text: &str) {
        // Without a terminal there is no area, and what is said there is lost.
        if self.area.is_hidden() || self.area.println(plain::printable(&hidden(text))).is_err() {
            plain::line(text);
        }
    }

    fn spinner(&self, text: String) -> ProgressBar {
        let bar = self
            .area
            .add(ProgressBar::new_spinner().with_style(style()));
        bar.set_message(text);
        bar.enable_steady_tick(Duration::from_millis(120));
        bar
    }

    fn nix(&self, state: &mut State, event: &LogEvent) {
        match event {
            LogEvent::Started { id, activity, .. } => {
                let prefix = match activity {
                    Activity::Build { derivation, .. } => self.names.of(derivation),
                    Activity::Substitute { path, .. } => format!("fetching {}", path.name()),
                    Activity::Copy { path, .. } => format!("copying {}", path.name()),
                    Activity::FetchTree { text } => text.clone(),
                    _ => return,
                };
                let bar = self.spinner(String::new());
                bar.set_prefix(hidden(&prefix));
                state.running.insert(*id, bar);
            }
            LogEvent::Phase { id, phase } => {
                if let Some(bar) = state.running.get(id) {
                    bar.set_message(hidden(phase));
                }
            }
            LogEvent::Line { id, text } => {
                if let Some(bar) = state.running.get(id) {
                    let text = hidden(text);
                    bar.set_message(text.chars().take(200).collect::<String>());
                }
            }
            LogEvent::Progress {
                done,
                expected,
                running,
                failed,
                ..
            } if *expected > 1 => {
                if let Some(total) = &state.total {
                    let failed = match failed {
                        0 => String::new(),
                        n => format!(", {n} failed"),
                    };
                    total.set_message(format!("{done} of {expected}, {running} under way{failed}"));
                }
            }
            LogEvent::Stopped { id } => {
                if let Some(bar) = state.running.remove(id) {
                    bar.finish_and_clear();
                }
            }
            _ => {
                if let Some(text) = plain::nix_line(event, &self.names) {
                    self.say(&format!("  {text}"));
                }
            }
        }
    }

    fn begin(&self, state: &mut State, stage: Stage) {
        let bar = self.spinner(String::new());
        bar.set_prefix(stage_line(stage));
        state.total = Some(bar);
        state.stage = Some(stage);
    }

    fn end(state: &mut State) {
        for (_, bar) in state.running.drain() {
            bar.finish_and_clear();
        }
        if let Some(bar) = state.total.take() {
            bar.finish_and_clear();
        }
    }
}

fn style() -> ProgressStyle {
    ProgressStyle::with_template("{spinner} {prefix} {elapsed} {wide_msg}")
        .unwrap_or_else(|_| ProgressStyle::default_spinner())
}

impl Renderer for Bars {
    fn event(&self, event: &Event<'_>) {
        let Ok(mut state) = self.state.lock() else {
            return;
        };
        match event {
            Event::Started(stage) => self.begin(&mut state, *stage),
            Event::Finished(_) => Self::end(&mut state),
            Event::Planned(plan) => {
                self.names.planned(plan);
                plan_lines(plan).iter().for_each(|text| self.say(text));
            }
            Event::Nix(event) => self.nix(&mut state, event),
            Event::BuilderFell(fell) => fell_lines(fell).iter().for_each(|text| self.say(text)),
            Event::BuildFailed(failure) => {
                failure_lines(failure)
                    .iter()
                    .for_each(|text| self.say(text));
            }
            Event::Layer(layer) => {
                state.layers += 1;
                state.bytes = state.bytes.saturating_add(layer.size);
                if let Some(total) = &state.total {
                    total.set_message(format!("{} layers, {}", state.layers, size(state.bytes)));
                }
            }
            Event::Published(image) => self.say(&published_line(image)),
            Event::Tested(image) => tested_lines(image).iter().for_each(|text| self.say(text)),
            Event::CacheFilling(stored) if state.stage == Some(Stage::Cache) => {
                if let Some(total) = &state.total {
                    let (cache, waiting) = (stored.cache, stored.waiting);
                    total.set_message(format!("{waiting} paths left for {cache}"));
                }
            }
            Event::CacheFilled(filled) => {
                filled_lines(filled).iter().for_each(|text| self.say(text));
            }
            Event::CacheTrouble(problem) => {
                trouble_lines(problem)
                    .iter()
                    .for_each(|text| self.say(text));
            }
            Event::Tagged(_) | Event::CacheFilling(_) => {}
        }
    }

    fn close(&self) {
        if let Ok(mut state) = self.state.lock() {
            Self::end(&mut state);
        }
        let _ = self.area.clear();
    }
}
