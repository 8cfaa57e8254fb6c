//! What GitHub answers, made of its own example of the answer and of what the double remembers.

use jiff::Timestamp;
use serde_json::{Value, json};

use super::description::{Description, Operation};
use super::state::{Check, Comment, Pull, Release, State};

/// Status and body; a list is cut into pages afterwards.
pub(super) type Answer = (u16, Value);

/// A request, taken apart.
pub(super) struct Asked<'a> {
    pub(super) operation: &'a Operation,
    pub(super) query: Vec<(String, String)>,
    pub(super) body: Value,
    pub(super) bytes: &'a [u8],
    pub(super) url: &'a str,
    pub(super) author: &'a str,
}

impl Asked<'_> {
    pub(super) fn path(&self, name: &str) -> &str {
        self.operation.path.get(name).map_or("", String::as_str)
    }

    pub(super) fn number(&self, name: &str) -> u64 {
        self.path(name).parse().unwrap_or_default()
    }

    pub(super) fn query(&self, name: &str) -> Option<&str> {
        let found = self.query.iter().find(|(key, _)| key == name);
        found.map(|(_, value)| value.as_str())
    }

    fn repository(&self) -> String {
        format!("{}/{}", self.path("owner"), self.path("repo"))
    }

    fn example(&self, status: u16) -> Value {
        Description::get().example(self.operation, status)
    }

    /// The example of one item, also where a list of them is answered.
    pub(super) fn item(&self, status: u16) -> Value {
        match self.example(status) {
            Value::Array(items) => items.into_iter().next().unwrap(),
            item => item,
        }
    }
}

pub(super) fn not_found() -> Answer {
    (404, refusal("Not Found"))
}

pub(super) fn refusal(message: &str) -> Value {
    json!({ "message": message, "documentation_url": "https://docs.github.com/rest" })
}

fn invalid(resource: &str, field: &str, code: &str) -> Answer {
    let mut refusal = refusal("Validation Failed");
    refusal["errors"] = json!([{ "resource": resource, "field": field, "code": code }]);
    (422, refusal)
}

/// Does what was asked.
pub(super) fn answer(state: &mut State, asked: &Asked<'_>) -> Answer {
    let name = asked.operation.name();
    let (method, path) = name
        .split_once(" /repos/{owner}/{repo}/")
        .unwrap_or((&name, ""));
    match (method, path) {
        ("GET", "pulls") => {
            let fitting = state
                .pulls
                .iter()
                .rev()
                .filter(|pull| is_wanted(pull, asked));
            (
                200,
                fitting.map(|it| pull(it, asked, asked.item(200))).collect(),
            )
        }
        ("GET", "pulls/{pull_number}") => {
            let number = asked.number("pull_number");
            let found = state.pulls.iter().find(|pull| pull.number == number);
            found.map_or_else(not_found, |it| (200, pull(it, asked, asked.item(200))))
        }
        ("GET", "issues/{issue_number}/comments") => {
            let number = asked.number("issue_number");
            if !state.pulls.iter().any(|pull| pull.number == number) {
                return not_found();
            }
            // The description says of which form it is.
            let since = asked.query("since").and_then(|text| text.parse().ok());
            let comments = state.comments.iter().filter(|comment| {
                let is_new = since.is_none_or(|since| comment.updated_at >= since);
                comment.number == number && is_new
            });
            (
                200,
                comments
                    .map(|it| comment(it, asked, asked.item(200)))
                    .collect(),
            )
        }
        ("POST", "issues/{issue_number}/comments") => {
            let number = asked.number("issue_number");
            if !state.pulls.iter().any(|pull| pull.number == number) {
                return not_found();
            }
            if asked.body["body"]
                .as_str()
                .is_some_and(|body| body.chars().count() > 65_536)
            {
                return invalid("IssueComment", "body", "too_long");
            }
            let new = Comment {
                id: state.next_id(),
                number,
                author: asked.author.to_owned(),
                body: text(&asked.body["body"]),
                created_at: now(),
                updated_at: now(),
            };
            state.comments.push(new.clone());
            (201, comment(&new, asked, asked.item(201)))
        }
        (_, "issues/comments/{comment_id}") => {
            let id = asked.number("comment_id");
            let Some(n) = state.comments.iter().position(|comment| comment.id == id) else {
                return not_found();
            };
            match method {
                "DELETE" => {
                    state.comments.remove(n);
                    return (204, Value::Null);
                }
                "PATCH" => {
                    state.comments[n].body = text(&asked.body["body"]);
                    state.comments[n].updated_at = now();
                }
                _ => {}
            }
            (200, comment(&state.comments[n], asked, asked.item(200)))
        }
        (_, path) if path.contains("check-runs") => checks(state, asked, method, path),
        (_, path) if path.starts_with("releases") => {
            super::immutable::answer(state, asked, method, path)
        }
        (_, path) => super::git::answer(state, asked, method, path),
    }
}

fn text(value: &Value) -> String {
    value.as_str().unwrap_or_default().to_owned()
}

/// GitHub tells no parts of a second.
fn now() -> Timestamp {
    let now = Timestamp::now();
    Timestamp::from_second(now.as_second()).unwrap()
}

fn is_wanted(pull: &Pull, asked: &Asked<'_>) -> bool {
    let owner = pull.head_repository.split('/').next().unwrap_or_default();
    let head = format!("{owner}:{}", pull.head_ref);
    let fits_state = match asked.query("state").unwrap_or("open") {
        "all" => true,
        wanted => (wanted == "open") == pull.open,
    };
    fits_state && asked.query("head").is_none_or(|wanted| wanted == head)
}

fn pull(pull: &Pull, asked: &Asked<'_>, mut told: Value) -> Value {
    // Of the example's teams not everything is told that has to be.
    told["requested_teams"] = json!([]);
    told["number"] = json!(pull.number);
    told["state"] = json!(if pull.open { "open" } else { "closed" });
    told["head"]["ref"] = json!(pull.head_ref);
    told["head"]["sha"] = json!(pull.head_sha);
    told["head"]["repo"]["full_name"] = json!(pull.head_repository);
    told["base"]["repo"]["full_name"] = json!(asked.repository());
    told
}

fn comment(comment: &Comment, asked: &Asked<'_>, mut told: Value) -> Value {
    let (repository, number, id) = (asked.repository(), comment.number, comment.id);
    told["id"] = json!(id);
    told["body"] = json!(comment.body);
    told["created_at"] = json!(comment.created_at.to_string());
    told["updated_at"] = json!(comment.updated_at.to_string());
    told["user"]["login"] = json!(comment.author);
    told["user"]["id"] = json!(comment.author.bytes().map(u64::from).sum::<u64>());
    told["user"]["type"] = json!(if comment.author.ends_with("[bot]") {
        "Bot"
    } else {
        "User"
    });
    told["html_url"] = json!(format!(
        "https://github.com/{repository}/pull/{number}#issuecomment-{id}"
    ));
    told
}

fn checks(state: &mut State, asked: &Asked<'_>, method: &str, path: &str) -> Answer {
    match (method, path) {
        ("POST", "check-runs") => {
            let sent = &asked.body;
            let Some(head_sha) = state.commit_of(sent["head_sha"].as_str().unwrap_or_default())
            else {
                return invalid("CheckRun", "head_sha", "invalid");
            };
            let new = Check {
                id: state.next_id(),
                head_sha,
                body: sent.clone(),
                annotations: Vec::new(),
            };
            state.checks.push(new);
            let made = state.checks.last_mut().unwrap();
            take_annotations(made, sent)
                .unwrap_or_else(|| (201, check(made, asked, asked.item(201))))
        }
        (_, "check-runs/{check_run_id}") => {
            let id = asked.number("check_run_id");
            let Some(known) = state.checks.iter_mut().find(|check| check.id == id) else {
                return not_found();
            };
            State::merge(&mut known.body, &asked.body);
            take_annotations(known, &asked.body)
                .unwrap_or_else(|| (200, check(known, asked, asked.item(200))))
        }
        ("GET", "commits/{ref}/check-runs") => {
            let Some(sha) = state.commit_of(asked.path("ref")) else {
                return not_found();
            };
            let example = asked.item(200)["check_runs"][0].clone();
            let fitting = state.checks.iter().rev().filter(|check| {
                let is_named = |wanted| check.body["name"].as_str() == Some(wanted);
                check.head_sha == sha && asked.query("check_name").is_none_or(is_named)
            });
            let runs: Vec<Value> = fitting
                .map(|it| check(it, asked, example.clone()))
                .collect();
            (
                200,
                json!({ "total_count": runs.len(), "check_runs": runs }),
            )
        }
        _ => not_found(),
    }
}

/// Refused where there are too many at once.
fn take_annotations(check: &mut Check, sent: &Value) -> Option<Answer> {
    let sent = sent["output"]["annotations"]
        .as_array()
        .cloned()
        .unwrap_or_default();
    if sent.len() > 50 {
        return Some(invalid("CheckRun", "annotations", "too_many"));
    }
    check.annotations.extend(sent);
    None
}

fn check(check: &Check, asked: &Asked<'_>, mut told: Value) -> Value {
    told["id"] = json!(check.id);
    told["head_sha"] = json!(check.head_sha);
    told["name"] = check.body["name"].clone();
    for name in ["external_id", "details_url", "status", "conclusion"] {
        told[name] = check.body[name].clone();
    }
    if told["status"].is_null() {
        told["status"] = json!("queued");
    }
    told["html_url"] = json!(format!(
        "https://github.com/{}/runs/{}",
        asked.repository(),
        check.id
    ));
    let output = &check.body["output"];
    told["output"]["title"] = output["title"].clone();
    told["output"]["summary"] = output["summary"].clone();
    told["output"]["annotations_count"] = json!(check.annotations.len());
    told
}

/// A release and its files, as it is told.
pub(super) fn release(release: &Release, asked: &Asked<'_>, mut told: Value) -> Value {
    let (repository, id) = (asked.repository(), release.id);
    let tag = text(&release.body["tag_name"]);
    told["id"] = json!(id);
    for name in ["tag_name", "name", "body", "draft", "prerelease"] {
        told[name] = release.body[name].clone();
    }
    let target = &release.body["target_commitish"];
    told["target_commitish"] = target
        .as_str()
        .map_or_else(|| json!("main"), |sha| json!(sha));
    for name in ["draft", "prerelease"] {
        told[name] = json!(told[name] == true);
    }
    told["html_url"] = json!(format!(
        "https://github.com/{repository}/releases/tag/{tag}"
    ));
    told["upload_url"] = json!(format!(
        "{}/repos/{repository}/releases/{id}/assets{{?name,label}}",
        asked.url
    ));
    let example = told["assets"][0].clone();
    let assets = release.assets.iter();
    told["assets"] = assets
        .map(|file| asset(file, &tag, asked, example.clone()))
        .collect();
    told
}

/// A file of a release, as it is told.
pub(super) fn asset(
    (id, name, bytes): &(u64, String, Vec<u8>),
    tag: &str,
    asked: &Asked<'_>,
    mut told: Value,
) -> Value {
    let repository = asked.repository();
    told["id"] = json!(id);
    told["name"] = json!(name);
    told["size"] = json!(bytes.len());
    told["digest"] = json!(crate::digest(bytes));
    told["browser_download_url"] = json!(format!(
        "https://github.com/{repository}/releases/download/{tag}/{name}"
    ));
    told
}
