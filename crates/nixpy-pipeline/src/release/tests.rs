#![allow(clippy::unwrap_used)]

use std::collections::BTreeMap;

use nixpy_oci::destination::Stored;
use nixpy_oci::digest::Digest;
use nixpy_oci::manifest::{Descriptor, Manifest, media_type};
use nixpy_oci::name::Tag;
use nixpy_oci::platform::Platform;

use super::*;

const COMMIT: &str = "1f518446f2de55ec5d6c0a8d6cad1d8918d3284d";

fn wanted(version: &str) -> Wanted {
    Wanted {
        version: version.parse().unwrap(),
        commit: Some(COMMIT.parse().unwrap()),
        image: None,
        platforms: Vec::new(),
    }
}

fn image(name: &str) -> ReleasedImage {
    let descriptor = Descriptor::of(media_type::INDEX, name.as_bytes());
    let config = Descriptor::of(media_type::CONFIG, b"{}");
    ReleasedImage {
        reference: format!("ghcr.io/acme/{name}:sha-{COMMIT}"),
        stored: Stored {
            descriptor,
            bytes: name.into(),
        },
        is_released: false,
        revision: None,
        platforms: vec![ReleasedPlatform {
            platform: Platform::linux("amd64"),
            digest: Digest::of(b"amd64"),
            size: 1,
            manifest: Manifest::new(config, Vec::new(), BTreeMap::new()),
        }],
        lacks: Vec::new(),
    }
}

/// A repository that has the image of the commit, and these tags besides; each points to
/// an image of its own name.
fn seen(tags: &[&str]) -> Seen {
    let tags: Vec<Tag> = tags.iter().map(|tag| tag.parse().unwrap()).collect();
    let pointed = tags.iter().map(|tag| {
        let digest = Digest::of(tag.as_ref().as_bytes());
        let version = None;
        (tag.clone(), Pointed { digest, version })
    });
    Seen {
        repository: "ghcr.io/acme/api".parse().unwrap(),
        looked_for: vec![format!("ghcr.io/acme/api:sha-{COMMIT}")],
        image: Some(image("api")),
        pointed: pointed.collect(),
        tags: tags.into_iter().collect(),
    }
}

/// As in `1.2.3 set, latest held by 2.0.0`.
fn told(wanted: &Wanted, seen: &Seen) -> String {
    let plan = decide(wanted, std::slice::from_ref(seen)).unwrap();
    let steps = plan.places[0].tags.iter();
    let steps: Vec<String> = steps
        .map(|TagStep { tag, step }| match step {
            Step::Already => format!("{tag} already"),
            Step::Set => format!("{tag} set"),
            Step::Move { .. } => format!("{tag} moves"),
            Step::Held { newer } => format!("{tag} held by {newer}"),
        })
        .collect();
    steps.join(", ")
}

fn refused(wanted: &Wanted, seen: &[Seen]) -> String {
    let problems = decide(wanted, seen).unwrap_err();
    let texts: Vec<String> = problems.iter().map(ToString::to_string).collect();
    texts.join("\n")
}

#[test]
fn tags_only_go_forward() {
    let first = "1.2.3 set, 1.2 set, 1 set, latest set";
    let next = "1.2.3 set, 1.2 moves, 1 moves, latest moves";
    for (version, tags, becomes) in [
        ("v1.2.3", &[][..], first),
        (
            "v1.2.3",
            &["main", "sha-1234567", "pr-7", "20261122"],
            first,
        ),
        ("v1.2.3", &["1.2.2", "1.2", "1", "latest"], next),
        ("v1.2.3", &["v1.2.2", "1.2", "1", "latest"], next),
        (
            "v1.2.3",
            &["1.2.2", "1.3.0", "1.2", "1.3", "1", "latest"],
            "1.2.3 set, 1.2 moves, 1 held by 1.3.0, latest held by 1.3.0",
        ),
        (
            "v1.2.3",
            &["1.2.10", "1.2", "1", "latest", "2.0.0-rc.1"],
            "1.2.3 set, 1.2 held by 1.2.10, 1 held by 1.2.10, latest held by 1.2.10",
        ),
        // What moved once tells of a release even if its own tag is gone.
        (
            "v1.2.3",
            &["2.1", "latest"],
            "1.2.3 set, 1.2 set, 1 set, latest held by 2.1",
        ),
        ("v2.0.0-rc.1", &["1.2.3", "latest"], "2.0.0-rc.1 set"),
        ("2.0.0rc1", &["1.2.3", "latest"], "2.0.0rc1 set"),
        (
            "0.3.0",
            &["0.2.0", "latest"],
            "0.3.0 set, 0.3 set, latest moves",
        ),
    ] {
        assert_eq!(
            told(&wanted(version), &seen(tags)),
            becomes,
            "{version} {tags:?}"
        );
    }
}

#[test]
fn the_image_under_a_tag_says_of_which_version_it_is() {
    let mut seen = seen(&["latest"]);
    let says = |seen: &mut Seen, version: &str| {
        let latest = seen.pointed.values_mut().next().unwrap();
        latest.version = version.parse().ok();
    };
    says(&mut seen, "3.0.0");
    let becomes = told(&wanted("1.0.0"), &seen);
    assert_eq!(becomes, "1.0.0 set, 1.0 set, 1 set, latest held by 3.0.0");
    for older in ["0.9.0", "main", "3.0.0-rc.1"] {
        says(&mut seen, older);
        let becomes = told(&wanted("1.0.0"), &seen);
        assert_eq!(
            becomes, "1.0.0 set, 1.0 set, 1 set, latest moves",
            "{older}"
        );
    }
}

#[test]
fn a_second_release_has_nothing_to_do() {
    let mut seen = seen(&["1.2.3", "1.2", "1", "latest", "1.2.2"]);
    let released = seen.image.as_ref().unwrap().stored.descriptor.digest;
    for pointed in seen.pointed.values_mut() {
        pointed.digest = released;
    }
    let plan = decide(&wanted("1.2.3"), &[seen]).unwrap();
    assert!(plan.is_done(), "{plan:?}");
}

#[test]
fn a_version_that_is_released_stays_what_it_is() {
    let text = refused(&wanted("1.2.3"), &[seen(&["1.2.3"])]);
    assert!(text.contains("ghcr.io/acme/api:1.2.3 is sha256:"), "{text}");
    assert!(text.contains("under another number"), "{text}");
}

#[test]
fn everything_that_is_wrong_is_told_at_once() {
    let mut one = seen(&["1.2.3"]);
    let found = one.image.as_mut().unwrap();
    found.revision = Some("another\u{1b}[1m".to_owned());
    found.lacks.push(Lack {
        platform: Platform::linux("arm64"),
        digest: Digest::of(b"lost"),
    });
    let (mut other, mut none) = (seen(&[]), seen(&[]));
    other.image = Some(image("web"));
    none.image = None;
    let mut wanted = wanted("1.2.3");
    wanted.platforms = vec![Platform::linux("arm64"), Platform::linux("riscv64")];
    let text = refused(&wanted, &[one, other, none]);
    for part in [
        "is of commit another[1m, and not of 1f518446",
        "is not whole: sha256:",
        "for linux/arm64/v8 is not there;",
        "acme/api:sha-1f518446f2de55ec5d6c0a8d6cad1d8918d3284d has no image for linux/riscv64",
        "acme/web:sha-1f518446f2de55ec5d6c0a8d6cad1d8918d3284d has no image for linux/arm64",
        "a release is one image",
        "has no image of this commit, and ghcr.io/acme/api:sha-1f518446f2de55ec5d6c0a8d6cad1d8918d3284d is one",
        "under another number",
    ] {
        assert!(text.contains(part), "{part}\n{text}");
    }
    // What is not whole has an image for it, only not all of it.
    assert_eq!(
        text.matches(
            "api:sha-1f518446f2de55ec5d6c0a8d6cad1d8918d3284d has no image for linux/arm64"
        )
        .count(),
        0
    );
}

#[test]
fn the_release_before_is_the_newest_that_is_older() {
    let tags = [
        "1.2",
        "1",
        "1.1.0",
        "1.2.0",
        "v1.2.1",
        "1.3.0-rc.1",
        "1.3.0",
        "latest",
    ];
    let tags = tags.iter().map(|tag| tag.parse().unwrap()).collect();
    for (version, before) in [
        ("1.2.2", Some("v1.2.1")),
        ("1.3.0", Some("v1.2.1")),
        ("1.3.0-rc.2", Some("1.3.0-rc.1")),
        ("1.4.0", Some("1.3.0")),
        ("1.0.0", None),
    ] {
        let found = previous(&tags, &version.parse().unwrap());
        let found = found.map(|(_, tag)| tag.to_string());
        assert_eq!(found.as_deref(), before, "{version}");
    }
}

#[test]
fn the_image_of_a_commit_is_looked_for_under_its_hash() {
    let names = wanted("1.2.3").names();
    let [long, short] = [format!("sha-{COMMIT}"), "sha-1f51844".to_owned()];
    let tag = |name: String| Named::Tag(name.parse().unwrap());
    assert_eq!(names, [tag(long), tag(short)]);
}
