//! Reading metadata.

use std::collections::BTreeMap;

use sealops_formats::tree::Map;

use super::reader::Reader;
use super::{Field, Metadata};
use crate::sops::groups::{KeyGroup, KeyGroups};
use crate::sops::kind::KeyKind;
use crate::sops::master_key::{KeyEntry, MasterKey, parse};
use crate::sops::selector::{Selector, SelectorKind, TooManySelectors};
use crate::sops::timestamp::Timestamp;

/// Most master keys of one file.
pub const MAX_KEYS: usize = 4096;

/// Why metadata cannot be understood. Nothing in metadata is secret, but values are not quoted anyway.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum MetadataProblem {
    /// No metadata: the file is not encrypted. The text is SOPS's.
    #[error("sops metadata not found")]
    Missing,
    /// No master key in any group. The text is SOPS's.
    #[error("No keys found in file")]
    NoKeys,
    /// More than [`MAX_KEYS`].
    #[error("the file names more than {MAX_KEYS} keys")]
    TooManyKeys,
    /// A point in time is missing or not RFC 3339.
    #[error("sops metadata: {field} is no time in RFC 3339 format")]
    Time {
        /// The field.
        field: String,
    },
    /// A field has a type that cannot be converted.
    #[error("sops metadata: {field} is not {expected}")]
    WrongType {
        /// The field.
        field: String,
        /// What it should be.
        expected: &'static str,
    },
    /// A key is named in a way that names none.
    #[error("sops metadata: {field}: {problem}")]
    Key {
        /// The entry.
        field: String,
        /// Why.
        problem: String,
    },
    /// More than one selector.
    #[error(transparent)]
    Selectors(#[from] TooManySelectors),
    /// The metadata cannot be taken out of the tree.
    #[error(transparent)]
    Tree(#[from] sealops_formats::tree::MetadataError),
}

impl Metadata {
    /// Reads the metadata of a file.
    ///
    /// # Errors
    /// Returns the field that cannot be understood.
    pub fn parse(map: &Map) -> Result<Self, MetadataProblem> {
        let mut reader = Reader::new(Field::of_map(map), String::new());
        let last_modified = reader.text("lastmodified")?;
        let last_modified = Timestamp::parse(&last_modified)
            .map_err(|_| MetadataProblem::Time { field: "lastmodified".to_owned() })?;
        let mac = reader.text("mac")?;
        let version = Some(reader.text("version")?).filter(|version| !version.is_empty());
        let mac_only_encrypted = reader.boolean("mac_only_encrypted")?;
        let selector = selector(&mut reader)?;
        let threshold = reader.number("shamir_threshold")?;
        let groups = groups(&mut reader)?;
        let key_groups = KeyGroups { groups, threshold };
        match key_groups.groups.iter().map(KeyGroup::len).sum::<usize>() {
            keys if keys > MAX_KEYS => return Err(MetadataProblem::TooManyKeys),
            _ if key_groups.groups.is_empty() => return Err(MetadataProblem::NoKeys),
            _ => {}
        }
        let unknown = reader.rest();
        Ok(Self {
            last_modified,
            mac,
            version,
            selector: Some(selector),
            mac_only_encrypted,
            key_groups,
            unknown,
        })
    }
}

fn selector(reader: &mut Reader) -> Result<Selector, MetadataProblem> {
    let mut found = None;
    for kind in SelectorKind::ALL {
        let text = reader.text(kind.field())?;
        if !text.is_empty() && found.replace(Selector::stored(kind, text)).is_some() {
            return Err(TooManySelectors.into());
        }
    }
    Ok(found.unwrap_or_default())
}

/// Reads the keys at the top as the one group, or else the list of groups.
fn groups(reader: &mut Reader) -> Result<Vec<KeyGroup>, MetadataProblem> {
    let single = group(reader)?;
    let listed = reader.maps("key_groups")?;
    if !single.is_empty() {
        return Ok(vec![single]);
    }
    listed.into_iter().map(|mut reader| group(&mut reader)).collect()
}

/// Reads the keys of all kinds, in the order in which SOPS reads them.
fn group(reader: &mut Reader) -> Result<KeyGroup, MetadataProblem> {
    let mut keys = KeyGroup::new();
    for kind in KeyKind::ALL {
        for mut entry in reader.maps(kind.spec().metadata_field)? {
            keys.push(key_entry(kind, &mut entry)?.finish(entry));
        }
    }
    keys.extend(unknown_keys(reader)?);
    Ok(keys)
}

/// Takes lists of a later version: maps that hold `enc`.
fn unknown_keys(reader: &mut Reader) -> Result<Vec<KeyEntry>, MetadataProblem> {
    let mut keys = Vec::new();
    for list in reader.lists_with("enc") {
        for mut entry in reader.maps(&list)? {
            let created_at = Timestamp::parse(&entry.text("created_at")?).ok();
            let wrapped = entry.text("enc")?;
            let fields = entry.rest().into_iter().collect();
            let key = MasterKey::Unknown { list: list.clone(), fields };
            keys.push(KeyEntry { key, created_at, wrapped, unknown: BTreeMap::new() });
        }
    }
    Ok(keys)
}

impl KeyEntry {
    fn finish(mut self, rest: Reader) -> Self {
        self.unknown = rest.rest().into_iter().collect();
        self
    }
}

fn key_entry(kind: KeyKind, entry: &mut Reader) -> Result<KeyEntry, MetadataProblem> {
    let key = match kind {
        KeyKind::Age => MasterKey::Age { recipient: entry.text("recipient")? },
        KeyKind::Pgp => MasterKey::Pgp { fingerprint: entry.text("fp")? },
        KeyKind::Kms => MasterKey::Kms {
            arn: entry.text("arn")?,
            role: entry.text("role")?,
            context: entry.texts("context")?.into_iter().collect(),
            aws_profile: entry.text("aws_profile")?,
        },
        KeyKind::GcpKms => MasterKey::GcpKms { resource_id: entry.text("resource_id")? },
        KeyKind::AzureKeyVault => MasterKey::AzureKeyVault {
            vault_url: entry.text("vault_url")?,
            name: entry.text("name")?,
            version: entry.text("version")?,
        },
        KeyKind::HcVault => MasterKey::HcVault {
            vault_address: entry.text("vault_address")?,
            engine_path: entry.text("engine_path")?,
            key_name: entry.text("key_name")?,
        },
        KeyKind::HuaweiKms => {
            let key_id = entry.text("key_id")?;
            parse::one_huawei_kms(&key_id).map_err(|error| MetadataProblem::Key {
                field: format!("{}key_id", entry.place()),
                problem: error.to_string(),
            })?
        }
    };
    let wrapped = entry.text("enc")?;
    let created_at = if kind == KeyKind::Age {
        None
    } else {
        let text = entry.text("created_at")?;
        let field = format!("{}created_at", entry.place());
        Some(Timestamp::parse(&text).map_err(|_| MetadataProblem::Time { field })?)
    };
    Ok(KeyEntry { key, created_at, wrapped, unknown: BTreeMap::new() })
}
