//! What commands read from a cluster: lists, page by page.

use sealops_crds::SealedSecret;
use sealops_formats::{manifest, percent};
use serde_json::Value as Json;

use super::api::{Api, JSON, Request};
use crate::error::CommandError;

/// Objects of one page.
const PAGE: usize = 500;
/// Most pages of one list.
const MAX_PAGES: usize = 10_000;
/// Asks for metadata only.
pub(crate) const METADATA_LIST: &str = "application/json;as=PartialObjectMetadataList;g=meta.k8s.io;v=v1";

/// Returns the path of the SealedSecrets of one namespace or of all.
pub(crate) fn sealed_secrets_path(namespace: Option<&str>) -> String {
    let scope = namespace.map_or(String::new(), |namespace| format!("namespaces/{namespace}/"));
    format!("/apis/{}/{scope}{}", SealedSecret::API_VERSION, SealedSecret::PLURAL)
}

/// Returns every item of a list that holds no secrets; `query` is empty or `labelSelector=…`.
pub(crate) fn list(api: &Api, path: &str, query: &str, media: &str) -> Result<Vec<Json>, CommandError> {
    let mut items = Vec::new();
    let mut next = String::new();
    for _ in 0..MAX_PAGES {
        let path = format!("{path}?limit={PAGE}&{query}&continue={next}");
        let mut page = api.json(&Request { media, ..Request::get(&path) })?;
        if let Some(found) = page["items"].as_array_mut() {
            items.append(found);
        }
        match page["metadata"]["continue"].as_str() {
            Some(token) if !token.is_empty() => next = percent::encode(token, b""),
            _ => return Ok(items),
        }
    }
    Err(CommandError::connection(format!("{path}: the list does not end")))
}

/// Returns the SealedSecrets of one namespace or of all.
pub(crate) fn sealed_secrets(api: &Api, namespace: Option<&str>) -> Result<Vec<SealedSecret>, CommandError> {
    let path = sealed_secrets_path(namespace);
    let items = list(api, &path, "", JSON)?;
    items
        .into_iter()
        .map(|item| {
            serde_json::from_value(item)
                .map_err(|_| CommandError::connection(format!("{path}: an object cannot be read")))
        })
        .collect()
}

/// Returns the Secrets of a namespace with a label, with their data.
pub(crate) fn secrets(
    api: &Api,
    namespace: &str,
    label: &str,
) -> Result<Vec<sealops_controller::object::SecretObject>, CommandError> {
    let path =
        format!("/api/v1/namespaces/{namespace}/secrets?labelSelector={}", percent::encode(label, b""));
    let request = Request::get(&path);
    let answer = api.send(&request)?;
    if !answer.is_success() {
        return Err(CommandError::connection(answer.refusal("")).within(&request));
    }
    let unfit = || CommandError::connection("the answer is not a list of Secrets").within(&request);
    let documents = manifest::parse(answer.body.expose()).map_err(|_| unfit())?;
    if documents.len() != 1 {
        return Err(unfit());
    }
    crate::keys::secrets(&answer.body, "the API server's answer")
}
