use super::*;
use crate::report::sample::{HOSTILE, hostile, usual};

#[test]
fn the_page_has_the_figures_of_the_report() {
    let page = page(&usual());
    for words in [
        "<title>base-api – Image published</title>",
        "2 min 16 s",
        "1 min 45 s of it: pandas-2.2.3",
        "ghcr.io/acme/base-api:1.4.2",
        "pandas-2.2.3, 58.2 MB, layer sha256:",
        "Evaluate 3.4 s",
        "pandas-2.2.3 on ssh-ng://builder@arm.example.org",
        "+2.4 MB",
        "Budget: no larger than 200.0 MB, kept.",
    ] {
        assert!(page.contains(words), "{words:?} is not in\n{page}");
    }
    assert!(page.len() < 200_000, "{}", page.len());
}

#[test]
fn it_asks_for_nothing_and_runs_nothing() {
    for report in [usual(), hostile()] {
        let page = page(&report);
        for asking in [
            "<script", "<link", "<img", "<iframe", " src=", " href=", "@import", "url(",
        ] {
            let found = page.match_indices(asking).map(|(at, _)| &page[at..]);
            let found: Vec<&str> = found.map(|rest| &rest[..rest.len().min(60)]).collect();
            // Within a text it is harmless: there it follows an escaped bracket.
            let in_text = |rest: &&str| rest.starts_with(" src=x");
            assert!(found.iter().all(in_text), "{asking}: {found:?}");
        }
        assert!(page.contains("default-src 'none'"));
    }
}

#[test]
fn hostile_texts_are_seen_and_do_nothing() {
    let page = page(&hostile());
    for text in HOSTILE {
        let is_there = page.contains(text);
        assert!(
            !is_there || !text.contains(['<', '"', '\u{202e}']),
            "{text} is not escaped"
        );
    }
    assert!(
        page.contains("&lt;script&gt;window.hostile=1&lt;/script&gt;"),
        "{page}"
    );
}

#[test]
fn figures_that_cannot_be_are_drawn_all_the_same() {
    let mut report = usual();
    report.timings.total = f64::MAX;
    report.timeline[0].end = f64::MAX;
    report.timeline[1].begin = -5.0;
    report.platforms[0].layers.truncate(1);
    for layer in &mut report.platforms[1].contents {
        layer.iter_mut().for_each(|one| one.size = u64::MAX);
    }
    report.platforms[1].compressed_size = u64::MAX;
    report.changes[0].size = u64::MAX;
    let page = page(&report);
    assert!(!page.contains("NaN") && !page.contains("inf\""), "{page}");
}

#[test]
fn a_report_of_before_is_a_page() {
    for fixture in [
        include_str!("../../../../../tests/fast/fixtures/report-v1.json"),
        include_str!("../../../../../tests/fast/fixtures/report-v1-failure.json"),
        include_str!("../../../../../tests/fast/fixtures/report-v1-smoke.json"),
    ] {
        let report: Report = serde_json::from_str(fixture).expect("it is a report");
        let page = page(&report);
        assert!(page.ends_with("</html>"), "{page}");
        assert!(!page.contains("Where the time went"));
    }
}
