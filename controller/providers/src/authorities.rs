//! Authorities that a store names: in its settings, or in a Secret or ConfigMap.

use sealops_crds::secret_store::{CaProvider, CaProviderType};
use sealops_formats::base64;

use crate::{ConnectContext, ProviderErrorKind, Selector};

/// Returns the authorities in PEM, `None` for the system's. The settings go before the other object.
///
/// A SecretStore reads its own namespace only (CVE-2026-42875); a ClusterSecretStore has to name one.
///
/// # Errors
/// Returns the field that makes no sense, and why the object cannot be read.
pub(crate) async fn authorities(
    bundle: Option<&str>,
    provider: Option<&CaProvider>,
    context: &ConnectContext<'_>,
) -> Result<Option<Vec<u8>>, ProviderErrorKind> {
    if let Some(bundle) = bundle.filter(|bundle| !bundle.is_empty()) {
        let pem = base64::decode(bundle.as_bytes())
            .map_err(|_| ProviderErrorKind::Invalid("caBundle is not base64".to_owned()))?;
        return Ok(Some(pem.expose().to_vec()));
    }
    let Some(provider) = provider else { return Ok(None) };
    let namespace = namespace(provider, context.store.namespace.as_deref())?;
    let key = provider.key.clone().unwrap_or_default();
    let selector = Selector { name: provider.name.clone(), namespace, key };
    let pem = match &provider.type_ {
        Some(CaProviderType::Secret) => context.credentials.secret(&selector).await?,
        Some(CaProviderType::ConfigMap) => context.credentials.config_map(&selector).await?,
        _ => {
            return Err(ProviderErrorKind::Invalid(
                "caProvider.type has to be Secret or ConfigMap".to_owned(),
            ));
        }
    };
    Ok(Some(pem.expose().to_vec()))
}

fn namespace(provider: &CaProvider, own: Option<&str>) -> Result<Option<String>, ProviderErrorKind> {
    let given = provider.namespace.clone().filter(|namespace| !namespace.is_empty());
    match (own, given) {
        (None, None) => Err(ProviderErrorKind::Invalid(
            "caProvider.namespace is missing: a ClusterSecretStore has to name it".to_owned(),
        )),
        (Some(own), Some(given)) if given != own => Err(ProviderErrorKind::Forbidden(format!(
            "caProvider.namespace is {given:?}: a SecretStore reads its own namespace only"
        ))),
        (_, given) => Ok(given),
    }
}
