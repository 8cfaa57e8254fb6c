//! Pulling blobs, and names that no registry has.

use nixpy_testkit::digest;
use nixpy_testkit::registry::Registry;

use crate::client::ask;

#[test]
fn ping_says_which_protocol_this_is() {
    let answer = ask(&Registry::start(), "GET /v2/").send();
    assert_eq!(answer.status, 200);
    assert_eq!(
        answer.header("Docker-Distribution-API-Version"),
        "registry/2.0"
    );
}

#[test]
fn head_has_length_and_digest_and_no_body() {
    let registry = Registry::start();
    let blob = registry.put_blob("acme/api", "hello");
    let head = ask(&registry, &format!("HEAD /v2/acme/api/blobs/{blob}")).send();
    assert_eq!((head.status, head.header("Content-Length")), (200, "5"));
    assert_eq!(head.header("Docker-Content-Digest"), blob);
    assert_eq!(head.body, b"");
}

#[test]
fn ranges_of_a_blob() {
    let registry = Registry::start();
    let blob = registry.put_blob("acme/api", "0123456789");
    let get = |range: &str| {
        let answer = ask(&registry, &format!("GET /v2/acme/api/blobs/{blob}"))
            .header("Range", range)
            .send();
        let place = answer.header("Content-Range").to_owned();
        (
            answer.status,
            place,
            String::from_utf8(answer.body).unwrap(),
        )
    };
    assert_eq!(
        get("bytes=2-4"),
        (206, "bytes 2-4/10".to_owned(), "234".to_owned())
    );
    assert_eq!(
        get("bytes=7-"),
        (206, "bytes 7-9/10".to_owned(), "789".to_owned())
    );
    assert_eq!(
        get("bytes=-2"),
        (206, "bytes 8-9/10".to_owned(), "89".to_owned())
    );
    assert_eq!(get("bytes=8-99").2, "89");
    assert_eq!(get("bytes=10-").0, 416);
}

#[test]
fn a_blob_of_another_repository_and_a_forgotten_one_are_unknown() {
    let registry = Registry::start();
    let blob = registry.put_blob("acme/api", "hello");
    let other = ask(&registry, &format!("GET /v2/acme/worker/blobs/{blob}")).send();
    assert_eq!((other.status, other.code().as_str()), (404, "BLOB_UNKNOWN"));
    registry.forget_blob(&blob);
    assert_eq!(
        ask(&registry, &format!("HEAD /v2/acme/api/blobs/{blob}"))
            .send()
            .status,
        404
    );
    assert_eq!(
        ask(&registry, &format!("DELETE /v2/acme/api/blobs/{blob}"))
            .send()
            .status,
        404
    );
}

#[test]
fn names_and_digests_follow_the_grammar() {
    let registry = Registry::start();
    let code = |path: &str| {
        let answer = ask(&registry, &format!("GET /v2/{path}")).send();
        (answer.status, answer.code())
    };
    let blob = digest(b"");
    for name in [
        "Acme/api",
        "acme//api",
        "acme/-api",
        "acme/a___b",
        "acme/a..b",
        "acme/api-",
        &"a".repeat(256),
    ] {
        assert_eq!(
            code(&format!("{name}/blobs/{blob}")),
            (400, "NAME_INVALID".to_owned()),
            "{name}"
        );
    }
    for name in ["acme/api", "a", "a__b", "a---b/c.d_e", "acme/blobs/api"] {
        assert_eq!(
            code(&format!("{name}/blobs/{blob}")),
            (404, "BLOB_UNKNOWN".to_owned()),
            "{name}"
        );
    }
    assert_eq!(
        code("acme/api/blobs/sha256:1234"),
        (400, "DIGEST_INVALID".to_owned())
    );
    assert_eq!(
        code("acme/api/manifests/.tag"),
        (400, "MANIFEST_INVALID".to_owned())
    );
    assert_eq!(code("acme/api/nothing/here").0, 404);
}
