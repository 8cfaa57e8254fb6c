//! Results that do not belong together, or are none.

use std::fs;

use nixpy_testkit::registry::Registry;
use serde_json::{Value, json};

use super::{ARM, COMMIT, INTEL, OTHER, at, joined, publish, service, set_digest};

#[test]
fn everything_that_keeps_results_apart_is_told_at_once() {
    let (registry, scenario) = (Registry::start(), service());
    let target = at(&registry, "api");
    publish(&scenario, &target, "aarch64-linux");
    let changed = |name: &str, change: &dyn Fn(&mut Value)| {
        let mut result: Value = serde_json::from_str(&scenario.read(ARM)).unwrap();
        change(&mut result);
        fs::write(scenario.checkout().join(name), result.to_string()).unwrap();
    };
    changed("other.json", &|result| {
        result["source"]["revision"] = json!(OTHER);
        result["repositories"] = json!(["ghcr.io/acme/other"]);
        result["platforms"][0]["name"] = json!("worker");
        set_digest(result, &format!("sha256:{}", "0".repeat(64)));
    });
    registry.reset_counts();
    let wanted = ["-s", "aarch64-linux", "-s", "x86_64-linux"];
    let ended = joined(&scenario, &[ARM, "other.json"], &wanted)
        .with_code(2)
        .prints_nothing();
    assert_eq!(ended.errors().len(), 5, "{ended}");
    ended
        .says(&format!(
            "{ARM} is of commit {COMMIT}, and other.json of commit {OTHER}"
        ))
        .says("and other.json of `worker`: they are no one image")
        .says("other.json was published to ghcr.io/acme/other")
        .says(&format!(
            "{ARM} and other.json have two images for linux/arm64/v8"
        ))
        .says("no result has an image for x86_64-linux");
    assert!(registry.requests().is_empty(), "nobody was asked");

    let elsewhere = joined(&scenario, &[ARM], &["-r", "ghcr.io/acme/web"]).with_code(2);
    elsewhere.with_the_error(&["was published to", "go to ghcr.io/acme/web"]);
}

#[test]
fn a_file_that_is_no_result_is_named_and_says_why() {
    let (registry, scenario) = (Registry::start(), service());
    publish(&scenario, &at(&registry, "api"), "aarch64-linux");
    let sound: Value = serde_json::from_str(&scenario.read(ARM)).unwrap();
    type Change = fn(&mut Value);
    let changes: [(Change, &str); 14] = [
        (
            |r| r["platforms"][0]["machine"] = json!("arm\n::stop-commands::x"),
            "control characters",
        ),
        (
            |r| r["platforms"][0]["smoke"] = json!({ "verdict": "failed", "wanted": "200" }),
            "has failed its smoke test",
        ),
        (
            |r| r["version"] = json!(2),
            "version 2, and this nixpy-ci reads version 1",
        ),
        (|r| r["version"] = json!("new"), "not the result of"),
        (|r| *r = json!([1]), "not the result of"),
        (
            |r| r["repositories"] = json!(["api"]),
            "is not a repository",
        ),
        (|r| r["repositories"] = json!([]), "no repository"),
        (|r| r["platforms"] = json!([]), "names no image"),
        (|r| r["source"] = json!({}), "does not say what was built"),
        (
            |r| r["source"]["revision"] = json!("\u{1b}[2J"),
            "not a commit",
        ),
        (
            |r| r["platforms"][0]["manifest"]["digest"] = json!("sha256:0"),
            "sha256:0",
        ),
        (
            |r| r["platforms"][0]["manifest"]["platform"]["architecture"] = json!("amd64"),
            "for another platform",
        ),
        (
            |r| r["platforms"][0]["manifest"]["mediaType"] = json!("text/html"),
            "not an image manifest",
        ),
        (
            |r| r["platforms"][0]["digest"] = json!(format!("sha256:{}", "1".repeat(64))),
            "two digests",
        ),
    ];
    registry.reset_counts();
    for (change, reason) in changes {
        let mut result = sound.clone();
        change(&mut result);
        fs::write(scenario.checkout().join("r.json"), result.to_string()).unwrap();
        let ended = joined(&scenario, &["r.json"], &[]).with_code(2);
        ended
            .with_the_error(&["r.json: it ", reason])
            .never_says("\u{1b}");
    }
    let large = fs::File::create(scenario.checkout().join("r.json")).unwrap();
    large.set_len(1 << 40).unwrap();
    let ended = joined(&scenario, &["r.json"], &[]).with_code(2);
    ended.with_the_error(&["r.json", "too large"]);
    let ended = joined(&scenario, &["absent.json", "."], &["-t", "no tag"]).with_code(2);
    assert_eq!(ended.errors().len(), 3, "{ended}");
    assert!(registry.requests().is_empty());
}

#[test]
fn an_image_that_is_not_where_its_result_says_keeps_the_tag_from_moving() {
    let (registry, scenario) = (Registry::start(), service());
    publish(&scenario, &at(&registry, "api"), "aarch64-linux");
    publish(&scenario, &at(&registry, "api"), "x86_64-linux");
    let sound: Value = serde_json::from_str(&scenario.read(ARM)).unwrap();
    let changes: [&dyn Fn(&mut Value); 2] = [
        &|result| set_digest(result, &format!("sha256:{}", "0".repeat(64))),
        &|result| result["platforms"][0]["manifest"]["size"] = json!(17),
    ];
    for change in changes {
        let mut result = sound.clone();
        change(&mut result);
        fs::write(scenario.checkout().join("r.json"), result.to_string()).unwrap();
        let ended = joined(&scenario, &["r.json", INTEL], &["--json"]).with_code(4);
        assert!(
            ended
                .report()
                .error
                .unwrap()
                .contains("run the job of aarch64-linux again")
        );
        assert!(registry.tags("api").is_empty());
    }
}

#[test]
fn a_password_is_shown_to_no_host_that_only_a_result_names() {
    let (registry, scenario) = (Registry::start(), service());
    publish(&scenario, &at(&registry, "api"), "aarch64-linux");
    registry.reset_counts();
    let login = [("NIXPY_USERNAME", "me"), ("NIXPY_PASSWORD", "hunter2")];
    let ended = scenario
        .nixpy(["index", ARM])
        .envs(login)
        .ended()
        .with_code(2);
    ended
        .with_the_error(&["NIXPY_USERNAME", "--repository"])
        .never_says("hunter2");
    assert!(registry.requests().is_empty());
}
