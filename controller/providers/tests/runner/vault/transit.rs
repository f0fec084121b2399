//! Transit keys: wrapped parts, one session per server, the list of servers.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use sealops_crypto::sops::{KeyPart, MasterKey};
use sealops_providers::vault::{Allowlist, Client, Servers, Session, Settings, Transit};
use sealops_providers::{BoxFuture, KeyService, ProviderErrorKind};
use serde_json::json;

use super::{approle, approle_login, bao};

struct Counted(Arc<AtomicUsize>, (String, String));

impl Servers for Counted {
    fn session<'a>(&'a self, address: &'a str) -> BoxFuture<'a, Result<Session, ProviderErrorKind>> {
        self.0.fetch_add(1, Ordering::SeqCst);
        Box::pin(async move {
            Ok(Session::new(Client::new(Settings::new(address))?, approle_login(&self.1), None))
        })
    }
}

fn key(address: &str, engine: &str, name: &str) -> MasterKey {
    MasterKey::HcVault {
        vault_address: address.to_owned(),
        engine_path: engine.to_owned(),
        key_name: name.to_owned(),
    }
}

#[tokio::test]
async fn parts_are_wrapped_and_unwrapped() {
    let bao = bao();
    bao.put("sys/mounts/deep/er/transit", &json!({ "type": "transit" })).unwrap();
    let policy = r#"path "transit/*" { capabilities = ["update"] } path "deep/er/transit/*" { capabilities = ["update"] }"#;
    bao.put("sys/policies/acl/transit", &json!({ "policy": policy })).unwrap();
    let role = approle(bao, "", "transit", json!({ "token_policies": ["transit"] }));
    let sessions = Arc::new(AtomicUsize::new(0));
    let transit = Transit::new(Box::new(Counted(Arc::clone(&sessions), role)), Ok(Allowlist::All));
    let part = KeyPart::new((0..=255).collect::<Vec<u8>>().into());
    let mut wrapped = String::new();
    for (engine, kind) in
        [("transit", "aes256-gcm96"), ("transit", "chacha20-poly1305"), ("deep/er/transit", "rsa-4096")]
    {
        bao.put(&format!("{engine}/keys/{kind}"), &json!({ "type": kind })).unwrap();
        let key = key(&bao.url(), engine, kind);
        let part = if kind.starts_with("rsa") {
            KeyPart::new(vec![7; 33].into())
        } else {
            KeyPart::new(part.plaintext().duplicate())
        };
        wrapped = transit.wrap(&key, &part).await.unwrap();
        assert!(wrapped.starts_with("vault:v1:"), "{wrapped}");
        let back = transit.unwrap(&key, &wrapped).await.unwrap();
        assert!(back.plaintext().ct_eq(part.plaintext()), "{kind}");
    }
    assert_eq!(sessions.load(Ordering::SeqCst), 1, "one session for one server");
    let other = key(&bao.url(), "transit", "aes256-gcm96");
    for (key, wrapped, words) in [
        (&other, wrapped.as_str(), "answered 400"),
        (&other, "hunter2", "invalid ciphertext: no prefix"),
        (&key(&bao.url(), "transit", "none"), "vault:v1:AAAA", "transit/decrypt/none"),
        (&key(&bao.url(), "nowhere", "k"), "vault:v1:AAAA", "nowhere/decrypt/k"),
        (&key(&bao.url(), "../sys", "k"), "vault:v1:AAAA", "may not have"),
    ] {
        let error = transit.unwrap(key, wrapped).await.unwrap_err().to_string();
        assert!(
            error.contains(words) && error.contains(&key.to_string()) && !error.contains("hunter2"),
            "{error}"
        );
    }
    transit.close().await;
    // Nothing is sent to a server that is not on the list.
    let allowed = Allowlist::parse("https://mine.example");
    let transit =
        Transit::new(Box::new(Counted(Arc::clone(&sessions), (String::new(), String::new()))), allowed);
    let error = transit.unwrap(&other, "vault:v1:AAAA").await.unwrap_err();
    assert!(
        matches!(error.kind, ProviderErrorKind::Forbidden(_))
            && error.to_string().contains("Allowlist does not allow")
    );
    assert_eq!(sessions.load(Ordering::SeqCst), 1);
}
