//! Cloud Storage by its JSON API: an object is put in one request, or read.

use std::collections::BTreeMap;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use serde_json::{Value, json};

use super::kms::crc32c;
use super::server::{Request, Response};
use super::{State, error};

#[derive(Default)]
pub(super) struct Bucket {
    pub(super) writable: bool,
    pub(super) objects: BTreeMap<String, Object>,
}

pub(super) struct Object {
    pub(super) content: Vec<u8>,
    kind: String,
}

impl State {
    /// `/upload/storage/v1/b/BUCKET/o`, `/storage/v1/b/BUCKET/o/NAME`, `/download/storage/v1/b/BUCKET/o/NAME`.
    pub(super) fn storage(&mut self, request: &Request) -> Response {
        let scopes = ["cloud-platform", "devstorage.read_write", "devstorage.full_control"];
        if let Err(refusal) = self.authorize(request, &scopes)
            && !self.open_storage
        {
            return refusal;
        }
        let (_, place) = request.path.split_once("/storage/v1/b/").unwrap_or_default();
        let (bucket_name, name) = place.split_once("/o").unwrap_or((place, ""));
        let Some(bucket) = self.buckets.get_mut(bucket_name) else {
            return error(404, "NOT_FOUND", "The specified bucket does not exist.");
        };
        let name = name.strip_prefix('/').unwrap_or_default();
        match request.method.as_str() {
            "POST" if request.path.starts_with("/upload/") => upload(bucket_name, bucket, request),
            "GET" => match bucket.objects.get(name) {
                None => error(404, "NOT_FOUND", "No such object."),
                Some(object) if request.query("alt") == Some("media") => Response {
                    status: 200,
                    headers: vec![("Content-Type", object.kind.clone())],
                    body: object.content.clone(),
                },
                Some(object) => Response::json(200, &described(bucket_name, name, object)),
            },
            _ => error(405, "UNIMPLEMENTED", "no such method"),
        }
    }
}

fn upload(bucket_name: &str, bucket: &mut Bucket, request: &Request) -> Response {
    if !bucket.writable {
        return error(403, "PERMISSION_DENIED", "storage.objects.create access is denied.");
    }
    let kind = request.header("content-type").unwrap_or("application/octet-stream");
    let (name, object) = match request.query("uploadType") {
        Some("media") => {
            let object = Object { content: request.body.clone(), kind: kind.to_owned() };
            (request.query("name").map(str::to_owned), Some(object))
        }
        Some("multipart") => {
            let parts = parts(kind, &request.body);
            let named = parts.as_ref().and_then(|(about, _)| about["name"].as_str().map(str::to_owned));
            (named.or_else(|| request.query("name").map(str::to_owned)), parts.map(|(_, object)| object))
        }
        _ => return error(400, "INVALID_ARGUMENT", "no such kind of upload"),
    };
    let (Some(name), Some(object)) = (name.filter(|name| !name.is_empty()), object) else {
        return error(400, "INVALID_ARGUMENT", "Required");
    };
    let described = described(bucket_name, &name, &object);
    bucket.objects.insert(name, object);
    Response::json(200, &described)
}

/// Takes `multipart/related` apart: what is known about the object, in JSON, and the object.
fn parts(kind: &str, body: &[u8]) -> Option<(Value, Object)> {
    let boundary = kind.split_once("boundary=")?.1.split(';').next()?.trim_matches('"');
    let mark = format!("--{boundary}");
    let mut starts = (0..body.len()).filter(|at| body[*at..].starts_with(mark.as_bytes()));
    let (first, second, third) = (starts.next()?, starts.next()?, starts.next()?);
    let about = part(&body[first + mark.len()..second])?;
    let content = part(&body[second + mark.len()..third])?;
    let about_object: Value = serde_json::from_slice(about.1).ok()?;
    let kind = about_object["contentType"].as_str().map(str::to_owned).or(content.0).unwrap_or_default();
    if let Some(sum) = about_object["crc32c"].as_str() {
        (sum == checksum(content.1)).then_some(())?;
    }
    Some((about_object, Object { content: content.1.to_vec(), kind }))
}

/// Returns the type and the content of a part, without the line ends around it.
fn part(bytes: &[u8]) -> Option<(Option<String>, &[u8])> {
    let end = bytes.windows(4).position(|window| window == b"\r\n\r\n")?;
    let head = String::from_utf8_lossy(&bytes[..end]);
    let kind = head.lines().find_map(|line| {
        let (name, value) = line.split_once(':')?;
        name.eq_ignore_ascii_case("content-type").then(|| value.trim().to_owned())
    });
    Some((kind, bytes[end + 4..].strip_suffix(b"\r\n")?))
}

fn checksum(content: &[u8]) -> String {
    STANDARD.encode(crc32c(content).to_be_bytes())
}

fn described(bucket: &str, name: &str, object: &Object) -> Value {
    json!({
        "kind": "storage#object",
        "id": format!("{bucket}/{name}/1"),
        "bucket": bucket,
        "name": name,
        "generation": "1",
        "metageneration": "1",
        "contentType": object.kind,
        "size": object.content.len().to_string(),
        "crc32c": checksum(&object.content),
    })
}
