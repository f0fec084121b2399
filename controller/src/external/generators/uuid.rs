//! The generator UUID.

use std::collections::BTreeMap;

use sealops_formats::Plaintext;

use super::fill;

/// Makes a random UUID of version 4 (RFC 9562).
pub(super) fn generate() -> Result<BTreeMap<String, Plaintext>, String> {
    let mut bytes = [0u8; 16];
    fill(&mut bytes)?;
    bytes[6] = bytes[6] & 0x0f | 0x40;
    bytes[8] = bytes[8] & 0x3f | 0x80;
    let mut text = Plaintext::with_capacity(36);
    for (place, byte) in bytes.iter().enumerate() {
        if matches!(place, 4 | 6 | 8 | 10) {
            text.push(b"-");
        }
        text.push(format!("{byte:02x}").as_bytes());
    }
    Ok(BTreeMap::from([("uuid".to_owned(), text)]))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn it_is_a_uuid_of_version_4() {
        let made = generate().unwrap();
        let text = made["uuid"].expose_str().unwrap();
        let parts: Vec<usize> = text.split('-').map(str::len).collect();
        assert_eq!(parts, [8, 4, 4, 4, 12]);
        assert_eq!(&text[14..15], "4");
        assert!("89ab".contains(&text[19..20]), "{text}");
        assert!(!made["uuid"].ct_eq(&generate().unwrap()["uuid"]));
    }
}
