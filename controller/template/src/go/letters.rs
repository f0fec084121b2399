//! Case and categories of runes, as Go's `unicode` package has them: one rune for one rune, exact categories.

use std::sync::LazyLock;

use regex_syntax::hir::{Class, ClassUnicode, HirKind};

struct Category(LazyLock<ClassUnicode>);

impl Category {
    fn contains(&self, rune: char) -> bool {
        let ranges = self.0.ranges();
        let at = ranges.partition_point(|range| range.end() < rune);
        ranges.get(at).is_some_and(|range| range.start() <= rune)
    }
}

fn class(pattern: &str) -> ClassUnicode {
    match regex_syntax::parse(pattern).map(|hir| hir.into_kind()) {
        Ok(HirKind::Class(Class::Unicode(class))) => class,
        // A constant pattern that the tests cover.
        _ => ClassUnicode::empty(),
    }
}

static UPPER: Category = Category(LazyLock::new(|| class(r"\p{Lu}")));
static LOWER: Category = Category(LazyLock::new(|| class(r"\p{Ll}")));
static TITLE: Category = Category(LazyLock::new(|| class(r"\p{Lt}")));
static NUMBER: Category = Category(LazyLock::new(|| class(r"\p{N}")));
static PUNCTUATION: Category = Category(LazyLock::new(|| class(r"\p{P}")));

/// `unicode.IsUpper`
pub(crate) fn is_upper(rune: char) -> bool {
    if rune.is_ascii() { rune.is_ascii_uppercase() } else { UPPER.contains(rune) }
}

/// `unicode.IsLower`
pub(crate) fn is_lower(rune: char) -> bool {
    if rune.is_ascii() { rune.is_ascii_lowercase() } else { LOWER.contains(rune) }
}

/// `unicode.IsTitle`
pub(crate) fn is_title(rune: char) -> bool {
    !rune.is_ascii() && TITLE.contains(rune)
}

/// `unicode.IsNumber`
pub(crate) fn is_number(rune: char) -> bool {
    if rune.is_ascii() { rune.is_ascii_digit() } else { NUMBER.contains(rune) }
}

/// `unicode.IsPunct`
pub(crate) fn is_punct(rune: char) -> bool {
    PUNCTUATION.contains(rune)
}

/// `unicode.ToUpper`: the simple mapping, where Rust has the full one.
pub(crate) fn to_upper(rune: char) -> char {
    one(rune.to_uppercase()).unwrap_or_else(|| simple_upper(rune))
}

/// `unicode.ToTitle`
pub(crate) fn to_title(rune: char) -> char {
    match rune {
        'Ǆ' | 'ǅ' | 'ǆ' => 'ǅ',
        'Ǉ' | 'ǈ' | 'ǉ' => 'ǈ',
        'Ǌ' | 'ǋ' | 'ǌ' => 'ǋ',
        'Ǳ' | 'ǲ' | 'ǳ' => 'ǲ',
        // Georgian has capitals, but no title case.
        '\u{10d0}'..='\u{10fa}' | '\u{10fd}'..='\u{10ff}' => rune,
        rune => to_upper(rune),
    }
}

/// `unicode.ToLower`
pub(crate) fn to_lower(rune: char) -> char {
    // Of all runes only İ has a lower case of two.
    one(rune.to_lowercase()).unwrap_or(if rune == 'İ' { 'i' } else { rune })
}

fn one(mut runes: impl Iterator<Item = char>) -> Option<char> {
    let first = runes.next()?;
    runes.next().is_none().then_some(first)
}

/// The simple upper case of runes whose full upper case is more than one.
fn simple_upper(rune: char) -> char {
    let code = u32::from(rune);
    let upper = match code {
        0x1f80..=0x1faf if code & 8 == 0 => code + 8,
        0x1fb3 | 0x1fc3 | 0x1ff3 => code + 9,
        _ => code,
    };
    char::from_u32(upper).unwrap_or(rune)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn maps_one_rune_to_one() {
        assert_eq!("éßǆᾀᾳŉ".chars().map(to_upper).collect::<String>(), "ÉßǄᾈᾼŉ");
        assert_eq!("ÉİΣǅ".chars().map(to_lower).collect::<String>(), "éiσǆ");
        assert_eq!("ǆაé".chars().map(to_title).collect::<String>(), "ǅაÉ");
    }

    #[test]
    fn categories_are_exact() {
        assert!(is_upper('É') && !is_upper('Ⓐ') && !is_upper('Ⅰ'));
        assert!(is_lower('é') && !is_lower('ª'));
        assert!(is_title('ǅ') && is_number('½') && is_punct('«') && is_punct('_') && !is_punct('$'));
    }
}
