//! Starting images to see whether they work, before a tag moves.
//!
//! ```text
//! podman, docker     where one of them is here and runs containers   engine.rs
//! namespaces         made by util-linux' unshare                     room/
//! neither            the image is told to be untested
//! ```
//!
//! Either way the question is asked from inside, by this very program ([`probe`]): no port
//! of the machine is taken, and nobody else can answer in the service's place.

mod engine;
mod probe;
mod room;

use std::io::Write as _;
use std::path::PathBuf;
use std::time::{Duration, Instant};

use futures_util::FutureExt as _;
use futures_util::future::BoxFuture;
use nixpy_pipeline::inputs::Loader;
use nixpy_pipeline::smoke::{Gate, Http, Tested, Trial, Verdict, in_short};
use serde::{Deserialize, Serialize};

use crate::exit::Code;
use crate::load::is_here;
use crate::settings::Environment;
use engine::{Engine, Refused};
use probe::{Question, Seen};

/// Lines of a container's log that are kept.
const LAST_LINES: usize = 50;
/// For what is around a trial: starting a container, and asking from inside.
const GRACE: Duration = Duration::from_secs(5);

/// Tries images out on this machine.
pub struct Starter {
    engines: Vec<Engine>,
    temp_dir: PathBuf,
}

/// What became of a trial.
#[derive(Debug, Serialize, Deserialize)]
enum Outcome {
    /// It did what was wanted.
    Passed,
    /// It did not.
    Failed { seen: String, cure: Option<String> },
    /// It could not be run in this way.
    Cannot { why: String },
}

/// With the container's last lines.
struct Trialled {
    outcome: Outcome,
    log: Vec<String>,
    seconds: f64,
}

impl Starter {
    /// Looks for engines; the one that is to be loaded into comes first.
    pub fn new(loader: Option<Loader>, temp_dir: PathBuf, environment: &Environment) -> Self {
        let mut loaders = [Loader::Podman, Loader::Docker];
        loaders.sort_by_key(|known| Some(*known) != loader);
        let here = loaders
            .into_iter()
            .filter(|loader| is_here(loader.program(), environment));
        Self {
            engines: here.map(Engine::new).collect(),
            temp_dir,
        }
    }

    async fn start(&self, trial: Trial<'_>) -> Tested {
        let wanted = trial.smoke.wanted(trial.port);
        let mut refusals = Vec::new();
        let mut one_was_able = false;
        for engine in &self.engines {
            match engine.try_out(&trial).await {
                Ok((trialled, mut notes)) => {
                    refusals.append(&mut notes);
                    return told(wanted, engine.name(), trialled, refusals);
                }
                Err(Refused::All(why)) => {
                    refusals.push(format!("{} runs no containers here: {why}", engine.name()));
                }
                // Another may take it.
                Err(Refused::Image(why)) => {
                    one_was_able = true;
                    refusals.push(why);
                }
            }
        }
        match room::try_out(&trial, &self.temp_dir).await {
            Ok(trialled) => told(wanted, "namespaces", trialled, refusals),
            Err(why) => {
                if self.engines.is_empty() {
                    refusals.push("neither podman nor docker is here".to_owned());
                }
                refusals.push(why);
                if one_was_able {
                    let cure = "see that the flake makes a sound image";
                    return Tested::failed(wanted, refusals.join("; "), cure);
                }
                let cure = "install podman, or run as a user who may make namespaces";
                Tested::untested(wanted, refusals.join("; "), cure)
            }
        }
    }
}

impl Gate for Starter {
    fn try_out<'a>(&'a self, trial: Trial<'a>) -> BoxFuture<'a, Tested> {
        self.start(trial).boxed()
    }
}

fn told(wanted: String, by: &str, trialled: Trialled, notes: Vec<String>) -> Tested {
    let Trialled {
        outcome,
        log,
        seconds,
    } = trialled;
    let (verdict, seen, cure) = match outcome {
        Outcome::Passed => (Verdict::Passed, None, None),
        Outcome::Failed { seen, cure } => (Verdict::Failed, Some(seen), cure),
        Outcome::Cannot { why } => (Verdict::Untested, Some(why), None),
    };
    Tested {
        seen,
        cure,
        by: Some(by.to_owned()),
        notes,
        seconds,
        log: match verdict {
            Verdict::Failed => log,
            _ => Vec::new(),
        },
        ..Tested::of(verdict, wanted)
    }
}

impl Outcome {
    fn failed(seen: impl Into<String>) -> Self {
        Self::Failed {
            seen: seen.into(),
            cure: None,
        }
    }

    fn ended(code: impl std::fmt::Display, begun: Instant) -> Self {
        let seconds = begun.elapsed().as_secs_f64();
        Self::failed(format!(
            "it ended with exit code {code} after {seconds:.1} s"
        ))
    }

    fn of_command(words: &[String], code: i32) -> Self {
        match code {
            0 => Self::Passed,
            code => Self::failed(format!("{} ended with exit code {code}", in_short(words))),
        }
    }

    fn command_hangs(words: &[String], timeout: Duration) -> Self {
        let seconds = timeout.as_secs_f64();
        let seen = format!("{} had not ended after {seconds:.0} s", in_short(words));
        let cure = "give it more time with --smoke-timeout";
        Self::Failed {
            seen,
            cure: Some(cure.to_owned()),
        }
    }
}

/// What a service was seen to do.
fn judged(seen: Seen, question: &Question) -> Outcome {
    let port = question.port;
    let seconds = question.timeout.as_secs_f64();
    let (seen, cure) = match seen {
        Seen::Ready => return Outcome::Passed,
        Seen::Other { status, route } => (
            format!("{status} from {route}"),
            "name the route with --smoke-http, or what it answers with --smoke-expect",
        ),
        Seen::LoopbackOnly => (
            format!(
                "it listens on 127.0.0.1:{port} only, where nobody outside of the container reaches it"
            ),
            "let it bind 0.0.0.0",
        ),
        Seen::Nobody => (
            format!("nobody accepted connections at port {port} within {seconds:.0} s"),
            "name its port with --smoke-port, or give it more time with --smoke-timeout",
        ),
        Seen::Ill { last } => (
            format!("after {seconds:.0} s still {last}"),
            "give it more time with --smoke-timeout, or what it lacks with --smoke-env",
        ),
    };
    Outcome::Failed {
        seen,
        cure: Some(cure.to_owned()),
    }
}

/// What to ask of the service of a trial.
fn question(trial: &Trial<'_>) -> Option<Question> {
    let service = trial.smoke.service.as_ref()?;
    Some(Question {
        port: trial.port?,
        http: service
            .http
            .as_ref()
            .map(|Http { route, expect }| (route.clone(), *expect)),
        timeout: trial.timeout,
    })
}

/// The last lines of a log, each as long as a person reads it.
fn last_lines(text: &[u8]) -> Vec<String> {
    let text = String::from_utf8_lossy(text);
    let lines: Vec<&str> = text.lines().collect();
    let from = lines.len().saturating_sub(LAST_LINES);
    let short = |line: &&str| line.chars().take(1000).collect();
    lines[from..].iter().map(short).collect()
}

/// What this program does inside of a container: `nixpy-ci smoke-…`. Orders and answers are
/// JSON between two processes of the same program, and change with it.
pub async fn inside(name: &str, orders: &str) -> Code {
    match name {
        "smoke-probe" => answer(&probe::main(orders).await),
        "smoke-room" => answer(&room::inside(orders).await),
        "smoke-enter" => room::enter(orders),
        _ => Code::Inputs,
    }
}

fn answer(answer: &impl Serialize) -> Code {
    let text = serde_json::to_string(answer).unwrap_or_default();
    match writeln!(std::io::stdout().lock(), "{text}") {
        Ok(()) => Code::Success,
        Err(_) => Code::Machine,
    }
}
