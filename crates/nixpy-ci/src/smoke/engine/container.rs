//! One container: started, asked from inside, and judged.

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use nixpy_pipeline::inputs::Loader;
use nixpy_pipeline::smoke::Trial;
use tokio::net::unix::pipe::Receiver;
use tokio::process::Command;
use tokio::time::timeout;

use super::talk::{Gone, Said, end_of, last_line, said, unique};
use super::{Engine, Flags, Image, OURSELVES, PATIENCE, remove};
use crate::load::command;
use crate::smoke::probe::{Question, Seen};
use crate::smoke::{GRACE, Outcome, judged, last_lines, question};

/// A container, once it is started.
pub struct Container<'a> {
    engine: &'a Engine,
    image: &'a str,
    flags: &'a Flags,
    name: String,
    pub gone: Gone,
}

impl<'a> Container<'a> {
    pub fn new(engine: &'a Engine, image: &'a Image, flags: &'a Flags) -> Self {
        let name = unique("c");
        Self {
            gone: Gone::later(engine.loader, remove(&name)),
            image: &image.name,
            engine,
            flags,
            name,
        }
    }

    pub async fn judge(&self, trial: &Trial<'_>, begun: Instant) -> Outcome {
        let question = question(trial);
        let instead = question.is_none().then_some(trial.smoke.command.as_slice());
        if let Err(why) = self.start(trial, instead).await {
            return Outcome::failed(format!("it cannot be started: {why}"));
        }
        let judged = match &question {
            Some(question) => self.judge_service(trial, question, begun).await,
            None => self.judge_command_alone(trial, begun).await,
        };
        // It does not do what was wanted: whoever is to blame, it did not pass.
        judged.unwrap_or_else(Outcome::failed)
    }

    async fn judge_service(
        &self,
        trial: &Trial<'_>,
        question: &Question,
        begun: Instant,
    ) -> Result<Outcome, String> {
        let orders = serde_json::to_string(question).map_err(|e| e.to_string())?;
        // As root, who may read the file whatever its mode.
        let mut probe = self.exec(&["--user", "0:0"]);
        probe.args([OURSELVES, "smoke-probe", &orders]);
        let mut wait = self.wait();
        let outcome = tokio::select! {
            biased;
            answer = said(&mut probe, question.timeout + GRACE) => self.heard(answer?, question, begun).await?,
            code = self.end(&mut wait) => Outcome::ended(code?, begun),
        };
        let words = &trial.smoke.command;
        if !matches!(outcome, Outcome::Passed) || words.is_empty() {
            return Ok(outcome);
        }
        let mut run = self.exec(&[]);
        run.args(words);
        let left = trial.timeout.saturating_sub(begun.elapsed());
        match timeout(left, said(&mut run, PATIENCE + left)).await {
            Ok(said) => Ok(Outcome::of_command(words, said?.code)),
            Err(_) => Ok(Outcome::command_hangs(words, trial.timeout)),
        }
    }

    async fn judge_command_alone(
        &self,
        trial: &Trial<'_>,
        begun: Instant,
    ) -> Result<Outcome, String> {
        let words = &trial.smoke.command;
        let left = trial.timeout.saturating_sub(begun.elapsed());
        match timeout(left, self.end(&mut self.wait())).await {
            Ok(code) => Ok(Outcome::of_command(words, code?)),
            Err(_) => Ok(Outcome::command_hangs(words, trial.timeout)),
        }
    }

    /// Starts it. The engine runs others: that it does not run this one is the image's.
    async fn start(&self, trial: &Trial<'_>, instead: Option<&[String]>) -> Result<(), String> {
        let mut run = self
            .engine
            .run(&self.name, self.flags, &trial.smoke.network)?;
        run.arg("--detach");
        give(&mut run, &trial.smoke.env);
        if self.engine.loader == Loader::Podman {
            // Its own default may be a journal that is not here.
            run.arg("--log-driver=k8s-file");
        }
        match instead {
            Some([program, arguments @ ..]) => {
                run.args(["--entrypoint", program, self.image])
                    .args(arguments);
            }
            _ => {
                run.arg(self.image);
            }
        }
        let said = said(&mut run, PATIENCE).await?;
        match said.code {
            0 => Ok(()),
            _ => Err(last_line(&said.stderr)),
        }
    }

    async fn heard(
        &self,
        said: Said,
        question: &Question,
        begun: Instant,
    ) -> Result<Outcome, String> {
        match serde_json::from_str::<Result<Seen, String>>(said.stdout.trim()) {
            Ok(seen) => Ok(judged(seen?, question)),
            // Who asks inside of a container ends with it.
            Err(_) => match timeout(GRACE, self.end(&mut self.wait())).await {
                Ok(code) => Ok(Outcome::ended(code?, begun)),
                Err(_) => Err(format!(
                    "nothing can be asked inside: {}",
                    last_line(&said.stderr)
                )),
            },
        }
    }

    fn exec(&self, flags: &[&str]) -> Command {
        let mut exec = command(self.engine.loader);
        exec.arg("exec").args(flags).arg(&self.name);
        exec
    }

    fn wait(&self) -> Command {
        let mut wait = command(self.engine.loader);
        wait.args(["wait", &self.name]);
        wait
    }

    /// The exit code of the container, when it has one.
    async fn end(&self, wait: &mut Command) -> Result<i32, String> {
        let said = said(wait, Duration::from_secs(86_400)).await?;
        let code = said.stdout.trim().parse();
        code.map_err(|_| {
            format!(
                "{} lost the container: {}",
                self.engine.name(),
                last_line(&said.stderr)
            )
        })
    }

    /// Its last lines, as they were written to both of its outputs.
    pub async fn log(&self) -> Vec<String> {
        let mut logs = command(self.engine.loader);
        logs.args(["logs", "--tail", "50", &self.name]);
        // Both outputs in one pipe, so that their lines stay in order.
        let Ok((reader, writer)) = std::io::pipe() else {
            return Vec::new();
        };
        let Ok(also) = writer.try_clone() else {
            return Vec::new();
        };
        let Ok(reader) = Receiver::from_owned_fd(reader.into()) else {
            return Vec::new();
        };
        let started = logs.stdout(writer).stderr(also).spawn();
        // What is left of our own ends of the pipe.
        drop(logs);
        let Ok(mut child) = started else {
            return Vec::new();
        };
        let read = async { tokio::join!(end_of(Some(reader)), child.wait()) };
        let text = timeout(GRACE, read).await.map(|(text, _)| text);
        last_lines(&text.unwrap_or_default())
    }
}

/// Gives variables by name, and their values in the engine's own environment: its arguments
/// can be read by everybody on the machine.
fn give(run: &mut Command, variables: &BTreeMap<String, String>) {
    for (name, value) in variables {
        match is_heeded(name) {
            false => run.arg(format!("--env={name}")).env(name, value),
            true => run.arg(format!("--env={name}={value}")),
        };
    }
}

/// Whether engines go by a variable themselves.
fn is_heeded(name: &str) -> bool {
    let name = name.to_ascii_uppercase();
    HEEDED
        .split_whitespace()
        .any(|known| match known.strip_suffix('*') {
            Some(begin) => name.starts_with(begin),
            None => name == known,
        })
        || name.ends_with("_PROXY")
}

const HEEDED: &str = "PATH HOME USER SHELL TERM TEMP TMP* LANG LC_* XDG_* LD_* GO* SSL_* SSH_* DBUS_* \
    LISTEN_* NOTIFY_* CONTAINER* _CONTAINER* DOCKER* PODMAN* BUILDAH* STORAGE* REGISTRY* CNI_* NETAVARK*";
