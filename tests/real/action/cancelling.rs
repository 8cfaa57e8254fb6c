//! A job that is cancelled: the runner interrupts the launcher while Nix builds.

use std::fs;
use std::process::Stdio;
use std::time::Duration;

use crate::world::act::{project, tool};
use crate::world::flake::Flake;
use crate::world::nixpy::{Workplace, binary, names_in};
use crate::world::program::{output_of, program, program_at, run, wait_for};
use crate::world::registry::Registry;

#[test]
fn a_cancelled_step_ends_in_order_and_leaves_nothing() {
    let (here, registry) = (Workplace::new(), Registry::start());
    // Other tests have sleepers of their own, with other digits.
    let sleep = format!("sleep {}", 3_000_000_000_u32 + std::process::id());
    let flake = Flake::built_by(&sleep);
    fs::create_dir(here.path("temp")).unwrap();
    let mut node = program_at(&tool("bin/node"));
    node.arg(project().join("action/main.js"));
    here.prepare(&mut node);
    node.env_remove("TMPDIR")
        .env("RUNNER_TEMP", here.path("temp"))
        .env("GITHUB_STATE", here.path("state"))
        .env("GITHUB_OUTPUT", here.path("output"))
        .env("INPUT_BINARY", binary())
        .env("INPUT_SETUP", "false")
        .env("INPUT_FLAKE", flake.image())
        .env("INPUT_REPOSITORY", format!("{}/acme/api", registry.host()));
    let step = node
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    let is_running = || run(program("pgrep").args(["--full", "--", &sleep])).code == 0;
    wait_for("the builder", Duration::from_secs(60), || {
        is_running().then_some(())
    });
    output_of("kill", ["-INT", &step.id().to_string()]);
    let ended = step.wait_with_output().unwrap();

    let said = String::from_utf8_lossy(&ended.stderr);
    assert_eq!(ended.status.code(), Some(130), "{said}");
    assert!(said.contains("cancelled: no tag was moved"), "{said}");
    assert!(registry.tags("acme/api").is_empty());
    wait_for("the builder to be gone", Duration::from_secs(10), || {
        (!is_running()).then_some(())
    });

    let state = fs::read_to_string(here.path("state")).unwrap();
    let folder = state.lines().find_map(|line| line.strip_prefix("folder="));
    let folder = folder.unwrap().to_owned();
    assert!(
        names_in(folder.as_ref()).is_empty(),
        "the run has left nothing"
    );
    let mut post = program_at(&tool("bin/node"));
    post.arg(project().join("action/post.js"));
    for line in state.lines() {
        let (name, value) = line.split_once('=').unwrap();
        post.env(format!("STATE_{name}"), value);
    }
    let ended = run(&mut post).succeeded();
    assert_eq!((ended.stdout.as_str(), ended.stderr.as_str()), ("", ""));
    assert!(names_in(&here.path("temp")).is_empty());
}
