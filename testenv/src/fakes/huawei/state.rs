//! What the fake answers.
use std::collections::{BTreeMap, BTreeSet};
use std::sync::Mutex;

use serde_json::{Value, json};

use super::super::google::Key;
use super::super::https::{Answer, Request};
use super::signature::{self, Asker};
use super::{FakeHuawei, lock};

/// Largest text that a key encrypts.
const MAX_PLAINTEXT_BYTES: usize = 4096;

pub(super) struct State {
    pub(super) keys: Mutex<BTreeMap<String, Key>>,
    pub(super) disabled: Mutex<BTreeSet<String>>,
    pub(super) forbidden: Mutex<BTreeSet<String>>,
    pub(super) projects: Mutex<BTreeMap<String, Vec<String>>>,
    pub(super) calls: Mutex<Vec<String>>,
    /// Parts of data keys, in base64, as they were sent and answered.
    pub(super) parts: Mutex<BTreeSet<String>>,
    /// Seconds that the keys of machines and pods live.
    pub(super) life: Mutex<i64>,
    /// How many of them were given.
    pub(super) given: Mutex<u32>,
}

/// As the gateway answers.
fn gateway(status: u16, code: &str) -> Answer {
    let text = format!("Incorrect IAM authentication information: {}", FakeHuawei::TEXT);
    Answer::json(status, &json!({ "error_msg": text, "error_code": code, "request_id": "5a63903e690bcd18" }))
}

/// As KMS answers.
fn error(status: u16, code: &str) -> Answer {
    Answer::json(status, &json!({ "error": { "error_code": code, "error_msg": FakeHuawei::TEXT } }))
}

impl State {
    pub(super) fn answer(&self, request: &Request) -> Answer {
        let host = request.header("host").unwrap_or_default();
        lock(&self.calls).push(format!("{} {host} {}", request.method, request.path));
        let parts: Vec<&str> = request.path.split('/').filter(|part| !part.is_empty()).collect();
        if (request.method.as_str(), parts.as_slice()) == ("POST", ["pod"].as_slice()) {
            return self.pod(request);
        }
        if !signature::is_right(request, jiff::Timestamp::now().as_second(), &|access| self.asker(access)) {
            return gateway(401, "APIGW.0301");
        }
        let name = host.split(':').next().unwrap_or_default();
        match (request.method.as_str(), parts.as_slice()) {
            ("GET", ["v3", "projects"]) if name.starts_with("iam.") => self.projects(request),
            ("POST", ["v1.0", project, "kms", verb]) if name.starts_with("kms.") => {
                let region =
                    if name.contains("tr-west-1") { FakeHuawei::OTHER_REGION } else { FakeHuawei::REGION };
                let known = lock(&self.projects)
                    .get(region)
                    .is_some_and(|known| known.iter().any(|id| id == project));
                if !known || request.header("x-project-id") != Some(project) {
                    return gateway(401, "APIGW.0301");
                }
                self.kms(request, project, verb)
            }
            _ => gateway(404, "APIGW.0101"),
        }
    }

    fn asker(&self, access: &str) -> Option<Asker> {
        if access == FakeHuawei::ACCESS {
            return Some(Asker { secret: FakeHuawei::SECRET, token: None });
        }
        let number: u32 = access.strip_prefix(FakeHuawei::ENDING_ACCESS)?.parse().ok()?;
        let lives = number == *lock(&self.given);
        lives.then_some(Asker { secret: FakeHuawei::ENDING_SECRET, token: Some(FakeHuawei::ENDING_TOKEN) })
    }

    fn projects(&self, request: &Request) -> Answer {
        let region = Request::field(&request.query, "name").unwrap_or_default();
        let found = lock(&self.projects).get(&region).cloned().unwrap_or_default();
        let found: Vec<Value> = found
            .iter()
            .map(|id| json!({ "id": id, "name": region, "enabled": true, "is_domain": false, "domain_id": "d" }))
            .collect();
        Answer::json(200, &json!({ "projects": found, "links": { "next": null, "previous": null } }))
    }

    fn kms(&self, request: &Request, project: &str, verb: &str) -> Answer {
        let Ok(body) = serde_json::from_slice::<Value>(&request.body) else { return error(400, "KMS.0202") };
        let id = body["key_id"].as_str().unwrap_or_default();
        let keys = lock(&self.keys);
        let Some(key) = keys.get(id) else { return error(400, "KMS.0205") };
        if lock(&self.forbidden).contains(id) {
            return error(403, "KMS.0306");
        }
        if lock(&self.disabled).contains(id) {
            return error(400, "KMS.0209");
        }
        if !matches!(body["encryption_algorithm"].as_str(), None | Some("SYMMETRIC_DEFAULT")) {
            return error(400, "KMS.0204");
        }
        // A key is its project's.
        let name = format!("{project}/{id}");
        let text = |field: &str| body[field].as_str().filter(|text| !text.is_empty());
        let answer = match verb {
            "encrypt-data" => {
                let part = text("plain_text").filter(|text| text.len() <= MAX_PLAINTEXT_BYTES);
                let sealed = part.and_then(|part| Some((part.to_owned(), key.seal_text(&name, part)?)));
                sealed.map(|(part, sealed)| (part, json!({ "key_id": id, "cipher_text": sealed })))
            }
            "decrypt-data" => {
                let opened = text("cipher_text").and_then(|text| key.open_text(&name, text));
                opened.map(|part| (part.clone(), json!({ "key_id": id, "plain_text": part })))
            }
            _ => return error(404, "KMS.0201"),
        };
        let Some((part, answer)) = answer else { return error(400, "KMS.0401") };
        lock(&self.parts).insert(part);
        Answer::json(200, &answer)
    }

    pub(super) fn metadata(&self, request: &Request) -> Answer {
        lock(&self.calls).push(format!("{} metadata {}", request.method, request.path));
        match (request.method.as_str(), request.path.as_str()) {
            ("PUT", "/meta-data/latest/api/token")
                if request.header("x-metadata-token-ttl-seconds").is_some() =>
            {
                Answer { status: 200, headers: Vec::new(), body: FakeHuawei::METADATA_TOKEN.to_owned() }
            }
            ("GET", "/openstack/latest/securitykey") => {
                if request.header("x-metadata-token") != Some(FakeHuawei::METADATA_TOKEN) {
                    return error(401, "Unauthorized");
                }
                let (access, end) = self.ending();
                Answer::json(
                    200,
                    &json!({ "credential": {
                        "access": access, "secret": FakeHuawei::ENDING_SECRET,
                        "securitytoken": FakeHuawei::ENDING_TOKEN, "expires_at": end,
                    }}),
                )
            }
            _ => Answer { status: 0, headers: Vec::new(), body: String::new() },
        }
    }

    fn pod(&self, request: &Request) -> Answer {
        if request.header("authorization") != Some(FakeHuawei::METADATA_TOKEN) || request.body != b"{}" {
            return error(403, "Forbidden");
        }
        let (access, end) = self.ending();
        Answer::json(
            200,
            &json!({ "credentials": {
                "accessKeyId": access, "secretAccessKey": FakeHuawei::ENDING_SECRET,
                "securityToken": FakeHuawei::ENDING_TOKEN, "expiration": end,
            }}),
        )
    }

    /// Returns an access key and its end; those before it are refused from now on.
    fn ending(&self) -> (String, String) {
        let mut given = lock(&self.given);
        *given += 1;
        let end = jiff::Timestamp::now() + jiff::SignedDuration::from_secs(*lock(&self.life));
        (
            format!("{}{given}", FakeHuawei::ENDING_ACCESS),
            end.strftime("%Y-%m-%dT%H:%M:%S.000000Z").to_string(),
        )
    }
}
