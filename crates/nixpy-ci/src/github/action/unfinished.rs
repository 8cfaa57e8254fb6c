//! What a run of the action has begun and not pushed into its caches yet, noted as it goes. A
//! job that is cancelled, or runs out of time or memory, has built something all the same:
//! the post step pushes that, so that the next job need not build it.
//!
//! The note names derivations, and nothing that is secret; settings are read anew. It lies in
//! the folder that the launcher has made for this one step, and is believed only where the
//! launcher has not seen the run end by itself.

use std::fs::{self, File, OpenOptions};
use std::io::{BufRead as _, BufReader, Read as _, Write as _};
use std::os::unix::fs::{MetadataExt as _, OpenOptionsExt as _};
use std::path::{Path, PathBuf};
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use nixpy_nix::StorePath;
use nixpy_nix::log::{Activity, LogEvent};
use nixpy_pipeline::caching::{self, Begun};
use nixpy_pipeline::event::Event;
use nixpy_pipeline::inputs::Inputs;
use nixpy_pipeline::plan::Plan;
use nixpy_pipeline::report::told;

use super::defaults::with_defaults;
use super::{launched_in, understood};
use crate::redact;
use crate::render::{beside, line, renderer};
use crate::running::nix;
use crate::settings::{Environment, RawInputs, resolved};

/// The name of the note.
pub const NAME: &str = "unfinished";
/// Some hundred thousand derivations.
const LARGEST: u64 = 32 << 20;
/// GitHub ends a cancelled job after five minutes, in which other steps clean up as well.
const LONGEST: Duration = Duration::from_secs(120);
/// For caches to say what they lack before that, and to take note after it.
const BESIDES: Duration = Duration::from_secs(30);

/// Notes a run. Nothing is noted where nobody would read it.
pub struct Notes {
    file: Option<PathBuf>,
    open: Mutex<Option<File>>,
}

impl Notes {
    /// Of the run that begins now.
    pub fn of(inputs: &Inputs, environment: &Environment) -> Self {
        let is_wanted = inputs.caches.writes();
        let file = launched_in(environment)
            .filter(|_| is_wanted)
            .map(|folder| folder.join(NAME));
        let open = file.as_deref().and_then(|file| {
            let mut options = OpenOptions::new();
            options.append(true).create_new(true).mode(0o600);
            options.open(file).ok()
        });
        Self {
            file,
            open: Mutex::new(open),
        }
    }

    /// Listens to the run.
    pub fn hear(&self, event: &Event<'_>) {
        let text = match event {
            Event::Planned(plan) => serde_json::to_string(plan).ok(),
            Event::Nix(LogEvent::Started {
                activity: Activity::Build { derivation, .. },
                ..
            }) => Some(derivation.to_string()),
            _ => None,
        };
        let mut open = self.open.lock().unwrap_or_else(PoisonError::into_inner);
        if let (Some(text), Some(file)) = (text, open.as_mut()) {
            // Whatever is missing in it is built once more.
            let _ = writeln!(file, "{text}");
        }
    }

    /// The run has ended, and has done what it could.
    pub fn are_done(&self) {
        if let Some(file) = &self.file {
            let _ = fs::remove_file(file);
        }
    }
}

/// What was noted of a run.
pub struct Noted {
    plan: Plan,
    begun: Vec<StorePath>,
}

/// Nothing where the run had come to no plan, or had ended.
pub fn noted(folder: &Path) -> Option<Noted> {
    let file = File::open(folder.join(NAME)).ok()?;
    let about = file.metadata().ok()?;
    let is_ours = about.is_file() && about.uid() == rustix::process::geteuid().as_raw();
    if !is_ours {
        return None;
    }
    let (mut plan, mut begun) = (None, Vec::new());
    for line in BufReader::new(file.take(LARGEST)).lines() {
        let line = line.ok()?;
        match line.parse() {
            Ok(derivation) => begun.push(derivation),
            Err(_) => plan = plan.or_else(|| serde_json::from_str(&line).ok()),
        }
    }
    plan.map(|plan| Noted { plan, begun })
}

/// Pushes what the run that is noted here has built.
pub async fn finish(noted: &Noted, environment: &Environment) {
    line("the run was cut short: what it has built goes into its caches");
    let pushed = tokio::time::timeout(LONGEST + BESIDES, push(noted, environment)).await;
    let pushed = pushed.unwrap_or_else(|_| Err("there was no time left".to_owned()));
    if let Err(problem) = pushed {
        line(&format!("warning: not all of it is pushed: {problem}"));
    }
}

async fn push(noted: &Noted, environment: &Environment) -> Result<(), String> {
    let matches = understood(environment)?;
    let (_, flags) = matches.subcommand().ok_or("there is no command")?;
    let given = RawInputs::collect(flags, environment).map_err(|e| e.to_string())?;
    let environment = with_defaults(environment, &given);
    redact::learn(flags, &environment);
    let resolved = resolved(flags, &environment).await;
    let mut resolved = resolved.map_err(|problems| problems.join("; "))?;
    let nix = nix(&resolved).map_err(|e| told(&e))?;
    let caches = &mut resolved.inputs.caches;
    caches.drain = caches.drain.min(LONGEST);
    let renderer = renderer(resolved.output.progress, &environment);
    let begun = Begun::of_derivations(noted.begun.iter().cloned());
    let on_event = |event: Event<'_>| renderer.event(&event);
    let pushing = caching::finish(&nix, &resolved.inputs, &noted.plan, &begun, &on_event);
    beside(renderer.as_ref(), pushing).await;
    renderer.close();
    Ok(())
}
