//! Objects as a watch reads them: from the text into their own type at once, and without what nobody looks at.
//!
//! kube's `DynamicObject` would be a tree, made into text's equal and read again: three passes for each event.

use std::borrow::Cow;
use std::collections::BTreeMap;
use std::fmt;

use k8s_openapi::apimachinery::pkg::apis::meta::v1::ObjectMeta;
use kube::Resource;
use kube::api::ApiResource;
use kube::core::DynamicResourceScope;
use sealops_crds::{CustomResource, Metadata, OwnerReference};
use serde::Deserialize;
use serde::de::{Deserializer, Error};
use serde_json::value::RawValue;

/// A whole object; one that does not fit its type is known by name only.
#[derive(Clone)]
pub(super) struct Whole<T> {
    meta: ObjectMeta,
    object: Option<Box<T>>,
}

impl<T> Whole<T> {
    pub(super) fn object(self) -> Option<T> {
        self.object.map(|object| *object)
    }
}

/// The metadata of an object, as far as somebody here looks at it. Asked for as metadata.
#[derive(Clone)]
pub(super) struct Head {
    meta: ObjectMeta,
    metadata: Metadata,
}

impl Head {
    pub(super) fn metadata(self) -> Metadata {
        self.metadata
    }
}

impl<'de, T: CustomResource> Deserialize<'de> for Whole<T> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = Box::<RawValue>::deserialize(deserializer)?;
        if let Ok(mut object) = serde_json::from_str::<T>(text.get()) {
            let metadata = object.metadata_mut();
            // Who wrote which field: nobody asks here, and it is the larger part of many objects.
            metadata.other.remove(MANAGED_FIELDS);
            let meta = meta_of(metadata);
            return Ok(Self { meta, object: Some(Box::new(object)) });
        }
        let head: Head = serde_json::from_str(text.get()).map_err(D::Error::custom)?;
        Ok(Self { meta: head.meta, object: None })
    }
}

const MANAGED_FIELDS: &str = "managedFields";

/// What kube's watcher looks at, and what names the object.
fn meta_of(metadata: &Metadata) -> ObjectMeta {
    ObjectMeta {
        namespace: metadata.namespace.clone(),
        name: metadata.name.clone(),
        resource_version: metadata.resource_version.clone(),
        ..ObjectMeta::default()
    }
}

impl<'de> Deserialize<'de> for Head {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let Envelope { metadata: read } = Envelope::deserialize(deserializer)?;
        let metadata = Metadata {
            name: read.name,
            namespace: read.namespace,
            uid: read.uid,
            resource_version: read.resource_version,
            generation: read.generation,
            deletion_timestamp: read.deletion_timestamp,
            labels: read.labels,
            annotations: read.annotations,
            owner_references: read.owner_references.unwrap_or_default(),
            finalizers: read.finalizers.unwrap_or_default(),
            ..Metadata::default()
        };
        Ok(Self { meta: meta_of(&metadata), metadata })
    }
}

#[derive(Deserialize)]
struct Envelope {
    #[serde(default)]
    metadata: Read,
}

#[derive(Deserialize, Default)]
#[serde(rename_all = "camelCase", default)]
struct Read {
    name: Option<String>,
    namespace: Option<String>,
    uid: Option<String>,
    resource_version: Option<String>,
    generation: Option<i64>,
    deletion_timestamp: Option<String>,
    labels: Option<BTreeMap<String, String>>,
    annotations: Option<BTreeMap<String, String>>,
    owner_references: Option<Vec<OwnerReference>>,
    finalizers: Option<Vec<String>>,
}

impl<T> fmt::Debug for Whole<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:?}/{:?}", self.meta.namespace, self.meta.name)
    }
}

impl fmt::Debug for Head {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:?}", self.metadata)
    }
}

macro_rules! resource {
    ([$($parameter:ident)?] $type:ty, $metadata_only:literal) => {
        impl$(<$parameter>)? Resource for $type {
            type DynamicType = ApiResource;
            type Scope = DynamicResourceScope;

            fn kind(resource: &ApiResource) -> Cow<'_, str> {
                resource.kind.as_str().into()
            }
            fn group(resource: &ApiResource) -> Cow<'_, str> {
                resource.group.as_str().into()
            }
            fn version(resource: &ApiResource) -> Cow<'_, str> {
                resource.version.as_str().into()
            }
            fn api_version(resource: &ApiResource) -> Cow<'_, str> {
                resource.api_version.as_str().into()
            }
            fn plural(resource: &ApiResource) -> Cow<'_, str> {
                resource.plural.as_str().into()
            }
            fn metadata_api() -> bool {
                $metadata_only
            }
            fn meta(&self) -> &ObjectMeta {
                &self.meta
            }
            fn meta_mut(&mut self) -> &mut ObjectMeta {
                &mut self.meta
            }
        }
    };
}
resource!([T] Whole<T>, false);
resource!([] Head, true);

#[cfg(test)]
mod tests {
    use sealops_crds::ExternalSecret;
    use serde_json::json;

    use super::*;

    #[test]
    fn an_object_is_read_whole_and_without_who_wrote_it() {
        let text = json!({ "apiVersion": ExternalSecret::API_VERSION, "kind": "ExternalSecret",
            "metadata": { "name": "app", "namespace": "shop", "resourceVersion": "7", "selfLink": "x",
                "managedFields": [{ "manager": "kubectl", "fieldsV1": { "f:spec": {} } }] },
            "spec": { "refreshInterval": "1h" } });
        let read: Whole<ExternalSecret> = serde_json::from_str(&text.to_string()).unwrap();
        assert_eq!(read.meta.resource_version.as_deref(), Some("7"));
        let object = read.object().unwrap();
        assert_eq!(object.spec.refresh_interval.as_deref(), Some("1h"));
        assert_eq!(object.metadata.other.keys().collect::<Vec<_>>(), ["selfLink"]);
    }

    #[test]
    fn an_object_that_does_not_fit_is_known_by_name() {
        let text =
            r#"{ "metadata": { "name": "odd", "namespace": "shop", "resourceVersion": "8" }, "spec": 5 }"#;
        let read: Whole<ExternalSecret> = serde_json::from_str(text).unwrap();
        assert_eq!(
            (read.meta.name.as_deref(), read.meta.resource_version.as_deref()),
            (Some("odd"), Some("8"))
        );
        assert!(read.object().is_none());
    }

    #[test]
    fn metadata_has_what_somebody_looks_at() {
        let text = r#"{ "kind": "PartialObjectMetadata", "metadata": { "name": "s", "uid": "u", "resourceVersion": "9",
            "labels": { "a": "b" }, "ownerReferences": null, "finalizers": ["f"],
            "managedFields": [{ "fieldsV1": { "f:data": {} } }] } }"#;
        let metadata = serde_json::from_str::<Head>(text).unwrap().metadata();
        assert_eq!(metadata.uid.as_deref(), Some("u"));
        assert_eq!(metadata.labels()["a"], "b");
        assert_eq!(metadata.finalizers, ["f"]);
        assert!(metadata.other.is_empty());
    }
}
