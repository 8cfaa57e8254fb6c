use std::sync::Arc;

use nixpy_testkit::registry::{Bearer, Fault, Method, Registry as Double};

use super::{NAME, anonymous, blob, client, digest_of, manifest, story, user};
use crate::blob::Content;
use crate::manifest::{Descriptor, media_type};

#[tokio::test]
async fn a_blob_costs_two_requests_and_arrives_whole() {
    let double = Double::start();
    let registry = anonymous(&double);
    let (descriptor, content) = blob(3 << 20);
    registry.put_blob(&descriptor, &content).await.unwrap();
    assert_eq!(story(&double), ["GET v2", "POST upload", "PUT upload"]);
    let put = double.requests().pop().unwrap();
    assert_eq!(put.headers["content-length"], (3 << 20).to_string());
    assert!(double.has_blob(NAME, &descriptor.digest.to_string()));
    assert!(registry.has_blob(descriptor.digest).await.unwrap());
    assert!(!registry.has_blob(digest_of("other")).await.unwrap());
}

#[tokio::test]
async fn that_one_may_push_is_found_out_without_leaving_anything() {
    let double = Double::start();
    anonymous(&double).may_push().await.unwrap();
    assert_eq!(story(&double), ["GET v2", "POST upload", "DELETE upload"]);
    assert_eq!(double.open_uploads(), 0);

    // Some registries cannot be told that nothing will come.
    let double = Double::start();
    double.fail(Fault::status(405).on(Method::DELETE, ""));
    anonymous(&double).may_push().await.unwrap();
}

#[tokio::test]
async fn that_one_may_not_push_is_said_with_its_cure() {
    let readers = Bearer::new("me", "right").pull_only();
    let double = Double::builder().auth(readers).start();
    let refused = client(&double, user("right")).may_push().await.unwrap_err();
    let said = refused.to_string();
    let repository = format!("{}/{NAME}", double.host());
    assert!(
        said.starts_with(&format!("cannot push to {repository}: ")),
        "{said}"
    );
    assert!(
        said.contains("(403") && said.contains("the right to push"),
        "{said}"
    );
}

#[tokio::test]
async fn a_manifest_is_asked_for_by_digest_and_size() {
    let double = Double::start();
    let registry = anonymous(&double);
    let (config, content) = blob(10);
    registry.put_blob(&config, &content).await.unwrap();
    let bytes = manifest(&config);
    let there = Descriptor::of(media_type::MANIFEST, &bytes);
    assert!(!registry.has_manifest(&there).await.unwrap());
    let put = registry.put_manifest(media_type::MANIFEST, &bytes, None);
    put.await.unwrap();
    double.reset_counts();
    assert!(registry.has_manifest(&there).await.unwrap());
    let size = there.size + 1;
    assert!(
        !registry
            .has_manifest(&Descriptor { size, ..there })
            .await
            .unwrap()
    );
    assert_eq!(story(&double), ["HEAD manifests", "HEAD manifests"]);
}

#[tokio::test]
async fn an_empty_blob_and_relative_locations_are_fine() {
    let double = Double::builder().relative_locations().start();
    let registry = anonymous(&double);
    for (descriptor, content) in [
        blob(0),
        (
            Descriptor::of(media_type::CONFIG, b"{}"),
            Content::Memory("{}".into()),
        ),
    ] {
        registry.put_blob(&descriptor, &content).await.unwrap();
        assert!(double.has_blob(NAME, &descriptor.digest.to_string()));
    }
}

#[tokio::test]
async fn a_registry_that_takes_no_large_body_gets_chunks_of_four_mebibytes() {
    let double = Double::builder()
        .ranged_chunk_limit(4 << 20)
        .fail(Fault::status(413).on(Method::PUT, "/blobs/uploads/"))
        .start();
    let (descriptor, content) = blob((9 << 20) + 1);
    anonymous(&double)
        .put_blob(&descriptor, &content)
        .await
        .unwrap();
    let chunks = [
        "POST upload",
        "PATCH upload",
        "PATCH upload",
        "PATCH upload",
        "PUT upload",
    ];
    assert_eq!(story(&double)[3..], chunks);
    assert!(double.has_blob(NAME, &descriptor.digest.to_string()));
}

#[tokio::test]
async fn chunks_are_as_large_as_the_registry_wants_them_at_least() {
    let double = Double::builder()
        .chunk_minimum(6 << 20)
        .fail(Fault::status(413).on(Method::PUT, "/blobs/uploads/"))
        .start();
    let (descriptor, content) = blob(9 << 20);
    anonymous(&double)
        .put_blob(&descriptor, &content)
        .await
        .unwrap();
    assert_eq!(double.count(Method::PATCH, "/blobs/uploads/"), 2);
}

#[tokio::test]
async fn a_blob_whose_connection_breaks_is_sent_again_by_itself() {
    let double = Double::start();
    double.fail(Fault::cut_after(1 << 20).on(Method::PUT, "/blobs/uploads/"));
    let (descriptor, content) = blob(3 << 20);
    anonymous(&double)
        .put_blob(&descriptor, &content)
        .await
        .unwrap();
    let again = [
        "POST upload",
        "PUT upload",
        "HEAD blobs",
        "POST upload",
        "PUT upload",
    ];
    assert_eq!(story(&double)[1..], again);
}

#[tokio::test]
async fn a_connection_that_always_breaks_on_large_bodies_gets_chunks() {
    let double = Double::start();
    double.fail(
        Fault::cut_after(1 << 20)
            .on(Method::PUT, "/blobs/uploads/")
            .times(2),
    );
    let (descriptor, content) = blob(5 << 20);
    anonymous(&double)
        .put_blob(&descriptor, &content)
        .await
        .unwrap();
    assert_eq!(double.count(Method::PATCH, "/blobs/uploads/"), 2);
}

#[tokio::test]
async fn a_blob_whose_answer_was_lost_is_not_sent_twice() {
    let double = Double::start();
    double.fail(Fault::lose_answer().on(Method::PUT, "/blobs/uploads/"));
    let (descriptor, content) = blob(1 << 20);
    anonymous(&double)
        .put_blob(&descriptor, &content)
        .await
        .unwrap();
    assert_eq!(double.layer_bytes_received(), 1 << 20);
}

#[tokio::test]
async fn an_upload_that_the_registry_forgot_begins_anew() {
    let double = Double::start();
    double.fail(Fault::status(404).on(Method::PUT, "/blobs/uploads/"));
    let (descriptor, content) = blob(1 << 20);
    anonymous(&double)
        .put_blob(&descriptor, &content)
        .await
        .unwrap();
    assert_eq!(double.count(Method::POST, "/blobs/uploads/"), 2);
}

#[tokio::test]
async fn bytes_that_are_not_those_of_the_digest_are_refused_at_once() {
    let double = Double::start();
    let wrong = Descriptor {
        digest: digest_of("other"),
        ..blob(10).0
    };
    let error = anonymous(&double)
        .put_blob(&wrong, &blob(10).1)
        .await
        .unwrap_err();
    assert!(error.to_string().contains("DIGEST_INVALID"), "{error}");
    assert_eq!(double.count(Method::PUT, "/blobs/uploads/"), 1);
}

#[tokio::test]
async fn a_manifest_whose_config_is_not_there_is_told_apart() {
    let double = Double::start();
    let registry = anonymous(&double);
    let bytes = manifest(&blob(10).0);
    let tag = "v1".parse().unwrap();
    let error = registry
        .put_manifest(media_type::MANIFEST, &bytes, Some(&tag))
        .await
        .unwrap_err();
    assert!(error.is_missing_blob(), "{error:?}");
    assert!(!error.is_transient());

    let (descriptor, content) = blob(10);
    registry.put_blob(&descriptor, &content).await.unwrap();
    registry
        .put_manifest(media_type::MANIFEST, &bytes, Some(&tag))
        .await
        .unwrap();
    assert_eq!(double.manifest_bytes(NAME, "v1").unwrap(), bytes);
}

#[tokio::test]
async fn several_blobs_go_at_once_behind_one_login() {
    let double = Double::builder().auth(Bearer::new("me", "secret")).start();
    let registry = Arc::new(client(&double, user("secret")));
    let uploads = (1..=4).map(|n| {
        let registry = Arc::clone(&registry);
        tokio::spawn(async move {
            let (descriptor, content) = blob(n << 18);
            registry.put_blob(&descriptor, &content).await
        })
    });
    for upload in uploads.collect::<Vec<_>>() {
        upload.await.unwrap().unwrap();
    }
    assert_eq!(
        (double.count(Method::GET, "/token"), double.requests().len()),
        (1, 10)
    );
}
