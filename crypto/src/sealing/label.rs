//! Scopes, and the OAEP labels that enforce them.

use std::fmt;
use std::str::FromStr;

/// Where a sealed value may be opened.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default)]
pub enum Scope {
    /// In one namespace under one name.
    #[default]
    Strict,
    /// In one namespace under any name.
    NamespaceWide,
    /// Anywhere in the cluster.
    ClusterWide,
}

impl Scope {
    /// Every scope, narrowest first.
    pub const ALL: [Self; 3] = [Self::Strict, Self::NamespaceWide, Self::ClusterWide];

    /// Returns the name that kubeseal's `--scope` takes.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Strict => "strict",
            Self::NamespaceWide => "namespace-wide",
            Self::ClusterWide => "cluster-wide",
        }
    }
}

impl fmt::Display for Scope {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

/// The name of a scope that does not exist.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("unrecognized scope {0:?}; it is one of strict, namespace-wide, cluster-wide")]
pub struct UnknownScope(String);

impl FromStr for Scope {
    type Err = UnknownScope;

    fn from_str(name: &str) -> Result<Self, UnknownScope> {
        Self::ALL.into_iter().find(|scope| scope.name() == name).ok_or_else(|| UnknownScope(name.to_owned()))
    }
}

/// The OAEP label of a value: `namespace/name`, `namespace` or nothing.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Label(Vec<u8>);

impl Label {
    /// Returns the label of the values of one Secret.
    pub fn for_secret(scope: Scope, namespace: &str, name: &str) -> Self {
        Self(match scope {
            Scope::Strict => format!("{namespace}/{name}").into_bytes(),
            Scope::NamespaceWide => namespace.as_bytes().to_vec(),
            Scope::ClusterWide => Vec::new(),
        })
    }

    /// Returns the label's bytes.
    pub fn as_bytes(&self) -> &[u8] {
        &self.0
    }
}
