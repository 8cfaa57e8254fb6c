//! The step's outputs, from the report that a command has written. After a failure there is
//! what is known.

use std::path::Path;

use serde_json::{Value, json};

/// Their names, and what they say: for `action.yml`.
#[cfg(test)]
pub const OUTPUTS: [(&str, &str); 9] = [
    (
        "digest",
        "The digest of the multi-platform index; of a run by digest for one platform, that of its image.",
    ),
    (
        "image",
        "The image by its digest, REPOSITORY@sha256:…; empty if nothing was published.",
    ),
    ("tags", "What points to it now, one reference a line."),
    (
        "platforms",
        "The platforms as a JSON list of objects: platform, system, digest, size (compressed, in bytes).",
    ),
    (
        "report",
        "The file with the report as JSON, also after a failure.",
    ),
    (
        "cache-hits",
        "How many store paths were fetched from caches and not built.",
    ),
    (
        "changed",
        "Whether a platform's image is another than the one that was published before: true or false.",
    ),
    (
        "matrix",
        "Of `matrix`: the jobs as JSON, for a job's `strategy.matrix`.",
    ),
    (
        "result",
        "Of a run `by-digest`: the file that the `index` job needs.",
    ),
];

/// What can be said when this is what was written.
pub fn of(report: Option<&Path>, result: Option<&Path>) -> Vec<(&'static str, String)> {
    let mut outputs = Vec::new();
    let text = report.and_then(|file| Some((file, std::fs::read(file).ok()?)));
    if let Some((file, bytes)) = text
        && let Ok(report) = serde_json::from_slice::<Value>(&bytes)
    {
        outputs = of_report(&report);
        outputs.push(("report", absolute(file)));
    }
    if let Some(file) = result.filter(|file| file.exists()) {
        outputs.push(("result", absolute(file)));
    }
    outputs
}

fn absolute(file: &Path) -> String {
    let path = std::path::absolute(file).unwrap_or_else(|_| file.to_owned());
    path.display().to_string()
}

fn of_report(report: &Value) -> Vec<(&'static str, String)> {
    let list = |name: &str| report[name].as_array().cloned().unwrap_or_default();
    let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
    let (platforms, references) = (list("platforms"), list("references"));
    let digest = match (&report["index"]["digest"], platforms.as_slice()) {
        (Value::String(digest), _) => digest.clone(),
        (_, [only]) => text(&only["digest"]),
        _ => String::new(),
    };
    let is_published = !references.is_empty() && !digest.is_empty();
    let repository = text(&report["destination"]);
    let image = match is_published && !repository.starts_with("oci:") {
        true => format!("{repository}@{digest}"),
        false => String::new(),
    };
    let told = |one: &Value| {
        json!({
            "platform": platform(&one["platform"]),
            "system": one["system"],
            "digest": one["digest"],
            "size": one["compressedSize"],
        })
    };
    let tags: Vec<String> = references.iter().map(text).collect();
    let platforms: Vec<Value> = platforms.iter().map(told).collect();
    vec![
        ("digest", digest),
        ("image", image),
        ("tags", tags.join("\n")),
        ("platforms", Value::from(platforms).to_string()),
        ("cache-hits", fetched(report).to_string()),
        ("changed", changed(report)),
    ]
}

/// `linux/arm/v7`
fn platform(value: &Value) -> String {
    let parts = ["os", "architecture", "variant"].map(|part| value[part].as_str());
    parts.into_iter().flatten().collect::<Vec<_>>().join("/")
}

fn fetched(report: &Value) -> u64 {
    let spans = report["timeline"].as_array();
    let fetches = || {
        let spans = spans.into_iter().flatten();
        spans.filter(|span| span["kind"] == "fetch").count() as u64
    };
    report["counts"]["fetched"].as_u64().unwrap_or_else(fetches)
}

/// A report that does not say so says what was sent; without an image there is nothing that
/// could be another.
fn changed(report: &Value) -> String {
    let platforms = report["platforms"].as_array().filter(|all| !all.is_empty());
    let Some(platforms) = platforms else {
        return String::new();
    };
    let mut sent = platforms.iter().filter_map(|one| one["sentSize"].as_u64());
    let changed = report["changed"].as_bool();
    changed
        .unwrap_or_else(|| sent.any(|size| size > 0))
        .to_string()
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    fn output<'a>(outputs: &'a [(&str, String)], name: &str) -> &'a str {
        let found = outputs.iter().find(|(output, _)| *output == name);
        found.map_or("(none)", |(_, value)| value)
    }

    fn report() -> Value {
        let image = |architecture: &str, digest: &str| {
            json!({
                "platform": { "os": "linux", "architecture": architecture },
                "system": "x-linux", "digest": digest, "compressedSize": 7, "sentSize": 0,
            })
        };
        json!({
            "destination": "ghcr.io/acme/api",
            "references": ["ghcr.io/acme/api:v1", "ghcr.io/acme/api:latest"],
            "index": { "digest": "sha256:aa" },
            "platforms": [image("amd64", "sha256:bb"), image("arm64", "sha256:cc")],
        })
    }

    #[test]
    fn of_an_image_everything_is_told() {
        let outputs = of_report(&report());
        assert_eq!(output(&outputs, "digest"), "sha256:aa");
        assert_eq!(output(&outputs, "image"), "ghcr.io/acme/api@sha256:aa");
        assert_eq!(
            output(&outputs, "tags"),
            "ghcr.io/acme/api:v1\nghcr.io/acme/api:latest"
        );
        let platforms: Value = serde_json::from_str(output(&outputs, "platforms")).unwrap();
        assert_eq!(platforms[1]["platform"], "linux/arm64");
        assert_eq!(output(&outputs, "changed"), "false");
    }

    #[test]
    fn what_was_not_published_has_no_name() {
        let mut report = report();
        report["references"] = json!([]);
        let outputs = of_report(&report);
        assert_eq!(output(&outputs, "image"), "");
        assert_eq!(output(&outputs, "digest"), "sha256:aa");
    }

    #[test]
    fn a_failure_without_any_image_is_told_without_one() {
        let outputs = of_report(&json!({ "outcome": "failure" }));
        assert_eq!(output(&outputs, "digest"), "");
        assert_eq!(output(&outputs, "platforms"), "[]");
        assert_eq!(
            output(&outputs, "changed"),
            "",
            "there is no image to say it of"
        );
    }

    #[test]
    fn every_output_is_one_that_the_metadata_names() {
        let names = OUTPUTS.map(|(name, _)| name);
        assert!(
            of_report(&report())
                .iter()
                .all(|(name, _)| names.contains(name))
        );
        assert!(of(None, None).is_empty());
    }
}
