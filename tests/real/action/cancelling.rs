//! A job that is cancelled: the runner interrupts the launcher while Nix builds.

use std::fs;
use std::process::{Command, Output, Stdio};
use std::time::Duration;

use crate::world::act::{project, tool};
use crate::world::chain::{Chain, Folder, with_key};
use crate::world::flake::{Flake, own_system};
use crate::world::nap::is_running;
use crate::world::nixpy::{Workplace, binary, names_in};
use crate::world::program::{Ended, NIX_CONFIG, output_of, program_at, run, wait_for};
use crate::world::registry::Registry;

/// A step of the action in a job.
struct Step {
    here: Workplace,
    variables: Vec<(&'static str, String)>,
}

impl Step {
    /// With these inputs, by the names that the runner gives them.
    fn with(inputs: &[(&'static str, String)]) -> Self {
        let here = Workplace::new();
        fs::create_dir(here.path("temp")).unwrap();
        let mut variables = inputs.to_vec();
        variables.extend([
            ("RUNNER_TEMP", here.path("temp").display().to_string()),
            ("INPUT_BINARY", binary().display().to_string()),
            ("INPUT_SETUP", "false".to_owned()),
        ]);
        Self { here, variables }
    }

    fn of_node(&self, script: &str) -> Command {
        let mut node = program_at(&tool("bin/node"));
        node.arg(project().join("action").join(script));
        self.here.prepare(&mut node);
        node.env_remove("TMPDIR").envs(self.variables.clone());
        node
    }

    /// Interrupted as soon as a process with these words in its arguments is there.
    fn cancelled_at(&self, words: &str) -> Output {
        let mut main = self.of_node("main.js");
        main.env("GITHUB_STATE", self.here.path("state"))
            .env("GITHUB_OUTPUT", self.here.path("output"));
        let step = main
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .unwrap();
        wait_for("the builder", Duration::from_secs(60), || {
            is_running(words).then_some(())
        });
        output_of("kill", ["-INT", &step.id().to_string()]);
        step.wait_with_output().unwrap()
    }

    fn state(&self) -> Vec<(String, String)> {
        let state = fs::read_to_string(self.here.path("state")).unwrap();
        let pairs = state.lines().filter_map(|line| line.split_once('='));
        pairs
            .map(|(name, value)| (format!("STATE_{name}"), value.to_owned()))
            .collect()
    }

    /// What the launcher has made for it.
    fn left(&self) -> Vec<String> {
        let state = self.state();
        let (_, folder) = state
            .iter()
            .find(|(name, _)| name == "STATE_folder")
            .unwrap();
        names_in(folder.as_ref())
    }

    /// After all steps of the job.
    fn post(&self) -> Ended {
        let ended = run(self.of_node("post.js").envs(self.state())).succeeded();
        assert!(names_in(&self.here.path("temp")).is_empty(), "{ended}");
        ended
    }
}

#[test]
fn a_cancelled_step_ends_in_order_and_leaves_nothing() {
    let registry = Registry::start();
    // Other tests have sleepers of their own, with other digits.
    let sleep = format!("sleep {}", 3_000_000_000_u32 + std::process::id());
    let flake = Flake::built_by(&sleep);
    let step = Step::with(&[
        ("INPUT_FLAKE", flake.image()),
        ("INPUT_REPOSITORY", format!("{}/acme/api", registry.host())),
    ]);
    let ended = step.cancelled_at(&sleep);
    let said = String::from_utf8_lossy(&ended.stderr);
    assert_eq!(ended.status.code(), Some(130), "{said}");
    assert!(said.contains("cancelled: no tag was moved"), "{said}");
    assert!(registry.tags("acme/api").is_empty());
    wait_for("the builder to be gone", Duration::from_secs(60), || {
        (!is_running(&sleep)).then_some(())
    });
    assert!(step.left().is_empty(), "the run has left nothing");
    let ended = step.post();
    assert_eq!((ended.stdout.as_str(), ended.stderr.as_str()), ("", ""));
}

#[test]
fn what_a_cancelled_step_has_built_is_pushed_by_post() {
    let (chain, nap) = Chain::slow();
    let place = tempfile::tempdir().unwrap();
    let (cache, upstream) = (Folder(place.path().join("cache")), place.path().join("up"));
    fs::create_dir(&upstream).unwrap();
    // A store of its own stands for another machine, of which only the run knows what it has
    // built.
    let store = place.path().join("store");
    let builder = format!("{} {} - 1 1", store.display(), own_system());
    let mut with = Command::new("true");
    let key = with_key(&mut with);
    let secret = with.get_envs().find_map(|(_, value)| value).unwrap();
    let step = Step::with(&[
        ("INPUT_FLAKE", chain.app()),
        ("INPUT_REPOSITORY", "127.0.0.1:9/acme/api".to_owned()),
        ("INPUT_PUSH", "never".to_owned()),
        ("INPUT_CACHE", format!("{} write", cache.url())),
        (
            "INPUT_CACHE-UPSTREAM",
            format!("file://{}", upstream.display()),
        ),
        ("INPUT_CACHE-KEY", secret.to_str().unwrap().to_owned()),
        (
            "NIX_CONFIG",
            format!("{NIX_CONFIG}\nbuilders = {builder}\nmax-jobs = 0"),
        ),
    ]);
    // Nothing can be stored there while the step runs.
    fs::write(&cache.0, "").unwrap();
    let ended = step.cancelled_at(&nap.pattern());
    assert_eq!(ended.status.code(), Some(130));
    // Nix's hook ends, and what it has had built in a store of this machine does not.
    nap.end();
    assert!(step.left().contains(&"unfinished".to_owned()));

    fs::remove_file(&cache.0).unwrap();
    let ended = step.post();
    assert_eq!(
        cache.names(),
        ["lib", "tool"],
        "the app was not built: {ended}"
    );
    cache.is_sound(&chain.place_of("lib"), &key);
    let said = &ended.stderr;
    assert!(said.contains("2 paths pushed"), "{said}");
    assert!(!said.contains("unfinished"), "the note is no news: {said}");
}
