//! What a vault asks for: its answer 401 names the tenant and the resource of the token it wants.
//!
//! Whoever is at the vault's address writes that answer, and the address stands in a file. So a token is only ever asked
//! for a resource that the vault's own name belongs to, at the authority of our own settings: of the address in the
//! challenge, nothing but the tenant is used.

use super::cloud::host;
use super::is_word;
use crate::ProviderErrorKind;

/// Longest header that is looked at, in bytes.
const MAX_BYTES: usize = 8 << 10;
/// What resources of vaults begin with, in every cloud.
const SERVICES: [&str; 2] = ["vault.", "managedhsm."];

/// Tenant and resource of a token.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub(super) struct Challenge {
    /// Name or id; empty where the vault names none.
    pub(super) tenant: String,
    /// `https://vault.azure.net`.
    pub(super) resource: String,
}

impl Challenge {
    /// Reads the header `WWW-Authenticate` of the vault at an address.
    ///
    /// # Errors
    /// Refuses a resource that the vault does not belong to.
    pub(super) fn read(header: &str, vault_url: &str) -> Result<Self, ProviderErrorKind> {
        let vault = host(vault_url).to_ascii_lowercase();
        let failed = |why: &str| ProviderErrorKind::Failed(format!("the challenge of {vault} {why}"));
        if header.len() > MAX_BYTES {
            return Err(failed("is too long"));
        }
        let scope = value(header, "scope").or_else(|| value(header, "resource"));
        let scope = scope.ok_or_else(|| failed("names no resource"))?;
        let resource = scope.strip_suffix("/.default").unwrap_or(scope).trim_end_matches('/');
        let domain = resource.strip_prefix("https://").unwrap_or_default().to_ascii_lowercase();
        let belongs = is_word(&domain, b".-")
            && SERVICES.iter().any(|service| domain.starts_with(service))
            && vault.strip_suffix(&domain).is_some_and(|name| name.ends_with('.') && name.len() > 1);
        if !belongs {
            return Err(ProviderErrorKind::Forbidden(format!(
                "{vault} asks for a token of another resource than the vaults of its own domain; it got none"
            )));
        }
        let authority = value(header, "authorization").or_else(|| value(header, "authorization_uri"));
        let path = authority.and_then(|url| url.split_once("://")?.1.split_once('/'));
        let tenant = path.map_or("", |(_, path)| path.split('/').next().unwrap_or_default());
        if !tenant.is_empty() && !is_word(tenant, b".-") {
            return Err(failed("names a tenant that is none"));
        }
        Ok(Self { tenant: tenant.to_owned(), resource: format!("https://{domain}") })
    }
}

/// Returns the value of a parameter. No value of these headers has blanks or commas.
fn value<'a>(header: &'a str, name: &str) -> Option<&'a str> {
    let parts = header.split([' ', ',']).filter_map(|part| part.split_once('='));
    let mut values = parts.filter(|(key, _)| key.eq_ignore_ascii_case(name)).map(|(_, value)| value);
    values.next().map(|value| value.trim_matches('"')).filter(|value| !value.is_empty())
}

#[cfg(test)]
mod tests {
    use super::*;

    const TENANT: &str = "https://login.microsoftonline.com/tenant-1";

    fn read(vault: &str, rest: &str) -> Result<Challenge, ProviderErrorKind> {
        Challenge::read(&format!("Bearer authorization=\"{TENANT}\", {rest}"), vault)
    }

    #[test]
    fn resources_of_the_vaults_own_domain_are_taken() {
        for (vault, rest, resource) in [
            ("https://v.vault.azure.net", "resource=\"https://vault.azure.net\"", "https://vault.azure.net"),
            ("https://V.vault.azure.net:8443", "resource=https://vault.azure.net", "https://vault.azure.net"),
            (
                "https://v.vault.azure.cn",
                "scope=\"https://vault.azure.cn/.default\" resource=\"ignored\"",
                "https://vault.azure.cn",
            ),
            (
                "https://h.managedhsm.azure.net",
                "resource=\"https://managedhsm.azure.net/\"",
                "https://managedhsm.azure.net",
            ),
        ] {
            let read = read(vault, rest).unwrap();
            assert_eq!((read.tenant.as_str(), read.resource.as_str()), ("tenant-1", resource), "{vault}");
        }
        let none =
            Challenge::read("Bearer resource=\"https://vault.azure.net\"", "https://v.vault.azure.net");
        assert_eq!(none.unwrap().tenant, "");
    }

    #[test]
    fn other_resources_are_refused() {
        for (vault, rest) in [
            ("https://evil.example", "resource=\"https://vault.azure.net\""),
            ("https://evilvault.azure.net", "resource=\"https://vault.azure.net\""),
            ("https://vault.azure.net", "resource=\"https://vault.azure.net\""),
            ("https://v.vault.azure.net", "resource=\"https://vault.azure.cn\""),
            ("https://v.vault.azure.net", "resource=\"https://graph.microsoft.com\""),
            ("https://x.graph.microsoft.com", "resource=\"https://graph.microsoft.com\""),
            ("https://v.vault.azure.net.", "resource=\"00000003-0000-0000-c000-000000000000\""),
            ("https://v.vault.azure.net", "resource=\"http://vault.azure.net\""),
            ("https://v.vault.azure.net", "resource=\"https://vault.azure.net@evil.example\""),
            ("https://v.vault.azure.net", "scope=\"https://graph.microsoft.com/.default\""),
        ] {
            assert!(matches!(read(vault, rest), Err(ProviderErrorKind::Forbidden(_))), "{vault} {rest}");
        }
        for header in ["", "Basic realm=\"x\"", "Bearer resource=\"\""] {
            let failed = Challenge::read(header, "https://v.vault.azure.net");
            assert!(matches!(failed, Err(ProviderErrorKind::Failed(_))), "{header}");
        }
        let odd = "Bearer authorization=\"https://l/a%2fb\", resource=\"https://vault.azure.net\"";
        assert!(Challenge::read(odd, "https://v.vault.azure.net").is_err());
    }
}
