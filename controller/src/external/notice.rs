//! A store says that values have changed: what such a notice holds, and who it is from. Pure.
//!
//! ```text
//!   POST /v1/refresh
//!   X-Sealops-Timestamp: 1767225600
//!   X-Sealops-Signature: sha256=<HMAC-SHA-256 of "1767225600." and the body, in hex>
//!
//!   {"store": "vault", "kind": "ClusterSecretStore", "namespace": "shop", "keys": ["app/db"]}
//! ```
//!
//! A sender that signs as GitHub does (`X-Hub-Signature-256`, of the body alone) puts `"timestamp": 1767225600` into the
//! body. A time that is not signed does not count: without one a notice could be sent again for ever.

use aws_lc_rs::hmac;
use sealops_crds::external_secret::{Find, StoreKind, StoreRef};
use sealops_crds::{ClusterSecretStore, ExternalSecret, SecretStore};
use serde::Deserialize;

/// Names of the headers.
pub const TIMESTAMP_HEADER: &str = "x-sealops-timestamp";
/// Signature of time and body.
pub const SIGNATURE_HEADER: &str = "x-sealops-signature";
/// Signature of the body, as GitHub's.
pub const HUB_SIGNATURE_HEADER: &str = "x-hub-signature-256";
/// How far the time of a notice may be from ours, in seconds.
pub const TOLERANCE: i64 = 300;
/// Remote keys of one notice.
pub const MAX_KEYS: usize = 1000;
/// Shortest key that signs, in bytes: as long as the hash.
pub const MIN_KEY_BYTES: usize = 32;
const SCHEME: &str = "sha256=";

/// What has changed. What is left out is any.
#[derive(Debug, Clone, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields, default)]
pub struct Notice {
    /// Name of the store.
    store: Option<String>,
    /// Kind of the store.
    kind: Option<StoreKind>,
    /// Namespace of the ExternalSecrets.
    namespace: Option<String>,
    /// Remote keys, as ExternalSecrets write them.
    keys: Vec<String>,
    /// When it was sent, in seconds since 1970.
    timestamp: Option<i64>,
}

/// The headers of a notice.
#[derive(Debug, Clone, Copy, Default)]
pub struct Signed<'a> {
    /// `X-Sealops-Timestamp`.
    pub timestamp: Option<&'a str>,
    /// `X-Sealops-Signature`.
    pub signature: Option<&'a str>,
    /// `X-Hub-Signature-256`.
    pub hub_signature: Option<&'a str>,
}

/// Why a notice is not followed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum NoticeProblem {
    /// No key made the signature, or there is none.
    #[error("the signature is missing or wrong")]
    Unsigned,
    /// It says no signed time, or one too far from ours.
    #[error("the signed time is missing or more than {TOLERANCE} s away")]
    Untimely,
    /// The body is no notice.
    #[error("the body is not a notice such as {{\"store\": \"name\", \"keys\": [\"key\"]}}")]
    Malformed,
    /// It names neither a store nor a key.
    #[error("a notice names a store or keys")]
    Boundless,
}

/// What tells a notice from every other one.
pub type Tag = [u8; 32];

impl Notice {
    /// Reads a notice that one of the keys has signed; the tag is for finding out whether it came before.
    ///
    /// # Errors
    /// Returns why it is not to be followed; whoever has no key learns that only.
    pub fn read(
        keys: &[hmac::Key],
        signed: Signed<'_>,
        body: &[u8],
        now: i64,
    ) -> Result<(Self, Tag), NoticeProblem> {
        let (tag, header_time) = authenticate(keys, signed, body)?;
        // A list would be taken for the fields in their order.
        let is_object = body.trim_ascii_start().first() == Some(&b'{');
        let notice: Option<Self> = serde_json::from_slice(body).ok().filter(|_| is_object);
        let notice = notice.ok_or(NoticeProblem::Malformed)?;
        let time = header_time.or(notice.timestamp).ok_or(NoticeProblem::Untimely)?;
        if now.abs_diff(time) > TOLERANCE.unsigned_abs() {
            return Err(NoticeProblem::Untimely);
        }
        if notice.keys.len() > MAX_KEYS {
            return Err(NoticeProblem::Malformed);
        }
        if notice.store.is_none() && notice.keys.is_empty() {
            return Err(NoticeProblem::Boundless);
        }
        Ok((notice, tag))
    }

    /// Returns whether an object in a namespace that reads this is meant.
    pub fn means(&self, namespace: &str, remote: &Remote) -> bool {
        let is = |wanted: &Option<String>, own: &str| wanted.as_deref().is_none_or(|wanted| wanted == own);
        is(&self.namespace, namespace)
            && is(&self.store, &remote.store)
            && self.kind.as_ref().is_none_or(|kind| kind.as_str() == remote.kind)
            && (self.keys.is_empty() || self.keys.iter().any(|key| remote.reads(key)))
    }
}

/// Returns the tag, and the time that it covers beside the body.
fn authenticate(
    keys: &[hmac::Key],
    signed: Signed<'_>,
    body: &[u8],
) -> Result<(Tag, Option<i64>), NoticeProblem> {
    let (given, prefix) = match (signed.signature, signed.hub_signature) {
        (Some(signature), _) => {
            let time = signed.timestamp.ok_or(NoticeProblem::Unsigned)?;
            (signature, Some((format!("{time}."), time)))
        }
        (None, Some(signature)) => (signature, None),
        (None, None) => return Err(NoticeProblem::Unsigned),
    };
    let tag = given.strip_prefix(SCHEME).and_then(from_hex).ok_or(NoticeProblem::Unsigned)?;
    let mut message = prefix.as_ref().map_or_else(Vec::new, |(prefix, _)| prefix.as_bytes().to_vec());
    message.extend_from_slice(body);
    // All keys are tried, in constant time each.
    let is_signed = keys.iter().fold(false, |found, key| found | hmac::verify(key, &message, &tag).is_ok());
    if !is_signed {
        return Err(NoticeProblem::Unsigned);
    }
    let time = prefix.map(|(_, time)| time.parse().map_err(|_| NoticeProblem::Untimely)).transpose()?;
    Ok((tag, time))
}

fn from_hex(text: &str) -> Option<Tag> {
    let mut tag = [0; 32];
    if text.len() != 2 * tag.len() || !text.is_ascii() {
        return None;
    }
    for (place, byte) in tag.iter_mut().enumerate() {
        *byte = u8::from_str_radix(text.get(2 * place..2 * place + 2)?, 16).ok()?;
    }
    Some(tag)
}

/// Something that an ExternalSecret reads of a store.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Remote {
    store: String,
    kind: &'static str,
    what: What,
}

#[derive(Debug, Clone, PartialEq, Eq)]
enum What {
    Key(String),
    /// A search: whatever is below a path, if it names one.
    Below(Option<String>),
}

impl Remote {
    fn reads(&self, key: &str) -> bool {
        match &self.what {
            What::Key(own) => own == key,
            What::Below(path) => path.as_deref().is_none_or(|path| key.starts_with(path)),
        }
    }
}

/// Returns what an ExternalSecret reads of stores.
pub fn remotes_of(external: &ExternalSecret) -> Vec<Remote> {
    let spec = &external.spec;
    let remote = |own: Option<&StoreRef>, what: What| {
        let store = own.or(spec.secret_store_ref.as_ref())?;
        let is_cluster = matches!(store.kind, Some(StoreKind::ClusterSecretStore));
        let kind = if is_cluster { ClusterSecretStore::KIND } else { SecretStore::KIND };
        Some(Remote { store: store.name.clone()?, kind, what })
    };
    let data = spec.data.iter().filter_map(|entry| {
        let own = entry.source_ref.as_ref().and_then(|source| source.store_ref.as_ref());
        remote(own, What::Key(entry.remote_ref.key.clone()))
    });
    let sets = spec.data_from.iter().filter_map(|entry| {
        let own = entry.source_ref.as_ref().and_then(|source| source.store_ref.as_ref());
        let below = |find: &Find| What::Below(find.path.clone().filter(|path| !path.is_empty()));
        let key = entry.extract.as_ref().map(|extract| What::Key(extract.key.clone()));
        remote(own, key.or_else(|| entry.find.as_ref().map(below))?)
    });
    data.chain(sets).collect()
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    const NOW: i64 = 1_800_000_000;

    fn key(text: &str) -> hmac::Key {
        hmac::Key::new(hmac::HMAC_SHA256, text.as_bytes())
    }

    fn hex(key: &hmac::Key, message: &str) -> String {
        let tag = hmac::sign(key, message.as_bytes());
        format!("sha256={}", tag.as_ref().iter().map(|byte| format!("{byte:02x}")).collect::<String>())
    }

    fn read(time: Option<&str>, signature: Option<&str>, body: &str) -> Result<Notice, NoticeProblem> {
        let signed = Signed { timestamp: time, signature, hub_signature: None };
        Notice::read(&[key("old"), key("new")], signed, body.as_bytes(), NOW).map(|(notice, _)| notice)
    }

    #[test]
    fn one_of_the_keys_has_to_sign_time_and_body() {
        let body = r#"{"store":"s"}"#;
        let sign = |name: &str, time: i64| hex(&key(name), &format!("{time}.{body}"));
        let now = NOW.to_string();
        for name in ["old", "new"] {
            assert_eq!(read(Some(&now), Some(&sign(name, NOW)), body).unwrap().store.as_deref(), Some("s"));
        }
        let good = sign("new", NOW);
        let flipped = good.replace(&good[10..11], if &good[10..11] == "a" { "b" } else { "a" });
        for (time, signature) in [
            (Some(now.as_str()), Some(sign("other", NOW))),
            (Some(&now), Some(flipped)),
            (Some(&now), Some(good[..good.len() - 2].to_owned())),
            (Some(&now), Some(good.replace("sha256=", "sha1="))),
            (Some(&now), Some("sha256=".to_owned() + &"é".repeat(32))),
            (Some(&now), None),
            (None, Some(good.clone())),
            (Some("1799999999"), Some(good.clone())),
        ] {
            let said = read(time, signature.as_deref(), body);
            assert_eq!(said, Err(NoticeProblem::Unsigned), "{time:?} {signature:?}");
        }
        assert_eq!(read(Some(&now), Some(&good), r#"{"store":"t"}"#), Err(NoticeProblem::Unsigned));
    }

    #[test]
    fn only_a_signed_time_of_now_counts() {
        let body = r#"{"store":"s"}"#;
        for (time, is_right) in [(NOW - 300, true), (NOW + 300, true), (NOW - 301, false), (i64::MIN, false)]
        {
            let signature = hex(&key("new"), &format!("{time}.{body}"));
            let said = read(Some(&time.to_string()), Some(&signature), body);
            assert_eq!(said.is_ok(), is_right, "{time}: {said:?}");
        }
        let signature = hex(&key("new"), &format!("soon.{body}"));
        assert_eq!(read(Some("soon"), Some(&signature), body), Err(NoticeProblem::Untimely));
        // As GitHub signs: the time is in the body, and a header for it says nothing.
        let hub = |body: &str| {
            let signature = hex(&key("new"), body);
            let now = NOW.to_string();
            let signed = Signed { timestamp: Some(&now), signature: None, hub_signature: Some(&signature) };
            Notice::read(&[key("new")], signed, body.as_bytes(), NOW).map(drop)
        };
        assert_eq!(hub(body), Err(NoticeProblem::Untimely));
        assert_eq!(hub(&format!(r#"{{"store":"s","timestamp":{NOW}}}"#)), Ok(()));
        assert_eq!(
            hub(&format!(r#"{{"store":"s","timestamp":{}}}"#, NOW - 400)),
            Err(NoticeProblem::Untimely)
        );
    }

    #[test]
    fn what_is_signed_may_still_be_nonsense() {
        let said = |body: &str| {
            let signature = hex(&key("new"), &format!("{NOW}.{body}"));
            read(Some(&NOW.to_string()), Some(&signature), body).map(drop)
        };
        for body in ["", "[]", "{", r#"{"key":"a","store":"s"}"#, r#"{"store":1}"#] {
            assert_eq!(said(body), Err(NoticeProblem::Malformed), "{body}");
        }
        assert_eq!(said(r#"{"namespace":"shop"}"#), Err(NoticeProblem::Boundless));
        let many = json!({ "keys": vec!["k"; MAX_KEYS + 1] }).to_string();
        assert_eq!(said(&many), Err(NoticeProblem::Malformed));
    }

    #[test]
    fn means_what_reads_the_store_and_the_key() {
        let external: ExternalSecret = serde_json::from_value(json!({ "spec": {
            "secretStoreRef": { "name": "own" },
            "data": [{ "secretKey": "a", "remoteRef": { "key": "app/db" } },
                { "secretKey": "b", "remoteRef": { "key": "shared" },
                    "sourceRef": { "storeRef": { "name": "all", "kind": "ClusterSecretStore" } } }],
            "dataFrom": [{ "extract": { "key": "whole" } }, { "find": { "path": "team/" } },
                { "sourceRef": { "generatorRef": { "kind": "UUID", "name": "u" } } }] } }))
        .unwrap();
        let remotes = remotes_of(&external);
        assert_eq!(remotes.len(), 4);
        let means = |notice: serde_json::Value| {
            let notice: Notice = serde_json::from_value(notice).unwrap();
            remotes.iter().any(|remote| notice.means("shop", remote))
        };
        for (notice, expected) in [
            (json!({ "store": "own" }), true),
            (json!({ "store": "own", "kind": "ClusterSecretStore" }), false),
            (json!({ "store": "all", "kind": "ClusterSecretStore", "keys": ["shared"] }), true),
            (json!({ "store": "own", "keys": ["shared"] }), false),
            (json!({ "keys": ["nothing", "app/db"] }), true),
            (json!({ "keys": ["app"] }), false),
            (json!({ "keys": ["whole"] }), true),
            (json!({ "keys": ["team/a"] }), true),
            (json!({ "store": "own", "namespace": "shop" }), true),
            (json!({ "store": "own", "namespace": "other" }), false),
            (json!({ "store": "other" }), false),
        ] {
            assert_eq!(means(notice.clone()), expected, "{notice}");
        }
    }
}
