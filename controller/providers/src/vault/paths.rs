//! Where a key of a store is in Vault.

/// Version of a KV store.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum KvVersion {
    V1,
    V2,
}

/// The place of a KV store.
#[derive(Debug, Clone)]
pub(crate) struct Mount {
    /// Mount, without slashes around; `None` where keys begin with theirs.
    pub(crate) path: Option<String>,
    pub(crate) version: KvVersion,
}

impl Mount {
    /// Returns the path of a value. Keys with the mount, and behind it `data/`, name the same value as those without.
    pub(crate) fn data(&self, key: &str) -> String {
        match (&self.path, self.version) {
            (Some(mount), KvVersion::V1) => format!("{mount}/{}", self.inner(mount, key)),
            (Some(mount), KvVersion::V2) => format!("{mount}/data/{}", self.inner(mount, key)),
            (None, KvVersion::V2) if !key.contains("/data/") => behind_first(key, "data"),
            (None, _) => key.to_owned(),
        }
    }

    /// Returns the path of what is known about a value; of a folder, for a key that ends with a slash.
    pub(crate) fn metadata(&self, key: &str) -> String {
        match (&self.path, self.version) {
            (Some(mount), KvVersion::V1) => format!("{mount}/{key}"),
            (Some(mount), KvVersion::V2) => format!("{mount}/metadata/{}", self.inner(mount, key)),
            (None, KvVersion::V1) => key.to_owned(),
            (None, KvVersion::V2) if key.contains("/data/") => key.replacen("/data/", "/metadata/", 1),
            (None, KvVersion::V2) => behind_first(key, "metadata"),
        }
    }

    /// Returns where external-secrets 2.9.0 and before kept the mark of a key that names its mount, if that is elsewhere.
    pub(crate) fn former_metadata(&self, key: &str) -> Option<String> {
        let mount = self.path.as_deref().filter(|_| self.version == KvVersion::V2)?;
        Some(format!("{mount}/metadata/{key}")).filter(|path| *path != self.metadata(key))
    }

    fn inner<'a>(&self, mount: &str, key: &'a str) -> &'a str {
        match key.strip_prefix(mount).and_then(|rest| rest.strip_prefix('/')) {
            Some(rest) if self.version == KvVersion::V2 => rest.strip_prefix("data/").unwrap_or(rest),
            Some(rest) => rest,
            None => key,
        }
    }
}

fn behind_first(key: &str, part: &str) -> String {
    match key.split_once('/') {
        Some((mount, rest)) => format!("{mount}/{part}/{rest}"),
        None => format!("{key}/{part}"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn mount(path: Option<&str>, version: KvVersion) -> Mount {
        Mount { path: path.map(str::to_owned), version }
    }

    #[test]
    fn values_are_where_upstream_looks() {
        use KvVersion::{V1, V2};
        for (path, version, key, data) in [
            (Some("secret"), V2, "foo", "secret/data/foo"),
            (Some("secret"), V2, "secret/foo", "secret/data/foo"),
            (Some("secret"), V2, "secret/data/foo", "secret/data/foo"),
            (Some("secret"), V2, "data/foo", "secret/data/data/foo"),
            (Some("secret"), V2, "secrets/foo", "secret/data/secrets/foo"),
            (Some("team/kv"), V2, "team/kv/a/b", "team/kv/data/a/b"),
            (Some("kv1"), V1, "foo", "kv1/foo"),
            (Some("kv1"), V1, "kv1/foo", "kv1/foo"),
            (Some("kv1"), V1, "kv1/data/foo", "kv1/data/foo"),
            (None, V2, "secret/foo", "secret/data/foo"),
            (None, V2, "secret/data/foo", "secret/data/foo"),
            (None, V2, "team/kv/data/foo", "team/kv/data/foo"),
            (None, V1, "kv1/foo", "kv1/foo"),
        ] {
            assert_eq!(mount(path, version).data(key), data, "{path:?} {key}");
        }
    }

    #[test]
    fn metadata_are_beside_them() {
        use KvVersion::{V1, V2};
        for (path, version, key, metadata, former) in [
            (Some("secret"), V2, "foo", "secret/metadata/foo", None),
            (Some("secret"), V2, "a/", "secret/metadata/a/", None),
            (Some("secret"), V2, "", "secret/metadata/", None),
            (
                Some("secret"),
                V2,
                "secret/data/foo",
                "secret/metadata/foo",
                Some("secret/metadata/secret/data/foo"),
            ),
            (None, V2, "secret/data/foo", "secret/metadata/foo", None),
            (None, V2, "secret/foo", "secret/metadata/foo", None),
            (Some("kv1"), V1, "a/", "kv1/a/", None),
        ] {
            let mount = mount(path, version);
            assert_eq!(mount.metadata(key), metadata, "{path:?} {key}");
            assert_eq!(mount.former_metadata(key).as_deref(), former, "{path:?} {key}");
        }
    }
}
