//! `sealops explain`: whom decrypting a file would contact. Contacts nobody.

use std::path::Path;

use sealops_crypto::sops::{KeyEntry, KeyPolicy, MasterKey};
use serde::Serialize;

use super::network_keys;
use super::open::{self, Source};
use super::session::Types;
use crate::error::CommandError;

/// What a file would do.
#[derive(Debug, Serialize)]
pub(crate) struct Explanation {
    pub(crate) file: String,
    /// Groups of which a key each is needed.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) needed: Option<usize>,
    pub(crate) groups: Vec<Vec<Key>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) problem: Option<String>,
}

/// One key of it.
#[derive(Debug, Serialize)]
pub(crate) struct Key {
    /// The list in which it stands.
    #[serde(rename = "type")]
    pub(crate) list: String,
    pub(crate) key: String,
    /// Addresses that would be asked, and programs that would be started.
    pub(crate) contacts: Vec<String>,
    pub(crate) allowed: bool,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) refused: Option<String>,
}

impl Explanation {
    /// Returns whether nothing in it is refused or wrong.
    pub(crate) fn is_good(&self) -> bool {
        self.problem.is_none() && self.groups.iter().flatten().all(|key| key.allowed)
    }

    /// Writes it for people.
    pub(crate) fn text(&self) -> String {
        let mut text = format!("{}\n", self.file);
        if let Some(problem) = &self.problem {
            text.push_str(&format!("  {problem}\n"));
        }
        if let Some(needed) = self.needed {
            let groups = self.groups.len();
            text.push_str(&match groups {
                1 => "  any of these keys opens it\n".to_owned(),
                _ => format!("  a key of each of {needed} of these {groups} groups is needed\n"),
            });
        }
        for (index, group) in self.groups.iter().enumerate() {
            if self.groups.len() > 1 {
                text.push_str(&format!("  group {index}\n"));
            }
            for key in group {
                text.push_str(&format!("    {:<8} {}\n", key.list, key.key));
                let contacts = match key.contacts.as_slice() {
                    [] => "nobody: this machine's own keys".to_owned(),
                    contacts => contacts.join(", "),
                };
                text.push_str(&format!("             contacts {contacts}\n"));
                if let Some(refused) = &key.refused {
                    text.push_str(&format!("             refused: {refused}\n"));
                }
            }
        }
        text
    }
}

/// Explains a file.
pub(crate) fn explain(path: &Path, types: &Types, policy: &KeyPolicy) -> Explanation {
    let mut explanation =
        Explanation { file: path.display().to_string(), needed: None, groups: Vec::new(), problem: None };
    let (format, _) = types.of(path);
    match open::load(&Source::File(path.to_owned()), format) {
        Ok(file) => {
            let groups = &file.metadata().key_groups;
            explanation.needed = Some(groups.needed());
            explanation.groups = groups
                .groups
                .iter()
                .map(|group| group.iter().map(|key| one(key, policy)).collect())
                .collect();
        }
        Err(CommandError { error, .. }) => explanation.problem = Some(error),
    }
    explanation
}

fn one(entry: &KeyEntry, policy: &KeyPolicy) -> Key {
    let refused = policy.check(&entry.key).err().map(|refusal| refusal.to_string());
    let refused = refused.or_else(|| network_keys::forbidden(&entry.key));
    Key {
        list: entry.key.list().to_owned(),
        key: entry.key.to_string(),
        contacts: contacts(&entry.key),
        allowed: refused.is_none(),
        refused,
    }
}

/// Returns whom a key contacts: the variables of the AWS client count, its configuration file does not.
fn contacts(key: &MasterKey) -> Vec<String> {
    match key {
        MasterKey::Age { recipient } => plugin(recipient).into_iter().collect(),
        MasterKey::Pgp { .. } => Vec::new(),
        MasterKey::Kms { arn, role, .. } => {
            let mut contacts = vec![aws("kms", arn)];
            contacts.extend((!role.is_empty()).then(|| format!("{} for the role {role}", aws("sts", arn))));
            contacts
        }
        MasterKey::HcVault { vault_address, .. } => vec![vault_address.clone()],
        MasterKey::GcpKms { .. } => network_keys::google_contacts(),
        MasterKey::AzureKeyVault { vault_url, .. } => {
            vec![vault_url.clone(), network_keys::azure_authority(vault_url)]
        }
        MasterKey::HuaweiKms { key_id } => network_keys::huawei_contacts(key_id),
        other => vec![format!("an unknown place: keys of the list {} are not understood", other.list())],
    }
}

/// A recipient of a plugin names a program.
fn plugin(recipient: &str) -> Option<String> {
    let name = recipient.strip_prefix("age1")?.rsplit_once('1')?.0;
    (!name.is_empty() && name != "pq").then(|| format!("the program age-plugin-{name}"))
}

fn aws(service: &str, arn: &str) -> String {
    let variable = |name: &str| std::env::var(name).ok().filter(|text| !text.is_empty());
    let ignored = variable("AWS_IGNORE_CONFIGURED_ENDPOINT_URLS").is_some_and(|text| text == "true");
    let own = format!("AWS_ENDPOINT_URL_{}", service.to_ascii_uppercase());
    if let Some(url) = variable(&own).or_else(|| variable("AWS_ENDPOINT_URL")).filter(|_| !ignored) {
        return url;
    }
    let region = arn.split(':').nth(3).unwrap_or_default();
    let domain = if region.starts_with("cn-") { "amazonaws.com.cn" } else { "amazonaws.com" };
    format!("https://{service}.{region}.{domain}")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn plugins_are_programs_and_plain_recipients_are_not() {
        assert_eq!(plugin("age1yubikey1qxyz").as_deref(), Some("the program age-plugin-yubikey"));
        for recipient in ["age1pq1xyz", "age19au0y7s5nqeuhh6kz9sygha6md", "ssh-ed25519 AAAA"] {
            assert_eq!(plugin(recipient), None, "{recipient}");
        }
    }
}
