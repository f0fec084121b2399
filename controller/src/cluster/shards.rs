//! Where proofs live between two runs: a few ConfigMaps in the controller's own namespace.
//!
//! A proof holds hashes and MACs only, so it needs no Secret, and a start that finds everything right writes no Secret
//! of any kind. Shards are written in batches and are only ever a shortcut: lost or damaged means one full pass.

use std::collections::{BTreeMap, HashMap, HashSet};

use aws_lc_rs::digest;
use k8s_openapi::api::core::v1::ConfigMap;
use kube::api::{Api, ListParams, ObjectMeta, PostParams};
use kube::{Client, ResourceExt};
use tracing::{debug, info, warn};

use super::lock;
use crate::object::ObjectKey;
use crate::sealed::Proof;

/// Number of shards; a change needs no migration, since entries of other shards are read as well.
pub const SHARDS: u8 = 16;
/// Largest shard that is written, in bytes; entries beyond it are left out and cost a full pass at the next start.
const MAX_SHARD_BYTES: usize = 900 << 10;
const LABEL: &str = "sealops.io/state";
const KIND: &str = "sealed-secrets";
const ENTRY: &str = "proofs.json";
const PREFIX: &str = "sealops-state-";

/// The proofs of this process, and which shards differ from what is stored.
#[derive(Debug, Default)]
pub struct Proofs {
    entries: HashMap<ObjectKey, Proof>,
    dirty: HashSet<u8>,
}

impl Proofs {
    /// Returns the proof of an object.
    pub fn get(&self, key: &ObjectKey) -> Option<&Proof> {
        self.entries.get(key)
    }

    /// Sets or removes the proof of an object.
    pub fn set(&mut self, key: &ObjectKey, proof: Option<Proof>) {
        let changed = match proof {
            Some(proof) if self.entries.get(key) == Some(&proof) => false,
            Some(proof) => {
                self.entries.insert(key.clone(), proof);
                true
            }
            None => self.entries.remove(key).is_some(),
        };
        if changed {
            self.dirty.insert(shard_of(key));
        }
    }

    /// Takes the shards that have to be written, with their content.
    fn take_dirty(&mut self) -> Vec<(u8, String)> {
        let dirty: Vec<u8> = self.dirty.drain().collect();
        let mut shards: HashMap<u8, BTreeMap<String, &Proof>> =
            dirty.iter().map(|&n| (n, BTreeMap::new())).collect();
        for (key, proof) in &self.entries {
            if let Some(shard) = shards.get_mut(&shard_of(key)) {
                shard.insert(key.to_string(), proof);
            }
        }
        shards.into_iter().map(|(number, shard)| (number, serialise(shard))).collect()
    }
}

fn serialise(mut shard: BTreeMap<String, &Proof>) -> String {
    loop {
        let text = serde_json::to_string(&shard).unwrap_or_default();
        if text.len() <= MAX_SHARD_BYTES {
            return text;
        }
        let keep = shard.len() * MAX_SHARD_BYTES / text.len();
        shard = shard.into_iter().take(keep).collect();
    }
}

fn shard_of(key: &ObjectKey) -> u8 {
    digest::digest(&digest::SHA256, key.to_string().as_bytes()).as_ref()[0] % SHARDS
}

/// Shards that were taken and are not written yet: they are dirty again when this is dropped, also where a save is
/// cancelled in the middle.
struct Unwritten<'a> {
    proofs: &'a std::sync::Mutex<Proofs>,
    shards: HashSet<u8>,
}

impl Drop for Unwritten<'_> {
    fn drop(&mut self) {
        lock(self.proofs).dirty.extend(self.shards.drain());
    }
}

/// Reads and writes the ConfigMaps.
pub struct ShardStore {
    api: Api<ConfigMap>,
    stored: HashMap<String, ConfigMap>,
    /// The rights for ConfigMaps are missing: as under upstream's manifests.
    forbidden: bool,
}

impl ShardStore {
    /// Makes a store in the controller's namespace.
    pub fn new(client: Client, namespace: &str) -> Self {
        Self { api: Api::namespaced(client, namespace), stored: HashMap::new(), forbidden: false }
    }

    /// Reads every shard. What cannot be read is a full pass, with a line in the log.
    pub async fn load(&mut self) -> Proofs {
        let mut proofs = Proofs::default();
        let selector = ListParams::default().labels(&format!("{LABEL}={KIND}"));
        let list = match self.api.list(&selector).await {
            Ok(list) => list,
            Err(kube::Error::Api(status)) if status.is_forbidden() => {
                self.forbidden = true;
                info!("no right to keep state in ConfigMaps; every start checks every object once");
                return proofs;
            }
            Err(error) => {
                warn!(%error, "cannot read the state shards (ConfigMaps); every object is checked once");
                return proofs;
            }
        };
        for shard in list {
            let text =
                shard.data.as_ref().and_then(|data| data.get(ENTRY)).map(String::as_str).unwrap_or_default();
            match serde_json::from_str::<BTreeMap<String, Proof>>(text) {
                Ok(entries) => proofs.entries.extend(entries.into_iter().filter_map(|(key, proof)| {
                    let (namespace, name) = key.split_once('/')?;
                    Some((ObjectKey::new(namespace, name), proof))
                })),
                Err(_) => {
                    warn!(shard = shard.name_any(), "a state shard is damaged; its objects are checked once");
                }
            }
            self.stored.insert(shard.name_any(), shard);
        }
        debug!(proofs = proofs.entries.len(), "read the state shards");
        proofs
    }

    /// Writes what changed. A failure is logged and written again with the next change.
    pub async fn save(&mut self, proofs: &std::sync::Mutex<Proofs>) {
        if self.forbidden {
            return;
        }
        let dirty = lock(proofs).take_dirty();
        let mut unwritten = Unwritten { proofs, shards: dirty.iter().map(|(number, _)| *number).collect() };
        for (number, text) in dirty {
            match self.write(number, text).await {
                Ok(()) => drop(unwritten.shards.remove(&number)),
                Err(error) => debug!(shard = number, %error, "cannot write a state shard"),
            }
        }
    }

    async fn write(&mut self, number: u8, text: String) -> Result<(), kube::Error> {
        let name = format!("{PREFIX}{number:02}");
        let data = BTreeMap::from([(ENTRY.to_owned(), text)]);
        let options = PostParams::default();
        if let Some(stored) = self.stored.get(&name) {
            if stored.data.as_ref() == Some(&data) {
                return Ok(());
            }
            let next = ConfigMap { data: Some(data.clone()), ..stored.clone() };
            match self.api.replace(&name, &options, &next).await {
                Ok(written) => return self.keep(name, written),
                Err(kube::Error::Api(status)) if status.code == 409 || status.code == 404 => {
                    self.stored.remove(&name);
                }
                Err(error) => return Err(error),
            }
        }
        let next = match self.api.get_opt(&name).await? {
            Some(existing) => ConfigMap { data: Some(data), ..existing },
            None => {
                let labels = BTreeMap::from([(LABEL.to_owned(), KIND.to_owned())]);
                let metadata =
                    ObjectMeta { name: Some(name.clone()), labels: Some(labels), ..ObjectMeta::default() };
                let made = ConfigMap { metadata, data: Some(data), ..ConfigMap::default() };
                let written = self.api.create(&options, &made).await?;
                return self.keep(name, written);
            }
        };
        let written = self.api.replace(&name, &options, &next).await?;
        self.keep(name, written)
    }

    fn keep(&mut self, name: String, written: ConfigMap) -> Result<(), kube::Error> {
        self.stored.insert(name, written);
        Ok(())
    }
}
