//! Own authorities, client certificates, other names, proxies.

use std::io::{Read, Write};
use std::net::{TcpListener, TcpStream};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use sealops_formats::base64::encode_public;
use sealops_providers::ProviderErrorKind;
use sealops_providers::http_extras::Proxies;
use sealops_providers::vault::{Client, Login, Session, Settings};
use serde_json::json;

use super::{Credentials, bao, get, open, stored};

fn root() -> Login {
    Login::Token(bao().root_token().into())
}

async fn check(change: impl FnOnce(&mut Settings)) -> Result<(), ProviderErrorKind> {
    let mut settings = Settings::new(bao().tls_url());
    settings.policy.attempts = 1;
    settings.tls.roots = Some(bao().pki().ca_pem().into_bytes());
    change(&mut settings);
    Session::new(Client::new(settings).unwrap(), root(), None).check().await
}

#[tokio::test]
async fn the_servers_certificate_is_checked() {
    check(|_| {}).await.unwrap();
    let other = sealops_testenv::Pki::generate().unwrap().ca_pem();
    let error = check(|settings| settings.tls.roots = Some(other.clone().into_bytes())).await.unwrap_err();
    assert!(
        error.to_string().contains("cannot reach") && error.to_string().contains("certificate"),
        "{error}"
    );
    let error =
        check(|settings| settings.extras.server_name = Some("elsewhere.test".to_owned())).await.unwrap_err();
    assert!(matches!(error, ProviderErrorKind::Unavailable(_)), "{error}");
    check(|settings| settings.extras.server_name = Some("vault.test".to_owned())).await.unwrap();
    check(|settings| {
        settings.tls.roots = Some(other.into_bytes());
        settings.extras.skip_verify = true;
    })
    .await
    .unwrap();
    for nonsense in ["", "hunter2", "-----BEGIN CERTIFICATE-----\nhunter2\n-----END CERTIFICATE-----\n"] {
        let error = check(|settings| settings.tls.roots = Some(nonsense.into())).await.unwrap_err();
        assert!(
            matches!(error, ProviderErrorKind::Invalid(_)) && !error.to_string().contains("hunter2"),
            "{error}"
        );
    }
}

#[tokio::test]
async fn a_client_certificate_is_a_login() {
    let bao = bao();
    stored("tls/x", json!({ "u": "amber" }));
    let role =
        json!({ "certificate": bao.pki().ca_pem(), "allowed_common_names": "app", "token_policies": "app" });
    bao.put("auth/cert/certs/app", &role).unwrap();
    let (right, wrong) = (bao.pki().client("app", &[]).unwrap(), bao.pki().client("other", &[]).unwrap());
    let credentials = Credentials::of(&[
        ("right/tls.crt", &right.certificate_pem),
        ("right/tls.key", &right.key_pem),
        ("wrong/tls.crt", &wrong.certificate_pem),
        ("wrong/tls.key", &wrong.key_pem),
        ("ca/ca.crt", &bao.pki().ca_pem()),
        ("s/root", bao.root_token()),
    ]);
    let store = |name: &str| {
        json!({
            "server": bao.tls_url(), "path": "secret", "caBundle": encode_public(bao.pki().ca_pem().as_bytes()),
            "auth": { "cert": { "vaultRole": "app", "clientCert": { "name": name }, "secretRef": { "name": name } } },
        })
    };
    let opened = open(store("right"), &credentials).await.unwrap();
    assert_eq!(get(&opened, "tls/x", None).await.unwrap(), r#"{"u":"amber"}"#);
    let error = open(store("wrong"), &credentials).await.err().unwrap();
    assert!(matches!(error.kind, ProviderErrorKind::Unauthenticated(_)), "{error}");
    // The certificate of the connection, and authorities in another object.
    let settings = json!({
        "server": bao.tls_url(), "path": "secret",
        "caProvider": { "type": "ConfigMap", "name": "ca", "key": "ca.crt" },
        "tls": { "certSecretRef": { "name": "right" }, "keySecretRef": { "name": "right" } },
        "auth": { "tokenSecretRef": { "name": "s", "key": "root" } },
    });
    let opened = open(settings.clone(), &credentials).await.unwrap();
    assert_eq!(get(&opened, "tls/x", None).await.unwrap(), r#"{"u":"amber"}"#);
    let mut half = settings;
    half["tls"].as_object_mut().unwrap().remove("keySecretRef");
    assert!(open(half, &credentials).await.err().unwrap().to_string().contains("have to be set both"));
}

/// A proxy that takes `CONNECT` and sends every name to 127.0.0.1, and counts.
fn proxy() -> (String, Arc<AtomicUsize>) {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap().to_string();
    let count = Arc::new(AtomicUsize::new(0));
    let counted = Arc::clone(&count);
    std::thread::spawn(move || {
        for client in listener.incoming() {
            let Ok(mut client) = client else { return };
            let counted = Arc::clone(&counted);
            std::thread::spawn(move || {
                let mut head = Vec::new();
                let mut byte = [0];
                while !head.ends_with(b"\r\n\r\n") && client.read(&mut byte).is_ok_and(|count| count > 0) {
                    head.push(byte[0]);
                }
                let head = String::from_utf8_lossy(&head).into_owned();
                let Some(target) = head.strip_prefix("CONNECT ").and_then(|rest| rest.split(' ').next())
                else {
                    return;
                };
                assert!(head.contains("Basic dXNlcjp3b3Jk"), "the proxy's password is missing");
                counted.fetch_add(1, Ordering::SeqCst);
                let port = target.rsplit(':').next().unwrap();
                let mut server = TcpStream::connect(format!("127.0.0.1:{port}")).unwrap();
                client.write_all(b"HTTP/1.1 200 OK\r\n\r\n").unwrap();
                let (mut back, mut answer) = (server.try_clone().unwrap(), client.try_clone().unwrap());
                std::thread::spawn(move || std::io::copy(&mut back, &mut answer));
                let _ = std::io::copy(&mut client, &mut server);
            });
        }
    });
    (address, count)
}

#[tokio::test]
async fn a_proxy_is_used_where_it_is_set() {
    let (address, count) = proxy();
    let proxy = format!("http://user:word@{address}");
    // Nobody but the proxy knows this name.
    for url in [bao().tls_url(), bao().url()] {
        let mut settings = Settings::new(url.replace("127.0.0.1", "vault.test"));
        settings.tls.roots = Some(bao().pki().ca_pem().into_bytes());
        settings.extras.proxies = Proxies::new(&proxy, &proxy, "");
        let before = count.load(Ordering::SeqCst);
        Session::new(Client::new(settings).unwrap(), root(), None).check().await.unwrap();
        assert!(count.load(Ordering::SeqCst) > before, "{url}");
    }
    let before = count.load(Ordering::SeqCst);
    check(|settings| settings.extras.proxies = Proxies::new(&proxy, &proxy, "")).await.unwrap();
    assert_eq!(count.load(Ordering::SeqCst), before, "this machine is reached directly");
}
