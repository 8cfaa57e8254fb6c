//! Text of others in GitHub's Markdown, where it must stay text: no link, no mention, no
//! HTML, no end of the table or of the fence that it stands in.

/// A code span. Nothing within one is a mention or a link. Line breaks become blanks.
pub fn code(text: &str) -> String {
    let text: String = text
        .chars()
        .map(|c| if c.is_control() { ' ' } else { c })
        .collect();
    let fence = "`".repeat(longest_run(&text, '`') + 1);
    let pad = match text.starts_with('`') || text.ends_with('`') {
        true => " ",
        false => "",
    };
    // An empty span is no span.
    let text = if text.is_empty() { " " } else { &text };
    format!("{fence}{pad}{text}{pad}{fence}")
}

/// A code span in a cell of a table, where a bar ends the cell even within code.
pub fn cell(text: &str) -> String {
    code(text).replace('|', "\\|")
}

/// A block that is closed by nothing within it.
pub fn block(language: &str, text: &str) -> String {
    let fence = "`".repeat(longest_run(text, '`').max(2) + 1);
    format!("{fence}{language}\n{text}\n{fence}\n")
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
    }

    #[test]
    fn a_bar_does_not_end_the_cell() {
        assert_eq!(cell("a|b"), "`a\\|b`");
    }

    #[test]
    fn a_block_is_longer_than_any_fence_in_it() {
        assert_eq!(block("text", "````"), "`````text\n````\n`````\n");
    }
}
