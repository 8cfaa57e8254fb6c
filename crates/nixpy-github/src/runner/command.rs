//! Workflow commands: lines that the runner obeys.

/// The value of a workflow command on one line.
pub fn escaped(text: &str) -> String {
    text.replace('%', "%25")
        .replace('\r', "%0D")
        .replace('\n', "%0A")
}

/// The value of one of its properties, which a colon or comma would end.
pub fn escaped_property(text: &str) -> String {
    escaped(text).replace(':', "%3A").replace(',', "%2C")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_command_stays_on_its_line() {
        assert_eq!(escaped("a\n::error::b%"), "a%0A::error::b%25");
        assert_eq!(escaped_property("a:b,c\r"), "a%3Ab%2Cc%0D");
    }
}
