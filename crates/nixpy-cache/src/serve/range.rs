//! `Range: bytes=…`, as RFC 9110 has it, as far as anybody who fetches archives uses it: one
//! range. Several at once are answered with the whole, which the RFC allows.

use std::ops::Range;

/// What is to be sent.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Part {
    /// Everything.
    Whole,
    /// These bytes.
    Of(Range<u64>),
    /// What was asked for lies behind the end.
    Nothing,
}

/// Reads the header's value, of something that has so many bytes.
pub(super) fn part(header: Option<&str>, size: u64) -> Part {
    let asked = || {
        let (first, last) = header?.trim().strip_prefix("bytes=")?.split_once('-')?;
        let number = |text: &str| text.parse::<u64>().ok();
        Some(match (first, last) {
            ("", last) => size.saturating_sub(number(last)?)..size,
            (first, "") => number(first)?..size,
            (first, last) => {
                let (first, last) = (number(first)?, number(last)?);
                // Such a range is none.
                (first <= last).then_some(())?;
                first..last.saturating_add(1).min(size)
            }
        })
    };
    match asked() {
        None => Part::Whole,
        Some(range) if range.start >= size || range.is_empty() => Part::Nothing,
        Some(range) => Part::Of(range),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_part_is_what_the_header_says_within_what_there_is() {
        for (header, wanted) in [
            ("bytes=0-", Part::Of(0..10)),
            ("bytes=4-5", Part::Of(4..6)),
            ("bytes=4-99", Part::Of(4..10)),
            ("bytes=4-18446744073709551615", Part::Of(4..10)),
            ("bytes=-3", Part::Of(7..10)),
            ("bytes=-30", Part::Of(0..10)),
            ("bytes=10-", Part::Nothing),
            ("bytes=-0", Part::Nothing),
            ("bytes=5-4", Part::Whole),
            ("bytes=0-1,3-4", Part::Whole),
            ("lines=0-1", Part::Whole),
            ("bytes=a-b", Part::Whole),
        ] {
            assert_eq!(part(Some(header), 10), wanted, "{header}");
        }
        assert_eq!(part(None, 10), Part::Whole);
        assert_eq!(part(Some("bytes=0-"), 0), Part::Nothing);
    }
}
