//! Releases that GitHub's side does not let be: nothing is changed by them, anywhere.

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
