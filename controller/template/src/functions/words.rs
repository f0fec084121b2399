//! Words of a text: case styles (huandu/xstrings 1.5.0), wrapping and initials (Masterminds/goutils 1.1.1).

use sealops_formats::Plaintext;

use super::Function;
use super::convert::push_rune;
use super::strings::map_runes;
use crate::context::Context;
use crate::error::FunctionError;
use crate::go::letters::{is_lower, is_number, is_punct, is_title, is_upper, to_lower, to_title, to_upper};
use crate::go::runes::{decode, is_digit, is_letter};
use crate::value::{Type, Value};

const STRING: &[Type] = &[Type::String];

pub(crate) const TABLE: &[Function] = &[
    Function::new("upper", STRING, |context, args| map_runes(context, &args[0], to_upper)),
    Function::new("lower", STRING, |context, args| map_runes(context, &args[0], to_lower)),
    Function::new("title", STRING, title),
    Function::new("untitle", STRING, untitle),
    Function::new("swapcase", STRING, swapcase),
    Function::new("nospace", STRING, nospace),
    Function::new("initials", STRING, initials),
    Function::new("snakecase", STRING, |context, args| delimited(context, &args[0], '_')),
    Function::new("kebabcase", STRING, |context, args| delimited(context, &args[0], '-')),
    Function::new("camelcase", STRING, camelcase),
    Function::new("wrap", &[Type::INT, Type::String], |context, args| {
        wrap(context, args[1].as_text()?.as_bytes(), args[0].as_int()?, b"\n", false)
    }),
    Function::new("wrapWith", &[Type::INT, Type::String, Type::String], |context, args| {
        let line_end = args[1].as_text()?.as_bytes();
        let line_end = if line_end.is_empty() { b"\n" } else { line_end };
        wrap(context, args[2].as_text()?.as_bytes(), args[0].as_int()?, line_end, true)
    }),
];

/// `strings.Title`
fn title(context: &mut Context<'_>, args: &[Value]) -> Result<Value, FunctionError> {
    let mut previous = ' ';
    map_runes(context, &args[0], |rune| {
        let starts = separates(previous);
        previous = rune;
        if starts { to_title(rune) } else { rune }
    })
}

fn separates(rune: char) -> bool {
    match rune {
        '_' => false,
        rune if rune.is_ascii() => !rune.is_ascii_alphanumeric(),
        rune => !is_letter(rune) && !is_digit(rune) && rune.is_whitespace(),
    }
}

/// goutils' `Uncapitalize`
fn untitle(context: &mut Context<'_>, args: &[Value]) -> Result<Value, FunctionError> {
    let mut next = true;
    map_runes(context, &args[0], |rune| {
        if rune.is_whitespace() {
            next = true;
            return rune;
        }
        if std::mem::replace(&mut next, false) { to_lower(rune) } else { rune }
    })
}

/// goutils' `SwapCase`
fn swapcase(context: &mut Context<'_>, args: &[Value]) -> Result<Value, FunctionError> {
    let mut after_space = true;
    map_runes(context, &args[0], |rune| {
        if is_upper(rune) || is_title(rune) {
            after_space = false;
            to_lower(rune)
        } else if is_lower(rune) {
            if std::mem::replace(&mut after_space, false) { to_title(rune) } else { to_upper(rune) }
        } else {
            after_space = rune.is_whitespace();
            rune
        }
    })
}

/// goutils' `DeleteWhiteSpace`, which takes bytes for runes: text beyond ASCII that loses a space is garbled.
fn nospace(context: &mut Context<'_>, args: &[Value]) -> Result<Value, FunctionError> {
    let text = args[0].as_text()?.as_bytes();
    if !text.iter().any(|byte| char::from(*byte).is_whitespace()) {
        return Ok(args[0].clone());
    }
    let mut out = Plaintext::with_capacity(text.len());
    for rune in text.iter().map(|byte| char::from(*byte)).filter(|rune| !rune.is_whitespace()) {
        push_rune(&mut out, Some(rune));
    }
    context.text(out)
}

/// goutils' `Initials`, which takes bytes for runes too.
fn initials(context: &mut Context<'_>, args: &[Value]) -> Result<Value, FunctionError> {
    let mut out = Plaintext::default();
    let mut after_gap = true;
    for rune in args[0].as_text()?.as_bytes().iter().map(|byte| char::from(*byte)) {
        let gap = rune.is_whitespace();
        if !gap && after_gap {
            push_rune(&mut out, Some(rune));
        }
        after_gap = gap;
    }
    context.text(out)
}

/// goutils' `WrapCustom`: counts bytes and knows the space only.
fn wrap(
    context: &mut Context<'_>,
    text: &[u8],
    width: i64,
    line_end: &[u8],
    cut_words: bool,
) -> Result<Value, FunctionError> {
    let width = usize::try_from(width).unwrap_or(0).max(1);
    let mut out = Plaintext::default();
    let mut from = 0;
    let mut line = |context: &mut Context<'_>, line: &[u8], end: &[u8]| {
        context.charge_bytes(line.len() + end.len())?;
        out.push(line);
        out.push(end);
        Ok::<_, FunctionError>(())
    };
    while text.len() - from > width {
        if text[from] == b' ' {
            from += 1;
            continue;
        }
        let reach = from + width;
        if let Some(space) = text[from..=reach].iter().rposition(|byte| *byte == b' ') {
            line(context, &text[from..from + space], line_end)?;
            from += space + 1;
        } else if cut_words {
            line(context, &text[from..reach], line_end)?;
            from = reach;
        } else if let Some(space) = text[reach..].iter().position(|byte| *byte == b' ') {
            line(context, &text[from..reach + space], line_end)?;
            from = reach + space + 1;
        } else {
            line(context, &text[from..], b"")?;
            from = text.len();
        }
    }
    line(context, &text[from..], b"")?;
    Ok(Value::string(out))
}

fn connects(rune: char) -> bool {
    rune == '-' || rune == '_' || rune.is_whitespace()
}

/// xstrings' `ToPascalCase`
fn camelcase(context: &mut Context<'_>, args: &[Value]) -> Result<Value, FunctionError> {
    let text = args[0].as_text()?.as_bytes();
    context.charge_bytes(text.len() * 3)?;
    let mut runes = crate::go::runes::iterate(text)
        .map(|(_, rune, _)| rune.unwrap_or(char::REPLACEMENT_CHARACTER))
        .peekable();
    let mut out = Plaintext::with_capacity(text.len());
    // Connectors at the start stay.
    let mut current = loop {
        let Some(rune) = runes.next() else { return context.text(out) };
        if !connects(rune) {
            break rune;
        }
        push_rune(&mut out, Some(rune));
        if runes.peek().is_none() {
            // A text of connectors gets its last one twice, as upstream.
            push_rune(&mut out, Some(rune));
            return context.text(out);
        }
    };
    let mut upper_run = is_upper(current);
    current = to_upper(current);
    for rune in runes {
        let previous = std::mem::replace(&mut current, rune);
        if connects(current) && connects(previous) {
            push_rune(&mut out, Some(previous));
        } else if connects(previous) {
            upper_run = is_upper(current);
            current = to_upper(current);
        } else {
            if upper_run {
                if is_upper(current) {
                    current = to_lower(current);
                } else {
                    upper_run = false;
                }
            }
            push_rune(&mut out, Some(previous));
        }
    }
    push_rune(&mut out, Some(current));
    context.text(out)
}

/// xstrings' kinds of words.
#[derive(Clone, Copy, PartialEq)]
enum Word {
    Invalid,
    Number,
    Upper,
    Alphabet,
    Connector,
    Punctuation,
    Other,
}

/// xstrings' `ToSnakeCase` and `ToKebabCase`
fn delimited(context: &mut Context<'_>, value: &Value, connector: char) -> Result<Value, FunctionError> {
    let text = value.as_text()?.as_bytes();
    context.charge_bytes(text.len() * 2)?;
    let mut out = Plaintext::with_capacity(text.len() * 2);
    if text.is_empty() {
        return Ok(value.clone());
    }
    let (mut kind, mut word, mut rest) = next_word(text);
    while !rest.is_empty() {
        if kind != Word::Connector {
            lowered(&mut out, kind, word, connector);
        }
        let (previous, last) = (kind, word);
        (kind, word, rest) = next_word(rest);
        match previous {
            Word::Number => {
                while matches!(kind, Word::Alphabet | Word::Number) {
                    lowered(&mut out, kind, word, connector);
                    (kind, word, rest) = next_word(rest);
                }
                if !matches!(kind, Word::Invalid | Word::Punctuation | Word::Connector) {
                    push_rune(&mut out, Some(connector));
                }
            }
            Word::Connector => lowered(&mut out, previous, last, connector),
            Word::Punctuation => {}
            _ if kind != Word::Number => {
                if !matches!(kind, Word::Connector | Word::Punctuation) {
                    push_rune(&mut out, Some(connector));
                }
            }
            _ if rest.is_empty() => {}
            _ => {
                let number = word;
                (kind, word, rest) = next_word(rest);
                if kind == Word::Alphabet {
                    push_rune(&mut out, Some(connector));
                    lowered(&mut out, Word::Number, number, connector);
                    while matches!(kind, Word::Alphabet | Word::Number) {
                        lowered(&mut out, kind, word, connector);
                        (kind, word, rest) = next_word(rest);
                    }
                    if !matches!(kind, Word::Invalid | Word::Punctuation | Word::Connector) {
                        push_rune(&mut out, Some(connector));
                    }
                } else {
                    lowered(&mut out, Word::Number, number, connector);
                    if !matches!(kind, Word::Connector | Word::Punctuation) {
                        push_rune(&mut out, Some(connector));
                    }
                }
            }
        }
    }
    lowered(&mut out, kind, word, connector);
    context.text(out)
}

fn lowered(out: &mut Plaintext, kind: Word, word: &[u8], connector: char) {
    if kind != Word::Upper && kind != Word::Connector {
        out.push(word);
        return;
    }
    for (_, rune, _) in crate::go::runes::iterate(word) {
        let rune = rune.unwrap_or(char::REPLACEMENT_CHARACTER);
        push_rune(
            out,
            Some(match rune {
                rune if connects(rune) => connector,
                rune if is_upper(rune) => to_lower(rune),
                rune => rune,
            }),
        );
    }
}

/// Decodes the next rune behind broken ones: `None` where only broken ones are left. The width counts them.
fn next_rune(text: &[u8]) -> (Option<char>, usize) {
    let mut at = 0;
    while at < text.len() {
        let (rune, width) = decode(&text[at..]);
        at += width;
        // Upstream takes U+FFFD itself for broken too.
        if let Some(rune) = rune.filter(|rune| *rune != char::REPLACEMENT_CHARACTER) {
            return (Some(rune), at);
        }
    }
    (None, at)
}

/// xstrings' `nextWord`: kind, word, rest.
fn next_word(text: &[u8]) -> (Word, &[u8], &[u8]) {
    if text.is_empty() {
        return (Word::Invalid, text, text);
    }
    let (first, width) = next_rune(text);
    let Some(first) = first else { return (Word::Invalid, text, &[]) };
    let lower_letters = |rune| is_alphabet(rune) && !is_upper(rune);
    let (kind, end) = if connects(first) {
        (Word::Connector, run(text, width, first, connects))
    } else if is_punct(first) {
        (Word::Punctuation, run(text, width, first, is_punct))
    } else if is_upper(first) {
        (Word::Upper, upper_word(text, width, first))
    } else if is_alphabet(first) {
        (Word::Alphabet, run(text, width, first, lower_letters))
    } else if is_number(first) {
        (Word::Number, run(text, width, first, is_number))
    } else {
        let other = |rune| !(connects(rune) || is_alphabet(rune) || is_number(rune) || is_punct(rune));
        (Word::Other, run(text, width, first, other))
    };
    (kind, &text[..end], &text[end..])
}

/// Returns the end of a run of like runes. Broken bytes at the end count as what stood before them.
fn run(text: &[u8], from: usize, first: char, like: impl Fn(char) -> bool) -> usize {
    let (mut at, mut last) = (from, first);
    while at < text.len() {
        let (rune, width) = next_rune(&text[at..]);
        last = rune.unwrap_or(last);
        if !like(last) {
            break;
        }
        at += width;
    }
    at
}

/// A run of capitals, the last left to the next word where lower case follows: `HTTP` of `HTTPStatus`.
fn upper_word(text: &[u8], width: usize, first: char) -> usize {
    if width == text.len() {
        return width;
    }
    let (second, second_width) = next_rune(&text[width..]);
    let second = second.unwrap_or(first);
    if !is_upper(second) {
        let lower_letters = |rune| is_alphabet(rune) && !is_upper(rune);
        return if is_alphabet(second) {
            run(text, width + second_width, second, lower_letters)
        } else {
            width
        };
    }
    let (mut at, mut last_width, mut last) = (width + second_width, second_width, second);
    while at < text.len() {
        let (rune, width) = next_rune(&text[at..]);
        last = rune.unwrap_or(last);
        if !is_upper(last) {
            break;
        }
        at += width;
        last_width = width;
    }
    if at < text.len() && is_alphabet(last) { at - last_width } else { at }
}

/// xstrings' `isAlphabet`: letters of scripts with words.
fn is_alphabet(rune: char) -> bool {
    if !is_letter(rune) {
        return false;
    }
    // Ideographs are no letters of a word there; where these blocks end is upstream's idea.
    !matches!(rune, '\u{3400}'..='\u{4d85}' | '\u{4e00}'..='\u{9fcc}' | '\u{20000}'..='\u{2b81d}')
}
