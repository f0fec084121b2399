//! Which values of a file are encrypted.

use super::go_regex::{GoRegex, RegexError};

/// The ending of keys whose values stay readable where a file has no selector.
pub const DEFAULT_UNENCRYPTED_SUFFIX: &str = "_unencrypted";

/// The six ways to select. The order is the one in which SOPS names them.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum SelectorKind {
    /// Everything but what stands under a key with this ending.
    UnencryptedSuffix,
    /// Only what stands under a key with this ending.
    EncryptedSuffix,
    /// Everything but what stands under a key that matches.
    UnencryptedRegex,
    /// Only what stands under a key that matches.
    EncryptedRegex,
    /// Everything but what an active comment exempts.
    UnencryptedCommentRegex,
    /// Only what an active comment marks.
    EncryptedCommentRegex,
}

impl SelectorKind {
    /// Every kind.
    pub const ALL: [Self; 6] = [
        Self::UnencryptedSuffix,
        Self::EncryptedSuffix,
        Self::UnencryptedRegex,
        Self::EncryptedRegex,
        Self::UnencryptedCommentRegex,
        Self::EncryptedCommentRegex,
    ];

    /// Returns the name of the field in the metadata and in `.sops.yaml`; with `-` for `_` it is the flag.
    pub const fn field(self) -> &'static str {
        match self {
            Self::UnencryptedSuffix => "unencrypted_suffix",
            Self::EncryptedSuffix => "encrypted_suffix",
            Self::UnencryptedRegex => "unencrypted_regex",
            Self::EncryptedRegex => "encrypted_regex",
            Self::UnencryptedCommentRegex => "unencrypted_comment_regex",
            Self::EncryptedCommentRegex => "encrypted_comment_regex",
        }
    }

    /// Returns whether values are encrypted unless something exempts them.
    pub const fn encrypts_by_default(self) -> bool {
        matches!(self, Self::UnencryptedSuffix | Self::UnencryptedRegex | Self::UnencryptedCommentRegex)
    }

    /// Returns whether comments decide, and not keys.
    pub const fn by_comment(self) -> bool {
        matches!(self, Self::UnencryptedCommentRegex | Self::EncryptedCommentRegex)
    }

    const fn by_suffix(self) -> bool {
        matches!(self, Self::UnencryptedSuffix | Self::EncryptedSuffix)
    }
}

/// More than one selector. The text is SOPS's.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error(
    "Cannot use more than one of encrypted_suffix, unencrypted_suffix, encrypted_regex, unencrypted_regex, \
     encrypted_comment_regex, or unencrypted_comment_regex in the same file"
)]
pub struct TooManySelectors;

/// A selector, its expression compiled once.
#[derive(Debug, Clone)]
pub struct Selector {
    kind: SelectorKind,
    text: String,
    matcher: Matcher,
}

#[derive(Debug, Clone)]
enum Matcher {
    Suffix,
    Regex(GoRegex),
    /// Matches nothing: what SOPS does with an expression that does not compile.
    Broken(RegexError),
}

impl Default for Selector {
    /// Returns the selector of a file that names none.
    fn default() -> Self {
        Self {
            kind: SelectorKind::UnencryptedSuffix,
            text: DEFAULT_UNENCRYPTED_SUFFIX.to_owned(),
            matcher: Matcher::Suffix,
        }
    }
}

impl Selector {
    /// Makes a selector for encryption.
    ///
    /// # Errors
    /// Returns why an expression does not compile. SOPS takes such a one for "matches nothing", and with
    /// `encrypted_regex` writes the whole file in plaintext.
    pub fn new(kind: SelectorKind, text: impl Into<String>) -> Result<Self, RegexError> {
        let selector = Self::stored(kind, text);
        match selector.broken() {
            Some(error) => Err(error.clone()),
            None => Ok(selector),
        }
    }

    /// Makes the selector that a file names. A broken expression matches nothing, so that what SOPS wrote is read.
    pub fn stored(kind: SelectorKind, text: impl Into<String>) -> Self {
        let text = text.into();
        let matcher = if kind.by_suffix() {
            Matcher::Suffix
        } else {
            GoRegex::new(&text).map_or_else(Matcher::Broken, Matcher::Regex)
        };
        Self { kind, text, matcher }
    }

    /// Returns the kind.
    pub fn kind(&self) -> SelectorKind {
        self.kind
    }

    /// Returns the ending or the expression.
    pub fn text(&self) -> &str {
        &self.text
    }

    /// Returns why the expression does not compile, where it does not.
    pub fn broken(&self) -> Option<&RegexError> {
        match &self.matcher {
            Matcher::Broken(error) => Some(error),
            _ => None,
        }
    }

    /// Returns whether comments exempt values from encryption.
    pub(super) fn exempts_by_comment(&self) -> bool {
        self.kind == SelectorKind::UnencryptedCommentRegex
    }

    /// Returns whether a key, or a comment's text, matches.
    pub(super) fn is_match(&self, text: &[u8]) -> bool {
        match &self.matcher {
            Matcher::Suffix => text.ends_with(self.text.as_bytes()),
            Matcher::Regex(regex) => regex.is_match(text),
            Matcher::Broken(_) => false,
        }
    }
}

impl PartialEq for Selector {
    fn eq(&self, other: &Self) -> bool {
        self.kind == other.kind && self.text == other.text
    }
}
impl Eq for Selector {}
