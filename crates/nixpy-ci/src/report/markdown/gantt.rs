//! The timeline as a Mermaid chart, which GitHub draws.
//!
//! Mermaid reads a bar as `name :tags, begin, end`, and words such as `section` or `click` at a
//! line's beginning as commands. So every line begins with how long it took, and of a name
//! only such characters are left as mean nothing to Mermaid.

use nixpy_pipeline::report::Report;
use nixpy_pipeline::timeline::{Span, SpanKind};

use super::cut::{Part, Section};
use super::words;

/// Mermaid draws more, and nobody reads them.
const MOST_BARS: usize = 50;
const LONGEST_NAME: usize = 60;

pub(super) fn section(report: &Report) -> Option<Section> {
    let chart = chart(&report.timeline)?;
    Some(Section {
        rank: 8,
        title: Some("Timeline".to_owned()),
        folded: None,
        parts: vec![Part::Block("mermaid", chart)],
    })
}

/// Nothing if it was over at once.
pub(super) fn chart(timeline: &[Span]) -> Option<String> {
    let is_sound = |span: &&Span| {
        let sound = |at: f64| (0.0..1e7).contains(&at);
        sound(span.begin) && sound(span.end) && span.end >= span.begin
    };
    let mut spans: Vec<&Span> = timeline.iter().filter(is_sound).collect();
    let total = spans.iter().map(|span| span.end).fold(0.0, f64::max);
    // What is too short to be seen is not drawn, unless it is what went wrong.
    spans.retain(|span| span.failed || span.end - span.begin >= total / 200.0);
    let weight = |span: &Span| match (span.kind, span.failed) {
        (SpanKind::Stage, _) => 1e9,
        (_, true) => 1e8,
        _ => span.end - span.begin,
    };
    spans.sort_by(|a, b| weight(b).total_cmp(&weight(a)));
    spans.truncate(MOST_BARS);
    spans.sort_by(|a, b| a.begin.total_cmp(&b.begin));
    // Of what is over at once nobody asks where the time went.
    if spans.is_empty() || total < 1.0 {
        return None;
    }
    // A time of day would be shown in the reader's time zone; seconds are the same anywhere.
    let mut chart =
        "gantt\n    dateFormat x\n    axisFormat %s s\n    todayMarker off\n".to_owned();
    for (kind, title) in [
        (SpanKind::Stage, "Stages"),
        (SpanKind::Build, "Built"),
        (SpanKind::Fetch, "Fetched"),
        (SpanKind::Publish, "Published"),
        (SpanKind::Smoke, "Tried out"),
    ] {
        let mut of_kind = spans.iter().filter(|span| span.kind == kind).peekable();
        if of_kind.peek().is_some() {
            chart.push_str(&format!("    section {title}\n"));
        }
        for span in of_kind {
            let alike = spans
                .iter()
                .filter(|other| other.kind == kind && other.name == span.name);
            chart.push_str(&bar(span, alike.count() > 1));
        }
    }
    Some(chart)
}

fn bar(span: &Span, is_doubled: bool) -> String {
    let tag = match (span.failed, span.kind) {
        (true, _) => "crit, ",
        (_, SpanKind::Stage) => "",
        (_, SpanKind::Fetch) => "done, ",
        _ => "active, ",
    };
    let milliseconds = |at: f64| (at * 1000.0) as u64;
    let begin = milliseconds(span.begin);
    let end = milliseconds(span.end).max(begin + 1);
    let took = words::duration(span.end - span.begin);
    format!(
        "    {took} {} :{tag}{begin}, {end}\n",
        named(span, is_doubled)
    )
}

fn named(span: &Span, is_doubled: bool) -> String {
    let mut name = span.name.clone();
    match (&span.machine, &span.system) {
        (Some(machine), _) => name.push_str(&format!(" on {machine}")),
        // The images of all platforms are called alike.
        (None, Some(system)) if is_doubled => {
            name.push_str(&format!(" for {system}"));
        }
        _ => {}
    }
    let allowed = |c: char| c.is_ascii_alphanumeric() || "._+/ -".contains(c);
    let plain = name.chars().map(|c| if allowed(c) { c } else { '_' });
    plain.take(LONGEST_NAME).collect()
}
