//! What a run would do, as people read it.

use nixpy_pipeline::image::layering::{Change, Resent};
use nixpy_pipeline::plan::Plan;
use nixpy_pipeline::preview::{PlannedImage, PlannedLayer, Preview};

use crate::render::{destinations, size};

/// More names of one layer are only counted.
const MOST_NAMES: usize = 4;

/// The plan, and the layers of each image as far as they are known.
pub fn text(preview: &Preview) -> String {
    let mut lines = plan_lines(&preview.plan);
    for image in &preview.images {
        lines.push(String::new());
        lines.extend(image_lines(image));
    }
    lines.push(String::new());
    lines.join("\n")
}

fn plan_lines(plan: &Plan) -> Vec<String> {
    let mut lines = vec![format!("A run of {} would publish", plan.flake)];
    for job in &plan.jobs {
        lines.push(format!(
            "  {:<16} {}, {}",
            job.platform.to_string(),
            job.offered_as(),
            job.strategy
        ));
        lines.push(format!("  {:<16} {}", "", job.derivation));
        let declined = job.declined.iter();
        lines.extend(declined.map(|declined| format!("  {:<16} {declined}", "")));
    }
    lines.push(format!("to {}", destinations(plan)));
    lines.extend(plan.notes.iter().map(|note| format!("note: {note}")));
    lines
}

fn image_lines(image: &PlannedImage) -> Vec<String> {
    if image.layers.is_empty() {
        return vec![format!(
            "{}: an archive; its layers are known when it is read",
            image.platform
        )];
    }
    let new = image.layers.iter().filter(|layer| !layer.published);
    let new = new.fold(0_u64, |sum, layer| sum.saturating_add(layer.nar_size));
    let all = image.layers.iter();
    let all = all.fold(0_u64, |sum, layer| sum.saturating_add(layer.nar_size));
    let mut lines = vec![format!(
        "{}: {} layers, {} before compression, of which {} are not published yet",
        image.platform,
        image.layers.len(),
        size(all),
        size(new),
    )];
    // The topmost first, as it is the one that changes.
    for (n, layer) in image.layers.iter().enumerate().rev() {
        let mark = if layer.published { "=" } else { "+" };
        lines.push(format!(
            "  {mark} {:>3} {:>9}  {}",
            n + 1,
            size(layer.nar_size),
            names(layer)
        ));
    }
    if !image.resent.is_empty() {
        lines.push("  sent again, before compression, after a change of".to_owned());
        lines.extend(image.resent.iter().map(resent_line));
    }
    lines
}

fn names(layer: &PlannedLayer) -> String {
    if layer.paths.is_empty() {
        return layer.comment.clone();
    }
    // The hash before a name tells people nothing.
    let named = layer.paths.iter().take(MOST_NAMES);
    let named: Vec<&str> = named
        .map(|path| path.split_once('-').map_or(path.as_str(), |(_, name)| name))
        .collect();
    match layer.paths.len().saturating_sub(MOST_NAMES) {
        0 => named.join(", "),
        more => format!("{} and {more} more", named.join(", ")),
    }
}

fn resent_line(resent: &Resent) -> String {
    let what = match &resent.change {
        Change::App => "the app".to_owned(),
        Change::TypicalWheel { name } => format!("a typical wheel, {name}"),
        Change::CostliestWheel { name } => format!("the costliest wheel, {name}"),
        Change::Python => "Python".to_owned(),
        Change::CLibrary => "the C library".to_owned(),
    };
    let layers = match resent.layers {
        1 => "1 layer".to_owned(),
        more => format!("{more} layers"),
    };
    format!("  {:>15}  {what} ({layers})", size(resent.nar_bytes))
}
