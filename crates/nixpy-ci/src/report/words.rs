//! Figures as every telling writes them.

use nixpy_oci::image::How;
use nixpy_pipeline::budget::Budget;
use nixpy_pipeline::changes::Changes;
use nixpy_pipeline::report::{Outcome, PlatformReport, Report};
use nixpy_pipeline::timeline::{Span, SpanKind};

use crate::render::{size, smoke};

/// What became of the run, in a few words.
pub fn headline(report: &Report) -> &'static str {
    let is_here = stays_here(report);
    match report.outcome {
        Outcome::Success if report.rehearsed => "Image built, not pushed",
        Outcome::Success if is_here => "Image built",
        Outcome::Success => "Image published",
        Outcome::Failure if report.platforms.iter().any(smoke::has_failed) => {
            "Smoke test failed, no tag was moved"
        }
        Outcome::Failure if !report.over_budget.is_empty() => "Over budget, no tag was moved",
        Outcome::Failure if !report.failures.is_empty() => "Build failed, nothing was published",
        Outcome::Failure if !is_in_place(report) && !report.references.is_empty() => {
            "Not all tags were moved"
        }
        Outcome::Failure if !is_in_place(report) => "Not published",
        Outcome::Failure if is_short_of_a_cache(report) => match is_here || report.rehearsed {
            true => "Image built, but a required cache lacks something",
            false => "Image published, but a required cache lacks something",
        },
        Outcome::Failure if is_here || report.rehearsed => {
            "Image built, but not all that was wanted is done"
        }
        Outcome::Failure => "Image published, but not all that was wanted is done",
    }
}

/// What the run was for, as people call it: the image's name or, where there is none, the end
/// of the repository's or the flake's.
pub fn subject(report: &Report) -> Option<&str> {
    let named = report.platforms.iter().map(|image| image.name.as_str());
    let flake = report.flake.split(['?', '#']).next().unwrap_or_default();
    let flake = match flake.split_once(':') {
        // The repository's; a branch may follow.
        Some(("github" | "gitlab" | "sourcehut", path)) => path.split('/').nth(1),
        _ => flake.trim_end_matches('/').rsplit('/').next(),
    };
    let flake = flake.map(|name| name.strip_suffix(".git").unwrap_or(name));
    let repository = report.destination.rsplit('/').next();
    let repository = repository.filter(|_| !is_layout(&report.destination));
    named
        .chain(repository)
        .chain(flake)
        .map(str::trim)
        .find(|name| !["", ".", ".."].contains(name))
}

/// Whether a destination or a reference is a directory of the machine.
pub fn is_layout(name: &str) -> bool {
    name.starts_with("oci:")
}

/// Whether the image goes nowhere but into directories, where nobody else finds it.
pub fn stays_here(report: &Report) -> bool {
    let first = [report.destination.clone()];
    let all = match report.destinations.as_slice() {
        [] => &first,
        all => all,
    };
    all.iter().all(|name| is_layout(name))
}

/// What a cache that is not required lacks is no failure, and no error names it.
fn is_short_of_a_cache(report: &Report) -> bool {
    let error = report.error.as_deref().unwrap_or_default();
    let mut short = report.caches.iter().filter(|filled| filled.is_short());
    short.any(|filled| error.contains(&filled.cache))
}

/// Whether everything points to the image that was to, or would: the index is told when the
/// last tag has moved, and by digest there are no tags.
fn is_in_place(report: &Report) -> bool {
    let by_digest = |reference: &String| reference.contains('@');
    let mut references = report.references.iter();
    report.index.is_some() || (!report.references.is_empty() && references.all(by_digest))
}

/// `+1.2 MB (+2.7 %)`.
pub fn growth(changes: &Changes) -> String {
    let growth = changes.growth();
    if growth == 0 {
        return "no change".to_owned();
    }
    let percent = match changes.size_before {
        0 => String::new(),
        before => {
            let percent = growth as f64 * 100.0 / before as f64;
            match percent.abs() < 0.05 {
                true => String::new(),
                false => format!(" ({}{:.1} %)", sign(growth), percent.abs()),
            }
        }
    };
    format!("{}{percent}", signed(growth))
}

/// `+1.2 MB`.
pub fn signed(bytes: i64) -> String {
    format!("{}{}", sign(bytes), size(bytes.unsigned_abs()))
}

fn sign(number: i64) -> &'static str {
    match number {
        0 => "",
        1.. => "+",
        _ => "−",
    }
}

/// Time as people say it.
pub fn duration(seconds: f64) -> String {
    // A report may have been written by anybody.
    if !seconds.is_finite() || seconds < 0.0 {
        return "?".to_owned();
    }
    if seconds < 60.0 {
        return format!("{seconds:.1} s");
    }
    let whole = seconds.round() as u64;
    match whole {
        ..3600 => format!("{} min {} s", whole / 60, whole % 60),
        _ => format!("{} h {} min", whole / 3600, whole % 3600 / 60),
    }
}

/// `emulated by qemu, ready after 2 min 3 s`: of the build, which all platforms share. A machine's name is written as the caller writes text
/// of others.
pub fn built(image: &PlatformReport, report: &Report, foreign: fn(&str) -> String) -> String {
    let how = match &image.machine {
        Some(machine) => format!("on {}", foreign(machine)),
        None => image.strategy.to_string(),
    };
    match ready_after(image, report) {
        Some(ready) => format!("{how}, ready after {}", duration(ready)),
        None => how,
    }
}

/// From the beginning of the build to the end of the image's own, if this run has built it.
fn ready_after(image: &PlatformReport, report: &Report) -> Option<f64> {
    let stage = |span: &&Span| span.kind == SpanKind::Stage && span.name == "build";
    let begun = report.timeline.iter().find(stage)?.begin;
    let name = image.derivation.name().trim_end_matches(".drv");
    let own = report.timeline.iter().find(|span| {
        span.kind == SpanKind::Build
            && span.system.as_ref() == Some(&image.system)
            && span.name == name
    });
    own.map(|span| span.end - begun)
}

/// `3 of 42 layers, 1.2 MB`: what this run had to send.
pub fn sent(image: &PlatformReport, report: &Report) -> String {
    let all = image.layers.len();
    let sent = image.layers.iter().filter(|layer| layer.how == How::Sent);
    match sent.count() {
        0 => format!("nothing, all {all} layers reused"),
        sent if report.rehearsed => {
            format!(
                "{} would be, in {sent} of {all} layers",
                size(image.sent_size)
            )
        }
        sent => format!("{} in {sent} of {all} layers", size(image.sent_size)),
    }
}

/// `no larger than 200.0 MB`.
pub fn budget(budget: Budget) -> String {
    match budget {
        Budget::Size(most) => format!("no larger than {}", size(most)),
        Budget::Growth(most) => format!("no more than {} larger than before", size(most)),
    }
}

/// How much of the work was saved.
pub fn counts(report: &Report) -> String {
    let some = |count: usize, one: &str, more: &str| match count {
        1 => format!("1 {one}"),
        count => format!("{count} {more}"),
    };
    let built = some(report.counts.built, "derivation", "derivations");
    let fetched = some(report.counts.fetched, "path", "paths");
    format!("{built} built, {fetched} taken from caches")
}

/// `is 218.2 MB, over its budget of 200.0 MB`: what an image does that is too large.
pub fn broken(budget: Budget, actual: u64) -> String {
    let actual = size(actual);
    match budget {
        Budget::Size(most) => format!("is {actual}, over its budget of {}", size(most)),
        Budget::Growth(most) => format!(
            "has grown by {actual}, over its budget of {} of growth",
            size(most)
        ),
    }
}

/// Every budget that is not kept, in a sentence with what to do.
pub fn over_budget(report: &Report) -> Vec<String> {
    let over = report.over_budget.iter();
    over.map(|over| {
        format!(
            "{} {}: see in the report what has grown, or set a larger `budget`",
            over.platform,
            broken(over.budget, over.actual)
        )
    })
    .collect()
}

/// Budgets of growth that nothing could be held against, and the images that they are for.
pub fn unjudged(report: &Report) -> Vec<(&PlatformReport, String)> {
    let is_growth = |budget: &&Budget| matches!(budget, Budget::Growth(_));
    let budgets: Vec<&Budget> = report.budgets.iter().filter(is_growth).collect();
    let unknown = |image: &&PlatformReport| {
        let mut changes = report.changes.iter();
        !changes.any(|changes| changes.platform == image.platform)
    };
    let images = report.platforms.iter().filter(unknown);
    images
        .flat_map(|image| {
            budgets.iter().map(move |budget| {
                let (platform, budget) = (&image.platform, self::budget(**budget));
                let why = unheld(image, str::to_owned);
                (image, format!("{platform} is to be {budget}: {why}"))
            })
        })
        .collect()
}

/// Why an image's growth is not known. What a registry has said is written as the caller
/// writes text of others.
pub fn unheld(image: &PlatformReport, foreign: fn(&str) -> String) -> String {
    match &image.before_unknown {
        Some(why) => format!("not judged, {}", foreign(why)),
        None => "there is no image before that it could be held against".to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn time_is_told_as_people_say_it() {
        for (seconds, told) in [
            (0.04, "0.0 s"),
            (59.94, "59.9 s"),
            (61.0, "1 min 1 s"),
            (3600.0, "1 h 0 min"),
            (f64::NAN, "?"),
            (-1.0, "?"),
        ] {
            assert_eq!(duration(seconds), told);
        }
    }

    #[test]
    fn growth_has_its_sign() {
        assert_eq!(signed(1_200_000), "+1.2 MB");
        assert_eq!(signed(-300), "−300 B");
        assert_eq!(signed(0), "0 B");
    }
}
