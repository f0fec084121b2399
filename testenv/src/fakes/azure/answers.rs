//! Answers in the words of Azure.
use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use serde_json::{Value, json};

use super::super::https::Answer;
use super::super::rsa_key::RsaKey;
use super::{AUTHORITIES, FakeAzure};

pub(super) fn discovery() -> Answer {
    let [public, ..] = AUTHORITIES;
    let aliases = [public, "login.windows.net", "login.microsoft.com", "sts.windows.net"];
    Answer::json(
        200,
        &json!({
            "tenant_discovery_endpoint":
                format!("https://{public}/{}/v2.0/.well-known/openid-configuration", FakeAzure::TENANT),
            "api-version": "1.1",
            "metadata": [{
                "preferred_network": public, "preferred_cache": "login.windows.net", "aliases": aliases,
            }],
        }),
    )
}

pub(super) fn configuration(host: &str, tenant: &str) -> Answer {
    if tenant != FakeAzure::TENANT {
        return Answer::json(
            400,
            &json!({ "error": "invalid_tenant", "error_description": FakeAzure::TEXT, "error_codes": [90_002] }),
        );
    }
    let base = format!("https://{host}/{tenant}");
    Answer::json(
        200,
        &json!({
            "token_endpoint": format!("{base}/oauth2/v2.0/token"),
            "authorization_endpoint": format!("{base}/oauth2/v2.0/authorize"),
            "device_authorization_endpoint": format!("{base}/oauth2/v2.0/devicecode"),
            "issuer": format!("{base}/v2.0"),
        }),
    )
}

pub(super) fn bundle(id: &str, key: &RsaKey) -> Value {
    let (modulus, exponent) = &key.numbers;
    json!({
        "key": {
            "kid": id, "kty": "RSA",
            "key_ops": ["encrypt", "decrypt", "sign", "verify", "wrapKey", "unwrapKey"],
            "n": URL_SAFE_NO_PAD.encode(modulus), "e": URL_SAFE_NO_PAD.encode(exponent),
        },
        "attributes": {
            "enabled": true, "created": 1_700_000_000, "updated": 1_700_000_000,
            "recoveryLevel": "Recoverable+Purgeable", "recoverableDays": 90,
        },
    })
}

pub(super) fn operate(id: &str, key: &RsaKey, encrypt: bool, body: &[u8]) -> Answer {
    let body: Value = serde_json::from_slice(body).unwrap_or_default();
    let value =
        body["value"].as_str().and_then(|text| URL_SAFE_NO_PAD.decode(text.trim_end_matches('=')).ok());
    let (Some("RSA-OAEP-256"), Some(value)) = (body["alg"].as_str(), value) else {
        return error(400, "BadParameter");
    };
    let result = if encrypt { key.encrypt(&value) } else { key.decrypt(&value) };
    match result {
        Some(result) => Answer::json(200, &json!({ "kid": id, "value": URL_SAFE_NO_PAD.encode(result) })),
        None => error(400, "BadParameter"),
    }
}

pub(super) fn error(status: u16, code: &str) -> Answer {
    Answer::json(status, &json!({ "error": { "code": code, "message": FakeAzure::TEXT } }))
}
