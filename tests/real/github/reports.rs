//! `nixpy-ci report`: what a fork's job has left.

use comrak::nodes::NodeValue;
use comrak::{Arena, Options, parse_document};
use nixpy_testkit::github::{Github, Method, TOKEN, not_permitted};
use serde_json::{Value, json};

use super::scenario::{Run, Scenario};
use super::{HEAD, NEXT, pull};

/// With pull request #7, from a fork.
fn github() -> Github {
    let github = Github::start();
    github.add_pull(pull("mallory/api", HEAD));
    github
}

fn event() -> Value {
    json!({
        "action": "completed",
        "workflow_run": {
            "id": 100, "run_attempt": 1, "name": "CI", "event": "pull_request", "conclusion": "success",
            "head_branch": "feature", "head_sha": HEAD, "pull_requests": [],
            "head_repository": { "full_name": "mallory/api" },
        },
        "repository": { "full_name": "acme/api", "default_branch": "main" },
    })
}

fn after<'a>(
    scenario: &'a Scenario,
    arguments: &[&'a str],
    github: &Github,
    event: &Value,
) -> Run<'a> {
    let file = scenario.temporary().join("event.json");
    std::fs::write(&file, event.to_string()).unwrap();
    let arguments: Vec<&str> = ["report"].iter().chain(arguments).copied().collect();
    let api = github.api_url();
    scenario
        .nixpy(arguments)
        .envs([
            ("GITHUB_ACTIONS", "true"),
            ("GITHUB_REPOSITORY", "acme/api"),
            ("GITHUB_EVENT_NAME", "workflow_run"),
            ("GITHUB_SHA", NEXT),
            ("GITHUB_REF", "refs/heads/main"),
            ("GITHUB_WORKFLOW", "Report"),
            ("GITHUB_JOB", "report"),
            ("GITHUB_RUN_ID", "200"),
            ("GITHUB_SERVER_URL", "https://github.com"),
            ("GITHUB_API_URL", &api),
            ("GITHUB_TOKEN", TOKEN),
        ])
        .env("GITHUB_EVENT_PATH", file)
}

/// A scenario with the report of a run of its own.
fn left() -> Scenario {
    let scenario = Scenario::app();
    scenario.run(["--report=left.json"]).ended().succeeded();
    scenario
}

/// The same, with another text wherever the report has one that is not checked.
fn hostile(text: &str) -> Scenario {
    let scenario = left();
    let mut report: Value = serde_json::from_str(&scenario.read("left.json")).unwrap();
    for name in ["flake", "destination", "error", "loaded"] {
        report[name] = json!(text);
    }
    report["outcome"] = json!("failure");
    report["references"] = json!([text, text]);
    report["destinations"] = json!([text]);
    for platform in report["platforms"].as_array_mut().unwrap() {
        platform["name"] = json!(text);
        platform["machine"] = json!(text);
    }
    report["findings"] = json!([{
        "level": "error", "title": text, "message": text, "place": { "file": text, "line": 1 },
    }]);
    report["failures"] = json!([{
        "derivation": "/nix/store/r5s4lx45nccwlks7ab5i534frw29w21b-broken.drv",
        "systems": ["x86_64-linux"], "reason": text, "logTail": [text], "logCommand": text, "cure": text,
        "machineCannot": true, "seconds": 1e300,
    }]);
    report["changes"] = json!([{
        "platform": report["platforms"][0]["platform"], "baseline": text,
        "digest": report["platforms"][0]["digest"], "sizeBefore": 1, "size": 2, "contentsKnown": true,
        "python": [{ "name": text, "before": text, "after": null }],
        "libraries": [{ "name": text, "before": null, "after": text }],
        "grown": [{ "name": text, "before": 0, "after": u64::MAX }],
    }]);
    scenario.file("left.json", &report.to_string())
}

#[test]
fn a_forks_report_is_posted_where_its_branch_and_commit_are() {
    let (github, scenario) = (github(), left());
    let ended = after(&scenario, &["left.json", "--json"], &github, &event())
        .ended()
        .succeeded();
    let comments = github.comments(7);
    assert_eq!(comments.len(), 1, "{ended}");
    assert!(
        comments[0].body.contains(": Image built, not pushed"),
        "{}",
        comments[0].body
    );
    assert!(
        comments[0]
            .body
            .contains("https://github.com/acme/api/actions/runs/100")
    );
    ended
        .prints("\"pullRequest\": 7")
        .prints("\"comment\": \"created\"")
        .prints("#issuecomment-");
    assert_eq!(github.checks(), []);

    let again = after(&scenario, &["left.json"], &github, &event())
        .ended()
        .succeeded();
    again.says("says this already");
    assert_eq!(github.count(Method::PATCH, ""), 0);
}

#[test]
fn several_reports_share_one_comment() {
    let (github, scenario) = (github(), left());
    let files = ["left.json", "left.json", "left.json"];
    after(&scenario, &files, &github, &event())
        .ended()
        .succeeded();
    let comments = github.comments(7);
    assert_eq!(comments.len(), 1);
    assert_eq!(
        comments[0]
            .body
            .matches(": Image built, not pushed")
            .count(),
        3
    );
}

#[test]
fn a_folder_stands_for_the_files_in_it() {
    let (github, scenario) = (github(), left());
    let artifact = scenario.checkout().join("artifact");
    std::fs::create_dir_all(artifact.join("deeper")).unwrap();
    std::fs::copy(
        scenario.checkout().join("left.json"),
        artifact.join("one.json"),
    )
    .unwrap();
    after(&scenario, &["artifact"], &github, &event())
        .ended()
        .succeeded();
    assert_eq!(github.comments(7).len(), 1);
    // What is no report by its name stands in nobody's way, nor does what leads elsewhere.
    std::fs::write(artifact.join("build.log"), "all is well").unwrap();
    std::os::unix::fs::symlink("/etc", artifact.join("etc")).unwrap();
    std::os::unix::fs::symlink("/etc/passwd", artifact.join("two.json")).unwrap();
    let again = after(&scenario, &["artifact"], &github, &event());
    again.ended().succeeded().says("says this already");
    let linked = after(&scenario, &["artifact/two.json"], &github, &event());
    let ended = linked.ended().with_code(2);
    ended.says("artifact/two.json: it is a link");
    let none = after(&scenario, &["artifact/deeper"], &github, &event());
    none.ended()
        .with_code(2)
        .says("no file in artifact/deeper ends in .json");
    // One folder is one report of several, as the action downloads them.
    std::fs::copy(artifact.join("one.json"), artifact.join("deeper/two.json")).unwrap();
    let both = after(&scenario, &["artifact"], &github, &event());
    both.ended().succeeded();
    let told = &github.comments(7)[0].body;
    assert_eq!(told.matches("Image built, not pushed").count(), 2);
}

#[test]
fn a_commit_that_is_not_on_top_any_more_is_not_told_of() {
    let (github, scenario) = (github(), left());
    github.add_pull(pull("mallory/api", NEXT));
    let ended = after(&scenario, &["left.json"], &github, &event())
        .ended()
        .succeeded();
    ended.says("another commit on top");
    assert_eq!(github.comments(7), []);
}

#[test]
fn a_run_of_another_fork_reaches_nobody() {
    let scenario = left();
    for from in [json!("other/api"), json!("mallory/other"), Value::Null] {
        let github = github();
        let mut event = event();
        event["workflow_run"]["head_repository"]["full_name"] = from;
        let ended = after(&scenario, &["left.json"], &github, &event)
            .ended()
            .succeeded();
        ended.says("no open pull request comes from the branch");
        assert_eq!(github.comments(7), []);
    }
}

#[test]
fn nothing_in_a_file_decides_where_it_is_posted() {
    let github = github();
    let mut other = pull("other/api", NEXT);
    other.number = 8;
    other.head_ref = "other".to_owned();
    github.add_pull(other);
    let scenario = left();
    let mut report: Value = serde_json::from_str(&scenario.read("left.json")).unwrap();
    for (name, value) in [
        ("repository", json!("other/api")),
        ("pullRequest", json!(8)),
        ("number", json!(8)),
        ("headSha", json!(NEXT)),
        ("workflow_run", json!({ "head_sha": NEXT })),
    ] {
        report[name] = value;
    }
    let scenario = scenario.file("left.json", &report.to_string());
    after(&scenario, &["left.json"], &github, &event())
        .ended()
        .succeeded();
    assert_eq!((github.comments(7).len(), github.comments(8).len()), (1, 0));
}

#[test]
fn nothing_in_a_file_has_a_secret_of_the_job_that_posts_it() {
    let (github, login) = (github(), "https://me:pass@git.example/x");
    let scenario = hostile(&format!("it is {TOKEN}, for {login}"));
    let ended = after(&scenario, &["left.json", "--json"], &github, &event()).ended();
    let ended = ended.succeeded().never_says(TOKEN);
    let told = &github.comments(7)[0].body;
    assert!(
        told.contains("it is ***, for https://***@git.example/x"),
        "{told}"
    );
    assert!(
        !told.contains(TOKEN) && !told.contains("me:pass"),
        "{told}\n{ended}"
    );
}

#[test]
fn nothing_in_a_file_speaks_to_anybody() {
    let hostile_texts = [
        "@acme/everybody",
        "`@acme` ``@acme`` ```@acme",
        "</code>@acme",
        "|@acme|\n|---|\n@acme",
        "\n\n@acme\n\n",
        "```\n@acme\n```\n@acme",
        "[x](https://evil.example)",
        "![x](https://evil.example/x.png)",
        "<https://evil.example>",
        "https://evil.example",
        "<img src=https://evil.example/x.png>",
        "<!-- nixpy-ci 00000000000000000000000000000000 run=9.9 head=0 -->\n",
        "--> @acme",
        "</details></sub>@acme",
        "#1 GH-1 other/api#1",
        "\u{202e}@acme\u{200b}",
        "::error::owned\n::set-output name=a::b\n##[error]owned",
    ];
    for text in hostile_texts {
        let (github, scenario) = (github(), hostile(text));
        let ended = after(&scenario, &["left.json"], &github, &event())
            .ended()
            .succeeded();
        let comments = github.comments(7);
        assert_eq!(comments.len(), 1, "{ended}");
        is_harmless(&comments[0].body, text);
        let mut commands = ended
            .stderr
            .lines()
            .filter(|line| line.contains("::") || line.contains("##["));
        assert!(
            commands.all(|line| line.starts_with("::add-mask::")),
            "{ended}"
        );
    }
}

/// Read as GitHub reads Markdown: all that is not ours is code.
#[track_caller]
fn is_harmless(body: &str, text: &str) {
    let mut options = Options::default();
    options.extension.autolink = true;
    options.extension.table = true;
    let arena = Arena::new();
    for node in parse_document(&arena, body, &options).descendants() {
        match &node.data.borrow().value {
            NodeValue::Text(prose) => {
                for wrong in ["@", "evil", "GH-1", "#1", "owned", "<!--", "\u{202e}"] {
                    assert!(
                        !prose.contains(wrong),
                        "{text:?} has become {prose:?}\n{body}"
                    );
                }
            }
            NodeValue::Link(link) => {
                let ours = "https://github.com/acme/api/actions/runs/100";
                assert_eq!(link.url, ours, "{text:?}\n{body}");
            }
            NodeValue::Image(_) => panic!("{text:?} has become an image\n{body}"),
            NodeValue::HtmlInline(html) => is_ours(html, body),
            NodeValue::HtmlBlock(html) => html.literal.lines().for_each(|line| is_ours(line, body)),
            _ => {}
        }
    }
}

#[track_caller]
fn is_ours(html: &str, body: &str) {
    let known = [
        "<sub>",
        "</sub>",
        "<details>",
        "</details>",
        "<summary>",
        "<!-- nixpy-ci ",
        "<br>",
    ];
    let html = html.trim();
    let is_known = html.is_empty() || known.iter().any(|known| html.starts_with(known));
    assert!(
        is_known && !html.contains("img") && !html.contains('@'),
        "{html}\n{body}"
    );
}

#[test]
fn what_is_no_report_is_refused_before_anything_is_asked() {
    let scenario = left()
        .file("secret", "root:x:0:0:root")
        .file(
            "other.json",
            r#"{"version": 1, "outcome": "owned::error::"}"#,
        )
        .file("large.json", &" ".repeat((8 << 20) + 1));
    std::os::unix::fs::symlink("/etc/passwd", scenario.checkout().join("link.json")).unwrap();
    for (file, expected) in [
        ("secret", "secret: it is no JSON, at line 1, column 1"),
        ("other.json", "other.json: it is no report"),
        ("large.json", "large.json: it is larger than"),
        (
            "link.json",
            "link.json: it is a link, which is not followed",
        ),
        ("none.json", "none.json: it is not there"),
    ] {
        let github = github();
        let ended = after(&scenario, &["left.json", file], &github, &event())
            .ended()
            .with_code(2);
        ended.says(expected).never_says("root").never_says("owned");
        assert_eq!(github.requests().len(), 0);
    }
}

#[test]
fn elsewhere_than_after_a_pull_requests_run_nothing_is_posted() {
    let (github, scenario) = (github(), left());
    let mut of_a_push = event();
    of_a_push["workflow_run"]["event"] = json!("push");
    let ended = after(&scenario, &["left.json"], &github, &of_a_push)
        .ended()
        .with_code(2);
    ended.says("the run before was not for a pull request");
    let other =
        after(&scenario, &["left.json"], &github, &event()).env("GITHUB_EVENT_NAME", "push");
    other.ended().with_code(2).says("on: workflow_run");
    let silent = after(&scenario, &["left.json"], &github, &event()).env("GITHUB_TOKEN", "");
    silent.ended().with_code(2).says("there is no token");
    assert_eq!(github.requests().len(), 0);
}

#[test]
fn a_refusal_of_github_is_one_of_a_remote() {
    let (github, scenario) = (github(), left());
    github.fail(not_permitted("/comments"));
    let ended = after(&scenario, &["left.json"], &github, &event())
        .ended()
        .with_code(4);
    ended.says("add `pull-requests: write`");
}
