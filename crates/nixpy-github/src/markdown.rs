//! Text of others in GitHub's Markdown, where it must stay text: no link, no mention, no
//! HTML, no end of the table or of the fence that it stands in, and no letters that turn the
//! direction of what follows.
//!
//! All of it is shown as code, because that is where GitHub looks for nothing: a mention,
//! an issue's number, a commit and an address are found in prose even when their
//! punctuation is escaped.

/// More of a word than this is not looked at by anybody.
const LONGEST_CODE: usize = 300;
/// More of a line of a log is cut off.
const LONGEST_LINE: usize = 2000;

/// A code span. Nothing within one is a mention or a link. Line breaks become blanks, and
/// what is longer than a name or a sentence is cut.
pub fn code(text: &str) -> String {
    let text: String = clipped(text, LONGEST_CODE).chars().map(shown).collect();
    // A span of blanks alone is none, nor is an empty one.
    let text = if text.trim().is_empty() { "␠" } else { &text };
    let fence = "`".repeat(longest_run(text, '`') + 1);
    // One blank at each end is taken away again, if both are there.
    let is_padded = text.starts_with(' ') && text.ends_with(' ');
    let pad = match text.starts_with('`') || text.ends_with('`') || is_padded {
        true => " ",
        false => "",
    };
    format!("{fence}{pad}{text}{pad}{fence}")
}

/// A code span in a cell of a table. A bar ends the cell even within code, and a backslash
/// before it can itself be escaped by another: so another sign stands for it.
pub fn cell(text: &str) -> String {
    code(&text.replace('|', "│"))
}

/// A block that is closed by nothing within it. Its lines end where they did; each is cut
/// where nobody would read on.
pub fn block(language: &str, text: &str) -> String {
    let lines: Vec<String> = text.lines().map(line).collect();
    let text = lines.join("\n");
    let fence = "`".repeat(longest_run(&text, '`').max(2) + 1);
    format!("{fence}{language}\n{text}\n{fence}\n")
}

/// One line of a [`block`], as it stands there.
pub fn line(text: &str) -> String {
    let kept = clipped(text, LONGEST_LINE);
    let tab = |c| if c == '\t' { '\t' } else { shown(c) };
    kept.chars().map(tab).collect()
}

/// Whether a character has no place in a text that people are to trust: it is not seen, or
/// changes how others are seen.
pub fn is_deceptive(c: char) -> bool {
    c.is_control()
        || matches!(c,
            '\u{ad}' | '\u{61c}' | '\u{180e}' | '\u{200b}'..='\u{200f}' | '\u{2028}'..='\u{202e}'
            | '\u{2060}'..='\u{206f}' | '\u{feff}' | '\u{fff9}'..='\u{fffb}' | '\u{e0000}'..='\u{e007f}')
}

fn shown(c: char) -> char {
    match c {
        '\n' | '\r' | '\t' => ' ',
        c if is_deceptive(c) => '\u{fffd}',
        c => c,
    }
}

/// The text, or so many of its first characters and a sign that there were more.
pub fn clipped(text: &str, most: usize) -> std::borrow::Cow<'_, str> {
    match text.char_indices().nth(most) {
        None => text.into(),
        Some((end, _)) => format!("{}…", &text[..end]).into(),
    }
}

fn longest_run(text: &str, wanted: char) -> usize {
    let runs = text.split(|c| c != wanted);
    runs.map(str::len).max().unwrap_or(0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_span_is_not_closed_by_what_is_in_it() {
        assert_eq!(code("@acme"), "`@acme`");
        assert_eq!(code("a`b``c"), "```a`b``c```");
        assert_eq!(code("`"), "`` ` ``");
        assert_eq!(code("a\nb"), "`a b`");
        assert_eq!(code(" a "), "`  a  `");
    }

    #[test]
    fn a_span_is_a_span_whatever_is_in_it() {
        for nothing in ["", " ", "\n"] {
            assert_eq!(code(nothing), "`␠`");
        }
        let long = code(&"x".repeat(5000));
        assert_eq!(long.chars().count(), 303, "{long}");
    }

    #[test]
    fn a_bar_does_not_end_the_cell_not_even_behind_a_backslash() {
        assert_eq!(cell("a|b"), "`a│b`");
        assert_eq!(cell("a\\|b"), "`a\\│b`");
    }

    #[test]
    fn a_block_is_longer_than_any_fence_in_it() {
        assert_eq!(block("text", "````"), "`````text\n````\n`````\n");
        assert_eq!(block("", "a\r\nb\rc"), "```\na\nb c\n```\n");
    }

    #[test]
    fn what_turns_or_hides_text_is_seen() {
        assert_eq!(code("a\u{202e}b"), "`a\u{fffd}b`");
        assert_eq!(
            block("", "a\u{200b}\u{1b}[31m\tb"),
            "```\na\u{fffd}\u{fffd}[31m\tb\n```\n"
        );
    }

    #[test]
    fn a_line_of_a_megabyte_is_cut_between_characters() {
        let long = line(&"é".repeat(1 << 20));
        assert_eq!(long.chars().count(), 2001);
        assert!(long.ends_with('…'));
    }
}
