//! Runes of bytes that need not be UTF-8, and their categories.

use std::sync::LazyLock;

use regex_syntax::hir::{Class, ClassUnicode, HirKind};

/// What Go decodes an invalid byte to.
pub(crate) const ERROR: char = char::REPLACEMENT_CHARACTER;

/// Decodes the first rune: `None` for an invalid byte, of which the width is 1. Empty bytes have the width 0.
pub(crate) fn decode(bytes: &[u8]) -> (Option<char>, usize) {
    let width = match bytes.first() {
        None => return (None, 0),
        Some(0..0x80) => return (Some(char::from(bytes[0])), 1),
        Some(0xC2..0xE0) => 2,
        Some(0xE0..0xF0) => 3,
        Some(0xF0..0xF5) => 4,
        Some(_) => return (None, 1),
    };
    match bytes.get(..width).map(std::str::from_utf8) {
        Some(Ok(text)) => (text.chars().next(), width),
        _ => (None, 1),
    }
}

/// Iterates over the runes with their positions and widths, as Go's `range` over a string.
pub(crate) fn iterate(bytes: &[u8]) -> impl Iterator<Item = (usize, Option<char>, usize)> {
    let mut at = 0;
    std::iter::from_fn(move || {
        let (rune, width) = decode(&bytes[at..]);
        at += width;
        (width > 0).then_some((at - width, rune, width))
    })
}

/// Counts runes, each invalid byte as one.
pub(crate) fn count(bytes: &[u8]) -> usize {
    if bytes.is_ascii() { bytes.len() } else { iterate(bytes).count() }
}

/// A Unicode class that is made at its first use.
struct Category(LazyLock<ClassUnicode>);

impl Category {
    fn contains(&self, rune: char) -> bool {
        self.0
            .ranges()
            .binary_search_by(|range| {
                if range.end() < rune {
                    std::cmp::Ordering::Less
                } else if range.start() > rune {
                    std::cmp::Ordering::Greater
                } else {
                    std::cmp::Ordering::Equal
                }
            })
            .is_ok()
    }
}

fn class(pattern: &str) -> ClassUnicode {
    match regex_syntax::parse(pattern).map(|hir| hir.into_kind()) {
        Ok(HirKind::Class(Class::Unicode(class))) => class,
        // A constant pattern that the tests cover.
        _ => ClassUnicode::empty(),
    }
}

static LETTERS: Category = Category(LazyLock::new(|| class(r"\p{L}")));
static DIGITS: Category = Category(LazyLock::new(|| class(r"\p{Nd}")));
static PRINTABLE: Category = Category(LazyLock::new(|| class(r"[\p{L}\p{M}\p{N}\p{P}\p{S}]")));

/// `unicode.IsLetter`
pub(crate) fn is_letter(rune: char) -> bool {
    if rune.is_ascii() { rune.is_ascii_alphabetic() } else { LETTERS.contains(rune) }
}

/// `unicode.IsDigit`
pub(crate) fn is_digit(rune: char) -> bool {
    if rune.is_ascii() { rune.is_ascii_digit() } else { DIGITS.contains(rune) }
}

/// `unicode.IsPrint`: letters, marks, numbers, punctuation, symbols and the ASCII space.
pub(crate) fn is_print(rune: char) -> bool {
    if rune.is_ascii() { (' '..='~').contains(&rune) } else { PRINTABLE.contains(rune) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn decodes_each_invalid_byte_alone() {
        let runes: Vec<_> = iterate(b"a\xe2\x82b\xff\xe2\x82\xac").map(|(at, rune, _)| (at, rune)).collect();
        assert_eq!(
            runes,
            [(0, Some('a')), (1, None), (2, None), (3, Some('b')), (4, None), (5, Some('\u{20ac}'))]
        );
        assert_eq!(decode(b"\xed\xa0\x80"), (None, 1));
        assert_eq!(decode(b"\xf4\x90\x80\x80"), (None, 1));
    }

    #[test]
    fn knows_the_categories() {
        assert!(is_letter('é') && is_letter('ß') && !is_letter('1') && !is_letter('\u{345}'));
        assert!(is_digit('٣') && !is_digit('½'));
        assert!(is_print('€') && !is_print('\u{200b}') && !is_print('\u{a0}') && !is_print('\u{7f}'));
    }
}
