//! The template of an `ExternalSecret`'s target.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use crate::tolerant::null_default;

/// How the Secret is made of the values.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(rename_all = "camelCase", default)]
pub struct Template {
    /// Type of the Secret.
    #[serde(rename = "type", skip_serializing_if = "Option::is_none")]
    pub type_: Option<String>,
    /// Version of the template language.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub engine_version: Option<EngineVersion>,
    /// Whether values that no template names are kept.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub merge_policy: Option<MergePolicy>,
    /// Metadata of the Secret.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub metadata: Option<TemplateMetadata>,
    /// Templates by key; they win over templateFrom.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub data: Option<BTreeMap<String, String>>,
    /// Templates from elsewhere; later ones win.
    #[serde(skip_serializing_if = "Vec::is_empty", deserialize_with = "null_default")]
    pub template_from: Vec<TemplateFrom>,
}

words! {
    /// Version of the template language.
    pub enum EngineVersion {
        /// The one there is.
        V2 = "v2",
    }
}

words! {
    /// Whether values that no template names are kept.
    pub enum MergePolicy {
        /// Only what a template names is kept.
        Replace = "Replace",
        /// Templates are laid over the values.
        Merge = "Merge",
    }
}

/// Metadata of the Secret.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(rename_all = "camelCase", default)]
pub struct TemplateMetadata {
    /// Annotations; the values are templates.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub annotations: Option<BTreeMap<String, String>>,
    /// Labels; the values are templates.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub labels: Option<BTreeMap<String, String>>,
    /// Finalizers to add.
    #[serde(skip_serializing_if = "Vec::is_empty", deserialize_with = "null_default")]
    pub finalizers: Vec<String>,
}

/// A template from elsewhere.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(rename_all = "camelCase", default)]
pub struct TemplateFrom {
    /// From a ConfigMap.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub config_map: Option<TemplateRef>,
    /// From a Secret.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub secret: Option<TemplateRef>,
    /// Right here.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub literal: Option<String>,
    /// Part of the target to fill: Data, Annotations, Labels, or a path in a target that is not a Secret.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub target: Option<String>,
    /// How rendered values are decoded.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub values_decoding_strategy: Option<crate::external_secret::DecodingStrategy>,
}

/// Keys of a ConfigMap or Secret that are templates.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(rename_all = "camelCase", default)]
pub struct TemplateRef {
    /// Name of the ConfigMap or Secret.
    pub name: String,
    /// The keys.
    #[serde(deserialize_with = "null_default")]
    pub items: Vec<TemplateItem>,
}

/// One key that is a template.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(rename_all = "camelCase", default)]
pub struct TemplateItem {
    /// The key.
    pub key: String,
    /// What the rendered text is.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub template_as: Option<TemplateAs>,
}

words! {
    /// What the rendered text is.
    pub enum TemplateAs {
        /// One value.
        Values = "Values",
        /// A YAML map of keys and values.
        KeysAndValues = "KeysAndValues",
    }
}
