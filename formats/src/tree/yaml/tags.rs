//! Anchors, aliases, tags and directives.

use super::chars::{is_blank, is_blank_or_end, is_break_or_end, is_word, width};
use super::scan::{Scan, Scanner};
use super::token::{Mark, TokenKind};

impl<'a> Scanner<'a> {
    /// Reads the name of an anchor or alias, its indicator included.
    pub(super) fn scan_word(&mut self) -> Scan<&'a [u8]> {
        self.skip();
        let start = self.position;
        while is_word(self.byte(0)) {
            self.skip();
        }
        let ends = is_blank_or_end(self.text, self.position)
            || matches!(self.byte(0), b'?' | b':' | b',' | b']' | b'}' | b'%' | b'@' | b'`');
        if self.position == start || !ends {
            return Err(self.fault("the name of an anchor has letters, digits, '-' and '_' only"));
        }
        Ok(&self.text[start..self.position])
    }

    pub(super) fn scan_tag(&mut self) -> Scan<(TokenKind<'a>, Mark)> {
        let start = self.mark;
        let (handle, suffix) = if self.byte(1) == b'<' {
            self.skip();
            self.skip();
            let suffix = self.scan_uri(&[])?;
            if self.byte(0) != b'>' {
                return Err(self.fault("the '>' of a tag is missing"));
            }
            self.skip();
            (Vec::new(), suffix)
        } else {
            let handle = self.scan_handle(false)?;
            if handle.len() > 1 && handle.ends_with(b"!") {
                let suffix = self.scan_uri(&[])?;
                (handle, suffix)
            } else {
                let suffix = self.scan_uri(&handle)?;
                // The lone '!' has no handle and is its own suffix.
                if suffix.is_empty() { (Vec::new(), b"!".to_vec()) } else { (b"!".to_vec(), suffix) }
            }
        };
        if !is_blank_or_end(self.text, self.position) {
            return Err(self.fault("a tag ends with a blank or the line"));
        }
        Ok((TokenKind::Tag { handle, suffix }, start))
    }

    fn scan_handle(&mut self, directive: bool) -> Scan<Vec<u8>> {
        if self.byte(0) != b'!' {
            return Err(self.fault("a tag starts with '!'"));
        }
        let start = self.position;
        self.skip();
        while is_word(self.byte(0)) {
            self.skip();
        }
        if self.byte(0) == b'!' {
            self.skip();
        } else if directive && self.position - start != 1 {
            return Err(self.fault("the '!' of a tag is missing"));
        }
        Ok(self.text[start..self.position].to_vec())
    }

    /// Reads the rest of a tag; of a head that is no handle all but the '!' belongs to it.
    fn scan_uri(&mut self, head: &[u8]) -> Scan<Vec<u8>> {
        let mut uri = head.get(1..).unwrap_or_default().to_vec();
        let mut found = !head.is_empty();
        loop {
            match self.byte(0) {
                b'%' => self.scan_uri_escape(&mut uri)?,
                byte if is_word(byte)
                    || matches!(
                        byte,
                        b';' | b'/'
                            | b'?'
                            | b':'
                            | b'@'
                            | b'&'
                            | b'='
                            | b'+'
                            | b'$'
                            | b','
                            | b'.'
                            | b'!'
                            | b'~'
                            | b'*'
                            | b'\''
                            | b'('
                            | b')'
                            | b'['
                            | b']'
                    ) =>
                {
                    uri.push(byte);
                    self.skip();
                }
                _ => break,
            }
            found = true;
        }
        if found { Ok(uri) } else { Err(self.fault("a tag is empty")) }
    }

    fn scan_uri_escape(&mut self, uri: &mut Vec<u8>) -> Scan<()> {
        let mut left = usize::MAX;
        while left > 0 {
            let digit = |byte: u8| char::from(byte).to_digit(16).and_then(|digit| u8::try_from(digit).ok());
            let (Some(high), Some(low), b'%') = (digit(self.byte(1)), digit(self.byte(2)), self.byte(0))
            else {
                return Err(self.fault("a tag holds a broken escape"));
            };
            let octet = high * 16 + low;
            if left == usize::MAX {
                if (0x80..0xc0).contains(&octet) || octet >= 0xf8 {
                    return Err(self.fault("a tag holds an escape that is no character"));
                }
                left = width(octet);
            } else if octet & 0xc0 != 0x80 {
                return Err(self.fault("a tag holds an escape that is no character"));
            }
            uri.push(octet);
            (0..3).for_each(|_| self.skip());
            left -= 1;
        }
        Ok(())
    }

    pub(super) fn scan_directive(&mut self) -> Scan<TokenKind<'a>> {
        self.skip();
        let start = self.position;
        while is_word(self.byte(0)) {
            self.skip();
        }
        let name = &self.text[start..self.position];
        if name.is_empty() || !is_blank_or_end(self.text, self.position) {
            return Err(self.fault("a directive without a name"));
        }
        let kind = match name {
            b"YAML" => {
                self.skip_blanks();
                let major = self.scan_version()?;
                if self.byte(0) != b'.' {
                    return Err(self.fault("the YAML directive has no version"));
                }
                self.skip();
                TokenKind::VersionDirective { major, minor: self.scan_version()? }
            }
            b"TAG" => self.scan_tag_directive()?,
            _ => return Err(self.fault("an unknown directive")),
        };
        self.skip_blanks();
        if self.byte(0) == b'#' {
            while !is_break_or_end(self.text, self.position) {
                self.skip();
            }
        }
        if !is_break_or_end(self.text, self.position) {
            return Err(self.fault("text after a directive"));
        }
        self.skip_line();
        Ok(kind)
    }

    fn scan_tag_directive(&mut self) -> Scan<TokenKind<'a>> {
        self.skip_blanks();
        let handle = self.scan_handle(true)?;
        if !is_blank(self.byte(0)) {
            return Err(self.fault("the TAG directive has no prefix"));
        }
        self.skip_blanks();
        let prefix = self.scan_uri(&[])?;
        if !is_blank_or_end(self.text, self.position) {
            return Err(self.fault("text after the TAG directive"));
        }
        Ok(TokenKind::TagDirective { handle, prefix })
    }

    fn skip_blanks(&mut self) {
        while is_blank(self.byte(0)) {
            self.skip();
        }
    }

    fn scan_version(&mut self) -> Scan<u8> {
        let start = self.position;
        let mut number = 0;
        while self.byte(0).is_ascii_digit() {
            if self.position - start == 2 {
                return Err(self.fault("the version of the YAML directive is too long"));
            }
            number = number * 10 + (self.byte(0) - b'0');
            self.skip();
        }
        if self.position == start { Err(self.fault("the YAML directive has no version")) } else { Ok(number) }
    }
}
