//! Padding and the plain kinds (`fmt/format.go`).

use sealops_formats::Plaintext;

use super::Printer;
use crate::error::FunctionError;
use crate::go::{float, quote, runes};

/// Flags, width and precision of a directive.
#[derive(Clone, Copy, Default)]
pub(super) struct Flags {
    pub(super) width: Option<usize>,
    pub(super) precision: Option<usize>,
    pub(super) minus: bool,
    pub(super) plus: bool,
    pub(super) sharp: bool,
    pub(super) space: bool,
    pub(super) zero: bool,
    pub(super) plus_v: bool,
    pub(super) sharp_v: bool,
}

/// Bytes that are turned into digits at once.
const CHUNK: usize = 256;

const LOWER: &[u8; 17] = b"0123456789abcdefx";
const UPPER: &[u8; 17] = b"0123456789ABCDEFX";

/// Returns the digits, and the letter of the prefix, for `%x` or `%X`.
fn digits(verb: char) -> &'static [u8; 17] {
    if verb == 'X' { UPPER } else { LOWER }
}

type Done = Result<(), FunctionError>;

impl Printer<'_, '_> {
    fn padding(&mut self, width: usize) -> Done {
        let byte = if self.flags.zero && !self.flags.minus { b'0' } else { b' ' };
        self.out.fill(self.context, byte, width)
    }

    pub(super) fn pad(&mut self, text: &[u8]) -> Done {
        let missing = match self.flags.width {
            None | Some(0) => 0,
            Some(width) => width.saturating_sub(runes::count(text)),
        };
        if missing > 0 && !self.flags.minus {
            self.padding(missing)?;
        }
        self.push(text)?;
        if missing > 0 && self.flags.minus {
            self.padding(missing)?;
        }
        Ok(())
    }

    /// Pads with spaces whatever the flags say.
    fn pad_spaces(&mut self, text: &[u8]) -> Done {
        let zero = std::mem::take(&mut self.flags.zero);
        self.pad(text)?;
        self.flags.zero = zero;
        Ok(())
    }

    pub(super) fn integer(&mut self, magnitude: u64, negative: bool, base: u64, verb: char) -> Done {
        let flags = self.flags;
        let signed = negative || flags.plus || flags.space;
        let mut least = flags.precision.unwrap_or(0);
        if flags.precision == Some(0) && magnitude == 0 {
            let zero = std::mem::take(&mut self.flags.zero);
            self.padding(flags.width.unwrap_or(0))?;
            self.flags.zero = zero;
            return Ok(());
        }
        if flags.precision.is_none() && flags.zero && !flags.minus {
            least = flags.width.map_or(0, |width| width.saturating_sub(usize::from(signed)));
        }
        self.context.charge_bytes(least)?;
        let mut text = Vec::with_capacity(least.max(64) + 4);
        let mut rest = magnitude;
        loop {
            text.push(digits(verb)[(rest % base) as usize]);
            rest /= base;
            if rest == 0 {
                break;
            }
        }
        text.resize(text.len().max(least), b'0');
        if flags.sharp {
            match base {
                2 => text.extend_from_slice(b"b0"),
                8 if text.last() != Some(&b'0') => text.push(b'0'),
                16 => text.extend_from_slice(&[digits(verb)[16], b'0']),
                _ => {}
            }
        }
        if verb == 'O' {
            text.extend_from_slice(b"o0");
        }
        if negative {
            text.push(b'-');
        } else if flags.plus {
            text.push(b'+');
        } else if flags.space {
            text.push(b' ');
        }
        text.reverse();
        self.pad_spaces(&text)
    }

    pub(super) fn float(&mut self, value: f64, verb: char, precision: Option<usize>) -> Done {
        let flags = self.flags;
        let precision = flags.precision.or(precision);
        self.context.charge_bytes(precision.unwrap_or(0) + 400)?;
        let mut text = Vec::new();
        float::format(value, verb as u8, precision, &mut text);
        if !matches!(text[0], b'+' | b'-') {
            text.insert(0, b'+');
        }
        if flags.space && text[0] == b'+' && !flags.plus {
            text[0] = b' ';
        }
        if !value.is_finite() {
            if value.is_nan() && !flags.space && !flags.plus {
                text.remove(0);
            }
            return self.pad_spaces(&text);
        }
        if flags.sharp && verb != 'b' {
            show_point(&mut text, verb, precision);
        }
        if !flags.plus && text[0] == b'+' {
            return self.pad(&text[1..]);
        }
        match flags.width {
            Some(width) if flags.zero && !flags.minus && width > text.len() => {
                self.push(&text[..1])?;
                self.padding(width - text.len())?;
                self.push(&text[1..])
            }
            _ => self.pad(&text),
        }
    }

    fn truncated<'t>(&self, text: &'t [u8]) -> &'t [u8] {
        let Some(precision) = self.flags.precision else {
            return text;
        };
        let end = runes::iterate(text).nth(precision).map_or(text.len(), |(at, ..)| at);
        &text[..end]
    }

    pub(super) fn string(&mut self, text: &[u8]) -> Done {
        self.pad(self.truncated(text))
    }

    pub(super) fn hex(&mut self, text: &[u8], verb: char) -> Done {
        let flags = self.flags;
        let length = flags.precision.unwrap_or(text.len()).min(text.len());
        if length == 0 {
            return self.padding(flags.width.unwrap_or(0));
        }
        let mut width = 2 * length;
        if flags.space {
            width = width * if flags.sharp { 2 } else { 1 } + length - 1;
        } else if flags.sharp {
            width += 2;
        }
        let missing = flags.width.unwrap_or(0).saturating_sub(width);
        if missing > 0 && !flags.minus {
            self.padding(missing)?;
        }
        let digits = digits(verb);
        self.context.charge_scan(length)?;
        let mut piece = Plaintext::with_capacity(5 * CHUNK);
        for (chunk, bytes) in text[..length].chunks(CHUNK).enumerate() {
            piece.truncate(0);
            for (index, byte) in bytes.iter().enumerate() {
                let first = chunk == 0 && index == 0;
                if flags.space && !first {
                    piece.push(b" ");
                }
                if flags.sharp && (flags.space || first) {
                    piece.push(&[b'0', digits[16]]);
                }
                piece.push(&[digits[usize::from(byte >> 4)], digits[usize::from(byte & 15)]]);
            }
            self.push(piece.expose())?;
        }
        if missing > 0 && flags.minus {
            self.padding(missing)?;
        }
        Ok(())
    }

    pub(super) fn quoted(&mut self, text: &[u8]) -> Done {
        let text = self.truncated(text);
        self.context.charge_scan(text.len())?;
        self.context.charge_bytes(text.len() + 2)?;
        let mut out = Plaintext::with_capacity(text.len() + 2);
        if self.flags.sharp && quote::can_backquote(text) {
            out.push(b"`");
            out.push(text);
            out.push(b"`");
        } else {
            // In pieces: the escaped text is a secret too, and must grow in wiped memory.
            out.push(b"\"");
            let mut piece = Vec::with_capacity(CHUNK + quote::LONGEST_ESCAPE);
            for (at, rune, _) in runes::iterate(text) {
                quote::escape_in(rune.ok_or(text[at]), '"', self.flags.plus, &mut piece);
                if piece.len() >= CHUNK {
                    out.push(&piece);
                    piece.clear();
                }
            }
            out.push(&piece);
            drop(Plaintext::from(piece));
            out.push(b"\"");
        }
        self.pad(out.expose())
    }

    pub(super) fn character(&mut self, code: u64) -> Done {
        let rune = rune(code).unwrap_or(runes::ERROR);
        self.pad(rune.encode_utf8(&mut [0; 4]).as_bytes())
    }

    pub(super) fn quoted_character(&mut self, code: u64) -> Done {
        let mut out = Vec::new();
        quote::quote_rune(rune(code), self.flags.plus, &mut out);
        self.pad(&out)
    }

    /// `%U`
    pub(super) fn unicode(&mut self, code: u64) -> Done {
        let least = self.flags.precision.filter(|precision| *precision > 4).unwrap_or(4);
        self.context.charge_bytes(least)?;
        let hex = format!("{code:X}");
        let mut text = b"U+".to_vec();
        text.resize(2 + least.saturating_sub(hex.len()), b'0');
        text.extend_from_slice(hex.as_bytes());
        if self.flags.sharp
            && let Some(rune) = rune(code)
            && runes::is_print(rune)
        {
            text.extend_from_slice(format!(" '{rune}'").as_bytes());
        }
        self.pad_spaces(&text)
    }
}

fn rune(code: u64) -> Option<char> {
    u32::try_from(code).ok().and_then(char::from_u32)
}

/// The flag `#`: a decimal point always, and trailing zeros for `%g`.
fn show_point(text: &mut Vec<u8>, verb: char, precision: Option<usize>) {
    let mut digits = match verb {
        'v' | 'g' | 'G' | 'x' => precision.map_or(6, |precision| precision as i64),
        _ => 0,
    };
    let hex = matches!(verb, 'x' | 'X');
    let tail_at = text
        .iter()
        .position(|byte| matches!(byte, b'p' | b'P') || !hex && matches!(byte, b'e' | b'E'))
        .unwrap_or(text.len());
    let tail = text.split_off(tail_at);
    let (mut point, mut nonzero) = (false, false);
    for byte in &text[1..] {
        if *byte == b'.' {
            point = true;
            continue;
        }
        nonzero |= *byte != b'0';
        digits -= i64::from(nonzero);
    }
    if !point {
        // A lone zero counts as a digit.
        if text.len() == 2 && text[1] == b'0' {
            digits -= 1;
        }
        text.push(b'.');
    }
    text.resize(text.len() + digits.max(0) as usize, b'0');
    text.extend_from_slice(&tail);
}
