//! A report that somebody else's job has left: its file may be anything, and say anything.
//!
//! It is read up to a size, and neither through a link nor from a pipe; before it is taken for
//! a report every text in it loses what deceives, and everything gets an end: texts, lists and
//! numbers. What is then told of it goes through [`crate::report`], which shows foreign words as
//! code. Nothing of a file that is no report is repeated, since it may be another file of this
//! machine.

use std::fs::File;
use std::io::Read as _;
use std::path::Path;

use nixpy_github::markdown::{clipped, is_deceptive};
use nixpy_pipeline::report::Report;
use rustix::fs::{Mode, OFlags, open};
use serde_json::{Number, Value};

use crate::redact::clean;

/// A report of 127 layers on each of many platforms, with all their paths, is smaller.
const LARGEST: u64 = 8 << 20;
/// Of a line of a log no more is shown either.
const LONGEST_TEXT: usize = 4000;
/// Of a list.
const MOST_ITEMS: usize = 500;
/// Sums of as many numbers as a list may have stay numbers.
const LARGEST_NUMBER: u64 = 1 << 50;

/// Reads a file, and makes a report of it that can be shown.
///
/// # Errors
/// It is none, in words that have nothing of it.
pub fn read(file: &Path) -> Result<Report, String> {
    parse(&bytes(file)?)
}

fn bytes(file: &Path) -> Result<Vec<u8>, String> {
    let flags = OFlags::RDONLY | OFlags::NOFOLLOW | OFlags::NONBLOCK | OFlags::CLOEXEC;
    let opened = open(file, flags, Mode::empty()).map_err(|e| match e {
        rustix::io::Errno::LOOP => "it is a link, which is not followed".to_owned(),
        rustix::io::Errno::NOENT => "it is not there".to_owned(),
        e => format!("it cannot be read: {e}"),
    })?;
    let opened = File::from(opened);
    if !opened.metadata().is_ok_and(|known| known.is_file()) {
        return Err("it is not a file".to_owned());
    }
    let mut bytes = Vec::new();
    let read = opened.take(LARGEST + 1).read_to_end(&mut bytes);
    read.map_err(|e| format!("it cannot be read: {e}"))?;
    match bytes.len() as u64 > LARGEST {
        true => Err(format!("it is larger than {LARGEST} bytes")),
        false => Ok(bytes),
    }
}

fn parse(bytes: &[u8]) -> Result<Report, String> {
    // What is nested deeper than 128 is refused there.
    let value: Value = serde_json::from_slice(bytes)
        .map_err(|e| format!("it is no JSON, at line {}, column {}", e.line(), e.column()))?;
    if value["version"] != 1 {
        return Err("it is no report of version 1".to_owned());
    }
    // Names are words here: nothing is found by them.
    let report = serde_json::from_value(harmless(Value::clone(&clean(value))));
    report
        .map(unproven)
        .map_err(|_| "it is no report: a part of it is missing, or of another kind".to_owned())
}

/// A fork's job publishes nothing here. Where it says that it has, and what to run to see, it may
/// name an image of anybody's; and a command is no less one for standing beside a log.
fn unproven(mut report: Report) -> Report {
    report.rehearsed = true;
    report.references.clear();
    report.index = None;
    report.loaded = None;
    for image in &mut report.platforms {
        image.rehearsed = true;
    }
    for failure in &mut report.failures {
        failure.log_command = None;
        failure.cure = None;
    }
    for trouble in &mut report.troubles {
        trouble.cure = None;
    }
    report
}

fn harmless(value: Value) -> Value {
    match value {
        Value::String(text) => Value::String(shown(&text)),
        Value::Array(items) => items.into_iter().take(MOST_ITEMS).map(harmless).collect(),
        Value::Object(fields) => {
            let fields = fields.into_iter().take(MOST_ITEMS);
            fields
                .map(|(name, value)| (name, harmless(value)))
                .collect()
        }
        Value::Number(number) => Value::Number(bounded(number)),
        other => other,
    }
}

fn shown(text: &str) -> String {
    let kept = |c: &char| !is_deceptive(*c) || matches!(c, '\n' | '\t');
    let text: String = text.chars().filter(kept).take(LONGEST_TEXT + 1).collect();
    clipped(&text, LONGEST_TEXT).into_owned()
}

fn bounded(number: Number) -> Number {
    if let Some(whole) = number.as_u64() {
        return whole.min(LARGEST_NUMBER).into();
    }
    if let Some(whole) = number.as_i64() {
        let most = i64::try_from(LARGEST_NUMBER).unwrap_or(i64::MAX);
        return whole.max(-most).into();
    }
    let most = 1e9;
    let near = number.as_f64().unwrap_or_default().clamp(-most, most);
    Number::from_f64(near).unwrap_or_else(|| 0.into())
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use serde_json::json;

    use super::*;

    fn report() -> Value {
        json!({
            "version": 1, "outcome": "success", "flake": ".", "destination": "",
            "references": [], "index": null, "platforms": [], "failures": [], "loaded": null,
            "timings": { "evaluate": 1.0, "build": 1.0, "publish": 1.0, "total": 3.0 },
        })
    }

    fn with(name: &str, value: Value) -> Result<Report, String> {
        let mut report = report();
        report[name] = value;
        parse(report.to_string().as_bytes())
    }

    #[test]
    fn a_report_is_read() {
        assert_eq!(with("flake", json!(".#app")).unwrap().flake, ".#app");
    }

    #[test]
    fn what_deceives_is_taken_out_of_every_text() {
        let text = "a\u{202e}b\u{1b}[2Jc\u{200b}d\ne";
        let read = with("error", json!(text)).unwrap();
        assert_eq!(read.error.as_deref(), Some("ab[2Jcd\ne"));
    }

    #[test]
    fn nothing_of_a_strangers_is_said_to_be_published_nor_how_to_run_it() {
        let mut text = report();
        text["references"] = json!(["evil.example/malware:latest"]);
        text["loaded"] = json!("podman evil.example/malware");
        let read = parse(text.to_string().as_bytes()).unwrap();
        let told = crate::report::body(&crate::redact::clean(read), 65_536);
        for lie in ["published", "docker", "podman", "malware"] {
            assert!(!told.contains(lie), "{lie} is in\n{told}");
        }
        assert!(told.starts_with("## Image built, not pushed"), "{told}");
    }

    #[test]
    fn everything_has_an_end() {
        let read = with("error", json!("x".repeat(1 << 20))).unwrap();
        assert_eq!(read.error.unwrap().chars().count(), LONGEST_TEXT + 1);
        let read = with("destinations", json!(vec!["x"; 100_000])).unwrap();
        assert_eq!(read.destinations.len(), MOST_ITEMS);
        let endless =
            json!({ "evaluate": 1e300, "build": -1e300, "publish": u64::MAX, "total": 0 });
        let read = with("timings", endless).unwrap();
        assert_eq!((read.timings.evaluate, read.timings.build), (1e9, -1e9));
        assert!(read.timings.publish <= LARGEST_NUMBER as f64);
    }

    #[test]
    fn what_is_no_report_is_refused_and_not_repeated() {
        let secret = "root:x:0:0";
        let deep = "[".repeat(100_000);
        let cases = [
            secret.to_owned(),
            deep,
            "{}".to_owned(),
            format!(r#"{{"version": "{secret}"}}"#),
            format!(r#"{{"version": 1, "outcome": "{secret}"}}"#),
            json!({ "version": 2 }).to_string(),
            String::new(),
            "\u{0}".to_owned(),
        ];
        for text in cases {
            let problem = parse(text.as_bytes()).unwrap_err();
            assert!(!problem.contains("root"), "{problem}");
        }
        assert!(parse(b"\xff\xfe").is_err());
    }

    #[test]
    fn links_pipes_folders_and_large_files_are_not_read() {
        let folder = tempfile::tempdir().unwrap();
        let at = |name: &str| folder.path().join(name);
        std::fs::write(at("whole"), report().to_string()).unwrap();
        assert!(read(&at("whole")).is_ok());
        std::os::unix::fs::symlink(at("whole"), at("link")).unwrap();
        rustix::fs::mknodat(
            rustix::fs::CWD,
            at("pipe"),
            rustix::fs::FileType::Fifo,
            Mode::RWXU,
            0,
        )
        .unwrap();
        File::create(at("large"))
            .unwrap()
            .set_len(LARGEST + 1)
            .unwrap();
        let problem = |name: &str| read(&at(name)).unwrap_err();
        assert_eq!(problem("link"), "it is a link, which is not followed");
        assert_eq!(problem("pipe"), "it is not a file");
        assert_eq!(problem("."), "it is not a file");
        assert_eq!(problem("none"), "it is not there");
        assert!(problem("large").starts_with("it is larger than"));
    }
}
