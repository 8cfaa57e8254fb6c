//! Failing on cue: which request, how, and what is left behind.

use std::time::{Duration, Instant};

use nixpy_testkit::digest;
use nixpy_testkit::registry::{Bearer, Fault, Method, Registry};

use crate::client::{ask, begin};

#[test]
fn the_nth_match_gets_the_status() {
    let registry = Registry::builder()
        .fail(
            Fault::status(429)
                .on(Method::HEAD, "/blobs/")
                .nth(2)
                .times(2)
                .retry_after(7),
        )
        .start();
    let blob = registry.put_blob("acme/api", "hello");
    let head = || ask(&registry, &format!("HEAD /v2/acme/api/blobs/{blob}")).send();
    let answers: Vec<_> = (0..4).map(|_| head()).collect();
    assert_eq!(
        answers
            .iter()
            .map(|answer| answer.status)
            .collect::<Vec<_>>(),
        [200, 429, 429, 200]
    );
    assert_eq!(
        (
            answers[0].header("Retry-After"),
            answers[1].header("Retry-After")
        ),
        ("", "7")
    );
    assert_eq!(ask(&registry, "GET /v2/").send().status, 200);
}

#[test]
fn rules_can_be_given_and_taken_back_while_it_runs() {
    let registry = Registry::start();
    registry.fail(Fault::status(503).code("UNAVAILABLE").always());
    let answer = ask(&registry, "GET /v2/").send();
    assert_eq!(
        (answer.status, answer.code().as_str()),
        (503, "UNAVAILABLE")
    );
    registry.heal();
    assert_eq!(ask(&registry, "GET /v2/").send().status, 200);
}

#[test]
fn an_upload_is_cut_at_its_byte_and_what_came_is_kept() {
    let registry = Registry::start();
    registry.fail(Fault::cut_after(100_000).on(Method::PATCH, "/blobs/uploads/"));
    let location = begin(&registry, "acme/api");
    let body = vec![1; 1_000_000];
    assert!(
        ask(&registry, &format!("PATCH {location}"))
            .body(&body)
            .try_send()
            .is_none()
    );
    assert_eq!(registry.layer_bytes_received(), 100_000);
    let cut = registry.requests().pop().unwrap();
    assert_eq!(
        (cut.method, cut.status, cut.body_bytes),
        (Method::PATCH, None, 100_000)
    );
    assert_eq!(
        ask(&registry, &format!("GET {location}"))
            .send()
            .header("Range"),
        "0-99999"
    );
    assert_eq!(
        ask(&registry, &format!("PATCH {location}"))
            .body("x")
            .send()
            .status,
        202
    );
}

#[test]
fn a_download_is_cut_at_its_byte() {
    let registry = Registry::start();
    let blob = registry.put_blob("acme/api", vec![b'x'; 50_000]);
    registry.fail(Fault::cut_after(1_000).on(Method::GET, "/blobs/"));
    let answer = ask(&registry, &format!("GET /v2/acme/api/blobs/{blob}")).send();
    assert_eq!(
        (answer.header("Content-Length"), answer.body.len()),
        ("50000", 1_000)
    );
}

#[test]
fn nothing_is_done_before_a_cut_at_zero_and_all_of_it_before_a_lost_answer() {
    let registry = Registry::start();
    let post = format!(
        "POST /v2/acme/api/blobs/uploads/?digest={}",
        digest(b"hello")
    );
    registry.fail(Fault::cut_after(0).on(Method::POST, "/uploads/"));
    assert!(ask(&registry, &post).body("hello").try_send().is_none());
    assert_eq!(registry.blob(&digest(b"hello")), None);
    registry.fail(Fault::lose_answer().on(Method::POST, "/uploads/"));
    assert!(ask(&registry, &post).body("hello").try_send().is_none());
    assert!(registry.blob(&digest(b"hello")).is_some());
}

#[test]
fn hanging_and_slow_answers_take_their_time_and_are_right() {
    let registry = Registry::start();
    let blob = registry.put_blob("acme/api", vec![b'x'; 5_000]);
    for fault in [
        Fault::hang(Duration::from_millis(200)),
        Fault::slow(Duration::from_millis(200)),
    ] {
        registry.fail(fault.on(Method::GET, "/blobs/"));
        let begun = Instant::now();
        let answer = ask(&registry, &format!("GET /v2/acme/api/blobs/{blob}")).send();
        assert!(begun.elapsed() >= Duration::from_millis(190));
        assert_eq!((answer.status, answer.body.len()), (200, 5_000));
        registry.heal();
    }
}

#[test]
fn uploads_are_refused_after_so_many() {
    let registry = Registry::builder()
        .fail(Fault::refuse_uploads_after(2))
        .start();
    let post = || {
        ask(&registry, "POST /v2/acme/api/blobs/uploads/")
            .body("")
            .send()
            .status
    };
    assert_eq!([post(), post(), post(), post()], [202, 202, 403, 403]);
}

#[test]
fn requests_without_credentials_do_not_count() {
    let registry = Registry::builder()
        .auth(Bearer::new("me", "secret").anonymous_pull())
        .start();
    registry.fail(Fault::status(500).on_path("/tags/list"));
    let list = "GET /v2/acme/api/tags/list";
    assert_eq!(ask(&registry, list).send().status, 401);
    let token = ask(
        &registry,
        "GET /token?service=testkit&scope=repository:acme/api:pull",
    )
    .send()
    .json();
    let token = format!("Bearer {}", token["token"].as_str().unwrap());
    assert_eq!(
        ask(&registry, list)
            .header("Authorization", &token)
            .send()
            .status,
        500
    );
}

#[test]
fn it_dies_in_mid_answer_and_comes_back_with_what_it_had() {
    let registry = Registry::start();
    let blob = registry.put_blob("acme/api", "hello");
    registry.fail(Fault::hang(Duration::from_secs(60)));
    std::thread::scope(|scope| {
        let waiting = scope.spawn(|| ask(&registry, "GET /v2/").try_send());
        while registry.requests().is_empty() {
            std::thread::yield_now();
        }
        registry.stop();
        assert!(waiting.join().unwrap().is_none());
    });
    assert!(ask(&registry, "GET /v2/").try_send().is_none());
    registry.restart();
    assert_eq!(
        ask(&registry, &format!("GET /v2/acme/api/blobs/{blob}"))
            .send()
            .body,
        b"hello"
    );
}

#[test]
fn it_can_be_stopped_within_an_async_test() {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .build()
        .unwrap();
    runtime.block_on(async {
        let registry = Registry::start();
        registry.reset_counts();
        assert!(registry.requests().is_empty());
    });
}
