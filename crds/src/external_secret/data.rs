//! What an `ExternalSecret` fetches: single keys and sets of keys.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use super::StoreRef;
use crate::tolerant::null_default;

/// One key of the Secret.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(rename_all = "camelCase", default)]
pub struct DataEntry {
    /// Key in the Secret.
    pub secret_key: String,
    /// Where the value is.
    #[serde(deserialize_with = "null_default")]
    pub remote_ref: RemoteRef,
    /// Store of this entry.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub source_ref: Option<SourceRef>,
}

/// Where a value is in a store.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(rename_all = "camelCase", default)]
pub struct RemoteRef {
    /// Name in the store.
    pub key: String,
    /// Whether the value or its metadata is fetched.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub metadata_policy: Option<MetadataPolicy>,
    /// Part of a structured value.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub property: Option<String>,
    /// Version in the store.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub version: Option<String>,
    /// How key names are made valid.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub conversion_strategy: Option<ConversionStrategy>,
    /// How values are decoded.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub decoding_strategy: Option<DecodingStrategy>,
    /// Whether a zero byte in a value is an error.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub null_byte_policy: Option<NullBytePolicy>,
}

words! {
    /// Whether the value or its metadata is fetched.
    pub enum MetadataPolicy {
        /// The value.
        None = "None",
        /// The metadata.
        Fetch = "Fetch",
    }
}

words! {
    /// How key names are made valid.
    pub enum ConversionStrategy {
        /// Each invalid character becomes `_`.
        Default = "Default",
        /// Each invalid character becomes its code point.
        Unicode = "Unicode",
    }
}

words! {
    /// How values are decoded.
    pub enum DecodingStrategy {
        /// Whatever fits; a plain word may fit too.
        Auto = "Auto",
        /// Standard base64.
        Base64 = "Base64",
        /// URL-safe base64.
        Base64Url = "Base64URL",
        /// Not at all.
        None = "None",
    }
}

words! {
    /// What happens when a value holds a zero byte.
    pub enum NullBytePolicy {
        /// Nothing.
        Ignore = "Ignore",
        /// The refresh fails.
        Fail = "Fail",
    }
}

/// Where an entry comes from when not from the default store.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(rename_all = "camelCase", default)]
pub struct SourceRef {
    /// A store.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub store_ref: Option<StoreRef>,
    /// A generator; only in dataFrom.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub generator_ref: Option<GeneratorRef>,
}

/// Names a generator.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(rename_all = "camelCase", default)]
pub struct GeneratorRef {
    /// Group and version of the generator.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub api_version: Option<String>,
    /// Kind of the generator.
    pub kind: String,
    /// Name of the generator.
    pub name: String,
}

/// A set of keys: one of extract, find and a generator.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(rename_all = "camelCase", default)]
pub struct DataFromEntry {
    /// All properties of one structured value.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub extract: Option<RemoteRef>,
    /// All values that match.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub find: Option<Find>,
    /// Changes of the key names, in order.
    #[serde(skip_serializing_if = "Vec::is_empty", deserialize_with = "null_default")]
    pub rewrite: Vec<Rewrite>,
    /// Store or generator of this entry.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub source_ref: Option<SourceRef>,
}

/// Which values of a store are meant.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(rename_all = "camelCase", default)]
pub struct Find {
    /// Where to look.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub path: Option<String>,
    /// By name.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub name: Option<FindName>,
    /// By tags, all of which must match.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub tags: Option<BTreeMap<String, String>>,
    /// How key names are made valid.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub conversion_strategy: Option<ConversionStrategy>,
    /// How values are decoded.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub decoding_strategy: Option<DecodingStrategy>,
    /// Whether a zero byte in a value is an error.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub null_byte_policy: Option<NullBytePolicy>,
}

/// Which names are meant.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(rename_all = "camelCase", default)]
pub struct FindName {
    /// Regular expression that the name has to match somewhere.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub regexp: Option<String>,
}

/// One change of the key names: one of its fields.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(rename_all = "camelCase", default)]
pub struct Rewrite {
    /// Joins the objects that are the values.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub merge: Option<RewriteMerge>,
    /// Replaces what matches.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub regexp: Option<RewriteRegexp>,
    /// Renders a template.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub transform: Option<RewriteTransform>,
}

/// Joins the objects that are the values.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(rename_all = "camelCase", default)]
pub struct RewriteMerge {
    /// Key of the joined object under JSON.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub into: Option<String>,
    /// Keys that are joined last, in this order.
    #[serde(skip_serializing_if = "Vec::is_empty", deserialize_with = "null_default")]
    pub priority: Vec<String>,
    /// Whether every key of priority has to exist.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub priority_policy: Option<PriorityPolicy>,
    /// Whether a key that occurs twice is an error.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub conflict_policy: Option<ConflictPolicy>,
    /// What becomes of the joined object.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub strategy: Option<MergeStrategy>,
}

words! {
    /// Whether every key of priority has to exist.
    pub enum PriorityPolicy {
        /// A missing key is passed over.
        IgnoreNotFound = "IgnoreNotFound",
        /// A missing key is an error.
        Strict = "Strict",
    }
}

words! {
    /// What happens when a key occurs twice.
    pub enum ConflictPolicy {
        /// The later one wins.
        Ignore = "Ignore",
        /// The refresh fails.
        Error = "Error",
    }
}

words! {
    /// What becomes of the joined object.
    pub enum MergeStrategy {
        /// Its keys replace all others.
        Extract = "Extract",
        /// It is added as JSON.
        Json = "JSON",
    }
}

/// Replaces what matches in every key name.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(rename_all = "camelCase", default)]
pub struct RewriteRegexp {
    /// Regular expression.
    pub source: String,
    /// Replacement; `$1` and `${name}` refer to groups.
    pub target: String,
}

/// Renders a template for every key name.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(rename_all = "camelCase", default)]
pub struct RewriteTransform {
    /// Template; `.value` is the old name.
    pub template: String,
}
