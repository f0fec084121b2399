//! The API server's audit log: what was asked, by whom, with what result.
//!
//! The log backend writes before the last byte of the answer leaves, so what a client has seen answered is in the log.
//! One request is one entry: a watch (and the other calls that stay open) counts when its answer starts, everything
//! else when its answer is complete.
use std::fs::File;
use std::io::{Read, Seek, SeekFrom};
use std::path::PathBuf;

use anyhow::{Context, Result};
use jiff::Timestamp;
use serde::Deserialize;

/// A place in the audit log; see [`AuditLog::mark`].
#[derive(Debug, Clone, Copy)]
pub struct AuditMark(u64);

/// The audit log of one control plane.
#[derive(Debug, Clone)]
pub struct AuditLog {
    file: PathBuf,
}

/// One request to the API server. Fields that a request does not have are empty.
#[derive(Debug, Clone)]
#[non_exhaustive]
pub struct AuditEntry {
    /// `get`, `list`, `watch`, `create`, `update`, `patch`, `delete` or `deletecollection`; for other paths the HTTP
    /// method in lower case.
    pub verb: String,
    /// The plural name, such as `secrets`.
    pub resource: String,
    /// The group, such as `bitnami.com`; empty for the core group.
    pub api_group: String,
    /// `status`, `token`, `proxy`, ….
    pub subresource: String,
    /// The object's namespace.
    pub namespace: String,
    /// The object's name.
    pub name: String,
    /// The path with its query, which tells selectors and resource versions.
    pub request_uri: String,
    /// The authenticated user.
    pub user: String,
    /// The client's own name for itself.
    pub user_agent: String,
    /// The HTTP status.
    pub code: u16,
    /// When the answer started (calls that stay open) or was complete.
    pub timestamp: Timestamp,
}

impl AuditLog {
    pub(crate) fn new(file: PathBuf) -> Self {
        Self { file }
    }

    /// Returns the present end of the log, to ask later what was added [`since`](Self::since).
    ///
    /// # Errors
    /// If the log cannot be read.
    pub fn mark(&self) -> Result<AuditMark> {
        let length = std::fs::metadata(&self.file).with_context(|| self.file.display().to_string())?.len();
        Ok(AuditMark(length))
    }

    /// Returns the requests after `mark`, in the order of the log.
    ///
    /// # Errors
    /// If the log cannot be read or understood.
    pub fn since(&self, mark: AuditMark) -> Result<Vec<AuditEntry>> {
        let mut file = File::open(&self.file).with_context(|| self.file.display().to_string())?;
        file.seek(SeekFrom::Start(mark.0))?;
        let mut text = String::new();
        file.read_to_string(&mut text)?;
        // A line that is still being written ends without a line feed and belongs to a request that still runs.
        let whole = text.rfind('\n').map_or("", |end| &text[..end]);
        whole.lines().filter_map(|line| entry(line).transpose()).collect()
    }

    /// Returns every request since the control plane started.
    ///
    /// # Errors
    /// As [`AuditLog::since`].
    pub fn since_start(&self) -> Result<Vec<AuditEntry>> {
        self.since(AuditMark(0))
    }

    /// Counts the requests after `mark` for which `wanted` holds.
    ///
    /// # Errors
    /// As [`AuditLog::since`].
    pub fn count(&self, mark: AuditMark, wanted: impl Fn(&AuditEntry) -> bool) -> Result<usize> {
        Ok(self.since(mark)?.iter().filter(|entry| wanted(entry)).count())
    }
}

/// The policy that makes the API server write this log: everything, without bodies, at the end of each request.
pub(crate) const POLICY: &str = "apiVersion: audit.k8s.io/v1\n\
    kind: Policy\n\
    omitStages: [RequestReceived]\n\
    rules: [{level: Metadata}]\n";

const STAY_OPEN: [&str; 5] = ["attach", "exec", "log", "portforward", "proxy"];

/// Reads one line; `None` for the second line of a call that stayed open.
fn entry(line: &str) -> Result<Option<AuditEntry>> {
    let event: Event = serde_json::from_str(line).context("unexpected form of an audit log line")?;
    let object = event.object_ref.unwrap_or_default();
    let stays_open = event.verb == "watch" || STAY_OPEN.contains(&object.subresource.as_str());
    if stays_open && event.stage == "ResponseComplete" {
        return Ok(None);
    }
    Ok(Some(AuditEntry {
        verb: event.verb,
        resource: object.resource,
        api_group: object.api_group,
        subresource: object.subresource,
        namespace: object.namespace,
        name: object.name,
        request_uri: event.request_uri,
        user: event.user.username,
        user_agent: event.user_agent,
        code: event.response_status.map_or(0, |status| status.code),
        timestamp: event.stage_timestamp,
    }))
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Event {
    stage: String,
    verb: String,
    #[serde(rename = "requestURI")]
    request_uri: String,
    user: User,
    #[serde(default)]
    user_agent: String,
    object_ref: Option<ObjectRef>,
    response_status: Option<ResponseStatus>,
    stage_timestamp: Timestamp,
}

#[derive(Deserialize)]
struct User {
    #[serde(default)]
    username: String,
}

#[derive(Deserialize, Default)]
#[serde(rename_all = "camelCase", default)]
struct ObjectRef {
    resource: String,
    api_group: String,
    subresource: String,
    namespace: String,
    name: String,
}

#[derive(Deserialize)]
struct ResponseStatus {
    #[serde(default)]
    code: u16,
}
