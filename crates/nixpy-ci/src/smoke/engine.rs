//! Trying an image out in podman or docker.
//!
//! The image is loaded under a name that nobody else has, and started with a network of its
//! own. This program is mounted into the container, read-only, and asks from inside by
//! `exec`: it is static, so it runs in any image, and on this machine's processor whatever
//! the image's. Container and name are gone afterwards, also after an interrupt.
//!
//! Whether an engine runs containers here at all is seen once, by starting this program in an
//! image that has nothing else in it. So the image's own trouble is not mistaken for the
//! engine's, and no image is loaded in vain.

use std::collections::BTreeMap;
use std::hash::{BuildHasher as _, Hasher as _, RandomState};
use std::process::Stdio;
use std::time::{Duration, Instant};

use nixpy_oci::load::write_empty_docker_archive;
use nixpy_pipeline::inputs::Loader;
use nixpy_pipeline::smoke::Trial;
use rustix::process::{Resource, getrlimit};
use tokio::process::Command;
use tokio::sync::OnceCell;
use tokio::time::timeout;

use super::probe::{Question, Seen};
use super::{GRACE, Outcome, Trialled, judged, last_lines, question};
use crate::load::{LoadError, command, load, load_archive};

/// An engine may have much to write before a container runs.
const PATIENCE: Duration = Duration::from_secs(120);
const LOADING: Duration = Duration::from_secs(600);
/// Where this program is in a container.
const OURSELVES: &str = "/.nixpy-ci";

/// podman or docker.
pub struct Engine {
    loader: Loader,
    /// What it has to be told to run containers here; or why it does not.
    flags: OnceCell<Result<Flags, String>>,
}

#[derive(Clone, Default)]
struct Flags {
    words: Vec<String>,
    note: Option<String>,
}

/// What an engine has answered.
struct Said {
    code: i32,
    stdout: String,
    stderr: String,
}

impl Engine {
    pub fn new(loader: Loader) -> Self {
        Self {
            loader,
            flags: OnceCell::new(),
        }
    }

    pub fn name(&self) -> &'static str {
        self.loader.program()
    }

    /// Starts an image and looks; with what had to be done otherwise than usual.
    ///
    /// # Errors
    /// The engine cannot run containers here, in its words.
    pub async fn try_out(&self, trial: &Trial<'_>) -> Result<(Trialled, Vec<String>), String> {
        let flags = self.flags.get_or_init(|| self.what_it_takes());
        let flags = flags.await.clone()?;
        let image = self.load(trial).await?;
        let container = Container::new(self, &image, &flags);
        let begun = Instant::now();
        let outcome = container.judge(trial, begun).await;
        let trialled = Trialled {
            seconds: begun.elapsed().as_secs_f64(),
            log: container.log().await,
            outcome,
        };
        container.gone.now().await;
        image.gone.now().await;
        Ok((trialled, flags.note.into_iter().collect()))
    }

    async fn load(&self, trial: &Trial<'_>) -> Result<Image, String> {
        let image = self.image(&trial.platform.architecture);
        let loading = load(self.loader, trial.image, &image.name);
        in_time(loading).await?;
        Ok(image)
    }

    /// Starts ourselves in a container: plainly, then with limits that this process may set,
    /// because root in a container of CI may not raise them as engines do.
    async fn what_it_takes(&self) -> Result<Flags, String> {
        let image = self.image("empty");
        let name = image.name.clone();
        let loading = load_archive(self.loader, move |out| {
            write_empty_docker_archive(&name, out)
        });
        in_time(loading).await?;
        let mut flags = Flags::default();
        let mut runs = self.runs_us(&image.name, &flags).await;
        if runs
            .as_ref()
            .is_err_and(|why| why.to_lowercase().contains("rlimit"))
        {
            flags = Flags {
                words: vec![
                    limit("nofile", Resource::Nofile),
                    limit("nproc", Resource::Nproc),
                ],
                note: Some(format!("{} was told to raise no limits", self.name())),
            };
            runs = self.runs_us(&image.name, &flags).await;
        }
        image.gone.now().await;
        runs.map(|()| flags)
    }

    /// To be loaded under a name of its own.
    fn image(&self, what: &str) -> Image {
        let name = format!("localhost/{}:smoke", unique(what));
        Image {
            gone: Gone::later(self.loader, ["rmi", &name]),
            name,
        }
    }

    async fn runs_us(&self, image: &str, flags: &Flags) -> Result<(), String> {
        let name = unique("try");
        let gone = Gone::later(self.loader, remove(&name));
        let mut run = self.run(&name, flags, "none")?;
        run.args(["--rm", "--entrypoint", OURSELVES, image, "--version"]);
        let said = said(&mut run, PATIENCE).await;
        gone.now().await;
        match said? {
            Said { code: 0, .. } => Ok(()),
            Said { stderr, .. } => Err(last_line(&stderr)),
        }
    }

    /// `run`, as far as the name of the image.
    fn run(&self, name: &str, flags: &Flags, network: &str) -> Result<Command, String> {
        let ourselves = std::env::current_exe().map_err(|e| e.to_string())?;
        let mount = format!("{}:{OURSELVES}:ro", ourselves.display());
        let mut run = command(self.loader);
        run.args(["run", "--name", name, "--pull=never", "--network", network]);
        // Without it SELinux would not let the container see the file that is mounted.
        run.args(["--security-opt", "label=disable", "--volume", &mount]);
        // The first process of a container that is emulated does not heed SIGTERM.
        run.args(["--stop-timeout=0", "--no-healthcheck"]);
        run.args(&flags.words);
        Ok(run)
    }
}

/// An image that was loaded.
struct Image {
    name: String,
    gone: Gone,
}

/// A container, once it is started.
struct Container<'a> {
    engine: &'a Engine,
    image: &'a str,
    flags: &'a Flags,
    name: String,
    gone: Gone,
}

impl<'a> Container<'a> {
    fn new(engine: &'a Engine, image: &'a Image, flags: &'a Flags) -> Self {
        let name = unique("c");
        Self {
            gone: Gone::later(engine.loader, remove(&name)),
            image: &image.name,
            engine,
            flags,
            name,
        }
    }

    async fn judge(&self, trial: &Trial<'_>, begun: Instant) -> Outcome {
        let question = question(trial);
        let instead = question.is_none().then_some(trial.smoke.command.as_slice());
        match self.start(trial, instead).await {
            Ok(None) => {}
            Ok(Some(refused)) => return refused,
            Err(why) => return Outcome::Cannot { why },
        }
        let judged = match &question {
            Some(question) => self.judge_service(trial, question, begun).await,
            None => self.judge_command_alone(trial, begun).await,
        };
        // It runs, and does not do what was wanted: whoever is to blame, it did not pass.
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

    /// Starts it; what the image is refused for, if it is.
    async fn start(
        &self,
        trial: &Trial<'_>,
        instead: Option<&[String]>,
    ) -> Result<Option<Outcome>, String> {
        let mut run = self
            .engine
            .run(&self.name, self.flags, &trial.smoke.network)?;
        run.arg("--detach").args(environment(&trial.smoke.env));
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
        let refused =
            || Outcome::failed(format!("it cannot be started: {}", last_line(&said.stderr)));
        match said.code {
            0 => Ok(None),
            // An engine's own trouble, such as a network that is not there.
            125 => Err(last_line(&said.stderr)),
            _ => Ok(Some(refused())),
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
    async fn log(&self) -> Vec<String> {
        let mut logs = command(self.engine.loader);
        logs.args(["logs", "--tail", "50", &self.name]);
        let Ok((mut reader, writer)) = std::io::pipe() else {
            return Vec::new();
        };
        let Ok(also) = writer.try_clone() else {
            return Vec::new();
        };
        let started = logs.stdout(writer).stderr(also).spawn();
        // What is left of our own ends of the pipe.
        drop(logs);
        let Ok(mut child) = started else {
            return Vec::new();
        };
        let reading = tokio::task::spawn_blocking(move || {
            let mut text = Vec::new();
            let _ = std::io::Read::read_to_end(&mut reader, &mut text);
            text
        });
        let read = timeout(GRACE, async { (reading.await, child.wait().await) });
        let text = read.await.ok().and_then(|(text, _)| text.ok());
        last_lines(&text.unwrap_or_default())
    }
}

fn remove(container: &str) -> [&str; 4] {
    ["rm", "--force", "--volumes", container]
}

/// Removes something when the time has come, and when this is dropped before.
struct Gone {
    loader: Loader,
    words: Vec<String>,
    done: bool,
}

impl Gone {
    fn later<'a>(loader: Loader, words: impl IntoIterator<Item = &'a str>) -> Self {
        Self {
            loader,
            words: words.into_iter().map(str::to_owned).collect(),
            done: false,
        }
    }

    /// That it is not there is as well.
    async fn now(mut self) {
        let _ = said(command(self.loader).args(&self.words), PATIENCE).await;
        self.done = true;
    }
}

impl Drop for Gone {
    fn drop(&mut self) {
        if self.done {
            return;
        }
        let mut removing = command(self.loader).into_std();
        removing
            .args(&self.words)
            .stdout(Stdio::null())
            .stderr(Stdio::null());
        let _ = removing.status();
    }
}

async fn said(command: &mut Command, at_most: Duration) -> Result<Said, String> {
    let what = || {
        let command = command.as_std();
        let first = command.get_args().next().unwrap_or_default();
        format!("`{} {}`", command.get_program().display(), first.display())
    };
    let what = what();
    match timeout(at_most, command.output()).await {
        Ok(Ok(output)) => Ok(Said {
            code: output.status.code().unwrap_or(-1),
            stdout: String::from_utf8_lossy(&output.stdout).into_owned(),
            stderr: String::from_utf8_lossy(&output.stderr).into_owned(),
        }),
        Ok(Err(e)) => Err(format!("{what} cannot be started: {e}")),
        Err(_) => Err(format!(
            "{what} did not answer within {} s",
            at_most.as_secs()
        )),
    }
}

async fn in_time(loading: impl Future<Output = Result<(), LoadError>>) -> Result<(), String> {
    match timeout(LOADING, loading).await {
        Ok(loaded) => loaded.map_err(|e| first_line(&e.to_string())),
        Err(_) => Err("it did not take the image in time".to_owned()),
    }
}

/// podman lowers its own to the number of processes that most kernels can have.
const MOST: u64 = 32_768;

fn limit(name: &str, resource: Resource) -> String {
    let limit = getrlimit(resource);
    let number = |limit: Option<u64>| limit.unwrap_or(MOST).min(MOST);
    format!(
        "--ulimit={name}={}:{}",
        number(limit.current),
        number(limit.maximum)
    )
}

fn environment(variables: &BTreeMap<String, String>) -> impl Iterator<Item = String> {
    variables
        .iter()
        .map(|(name, value)| format!("--env={name}={value}"))
}

/// A name that nobody else has.
fn unique(what: &str) -> String {
    let number = RandomState::new().build_hasher().finish();
    format!("nixpy-smoke-{}-{number:016x}-{what}", std::process::id())
}

fn first_line(text: &str) -> String {
    text.lines().next().unwrap_or_default().to_owned()
}

/// Where engines say what it was; warnings stand before it.
fn last_line(text: &str) -> String {
    let mut lines = text.lines().map(str::trim).filter(|line| !line.is_empty());
    let last = lines.next_back().unwrap_or("it said nothing");
    last.trim_start_matches("Error: ").to_owned()
}
