//! Where the time went: a ribbon of stages, and below it what was built, fetched, published
//! and tried out, in the order in which it began.

use maud::{Markup, html};
use nixpy_pipeline::report::Report;
use nixpy_pipeline::timeline::{Span, SpanKind};

use super::{at, fitting, plain, short};
use crate::report::words;

const WIDTH: f64 = 1130.0;
/// Where names end and time begins.
const LEFT: f64 = 250.0;
const RIGHT: f64 = 12.0;
const RIBBON: f64 = 34.0;
const ROW: f64 = 24.0;
/// What has a row of its own; the shortest of the others have none.
const MOST_ROWS: usize = 30;
/// Of the text, on average.
const LETTER: f64 = 7.0;

/// What took longest beside the stages.
pub(super) fn longest(report: &Report) -> Option<String> {
    let longest = longest_of(&report.timeline)?;
    if length(longest) < 0.5 {
        return None;
    }
    let what = match longest.kind {
        SpanKind::Publish => format!("publishing {}", longest.name),
        SpanKind::Smoke => format!("trying out {}", longest.name),
        SpanKind::Fetch => format!("fetching {}", longest.name),
        _ => short(&longest.name).to_owned(),
    };
    Some(plain(&format!(
        "{} of it: {what}",
        words::duration(length(longest))
    )))
}

fn longest_of(timeline: &[Span]) -> Option<&Span> {
    let spans = timeline.iter();
    let spans = spans.filter(|span| span.kind != SpanKind::Stage && is_sound(span));
    spans.max_by(|a, b| length(a).total_cmp(&length(b)))
}

pub(super) fn section(report: &Report) -> Markup {
    let spans: Vec<&Span> = report
        .timeline
        .iter()
        .filter(|span| is_sound(span))
        .collect();
    let total = spans.iter().map(|span| span.end).fold(0.0, f64::max);
    if total <= 0.0 {
        return html! {};
    }
    let chart = Chart { total };
    let most = longest_of(&report.timeline).map_or(f64::INFINITY, length);
    let (stages, others): (Vec<&Span>, Vec<&Span>) = spans
        .into_iter()
        .partition(|span| span.kind == SpanKind::Stage);
    let (fetches, others): (Vec<&Span>, Vec<&Span>) = others
        .into_iter()
        .partition(|span| span.kind == SpanKind::Fetch);
    let rows = rows(&others);
    let lines = rows.len() + usize::from(!fetches.is_empty());
    let top = RIBBON + 30.0;
    let bottom = top + lines as f64 * ROW;
    let label = format!(
        "{} in all; the longest are in the table below",
        words::duration(total)
    );
    html! {
        section {
            h2 { "Where the time went" }
            p.soft { "In all " (words::duration(total)) ". What ran at the same time stands below each other." }
            div.wide {
                svg viewBox={ "0 0 " (at(WIDTH)) " " (at(bottom + 4.0)) } role="img" aria-label=(label) {
                    @for second in chart.ticks() {
                        @let x = chart.x(second);
                        line.grid x1=(at(x)) x2=(at(x)) y1=(at(RIBBON + 4.0)) y2=(at(bottom)) {}
                        text.soft x=(at(x)) y=(at(RIBBON + 20.0)) text-anchor=(anchor(x)) { (tick(second)) }
                    }
                    text.soft x="0" y=(at(RIBBON / 2.0 + 4.5)) { "Stages" }
                    @for stage in &stages { (chart.stage(stage)) }
                    @if !fetches.is_empty() { (chart.fetches(&fetches, report.counts.fetched, top)) }
                    @for (n, span) in rows.iter().enumerate() {
                        (chart.row(span, top + (n + usize::from(!fetches.is_empty())) as f64 * ROW, length(span) >= most))
                    }
                }
            }
            (legend(&stages, !fetches.is_empty()))
            (table(&others))
        }
    }
}

/// The longest, and whatever failed, in the order in which they began.
fn rows<'a>(spans: &[&'a Span]) -> Vec<&'a Span> {
    let mut rows = spans.to_vec();
    rows.sort_by(|a, b| {
        (b.failed, length(b))
            .partial_cmp(&(a.failed, length(a)))
            .unwrap_or(std::cmp::Ordering::Equal)
    });
    rows.truncate(MOST_ROWS);
    rows.sort_by(|a, b| a.begin.total_cmp(&b.begin));
    rows
}

struct Chart {
    total: f64,
}

impl Chart {
    fn x(&self, second: f64) -> f64 {
        LEFT + (WIDTH - LEFT - RIGHT) * second / self.total
    }

    /// What is short is still seen.
    fn width(&self, span: &Span) -> f64 {
        (self.x(span.end) - self.x(span.begin)).max(2.0)
    }

    fn ticks(&self) -> Vec<f64> {
        const STEPS: [f64; 14] = [
            0.1, 0.5, 1.0, 2.0, 5.0, 10.0, 20.0, 30.0, 60.0, 120.0, 300.0, 600.0, 1800.0, 3600.0,
        ];
        let mut steps = STEPS.into_iter();
        let step = steps
            .find(|step| self.total / step <= 9.0)
            .unwrap_or(self.total / 4.0);
        let count = (self.total / step).floor() as usize;
        (0..=count).map(|n| n as f64 * step).collect()
    }

    fn stage(&self, span: &Span) -> Markup {
        let (x, width) = (self.x(span.begin), self.width(span));
        let label = format!(
            "{} {}",
            stage_word(&span.name),
            words::duration(length(span))
        );
        html! {
            g {
                title { (label) @if span.failed { ", ended here" } }
                rect class=(class(span)) x=(at(x)) y="0" width=(at((width - 1.5).max(1.5))) height=(at(RIBBON)) rx="5" {}
                @if let Some(text) = fitting(&label, width - 20.0, LETTER).filter(|text| !text.ends_with('…')) {
                    text.on x=(at(x + 10.0)) y=(at(RIBBON / 2.0 + 4.5)) { (text) }
                }
            }
        }
    }

    fn fetches(&self, spans: &[&Span], all: usize, y: f64) -> Markup {
        let all = all.max(spans.len());
        html! {
            text x="0" y=(at(y + 16.0)) { "taken from caches" }
            @for span in spans {
                rect.fetch opacity="0.75" x=(at(self.x(span.begin))) y=(at(y + 4.0)) width=(at(self.width(span))) height=(at(ROW - 8.0)) rx="3" {
                    title { (plain(&span.name)) " " (words::duration(length(span))) }
                }
            }
            @let end = spans.iter().map(|span| self.x(span.end)).fold(LEFT, f64::max);
            (beside(LEFT, end, y, &format!("{all} paths"), false))
        }
    }

    fn row(&self, span: &Span, y: f64, is_longest: bool) -> Markup {
        let (x, width) = (self.x(span.begin), self.width(span));
        let name = plain(&named(span));
        let took = words::duration(length(span));
        let told = match span.failed {
            true => format!("{took}, failed"),
            false => took,
        };
        html! {
            g {
                title { (name) ", " (kind_word(span.kind)) ", " (told) }
                text.top[is_longest] x="0" y=(at(y + 16.0)) { (fitting(short(&name), LEFT - 10.0, LETTER).unwrap_or_default()) }
                rect class=(class(span)) x=(at(x)) y=(at(y + 4.0)) width=(at(width)) height=(at(ROW - 8.0)) rx="3" {}
                (beside(x, x + width, y, &told, is_longest))
            }
        }
    }
}

/// A figure after a bar, or before it where there is no room.
fn beside(begin: f64, end: f64, y: f64, text: &str, is_longest: bool) -> Markup {
    let width = text.chars().count() as f64 * LETTER + 8.0;
    let (x, anchor) = match end + width > WIDTH {
        true if begin - width > LEFT => (begin - 6.0, "end"),
        true => (WIDTH - RIGHT, "end"),
        false => (end + 6.0, "start"),
    };
    html! { text.soft[!is_longest].top[is_longest] x=(at(x)) y=(at(y + 16.0)) text-anchor=(anchor) { (text) } }
}

fn named(span: &Span) -> String {
    match (&span.machine, &span.system) {
        (Some(machine), _) => format!("{} on {machine}", span.name),
        (None, Some(system)) if span.kind == SpanKind::Build => format!("{} ({system})", span.name),
        _ => match span.kind {
            SpanKind::Publish => format!("publish {}", span.name),
            SpanKind::Smoke => format!("try out {}", span.name),
            _ => span.name.clone(),
        },
    }
}

fn legend(stages: &[&Span], any_fetched: bool) -> Markup {
    html! {
        ul.legend {
            @for stage in stages {
                li { i class=(class(stage)) {} (stage_word(&stage.name)) " " (words::duration(length(stage))) }
            }
            @if any_fetched { li { i.fetch {} "taken from a cache" } }
        }
    }
}

/// The same for who does not see the picture.
fn table(spans: &[&Span]) -> Markup {
    let mut longest = spans.to_vec();
    longest.sort_by(|a, b| length(b).total_cmp(&length(a)));
    longest.truncate(15);
    if longest.is_empty() {
        return html! {};
    }
    html! {
        details {
            summary { "The longest, as a table" }
            table {
                tr { th { "what" } th { "kind" } th.number { "began at" } th.number { "took" } }
                @for span in longest {
                    tr {
                        td { code { (plain(&named(span))) } }
                        td { (kind_word(span.kind)) @if span.failed { ", failed" } }
                        td.number { (words::duration(span.begin)) }
                        td.number { (words::duration(length(span))) }
                    }
                }
            }
        }
    }
}

fn stage_word(name: &str) -> &'static str {
    match name {
        "evaluate" => "Evaluate",
        "build" => "Build",
        "publish" => "Publish",
        "smoke" => "Try out",
        "cache" => "Fill caches",
        _ => "Other",
    }
}

fn class(span: &Span) -> &'static str {
    match (span.failed, span.kind) {
        (true, _) => "failed",
        (_, SpanKind::Build) => "build",
        (_, SpanKind::Fetch) => "fetch",
        (_, SpanKind::Publish) => "publish",
        (_, SpanKind::Smoke) => "smoke",
        (_, SpanKind::Stage) => match span.name.as_str() {
            "evaluate" => "evaluate",
            "build" => "build",
            "publish" => "publish",
            "smoke" => "smoke",
            _ => "cache",
        },
    }
}

fn kind_word(kind: SpanKind) -> &'static str {
    match kind {
        SpanKind::Stage => "stage",
        SpanKind::Build => "built",
        SpanKind::Fetch => "fetched",
        SpanKind::Publish => "published",
        SpanKind::Smoke => "tried out",
    }
}

fn tick(second: f64) -> String {
    match second {
        s if s < 60.0 && s.fract() > 0.0 => format!("{s:.1} s"),
        s if s < 60.0 => format!("{s:.0} s"),
        s if s < 3600.0 && s % 60.0 == 0.0 => format!("{:.0} min", s / 60.0),
        s => words::duration(s),
    }
}

fn anchor(x: f64) -> &'static str {
    match x {
        x if x <= LEFT => "start",
        x if x > WIDTH - 40.0 => "end",
        _ => "middle",
    }
}

fn length(span: &Span) -> f64 {
    span.end - span.begin
}

/// A report may have been written by anybody.
fn is_sound(span: &Span) -> bool {
    let sound = |at: f64| (0.0..1e7).contains(&at);
    sound(span.begin) && sound(span.end) && span.end >= span.begin
}
