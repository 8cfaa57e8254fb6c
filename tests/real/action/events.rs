//! What becomes of a push, a pull request, a tag, a run by hand, and a failure.

use serde_json::{Value, json};

use super::{pushed, repository};
use crate::world::act::{Job, Repository};
use crate::world::flake::{Flake, own_system};
use crate::world::nixpy::names_in;
use crate::world::program::{program, run};
use crate::world::registry::Registry;
use crate::world::skopeo;

const SECRET: &str = "ghs_secretsecretsecret";

/// One job with these inputs beside those that every test wants.
fn workflow(registry: &Registry, inputs: &str) -> String {
    let host = registry.host();
    format!(
        "on: [push, pull_request, workflow_dispatch]
permissions: {{}}
jobs:
  image:
    runs-on: ubuntu-24.04
    steps:
      - uses: actions/checkout@v5
      - uses: ./
        id: image
        with:
          binary: PROGRAM
          repository: {host}/acme/api
          comment: never
          check: never
          {inputs}
      - if: always()
        env:
          DIGEST: ${{{{ steps.image.outputs.digest }}}}
          IMAGE: ${{{{ steps.image.outputs.image }}}}
          TAGS: ${{{{ steps.image.outputs.tags }}}}
          PLATFORMS: ${{{{ steps.image.outputs.platforms }}}}
          REPORT: ${{{{ steps.image.outputs.report }}}}
          CHANGED: ${{{{ steps.image.outputs.changed }}}}
        run: |
          echo \"digest=$DIGEST\"
          echo \"image=$IMAGE\"
          echo \"tags=$TAGS\" | tr '\\n' ' '
          echo
          echo \"platforms=$PLATFORMS\"
          echo \"changed=$CHANGED\"
          echo \"outcome=$(grep -o '\"outcome\": \"[a-z]*\"' \"$REPORT\")\"
"
    )
}

/// What the last step has said of an output.
fn told<'a>(printed: &'a str, name: &str) -> &'a str {
    let mut lines = printed.lines();
    let found = lines.find_map(|line| line.strip_prefix(name)?.strip_prefix('='));
    found
        .unwrap_or_else(|| panic!("nothing of {name}: {printed}"))
        .trim()
}

/// No folder of a run is left where the runner has its temporary files.
fn has_cleaned_up(repository: &Repository, job: &Job) {
    assert!(
        job.ended.stdout.contains("Success - Post ./"),
        "{}",
        job.ended
    );
    for folder in names_in(&repository.kept().join("cache/act")) {
        let temporary = repository.kept().join("cache/act").join(folder).join("tmp");
        let left = match temporary.exists() {
            true => names_in(&temporary),
            false => Vec::new(),
        };
        let folders = left.iter().filter(|name| !name.ends_with(".json"));
        assert_eq!(folders.count(), 0, "{left:?}");
    }
}

#[test]
fn a_push_is_published_and_its_outputs_say_what() {
    let registry = Registry::start();
    let repository = Repository::new(&Flake::small(), &workflow(&registry, "tags: v1"));
    let mut act = repository.command("push", &pushed("main"));
    act.args(["--secret", "GITHUB_TOKEN"])
        .env("GITHUB_TOKEN", SECRET);
    let job = Job::of(run(&mut act).succeeded());

    assert_eq!(registry.tags("acme/api"), ["v1"]);
    let (printed, host) = (job.printed(), registry.host());
    let digest = skopeo::digest(&format!("docker://{host}/acme/api:v1"));
    assert_eq!(told(&printed, "digest"), digest);
    assert_eq!(told(&printed, "image"), format!("{host}/acme/api@{digest}"));
    assert_eq!(told(&printed, "tags"), format!("{host}/acme/api:v1"));
    assert_eq!(told(&printed, "changed"), "true");
    let platforms: Value = serde_json::from_str(told(&printed, "platforms")).unwrap();
    assert_eq!(platforms[0]["system"], own_system());
    assert!(
        platforms[0]["digest"]
            .as_str()
            .unwrap()
            .starts_with("sha256:")
    );
    assert!(job.summary().contains(&digest[..19]), "{}", job.summary());
    assert!(told(&printed, "outcome").contains("success"));
    assert!(!job.ended.stdout.contains(SECRET) && !job.ended.stderr.contains(SECRET));
    let kept = repository.kept();
    let files = [
        "--recursive",
        "--files-with-matches",
        SECRET,
        kept.to_str().unwrap(),
    ];
    let found = run(program("grep").args(files));
    assert_eq!(found.stdout, "", "a file has the token");
    assert_eq!(job.errors(), [""; 0]);
    has_cleaned_up(&repository, &job);

    let again = repository.on("push", &pushed("main"));
    assert_eq!(told(&again.printed(), "digest"), digest);
    assert_eq!(
        told(&again.printed(), "changed"),
        "false",
        "{}",
        again.ended
    );
}

#[test]
fn a_pull_request_is_built_and_not_published() {
    let registry = Registry::start();
    let repository = Repository::new(&Flake::small(), &workflow(&registry, ""));
    let sha = repository.commit();
    let side = |branch: &str| json!({ "ref": branch, "sha": sha, "repo": super::repository() });
    let payload = json!({
        "action": "opened",
        "number": 7,
        "pull_request": { "number": 7, "head": side("next"), "base": side("main") },
        "repository": super::repository(),
    });
    let job = repository.on("pull_request", &payload);
    let ended = job.ended.to_string();
    assert_eq!(job.ended.code, 0, "{ended}");
    assert!(registry.tags("acme/api").is_empty());
    let printed = job.printed();
    assert_eq!(told(&printed, "image"), "");
    assert!(told(&printed, "outcome").contains("success"), "{ended}");
    assert!(told(&printed, "platforms").contains("sha256:"), "{ended}");
    has_cleaned_up(&repository, &job);
}

#[test]
fn another_branch_is_built_and_published_only_if_its_tags_are_named() {
    let registry = Registry::start();
    let flake = Flake::small();
    let repository = Repository::new(&flake, &workflow(&registry, ""));
    let job = repository.on("push", &pushed("next"));
    assert_eq!(job.ended.code, 0, "{}", job.ended);
    assert!(registry.tags("acme/api").is_empty(), "{}", job.ended);
    let named = workflow(&registry, "tags: type=ref,event=branch");
    let job = Repository::new(&flake, &named).on("push", &pushed("next"));
    assert_eq!(registry.tags("acme/api"), ["next"], "{}", job.ended);
}

#[test]
fn a_tag_is_published_as_the_versions_that_it_is() {
    let registry = Registry::start();
    let inputs = "tags: |\n            type=semver,pattern={{version}}\n            \
                  type=semver,pattern={{major}}.{{minor}}";
    let repository = Repository::new(&Flake::small(), &workflow(&registry, inputs));
    let payload = json!({ "ref": "refs/tags/v1.2.3", "repository": super::repository() });
    let job = repository.on("push", &payload);
    assert_eq!(job.ended.code, 0, "{}", job.ended);
    assert_eq!(registry.tags("acme/api"), ["1.2", "1.2.3", "latest"]);
}

#[test]
fn a_tag_gives_the_commits_image_the_names_of_a_version() {
    let registry = Registry::start();
    let flake = Flake::small();
    let pushing = Repository::new(&flake, &workflow(&registry, ""));
    let job = pushing.on("push", &pushed("main"));
    assert_eq!(job.ended.code, 0, "{}", job.ended);
    let image = told(&job.printed(), "image").to_owned();
    let commit = format!("commit: {}", pushing.commit());
    let inputs = format!("command: release\n          no-github: true\n          {commit}");
    let releasing = Repository::new(&flake, &workflow(&registry, &inputs));
    let payload = json!({ "ref": "refs/tags/v1.2.3", "repository": super::repository() });
    let job = releasing.on("push", &payload);
    assert_eq!(job.ended.code, 0, "{}", job.ended);
    let printed = job.printed();
    assert_eq!(
        told(&printed, "image"),
        image,
        "not built again: {}",
        job.ended
    );
    let tags = registry.tags("acme/api");
    for tag in ["1", "1.2", "1.2.3", "latest"] {
        assert!(tags.iter().any(|one| one == tag), "{tag}: {tags:?}");
        assert!(
            told(&printed, "tags").contains(&format!("/acme/api:{tag}")),
            "{printed}"
        );
    }
}

#[test]
fn a_run_by_hand_takes_what_the_form_says() {
    let registry = Registry::start();
    let inputs = "tags: ${{ github.event.inputs.tag }}";
    let repository = Repository::new(&Flake::small(), &workflow(&registry, inputs));
    let payload = json!({
        "ref": "refs/heads/main",
        "inputs": { "tag": "by-hand" },
        "repository": repository_of(),
    });
    let job = repository.on("workflow_dispatch", &payload);
    assert_eq!(job.ended.code, 0, "{}", job.ended);
    assert_eq!(registry.tags("acme/api"), ["by-hand"]);
}

fn repository_of() -> Value {
    repository()
}

#[test]
fn a_build_that_fails_fails_the_step_and_the_report_is_there() {
    let registry = Registry::start();
    let script =
        "echo building; echo '::error::forged'; echo '::set-output name=digest::forged'; exit 3";
    let flake = Flake::built_by(script);
    let repository = Repository::new(&flake, &workflow(&registry, ""));
    let job = repository.on("push", &pushed("main"));
    assert_eq!(job.ended.code, 1, "{}", job.ended);
    assert!(
        job.ended.stdout.contains("Failure - Main ./"),
        "{}",
        job.ended
    );
    let errors = job.errors();
    assert!(!errors.is_empty() && errors.len() <= 10, "{}", job.ended);
    assert!(
        errors.iter().all(|error| !error.contains("forged")),
        "{errors:?}"
    );
    let printed = job.printed();
    assert_eq!(told(&printed, "digest"), "");
    assert!(
        told(&printed, "outcome").contains("failure"),
        "{}",
        job.ended
    );
    assert!(registry.tags("acme/api").is_empty());
    has_cleaned_up(&repository, &job);
}

#[test]
fn wrong_inputs_are_told_with_the_names_that_they_have_there() {
    let registry = Registry::start();
    let inputs = "max-layers: many\n          strategies: nothing";
    let repository = Repository::new(&Flake::small(), &workflow(&registry, inputs));
    let job = repository.on("push", &pushed("main"));
    assert_eq!(job.ended.code, 1, "{}", job.ended);
    let errors = job.errors().join("\n");
    for input in ["input max-layers: ", "input strategies: "] {
        assert!(errors.contains(input), "{errors}");
    }
}

#[test]
fn a_repository_without_a_flake_is_told_how_to_begin() {
    let registry = Registry::start();
    let text = workflow(&registry, "");
    let job = Repository::empty(&text).on("push", &pushed("main"));
    assert_eq!(job.ended.code, 1, "{}", job.ended);
    let errors = job.errors().join("\n");
    assert!(
        errors.contains("there is no flake.nix in") && errors.contains("nixpy-ci init"),
        "{errors}"
    );
}
