//! Colours and other terminal sequences, taken out: all versions write them even
//! into JSON, and a builder may write anything.

/// The text without terminal sequences and control characters; tabs and line ends stay.
pub fn strip_ansi(text: &str) -> String {
    let mut plain = String::with_capacity(text.len());
    let mut characters = text.chars().peekable();
    while let Some(character) = characters.next() {
        match character {
            '\u{1b}' => match characters.peek() {
                // CSI: parameters, then one final character.
                Some('[') => {
                    characters.next();
                    while characters
                        .next_if(|next| matches!(next, '\u{20}'..='\u{3f}'))
                        .is_some()
                    {}
                    characters.next_if(|next| matches!(next, '\u{40}'..='\u{7e}'));
                }
                // OSC (titles, links): up to BEL or ST.
                Some(']') => {
                    while let Some(next) = characters.next() {
                        if next == '\u{7}' || next == '\u{1b}' {
                            characters.next_if_eq(&'\\');
                            break;
                        }
                    }
                }
                // Others: intermediate characters, then one final one, as in `ESC ( B`.
                Some(_) => {
                    while characters
                        .next_if(|next| matches!(next, '\u{20}'..='\u{2f}'))
                        .is_some()
                    {}
                    characters.next_if(|next| matches!(next, '\u{30}'..='\u{7e}'));
                }
                None => {}
            },
            '\n' | '\t' => plain.push(character),
            other if other.is_control() => {}
            other => plain.push(other),
        }
    }
    plain
}

#[cfg(test)]
mod tests {
    use super::strip_ansi;

    #[test]
    fn colours_titles_and_control_characters_go_and_text_stays() {
        assert_eq!(
            strip_ansi("\u{1b}[31;1merror:\u{1b}[0m a\tb\r"),
            "error: a\tb"
        );
        assert_eq!(strip_ansi("\u{1b}]0;title\u{7}x\u{1b}]8;;u\u{1b}\\y"), "xy");
        assert_eq!(strip_ansi("\u{1b}(B\u{1b}[mx\u{1b}7\u{1b}=y"), "xy");
        assert_eq!(strip_ansi("cut \u{1b}["), "cut ");
        assert_eq!(strip_ansi("cut \u{1b}("), "cut ");
        assert_eq!(strip_ansi("cut \u{1b}"), "cut ");
        assert_eq!(strip_ansi("ünïcode\u{8}"), "ünïcode");
    }
}
