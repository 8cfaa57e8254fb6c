//! What every renderer says of a smoke test.

use nixpy_pipeline::report::PlatformReport;
use nixpy_pipeline::smoke::{Tested, Verdict};

/// The verdict in one line; nothing if there is none.
pub fn verdict_line(image: &PlatformReport) -> Option<String> {
    let tested = image.smoke.as_ref()?;
    let platform = &image.platform;
    let Tested { wanted, .. } = tested;
    let by = tested.by.as_ref();
    let by = by.map_or_else(String::new, |by| format!(", in {by}"));
    let seen = tested.seen.as_deref().unwrap_or("nothing was seen");
    Some(match tested.verdict {
        Verdict::Passed => format!(
            "{platform} works: {wanted} after {:.1} s{by}",
            tested.seconds
        ),
        Verdict::Failed => format!("{platform} failed its smoke test ({wanted}{by}): {seen}"),
        Verdict::Untested => format!("{platform} is untested: {seen}"),
        Verdict::Unchanged => {
            format!("{platform} is what the tags point to already: not tried out")
        }
    })
}

/// What stands below it: the container's last lines, and what to do.
pub fn detail_lines(image: &PlatformReport) -> Vec<String> {
    let Some(tested) = &image.smoke else {
        return Vec::new();
    };
    let mut lines = Vec::new();
    // Of an image that works nobody asks how it was run.
    if tested.verdict == Verdict::Passed {
        return lines;
    }
    lines.extend(tested.cure.iter().map(|cure| format!("  {cure}")));
    if !tested.log.is_empty() {
        lines.push("  its last lines:".to_owned());
        lines.extend(tested.log.iter().map(|line| format!("  > {line}")));
    }
    lines.extend(tested.notes.iter().map(|note| format!("  note: {note}")));
    lines
}

/// One line, or with all that is known if something is wrong.
pub fn tested_lines(image: &PlatformReport) -> Vec<String> {
    let mut lines: Vec<String> = verdict_line(image).into_iter().collect();
    lines.extend(detail_lines(image));
    lines
}

/// Whether something is wrong with the image.
pub fn has_failed(image: &PlatformReport) -> bool {
    verdict(image) == Some(Verdict::Failed)
}

/// The verdict.
pub fn verdict(image: &PlatformReport) -> Option<Verdict> {
    image.smoke.as_ref().map(|tested| tested.verdict)
}
