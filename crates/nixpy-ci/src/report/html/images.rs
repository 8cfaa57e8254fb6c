//! What each image is made of, as a map: areas are bytes, gaps part layers.

use maud::{Markup, html};
use nixpy_oci::contents::Content;
use nixpy_oci::image::{How, PushedLayer};
use nixpy_pipeline::budget::Kept;
use nixpy_pipeline::report::{PlatformReport, Report};

use super::treemap::{Area, squarified};
use super::{at, fitting, plain, short, without_hash};
use crate::render::{size, smoke};
use crate::report::words;

const WIDTH: f64 = 1130.0;
const HEIGHT: f64 = 400.0;
/// So many of the largest are named in the table.
const LARGEST: usize = 10;

pub(super) fn sections(report: &Report) -> Markup {
    html! {
        @for image in &report.platforms {
            section {
                h2 { "What makes " (plain(&image.platform.to_string())) " large" }
                p.soft {
                    (size(image.compressed_size)) " compressed"
                    @if let Some(unpacked) = unpacked(image) { ", " (size(unpacked)) " unpacked" }
                    "; " (image.layers.len()) " layers; " (words::built(image, report, plain)) "."
                    @if !smoke::has_failed(image) && let Some(verdict) = smoke::verdict_line(image) { " " (plain(&verdict)) "." }
                }
                (budgets(image, report))
                div.wide { (map(image)) }
                ul.legend {
                    li { i.sent {} @if report.rehearsed { "would be sent" } @else { "sent by this run" } }
                    li { i.kept {} "there already" }
                    li { @if is_known(image) { "areas are bytes as they are unpacked" } @else { "areas are compressed bytes of layers" } }
                }
                (largest(image))
            }
        }
    }
}

/// The path that takes most of the room.
pub(super) fn largest_share(image: &PlatformReport) -> Option<String> {
    let all = unpacked(image).filter(|all| *all > 0)?;
    let largest = image.contents.iter().flatten().max_by_key(|one| one.size)?;
    let share = largest.size as f64 * 100.0 / all as f64;
    let name = plain(without_hash(&largest.name));
    Some(format!("{share:.0} % of it unpacked is {name}"))
}

/// One box of the map.
struct Box<'a> {
    name: String,
    bytes: u64,
    layer: &'a PushedLayer,
}

fn is_known(image: &PlatformReport) -> bool {
    image.contents.iter().any(|layer| !layer.is_empty())
}

fn unpacked(image: &PlatformReport) -> Option<u64> {
    let all = image.contents.iter().flatten();
    is_known(image).then(|| all.fold(0, |sum: u64, one| sum.saturating_add(one.size)))
}

/// What is in each layer, the largest first; a layer that does not say it is one box.
fn boxes(image: &PlatformReport) -> Vec<Vec<Box<'_>>> {
    let none: &[Content] = &[];
    let layers = image.layers.iter().enumerate().map(|(n, layer)| {
        let contents = image.contents.get(n).map_or(none, Vec::as_slice);
        match contents {
            [] => vec![Box {
                name: format!("layer {}", n + 1),
                bytes: layer.size,
                layer,
            }],
            contents => contents
                .iter()
                .map(|one| Box {
                    name: plain(without_hash(&one.name)),
                    bytes: one.size,
                    layer,
                })
                .collect(),
        }
    });
    let mut layers: Vec<Vec<Box<'_>>> = layers.collect();
    for layer in &mut layers {
        layer.sort_by_key(|one| std::cmp::Reverse(one.bytes));
    }
    layers.sort_by_key(|layer| std::cmp::Reverse(sum(layer)));
    layers
}

fn sum(boxes: &[Box<'_>]) -> u64 {
    boxes
        .iter()
        .fold(0, |sum, one| sum.saturating_add(one.bytes))
}

fn map(image: &PlatformReport) -> Markup {
    let layers = boxes(image);
    let whole = Area {
        x: 0.0,
        y: 0.0,
        width: WIDTH,
        height: HEIGHT,
    };
    let sizes: Vec<u64> = layers.iter().map(|layer| sum(layer)).collect();
    let places = squarified(&sizes, whole);
    let label = format!(
        "Layers and store paths of {} by size",
        plain(&image.platform.to_string())
    );
    html! {
        svg viewBox={ "0 0 " (at(WIDTH)) " " (at(HEIGHT)) } role="img" aria-label=(label) {
            @for (layer, place) in layers.iter().zip(places) {
                @let sizes: Vec<u64> = layer.iter().map(|one| one.bytes).collect();
                @for (one, area) in layer.iter().zip(squarified(&sizes, place.inside(2.0))) {
                    (drawn(one, area.inside(0.5)))
                }
            }
        }
    }
}

fn drawn(one: &Box<'_>, area: Area) -> Markup {
    if area.width < 1.0 || area.height < 1.0 {
        return html! {};
    }
    let (class, text_class, state) = match one.layer.how {
        How::Sent => ("sent", "on-sent", "sent"),
        How::Described | How::Present => ("kept", "on-kept", "there already"),
        How::Mounted => ("kept", "on-kept", "taken over from another repository"),
    };
    // Large areas have large letters, as far as the name fits.
    let shown = short(&one.name);
    let letters = shown.chars().count() as f64;
    let font = (area.width - 12.0) / (letters * 0.56);
    let font = font.min(area.height / 3.2).clamp(11.0, 24.0);
    let name = fitting(shown, area.width - 10.0, font * 0.56).filter(|_| area.height > font + 6.0);
    let bytes = size(one.bytes);
    let has_size = area.height > font + 26.0 && area.width > bytes.len() as f64 * 6.6 + 10.0;
    html! {
        g {
            title { (one.name) ", " (bytes) ", layer " (one.layer.digest.to_string().chars().take(19).collect::<String>()) ", " (state) }
            rect class=(class) x=(at(area.x)) y=(at(area.y)) width=(at(area.width)) height=(at(area.height)) rx="3" {}
            @if let Some(name) = &name {
                text class=(text_class) x=(at(area.x + 6.0)) y=(at(area.y + font + 2.0)) font-size=(at(font)) { (name) }
                @if has_size {
                    text class={ (text_class) " size" } x=(at(area.x + 6.0)) y=(at(area.y + font + 18.0)) font-size="12" { (bytes) }
                }
            }
        }
    }
}

fn largest(image: &PlatformReport) -> Markup {
    let Some(all) = unpacked(image).filter(|all| *all > 0) else {
        return html! {};
    };
    let mut paths: Vec<&Content> = image.contents.iter().flatten().collect();
    paths.sort_by_key(|one| std::cmp::Reverse(one.size));
    html! {
        details {
            summary { "The largest, as a table" }
            table {
                tr { th { "path" } th.number { "unpacked" } th.number { "share" } }
                @for one in paths.iter().take(LARGEST) {
                    tr {
                        td { code { (plain(without_hash(&one.name))) } }
                        td.number { (size(one.size)) }
                        td.number { (format!("{:.0} %", one.size as f64 * 100.0 / all as f64)) }
                    }
                }
            }
        }
    }
}

fn budgets(image: &PlatformReport, report: &Report) -> Markup {
    let mut changes = report.changes.iter();
    let changes = changes.find(|changes| changes.platform == image.platform);
    let told: Vec<(bool, String)> = report
        .budgets
        .iter()
        .map(|budget| {
            let wanted = words::budget(*budget);
            match budget.kept(image.compressed_size, changes) {
                Kept::Within(_) => (false, format!("{wanted}, kept")),
                Kept::Over(is) => (true, words::broken(*budget, is)),
                Kept::Unknown => (false, format!("{wanted}: {}", words::unheld(image, plain))),
            }
        })
        .collect();
    html! {
        @for (is_over, told) in told {
            p.over[is_over] { @if is_over { "The image " } @else { "Budget: " } (told) "." }
        }
    }
}

/// All layers with their digests, for who wants to know exactly.
pub(super) fn layers(report: &Report) -> Markup {
    if report.platforms.is_empty() {
        return html! {};
    }
    html! {
        section {
            h2 { "Digests" }
            @if let Some(index) = &report.index {
                p { "Index " code { (index.digest) } }
            }
            @for image in &report.platforms {
                p { (plain(&image.platform.to_string())) " " code { (image.digest) } ", sent: " (words::sent(image, report)) }
                details {
                    summary { "Its layers" }
                    table {
                        tr { th { "layer" } th { "what became of it" } th.number { "compressed" } }
                        @for layer in &image.layers {
                            tr {
                                td { code { (layer.digest) } }
                                td { (how(layer.how)) }
                                td.number { (size(layer.size)) }
                            }
                        }
                    }
                }
            }
        }
    }
}

fn how(how: How) -> &'static str {
    match how {
        How::Described => "known, not made again",
        How::Present => "there already",
        How::Mounted => "taken over from another repository",
        How::Sent => "sent",
    }
}
