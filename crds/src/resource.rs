//! What every custom resource has: its group, version and names, and its metadata.

use serde::Serialize;
use serde::de::DeserializeOwned;

use crate::metadata::Metadata;

/// Whether objects of a kind live in a namespace.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Reach {
    /// One object per namespace and name.
    Namespaced,
    /// One object per name.
    Cluster,
}

/// A kind of custom resource, for code that works on all of them.
pub trait CustomResource: Clone + Default + Serialize + DeserializeOwned {
    /// API group.
    const GROUP: &'static str;
    /// API version without the group.
    const VERSION: &'static str;
    /// `group/version`, as in the field `apiVersion`.
    const API_VERSION: &'static str;
    /// Kind, as in the field `kind`.
    const KIND: &'static str;
    /// Plural resource name, as in URLs and RBAC rules.
    const PLURAL: &'static str;
    /// Whether it is namespaced.
    const REACH: Reach;

    /// Returns the object's metadata.
    fn metadata(&self) -> &Metadata;
    /// Returns the object's metadata to change.
    fn metadata_mut(&mut self) -> &mut Metadata;
}

/// Implements [`CustomResource`] and the same constants on the type itself, and a `Default` that carries its own kind.
macro_rules! resource {
    ($type:ident, $reach:ident, $group:literal / $version:literal, $plural:literal) => {
        impl $type {
            /// API group.
            pub const GROUP: &'static str = $group;
            /// API version without the group.
            pub const VERSION: &'static str = $version;
            /// `group/version`, as in the field `apiVersion`.
            pub const API_VERSION: &'static str = concat!($group, "/", $version);
            /// Kind, as in the field `kind`.
            pub const KIND: &'static str = stringify!($type);
            /// Plural resource name, as in URLs and RBAC rules.
            pub const PLURAL: &'static str = $plural;
        }

        impl Default for $type {
            fn default() -> Self {
                Self {
                    api_version: Self::API_VERSION.to_owned(),
                    kind: Self::KIND.to_owned(),
                    metadata: Default::default(),
                    spec: Default::default(),
                    status: None,
                }
            }
        }

        impl $crate::resource::CustomResource for $type {
            const GROUP: &'static str = $type::GROUP;
            const VERSION: &'static str = $type::VERSION;
            const API_VERSION: &'static str = $type::API_VERSION;
            const KIND: &'static str = $type::KIND;
            const PLURAL: &'static str = $type::PLURAL;
            const REACH: $crate::resource::Reach = $crate::resource::Reach::$reach;

            fn metadata(&self) -> &$crate::metadata::Metadata {
                &self.metadata
            }
            fn metadata_mut(&mut self) -> &mut $crate::metadata::Metadata {
                &mut self.metadata
            }
        }
    };
}
pub(crate) use resource;
