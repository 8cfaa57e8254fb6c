//! Pushing blobs: the flows of the specification's section "Pushing blobs".

use nixpy_testkit::digest;
use nixpy_testkit::registry::{Method, Registry};

use crate::client::{ask, begin};

#[test]
fn post_then_put_makes_a_pullable_blob() {
    let registry = Registry::start();
    let location = begin(&registry, "acme/api");
    let put = format!(
        "PUT {location}&digest={}",
        digest(b"hello").replace(':', "%3A")
    );
    let put = ask(&registry, &put).body("hello").send();
    assert_eq!(put.status, 201);
    assert_eq!(put.header("Docker-Content-Digest"), digest(b"hello"));
    let pulled = ask(&registry, &format!("GET {}", put.header("Location"))).send();
    assert_eq!(pulled.body, b"hello");
    assert_eq!(registry.blob(&digest(b"hello")).unwrap(), "hello");
    assert_eq!(registry.open_uploads(), 0);
    assert_eq!(registry.layer_bytes_received(), 5);
}

#[test]
fn a_single_post_makes_a_blob_unless_the_registry_cannot() {
    let line = format!(
        "POST /v2/acme/api/blobs/uploads/?digest={}",
        digest(b"hello")
    );
    let able = Registry::start();
    assert_eq!(ask(&able, &line).body("hello").send().status, 201);
    let unable = Registry::builder().without_single_post().start();
    let answer = ask(&unable, &line).body("hello").send();
    assert_eq!(answer.status, 202);
    assert!(answer.header("Location").contains("/blobs/uploads/"));
    assert_eq!(unable.blob(&digest(b"hello")), None);
}

#[test]
fn one_streamed_patch_of_unknown_length_then_put() {
    let registry = Registry::start();
    let content = vec![7; 300_000];
    let patched = ask(
        &registry,
        &format!("PATCH {}", begin(&registry, "acme/api")),
    )
    .streamed(&content)
    .send();
    assert_eq!((patched.status, patched.header("Range")), (202, "0-299999"));
    let put = format!(
        "PUT {}&digest={}",
        patched.header("Location"),
        digest(&content)
    );
    assert_eq!(ask(&registry, &put).body("").send().status, 201);
    assert_eq!(registry.layer_bytes_received(), 300_000);
    assert_eq!(registry.count(Method::PATCH, "/blobs/uploads/"), 1);
}

#[test]
fn chunks_go_in_order_and_the_last_may_come_with_the_put() {
    let registry = Registry::start();
    let location = begin(&registry, "acme/api");
    let chunk = |line: String, range: &str, body: &str| {
        ask(&registry, &line)
            .header("Content-Range", range)
            .body(body)
            .send()
    };

    let first = chunk(format!("PATCH {location}"), "0-2", "abc");
    assert_eq!((first.status, first.header("Range")), (202, "0-2"));
    let skipped = chunk(format!("PATCH {location}"), "5-6", "xy");
    assert_eq!((skipped.status, skipped.header("Range")), (416, "0-2"));
    let short = chunk(format!("PATCH {location}"), "3-9", "xy");
    assert_eq!((short.status, short.code().as_str()), (400, "SIZE_INVALID"));
    let status = ask(&registry, &format!("GET {location}")).send();
    assert_eq!((status.status, status.header("Range")), (204, "0-2"));
    let last = chunk(
        format!(
            "PUT {}&digest={}",
            status.header("Location"),
            digest(b"abcde")
        ),
        "3-4",
        "de",
    );
    assert_eq!(last.status, 201);
}

#[test]
fn content_that_is_not_what_the_digest_says_is_refused_and_forgotten() {
    let registry = Registry::start();
    let put = format!(
        "PUT {}&digest={}",
        begin(&registry, "acme/api"),
        digest(b"other")
    );
    let put = ask(&registry, &put).body("hello").send();
    assert_eq!((put.status, put.code().as_str()), (400, "DIGEST_INVALID"));
    assert_eq!(registry.blob(&digest(b"other")), None);
    assert_eq!(registry.open_uploads(), 0);
    let nonsense = ask(
        &registry,
        &format!("PUT {}&digest=md5:00", begin(&registry, "acme/api")),
    )
    .body("")
    .send();
    assert_eq!(
        (nonsense.status, nonsense.code().as_str()),
        (400, "DIGEST_INVALID")
    );
}

#[test]
fn an_upload_can_be_cancelled_and_lost() {
    let registry = Registry::start();
    let location = begin(&registry, "acme/api");
    assert_eq!(
        ask(&registry, &format!("DELETE {location}")).send().status,
        204
    );
    let gone = ask(&registry, &format!("PATCH {location}"))
        .body("abc")
        .send();
    assert_eq!(
        (gone.status, gone.code().as_str()),
        (404, "BLOB_UPLOAD_UNKNOWN")
    );
    let location = begin(&registry, "acme/api");
    registry.forget_uploads();
    assert_eq!(
        ask(&registry, &format!("PUT {location}&digest={}", digest(b"")))
            .body("")
            .send()
            .status,
        404
    );
}

#[test]
fn the_location_must_be_used_as_it_was_given() {
    let registry = Registry::start();
    let location = begin(&registry, "acme/api");
    let bare = location.split('?').next().unwrap();
    let answer = ask(&registry, &format!("PUT {bare}?digest={}", digest(b"x")))
        .body("x")
        .send();
    assert_eq!(
        (answer.status, answer.code().as_str()),
        (400, "BLOB_UPLOAD_INVALID")
    );
    let relative = Registry::builder().relative_locations().start();
    assert!(begin(&relative, "acme/api").starts_with("/v2/acme/api/blobs/uploads/"));
}

#[test]
fn a_mount_makes_the_blob_ours_or_begins_an_upload() {
    let registry = Registry::start();
    let known = registry.put_blob("library/python", "base");
    let mount = |digest: &str| {
        ask(
            &registry,
            &format!("POST /v2/acme/api/blobs/uploads/?mount={digest}&from=library%2Fpython"),
        )
        .body("")
        .send()
    };
    assert!(!registry.has_blob("acme/api", &known));
    let mounted = mount(&known);
    assert_eq!(mounted.status, 201);
    assert!(
        mounted
            .header("Location")
            .ends_with(&format!("/v2/acme/api/blobs/{known}"))
    );
    assert!(registry.has_blob("acme/api", &known));
    let unknown = mount(&digest(b"nobody has this"));
    assert_eq!(unknown.status, 202);
    assert!(unknown.header("Location").contains("/blobs/uploads/"));
    let without = Registry::builder().without_mounts().start();
    without.put_blob("library/python", "base");
    let line = format!("POST /v2/acme/api/blobs/uploads/?mount={known}&from=library/python");
    assert_eq!(ask(&without, &line).body("").send().status, 202);
}

#[test]
fn large_ranged_chunks_are_refused_where_there_is_a_limit() {
    let registry = Registry::builder()
        .ranged_chunk_limit(4)
        .chunk_minimum(2)
        .start();
    let begun = ask(&registry, "POST /v2/acme/api/blobs/uploads/")
        .body("")
        .send();
    assert_eq!(begun.header("OCI-Chunk-Min-Length"), "2");
    let line = format!("PATCH {}", begun.header("Location"));
    assert_eq!(
        ask(&registry, &line)
            .header("Content-Range", "0-4")
            .body("abcde")
            .send()
            .status,
        413
    );
    assert_eq!(ask(&registry, &line).body("abcde").send().status, 202);
}
