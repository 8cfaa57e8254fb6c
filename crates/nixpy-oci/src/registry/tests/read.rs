use nixpy_testkit::registry::{Bearer, Fault, Method, Registry as Double};

use super::{NAME, anonymous, blob, client, digest_of, manifest, story, user};
use crate::digest::Digest;
use crate::manifest::media_type;
use crate::name::Tag;

fn tag() -> Tag {
    "main".parse().unwrap()
}

/// A registry with one tagged manifest, and the manifest's bytes.
fn with_manifest() -> (Double, Vec<u8>) {
    let double = Double::start();
    let (config, content) = blob(10);
    double.put_blob(NAME, content.read(0, 10).unwrap());
    let bytes = manifest(&config);
    double.put_manifest(NAME, "main", &serde_json::from_slice(&bytes).unwrap());
    let bytes = double.manifest_bytes(NAME, "main").unwrap().to_vec();
    (double, bytes)
}

#[tokio::test]
async fn a_manifest_is_read_by_tag_and_by_digest() {
    let (double, bytes) = with_manifest();
    let registry = anonymous(&double);
    let stored = registry.resolve(&tag()).await.unwrap().unwrap();
    assert_eq!(stored.bytes, bytes);
    assert_eq!(stored.descriptor.media_type, media_type::MANIFEST);
    assert_eq!(stored.descriptor.digest, Digest::of(&bytes));
    let again = registry
        .manifest(stored.descriptor.digest)
        .await
        .unwrap()
        .unwrap();
    assert_eq!(again.bytes, bytes);
    assert_eq!(story(&double), ["GET v2", "GET manifests", "GET manifests"]);
}

#[tokio::test]
async fn what_is_not_there_is_no_error() {
    let double = Double::start();
    let registry = anonymous(&double);
    assert!(registry.resolve(&tag()).await.unwrap().is_none());
    assert!(registry.manifest(digest_of("x")).await.unwrap().is_none());
}

#[tokio::test]
async fn a_registry_that_will_not_show_a_repository_counts_as_not_having_it() {
    let double = Double::builder().auth(Bearer::new("me", "secret")).start();
    double.fail(Fault::status(403).on(Method::GET, "/manifests/").always());
    let registry = client(&double, user("secret"));
    assert!(registry.resolve(&tag()).await.unwrap().is_none());

    let double = Double::builder().auth(Bearer::new("me", "secret")).start();
    double.fail(Fault::status(401).on(Method::GET, "/manifests/").always());
    let registry = client(&double, user("secret"));
    assert!(registry.resolve(&tag()).await.unwrap().is_none());
}

#[tokio::test]
async fn nobody_is_told_that_a_hidden_repository_is_empty() {
    let double = Double::builder().auth(Bearer::new("me", "secret")).start();
    let error = anonymous(&double)
        .resolve(&tag())
        .await
        .unwrap_err()
        .to_string();
    assert!(
        error.contains("wants credentials (401)") && error.contains("docker login 127.0.0.1"),
        "{error}"
    );
}

#[tokio::test]
async fn a_manifest_that_breaks_off_is_read_again() {
    let (double, bytes) = with_manifest();
    double.fail(Fault::cut_after(20).on(Method::GET, "/manifests/"));
    let stored = anonymous(&double).resolve(&tag()).await.unwrap().unwrap();
    assert_eq!(stored.bytes, bytes);
}

#[tokio::test]
async fn a_manifest_of_more_than_four_mebibytes_is_not_read() {
    let (double, bytes) = with_manifest();
    let mut large: serde_json::Value = serde_json::from_slice(&bytes).unwrap();
    large["annotations"] = serde_json::json!({ "x": "y".repeat(5 << 20) });
    double.put_manifest(NAME, "main", &large);
    let error = anonymous(&double)
        .resolve(&tag())
        .await
        .unwrap_err()
        .to_string();
    assert!(error.contains("larger than 4 MiB"), "{error}");
}
