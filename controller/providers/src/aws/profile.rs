//! Profiles that take roles with a device's code. The SDK takes such roles too, and leaves the device out.
//!
//! The SDK's own reader gives the profiles; everything before the first role with a device stays the SDK's.

use aws_credential_types::Credentials;
use aws_runtime::env_config::file::EnvConfigFiles;
use aws_runtime::env_config::section::{EnvConfigSections, Profile};
use aws_runtime::env_config::source;
use aws_types::os_shim_internal::{Env, Fs};

use super::auth::Base;
use crate::ProviderErrorKind;

/// A role of a profile.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(super) struct ProfileRole {
    /// Name of the profile.
    pub(super) profile: String,
    /// ARN of the role.
    pub(super) arn: String,
    /// ARN or number of the device whose code the role wants.
    pub(super) serial: Option<String>,
    /// Name of the session.
    pub(super) session_name: Option<String>,
    /// What the role's owner asks for.
    pub(super) external_id: Option<String>,
    /// How long the session lasts, in seconds.
    pub(super) seconds: Option<i32>,
}

/// Who takes the first of the roles.
#[derive(Debug, Clone, PartialEq)]
pub(super) enum Origin {
    /// Whoever this profile says, by the SDK.
    Profile(String),
    /// These keys.
    Keys(Credentials),
    /// `Environment`, `EcsContainer` or `Ec2InstanceMetadata`.
    Named(String),
}

/// Roles that are taken one after the other; the first one wants a code.
#[derive(Debug, PartialEq)]
pub(super) struct Chain {
    pub(super) origin: Origin,
    pub(super) roles: Vec<ProfileRole>,
}

/// Returns the chain of roles that credentials of this origin lead to, if one of them wants a code.
///
/// # Errors
/// If a profile with a device cannot be used. What the SDK itself refuses is left to it.
pub(super) async fn chain(base: &Base) -> Result<Option<Chain>, ProviderErrorKind> {
    chain_in(base, &Env::real(), &Fs::real()).await
}

async fn chain_in(base: &Base, env: &Env, fs: &Fs) -> Result<Option<Chain>, ProviderErrorKind> {
    let has = |name: &str| env.get(name).is_ok_and(|text| !text.trim().is_empty());
    let name = match base {
        // Keys in the environment go before profiles.
        Base::Environment if has("AWS_ACCESS_KEY_ID") && has("AWS_SECRET_ACCESS_KEY") => return Ok(None),
        Base::Environment => None,
        Base::Profile(name) => Some(name),
        Base::Keys(_) | Base::WebIdentity { .. } => return Ok(None),
    };
    // Files that cannot be read or parsed are the SDK's to complain about.
    let Ok(mut source) = source::load(env, fs, &EnvConfigFiles::default()).await else { return Ok(None) };
    if let Some(name) = name {
        source.profile = name.clone().into();
    }
    let Ok(profiles) = EnvConfigSections::parse(source) else { return Ok(None) };
    resolve(&profiles)
}

fn resolve(profiles: &EnvConfigSections) -> Result<Option<Chain>, ProviderErrorKind> {
    let mut roles: Vec<ProfileRole> = Vec::new();
    let mut name = profiles.selected_profile();
    let origin = loop {
        let Some(profile) = profiles.get_profile(name) else { break Origin::Profile(name.to_owned()) };
        if roles.iter().any(|role| role.profile == name) {
            return Ok(None);
        }
        // As the SDK: keys of a profile that another one names go before its role.
        if let Some(keys) = keys(profile).filter(|_| !roles.is_empty()) {
            break Origin::Keys(keys);
        }
        let Some(role) = role(profile) else { break Origin::Profile(name.to_owned()) };
        roles.push(role);
        match (profile.get("source_profile"), profile.get("credential_source")) {
            (Some(_), Some(_)) => return Ok(None),
            (None, Some(source)) => break Origin::Named(source.to_owned()),
            (Some(source), None) if source != name => name = source,
            (source, None) => match keys(profile) {
                Some(keys) => break Origin::Keys(keys),
                None if source.is_none() => return Ok(None),
                None => return unusable(&roles),
            },
        }
    };
    Ok(from_the_first_device(origin, roles))
}

/// A profile that is its own source.
fn unusable(roles: &[ProfileRole]) -> Result<Option<Chain>, ProviderErrorKind> {
    match roles.last().filter(|_| roles.iter().any(|role| role.serial.is_some())) {
        None => Ok(None),
        Some(role) => Err(ProviderErrorKind::Invalid(format!(
            "AWS profile {:?} is its own source_profile and has no keys: a role with mfa_serial needs keys there, or a \
             source_profile of its own",
            role.profile
        ))),
    }
}

/// Leaves what comes before the first device to the SDK, and puts the roles in the order in which they are taken.
fn from_the_first_device(origin: Origin, mut roles: Vec<ProfileRole>) -> Option<Chain> {
    let first = roles.iter().rposition(|role| role.serial.is_some())?;
    let origin = match roles.get(first + 1) {
        Some(before) => Origin::Profile(before.profile.clone()),
        None => origin,
    };
    roles.truncate(first + 1);
    roles.reverse();
    Some(Chain { origin, roles })
}

fn role(profile: &Profile) -> Option<ProfileRole> {
    // A token for a role is no role that is taken with other credentials.
    if profile.get("web_identity_token_file").is_some() {
        return None;
    }
    let text = |name: &str| profile.get(name).filter(|text| !text.is_empty()).map(ToOwned::to_owned);
    Some(ProfileRole {
        profile: profile.name().to_owned(),
        arn: text("role_arn")?,
        serial: text("mfa_serial"),
        session_name: text("role_session_name"),
        external_id: text("external_id"),
        // As botocore: what is no number does not count.
        seconds: profile.get("duration_seconds").and_then(|text| text.trim().parse().ok()),
    })
}

fn keys(profile: &Profile) -> Option<Credentials> {
    let id = profile.get("aws_access_key_id")?;
    let key = profile.get("aws_secret_access_key")?;
    let token = profile.get("aws_session_token").map(ToOwned::to_owned);
    Some(Credentials::new(id, key, token, None, "ProfileFile"))
}

#[cfg(test)]
mod tests {
    use super::*;

    const CONFIG: &str = "\
[profile work]
role_arn = arn:aws:iam::1:role/work
source_profile = base
mfa_serial = arn:aws:iam::1:mfa/me
role_session_name = me@work
external_id = one
duration_seconds = 7200

[profile base]
aws_access_key_id = AKIDBASE
aws_secret_access_key = base

[profile outer]
role_arn = arn:aws:iam::2:role/outer
source_profile = work

[profile inner]
role_arn = arn:aws:iam::3:role/inner
source_profile = plain
mfa_serial = 12345
duration_seconds = soon

[profile plain]
role_arn = arn:aws:iam::4:role/plain
source_profile = base

[profile both]
role_arn = arn:aws:iam::5:role/both
source_profile = keyed

[profile keyed]
role_arn = arn:aws:iam::6:role/keyed
source_profile = base
mfa_serial = 6
aws_access_key_id = AKIDKEYED
aws_secret_access_key = keyed

[profile self]
role_arn = arn:aws:iam::7:role/self
source_profile = self
mfa_serial = 7
aws_access_key_id = AKIDSELF
aws_secret_access_key = self

[profile selfless]
role_arn = arn:aws:iam::8:role/self
source_profile = selfless
mfa_serial = 8

[profile machine]
role_arn = arn:aws:iam::9:role/machine
credential_source = Ec2InstanceMetadata
mfa_serial = 9

[profile round]
role_arn = arn:aws:iam::1:role/a
source_profile = about
mfa_serial = 1

[profile about]
role_arn = arn:aws:iam::1:role/b
source_profile = round

[profile token]
role_arn = arn:aws:iam::1:role/c
web_identity_token_file = /token
mfa_serial = 1

[profile alone]
mfa_serial = 1
";

    fn found(name: &str, variables: &[(&str, &str)]) -> Result<Option<Chain>, ProviderErrorKind> {
        let mut variables = variables.to_vec();
        variables.push(("HOME", "/home/me"));
        let fs = Fs::from_slice(&[("/home/me/.aws/config", CONFIG)]);
        let base = match name {
            "" => Base::Environment,
            name => Base::Profile(name.to_owned()),
        };
        pollster::block_on(chain_in(&base, &Env::from_slice(&variables), &fs))
    }

    fn work() -> ProfileRole {
        ProfileRole {
            profile: "work".to_owned(),
            arn: "arn:aws:iam::1:role/work".to_owned(),
            serial: Some("arn:aws:iam::1:mfa/me".to_owned()),
            session_name: Some("me@work".to_owned()),
            external_id: Some("one".to_owned()),
            seconds: Some(7200),
        }
    }

    fn keys(id: &str, key: &str) -> Origin {
        Origin::Keys(Credentials::new(id, key, None, None, "ProfileFile"))
    }

    #[test]
    fn roles_are_taken_from_the_first_device_on() {
        let chain = found("work", &[]).unwrap().unwrap();
        assert_eq!(chain, Chain { origin: keys("AKIDBASE", "base"), roles: vec![work()] });
        let chain = found("outer", &[]).unwrap().unwrap();
        assert_eq!((chain.roles.len(), &chain.roles[0]), (2, &work()));
        assert_eq!((chain.roles[1].profile.as_str(), &chain.roles[1].serial), ("outer", &None));
        let chain = found("inner", &[]).unwrap().unwrap();
        assert_eq!(chain.origin, Origin::Profile("plain".to_owned()));
        assert_eq!((chain.roles.len(), chain.roles[0].seconds), (1, None));
        let chain = found("machine", &[]).unwrap().unwrap();
        assert_eq!(chain.origin, Origin::Named("Ec2InstanceMetadata".to_owned()));
        let chain = found("self", &[]).unwrap().unwrap();
        assert_eq!((chain.origin, chain.roles.len()), (keys("AKIDSELF", "self"), 1));
    }

    #[test]
    fn without_a_device_everything_is_the_sdks() {
        // `keyed` has keys of its own, so nobody asks for its device there.
        for name in ["base", "plain", "both", "round", "token", "alone", "none"] {
            assert_eq!(found(name, &[]), Ok(None), "{name}");
        }
        let error = found("selfless", &[]).unwrap_err().to_string();
        assert!(error.contains("\"selfless\"") && error.contains("source_profile"), "{error}");
    }

    #[test]
    fn keys_of_the_environment_go_before_its_profile() {
        assert_eq!(found("", &[]), Ok(None));
        assert!(found("", &[("AWS_PROFILE", "work")]).unwrap().is_some());
        let keys = [("AWS_PROFILE", "work"), ("AWS_ACCESS_KEY_ID", "x"), ("AWS_SECRET_ACCESS_KEY", "y")];
        assert_eq!(found("", &keys), Ok(None));
        assert!(found("work", &keys[1..]).unwrap().is_some());
    }
}
