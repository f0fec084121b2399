//! kube's client as kube builds it, but with our own lookup of names. kube's asks the C library, which a program that is
//! linked statically must not do.

use std::future::Future;
use std::pin::Pin;
use std::task::{Context, Poll};

use http::{HeaderValue, Request, Uri};
use hyper_util::client::legacy::connect::proxy::Tunnel;
use hyper_util::client::legacy::connect::{Connect, HttpConnector};
use hyper_util::client::legacy::{Builder, Client as HttpClient};
use hyper_util::rt::TokioExecutor;
use kube::client::{Body, ClientBuilder, ConfigExt};
use kube::{Client, Config};
use sealops_formats::base64;
use sealops_providers::Egress;
use sealops_providers::egress::Resolver;
use tower_service::Service;

/// Makes a client; nothing is sent. Requests are not repeated, whatever the configuration says, and have no limit of time
/// besides that of the connection: each caller has its own.
pub(super) fn client(config: Config) -> Result<Client, kube::Error> {
    // Whoever runs the command says where it goes.
    let mut connector = HttpConnector::new_with_resolver(Resolver::new(Egress::Open));
    connector.enforce_http(false);
    connector.set_connect_timeout(config.connect_timeout);
    let Some(proxy) = config.proxy_url.clone() else {
        return build(&config, config.rustls_https_connector_with_connector(connector)?);
    };
    match proxy.scheme_str() {
        Some("http") => {
            let tunnel = through(proxy, connector);
            build(&config, config.rustls_https_connector_with_connector(tunnel)?)
        }
        Some("https") => {
            let tunnel = through(proxy, config.rustls_https_connector_with_connector(connector)?);
            build(&config, config.rustls_https_connector_with_connector(tunnel)?)
        }
        // kube says what is wrong with it.
        _ => Client::try_from(config),
    }
}

fn build<C>(config: &Config, connector: C) -> Result<Client, kube::Error>
where
    C: Connect + Clone + Send + Sync + 'static,
{
    let service: HttpClient<C, Body> = Builder::new(TokioExecutor::new()).build(connector);
    let builder = ClientBuilder::new(Transport(service), config.default_namespace.clone())
        .with_layer(&config.extra_headers_layer()?);
    Ok(match config.auth_layer()? {
        Some(login) => builder.with_layer(&login).with_layer(&config.base_uri_layer()).build(),
        None => builder.with_layer(&config.base_uri_layer()).build(),
    })
}

/// hyper's client with the errors that kube's layers want.
#[derive(Clone)]
struct Transport<S>(S);

type Failure = Box<dyn std::error::Error + Send + Sync>;

impl<S> Service<Request<Body>> for Transport<S>
where
    S: Service<Request<Body>, Error: Into<Failure>, Future: Send + 'static>,
{
    type Response = S::Response;
    type Error = Failure;
    type Future = Pin<Box<dyn Future<Output = Result<S::Response, Failure>> + Send>>;

    fn poll_ready(&mut self, context: &mut Context<'_>) -> Poll<Result<(), Failure>> {
        self.0.poll_ready(context).map_err(Into::into)
    }

    fn call(&mut self, request: Request<Body>) -> Self::Future {
        let answer = self.0.call(request);
        Box::pin(async { answer.await.map_err(Into::into) })
    }
}

/// Connects through a proxy, with the login that stands in its URL.
fn through<C>(proxy: Uri, connector: C) -> Tunnel<C> {
    let login = proxy.authority().and_then(|authority| authority.as_str().rsplit_once('@'));
    let login = login.map(|(login, _)| format!("Basic {}", base64::encode_public(&unescaped(login))));
    let header = login.and_then(|login| HeaderValue::from_str(&login).ok());
    let tunnel = Tunnel::new(proxy, connector);
    match header {
        Some(mut header) => {
            header.set_sensitive(true);
            tunnel.with_auth(header)
        }
        None => tunnel,
    }
}

/// Reads `%40` and the like. What is no such escape stays.
fn unescaped(text: &str) -> Vec<u8> {
    let mut rest = text.as_bytes();
    let mut bytes = Vec::with_capacity(rest.len());
    while let [first, after @ ..] = rest {
        let escaped = match after {
            [high, low, ..] if *first == b'%' => digit(*high).zip(digit(*low)),
            _ => None,
        };
        bytes.push(escaped.map_or(*first, |(high, low)| high << 4 | low));
        rest = if escaped.is_some() { &after[2..] } else { after };
    }
    bytes
}

fn digit(letter: u8) -> Option<u8> {
    char::from(letter).to_digit(16).and_then(|digit| u8::try_from(digit).ok())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn logins_of_proxies_are_unescaped() {
        let cases = [
            ("u:p", "u:p"),
            ("u:p%40ss%3aw", "u:p@ss:w"),
            ("%", "%"),
            ("%4", "%4"),
            ("%+A", "%+A"),
            ("", ""),
        ];
        for (text, wanted) in cases {
            assert_eq!(unescaped(text), wanted.as_bytes(), "{text}");
        }
    }
}
