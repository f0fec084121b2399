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
    /// By shard.
    entries: HashMap<u8, HashMap<ObjectKey, Proof>>,
    dirty: HashSet<u8>,
}

impl Proofs {
    /// Returns the proof of an object.
    pub fn get(&self, key: &ObjectKey) -> Option<&Proof> {
        self.entries.get(&shard_of(key))?.get(key)
    }

    /// Sets or removes the proof of an object.
    pub fn set(&mut self, key: &ObjectKey, proof: Option<Proof>) {
        let shard = shard_of(key);
        let entries = self.entries.entry(shard).or_default();
        let changed = match proof {
            Some(proof) if entries.get(key) == Some(&proof) => false,
            Some(proof) => {
                entries.insert(key.clone(), proof);
                true
            }
            None => entries.remove(key).is_some(),
        };
        if changed {
            self.dirty.insert(shard);
        }
    }

    /// Returns the content of a shard: made one at a time, since together they are large.
    fn text_of(&self, shard: u8) -> String {
        let entries = self.entries.get(&shard).into_iter().flatten();
        serialise(entries.map(|(key, proof)| (key.to_string(), proof)).collect())
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

/// A ConfigMap as last seen, without its content.
struct Stored {
    map: ConfigMap,
    /// SHA-256 of the content.
    content: Vec<u8>,
}

impl Stored {
    fn of(mut map: ConfigMap) -> Self {
        let data = map.data.take().unwrap_or_default();
        Self { map, content: digest_of(data.get(ENTRY).map(String::as_str).unwrap_or_default()) }
    }
}

fn digest_of(text: &str) -> Vec<u8> {
    digest::digest(&digest::SHA256, text.as_bytes()).as_ref().to_vec()
}

/// Reads and writes the ConfigMaps.
pub struct ShardStore {
    api: Api<ConfigMap>,
    stored: HashMap<String, Stored>,
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
                Ok(entries) => {
                    for (key, proof) in entries {
                        let Some((namespace, name)) = key.split_once('/') else { continue };
                        let key = ObjectKey::new(namespace, name);
                        proofs.entries.entry(shard_of(&key)).or_default().insert(key, proof);
                    }
                }
                Err(_) => {
                    warn!(shard = shard.name_any(), "a state shard is damaged; its objects are checked once");
                }
            }
            self.stored.insert(shard.name_any(), Stored::of(shard));
        }
        let count: usize = proofs.entries.values().map(HashMap::len).sum();
        debug!(proofs = count, "read the state shards");
        proofs
    }

    /// Writes what changed. A failure is logged and written again with the next change.
    pub async fn save(&mut self, proofs: &std::sync::Mutex<Proofs>) {
        if self.forbidden {
            return;
        }
        let dirty: Vec<u8> = lock(proofs).dirty.drain().collect();
        let mut unwritten = Unwritten { proofs, shards: dirty.iter().copied().collect() };
        for number in dirty {
            let text = lock(proofs).text_of(number);
            match self.write(number, text).await {
                Ok(()) => drop(unwritten.shards.remove(&number)),
                Err(error) => debug!(shard = number, %error, "cannot write a state shard"),
            }
        }
    }

    async fn write(&mut self, number: u8, text: String) -> Result<(), kube::Error> {
        let name = format!("{PREFIX}{number:02}");
        let options = PostParams::default();
        let content = digest_of(&text);
        let mut data = Some(BTreeMap::from([(ENTRY.to_owned(), text)]));
        if let Some(stored) = self.stored.get(&name) {
            if stored.content == content {
                return Ok(());
            }
            let next = ConfigMap { data: data.take(), ..stored.map.clone() };
            match self.api.replace(&name, &options, &next).await {
                Ok(written) => return self.keep(name, written),
                Err(kube::Error::Api(status)) if status.code == 409 || status.code == 404 => {
                    self.stored.remove(&name);
                    data = next.data;
                }
                Err(error) => return Err(error),
            }
        }
        let next = match self.api.get_opt(&name).await? {
            Some(existing) => ConfigMap { data, ..existing },
            None => {
                let labels = BTreeMap::from([(LABEL.to_owned(), KIND.to_owned())]);
                let metadata =
                    ObjectMeta { name: Some(name.clone()), labels: Some(labels), ..ObjectMeta::default() };
                let made = ConfigMap { metadata, data, ..ConfigMap::default() };
                let written = self.api.create(&options, &made).await?;
                return self.keep(name, written);
            }
        };
        let written = self.api.replace(&name, &options, &next).await?;
        self.keep(name, written)
    }

    fn keep(&mut self, name: String, written: ConfigMap) -> Result<(), kube::Error> {
        self.stored.insert(name, Stored::of(written));
        Ok(())
    }
}
