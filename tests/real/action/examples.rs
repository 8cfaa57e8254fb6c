//! The examples that users copy, as they are: what one job leaves fits what the next one wants.
//!
//! `org/nixpy-action@v1` is this action, whose program lies in the tool cache and asks GitHub's
//! double. Artifacts are folders: of the actions that handle them there are stand-ins which
//! follow their documented inputs.

use std::fs;
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};

use nixpy_testkit::github::{Github, Pull, TOKEN};
use serde_json::{Value, json};

use super::pushed;
use crate::world::act::{Job, Repository, project};
use crate::world::flake::Flake;
use crate::world::nixpy::binary;
use crate::world::program::{output_of, run};
use crate::world::registry::Registry;
use crate::world::skopeo;

/// `name` is a folder, `path` a file or a folder.
const UPLOAD: &str = "
const fs = require('fs'), path = require('path')
const { INPUT_NAME: name, INPUT_PATH: from, 'INPUT_IF-NO-FILES-FOUND': missing } = process.env
if (!fs.existsSync(from) && missing === 'error') throw new Error('no files were found with ' + from)
if (fs.existsSync(from)) fs.cpSync(from, path.join(ARTIFACTS, name, path.basename(from)), { recursive: true })
";

/// One by its `name` goes into `path` itself, those of a `pattern` into a folder each unless merged.
const DOWNLOAD: &str = "
const fs = require('fs'), path = require('path')
const { INPUT_NAME: name, INPUT_PATTERN: pattern, INPUT_PATH: to, 'INPUT_MERGE-MULTIPLE': merge } = process.env
const fits = (it) => name ? it === name : new RegExp('^' + pattern.replaceAll('*', '.*') + '$').test(it)
const found = fs.existsSync(ARTIFACTS) ? fs.readdirSync(ARTIFACTS).filter(fits) : []
if (name && !found.length) throw new Error('Artifact not found for name: ' + name)
for (const one of found) {
  fs.cpSync(path.join(ARTIFACTS, one), name || merge === 'true' ? to : path.join(to, one), { recursive: true })
}
";

struct World {
    registry: Registry,
    github: Github,
    repository: Repository,
    /// This action, and those that it does not come from.
    actions: tempfile::TempDir,
}

impl World {
    fn with(examples: &[&str]) -> Self {
        let systems = ["x86_64-linux", "aarch64-linux"];
        let flake = Flake::for_systems(&systems, "cat $archive > $out");
        let world = Self {
            registry: Registry::start(),
            github: Github::start(),
            repository: Repository::with_examples(&flake, examples),
            actions: tempfile::tempdir().unwrap(),
        };
        world
            .github
            .add_commit(&world.repository.commit(), None, "a service");
        world.has_action();
        for (name, script) in [("upload-artifact", UPLOAD), ("download-artifact", DOWNLOAD)] {
            let folder = world.folder(name);
            fs::create_dir(&folder).unwrap();
            let about = "name: stand-in\nruns:\n  using: node24\n  main: index.js\n";
            fs::write(folder.join("action.yml"), about).unwrap();
            let artifacts = json!(world.folder("artifacts"));
            let script = format!("const ARTIFACTS = {artifacts}\n{script}");
            fs::write(folder.join("index.js"), script).unwrap();
        }
        world
    }

    fn folder(&self, name: &str) -> PathBuf {
        self.actions.path().join(name)
    }

    /// With a list and a tool cache as a release has them.
    fn has_action(&self) {
        let action = self.folder("nixpy-action");
        fs::create_dir(&action).unwrap();
        for part in ["action.yml", "action"] {
            output_of("cp", [Path::new("-r"), &project().join(part), &action]);
        }
        // A runner of GitHub's knows where GitHub is; act knows one place only. Not every shell
        // hands on variables with a hyphen in their names, as inputs have.
        let script = format!(
            "#!/bin/bash\nGITHUB_API_URL={} exec {} \"$@\"\n",
            self.github.api_url(),
            binary().display()
        );
        let program = self.folder("nixpy-ci");
        fs::write(&program, script).unwrap();
        fs::set_permissions(&program, fs::Permissions::from_mode(0o755)).unwrap();
        self.repository.has_in_tool_cache(&program, &action);
    }

    /// Runs one of the examples.
    fn runs(&self, example: &str, event: &str, payload: &Value) -> Job {
        let file = format!(".github/workflows/{example}");
        let text = fs::read_to_string(self.repository.folder().join(&file)).unwrap();
        let mut act = self.repository.command(event, payload);
        act.args(["--workflows", &file, "--secret", "GITHUB_TOKEN"])
            .env("GITHUB_TOKEN", TOKEN)
            .arg("--env")
            .arg(format!(
                "NIXPY_REPOSITORY={}/acme/service",
                self.registry.host()
            ));
        let words = text.split_whitespace();
        for used in words.filter(|word| word.contains('@')) {
            let (name, _) = used.split_once('@').unwrap();
            let folder = self.folder(name.split_once('/').unwrap().1);
            if folder.is_dir() {
                let instead = format!("{used}={}", folder.display());
                act.args(["--local-repository", &instead]);
            }
        }
        let job = Job::of(run(&mut act));
        assert_eq!(job.ended.code, 0, "{}", job.ended);
        job
    }
}

#[test]
fn the_matrix_is_joined_and_its_index_is_what_a_tag_releases() {
    let world = World::with(&["matrix.yaml", "release.yaml"]);
    world.runs("matrix.yaml", "push", &pushed("main"));
    let name = format!("docker://{}/acme/service", world.registry.host());
    let commit = world.repository.commit();
    let of_the_commit = format!("{name}:sha-{commit}");
    let digest = skopeo::digest(&of_the_commit);
    for architecture in ["amd64", "arm64"] {
        let config = skopeo::config(&of_the_commit, architecture);
        assert_eq!(config["architecture"], architecture);
    }
    let tags = world.registry.tags("acme/service");
    assert!(
        !tags.contains(&"latest".to_owned()),
        "that is the release's: {tags:?}"
    );

    world.github.set_ref("tags/v1.2.3", &commit);
    let payload = json!({ "ref": "refs/tags/v1.2.3", "repository": super::repository() });
    let job = world.runs("release.yaml", "push", &payload);
    for tag in ["1.2.3", "1.2", "1", "latest"] {
        let released = skopeo::digest(&format!("{name}:{tag}"));
        assert_eq!(released, digest, "{tag}: {}", job.ended);
    }
    let releases = world.github.releases();
    assert_eq!(releases.len(), 1);
    assert_eq!(releases[0].body["tag_name"], "v1.2.3");
    assert_eq!(releases[0].body["draft"], false);
    assert_eq!(world.github.git_ref("tags/v1"), Some(commit));
    assert_eq!(world.github.take_complaints(), [""; 0]);
}

#[test]
fn what_a_forks_build_leaves_is_posted_by_the_other_half() {
    let world = World::with(&["fork-build.yaml", "fork-report.yaml"]);
    let head = world.repository.commit();
    world.github.add_pull(Pull {
        number: 7,
        head_repository: "mallory/service".to_owned(),
        head_ref: "feature".to_owned(),
        head_sha: head.clone(),
        open: true,
    });
    let side =
        |repository: Value, branch: &str| json!({ "ref": branch, "sha": head, "repo": repository });
    let fork = json!({ "full_name": "mallory/service", "fork": true });
    let payload = json!({
        "action": "opened",
        "number": 7,
        "pull_request": {
            "number": 7,
            "head": side(fork.clone(), "feature"),
            "base": side(super::repository(), "main"),
        },
        "repository": super::repository(),
    });
    let job = world.runs("fork-build.yaml", "pull_request", &payload);
    assert!(world.registry.tags("acme/service").is_empty());
    assert_eq!(world.github.requests().len(), 0, "{}", job.ended);
    assert!(
        world.folder("artifacts/nixpy-ci-report").is_dir(),
        "{}",
        job.ended
    );

    let payload = json!({
        "action": "completed",
        "workflow_run": {
            "id": 100, "run_attempt": 1, "name": "fork-build", "event": "pull_request", "conclusion": "success",
            "head_branch": "feature", "head_sha": head, "pull_requests": [], "head_repository": fork,
        },
        "workflow": { "name": "fork-build" },
        "repository": super::repository(),
    });
    let job = world.runs("fork-report.yaml", "workflow_run", &payload);
    let comments = world.github.comments(7);
    assert_eq!(comments.len(), 1, "{}", job.ended);
    assert!(
        comments[0].body.contains("Image built, not pushed"),
        "{}",
        comments[0].body
    );
    assert_eq!(world.github.take_complaints(), [""; 0]);
}
