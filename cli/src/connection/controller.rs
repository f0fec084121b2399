//! The controller through the API server's service proxy, as kubeseal reaches it.

use serde_json::Value as Json;

use super::ConnectionFlags;
use super::api::{Answer, Api, Method, Request};
use crate::certificates::MAX_BYTES;
use crate::error::CommandError;

/// The HTTP interface of a controller.
pub(crate) struct Controller {
    api: Api,
    name: String,
    /// The proxy's path, without `/v1/…`.
    path: String,
}

impl Controller {
    /// Finds the Service, whose first port has a name that the proxy needs.
    pub(crate) fn find(flags: &ConnectionFlags, namespace: &str, name: &str) -> Result<Self, CommandError> {
        let api = Api::connect(flags)?;
        let service = format!("/api/v1/namespaces/{namespace}/services/{name}");
        let port = port_name(&api, &service).map_err(|error| CommandError {
            error: format!(
                "cannot get sealed secret service: {}.\nPlease, use the flag --controller-name and \
                 --controller-namespace to set up the name and namespace of the sealed secrets controller",
                error.error
            ),
            ..error
        })?;
        let path = format!("/api/v1/namespaces/{namespace}/services/http:{name}:{port}/proxy");
        Ok(Self { api, name: name.to_owned(), path })
    }

    /// Returns the certificate to seal with.
    pub(crate) fn certificate(&self) -> Result<Vec<u8>, CommandError> {
        let path = format!("{}/v1/cert.pem", self.path);
        let request =
            Request { media: "application/x-pem-file, application/json, */*", ..Request::get(&path) };
        let answer = self.api.send(&request)?;
        if answer.status != 200 {
            return Err(CommandError::connection(status_text(answer.status)));
        }
        if answer.body.len() > MAX_BYTES {
            return Err(CommandError::connection(format!(
                "the answer is larger than {} MiB",
                MAX_BYTES >> 20
            )));
        }
        Ok(answer.body.expose().to_vec())
    }

    /// Asks whether an object opens.
    pub(crate) fn verify(&self, object: &[u8]) -> Result<Answer, CommandError> {
        self.post("/v1/verify", object)
    }

    /// Asks for an object sealed anew with the current key.
    pub(crate) fn rotate(&self, object: &[u8]) -> Result<Answer, CommandError> {
        self.post("/v1/rotate", object)
    }

    /// Returns the words of a refusal as client-go has them.
    pub(crate) fn refusal(&self, answer: &Answer) -> String {
        answer.refusal(&format!(" (post services http:{})", self.name_and_port()))
    }

    fn name_and_port(&self) -> &str {
        // The text behind the last `http:` is `NAME:PORT/proxy`.
        let tail = self.path.rsplit("/http:").next().unwrap_or(&self.name);
        tail.trim_end_matches("/proxy").trim_end_matches(':')
    }

    fn post(&self, endpoint: &str, object: &[u8]) -> Result<Answer, CommandError> {
        let path = format!("{}{endpoint}", self.path);
        self.api.send(&Request { method: Method::Post, ..Request::post(&path, object) })
    }
}

fn port_name(api: &Api, service: &str) -> Result<String, CommandError> {
    let answer = api.send(&Request::get(service))?;
    let object: Json = serde_json::from_slice(answer.body.expose()).unwrap_or_default();
    if !answer.is_success() {
        // The API server's own words, where they are a Status.
        let message = object["message"].as_str().filter(|_| object["kind"] == "Status");
        return Err(CommandError::connection(
            message.map_or_else(|| status_text(answer.status), str::to_owned),
        ));
    }
    match object["spec"]["ports"].get(0) {
        Some(port) => Ok(port["name"].as_str().unwrap_or_default().to_owned()),
        None => Err(CommandError::connection("the Service has no port")),
    }
}

/// Returns a status as HTTP prints it.
fn status_text(status: u16) -> String {
    let reason = match status {
        400 => " Bad Request",
        401 => " Unauthorized",
        403 => " Forbidden",
        404 => " Not Found",
        429 => " Too Many Requests",
        500 => " Internal Server Error",
        502 => " Bad Gateway",
        503 => " Service Unavailable",
        504 => " Gateway Timeout",
        _ => "",
    };
    format!("{status}{reason}")
}
