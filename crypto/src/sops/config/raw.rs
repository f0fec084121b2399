//! The shape of `.sops.yaml`: every field with its type.

use std::collections::BTreeMap;

use sealops_formats::manifest::{self, Node, ScalarKind, Value, WarningKind};

use super::{Config, ConfigError};
use crate::sops::kind::KeyKind;
use crate::sops::master_key::MasterKey;
use crate::sops::selector::SelectorKind;

/// Layout settings. SOPS has none for dotenv and INI.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct StoresSettings {
    /// Columns per level of YAML.
    pub yaml_indent: Option<i32>,
    /// Columns per level of JSON, -1 for a tab.
    pub json_indent: Option<i32>,
    /// The same for the envelope of binary files.
    pub json_binary_indent: Option<i32>,
}

#[derive(Debug, Default)]
pub(super) struct RawCreationRule {
    pub(super) path_regex: String,
    /// Keys outside of groups; an error in one counts when the rule is used.
    pub(super) keys: Vec<(KeyKind, Result<Vec<String>, ConfigError>)>,
    pub(super) aws_profile: String,
    pub(super) key_groups: Vec<RawGroup>,
    pub(super) shamir_threshold: usize,
    pub(super) selectors: Vec<(SelectorKind, String)>,
    pub(super) mac_only_encrypted: bool,
}

#[derive(Debug, Default)]
pub(super) struct RawGroup {
    pub(super) merge: Vec<RawGroup>,
    pub(super) age: Vec<String>,
    pub(super) pgp: Vec<String>,
    pub(super) kms: Vec<MasterKey>,
    pub(super) gcp_kms: Vec<String>,
    pub(super) huawei_kms: Vec<String>,
    pub(super) azure: Vec<MasterKey>,
    pub(super) hc_vault: Vec<String>,
}

#[derive(Debug, Default)]
pub(super) struct RawDestinationRule {
    pub(super) path_regex: String,
    pub(super) s3_bucket: String,
    pub(super) s3_prefix: String,
    pub(super) gcs_bucket: String,
    pub(super) gcs_prefix: String,
    pub(super) vault_path: String,
    pub(super) vault_address: String,
    pub(super) vault_mount: String,
    pub(super) vault_version: usize,
    pub(super) recreation_rule: RawCreationRule,
    pub(super) omit_extensions: bool,
}

pub(super) fn read(text: &[u8]) -> Result<Config, ConfigError> {
    let Some(document) = manifest::parse(text)?.into_iter().next() else { return Ok(Config::default()) };
    if let Some(warning) = document.warnings.iter().find(|warning| warning.kind == WarningKind::DuplicateKey)
    {
        return Err(ConfigError::DuplicateKey { line: warning.line, path: warning.path.clone() });
    }
    let mut unknown = Vec::new();
    let mut config = Config::default();
    let Some(mut top) = Fields::of(&document.root, "the configuration", &mut unknown)? else {
        return Ok(config);
    };
    if let Some(rules) = top.list("creation_rules")? {
        config.creation_rules = Some(top.each(rules, "creation_rules", creation_rule)?);
    }
    if let Some(rules) = top.list("destination_rules")? {
        config.destination_rules = top.each(rules, "destination_rules", destination_rule)?;
    }
    if let Some(node) = top.take("stores") {
        config.stores = stores(node, top.unknown)?;
    }
    top.finish();
    config.unknown_keys = unknown;
    Ok(config)
}

fn stores(node: &Node, unknown: &mut Vec<String>) -> Result<StoresSettings, ConfigError> {
    let mut settings = StoresSettings::default();
    let Some(mut stores) = Fields::of(node, "stores", unknown)? else { return Ok(settings) };
    let indent = |name: &str, stores: &mut Fields<'_, '_>| -> Result<Option<i32>, ConfigError> {
        let Some(node) = stores.take(name) else { return Ok(None) };
        let Some(mut store) = Fields::of(node, name, stores.unknown)? else { return Ok(None) };
        let indent = store.integer("indent")?;
        store.finish();
        Ok(indent)
    };
    settings.yaml_indent = indent("yaml", &mut stores)?;
    settings.json_indent = indent("json", &mut stores)?;
    settings.json_binary_indent = indent("json_binary", &mut stores)?;
    for empty in ["dotenv", "ini"] {
        if let Some(node) = stores.take(empty)
            && let Some(fields) = Fields::of(node, empty, stores.unknown)?
        {
            fields.finish();
        }
    }
    stores.finish();
    Ok(settings)
}

fn creation_rule(fields: &mut Fields<'_, '_>) -> Result<RawCreationRule, ConfigError> {
    let mut rule = RawCreationRule {
        path_regex: fields.text("path_regex")?,
        aws_profile: fields.text("aws_profile")?,
        shamir_threshold: fields.number("shamir_threshold")?,
        mac_only_encrypted: fields.boolean("mac_only_encrypted")?,
        ..RawCreationRule::default()
    };
    for kind in KeyKind::ALL {
        let name = kind.spec().rule_field;
        if kind == KeyKind::HuaweiKms {
            rule.keys.push((kind, Ok(fields.texts(name)?)));
        } else if let Some(node) = fields.take(name) {
            rule.keys.push((kind, key_list(node, name)));
        }
    }
    for kind in SelectorKind::ALL {
        let text = fields.text(kind.field())?;
        if !text.is_empty() {
            rule.selectors.push((kind, text));
        }
    }
    if let Some(groups) = fields.list("key_groups")? {
        rule.key_groups = fields.each(groups, "key_groups", group)?;
    }
    Ok(rule)
}

/// Reads a text with commas, or a list of texts.
fn key_list(node: &Node, field: &'static str) -> Result<Vec<String>, ConfigError> {
    let wrong = |found| ConfigError::KeyList { field, found };
    match &node.value {
        Value::Null => Ok(Vec::new()),
        Value::Scalar(ScalarKind::Text, text) => {
            let items = text.expose_str().unwrap_or_default().split(',').map(str::trim);
            Ok(items.filter(|item| !item.is_empty()).map(str::to_owned).collect())
        }
        Value::List(items) => items
            .iter()
            .map(|item| match &item.value {
                Value::Scalar(ScalarKind::Text, text) => Ok(text.expose_str().unwrap_or_default().to_owned()),
                _ => Err(wrong("a list with something else in it")),
            })
            .collect(),
        Value::Scalar(ScalarKind::Bool, _) => Err(wrong("bool")),
        Value::Scalar(ScalarKind::Int, _) => Err(wrong("int")),
        Value::Scalar(ScalarKind::Float, _) => Err(wrong("float64")),
        Value::Map(_) => Err(wrong("map[string]interface {}")),
    }
}

fn group(fields: &mut Fields<'_, '_>) -> Result<RawGroup, ConfigError> {
    let mut read = RawGroup {
        age: fields.texts("age")?,
        pgp: fields.texts("pgp")?,
        hc_vault: fields.texts("hc_vault")?,
        ..RawGroup::default()
    };
    if let Some(groups) = fields.list("merge")? {
        read.merge = fields.each(groups, "merge", group)?;
    }
    if let Some(keys) = fields.list("kms")? {
        read.kms = fields.each(keys, "kms", |key| {
            Ok(MasterKey::Kms {
                arn: key.text("arn")?,
                role: key.text("role")?,
                context: key.text_map("context")?,
                aws_profile: key.text("aws_profile")?,
            })
        })?;
    }
    if let Some(keys) = fields.list("gcp_kms")? {
        read.gcp_kms = fields.each(keys, "gcp_kms", |key| key.text("resource_id"))?;
    }
    if let Some(keys) = fields.list("hckms")? {
        read.huawei_kms = fields.each(keys, "hckms", |key| key.text("key_id"))?;
    }
    if let Some(keys) = fields.list("azure_keyvault")? {
        read.azure = fields.each(keys, "azure_keyvault", |key| {
            Ok(MasterKey::AzureKeyVault {
                vault_url: key.text("vaultUrl")?,
                name: key.text("key")?,
                version: key.text("version")?,
            })
        })?;
    }
    Ok(read)
}

fn destination_rule(fields: &mut Fields<'_, '_>) -> Result<RawDestinationRule, ConfigError> {
    let mut rule = RawDestinationRule {
        path_regex: fields.text("path_regex")?,
        s3_bucket: fields.text("s3_bucket")?,
        s3_prefix: fields.text("s3_prefix")?,
        gcs_bucket: fields.text("gcs_bucket")?,
        gcs_prefix: fields.text("gcs_prefix")?,
        vault_path: fields.text("vault_path")?,
        vault_address: fields.text("vault_address")?,
        vault_mount: fields.text("vault_kv_mount_name")?,
        vault_version: fields.number("vault_kv_version")?,
        omit_extensions: fields.boolean("omit_extensions")?,
        ..RawDestinationRule::default()
    };
    if let Some(node) = fields.take("recreation_rule")
        && let Some(mut inner) = Fields::of(node, "recreation_rule", fields.unknown)?
    {
        rule.recreation_rule = creation_rule(&mut inner)?;
        inner.finish();
    }
    Ok(rule)
}

/// The fields of one map; those that nobody asks for are unknown.
struct Fields<'n, 'u> {
    entries: Vec<(&'n str, &'n Node)>,
    place: String,
    unknown: &'u mut Vec<String>,
}

impl<'n, 'u> Fields<'n, 'u> {
    /// Opens a map; `None` where there is no value.
    fn of(node: &'n Node, place: &str, unknown: &'u mut Vec<String>) -> Result<Option<Self>, ConfigError> {
        match &node.value {
            Value::Null => Ok(None),
            Value::Map(entries) => {
                let entries = entries.iter().map(|(key, node)| (key.as_str(), node)).collect();
                Ok(Some(Self { entries, place: place.to_owned(), unknown }))
            }
            _ => Err(wrong(node, place, "a map")),
        }
    }

    fn finish(self) {
        let place = &self.place;
        self.unknown
            .extend(self.entries.iter().map(|(key, node)| format!("line {}: {place}: {key}", node.line)));
    }

    fn take(&mut self, name: &str) -> Option<&'n Node> {
        let at = self.entries.iter().position(|(key, _)| *key == name)?;
        Some(self.entries.remove(at).1)
    }

    fn list(&mut self, name: &str) -> Result<Option<&'n [Node]>, ConfigError> {
        match self.take(name) {
            None => Ok(None),
            Some(node) => match &node.value {
                Value::Null => Ok(None),
                Value::List(items) => Ok(Some(items)),
                _ => Err(wrong(node, name, "a list")),
            },
        }
    }

    /// Reads every map of a list; an empty element has no fields.
    fn each<T>(
        &mut self,
        items: &[Node],
        name: &str,
        read: impl Fn(&mut Fields<'_, '_>) -> Result<T, ConfigError>,
    ) -> Result<Vec<T>, ConfigError> {
        let mut list = Vec::with_capacity(items.len());
        for (index, item) in items.iter().enumerate() {
            let place = format!("{name}[{index}]");
            let mut fields = match Fields::of(item, &place, self.unknown)? {
                Some(fields) => fields,
                None => Fields { entries: Vec::new(), place, unknown: self.unknown },
            };
            list.push(read(&mut fields)?);
            fields.finish();
        }
        Ok(list)
    }

    fn text(&mut self, name: &str) -> Result<String, ConfigError> {
        match self.take(name) {
            None => Ok(String::new()),
            Some(node) => text(node, name),
        }
    }

    fn texts(&mut self, name: &str) -> Result<Vec<String>, ConfigError> {
        let items = self.list(name)?.unwrap_or_default();
        items.iter().map(|item| text(item, name)).collect()
    }

    fn text_map(&mut self, name: &str) -> Result<BTreeMap<String, String>, ConfigError> {
        let Some(node) = self.take(name) else { return Ok(BTreeMap::new()) };
        match &node.value {
            Value::Null => Ok(BTreeMap::new()),
            Value::Map(entries) => {
                entries.iter().map(|(key, node)| Ok((key.clone(), text(node, name)?))).collect()
            }
            _ => Err(wrong(node, name, "a map")),
        }
    }

    fn integer(&mut self, name: &str) -> Result<Option<i32>, ConfigError> {
        let Some(node) = self.take(name) else { return Ok(None) };
        match &node.value {
            Value::Null => Ok(None),
            Value::Scalar(ScalarKind::Int, digits) => {
                let number = digits.expose_str().and_then(|digits| digits.parse().ok());
                number.map(Some).ok_or_else(|| wrong(node, name, "a small whole number"))
            }
            _ => Err(wrong(node, name, "a whole number")),
        }
    }

    fn number(&mut self, name: &str) -> Result<usize, ConfigError> {
        let line = self.entries.iter().find(|(key, _)| *key == name).map_or(0, |(_, node)| node.line);
        let number = self.integer(name)?.unwrap_or(0);
        let wrong = |_| ConfigError::WrongType { line, field: name.to_owned(), expected: "a number from 0" };
        usize::try_from(number).map_err(wrong)
    }

    fn boolean(&mut self, name: &str) -> Result<bool, ConfigError> {
        let Some(node) = self.take(name) else { return Ok(false) };
        match &node.value {
            Value::Null => Ok(false),
            Value::Scalar(ScalarKind::Bool, word) => Ok(word.expose() == b"true"),
            _ => Err(wrong(node, name, "true or false")),
        }
    }
}

fn text(node: &Node, name: &str) -> Result<String, ConfigError> {
    match &node.value {
        Value::Null => Ok(String::new()),
        Value::Scalar(_, text) => Ok(text.expose_str().unwrap_or_default().to_owned()),
        _ => Err(wrong(node, name, "a text")),
    }
}

fn wrong(node: &Node, field: &str, expected: &'static str) -> ConfigError {
    ConfigError::WrongType { line: node.line, field: field.to_owned(), expected }
}
