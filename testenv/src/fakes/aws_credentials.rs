//! Where AWS gives credentials to a container (ECS, EKS) and to a machine (EC2, the second version of its metadata).
use std::net::{Ipv4Addr, SocketAddr};
use std::sync::{Arc, Mutex, PoisonError};

use anyhow::Result;
use serde_json::json;

use super::https::{Answer, Request, Server};

/// A running server. Who comes without the right header gets nothing.
#[derive(Debug)]
pub struct AwsCredentials {
    server: Server,
    calls: Arc<Mutex<Vec<String>>>,
}

impl AwsCredentials {
    /// Key of a container.
    pub const CONTAINER: &str = "AKIDCONTAINER";
    /// Key of a machine.
    pub const MACHINE: &str = "AKIDMACHINE";
    /// What containers show (`AWS_CONTAINER_AUTHORIZATION_TOKEN`).
    pub const AUTHORIZATION: &str = "CANARY-container-token-1f0e";
    /// Where a container's credentials are.
    pub const PATH: &str = "/v2/credentials/one";
    /// The secret key, and the session's token.
    pub const SECRET: &str = "CANARY-machine-secret-66d2";

    /// Starts it on a free port of 127.0.0.1.
    ///
    /// # Errors
    /// If there is no port.
    pub fn start() -> Result<Self> {
        let calls = Arc::<Mutex<Vec<String>>>::default();
        let seen = Arc::clone(&calls);
        let handler = Arc::new(move |request: &Request| {
            let answer = answer(request);
            let call = format!("{} {} {}", request.method, request.path, answer.status);
            seen.lock().unwrap_or_else(PoisonError::into_inner).push(call);
            answer
        });
        let server = Server::start(SocketAddr::from((Ipv4Addr::LOCALHOST, 0)), None, handler)?;
        Ok(Self { server, calls })
    }

    /// Returns where it listens.
    pub fn address(&self) -> SocketAddr {
        self.server.address
    }

    /// Returns the calls since the last time, as "METHOD PATH STATUS".
    pub fn take_calls(&self) -> Vec<String> {
        std::mem::take(&mut *self.calls.lock().unwrap_or_else(PoisonError::into_inner))
    }
}

const METADATA_TOKEN: &str = "CANARY-metadata-token-92ab";
const ROLES: &str = "/latest/meta-data/iam/security-credentials/";

fn answer(request: &Request) -> Answer {
    let shows = |name, value| request.header(name) == Some(value);
    let text = |status, body: &str| Answer { status, headers: Vec::new(), body: body.to_owned() };
    match (request.method.as_str(), request.path.as_str()) {
        ("GET", AwsCredentials::PATH) if shows("authorization", AwsCredentials::AUTHORIZATION) => {
            keys(AwsCredentials::CONTAINER)
        }
        ("GET", AwsCredentials::PATH) => {
            Answer::json(401, &json!({ "code": "Unauthorized", "message": AwsCredentials::SECRET }))
        }
        ("PUT", "/latest/api/token") => match request.header("x-aws-ec2-metadata-token-ttl-seconds") {
            Some(seconds) => {
                let mut answer = text(200, METADATA_TOKEN);
                answer.headers.push(("X-Aws-Ec2-Metadata-Token-Ttl-Seconds", seconds.to_owned()));
                answer
            }
            None => text(400, ""),
        },
        ("GET", _) if !shows("x-aws-ec2-metadata-token", METADATA_TOKEN) => text(401, ""),
        ("GET", ROLES) => text(200, "one"),
        ("GET", path) if path.strip_prefix(ROLES) == Some("one") => keys(AwsCredentials::MACHINE),
        _ => text(404, ""),
    }
}

fn keys(id: &str) -> Answer {
    let end = (jiff::Timestamp::now() + std::time::Duration::from_secs(3600))
        .strftime("%Y-%m-%dT%H:%M:%SZ")
        .to_string();
    Answer::json(
        200,
        &json!({
            "Code": "Success", "Type": "AWS-HMAC", "LastUpdated": "2026-01-01T00:00:00Z", "AccessKeyId": id,
            "SecretAccessKey": AwsCredentials::SECRET, "Token": AwsCredentials::SECRET, "Expiration": end,
        }),
    )
}
