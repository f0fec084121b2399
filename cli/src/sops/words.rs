//! Texts that are long, or that scripts look for.

use sealops_crypto::sops::{GroupResult, KeyFailure, RecoveryError, Warning};

/// Columns of a paragraph.
const WIDTH: usize = 75;
/// Columns of a key's reason.
const REASON_WIDTH: usize = 60;

/// Why an encrypted file is not encrypted again.
pub(crate) fn already_encrypted() -> String {
    let why = "The file you have provided contains a top-level entry called 'sops', or for flat file formats top-level \
               entries starting with 'sops_': this is where the metadata of an encrypted file stands, so the file is \
               encrypted already, or cannot be.";
    let plain = "If this is an unencrypted file, rename the entry.";
    let encrypted = "If this is an encrypted file and you want to edit it, use the editor mode, for example: `sops edit my_file.yaml`";
    [why, plain, encrypted].map(|text| wrap(text, WIDTH)).join("\n\n")
}

pub(crate) const NO_DOCUMENT: &str = "File cannot be completely empty, it must contain at least one document";

/// Lists every group, every key in it, and why it did not help.
pub(crate) fn recovery(error: &RecoveryError) -> String {
    let RecoveryError::NotEnoughKeys { threshold, results, .. } = error else { return error.to_string() };
    let groups: Vec<String> =
        results.iter().enumerate().map(|(index, result)| group(index, result)).collect();
    let trailer = if *threshold == 0 {
        "Recovery failed because no master key was able to decrypt the file: at least one key has to be successful."
            .to_owned()
    } else {
        let good = results.iter().filter(|result| **result == GroupResult::Recovered).count();
        format!(
            "Recovery failed because the file was encrypted with a Shamir threshold of {threshold}, but only {good} \
             part(s) were successfully recovered, one for each successful key group. A group is successful when one of \
             its keys is."
        )
    };
    format!(
        "Failed to get the data key required to decrypt the SOPS file.\n\n{}\n\n{}",
        groups.join("\n\n"),
        wrap(&trailer, WIDTH)
    )
}

fn group(index: usize, result: &GroupResult) -> String {
    match result {
        GroupResult::Recovered => format!("Group {index}: SUCCESS"),
        GroupResult::Failed(failures) => {
            let keys: Vec<String> = failures.iter().map(key).collect();
            format!("Group {index}: FAILED\n{}", prefixed(&keys.join("\n\n"), "  "))
        }
    }
}

fn key(failure: &KeyFailure) -> String {
    let reasons = failure.reasons.iter().map(|reason| {
        let text = prefixed(&wrap(reason, REASON_WIDTH), "  | ");
        format!("-{}", &text[1..])
    });
    let reasons: Vec<String> = reasons.collect();
    format!("{}: FAILED\n{}", failure.key, prefixed(&reasons.join("\n\n"), "  "))
}

fn prefixed(text: &str, prefix: &str) -> String {
    text.lines().map(|line| format!("{prefix}{line}")).collect::<Vec<_>>().join("\n")
}

/// Breaks lines at blanks.
fn wrap(text: &str, width: usize) -> String {
    let mut lines = Vec::new();
    for paragraph in text.lines() {
        let mut line = String::new();
        for word in paragraph.split(' ') {
            if !line.is_empty() && line.chars().count() + 1 + word.chars().count() > width {
                lines.push(std::mem::take(&mut line));
            }
            if !line.is_empty() {
                line.push(' ');
            }
            line.push_str(word);
        }
        lines.push(line);
    }
    lines.join("\n")
}

/// Says what was accepted and should be known.
pub(crate) fn warning(warning: &Warning) -> Option<String> {
    Some(match warning {
        Warning::SelectorMatchedNothing { field, all_plaintext: true } => {
            format!("{field} matches nothing: the whole file is readable")
        }
        Warning::SelectorMatchedNothing { field, .. } => format!("{field} matches nothing"),
        Warning::PlainComment { path } => {
            format!(
                "a comment under {path:?} should be encrypted and is not: an old file, or somebody has put it there"
            )
        }
        Warning::TrailingText { path } => format!("{path}: there is text behind the encrypted value"),
        Warning::BrokenSelector => {
            "the selector in the file is no valid expression and matches nothing".to_owned()
        }
        // Said where the flag is known.
        Warning::IgnoredForBinary | Warning::MacIgnored => return None,
        _ => return None,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn breaks_long_lines() {
        let text = wrap("one two three four", 9);
        assert_eq!(text, "one two\nthree\nfour");
        assert!(already_encrypted().lines().all(|line| line.len() <= 120));
    }
}
