//! Makes a program outside the cluster reachable as a Service, without a kubelet.
use anyhow::{Context, Result};
use k8s_openapi::api::core::v1::Pod;
use kube::Api;
use kube::api::{Patch, PatchParams};
use serde_json::json;

use crate::control_plane::ControlPlane;
use crate::ports::pod_address;

/// Makes `service` (port 8080, named `http`) stand for the program that listens on 10.99.0.1:`port`, so that clients
/// reach it through the API server's service proxy, as `kubeseal` does.
///
/// The API server refuses to dial loopback addresses and addresses that no pod has; hence a Pod that only claims the
/// address in its status, and Endpoints that point to it (an `EndpointSlice` alone is not enough for the proxy).
///
/// # Errors
/// If 10.99.0.1 is not an address of this machine, or the API server refuses an object.
pub async fn expose_through_service_proxy(
    control_plane: &ControlPlane,
    namespace: &str,
    service: &str,
    port: u16,
) -> Result<()> {
    let address = pod_address()?;
    control_plane.ensure_namespace(namespace).await?;
    let metadata = json!({ "name": service, "namespace": namespace });
    let objects = [
        json!({ "apiVersion": "v1", "kind": "Service", "metadata": metadata,
            "spec": { "ports": [{ "name": "http", "port": 8080, "targetPort": port }] } }),
        json!({ "apiVersion": "v1", "kind": "Pod", "metadata": metadata,
            "spec": { "containers": [{ "name": "outside", "image": "none.invalid/outside" }] } }),
        json!({ "apiVersion": "v1", "kind": "Endpoints", "metadata": metadata,
            "subsets": [{
                "addresses": [{ "ip": address,
                    "targetRef": { "kind": "Pod", "name": service, "namespace": namespace } }],
                "ports": [{ "name": "http", "port": port }],
            }] }),
    ];
    for object in objects {
        control_plane.apply_manifests(&object.to_string()).await?;
    }
    let status = json!({ "status": { "phase": "Running", "podIP": address, "podIPs": [{ "ip": address }],
        "conditions": [{ "type": "Ready", "status": "True" }] } });
    Api::<Pod>::namespaced(control_plane.client()?, namespace)
        .patch_status(service, &PatchParams::default(), &Patch::Merge(&status))
        .await
        .context("give the pod its address")?;
    Ok(())
}
