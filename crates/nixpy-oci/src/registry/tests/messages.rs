//! What a person reads, and what nobody may read.

use std::error::Error as _;

use nixpy_testkit::registry::{Auth, Fault, Method, Registry as Double};

use super::{Credentials, Secret, blob, client, digest_of, user};
use crate::name::Repository;
use crate::registry::error::{Act, Failure};
use crate::registry::{RemoteError, RemoteErrorKind as Kind};

fn push(kind: Kind, repository: &str) -> RemoteError {
    let repository: Repository = repository.parse().unwrap();
    Failure::new(kind).while_(Act::PointTag("v1".parse().unwrap()), &repository)
}

#[test]
fn a_403_of_ghcr_comes_with_the_lines_that_a_workflow_lacks() {
    let error = push(Kind::Denied("denied".to_owned()), "ghcr.io/acme/api").to_string();
    assert!(error.starts_with(
        "cannot tag ghcr.io/acme/api:v1: the registry does not allow it (403: denied)"
    ));
    assert!(
        error.contains("\npermissions:\n  packages: write\n"),
        "{error}"
    );
}

#[test]
fn every_failure_says_what_to_do() {
    let text = String::new;
    for (kind, cure) in [
        (Kind::UnknownHost, "check its spelling"),
        (Kind::Unreachable, "HTTPS_PROXY"),
        (Kind::Untrusted, "SSL_CERT_FILE"),
        (Kind::NotTls, "ask for plain HTTP"),
        (Kind::Broken, "try again"),
        (Kind::Timeout, "try again"),
        (
            Kind::Unauthenticated { anonymous: true },
            "docker login quay.io",
        ),
        (
            Kind::Unauthenticated { anonymous: false },
            "--username and a password",
        ),
        (
            Kind::Denied(text()),
            "the right to push to quay.io/acme/api",
        ),
        (Kind::NotFound(text()), "create it there first"),
        (Kind::MissingBlob(text()), "push it again"),
        (Kind::UploadLost, "try again"),
        (Kind::TokenService(text()), "try again"),
        (
            Kind::Refused {
                status: 503,
                code: None,
                message: text(),
            },
            "try again later",
        ),
        (
            Kind::Refused {
                status: 405,
                code: Some("UNSUPPORTED".to_owned()),
                message: text(),
            },
            "it may be read-only",
        ),
        (
            Kind::Protocol("it lies".to_owned()),
            "check what answers at quay.io",
        ),
        (Kind::Unreadable, "check the disk"),
        (Kind::Certificates("ca.pem".into()), "PEM form"),
    ] {
        let error = push(kind, "quay.io/acme/api").to_string();
        assert!(error.contains(cure), "{error}");
        assert!(
            error.starts_with("cannot tag quay.io/acme/api:v1: "),
            "{error}"
        );
    }
}

#[tokio::test]
async fn secrets_are_never_printed() {
    const SECRET: &str = "correct-horse";
    let double = Double::builder().auth(Auth::basic("me", "other")).start();
    let credentials = [user(SECRET), Credentials::Bearer(Secret::new(SECRET))];
    for credentials in credentials {
        let mut printed = format!(
            "{credentials:?} {:?} {}",
            Secret::new(SECRET),
            Secret::new(SECRET)
        );
        let registry = client(&double, credentials);
        let error = registry.has_blob(digest_of("x")).await.unwrap_err();
        printed += &format!("{registry:?} {error:?} {error} {:?}", error.source());
        assert!(!printed.contains(SECRET), "{printed}");
        // Nor in the form in which it is sent.
        assert!(!printed.contains("Y29ycmVjdC1ob3JzZ"), "{printed}");
    }
}

#[tokio::test]
async fn the_address_of_an_upload_is_never_printed() {
    let double = Double::start();
    double.fail(
        Fault::cut_after(0)
            .on(Method::PUT, "/blobs/uploads/")
            .always(),
    );
    double.fail(
        Fault::cut_after(0)
            .on(Method::PATCH, "/blobs/uploads/")
            .always(),
    );
    let (descriptor, content) = blob(10);
    let error = client(&double, Credentials::Anonymous)
        .put_blob(&descriptor, &content)
        .await
        .unwrap_err();
    let printed = format!("{error} {error:?}");
    assert!(
        !printed.contains("_state") && !printed.contains("/uploads/"),
        "{printed}"
    );
}

#[tokio::test]
async fn what_a_registry_says_cannot_pose_as_output_of_ours() {
    let said = "one\n::error::two\u{1b}[2J ".repeat(100);
    let line = crate::registry::refusal::one_line(&said);
    assert!(line.starts_with("one ::error::two [2J one"));
    assert!(line.chars().count() <= 201 && !line.chars().any(char::is_control));
}
