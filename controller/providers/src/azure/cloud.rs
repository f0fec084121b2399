//! Who logs users in to which cloud.

/// The domain of vaults, and who logs in there.
const CLOUDS: [(&str, &str); 3] = [
    (".azure.cn", "https://login.chinacloudapi.cn"),
    (".usgovcloudapi.net", "https://login.microsoftonline.us"),
    (".azure.net", PUBLIC),
];
/// Azure's public cloud, and every vault of a domain that is not known.
const PUBLIC: &str = "https://login.microsoftonline.com";

/// Returns the address of the authority that logs in to a vault (`https://NAME.vault.azure.net`): that of
/// `AZURE_AUTHORITY_HOST`, or the one of the vault's cloud. It has no slash at its end.
pub fn authority(vault_url: &str, configured: Option<&str>) -> String {
    if let Some(configured) = configured.map(str::trim).filter(|text| !text.is_empty()) {
        let address = configured.trim_end_matches('/');
        return if address.contains("://") { address.to_owned() } else { format!("https://{address}") };
    }
    let host = host(vault_url).to_ascii_lowercase();
    let known = CLOUDS.iter().find(|(domain, _)| host.ends_with(domain));
    known.map_or(PUBLIC, |(_, authority)| authority).to_owned()
}

/// Returns the host of an address, without its port.
pub(super) fn host(url: &str) -> &str {
    let rest = url.split_once("://").map_or(url, |(_, rest)| rest);
    let authority = rest.split('/').next().unwrap_or_default();
    authority.split(':').next().unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_cloud_has_its_authority() {
        for (vault, expected) in [
            ("https://v.vault.azure.net", PUBLIC),
            ("https://V.VAULT.AZURE.CN:443/", "https://login.chinacloudapi.cn"),
            ("https://v.vault.usgovcloudapi.net", "https://login.microsoftonline.us"),
            ("https://v.vault.example", PUBLIC),
            ("https://v.vault.azure.cn.evil.example", PUBLIC),
        ] {
            assert_eq!(authority(vault, None), expected, "{vault}");
        }
        assert_eq!(
            authority("https://v.vault.azure.cn", Some("https://login.example/")),
            "https://login.example"
        );
        assert_eq!(authority("https://v.vault.azure.cn", Some("login.example")), "https://login.example");
        assert_eq!(authority("https://v.vault.azure.cn", Some(" ")), "https://login.chinacloudapi.cn");
    }
}
