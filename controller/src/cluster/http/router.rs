//! From path to handler.

use std::collections::BTreeMap;

use bytes::Bytes;
use futures::future::BoxFuture;
use http_body_util::Full;
use hyper::StatusCode;
use hyper::header::{CONTENT_TYPE, HeaderValue};
use hyper::http::request::Parts;

use super::limit::Admission;

/// A request whose body, if its route wants one, has been read.
pub type Request = hyper::Request<Bytes>;
/// An answer, complete in memory.
pub type Response = hyper::Response<Full<Bytes>>;

/// The routes of a server, by exact path.
#[derive(Default)]
pub struct Router {
    routes: BTreeMap<&'static str, Route>,
}

type Gate = Box<dyn Fn(&Parts) -> Admission + Send + Sync>;

/// What answers the requests for one path.
pub struct Route {
    handler: Box<dyn Fn(Request) -> BoxFuture<'static, Response> + Send + Sync>,
    gate: Option<Gate>,
    pub(super) body: Body,
    pub(super) measure: Measure,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Body {
    Ignore,
    Read,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Measure {
    No,
    Yes,
}

impl Router {
    /// Makes a router without routes.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// Adds a route, or replaces the one with the same path.
    #[must_use]
    pub fn route(mut self, path: &'static str, route: Route) -> Self {
        self.routes.insert(path, route);
        self
    }

    /// Returns the path as we know it (never the client's text) and its route.
    pub(super) fn find(&self, path: &str) -> Option<(&'static str, &Route)> {
        self.routes.get_key_value(path).map(|(path, route)| (*path, route))
    }
}

impl Route {
    /// Makes a route that ignores the body of a request and appears in no metric.
    pub fn new<F>(handler: impl Fn(Request) -> F + Send + Sync + 'static) -> Self
    where
        F: Future<Output = Response> + Send + 'static,
    {
        let handler = Box::new(move |request| Box::pin(handler(request)) as BoxFuture<'static, Response>);
        Self { handler, gate: None, body: Body::Ignore, measure: Measure::No }
    }

    /// Reads the body, within the server's limit, before the handler is called.
    #[must_use]
    pub fn with_body(self) -> Self {
        Self { body: Body::Read, ..self }
    }

    /// Counts and times the requests, as upstream does for `/v1/…` but not for the probes.
    #[must_use]
    pub fn measured(self) -> Self {
        Self { measure: Measure::Yes, ..self }
    }

    /// Asks before each request, and before its body is read, whether it may go on.
    #[must_use]
    pub fn limited(self, gate: impl Fn(&Parts) -> Admission + Send + Sync + 'static) -> Self {
        Self { gate: Some(Box::new(gate)), ..self }
    }

    pub(super) fn admit(&self, request: &Parts) -> Option<Admission> {
        self.gate.as_ref().map(|gate| gate(request))
    }

    pub(super) async fn answer(&self, request: Request) -> Response {
        (self.handler)(request).await
    }
}

/// Makes a plain-text answer.
#[must_use]
pub fn text(code: u16, body: &'static str) -> Response {
    respond(code, "text/plain; charset=utf-8", body)
}

/// Makes an answer; a code that is none becomes 500.
#[must_use]
pub fn respond(code: u16, content_type: &'static str, body: impl Into<Bytes>) -> Response {
    let mut response = Response::new(Full::new(body.into()));
    *response.status_mut() = StatusCode::from_u16(code).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
    response.headers_mut().insert(CONTENT_TYPE, HeaderValue::from_static(content_type));
    response
}
