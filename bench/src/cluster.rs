//! A real control plane with keys and objects in it.

use std::collections::BTreeMap;
use std::time::Duration;

use anyhow::{Result, ensure};
use futures::{StreamExt, TryStreamExt};
use k8s_openapi::api::core::v1::{ConfigMap, Secret};
use kube::api::{Api, ApiResource, DeleteParams, DynamicObject, GroupVersionKind, ListParams, PostParams};
use kube::{Client, ResourceExt};
use sealops_crds::{MANIFESTS, SealedSecret};
use sealops_testenv::{ControlPlane, ControlPlaneOptions, eventually};
use serde_json::Value;

use crate::keys::Pair;
use crate::objects::Values;

/// Namespace of the controllers and their keys.
pub(crate) const HOME: &str = "kube-system";
/// Long enough for the peer with sixty keys on a loaded machine.
pub(crate) const PATIENCE: Duration = Duration::from_secs(600);

/// A control plane with our definitions and some sealing keys.
pub(crate) struct Cluster {
    pub(crate) plane: ControlPlane,
    client: Client,
}

impl Cluster {
    /// Starts it.
    pub(crate) async fn start(keys: &[Pair]) -> Result<Self> {
        let manifests = MANIFESTS.map(|(_, yaml)| yaml).join("\n---\n");
        let options = ControlPlaneOptions { manifests, ..ControlPlaneOptions::default() };
        let plane = ControlPlane::start_with(options).await?;
        let client = plane.client()?;
        plane.ensure_namespace(HOME).await?;
        let secrets = Api::<Secret>::namespaced(client.clone(), HOME);
        for (number, pair) in keys.iter().enumerate() {
            let secret = pair.secret(HOME, &format!("bench-key-{number:02}"))?;
            secrets.create(&PostParams::default(), &serde_json::from_value(secret)?).await?;
        }
        Ok(Self { plane, client })
    }

    /// Creates SealedSecrets, several at once.
    pub(crate) async fn create(&self, namespace: &str, objects: Vec<Value>) -> Result<()> {
        self.plane.ensure_namespace(namespace).await?;
        let api = self.sealed(namespace);
        futures::stream::iter(objects)
            .map(|object| {
                let api = api.clone();
                async move {
                    let object: DynamicObject = serde_json::from_value(object)?;
                    api.create(&PostParams::default(), &object).await?;
                    anyhow::Ok(())
                }
            })
            .buffer_unordered(16)
            .try_collect()
            .await
    }

    /// Removes the SealedSecrets of a namespace and waits until their Secrets are gone with them.
    pub(crate) async fn remove(&self, namespace: &str) -> Result<()> {
        let everything = ListParams::default();
        self.sealed(namespace).delete_collection(&DeleteParams::default(), &everything).await?;
        self.remove_secrets(namespace).await?;
        eventually("the objects are gone", PATIENCE, async || {
            let sealed = self.sealed(namespace).list_metadata(&everything).await.ok()?;
            (sealed.items.is_empty() && self.uids(namespace).await.is_empty()).then_some(())
        })
        .await
    }

    /// Removes the Secrets of a namespace; their controller, where one runs, makes them again.
    pub(crate) async fn remove_secrets(&self, namespace: &str) -> Result<()> {
        self.secrets(namespace).delete_collection(&DeleteParams::default(), &ListParams::default()).await?;
        Ok(())
    }

    /// Removes what our controller remembers, as if it were new here.
    pub(crate) async fn forget_state(&self) -> Result<()> {
        let maps = Api::<ConfigMap>::namespaced(self.client.clone(), HOME);
        for map in maps.list_metadata(&ListParams::default()).await? {
            if map.name_any().starts_with("sealops-state") {
                maps.delete(&map.name_any(), &DeleteParams::default()).await?;
            }
        }
        Ok(())
    }

    /// Waits until there are `count` Secrets, none of them with a uid in `old`, and returns the uids.
    pub(crate) async fn wait_secrets(
        &self,
        namespace: &str,
        count: usize,
        old: &[String],
    ) -> Result<Vec<String>> {
        eventually(&format!("{count} Secrets in {namespace}"), PATIENCE, async || {
            tokio::time::sleep(Duration::from_millis(100)).await;
            let uids = self.uids(namespace).await;
            (uids.len() == count && uids.iter().all(|uid| !old.contains(uid))).then_some(uids)
        })
        .await
    }

    /// Compares the Secrets of a namespace with what they must hold.
    pub(crate) async fn verify(&self, namespace: &str, expected: &[Values]) -> Result<()> {
        let secrets = self.secrets(namespace).list(&ListParams::default()).await?;
        let found: BTreeMap<String, BTreeMap<String, Vec<u8>>> = secrets
            .into_iter()
            .map(|secret| {
                let data = secret.data.iter().flatten();
                (secret.name_any(), data.map(|(key, value)| (key.clone(), value.0.clone())).collect())
            })
            .collect();
        ensure!(found.len() == expected.len(), "{} Secrets instead of {}", found.len(), expected.len());
        for values in expected {
            ensure!(found.get(&values.name) == Some(&values.entries), "Secret {} differs", values.name);
        }
        Ok(())
    }

    async fn uids(&self, namespace: &str) -> Vec<String> {
        let list = self.secrets(namespace).list_metadata(&ListParams::default()).await;
        list.map(|list| list.items.into_iter().filter_map(|item| item.metadata.uid).collect())
            .unwrap_or_default()
    }

    fn secrets(&self, namespace: &str) -> Api<Secret> {
        Api::namespaced(self.client.clone(), namespace)
    }

    fn sealed(&self, namespace: &str) -> Api<DynamicObject> {
        let kind = GroupVersionKind::gvk(SealedSecret::GROUP, SealedSecret::VERSION, SealedSecret::KIND);
        let resource = ApiResource::from_gvk_with_plural(&kind, SealedSecret::PLURAL);
        Api::namespaced_with(self.client.clone(), namespace, &resource)
    }
}

/// Runs a future on a runtime of its own.
pub(crate) fn block_on<T>(future: impl Future<Output = Result<T>>) -> Result<T> {
    tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build()?.block_on(future)
}
