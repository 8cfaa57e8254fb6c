//! Trying an image out in podman or docker.
//!
//! The image is loaded under a name that nobody else has, and started with a network of its
//! own. This program is mounted into the container, read-only, and asks from inside by
//! `exec`: it is static, so it runs in any image, and on this machine's processor whatever
//! the image's. Container and name are gone afterwards, also after an interrupt.
//!
//! Whether an engine runs containers here at all, and in the network that is wanted, is seen
//! once, by starting this program in an image that has nothing else in it. So the image's own
//! trouble is not mistaken for the engine's, and no image is loaded in vain: whatever goes
//! wrong afterwards is the image's.

mod container;
mod talk;

use std::time::{Duration, Instant};

use nixpy_oci::load::write_empty_docker_archive;
use nixpy_pipeline::inputs::Loader;
use nixpy_pipeline::smoke::Trial;
use rustix::process::{Resource, getrlimit};
use tokio::process::Command;
use tokio::sync::OnceCell;
use tokio::time::timeout;

use super::Trialled;
use crate::load::{LoadError, command, load, load_archive};
use container::Container;
use talk::{Gone, Said, first_line, last_line, said, unique};

/// An engine may have much to write before a container runs.
const PATIENCE: Duration = Duration::from_secs(120);
const LOADING: Duration = Duration::from_secs(600);
/// Where this program is in a container.
const OURSELVES: &str = "/.nixpy-ci";

/// Why an image was not tried out.
pub enum Refused {
    /// No containers run here.
    All(String),
    /// They do, and this image was not taken.
    Image(String),
}

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
    /// The engine cannot run containers here, or does not take the image, in its words.
    pub async fn try_out(&self, trial: &Trial<'_>) -> Result<(Trialled, Vec<String>), Refused> {
        // One run has one network.
        let network = trial.smoke.network.as_str();
        let flags = self.flags.get_or_init(|| self.what_it_takes(network));
        let flags = flags.await.clone().map_err(Refused::All)?;
        let image = self.load(trial).await.map_err(Refused::Image)?;
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
        in_time(LOADING, loading).await?;
        Ok(image)
    }

    /// Starts ourselves in a container: plainly, then with limits that this process may set,
    /// because root in a container of CI may not raise them as engines do.
    async fn what_it_takes(&self, network: &str) -> Result<Flags, String> {
        let image = self.image("empty");
        let name = image.name.clone();
        let loading = load_archive(self.loader, move |out| {
            write_empty_docker_archive(&name, out)
        });
        in_time(PATIENCE, loading).await?;
        let mut flags = Flags::default();
        let mut runs = self.runs_us(&image.name, &flags, network).await;
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
            runs = self.runs_us(&image.name, &flags, network).await;
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

    async fn runs_us(&self, image: &str, flags: &Flags, network: &str) -> Result<(), String> {
        let name = unique("try");
        let gone = Gone::later(self.loader, remove(&name));
        let mut run = self.run(&name, flags, network)?;
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

fn remove(container: &str) -> [&str; 4] {
    ["rm", "--force", "--volumes", container]
}

async fn in_time(
    at_most: Duration,
    loading: impl Future<Output = Result<(), LoadError>>,
) -> Result<(), String> {
    match timeout(at_most, loading).await {
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
