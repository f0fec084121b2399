//! Client and server against each other and against servers that misbehave, with short limits.
#![allow(clippy::unwrap_used)]

use std::sync::Arc;
use std::time::{Duration, Instant};

use sealops_crypto::sops::{KeyPart, MasterKey};
use sealops_formats::Plaintext;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpListener;
use tokio::runtime::Runtime;
use tokio::sync::oneshot;
use tokio::time::sleep;

use super::{Consent, KeyService, KeyServiceLimits, Listener, RemoteKeyService, serve};
use crate::{BoxFuture, ProviderError, ProviderErrorKind};

/// Wraps by writing `wrapped:` in front.
struct Simple {
    wait: Duration,
    bytes: usize,
    error: Option<ProviderErrorKind>,
}

impl Simple {
    fn quick() -> Self {
        Self { wait: Duration::ZERO, bytes: 0, error: None }
    }

    async fn before(&self) -> Result<(), ProviderError> {
        sleep(self.wait).await;
        let error = |kind| ProviderError {
            backend: "simple".to_owned(),
            operation: "do",
            target: "it".to_owned(),
            kind,
        };
        self.error.clone().map_or(Ok(()), |kind| Err(error(kind)))
    }
}

impl KeyService for Simple {
    fn wrap<'a>(
        &'a self,
        _: &'a MasterKey,
        part: &'a KeyPart,
    ) -> BoxFuture<'a, Result<String, ProviderError>> {
        Box::pin(async move {
            self.before().await?;
            let part = String::from_utf8_lossy(part.plaintext().expose()).into_owned();
            Ok(format!("wrapped:{part}{}", "x".repeat(self.bytes)))
        })
    }

    fn unwrap<'a>(
        &'a self,
        _: &'a MasterKey,
        wrapped: &'a str,
    ) -> BoxFuture<'a, Result<KeyPart, ProviderError>> {
        Box::pin(async move {
            self.before().await?;
            Ok(KeyPart::new(Plaintext::from(wrapped.trim_start_matches("wrapped:"))))
        })
    }
}

struct Never;

impl Consent for Never {
    fn ask<'a>(&'a self, _: &'static str, _: &'a MasterKey) -> BoxFuture<'a, bool> {
        Box::pin(async { false })
    }
}

fn key() -> MasterKey {
    MasterKey::Age { recipient: "age1".to_owned() }
}

fn limits() -> KeyServiceLimits {
    KeyServiceLimits { connect: Duration::from_millis(500), answer: Duration::from_secs(2) }
}

fn runtime() -> Runtime {
    tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build().unwrap()
}

/// Serves, and returns the address.
async fn start(service: Simple, consent: Option<Arc<dyn Consent>>) -> (String, oneshot::Sender<()>) {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let uri = format!("tcp://{}", listener.local_addr().unwrap());
    let (end, ended) = oneshot::channel::<()>();
    tokio::spawn(serve(Listener::Tcp(listener), Arc::new(service), consent, async {
        let _ = ended.await;
    }));
    (uri, end)
}

async fn wrap(uri: &str) -> Result<String, ProviderErrorKind> {
    let client = RemoteKeyService::new(uri, limits()).unwrap();
    let part = KeyPart::new(Plaintext::from("part"));
    client.wrap(&key(), &part).await.map_err(|error| error.kind)
}

#[test]
fn a_part_goes_there_and_back() {
    runtime().block_on(async {
        let (uri, end) = start(Simple::quick(), None).await;
        let client = RemoteKeyService::new(&uri, limits()).unwrap();
        let part = KeyPart::new(Plaintext::from("part"));
        let wrapped = client.wrap(&key(), &part).await.unwrap();
        assert_eq!(wrapped, "wrapped:part");
        let unwrapped = client.unwrap(&key(), &wrapped).await.unwrap();
        assert!(unwrapped.plaintext().ct_eq(part.plaintext()));
        drop(end);
    });
}

#[test]
fn the_servers_reasons_come_through() {
    runtime().block_on(async {
        for (error, expected) in [
            (ProviderErrorKind::Failed("why not".to_owned()), "simple provider: do it: why not"),
            (ProviderErrorKind::NotBuilt, "Unknown key type"),
        ] {
            let (uri, _end) = start(Simple { error: Some(error), ..Simple::quick() }, None).await;
            assert_eq!(wrap(&uri).await, Err(ProviderErrorKind::Failed(expected.to_owned())));
        }
        let forbidden = ProviderErrorKind::Forbidden("not on the list".to_owned());
        let (uri, _end) = start(Simple { error: Some(forbidden), ..Simple::quick() }, None).await;
        assert!(matches!(wrap(&uri).await, Err(ProviderErrorKind::Denied(_))));
        let (uri, _end) = start(Simple::quick(), Some(Arc::new(Never))).await;
        assert_eq!(wrap(&uri).await, Err(ProviderErrorKind::Denied("Request rejected by user".to_owned())));
    });
}

#[test]
fn slow_and_large_answers_are_given_up() {
    runtime().block_on(async {
        let (uri, _end) = start(Simple { wait: Duration::from_secs(60), ..Simple::quick() }, None).await;
        let started = Instant::now();
        let answer = wrap(&uri).await;
        assert_eq!(answer, Err(ProviderErrorKind::Unavailable("it did not answer in time".to_owned())));
        assert!(started.elapsed() >= Duration::from_secs(2));
        let (uri, _end) = start(Simple { bytes: 2 << 20, ..Simple::quick() }, None).await;
        assert!(matches!(wrap(&uri).await, Err(ProviderErrorKind::Failed(_))));
    });
}

#[test]
fn a_server_that_ends_is_found_gone_and_its_successor_is_used() {
    runtime().block_on(async {
        let (uri, end) = start(Simple::quick(), None).await;
        let client = RemoteKeyService::new(&uri, limits()).unwrap();
        let part = KeyPart::new(Plaintext::from("part"));
        client.wrap(&key(), &part).await.unwrap();
        drop(end);
        let address = uri.trim_start_matches("tcp://").to_owned();
        let listener = loop {
            match TcpListener::bind(&address).await {
                Ok(listener) => break listener,
                Err(_) => tokio::task::yield_now().await,
            }
        };
        drop(listener);
        let gone = client.wrap(&key(), &part).await.unwrap_err();
        assert!(matches!(gone.kind, ProviderErrorKind::Unavailable(_)), "{gone}");
        let listener = TcpListener::bind(&address).await.unwrap();
        let (_end, ended) = oneshot::channel::<()>();
        tokio::spawn(serve(Listener::Tcp(listener), Arc::new(Simple::quick()), None, async {
            let _ = ended.await;
        }));
        client.wrap(&key(), &part).await.unwrap();
    });
}

/// How a server that is none treats those who come.
#[derive(Debug, Clone, Copy)]
enum Manner {
    Silent,
    Junk,
    Drip,
    Closes,
}

async fn misbehave(manner: Manner) -> String {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let uri = format!("tcp://{}", listener.local_addr().unwrap());
    tokio::spawn(async move {
        while let Ok((mut stream, _)) = listener.accept().await {
            tokio::spawn(async move {
                let mut buffer = [0; 1024];
                match manner {
                    Manner::Closes => {}
                    Manner::Silent => while stream.read(&mut buffer).await.is_ok_and(|count| count > 0) {},
                    Manner::Junk => {
                        let _ = stream.write_all(&[b'x'; 4096]).await;
                        let _ = stream.read(&mut buffer).await;
                    }
                    // The head of a settings frame that announces more than ever comes.
                    Manner::Drip => {
                        for byte in [0, 0, 60, 4, 0, 0, 0, 0, 0].into_iter().chain([0; 60]) {
                            if stream.write_all(&[byte]).await.is_err() {
                                return;
                            }
                            sleep(Duration::from_millis(100)).await;
                        }
                    }
                }
            });
        }
    });
    uri
}

#[test]
fn servers_that_misbehave_cost_no_more_than_the_limits() {
    runtime().block_on(async {
        for (manner, limit) in [
            (Manner::Closes, limits().answer),
            (Manner::Silent, limits().connect),
            (Manner::Junk, limits().answer),
            (Manner::Drip, limits().answer),
        ] {
            let uri = misbehave(manner).await;
            let started = Instant::now();
            let answer = wrap(&uri).await;
            assert!(
                matches!(answer, Err(ProviderErrorKind::Unavailable(_) | ProviderErrorKind::Failed(_))),
                "{manner:?} {answer:?}"
            );
            assert!(started.elapsed() < limit + Duration::from_secs(10), "{manner:?}");
            if matches!(manner, Manner::Silent) {
                assert!(format!("{answer:?}").contains("nobody speaks there"), "{answer:?}");
            }
        }
    });
}
