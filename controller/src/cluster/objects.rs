//! Requests for objects that are no Secrets: lists, and the children of cluster-wide kinds.

use ::http::Method;
use sealops_crds::secret_store::{LabelRequirement, LabelSelector};
use sealops_crds::{CustomResource, Metadata};
use sealops_formats::{manifest, percent};
use serde::Deserialize;
use serde::de::DeserializeOwned;

use super::api::{AS_METADATA, JSON, MERGE, Refusal, SecretApi, resource_path};
use crate::object::{ObjectKey, ReadError, SecretObject};

/// Objects of a page; a page of Secrets is at most 25 MiB.
const PAGE: u32 = 25;
/// Longest page, and the bytes that one is meant to have.
const MAX_PAGE: usize = 500;
const PAGE_BYTES: usize = 2 << 20;
/// Most pages of a list.
const MAX_PAGES: u32 = 4000;

/// A page of a list.
#[derive(Deserialize)]
#[serde(bound = "T: DeserializeOwned")]
struct Page<T> {
    #[serde(default)]
    metadata: PageMetadata,
    items: Vec<T>,
}

#[derive(Deserialize, Default)]
struct PageMetadata {
    #[serde(default, rename = "continue")]
    rest: Option<String>,
}

impl SecretApi {
    /// Returns the custom resources of a kind that carry labels; `None` is every namespace.
    pub(super) async fn list<T: CustomResource>(
        &self,
        namespace: Option<&str>,
        labels: &LabelSelector,
    ) -> Result<Vec<T>, ReadError> {
        let scope = namespace.map(|name| format!("namespaces/{name}/")).unwrap_or_default();
        let path = format!("/apis/{}/{scope}{}", T::API_VERSION, T::PLURAL);
        self.pages(T::KIND, &path, labels).await
    }

    /// Returns the Secrets of a namespace that carry labels.
    pub(super) async fn selected_secrets(
        &self,
        namespace: &str,
        labels: &LabelSelector,
    ) -> Result<Vec<SecretObject>, ReadError> {
        self.pages("Secret", &format!("/api/v1/namespaces/{namespace}/secrets"), labels).await
    }

    /// Shows every Secret that carries a label; `None` is every namespace. One page is in memory at a time, and pages are
    /// as long as their bytes allow.
    ///
    /// # Errors
    /// Returns the API server's refusal, or where its answer does not fit; some may have been shown then.
    pub(super) async fn each_secret(
        &self,
        namespace: Option<&str>,
        label: &str,
        mut show: impl FnMut(SecretObject),
    ) -> Result<(), ReadError> {
        let problem = |problem: String| ReadError { kind: "Secret", name: "list".to_owned(), problem };
        let scope = namespace.map(|name| format!("namespaces/{name}/")).unwrap_or_default();
        let (selector, mut length, mut rest) = (percent::encode(label, b""), PAGE as usize, String::new());
        for _ in 0..MAX_PAGES {
            let path = format!("/api/v1/{scope}secrets?limit={length}&labelSelector={selector}{rest}");
            let body = self.get(&path).await.map_err(|refusal| problem(refusal.to_string()))?;
            // What the reader of JSON says may quote a value.
            let page: Page<SecretObject> = serde_json::from_slice(body.expose())
                .map_err(|error| problem(format!("the answer does not fit at column {}", error.column())))?;
            let room = (PAGE_BYTES * page.items.len()).checked_div(body.len()).unwrap_or(0);
            length = room.clamp(PAGE as usize, MAX_PAGE);
            page.items.into_iter().for_each(&mut show);
            match page.metadata.rest.filter(|rest| !rest.is_empty()) {
                Some(token) => rest = format!("&continue={}", percent::encode(&token, b"")),
                None => return Ok(()),
            }
        }
        Err(problem(format!("there are more than {MAX_PAGES} pages")))
    }

    /// Pages are read by our own reader, whose errors quote nothing.
    async fn pages<T: DeserializeOwned>(
        &self,
        kind: &'static str,
        path: &str,
        labels: &LabelSelector,
    ) -> Result<Vec<T>, ReadError> {
        let problem = |problem: String| ReadError { kind, name: "list".to_owned(), problem };
        let selector = percent::encode(&selector_text(labels).map_err(problem)?, b"");
        let (mut found, mut rest) = (Vec::new(), String::new());
        for _ in 0..MAX_PAGES {
            let page = format!("{path}?limit={PAGE}&labelSelector={selector}{rest}");
            let body = self.get(&page).await.map_err(|refusal| problem(refusal.to_string()))?;
            let documents =
                manifest::parse(body.expose()).map_err(|_| problem("the answer is not JSON".to_owned()))?;
            let document =
                documents.into_iter().next().ok_or_else(|| problem("the answer is empty".to_owned()))?;
            let page: Page<T> = document.root.read().map_err(|error| problem(error.to_string()))?;
            found.extend(page.items);
            match page.metadata.rest.filter(|rest| !rest.is_empty()) {
                Some(token) => rest = format!("&continue={}", percent::encode(&token, b"")),
                None => return Ok(found),
            }
        }
        Err(problem(format!("there are more than {} objects", MAX_PAGES * PAGE)))
    }

    /// Creates a custom resource.
    pub(super) async fn create_object<T: CustomResource>(
        &self,
        object: &T,
        field_manager: &str,
    ) -> Result<(), Refusal> {
        let key = ObjectKey::new(object.metadata().namespace.clone().unwrap_or_default(), "");
        let path = resource_path::<T>(&key);
        let path = format!("{}?fieldManager={field_manager}", path.trim_end_matches('/'));
        let body = text_of(object)?;
        self.send(Method::POST, &path, Some((JSON, body.into())), AS_METADATA).await.map(drop)
    }

    /// Replaces a custom resource, if it is still the version that was read.
    pub(super) async fn replace_object<T: CustomResource>(
        &self,
        object: &T,
        field_manager: &str,
    ) -> Result<(), Refusal> {
        let path = resource_path::<T>(&ObjectKey::of(object.metadata()));
        let path = format!("{path}?fieldManager={field_manager}");
        let body = text_of(object)?;
        self.send(Method::PUT, &path, Some((JSON, body.into())), AS_METADATA).await.map(drop)
    }

    /// Deletes a custom resource, if it is still this very one; one that is gone is deleted.
    pub(super) async fn delete_object<T: CustomResource>(&self, object: &T) -> Result<(), Refusal> {
        let body = serde_json::json!({
            "apiVersion": "v1",
            "kind": "DeleteOptions",
            "propagationPolicy": "Background",
            "preconditions": { "uid": object.metadata().uid },
        });
        let path = resource_path::<T>(&ObjectKey::of(object.metadata()));
        match self.send(Method::DELETE, &path, Some((JSON, body.to_string().into())), AS_METADATA).await {
            Err(refusal) if !refusal.is_not_found() => Err(refusal),
            _ => Ok(()),
        }
    }

    /// Sets the finalizers of a namespace, if it is still the version that was read.
    pub(super) async fn set_namespace_finalizers(
        &self,
        namespace: &Metadata,
        finalizers: &[String],
        field_manager: &str,
    ) -> Result<(), Refusal> {
        let name = namespace.name.as_deref().unwrap_or_default();
        let body = serde_json::json!({
            "metadata": { "finalizers": finalizers, "resourceVersion": namespace.resource_version, "uid": namespace.uid },
        });
        let path = format!("/api/v1/namespaces/{name}?fieldManager={field_manager}");
        match self.send(Method::PATCH, &path, Some((MERGE, body.to_string().into())), AS_METADATA).await {
            Err(refusal) if !refusal.is_not_found() => Err(refusal),
            _ => Ok(()),
        }
    }
}

fn text_of<T: CustomResource>(object: &T) -> Result<String, Refusal> {
    serde_json::to_string(object).map_err(|_| Refusal::unavailable("the object cannot be written"))
}

/// Returns a selector as the API server reads it in a query.
fn selector_text(selector: &LabelSelector) -> Result<String, String> {
    let labels = selector.match_labels.iter().flatten().map(|(key, value)| Ok(format!("{key}={value}")));
    let requirements = selector.match_expressions.iter().map(requirement_text);
    labels.chain(requirements).collect::<Result<Vec<_>, _>>().map(|parts| parts.join(","))
}

fn requirement_text(requirement: &LabelRequirement) -> Result<String, String> {
    let LabelRequirement { key, operator, values } = requirement;
    match operator.as_str() {
        "In" if !values.is_empty() => Ok(format!("{key} in ({})", values.join(","))),
        "NotIn" if !values.is_empty() => Ok(format!("{key} notin ({})", values.join(","))),
        "Exists" if values.is_empty() => Ok(key.clone()),
        "DoesNotExist" if values.is_empty() => Ok(format!("!{key}")),
        other => {
            Err(format!("{other:?} with {} values is not a valid label selector operator", values.len()))
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn selectors_are_written_as_the_api_server_reads_them() {
        let selector = |text| serde_json::from_value::<LabelSelector>(text).unwrap();
        let all = selector(json!({ "matchLabels": { "a": "b" }, "matchExpressions": [
            { "key": "k", "operator": "In", "values": ["x", "y"] }, { "key": "n", "operator": "NotIn", "values": ["z"] },
            { "key": "e", "operator": "Exists" }, { "key": "d", "operator": "DoesNotExist" }] }));
        assert_eq!(selector_text(&all).unwrap(), "a=b,k in (x,y),n notin (z),e,!d");
        assert_eq!(selector_text(&LabelSelector::default()).unwrap(), "");
        for odd in [
            json!({ "key": "k", "operator": "In" }),
            json!({ "key": "k", "operator": "Gt", "values": ["1"] }),
        ] {
            assert!(selector_text(&selector(json!({ "matchExpressions": [odd] }))).is_err());
        }
    }
}
