//! Who gets in, by which challenge, and for how long.

use std::time::Duration;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use nixpy_testkit::registry::{Auth, Bearer, Method, Registry};

use crate::client::{Answer, ask};

const PUSH: &str = "repository:acme/api:pull,push";

fn basic(user: &str, password: &str) -> String {
    format!("Basic {}", STANDARD.encode(format!("{user}:{password}")))
}

fn token(registry: &Registry, scope: &str, authorization: &str) -> String {
    let line = format!(
        "GET /token?service=testkit&scope={}",
        scope.replace(':', "%3A")
    );
    let answer = ask(registry, &line)
        .header("Authorization", authorization)
        .send();
    assert_eq!(answer.status, 200);
    format!("Bearer {}", answer.json()["token"].as_str().unwrap())
}

fn post(registry: &Registry, authorization: &str) -> Answer {
    ask(registry, "POST /v2/acme/api/blobs/uploads/")
        .header("Authorization", authorization)
        .body("")
        .send()
}

#[test]
fn basic_lets_in_who_knows_the_password() {
    let registry = Registry::builder()
        .auth(Auth::basic("me", "secret"))
        .start();
    let stranger = ask(&registry, "GET /v2/").send();
    assert_eq!(
        (stranger.status, stranger.code().as_str()),
        (401, "UNAUTHORIZED")
    );
    assert!(
        stranger
            .header("WWW-Authenticate")
            .starts_with("Basic realm=")
    );
    assert_eq!(post(&registry, &basic("me", "wrong")).status, 401);
    assert_eq!(post(&registry, &basic("me", "secret")).status, 202);
}

#[test]
fn the_bearer_challenge_says_where_to_ask_and_for_what() {
    let registry = Registry::builder()
        .auth(Bearer::new("me", "secret").service("registry.test"))
        .start();
    let challenge = ask(&registry, "POST /v2/acme/api/blobs/uploads/")
        .body("")
        .send();
    let expected = format!(
        "Bearer realm=\"http://{}/token\",service=\"registry.test\",scope=\"{PUSH}\"",
        registry.host()
    );
    assert_eq!(
        (challenge.status, challenge.header("WWW-Authenticate")),
        (401, expected.as_str())
    );
}

#[test]
fn a_token_is_good_for_its_scope() {
    let registry = Registry::builder()
        .auth(Bearer::new("me", "secret"))
        .start();
    assert_eq!(
        ask(&registry, "GET /token?service=testkit").send().status,
        401
    );
    let pull = token(
        &registry,
        "repository:acme/api:pull",
        &basic("me", "secret"),
    );
    let narrow = post(&registry, &pull);
    assert_eq!(narrow.status, 401);
    assert!(
        narrow
            .header("WWW-Authenticate")
            .ends_with("error=\"insufficient_scope\"")
    );
    assert_eq!(
        post(&registry, &token(&registry, PUSH, &basic("me", "secret"))).status,
        202
    );
}

#[test]
fn who_may_only_pull_is_denied_the_push() {
    let registry = Registry::builder()
        .auth(Bearer::new("me", "secret").pull_only().anonymous_pull())
        .start();
    let denied = post(&registry, &token(&registry, PUSH, &basic("me", "secret")));
    assert_eq!((denied.status, denied.code().as_str()), (403, "DENIED"));
    let anonymous = ask(
        &registry,
        "GET /token?service=testkit&scope=repository:acme/api:pull",
    )
    .send();
    let anonymous = format!("Bearer {}", anonymous.json()["token"].as_str().unwrap());
    let pulled = ask(&registry, "GET /v2/acme/api/tags/list")
        .header("Authorization", &anonymous)
        .send();
    assert_eq!(pulled.code(), "NAME_UNKNOWN");
}

#[test]
fn a_token_runs_out_by_use_by_time_and_by_revocation() {
    let registry = Registry::builder()
        .auth(Bearer::new("me", "secret").token_uses(2))
        .start();
    let used = token(&registry, PUSH, &basic("me", "secret"));
    let statuses: Vec<u16> = (0..3).map(|_| post(&registry, &used).status).collect();
    assert_eq!(statuses, [202, 202, 401]);
    let next = token(&registry, PUSH, &basic("me", "secret"));
    assert_eq!(post(&registry, &next).status, 202);
    registry.revoke_tokens();
    let revoked = post(&registry, &next);
    assert!(
        revoked
            .header("WWW-Authenticate")
            .ends_with("error=\"invalid_token\"")
    );
    assert_eq!(registry.count(Method::GET, "/token"), 2);

    let short = Registry::builder()
        .auth(Bearer::new("me", "secret").token_lifetime(Duration::ZERO))
        .start();
    assert_eq!(
        post(&short, &token(&short, PUSH, &basic("me", "secret"))).status,
        401
    );
}

#[test]
fn a_mount_from_where_one_may_not_read_begins_an_upload() {
    let registry = Registry::builder()
        .auth(Bearer::new("me", "secret"))
        .start();
    let blob = registry.put_blob("private/base", "base");
    let line = format!("POST /v2/acme/api/blobs/uploads/?mount={blob}&from=private/base");
    let mount = |scope: &str| {
        let token = token(&registry, scope, &basic("me", "secret"));
        ask(&registry, &line)
            .header("Authorization", &token)
            .body("")
            .send()
            .status
    };
    assert_eq!(mount(PUSH), 202);
    assert_eq!(
        mount(&format!("{PUSH}&scope=repository:private/base:pull")),
        201
    );
}
