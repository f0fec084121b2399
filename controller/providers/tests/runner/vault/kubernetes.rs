//! Kubernetes logins, against a real API server that reviews the tokens.

use sealops_testenv::ControlPlane;
use serde_json::json;

use super::{Credentials, bao, get, open, stored};

#[tokio::test]
async fn service_accounts_log_in() {
    let plane = ControlPlane::shared().await.unwrap();
    let reviewer = plane.service_account_token("vault", "reviewer").await.unwrap();
    let binding = json!({
        "apiVersion": "rbac.authorization.k8s.io/v1", "kind": "ClusterRoleBinding", "metadata": { "name": "reviewer" },
        "roleRef": { "apiGroup": "rbac.authorization.k8s.io", "kind": "ClusterRole", "name": "system:auth-delegator" },
        "subjects": [{ "kind": "ServiceAccount", "name": "reviewer", "namespace": "vault" }],
    });
    plane.apply_manifests(&binding.to_string()).await.unwrap();
    let right = plane.service_account_token("apps", "reader").await.unwrap();
    let wrong = plane.service_account_token("apps", "other").await.unwrap();
    let bao = bao();
    stored("kubernetes/x", json!({ "u": "amber" }));
    bao.put("sys/auth/kube", &json!({ "type": "kubernetes" })).unwrap();
    let config = json!({
        "kubernetes_host": plane.url(), "kubernetes_ca_cert": plane.ca_pem(), "token_reviewer_jwt": reviewer,
        "disable_local_ca_jwt": true,
    });
    bao.put("auth/kube/config", &config).unwrap();
    let role = json!({
        "bound_service_account_names": "reader", "bound_service_account_namespaces": "apps", "token_policies": "app",
    });
    bao.put("auth/kube/role/app", &role).unwrap();
    let store = |auth: serde_json::Value| json!({ "server": bao.url(), "path": "secret", "auth": { "kubernetes": auth } });
    let by_account =
        store(json!({ "mountPath": "kube", "role": "app", "serviceAccountRef": { "name": "reader" } }));
    let mut credentials = Credentials::of(&[("s/token", &right)]);
    credentials.token = right;
    let opened = open(by_account.clone(), &credentials).await.unwrap();
    assert_eq!(get(&opened, "kubernetes/x", None).await.unwrap(), r#"{"u":"amber"}"#);
    let by_secret = store(json!({ "mountPath": "kube", "role": "app", "secretRef": { "name": "s" } }));
    let opened = open(by_secret, &credentials).await.unwrap();
    assert_eq!(get(&opened, "kubernetes/x", None).await.unwrap(), r#"{"u":"amber"}"#);
    credentials.token = wrong.clone();
    let error = open(by_account, &credentials).await.err().unwrap().to_string();
    assert!(error.contains("login was refused") && !error.contains(&wrong), "{error}");
}
