//! The admission webhook: one TLS server, the certificate of a folder, no rights.

use std::net::SocketAddr;
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use jiff::Timestamp;
use rustls::ServerConfig;
use rustls::crypto::CryptoProvider;
use tokio::sync::watch;
use tokio::time::{Instant, sleep, timeout};
use tokio_rustls::TlsAcceptor;
use tracing::{info, warn};

use super::certificates::Followed;
use crate::admission::{BadReview, Kind, answer};
use crate::cluster::http::{Limits, Request, Response, Route, Router, respond, serve_tls, text};
use crate::cluster::metrics::{Counter, Metrics, ObjectLabels};
use crate::cluster::run::{DRAIN, Signals, bind};
use crate::cluster::run_external::{bind_any, serve_both};

/// Paths of upstream's webhook configurations, and the kinds of their objects.
const PATHS: [(&str, Kind); 3] = [
    ("/validate-external-secrets-io-v1-externalsecret", Kind::ExternalSecret),
    ("/validate-external-secrets-io-v1-secretstore", Kind::SecretStore),
    ("/validate-external-secrets-io-v1-clustersecretstore", Kind::ClusterSecretStore),
];
/// Two objects of the API server's largest request, and what goes around them.
const MAX_REVIEW_BYTES: usize = 7 << 20;
/// Reviews held at once.
const MAX_REVIEWS: usize = 8;
/// For reading a review. The configurations give the whole call five seconds.
const REVIEW_TIMEOUT: Duration = Duration::from_secs(10);
/// Between two looks at the files of the certificate.
const LOOK: Duration = Duration::from_secs(5);
/// How long a certificate has to be right for this process to be ready.
const READY_AHEAD: i64 = 3600;
const REVIEWS: Counter<2> = Counter::new(
    "sealops_admission_reviews_total",
    "Reviews by path and answer (allowed, refused, invalid).",
    ["path", "answer"],
);

/// What the webhook is told.
#[derive(Debug, Clone)]
pub struct WebhookOptions {
    /// Addresses of the webhook: the first that can be had.
    pub listen: Vec<SocketAddr>,
    /// Addresses of the probes, likewise. None where they are off.
    pub health: Vec<SocketAddr>,
    /// Addresses of the metrics, likewise.
    pub metrics: Vec<SocketAddr>,
    /// Folder with `ca.crt`, `tls.crt` and `tls.key`.
    pub folder: PathBuf,
    /// Name that the certificate has to be for.
    pub dns_name: String,
    /// Time between two looks at how long the certificate is good.
    pub check_interval: Duration,
    /// How long it should be good; less is warned of.
    pub lookahead: Duration,
    /// Versions and ciphers.
    pub tls: TlsOptions,
}

/// What TLS speaks.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct TlsOptions {
    /// Whether TLS 1.2 is refused.
    pub only_tls13: bool,
    /// Ciphers of TLS 1.2 by their IANA names; none is all that are safe.
    pub ciphers: Vec<String>,
}

/// Serves reviews until SIGTERM or SIGINT. There need not be a certificate at the start.
///
/// # Errors
/// Returns why the process cannot start: addresses, ciphers.
pub async fn run_webhook(options: WebhookOptions) -> Result<(), String> {
    let certificate = Arc::new(Followed::new(options.folder.clone(), options.dns_name.clone()));
    let acceptor = acceptor(&options.tls, Arc::clone(&certificate))?;
    let (health, metrics_listener) = (bind_any(&options.health).await?, bind_any(&options.metrics).await?);
    let listener = bind(&options.listen).await?;
    let mut signals = Signals::new()?;
    let metrics = Arc::new(Metrics::new(env!("CARGO_PKG_VERSION"), ObjectLabels::Omit));
    let (stop, rest) = watch::channel(false);
    let ready = Arc::new(AtomicBool::new(false));
    let following = tokio::spawn(follow(certificate, Arc::clone(&ready), options));
    let mut serving = serve_both(health, metrics_listener, &ready, &metrics, &rest);
    let routes = routes(&metrics);
    serving.push(tokio::spawn(serve_tls(listener, acceptor, routes, Some(metrics), limits(), rest)));

    signals.wait(|| {}).await;
    following.abort();
    ready.store(false, Ordering::Relaxed);
    stop.send_replace(true);
    let _ = timeout(DRAIN, futures::future::join_all(serving)).await;
    info!("stopped");
    Ok(())
}

fn limits() -> Limits {
    Limits {
        body: REVIEW_TIMEOUT,
        request: REVIEW_TIMEOUT,
        body_bytes: MAX_REVIEW_BYTES,
        bodies: MAX_REVIEWS,
        ..Limits::default()
    }
}

fn routes(metrics: &Arc<Metrics>) -> Router {
    PATHS.into_iter().fold(Router::new(), |router, (path, kind)| {
        let metrics = Arc::clone(metrics);
        let handler = move |request: Request| {
            let answer = review(path, kind, &request, &metrics);
            async move { answer }
        };
        router.route(path, Route::new(handler).with_body().measured())
    })
}

fn review(path: &'static str, kind: Kind, request: &Request, metrics: &Metrics) -> Response {
    let (label, response) = match answer(kind, request.body()) {
        Ok(review) => {
            let label = if review["response"]["allowed"] == true { "allowed" } else { "refused" };
            (label, respond(200, "application/json", review.to_string()))
        }
        Err(BadReview) => {
            ("invalid", text(400, "expected an AdmissionReview of admission.k8s.io/v1 or v1beta1\n"))
        }
    };
    metrics.registry().add(&REVIEWS, [path, label], 1.0);
    response
}

/// Keeps the certificate up to date, and tells whether the process is ready.
async fn follow(certificate: Arc<Followed>, ready: Arc<AtomicBool>, options: WebhookOptions) {
    let ahead = i64::try_from(options.lookahead.as_secs()).unwrap_or(i64::MAX);
    let mut said = String::new();
    let mut checked: Option<Instant> = None;
    loop {
        let now = Timestamp::now().as_second();
        let loaded = certificate.load(now);
        if loaded == Ok(true) {
            info!(folder = %options.folder.display(), "the certificate was read");
            checked = None;
        }
        let good = certificate.check(now.saturating_add(READY_AHEAD));
        ready.store(good.is_ok(), Ordering::Relaxed);
        let problem = loaded.err().or(good.err()).unwrap_or_default();
        if !problem.is_empty() && problem != said {
            warn!(problem, "the certificate cannot be used; waiting for another one");
        }
        said = problem;
        if checked.is_none_or(|at| at.elapsed() >= options.check_interval) {
            checked = Some(Instant::now());
            if let Err(problem) = certificate.check(now.saturating_add(ahead))
                && said.is_empty()
            {
                warn!(problem, "the certificate ends within the time of --lookahead-interval");
            }
        }
        sleep(LOOK).await;
    }
}

fn acceptor(options: &TlsOptions, certificate: Arc<Followed>) -> Result<TlsAcceptor, String> {
    let mut provider = rustls::crypto::aws_lc_rs::default_provider();
    choose(&mut provider, &options.ciphers)?;
    let versions: &[_] = if options.only_tls13 {
        &[&rustls::version::TLS13]
    } else {
        &[&rustls::version::TLS13, &rustls::version::TLS12]
    };
    let mut config = ServerConfig::builder_with_provider(Arc::new(provider))
        .with_protocol_versions(versions)
        .map_err(|error| format!("--tls-ciphers: {error}"))?
        .with_no_client_auth()
        .with_cert_resolver(certificate);
    config.alpn_protocols = vec![b"http/1.1".to_vec()];
    Ok(TlsAcceptor::from(Arc::new(config)))
}

/// Leaves only the ciphers of TLS 1.2 that are named; those of 1.3 stay, as upstream.
fn choose(provider: &mut CryptoProvider, names: &[String]) -> Result<(), String> {
    if names.is_empty() {
        return Ok(());
    }
    let name_of = |suite: &rustls::SupportedCipherSuite| format!("{:?}", suite.suite());
    let known: Vec<String> = provider.cipher_suites.iter().map(name_of).collect();
    if let Some(name) = names.iter().find(|name| !known.contains(name)) {
        return Err(format!("--tls-ciphers: cipher {name} was not found; there are {}", known.join(", ")));
    }
    provider.cipher_suites.retain(|suite| suite.tls13().is_some() || names.contains(&name_of(suite)));
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ciphers_are_chosen_by_their_names() {
        let mut provider = rustls::crypto::aws_lc_rs::default_provider();
        let all = provider.cipher_suites.len();
        choose(&mut provider, &[]).unwrap();
        assert_eq!(provider.cipher_suites.len(), all);
        choose(&mut provider, &["TLS_ECDHE_RSA_WITH_AES_128_GCM_SHA256".to_owned()]).unwrap();
        let old = provider.cipher_suites.iter().filter(|suite| suite.tls13().is_none()).count();
        assert_eq!(old, 1);
        assert!(choose(&mut provider, &["TLS_RSA_WITH_RC4_128_SHA".to_owned()]).is_err());
    }
}
