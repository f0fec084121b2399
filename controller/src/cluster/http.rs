//! The two HTTP servers: certificate, verify, rotate and probes (8080), metrics (8081). Plain HTTP/1, no authentication.
//!
//! Anybody in the cluster can reach them, so every resource has a bound: connections, header time, request time,
//! connection age, body size, and bodies held at once. The method is not checked, as upstream.

mod limit;
mod router;
mod sealing;
mod server;
#[cfg(test)]
mod tests;

use std::sync::Arc;

use hyper::http::request::Parts;
use tokio::time::Instant;

pub use self::limit::{Admission, Clients, Limiter, MAX_CLIENTS, Peer};
pub use self::router::{Request, Response, Route, Router, respond, text};
pub use self::sealing::SealingApi;
pub use self::server::{Limits, MAX_BODIES, MAX_BODY_BYTES, MAX_CONNECTIONS, serve, serve_tls};

use super::metrics::Metrics;

/// Makes the routes of the main server; more are added with [`Router::route`].
#[must_use]
pub fn main_routes(
    ready: impl Fn() -> bool + Send + Sync + 'static,
    certificate: impl Fn() -> Option<String> + Send + Sync + 'static,
) -> Router {
    Router::new()
        .route("/healthz", Route::new(|_| async { text(200, "ok\n") }))
        .route("/readyz", {
            let ready = Arc::new(ready);
            Route::new(move |_| {
                let ready = Arc::clone(&ready);
                async move { if ready() { text(200, "ok\n") } else { text(503, "not ready\n") } }
            })
        })
        .route("/v1/cert.pem", {
            let certificate = Arc::new(certificate);
            Route::new(move |_| {
                let certificate = Arc::clone(&certificate);
                async move {
                    match certificate() {
                        Some(pem) => respond(200, "application/x-pem-file", pem),
                        None => text(500, "cannot get certificate\n"),
                    }
                }
            })
            .measured()
        })
}

/// Adds the paths that take a SealedSecret, within a limit per client.
#[must_use]
pub fn sealing_routes(router: Router, api: SealingApi, clients: Arc<Clients>, limiter: Limiter) -> Router {
    let (api, limiter) = (Arc::new(api), Arc::new(limiter));
    let gate = |path| {
        let (clients, limiter) = (Arc::clone(&clients), Arc::clone(&limiter));
        move |request: &Parts| limiter.admit(clients.of(request), path, Instant::now())
    };
    let (verify, rotate) = (Arc::clone(&api), api);
    router
        .route(
            VERIFY,
            Route::new(move |request| Arc::clone(&verify).verify(request))
                .with_body()
                .measured()
                .limited(gate(VERIFY)),
        )
        .route(
            ROTATE,
            Route::new(move |request| Arc::clone(&rotate).rotate(request))
                .with_body()
                .measured()
                .limited(gate(ROTATE)),
        )
}

const VERIFY: &str = "/v1/verify";
const ROTATE: &str = "/v1/rotate";

/// Makes the routes of the metrics server.
#[must_use]
pub fn metrics_routes(metrics: Arc<Metrics>) -> Router {
    Router::new().route(
        "/metrics",
        Route::new(move |_| {
            let metrics = Arc::clone(&metrics);
            async move { respond(200, "text/plain; version=0.0.4; charset=utf-8", metrics.render()) }
        }),
    )
}
