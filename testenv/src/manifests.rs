//! Manifests of any kind, applied as `kubectl apply --server-side` would.
use std::time::Duration;

use anyhow::{Context, Result, bail};
use k8s_openapi::apiextensions_apiserver::pkg::apis::apiextensions::v1::CustomResourceDefinition;
use kube::api::{ApiResource, DynamicObject, ListParams, Patch, PatchParams};
use kube::core::GroupVersionKind;
use kube::discovery::{Scope, oneshot};
use kube::{Api, Client};
use serde_json::Value;

use crate::process::eventually;

/// Applies each document of `yaml` in turn; one that needs what an earlier one brings (a namespace, a definition that
/// is not served yet) is repeated until that is there.
pub(crate) async fn apply(client: &Client, yaml: &str) -> Result<()> {
    let documents: Vec<Value> = serde_saphyr::from_multiple(yaml).context("the manifests are not YAML")?;
    for document in documents.iter().filter(|document| !document.is_null()) {
        let what = format!("apply {} {}", document["kind"], document["metadata"]["name"]);
        let mut last = None;
        let applied = eventually(&what, APPLY_DEADLINE, async || match apply_one(client, document).await {
            Err(error) if !is_final(&error) => {
                last = Some(error);
                None
            }
            outcome => Some(outcome),
        })
        .await;
        match (applied, last) {
            (Ok(outcome), _) => outcome.context(what)?,
            (Err(_), Some(error)) => return Err(error.context(what)),
            (Err(error), None) => return Err(error),
        }
    }
    Ok(())
}

/// Waits until the custom resource definition `name` is established and its objects can be listed.
pub(crate) async fn wait_crd_established(client: &Client, name: &str) -> Result<()> {
    let definitions = Api::<CustomResourceDefinition>::all(client.clone());
    let what = format!("custom resource definition {name} is established");
    eventually(&what, APPLY_DEADLINE, async || {
        let definition = definitions.get_opt(name).await.ok()??;
        let conditions = definition.status?.conditions?;
        if !conditions.iter().any(|condition| condition.type_ == "Established" && condition.status == "True")
        {
            return None;
        }
        let version = definition.spec.versions.iter().find(|version| version.served)?;
        let kind = GroupVersionKind::gvk(&definition.spec.group, &version.name, &definition.spec.names.kind);
        let resource = ApiResource::from_gvk_with_plural(&kind, &definition.spec.names.plural);
        let objects = Api::<DynamicObject>::all_with(client.clone(), &resource);
        objects.list(&ListParams::default().limit(1)).await.ok()
    })
    .await?;
    Ok(())
}

async fn apply_one(client: &Client, document: &Value) -> Result<()> {
    let object: DynamicObject =
        serde_json::from_value(document.clone()).context("not a Kubernetes object")?;
    let kind = object.types.clone().context("apiVersion or kind is missing")?;
    let kind = GroupVersionKind::try_from(kind).context("apiVersion")?;
    let Some(name) = object.metadata.name.as_deref() else { bail!("metadata.name is missing") };
    let (resource, capabilities) = oneshot::pinned_kind(client, &kind).await.context("kind is not served")?;
    let api: Api<DynamicObject> = match (capabilities.scope, &object.metadata.namespace) {
        (Scope::Cluster, _) => Api::all_with(client.clone(), &resource),
        (Scope::Namespaced, Some(namespace)) => Api::namespaced_with(client.clone(), namespace, &resource),
        (Scope::Namespaced, None) => Api::default_namespaced_with(client.clone(), &resource),
    };
    api.patch(name, &PatchParams::apply(FIELD_MANAGER).force(), &Patch::Apply(document)).await?;
    Ok(())
}

/// Tells the answers that no waiting will change.
fn is_final(error: &anyhow::Error) -> bool {
    match error.downcast_ref::<kube::Error>() {
        Some(kube::Error::Api(status)) => [400, 401, 403, 405, 409, 415, 422].contains(&status.code),
        Some(_) => false,
        None => true,
    }
}

/// The field manager of everything the test environment applies.
pub(crate) const FIELD_MANAGER: &str = "sealops-testenv";
const APPLY_DEADLINE: Duration = Duration::from_secs(30);
