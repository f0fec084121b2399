//! Who may ask the API server: kubeconfigs for users and service accounts, and the files of a pod.
use std::path::PathBuf;

use anyhow::{Context, Result};
use k8s_openapi::api::authentication::v1::{TokenRequest, TokenRequestSpec};
use k8s_openapi::api::core::v1::ServiceAccount;
use kube::Api;
use kube::api::PostParams;
use serde_json::json;

use super::ControlPlane;
use crate::kubeconfig::{Credential, kubeconfig};

impl ControlPlane {
    /// Returns the file with the administrator's kubeconfig.
    pub fn admin_kubeconfig(&self) -> PathBuf {
        self.layout.admin_kubeconfig()
    }

    /// Writes a kubeconfig with a client certificate for `user` in `groups` (one at most) and returns its path.
    ///
    /// # Errors
    /// If it cannot be written.
    pub fn kubeconfig_for(&self, user: &str, groups: &[&str]) -> Result<PathBuf> {
        let identity = self.layout.pki.client(user, groups)?;
        self.write_kubeconfig(&format!("user-{user}"), "default", &Credential::Certificate(&identity))
    }

    /// Writes a kubeconfig with a token of the service account (made if need be) and returns its path.
    ///
    /// # Errors
    /// If the API server refuses.
    pub async fn service_account_kubeconfig(&self, namespace: &str, name: &str) -> Result<PathBuf> {
        let token = self.service_account_token(namespace, name).await?;
        self.write_kubeconfig(&format!("account-{namespace}-{name}"), namespace, &Credential::Token(&token))
    }

    /// Returns a token of the service account (made if need be) that is valid for a day.
    ///
    /// # Errors
    /// If the API server refuses.
    pub async fn service_account_token(&self, namespace: &str, name: &str) -> Result<String> {
        self.ensure_namespace(namespace).await?;
        let account = json!({ "apiVersion": "v1", "kind": "ServiceAccount",
            "metadata": { "name": name, "namespace": namespace } });
        self.apply_manifests(&account.to_string()).await?;
        let spec = TokenRequestSpec { expiration_seconds: Some(86_400), ..TokenRequestSpec::default() };
        let request = TokenRequest { spec: Some(spec), ..TokenRequest::default() };
        let answer = Api::<ServiceAccount>::namespaced(self.client()?, namespace)
            .create_token_request(name, &PostParams::default(), &request)
            .await
            .with_context(|| format!("token of {namespace}/{name}"))?;
        answer.status.and_then(|status| status.token).context("the API server returned no token")
    }

    /// Writes the folder that a pod of this service account (made if need be) would see: `token`, `ca.crt`,
    /// `namespace`.
    ///
    /// # Errors
    /// If the API server refuses.
    pub async fn in_cluster_folder(&self, namespace: &str, service_account: &str) -> Result<PathBuf> {
        let token = self.service_account_token(namespace, service_account).await?;
        let folder = self.layout.file("in-cluster").join(format!("{namespace}-{service_account}"));
        std::fs::create_dir_all(&folder)?;
        for (name, content) in
            [("token", token), ("ca.crt", self.ca_pem()), ("namespace", namespace.to_owned())]
        {
            std::fs::write(folder.join(name), content)?;
        }
        Ok(folder)
    }

    /// Makes the namespace if it is not there.
    ///
    /// # Errors
    /// If the API server refuses.
    pub async fn ensure_namespace(&self, name: &str) -> Result<()> {
        let namespace = json!({ "apiVersion": "v1", "kind": "Namespace", "metadata": { "name": name } });
        self.apply_manifests(&namespace.to_string()).await
    }

    fn write_kubeconfig(&self, name: &str, namespace: &str, credential: &Credential<'_>) -> Result<PathBuf> {
        let name = name.replace(|c: char| !c.is_ascii_alphanumeric(), "-");
        let file = self.layout.file(&format!("{name}.kubeconfig"));
        std::fs::write(&file, kubeconfig(&self.url(), &self.ca_pem(), namespace, credential))?;
        Ok(file)
    }
}
