//! What is left out where there is little room, and in which order.

use super::*;

/// By CommonMark's rule a fence is closed by one of at least its length.
fn fences_are_closed(markdown: &str) -> bool {
    let mut open = 0;
    for line in markdown.lines() {
        let ticks = line.len() - line.trim_start_matches('`').len();
        let only_ticks = ticks == line.trim_end().len();
        match open {
            0 if ticks >= 3 => open = ticks,
            0 => {}
            _ if only_ticks && ticks >= open => open = 0,
            _ => {}
        }
    }
    open == 0
}

#[test]
fn it_fits_into_any_room_and_is_never_cut_in_the_middle() {
    let mut report = hostile();
    for failure in &mut report.failures {
        failure.log_tail = (0..150)
            .map(|n| format!("{n} é ```` {}", "x".repeat(3000)))
            .collect();
    }
    let one = report.changes[0].python[0].clone();
    for changes in &mut report.changes {
        changes.python.extend(vec![one.clone(); 1000]);
    }
    let whole = body(&report, usize::MAX).len();
    assert!(whole > 300_000);
    let mut before = 0;
    for limit in (0..2000)
        .step_by(333)
        .chain([5000, 20_000, LONGEST_COMMENT, 200_000, 300_000])
    {
        let told = body(&report, limit);
        assert!(told.len() <= limit, "{} > {limit}", told.len());
        assert!(fences_are_closed(&told), "{limit}:\n{told}");
        let html = shown(&told).html.concat();
        let [opened, closed] = ["<details>", "</details>"].map(|tag| html.matches(tag).count());
        assert_eq!(opened, closed, "{limit}");
        assert!(told.len() >= before, "more room, and less is told");
        before = told.len();
        if limit >= 5000 {
            is_harmless(&told);
            assert!(told.contains("| `linux/"), "platforms are kept longest");
            assert!(told.contains("_Shortened to what fits here"), "{told}");
        }
    }
}

/// A failure with so many lines of so many bytes, and so many packages that changed.
fn long(lines: usize, bytes: usize, packages: usize) -> Report {
    let mut report = hostile();
    report.failures[0].log_tail = (0..lines)
        .map(|n| format!("line {n} {}", "y".repeat(bytes)))
        .collect();
    report.changes.truncate(1);
    let one = report.changes[0].python[0].clone();
    report.changes[0].python = (0..packages)
        .map(|n| {
            let mut one = one.clone();
            one.name = format!("package-{n}");
            one
        })
        .collect();
    report
}

/// Lines of the failure's log that are told.
fn lines_of_the_log(told: &str) -> usize {
    let is_line = |line: &&str| line.starts_with("line ") && line.contains(" yyy");
    told.lines().filter(is_line).count()
}

#[test]
fn the_end_of_a_log_is_kept_since_it_says_what_went_wrong() {
    let told = body(&long(200, 400, 4), LONGEST_COMMENT);
    assert!(told.contains("line 199 ") && !told.contains("line 0 "));
    assert!(told.contains("_100 lines before are left out_"));
    assert!(told.contains("What grew most"), "{told}");
}

#[test]
fn long_tables_lose_rows_before_a_log_loses_a_line() {
    let told = body(&long(200, 100, 3000), LONGEST_COMMENT);
    assert_eq!(lines_of_the_log(&told), 200);
    assert!(
        told.contains("| `package-99` |") && told.contains(" more |"),
        "{told}"
    );
    let told = body(&long(200, 250, 3000), LONGEST_COMMENT);
    assert!(told.contains("| `package-49` |") && !told.contains("| `package-50` |"));
    assert_eq!(lines_of_the_log(&told), 200);
}

#[test]
fn what_is_missed_least_goes_before_a_log_has_fewer_than_twenty_lines() {
    let report = long(60, 1900, 60);
    let mut seen = false;
    for limit in (30_000..60_000).step_by(1000) {
        let told = body(&report, limit);
        let has_all = told.contains("What grew most") && told.contains("Digests in full");
        let lines = lines_of_the_log(&told);
        assert!(!has_all || lines >= 20, "{told}");
        assert!(told.contains("### What changed"), "{told}");
        seen |= !has_all && lines == 20;
    }
    assert!(seen, "there is a room in which only these are left out");
}

#[test]
fn what_failed_has_its_last_five_lines_as_long_as_anything_can_be_done_without() {
    let report = long(60, 1900, 60);
    let mut fewest = usize::MAX;
    for limit in (2000..30_000).step_by(1000) {
        let told = body(&report, limit);
        if told.contains("### What changed") || told.contains("Pull and run") {
            fewest = fewest.min(lines_of_the_log(&told));
        }
    }
    assert_eq!(fewest, 5);
}
