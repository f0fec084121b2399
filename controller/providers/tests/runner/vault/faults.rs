//! A server that is sealed, slow, throttled, gone, or talks nonsense.

use std::io::{Read, Write};
use std::net::TcpListener;
use std::time::{Duration, Instant};

use sealops_providers::ProviderErrorKind;
use sealops_providers::vault::{Client, Login, Session, Settings};
use sealops_testenv::{OpenBaoServer, free_port};
use serde_json::json;

use super::{Credentials, furnish, get, open};

async fn check(url: &str, attempts: u32, timeout: Duration) -> Result<(), ProviderErrorKind> {
    let mut settings = Settings::new(url);
    settings.policy.attempts = attempts;
    settings.timeout = timeout;
    Session::new(Client::new(settings).unwrap(), Login::Token("t".into()), None).check().await
}

#[tokio::test]
async fn sealed_paused_and_back() {
    let mut bao = OpenBaoServer::start().unwrap();
    furnish(&bao, "");
    bao.put("secret/data/x", &json!({ "data": { "u": "1" } })).unwrap();
    let settings = json!({ "server": bao.url(), "path": "secret", "auth": { "tokenSecretRef": { "name": "s", "key": "root" } } });
    let credentials = Credentials::of(&[("s/root", bao.root_token())]);
    let store = open(settings, &credentials).await.unwrap();
    get(&store, "x", None).await.unwrap();
    bao.seal().unwrap();
    let error = get(&store, "x", None).await.unwrap_err();
    assert!(matches!(error, ProviderErrorKind::Unavailable(_)), "{error}");
    assert_eq!(error.to_string(), "GET secret/data/x was answered 503: Vault is sealed");
    bao.unseal().unwrap();
    assert_eq!(get(&store, "x", None).await.unwrap(), r#"{"u":"1"}"#, "the same connection goes on");
    bao.process().pause().unwrap();
    let started = Instant::now();
    let error = check(&bao.url(), 1, Duration::from_secs(1)).await.unwrap_err();
    assert!(matches!(error, ProviderErrorKind::Unavailable(_)), "{error}");
    assert!(error.to_string().contains("did not answer in time"), "{error}");
    assert!(started.elapsed() < Duration::from_secs(30));
    bao.process().resume().unwrap();
    get(&store, "x", None).await.unwrap();
}

#[tokio::test]
async fn a_quota_is_waited_for_as_the_server_asks() {
    let bao = OpenBaoServer::start().unwrap();
    furnish(&bao, "");
    bao.put("secret/data/x", &json!({ "data": { "u": "1" } })).unwrap();
    bao.put("sys/quotas/config", &json!({ "enable_rate_limit_response_headers": true })).unwrap();
    bao.put("sys/quotas/rate-limit/slow", &json!({ "path": "secret/", "rate": 1, "interval": "2s" }))
        .unwrap();
    let settings = |retries: u32| {
        json!({
            "provider": { "vault": { "server": bao.url(), "path": "secret", "auth": { "tokenSecretRef": { "name": "s", "key": "root" } } } },
            "retrySettings": { "maxRetries": retries },
        })
    };
    let credentials = Credentials::of(&[("s/root", bao.root_token())]);
    let hasty = super::open_spec(settings(0), &credentials).await.unwrap();
    let mut throttled = None;
    for _ in 0..20 {
        if let Err(error) = get(&hasty, "x", None).await {
            throttled = Some(error);
            break;
        }
    }
    assert!(matches!(throttled, Some(ProviderErrorKind::Throttled(Some(_)))), "{throttled:?}");
    let patient = super::open_spec(settings(5), &credentials).await.unwrap();
    for _ in 0..3 {
        get(&patient, "x", None).await.unwrap();
    }
}

/// A server that sends these bytes to everybody and closes, after a request came.
fn says(answer: Vec<u8>) -> String {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let url = format!("http://{}", listener.local_addr().unwrap());
    std::thread::spawn(move || {
        for client in listener.incoming() {
            let Ok(mut client) = client else { return };
            let mut request = [0; 4096];
            let _ = client.read(&mut request);
            let _ = client.write_all(&answer);
        }
    });
    url
}

#[tokio::test]
async fn nonsense_is_an_error_without_its_text() {
    let ok =
        |body: &str| format!("HTTP/1.1 200 OK\r\nContent-Length: {}\r\n\r\n{body}", body.len()).into_bytes();
    let huge =
        [b"HTTP/1.1 200 OK\r\nContent-Length: 9000000\r\n\r\n".to_vec(), vec![b' '; 9_000_000]].concat();
    for (name, answer) in [
        ("no HTTP", b"hunter2\r\n".to_vec()),
        ("nothing", Vec::new()),
        ("cut off", b"HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\n{\"hunter2\"".to_vec()),
        ("no JSON", ok("<html>hunter2</html>")),
        ("deep", ok(&"[".repeat(100_000))),
        ("too large", huge),
        ("error page", b"HTTP/1.1 502 Bad Gateway\r\nContent-Length: 7\r\n\r\nhunter2".to_vec()),
        (
            "redirect",
            b"HTTP/1.1 307 Temporary Redirect\r\nLocation: http://hunter2/\r\nContent-Length: 0\r\n\r\n"
                .to_vec(),
        ),
    ] {
        let error = check(&says(answer), 1, Duration::from_secs(20)).await.err();
        let error = error.unwrap_or_else(|| panic!("{name} was taken")).to_string();
        assert!(!error.contains("hunter2"), "{name}: {error}");
    }
    let refused = format!("http://127.0.0.1:{}", free_port().unwrap());
    let error = check(&refused, 2, Duration::from_secs(5)).await.unwrap_err();
    assert!(
        matches!(error, ProviderErrorKind::Unavailable(_))
            && error.to_string().contains("cannot reach 127.0.0.1")
    );
}
