//! Command lines in variables: split into words as a POSIX shell quotes them, never run by a shell.

/// Splits a command line; `None` where a quote is not closed.
pub(super) fn split(text: &str) -> Option<Vec<String>> {
    let mut words = Vec::new();
    let mut word: Option<String> = None;
    let mut rest = text.chars();
    while let Some(c) = rest.next() {
        match c {
            ' ' | '\t' | '\r' | '\n' => words.extend(word.take()),
            '#' if word.is_none() => {
                for skipped in rest.by_ref() {
                    if skipped == '\n' {
                        break;
                    }
                }
            }
            '\\' => word.get_or_insert_default().push(rest.next()?),
            '\'' | '"' => {
                let word = word.get_or_insert_default();
                loop {
                    match rest.next()? {
                        end if end == c => break,
                        '\\' if c == '"' => word.push(rest.next()?),
                        other => word.push(other),
                    }
                }
            }
            other => word.get_or_insert_default().push(other),
        }
    }
    words.extend(word);
    Some(words)
}

#[cfg(test)]
mod tests {
    use super::split;

    #[test]
    fn quotes_as_a_shell_does() {
        let words = |text| split(text).unwrap();
        assert_eq!(words("pass show age/key"), ["pass", "show", "age/key"]);
        assert_eq!(words(r#"a 'b c' "d \" e" f\ g '' # h"#), ["a", "b c", "d \" e", "f g", ""]);
        assert_eq!(words("  \n"), [""; 0]);
        assert_eq!(split("a 'b"), None);
        assert_eq!(split("a\\"), None);
    }
}
