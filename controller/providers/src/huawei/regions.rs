//! Where KMS and IAM of a region are.
//!
//! | service | looked for in this order |
//! | --- | --- |
//! | KMS | `HUAWEICLOUD_SDK_REGION_KMS_` and the region (`EU_WEST_101`); the file of `HUAWEICLOUD_SDK_REGIONS_FILE`, or `~/.huaweicloud/regions.yaml`; the regions that Huawei's SDK knows |
//! | IAM | `iam_endpoint` of the profile; `HUAWEICLOUD_SDK_IAM_ENDPOINT`; the regions that Huawei's SDK knows; the global one |
//!
//! Where several addresses are given the first is taken. A region that is found nowhere is an error, so what stands in a
//! file of SOPS never becomes part of an address that is not known here.

use std::collections::BTreeMap;
use std::net::IpAddr;

use sealops_formats::manifest;
use serde::Deserialize;

use super::{credentials, invalid, is_word};
use crate::ProviderErrorKind;
use crate::local::Environment;

/// Regions with KMS that Huawei's SDK 0.1.207 knows.
const KMS: [&str; 32] = [
    "ae-ad-1",
    "af-north-1",
    "af-south-1",
    "ap-southeast-1",
    "ap-southeast-2",
    "ap-southeast-3",
    "ap-southeast-4",
    "ap-southeast-5",
    "cn-east-2",
    "cn-east-3",
    "cn-east-4",
    "cn-east-5",
    "cn-north-1",
    "cn-north-11",
    "cn-north-12",
    "cn-north-2",
    "cn-north-4",
    "cn-north-9",
    "cn-south-1",
    "cn-south-2",
    "cn-south-4",
    "cn-southwest-2",
    "cn-southwest-3",
    EUROPE,
    "la-north-2",
    "la-south-2",
    "me-east-1",
    "my-kualalumpur-1",
    "na-mexico-1",
    "ru-moscow-1",
    "sa-brazil-1",
    "tr-west-1",
];
/// The region whose domain is another one.
const EUROPE: &str = "eu-west-101";
/// Regions of [`KMS`] whose IAM is the global one.
const GLOBAL_IAM: [&str; 6] =
    ["af-north-1", "ap-southeast-5", "cn-north-11", "cn-south-4", "cn-southwest-3", EUROPE];
/// The region with an IAM of its own and without KMS.
const IAM_ONLY: &str = "eu-west-0";
const DOMAIN: &str = "myhuaweicloud.com";

#[derive(Deserialize)]
struct Region {
    #[serde(default)]
    id: String,
    #[serde(default)]
    endpoint: String,
    #[serde(default)]
    endpoints: Vec<String>,
}

/// Returns the address of a region's KMS, without a slash at its end.
///
/// # Errors
/// Fails for a region that is not known, and an address or a file that cannot be used.
pub(super) fn kms(environment: &Environment, region: &str) -> Result<String, ProviderErrorKind> {
    if !is_word(region) {
        return Err(invalid(format!("{region:?} is no region")));
    }
    let variable = format!("HUAWEICLOUD_SDK_REGION_KMS_{}", region.replace('-', "_").to_ascii_uppercase());
    if let Some(list) = environment.set_variable(&variable) {
        let list = list.to_string_lossy();
        return address(list.split(',').next().unwrap_or_default(), &variable);
    }
    if let Some(found) = of_file(environment, region)? {
        return address(&found, "the file of regions");
    }
    if !KMS.contains(&region) {
        return Err(invalid(format!(
            "invalid region {region:?}: region id '{region}' is not in the following supported regions of service 'KMS': \
             [{}]; set {variable} to the address of its KMS",
            KMS.join(", ")
        )));
    }
    let domain = if region == EUROPE { "myhuaweicloud.eu" } else { DOMAIN };
    Ok(format!("https://kms.{region}.{domain}"))
}

/// Returns the address of a region's IAM; `own`: what the profile says.
///
/// # Errors
/// Fails for an address that cannot be used.
pub(super) fn iam(
    environment: &Environment,
    region: &str,
    own: Option<&str>,
) -> Result<String, ProviderErrorKind> {
    const VARIABLE: &str = "HUAWEICLOUD_SDK_IAM_ENDPOINT";
    if let Some(own) = own {
        return address(own, "iam_endpoint of the profile");
    }
    if let Some(given) = environment.set_variable(VARIABLE) {
        return address(&given.to_string_lossy(), VARIABLE);
    }
    let known = region == IAM_ONLY || KMS.contains(&region) && !GLOBAL_IAM.contains(&region);
    Ok(if known { format!("https://iam.{region}.{DOMAIN}") } else { format!("https://iam.{DOMAIN}") })
}

fn of_file(environment: &Environment, region: &str) -> Result<Option<String>, ProviderErrorKind> {
    const VARIABLE: &str = "HUAWEICLOUD_SDK_REGIONS_FILE";
    let Some(path) = credentials::file(environment, VARIABLE, "regions.yaml").filter(|path| path.exists())
    else {
        return Ok(None);
    };
    let broken = |why: &str| invalid(format!("the file of regions {} {why}", path.display()));
    let text = credentials::read(&path).map_err(|why| broken(&format!("cannot be read: {why}")))?;
    let documents = manifest::parse(text.expose()).map_err(|_| broken("is no YAML"))?;
    let Some(document) = documents.first() else { return Ok(None) };
    let services: BTreeMap<String, Option<Vec<Region>>> =
        document.root.read().map_err(|_| broken("is no list of id and endpoint by service"))?;
    let kms = services.into_iter().filter(|(service, _)| service.eq_ignore_ascii_case("kms"));
    // The last one counts.
    let found = kms.filter_map(|(_, regions)| regions).flatten().rfind(|found| found.id == region);
    Ok(found.and_then(|found| {
        let first = Some(found.endpoint).filter(|endpoint| !endpoint.is_empty());
        first.or_else(|| found.endpoints.into_iter().next())
    }))
}

/// Makes a text an address: `https://` where it has no scheme. Without TLS only this machine is asked.
fn address(text: &str, source: &str) -> Result<String, ProviderErrorKind> {
    let (scheme, host) = text.trim().split_once("://").unwrap_or(("https", text.trim()));
    let host = host.trim_end_matches('/');
    let plain = |byte: u8| byte.is_ascii_alphanumeric() || b".-_:[]".contains(&byte);
    let fits = match scheme {
        "https" => true,
        "http" => is_here(host),
        _ => false,
    };
    if !fits || host.is_empty() || host.ends_with(':') || !host.bytes().all(plain) {
        return Err(invalid(format!("{source} has to be https://HOST:PORT, or http:// and this machine")));
    }
    Ok(format!("{scheme}://{host}"))
}

fn is_here(host: &str) -> bool {
    let name = host.rsplit_once(':').filter(|_| !host.ends_with(']')).map_or(host, |(name, _)| name);
    let name = name.trim_start_matches('[').trim_end_matches(']');
    name == "localhost" || name.parse::<IpAddr>().is_ok_and(|address| address.is_loopback())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of(variables: &[(&str, &str)]) -> Environment {
        Environment::new(variables.iter().copied())
    }

    #[test]
    fn addresses_of_regions_are_those_of_the_sdk() {
        let none = of(&[]);
        for (region, kms_url, iam_url) in [
            (EUROPE, "https://kms.eu-west-101.myhuaweicloud.eu", "https://iam.myhuaweicloud.com"),
            (
                "tr-west-1",
                "https://kms.tr-west-1.myhuaweicloud.com",
                "https://iam.tr-west-1.myhuaweicloud.com",
            ),
            ("cn-south-4", "https://kms.cn-south-4.myhuaweicloud.com", "https://iam.myhuaweicloud.com"),
        ] {
            assert_eq!(kms(&none, region).unwrap(), kms_url);
            assert_eq!(iam(&none, region, None).unwrap(), iam_url);
        }
        let error = kms(&none, "mars-1").unwrap_err().to_string();
        assert!(
            error.contains("'mars-1' is not in the following") && error.contains("KMS_MARS_1"),
            "{error}"
        );
        for region in ["evil.example/", "", "a b", "a@b"] {
            assert!(kms(&none, region).unwrap_err().to_string().contains("is no region"), "{region}");
        }
    }

    #[test]
    fn variables_and_files_come_first() {
        let home = tempfile::tempdir().unwrap();
        let folder = home.path().join(".huaweicloud");
        std::fs::create_dir(&folder).unwrap();
        let file = folder.join("regions.yaml");
        std::fs::write(&file, "Kms:\n  - id: mars-1\n    endpoints: [kms.mars.example, b]\n  - id: tr-west-1\n    endpoint: https://t:1/\n").unwrap();
        let path = home.path().to_str().unwrap();
        let with =
            of(&[("HOME", path), ("HUAWEICLOUD_SDK_REGION_KMS_TR_WEST_1", "http://127.0.0.1:9,https://x")]);
        assert_eq!(kms(&of(&[("HOME", path)]), "tr-west-1").unwrap(), "https://t:1");
        assert_eq!(kms(&with, "mars-1").unwrap(), "https://kms.mars.example");
        assert_eq!(kms(&with, "tr-west-1").unwrap(), "http://127.0.0.1:9");
        let given = of(&[("HUAWEICLOUD_SDK_IAM_ENDPOINT", "iam.example")]);
        assert_eq!(iam(&given, "tr-west-1", None).unwrap(), "https://iam.example");
        assert_eq!(iam(&given, "tr-west-1", Some("https://own")).unwrap(), "https://own");
        for text in [
            "http://kms.example",
            "https://u:p@kms.example",
            "ftp://x",
            "https://x/path?q",
            "https://",
            "x:",
            ",",
        ] {
            let given = of(&[("HUAWEICLOUD_SDK_REGION_KMS_A", text)]);
            assert!(kms(&given, "a").is_err(), "{text}");
        }
        for text in ["kms: {", "kms: 1"] {
            std::fs::write(&file, text).unwrap();
            assert!(kms(&with, "mars-1").unwrap_err().to_string().contains("regions.yaml"), "{text}");
        }
    }
}
