//! What is recorded of a generator: when it ends, and how it is taken back.

use jiff::Timestamp;
use sealops_crds::generators::VaultDynamicSecretSpec;
use sealops_providers::ConnectContext;
use sealops_providers::vault::Lease;
use serde_json::Value;

use super::vault::{EXPIRES, identity};
use crate::external::credentials::{Credentials, StoreEnvironment};
use crate::object::ClusterReader;

/// Returns when a state ends by itself, in seconds since 1970.
pub fn expires(state: &Value) -> Option<i64> {
    state.get(EXPIRES)?.as_str()?.parse::<Timestamp>().ok().map(Timestamp::as_second)
}

/// Takes back what a generator left: `resource` and `state` are those of its GeneratorState, `namespace` that in which it
/// lies.
///
/// # Errors
/// Returns why it is still there, without a value.
pub async fn clean_up(
    resource: &Value,
    state: &Value,
    namespace: &str,
    cluster: &dyn ClusterReader,
    environment: &StoreEnvironment,
) -> Result<(), String> {
    let kind = resource.get("kind").and_then(Value::as_str).unwrap_or_default();
    if kind != "VaultDynamicSecret" {
        return Err(format!(
            "the generator {kind:?} is not run by this version of sealops, so what it made cannot be taken back"
        ));
    }
    // serde's message quotes the value.
    let unfit = |_| "the settings or the state of the generator do not fit".to_owned();
    let spec = resource.get("spec").cloned().unwrap_or_default();
    let spec: VaultDynamicSecretSpec = serde_json::from_value(spec).map_err(unfit)?;
    let lease: Lease = serde_json::from_value(state.clone()).map_err(unfit)?;
    if lease == Lease::default() {
        return Ok(());
    }
    let store = identity(namespace);
    let credentials = Credentials::new(&store, cluster, environment);
    let context = ConnectContext { store: &store, credentials: &credentials, network: environment.network };
    sealops_providers::vault::revoke(&spec.provider, spec.retry_settings.as_ref(), &lease, &context)
        .await
        .map_err(|error| error.to_string())
}
