//! Releases that GitHub's side does not let be: nothing is changed by them, anywhere.

use nixpy_testkit::github::not_permitted;
use nixpy_testkit::registry::{Fault, Method};
use serde_json::json;

use super::{FIRST, SECOND, World};

fn refused(world: &World, tag: &str, sha: &str, because: &[&str]) {
    world.reset();
    let ended = world.release(tag, sha, &["--floating-tags"]);
    assert_eq!(ended.code, 2, "{ended}");
    for text in because {
        assert!(ended.stderr.contains(text), "{text}\n{ended}");
    }
    assert_eq!(world.written(), [""; 0]);
}

#[test]
fn a_tag_of_another_commit_is_not_the_images() {
    let world = World::new();
    world.github.set_ref("tags/v1.2.3", SECOND);
    refused(
        &world,
        "v1.2.3",
        FIRST,
        &["the tag v1.2.3 is commit 2222222", "image is of 1111111"],
    );
}

#[test]
fn a_release_that_somebody_has_made_for_good_gets_its_text_and_no_files() {
    let world = World::new();
    world.github.set_ref("tags/v1.2.3", FIRST);
    world.github.makes_releases_immutable();
    let release =
        json!({ "tag_name": "v1.2.3", "name": "v1.2.3", "body": "By hand", "draft": false });
    world.github.add_release(release);
    let ended = world.release("v1.2.3", FIRST, &[]).succeeded();
    assert!(ended.stdout.contains("digests.txt  left out"), "{ended}");
    let body = world.body("v1.2.3");
    assert!(
        body.starts_with("By hand\n\n<!-- nixpy-ci release"),
        "{body}"
    );
    world.reset();
    world.release("v1.2.3", FIRST, &[]).succeeded();
    assert_eq!(world.written(), [""; 0]);
}

#[test]
fn with_releases_that_become_immutable_everything_is_attached_before() {
    let world = World::new();
    world.github.makes_releases_immutable();
    world.released("v1.2.3", FIRST, &["--floating-tags"]);
    assert_eq!(world.github.releases()[0].assets.len(), 2);
}

#[test]
fn a_dry_run_only_asks() {
    let world = World::new();
    let ended = world
        .release("v1.2.3", FIRST, &["--floating-tags", "--dry-run"])
        .succeeded();
    assert_eq!(world.written(), [""; 0]);
    for text in [
        "release v1.2.3  would be made",
        "digests.txt  would be attached",
        "git tag v1  would be made",
    ] {
        assert!(ended.stdout.contains(text), "{text}\n{ended}");
    }
}

/// As where a commit brings workflows that no branch has: the job's own token may never move a tag there.
#[test]
fn a_floating_tag_that_github_refuses_is_told_and_the_release_is_out() {
    let world = World::new();
    world.github.set_ref("tags/v1", SECOND);
    world
        .github
        .accepts("contents=write; contents=write,workflows=write");
    world.github.fail(not_permitted("/git/refs"));
    let ended = world.released("v1.2.3", FIRST, &["--floating-tags"]);
    assert_eq!(world.told("v1.2.3")["draft"], json!(false));
    assert!(world.registry.tag("acme/api", "latest").is_some());
    assert_eq!(world.github.git_ref("tags/v1").as_deref(), Some(SECOND));
    let warnings: Vec<&str> = ended
        .stderr
        .lines()
        .filter(|line| line.starts_with("::warning"))
        .collect();
    assert_eq!(warnings.len(), 2, "v1.2 and v1: {ended}");
    for text in [
        "the release is out, and the git tag v1 is not moved",
        "403, Resource not accessible by integration; GitHub accepts contents=write; contents=write,workflows=write",
        "`workflows: write` as well, which a job's own token never has",
        &format!("git push --force origin {FIRST}:refs/tags/v1"),
    ] {
        assert!(warnings[1].contains(text), "{text}\n{ended}");
    }
    assert!(!ended.stderr.contains("add `contents: write`"), "{ended}");
    assert!(
        ended
            .stdout
            .contains("git tag v1.2  refused by GitHub: 403"),
        "{ended}"
    );

    // The next run tries again, and does nothing else.
    world.github.heal();
    world.reset();
    world
        .release("v1.2.3", FIRST, &["--floating-tags"])
        .succeeded();
    assert_eq!(world.written(), ["POST git/refs", "PATCH git/refs/tags/v1"]);
    assert_eq!(world.github.git_ref("tags/v1").as_deref(), Some(FIRST));
}

#[test]
fn a_rule_that_stands_against_a_floating_tag_is_told_as_well_and_trouble_is_a_failure() {
    for (status, code) in [(404, 0), (422, 0), (500, 4)] {
        let world = World::new();
        world.github.set_ref("tags/v1.2.3", FIRST);
        let fault = Fault::status(status).code("Repository rule violations found");
        world
            .github
            .fail(fault.on(Method::POST, "/git/refs").always());
        let ended = world.release("v1.2.3", FIRST, &["--floating-tags", "--json"]);
        assert_eq!(ended.code, code, "{status}: {ended}");
        assert_eq!(world.told("v1.2.3")["draft"], json!(false));
        if code == 0 {
            let floating = &ended.json()["github"]["floating"][0];
            assert_eq!(floating["step"], "refused", "{ended}");
            let why = floating["why"].as_str().unwrap();
            assert!(why.starts_with(&status.to_string()), "{why}");
        }
    }
}
