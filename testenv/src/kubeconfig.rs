//! Kubeconfig files, with everything inline, for one cluster and one user.
use base64::Engine as _;
use base64::prelude::BASE64_STANDARD;
use serde_json::{Value, json};

use crate::pki::Identity;

/// How the user of a kubeconfig proves itself.
pub(crate) enum Credential<'a> {
    Certificate(&'a Identity),
    Token(&'a str),
}

/// Returns the text of a kubeconfig (JSON, which is YAML too).
pub(crate) fn kubeconfig(url: &str, ca_pem: &str, namespace: &str, credential: &Credential<'_>) -> String {
    let user: Value = match credential {
        Credential::Certificate(identity) => json!({
            "client-certificate-data": BASE64_STANDARD.encode(&identity.certificate_pem),
            "client-key-data": BASE64_STANDARD.encode(&identity.key_pem),
        }),
        Credential::Token(token) => json!({ "token": token }),
    };
    let cluster = json!({ "server": url, "certificate-authority-data": BASE64_STANDARD.encode(ca_pem) });
    let context = json!({ "cluster": "test", "user": "test", "namespace": namespace });
    json!({
        "apiVersion": "v1",
        "kind": "Config",
        "clusters": [{ "name": "test", "cluster": cluster }],
        "users": [{ "name": "test", "user": user }],
        "contexts": [{ "name": "test", "context": context }],
        "current-context": "test",
    })
    .to_string()
}
