//! The JSON that leaves the process: what version 1 once wrote is read for ever.

use nixpy_pipeline::doctor::Diagnosis;
use nixpy_pipeline::plan::Plan;
use nixpy_pipeline::report::Report;
use nixpy_pipeline::result::RunResult;
use serde::Serialize;
use serde::de::DeserializeOwned;
use serde_json::Value;

#[test]
fn a_report_of_version_1_is_still_read() {
    keeps::<Report>(include_str!("fixtures/report-v1.json"));
}

#[test]
fn the_report_of_a_failure_of_version_1_is_still_read() {
    keeps::<Report>(include_str!("fixtures/report-v1-failure.json"));
}

#[test]
fn the_report_of_a_smoke_test_of_version_1_is_still_read() {
    keeps::<Report>(include_str!("fixtures/report-v1-smoke.json"));
}

#[test]
fn a_report_of_version_1_that_tells_the_whole_story_is_still_read() {
    keeps::<Report>(include_str!("fixtures/report-v1-story.json"));
}

#[test]
fn a_plan_of_version_1_is_still_read() {
    keeps::<Plan>(include_str!("fixtures/plan-v1.json"));
}

#[test]
fn the_result_of_a_run_by_digest_of_version_1_is_still_read() {
    let fixture = include_str!("fixtures/result-v1.json");
    keeps::<RunResult>(fixture);
    RunResult::parse(fixture.as_bytes()).unwrap();
}

#[test]
fn what_a_doctor_of_version_1_found_is_still_read() {
    keeps::<Diagnosis>(include_str!("fixtures/doctor-v1.json"));
}

/// It parses, and nothing that it says is lost. Fields may be added.
#[track_caller]
fn keeps<T: DeserializeOwned + Serialize>(fixture: &str) {
    let written: Value = serde_json::from_str(fixture).unwrap();
    let read: T = serde_json::from_str(fixture).unwrap();
    let again = serde_json::to_value(&read).unwrap();
    assert_eq!(written["version"], 1);
    missing("", &written, &again);
}

#[track_caller]
fn missing(place: &str, before: &Value, after: &Value) {
    match (before, after) {
        (Value::Object(before), Value::Object(after)) => {
            for (key, value) in before {
                let kept = after
                    .get(key)
                    .unwrap_or_else(|| panic!("{place}.{key} is lost"));
                missing(&format!("{place}.{key}"), value, kept);
            }
        }
        (Value::Array(before), Value::Array(after)) => {
            assert_eq!(before.len(), after.len(), "{place}");
            for (number, (before, after)) in before.iter().zip(after).enumerate() {
                missing(&format!("{place}[{number}]"), before, after);
            }
        }
        _ => assert_eq!(before, after, "{place}"),
    }
}
