//! Reports to be told in tests: a usual one, and one in which nothing is what it should be.

use nixpy_pipeline::report::Report;
use serde_json::Value;

/// Two platforms of a service, published over an image that was there before.
pub fn usual() -> Report {
    let text = include_str!("../../../../tests/fast/fixtures/report-v1-story.json");
    serde_json::from_str(text).expect("the fixture is a report")
}

/// What a hostile text tries, one after the other.
pub const HOSTILE: [&str; 14] = [
    "@octocat",
    "<img src=x onerror=alert(1)>",
    "<script>window.hostile=1</script>",
    "a|b\\|c",
    "`code` ``` fence",
    "[click](https://evil.example)",
    "https://evil.example/x",
    "</details></td></table>",
    "acme/api#1 GH-1",
    "line\n## heading\n::error::x",
    "\u{202e}txet denrut\u{200b}",
    "\"><svg onload=alert(1)>",
    "</text></svg></style><script>window.hostile=1</script>",
    "&lt;b&gt; &#64;octocat",
];

/// The usual one with every text that is free to be anything replaced by a hostile one.
pub fn hostile() -> Report {
    let mut report = serde_json::to_value(usual()).expect("a report is JSON");
    report["outcome"] = "failure".into();
    report["error"] = HOSTILE.join("\n").into();
    report["notes"] = serde_json::json!(["a note"]);
    report["platforms"][0]["beforeUnknown"] = "a reason".into();
    report["loaded"] = "docker @octocat".into();
    report["failures"] = serde_json::json!([{
        "derivation": "/nix/store/r5s4lx45nccwlks7ab5i534frw29w21b-broken.drv",
        "systems": ["x86_64-linux"], "reason": HOSTILE.join(" "), "cure": HOSTILE[0],
        "machineCannot": false, "logTail": HOSTILE, "seconds": -1.0, "logCommand": "nix log `@octocat`",
    }]);
    let mut next = HOSTILE.iter().cycle();
    spoil(&mut report, "", &mut next);
    serde_json::from_value(report).expect("a hostile report is one all the same")
}

fn spoil(value: &mut Value, key: &str, next: &mut dyn Iterator<Item = &&str>) {
    const FREE: [&str; 16] = [
        "notes",
        "beforeUnknown",
        "name",
        "baseline",
        "before",
        "after",
        "title",
        "message",
        "file",
        "wanted",
        "seen",
        "by",
        "references",
        "flake",
        "destination",
        "machine",
    ];
    match value {
        Value::String(text) if FREE.contains(&key) => {
            *text = (*next.next().expect("it goes round")).to_owned();
        }
        Value::Array(values) => values.iter_mut().for_each(|value| spoil(value, key, next)),
        Value::Object(map) => {
            for (key, value) in map {
                spoil(value, key, next);
            }
        }
        _ => {}
    }
}
