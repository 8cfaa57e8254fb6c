mod fitting;
mod told;

use comrak::nodes::NodeValue;
use comrak::{Arena, Options, parse_document};
use nixpy_pipeline::report::{Outcome, Report};

use super::*;
use crate::report::sample::{HOSTILE, hostile, usual};

/// What GitHub's parser makes of it: text in prose, HTML, and addresses of links.
#[derive(Debug, Default)]
struct Shown {
    prose: Vec<String>,
    html: Vec<String>,
    links: Vec<String>,
    /// Cells of each row.
    rows: Vec<usize>,
}

fn shown(markdown: &str) -> Shown {
    let mut options = Options::default();
    options.extension.table = true;
    options.extension.autolink = true;
    options.extension.strikethrough = true;
    options.extension.alerts = true;
    let arena = Arena::new();
    let root = parse_document(&arena, markdown, &options);
    let mut shown = Shown::default();
    for node in root.descendants() {
        match &node.data.borrow().value {
            NodeValue::Text(text) => shown.prose.push(text.to_string()),
            NodeValue::HtmlInline(html) => shown.html.push(html.clone()),
            NodeValue::HtmlBlock(html) => shown.html.push(html.literal.clone()),
            NodeValue::Link(link) | NodeValue::Image(link) => shown.links.push(link.url.clone()),
            NodeValue::TableRow(_) => shown.rows.push(node.children().count()),
            _ => {}
        }
    }
    shown
}

/// Nothing in it acts, and no table has lost or won a cell.
#[track_caller]
fn is_harmless(markdown: &str) {
    let shown = shown(markdown);
    assert_eq!(shown.links, Vec::<String>::new(), "{markdown}");
    for html in &shown.html {
        for tag in html.split('<').skip(1) {
            let ours = ["details>", "summary>", "/details>", "/summary>"];
            assert!(ours.iter().any(|ours| tag.starts_with(ours)), "{html}");
        }
    }
    let prose = shown.prose.join("\n");
    for acting in ["@", "#", "://", "www.", "::", "GH-", "\u{202e}"] {
        assert!(
            !prose.contains(acting),
            "{acting} stands in the prose of\n{prose}"
        );
    }
    // A row that has lost a cell is filled up, but one that has too many loses them: so the
    // names that are in the table are looked for as well.
    assert!(
        shown.rows.iter().all(|cells| [3, 4, 6].contains(cells)),
        "{:?}",
        shown.rows
    );
}

fn tables(markdown: &str) -> usize {
    markdown
        .lines()
        .filter(|line| line.starts_with("| "))
        .count()
}

#[test]
fn the_story_of_a_usual_run_is_told() {
    let told = body(&usual(), LONGEST_COMMENT);
    for words in [
        "## base-api: Image published\n",
        "- `ghcr.io/acme/base-api:main`",
        "| `linux/arm64/v8` | `sha256:d4d8f6cba13c` |",
        "| 118.2 MB | +2.3 MB (+2.0 %) | natively, ready after 1 min 50 s | ",
        " in 4 of 13 layers |",
        "8 derivations built, 132 paths taken from caches.",
        "\nSize budget kept: no larger than 200.0 MB, no more than 5.0 MB larger than before.\n",
        "Since `ghcr.io/acme/base-api:main`: Python packages: 1 added, 1 removed, 2 in another version",
        "| `httptools` | *added* | `0.6.4` |",
        "| `orjson` | `3.10.11` | *removed* |",
        "| `pandas` | `2.2.2` | `2.2.3` |",
        "| `openssl` | `3.3.1` | `3.3.2` |",
        "9 paths are other builds of the same version",
        "| `pandas-2.2.3` | 55.9 MB | 58.2 MB | +2.3 MB |",
        "docker run --rm -p 8000:8000 ghcr.io/acme/base-api:main\n",
        "- `linux/arm64/v8` `sha256:d4d8f6cba13c5e6c3fc59ae6e7cf7f00285b4e39f1cc9b80e8eb345a40bdff31`",
        "**warning** at `src/base_api/main.py:3`: ``ruff F401: `os` ",
        "- smoke test: `linux/amd64 works: 200 from /openapi.json at port 8000 after 0.9 s, in podman`",
    ] {
        assert!(told.contains(words), "{words:?} is not in\n{told}");
    }
    assert_eq!(
        told.matches("| `pandas` |").count(),
        1,
        "told once:\n{told}"
    );
    is_harmless(&told);
    assert!(!told.contains("mermaid"));
    assert!(summary(&usual()).contains("```mermaid\ngantt\n"));
}

#[test]
fn a_report_of_before_reads_well() {
    for fixture in [
        include_str!("../../../../../../tests/fast/fixtures/report-v1.json"),
        include_str!("../../../../../../tests/fast/fixtures/report-v1-failure.json"),
        include_str!("../../../../../../tests/fast/fixtures/report-v1-smoke.json"),
    ] {
        let report: Report = serde_json::from_str(fixture).expect("it is a report");
        let told = summary(&report);
        is_harmless(&told);
        assert!(told.starts_with("## "), "{told}");
        assert!(!told.contains("What changed"), "{told}");
        if report.outcome == Outcome::Failure {
            assert!(told.contains("### What failed\n"), "{told}");
        }
    }
}

#[test]
fn nothing_that_others_have_written_acts() {
    let told = summary(&hostile());
    is_harmless(&told);
    assert!(!told.contains("docker pull"), "{told}");
    // All of it is there to be read.
    for text in HOSTILE {
        let text = text.lines().next().expect("none is empty");
        let text: String = text
            .chars()
            .map(|c| {
                if c == '\u{202e}' || c == '\u{200b}' {
                    '\u{fffd}'
                } else {
                    c
                }
            })
            .collect();
        assert!(told.contains(&text), "{text} is not told");
    }
}

#[test]
fn every_hostile_text_is_harmless_in_every_place() {
    for text in HOSTILE {
        let mut report = usual();
        for changes in &mut report.changes {
            changes.baseline = text.to_owned();
            for moved in changes.python.iter_mut().chain(&mut changes.libraries) {
                moved.name = text.to_owned();
                moved.before = moved.before.as_ref().map(|_| text.to_owned());
            }
            changes
                .grown
                .iter_mut()
                .for_each(|grown| grown.name = text.to_owned());
        }
        report.references = vec![text.to_owned()];
        report.platforms[0].machine = Some(text.to_owned());
        report.platforms[0].platform.architecture = text.to_owned();
        let told = body(&report, LONGEST_COMMENT);
        is_harmless(&told);
        assert_eq!(
            tables(&told),
            tables(&body(&usual(), LONGEST_COMMENT)),
            "{told}"
        );
    }
}

#[test]
fn a_chart_has_no_word_that_means_something_to_mermaid() {
    let mut report = usual();
    for (span, name) in report.timeline.iter_mut().zip(
        [
            "section x",
            "click a",
            "a:crit, 0, 1",
            "a;b",
            "%% c",
            "#35;",
            "x\ny",
            "```",
        ]
        .iter()
        .cycle(),
    ) {
        span.name = (*name).to_owned();
    }
    report.timeline[0].end = f64::INFINITY;
    let chart = gantt::chart(&report.timeline).expect("there is something to draw");
    for line in chart.lines().skip(4) {
        let is_section = line.starts_with("    section ");
        let (name, data) = line.split_once(" :").unwrap_or((line, ""));
        let data = data.trim_start_matches(|c: char| c.is_ascii_lowercase() || ", ".contains(c));
        let is_bar = name.trim().starts_with(|c: char| c.is_ascii_digit())
            && !name.contains([':', ';', '#', '%', '`'])
            && data.chars().all(|c| c.is_ascii_digit() || ", ".contains(c));
        assert!(is_section || is_bar, "{line}");
    }
}

#[test]
fn a_long_timeline_is_drawn_as_far_as_it_can_be_read() {
    let mut report = usual();
    let spans = report.timeline.clone();
    report.timeline = std::iter::repeat_n(spans, 30).flatten().collect();
    let chart = gantt::chart(&report.timeline).expect("there is something to draw");
    assert!(chart.lines().count() < 60, "{chart}");
}
