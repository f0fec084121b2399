//! Publishing a decrypted file to a KV store: the whole file becomes one secret.

use sealops_formats::Plaintext;

use super::client::Call;
use super::{BACKEND, Json, Session};
use crate::{ProviderError, ProviderErrorKind};

/// What publishing did.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Published {
    /// The store has the new content.
    Written,
    /// The store had it already; nothing was written.
    UpToDate,
}

/// Makes the secret at `path` (below `/v1/`, with `data/` for version 2 of the store) hold an object: `content` is its
/// text in JSON. Under version 2, content that is there already is not written again; where what is there cannot be read,
/// `warn` is called and the content is written.
///
/// # Errors
/// As the login and the server say.
pub async fn publish(
    session: &Session,
    path: &str,
    version: usize,
    content: &Plaintext,
    warn: impl FnOnce(),
) -> Result<Published, ProviderError> {
    let failed = |kind| ProviderError {
        backend: BACKEND.to_owned(),
        operation: "write",
        target: format!("{}/v1/{path}", session.client().address()),
        kind,
    };
    let json = Json::parse(content)
        .ok_or_else(|| failed(ProviderErrorKind::Invalid("the file is no map with text keys".to_owned())))?;
    let body = if version == 1 { json } else { Json::map([("data", json)]) };
    match session.call(&Call::get(path)).await {
        Ok(Some(answer)) if version != 1 && holds(&answer, &body) => return Ok(Published::UpToDate),
        Ok(_) | Err(ProviderErrorKind::NotFound) => {}
        Err(ProviderErrorKind::Denied(_)) => warn(),
        Err(kind) => return Err(failed(kind)),
    }
    session.call(&Call::put(path, body)).await.map_err(failed)?;
    Ok(Published::Written)
}

/// Returns whether an answer's `data.data` is the `data` of what would be written.
fn holds(answer: &Json, body: &Json) -> bool {
    let there = answer.get("data").and_then(|data| data.get("data"));
    match (there, body.get("data")) {
        (Some(there), Some(wanted)) => there.to_text().ct_eq(&wanted.to_text()),
        _ => false,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn content_is_compared_as_json() {
        let parse = |text: &str| Json::parse(&Plaintext::from(text)).unwrap();
        let body = parse(r#"{"data": {"b": [1, {"c": true}], "a": "x"}}"#);
        assert!(holds(&parse(r#"{"data":{"data":{"a":"x","b":[1,{"c":true}]},"metadata":{}}}"#), &body));
        assert!(!holds(&parse(r#"{"data":{"data":{"a":"y","b":[1,{"c":true}]}}}"#), &body));
        assert!(!holds(&parse(r#"{"data":{"data":null,"metadata":{"deletion_time":"x"}}}"#), &body));
    }
}
