//! One request to the API server at a time, and what its refusals say.

use std::fmt;

use sealops_formats::Plaintext;
use serde_json::Value as Json;

use crate::error::CommandError;

#[cfg(feature = "cluster")]
pub(crate) use super::cluster::Api;

/// What a request does.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Method {
    Get,
    Post,
    Patch,
    Delete,
}

/// A request. The path is made of names that may come from flags.
pub(crate) struct Request<'a> {
    pub(crate) method: Method,
    pub(crate) path: &'a str,
    /// Of a `PATCH`, its content type; of others, what is wanted back.
    pub(crate) media: &'a str,
    pub(crate) body: &'a [u8],
}

/// An answer, which may be a refusal.
pub(crate) struct Answer {
    pub(crate) status: u16,
    pub(crate) body: Plaintext,
}

pub(crate) const JSON: &str = "application/json";

impl<'a> Request<'a> {
    pub(crate) fn get(path: &'a str) -> Self {
        Self { method: Method::Get, path, media: JSON, body: b"" }
    }

    pub(crate) fn post(path: &'a str, body: &'a [u8]) -> Self {
        Self { method: Method::Post, path, media: JSON, body }
    }
}

impl Api {
    /// Sends a request and returns the JSON of its answer; no secrets.
    pub(crate) fn json(&self, request: &Request<'_>) -> Result<Json, CommandError> {
        let answer = self.send(request)?;
        if !answer.is_success() {
            return Err(CommandError::connection(answer.refusal("")).within(request));
        }
        serde_json::from_slice(answer.body.expose())
            .map_err(|_| CommandError::connection("the answer is not JSON").within(request))
    }
}

impl fmt::Display for Request<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let path = self.path.split('?').next().unwrap_or_default();
        write!(f, "{} {path}", format!("{:?}", self.method).to_uppercase())
    }
}

impl Answer {
    pub(crate) fn is_success(&self) -> bool {
        (200..300).contains(&self.status)
    }

    /// Returns the API server's own words where they are a Status, else those that client-go has for the code; `what`
    /// stands behind them in brackets.
    pub(crate) fn refusal(&self, what: &str) -> String {
        let body: Json = serde_json::from_slice(self.body.expose()).unwrap_or_default();
        if body["kind"] == "Status"
            && let Some(message) = body["message"].as_str()
        {
            return message.to_owned();
        }
        let text = match self.status {
            400 => "the server rejected our request for an unknown reason",
            401 => "the server has asked for the client to provide credentials",
            403 => "the server does not allow access to the requested resource",
            404 => "the server could not find the requested resource",
            405 => "the server does not allow this method on the requested resource",
            406 => "the server was unable to respond with a content type that the client supports",
            409 => "the server reported a conflict",
            413 => "the request is larger than the server allows",
            415 => "the server was unable to process the media type of the request",
            422 => "the server rejected our request due to an error in our request",
            429 => "the server has received too many requests and has asked us to try again later",
            503 => "the server is currently unable to handle the request",
            504 => {
                "the server was unable to return a response in the time allotted, but may still be processing the request"
            }
            // Upstream quotes the answer here, which for the controller is empty.
            500.. => "an error on the server (\"\") has prevented the request from succeeding",
            _ => {
                return format!(
                    "the server responded with the status code {} but did not return more information{what}",
                    self.status
                );
            }
        };
        format!("{text}{what}")
    }
}

/// A connection that this build cannot make: no value of this type exists.
#[cfg(not(feature = "cluster"))]
pub(crate) enum Api {}

#[cfg(not(feature = "cluster"))]
impl Api {
    pub(crate) fn connect(_: &super::ConnectionFlags) -> Result<Self, CommandError> {
        Err(super::offline("asking the cluster"))
    }

    pub(crate) fn send(&self, request: &Request<'_>) -> Result<Answer, CommandError> {
        let _ = (request.media, request.body);
        match *self {}
    }

    pub(crate) fn server(&self) -> &str {
        match *self {}
    }
}
