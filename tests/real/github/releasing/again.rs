//! A release that is there, and one that was stopped on the way.

use nixpy_testkit::github::{Fault, Method};

use super::{FIRST, SECOND, World};

/// Every request of a release that changes something at GitHub: which, and which of its kind.
const WRITES: [(Method, &str, u64); 6] = [
    (Method::POST, "/releases", 1),
    (Method::POST, "/assets", 1),
    (Method::POST, "/assets", 2),
    (Method::PATCH, "/releases/", 1),
    (Method::POST, "/git/refs", 1),
    (Method::POST, "/git/refs", 2),
];

fn is_whole(world: &World) {
    assert_eq!(world.told("v1.2.3")["draft"], false);
    assert_eq!(world.github.releases()[0].assets.len(), 2);
    for name in ["tags/v1", "tags/v1.2"] {
        assert_eq!(world.github.git_ref(name).as_deref(), Some(FIRST), "{name}");
    }
    let digest = world.registry.tag("acme/api", &format!("sha-{FIRST}"));
    for tag in ["1.2.3", "1.2", "1", "latest"] {
        assert_eq!(world.registry.tag("acme/api", tag), digest, "{tag}");
    }
}

#[test]
fn a_second_release_writes_nothing_anywhere() {
    let world = World::new();
    world.released("v1.2.3", FIRST, &["--floating-tags"]);
    for frozen in [false, true] {
        if frozen {
            world.github.makes_releases_immutable();
        }
        world.reset();
        let ended = world
            .release("v1.2.3", FIRST, &["--floating-tags"])
            .succeeded();
        assert_eq!(world.written(), [""; 0]);
        assert!(
            ended.stdout.contains("nothing had to be changed"),
            "{ended}"
        );
    }
    // Also when there is a newer one by now.
    world.released("v1.3.0", SECOND, &["--floating-tags"]);
    world.reset();
    world
        .release("v1.2.3", FIRST, &["--floating-tags"])
        .succeeded();
    assert_eq!(world.written(), [""; 0]);
}

#[test]
fn a_release_that_was_stopped_anywhere_is_completed_by_the_next() {
    for (method, path, nth) in WRITES {
        let world = World::new();
        let refused = Fault::status(403).code("Resource not accessible by integration");
        world.github.fail(refused.on(method.clone(), path).nth(nth));
        world.github.set_ref("tags/v1.2.3", FIRST);
        let stopped = world.release("v1.2.3", FIRST, &["--floating-tags"]);
        // When git tags are moved the release is out.
        let code = if path == "/git/refs" { 0 } else { 4 };
        assert_eq!(stopped.code, code, "{method} {path} {nth}: {stopped}");
        assert!(stopped.stderr.contains("contents: write"), "{stopped}");
        let is_public = world
            .github
            .releases()
            .iter()
            .any(|it| it.body["draft"] == false);
        let is_tagged = world.registry.tag("acme/api", "latest").is_some();
        assert_eq!(is_public, path == "/git/refs");
        assert_eq!(is_tagged, ["/git/refs", "/releases/"].contains(&path));
        world.github.heal();
        world
            .release("v1.2.3", FIRST, &["--floating-tags"])
            .succeeded();
        is_whole(&world);
    }
}

#[test]
fn a_registry_that_stops_in_between_leaves_a_draft_that_is_gone_on_with() {
    let world = World::new();
    world
        .registry
        .fail(Fault::status(403).on(Method::PUT, "/manifests/1"));
    let stopped = world.release("v1.2.3", FIRST, &["--floating-tags"]);
    assert_eq!(stopped.code, 4, "{stopped}");
    assert_eq!(world.told("v1.2.3")["draft"], true);
    world.reset();
    world
        .release("v1.2.3", FIRST, &["--floating-tags"])
        .succeeded();
    is_whole(&world);
    let written = world.written();
    assert!(
        !written.contains(&"POST releases".to_owned()),
        "{written:?}"
    );
    assert!(
        !written.iter().any(|one| one.ends_with("/assets")),
        "{written:?}"
    );
}

#[test]
fn an_answer_that_is_lost_doubles_nothing() {
    for (method, path, nth) in WRITES {
        let world = World::new();
        world.github.set_ref("tags/v1.2.3", FIRST);
        let lost = Fault::lose_answer().on(method.clone(), path).nth(nth);
        world.github.fail(lost);
        let ended = world.release("v1.2.3", FIRST, &["--floating-tags"]);
        assert_eq!(ended.code, 0, "{method} {path} {nth}: {ended}");
        is_whole(&world);
    }
}
