//! Who asks: the places where Huawei's SDK looks, in its order.
//!
//! | place | what it is made of |
//! | --- | --- |
//! | environment | `HUAWEICLOUD_SDK_AK`, `HUAWEICLOUD_SDK_SK`, `HUAWEICLOUD_SDK_SECURITY_TOKEN`, `HUAWEICLOUD_SDK_PROJECT_ID` |
//! | profile | `ak`, `sk`, `security_token`, `project_id`, `iam_endpoint` of the section `basic` in `HUAWEICLOUD_SDK_CREDENTIALS_FILE`, or `~/.huaweicloud/credentials` |
//! | machine | the agency of the machine, by its metadata |
//! | pod | `HC_CONTAINER_CREDENTIALS_FULL_URI` and the token in `HC_CONTAINER_AUTHORIZATION_TOKEN_FILE` |
//!
//! A place that has no keys gives way to the next.

use std::fs::File;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use sealops_formats::Plaintext;

use super::profile::Profile;
use super::signing::Keys;
use super::{invalid, is_word};
use crate::ProviderErrorKind;
use crate::local::Environment;

/// Largest file with credentials or regions.
const MAX_FILE_BYTES: usize = 1 << 20;

/// Keys that are given, or that have to be asked for.
pub(super) enum Source {
    /// Keys that stay.
    Given(Arc<Keys>),
    /// Nobody was found: the machine and its pod are asked. Why the places before have none.
    Machine(Vec<String>),
}

/// Who asks.
pub(super) struct Credentials {
    pub(super) source: Source,
    /// The project, where it needs not be asked for.
    pub(super) project: Option<String>,
    /// Address of IAM, as the profile says.
    pub(super) iam: Option<String>,
}

/// Looks at variables and files; asks nobody.
///
/// # Errors
/// Fails for credentials that are given and cannot be used.
pub(super) fn find(environment: &Environment) -> Result<Credentials, ProviderErrorKind> {
    const NONE: &str = "AK&SK does not exist";
    let text =
        |name: &str| environment.set_variable(name).map(|text| Plaintext::from(text.as_encoded_bytes()));
    let public = |name: &str| environment.set_variable(name).map(|text| text.to_string_lossy().into_owned());
    let mut missed = Vec::new();
    if public("HUAWEICLOUD_SDK_IDP_ID").is_some() && public("HUAWEICLOUD_SDK_ID_TOKEN_FILE").is_some() {
        return Err(not_built("HUAWEICLOUD_SDK_IDP_ID"));
    }
    match (text("HUAWEICLOUD_SDK_AK"), text("HUAWEICLOUD_SDK_SK")) {
        (Some(access), Some(secret)) => {
            let keys = Keys { access, secret, token: text("HUAWEICLOUD_SDK_SECURITY_TOKEN") };
            return given(keys, public("HUAWEICLOUD_SDK_PROJECT_ID"), None);
        }
        _ => missed.push(format!("environment: {NONE}")),
    }
    let Some(path) = file(environment, "HUAWEICLOUD_SDK_CREDENTIALS_FILE", "credentials") else {
        missed.push("profile: there is no home folder".to_owned());
        return Ok(Credentials { source: Source::Machine(missed), project: None, iam: None });
    };
    let profile = read(&path).and_then(|text| Profile::read(&text));
    let why = match profile {
        Ok(profile) => {
            let copy = |name: &str| profile.text(name).map(Plaintext::duplicate);
            if profile.text("idp_id").is_some() && profile.text("id_token_file").is_some() {
                return Err(not_built("idp_id of the profile"));
            }
            if let (Some(access), Some(secret)) = (copy("ak"), copy("sk")) {
                let keys = Keys { access, secret, token: copy("security_token") };
                return given(keys, profile.public("project_id"), profile.public("iam_endpoint"));
            }
            NONE.to_owned()
        }
        Err(why) => why,
    };
    missed.push(format!("profile {}: {why}", path.display()));
    Ok(Credentials { source: Source::Machine(missed), project: None, iam: None })
}

fn given(keys: Keys, project: Option<String>, iam: Option<String>) -> Result<Credentials, ProviderErrorKind> {
    if let Some(project) = project.as_ref().filter(|project| !is_word(project)) {
        return Err(invalid(format!("{project:?} is no id of a project")));
    }
    Ok(Credentials { source: Source::Given(Arc::new(keys)), project, iam })
}

fn not_built(what: &str) -> ProviderErrorKind {
    ProviderErrorKind::Unauthenticated(format!(
        "logins by an identity provider ({what}) are not built into sealops: use an access key, or the agency of a machine"
    ))
}

/// Returns the file that a variable names, or the one in the folder of the SDK; `None` without a home folder.
pub(super) fn file(environment: &Environment, variable: &str, name: &str) -> Option<PathBuf> {
    let named = environment.set_variable(variable).map(PathBuf::from);
    named.or_else(|| Some(environment.home()?.join(".huaweicloud").join(name)))
}

/// Reads a file whole.
///
/// # Errors
/// Returns why it cannot be read, without its path.
pub(super) fn read(path: &Path) -> Result<Plaintext, String> {
    use std::io::Read;
    let source = File::open(path).map_err(|error| error.to_string())?;
    let mut text = Plaintext::default();
    std::io::copy(&mut source.take(MAX_FILE_BYTES as u64 + 1), &mut text)
        .map_err(|error| error.to_string())?;
    if text.len() > MAX_FILE_BYTES {
        return Err(format!("it is larger than {MAX_FILE_BYTES} bytes"));
    }
    Ok(text)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn found(variables: &[(&str, &str)]) -> Result<Credentials, ProviderErrorKind> {
        find(&Environment::new(variables.iter().copied()))
    }

    fn access(credentials: &Credentials) -> Option<&str> {
        match &credentials.source {
            Source::Given(keys) => keys.access.expose_str(),
            Source::Machine(_) => None,
        }
    }

    #[test]
    fn places_are_looked_at_in_the_order_of_the_sdk() {
        let home = tempfile::tempdir().unwrap();
        let path = ("HOME", home.path().to_str().unwrap());
        let (ak, sk) = (("HUAWEICLOUD_SDK_AK", "a"), ("HUAWEICLOUD_SDK_SK", "hunter2"));
        let none = found(&[path, ak]).unwrap();
        let Source::Machine(missed) = &none.source else { panic!("there are keys") };
        assert!(missed[0].starts_with("environment: ") && missed[1].contains(".huaweicloud/credentials"));
        std::fs::create_dir(home.path().join(".huaweicloud")).unwrap();
        let file = home.path().join(".huaweicloud/credentials");
        std::fs::write(&file, "[basic]\nak = b\nsk = hunter2\nproject_id = p\niam_endpoint = https://i\n")
            .unwrap();
        let profile = found(&[path, ak, ("HUAWEICLOUD_SDK_PROJECT_ID", "other")]).unwrap();
        assert_eq!((access(&profile), profile.project.as_deref()), (Some("b"), Some("p")));
        assert_eq!(profile.iam.as_deref(), Some("https://i"));
        let first = found(&[path, ak, sk, ("HUAWEICLOUD_SDK_SECURITY_TOKEN", "t")]).unwrap();
        assert!(access(&first) == Some("a") && first.project.is_none() && first.iam.is_none());
        for (name, text) in
            [("[basic]\nak = b\n", "AK&SK does not exist"), ("[basic\nsk = hunter2", "is no INI")]
        {
            std::fs::write(&file, name).unwrap();
            let none = found(&[path]).unwrap();
            let Source::Machine(missed) = none.source else { panic!("there are keys") };
            assert!(missed[1].contains(text) && !missed[1].contains("hunter2"), "{missed:?}");
        }
    }

    #[test]
    fn what_cannot_be_used_is_named() {
        let keys = [("HUAWEICLOUD_SDK_AK", "a"), ("HUAWEICLOUD_SDK_SK", "hunter2")];
        let error =
            found(&[keys[0], keys[1], ("HUAWEICLOUD_SDK_PROJECT_ID", "../x")]).err().unwrap().to_string();
        assert!(error.contains("is no id of a project"), "{error}");
        let provider = [("HUAWEICLOUD_SDK_IDP_ID", "i"), ("HUAWEICLOUD_SDK_ID_TOKEN_FILE", "f")];
        let error = found(&[keys[0], keys[1], provider[0], provider[1]]).err().unwrap().to_string();
        assert!(error.contains("HUAWEICLOUD_SDK_IDP_ID"), "{error}");
        assert!(found(&[keys[0], keys[1], provider[0]]).is_ok());
    }
}
