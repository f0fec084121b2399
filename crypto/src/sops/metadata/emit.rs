//! Writing metadata as 3.13.3 does: keys sorted, empty fields left out.

use sealops_formats::tree::Map;

use super::{Field, Metadata, SOPS_VERSION};
use crate::sops::groups::KeyGroup;
use crate::sops::kind::KeyKind;
use crate::sops::master_key::{KeyEntry, MasterKey};

type Fields = Vec<(String, Field)>;

impl Metadata {
    /// Writes the metadata.
    pub fn to_map(&self) -> Map {
        let mut fields: Fields = self.unknown.clone();
        put_text(&mut fields, "lastmodified", self.last_modified.as_str());
        put_text(&mut fields, "mac", &self.mac);
        // SOPS refuses files without a version.
        put_text(&mut fields, "version", self.version.as_deref().unwrap_or(SOPS_VERSION));
        if let Some(selector) = &self.selector {
            put_text(&mut fields, selector.kind().field(), selector.text());
        }
        if self.mac_only_encrypted {
            fields.push(("mac_only_encrypted".to_owned(), Field::Bool(true)));
        }
        if self.key_groups.threshold > 0 {
            let threshold = i64::try_from(self.key_groups.threshold).unwrap_or(i64::MAX);
            fields.push(("shamir_threshold".to_owned(), Field::Int(threshold)));
        }
        match self.key_groups.groups.as_slice() {
            [] => {}
            [group] => fields.extend(lists(group)),
            groups => {
                let groups = groups.iter().map(|group| Field::Map(listed_group(group))).collect();
                fields.push(("key_groups".to_owned(), Field::List(groups)));
            }
        }
        Field::to_map(&fields)
    }
}

fn put_text(fields: &mut Fields, name: &str, text: &str) {
    fields.push((name.to_owned(), Field::Text(text.to_owned())));
}

/// Writes the non-empty lists of a group.
fn lists(group: &KeyGroup) -> Fields {
    let mut fields = Fields::new();
    for entry in group {
        let list = entry.key.list();
        let at = fields.iter().position(|(name, _)| name == list).unwrap_or_else(|| {
            fields.push((list.to_owned(), Field::List(Vec::new())));
            fields.len() - 1
        });
        if let Field::List(items) = &mut fields[at].1 {
            items.push(Field::Map(key(entry)));
        }
    }
    fields
}

/// Writes a group of several: `age` and `hc_vault` stand there even when they are empty.
fn listed_group(group: &KeyGroup) -> Fields {
    let mut fields = lists(group);
    for kind in [KeyKind::Age, KeyKind::HcVault] {
        let name = kind.spec().metadata_field;
        if fields.iter().all(|(list, _)| list != name) {
            fields.push((name.to_owned(), Field::List(Vec::new())));
        }
    }
    fields
}

fn key(entry: &KeyEntry) -> Fields {
    let mut fields: Fields = entry.unknown.clone().into_iter().collect();
    let mut put = |name, text: &str| put_text(&mut fields, name, text);
    put("enc", &entry.wrapped);
    if let Some(created_at) = &entry.created_at {
        put("created_at", created_at.as_str());
    }
    match &entry.key {
        MasterKey::Age { recipient } => put("recipient", recipient),
        MasterKey::Pgp { fingerprint } => put("fp", fingerprint),
        MasterKey::Kms { arn, role, context, aws_profile } => {
            put("arn", arn);
            put("aws_profile", aws_profile);
            if !role.is_empty() {
                put("role", role);
            }
            if !context.is_empty() {
                let context = context.iter().map(|(key, value)| (key.clone(), Field::Text(value.clone())));
                fields.push(("context".to_owned(), Field::Map(context.collect())));
            }
        }
        MasterKey::GcpKms { resource_id } => put("resource_id", resource_id),
        MasterKey::AzureKeyVault { vault_url, name, version } => {
            put("vault_url", vault_url);
            put("name", name);
            put("version", version);
        }
        MasterKey::HcVault { vault_address, engine_path, key_name } => {
            put("vault_address", vault_address);
            put("engine_path", engine_path);
            put("key_name", key_name);
        }
        MasterKey::HuaweiKms { key_id } => put("key_id", key_id),
        MasterKey::Unknown { fields: own, .. } => fields.extend(own.clone()),
    }
    fields
}
