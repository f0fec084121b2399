//! The ledger of one reconcile: GeneratorStates.
//!
//! ```text
//!   intend: POST with a deadline ──► made: PATCH, the deadline goes ──► Secret written? ─yes─► older ones get a deadline
//!     (crash here: taken back)          (crash here: the next one        └no─► this one gets it, at once
//!                                        gives it a deadline)
//! ```

use std::sync::Mutex;
use std::time::Duration;

use ::http::Method;
use jiff::Timestamp;
use sealops_crds::generators::{GENERATOR_STATE_FINALIZER, GeneratorState, OWNER_KEY_LABEL};
use sealops_crds::{ExternalSecret, Metadata, OwnerReference};
use serde::Deserialize;
use serde_json::{Value, json};
use tracing::{debug, warn};

use super::api::{AS_METADATA, JSON, MERGE, Refusal, SecretApi, metadata_of, resource_path};
use super::leader::WriteGuard;
use super::{FIELD_MANAGER, lock};
use crate::external::{Ledger, Left, text_hash};
use crate::object::{BoxFuture, ObjectKey};

/// Time after which an intention of which nothing was heard again is taken back.
const UNHEARD: Duration = Duration::from_secs(600);

/// The GeneratorStates that one reconcile makes.
pub(super) struct StateLedger {
    api: SecretApi,
    guard: WriteGuard,
    owner: ObjectKey,
    reference: OwnerReference,
    grace: Duration,
    /// What was made, by its owner key.
    made: Mutex<Vec<(String, String)>>,
}

impl StateLedger {
    pub(super) fn new(api: SecretApi, guard: WriteGuard, object: &ExternalSecret, grace: Duration) -> Self {
        let owner = ObjectKey::of(&object.metadata);
        let reference = OwnerReference {
            api_version: ExternalSecret::API_VERSION.to_owned(),
            kind: ExternalSecret::KIND.to_owned(),
            name: owner.name.clone(),
            uid: object.metadata.uid.clone().unwrap_or_default(),
            controller: None,
            block_owner_deletion: None,
        };
        Self { api, guard, owner, reference, grace, made: Mutex::default() }
    }

    fn key_of(&self, part: &str) -> String {
        text_hash(&format!("{}-{}-{}-{part}", ExternalSecret::KIND, self.owner.namespace, self.owner.name))
    }

    fn path(&self, name: &str) -> String {
        let path = resource_path::<GeneratorState>(&ObjectKey::new(self.owner.namespace.as_str(), name));
        path.trim_end_matches('/').to_owned()
    }

    async fn create(&self, left: &Left, deadline: Option<Timestamp>) -> Result<String, String> {
        let kind = left.resource["kind"].as_str().unwrap_or_default().to_lowercase();
        let name = left.resource["metadata"]["name"].as_str().unwrap_or_default();
        // A name holds 253 bytes; the API server adds five.
        let prefix: String = format!("gen-{kind}-{name}").chars().take(240).collect();
        let mut body = json!({
            "apiVersion": GeneratorState::API_VERSION,
            "kind": GeneratorState::KIND,
            "metadata": {
                "generateName": format!("{prefix}-"),
                "namespace": self.owner.namespace,
                "labels": { OWNER_KEY_LABEL: self.key_of(&left.part) },
                "finalizers": [GENERATOR_STATE_FINALIZER],
                "ownerReferences": [self.reference],
            },
            "spec": { "resource": left.resource, "state": left.state },
        });
        if let Some(deadline) = deadline {
            body["spec"]["garbageCollectionDeadline"] = json!(seconds_text(deadline));
        }
        let path = format!("{}?fieldManager={FIELD_MANAGER}", self.path(""));
        let made =
            self.send(Method::POST, &path, (JSON, &body)).await.map_err(|refusal| refusal.to_string())?;
        made.name.ok_or_else(|| "the API server's answer names no object".to_owned())
    }

    async fn patch(&self, name: &str, spec: Value) -> Result<(), Refusal> {
        let path = format!("{}?fieldManager={FIELD_MANAGER}", self.path(name));
        self.send(Method::PATCH, &path, (MERGE, &json!({ "spec": spec }))).await.map(drop)
    }

    async fn send(
        &self,
        method: Method,
        path: &str,
        (content, body): (&'static str, &Value),
    ) -> Result<Metadata, Refusal> {
        self.guard.check().map_err(|_| Refusal::unavailable("this replica does not lead any more"))?;
        let answer =
            self.api.send(method, path, Some((content, body.to_string().into())), AS_METADATA).await?;
        metadata_of(&answer).map_err(Refusal::unavailable)
    }

    /// The values are in use: what was made before for the same parts is taken back after the grace period.
    pub(super) async fn commit(&self) {
        let made = std::mem::take(&mut *lock(&self.made));
        let deadline = Timestamp::now() + self.grace;
        for (key, own) in &made {
            let older = match self.in_use(key).await {
                Ok(older) => older,
                Err(problem) => {
                    warn!(object = %self.owner, %problem, "older states of a generator stay until the next refresh");
                    continue;
                }
            };
            for name in older.into_iter().filter(|name| !made.iter().any(|(_, own)| own == name)) {
                debug!(state = name, successor = own, "a state of a generator was replaced");
                if let Err(refusal) = self.flag(&name, deadline).await {
                    warn!(state = name, %refusal, "this state of a generator stays until the next refresh");
                }
            }
        }
    }

    /// The values are not used: what was made is taken back at once.
    pub(super) async fn roll_back(&self) {
        let made = std::mem::take(&mut *lock(&self.made));
        for (_, name) in made {
            if let Err(refusal) = self.flag(&name, Timestamp::now()).await {
                warn!(state = name, %refusal, "this state of a generator stays until the next refresh");
            }
        }
    }

    async fn flag(&self, name: &str, deadline: Timestamp) -> Result<(), Refusal> {
        match self.patch(name, json!({ "garbageCollectionDeadline": seconds_text(deadline) })).await {
            Err(refusal) if !refusal.is_not_found() => Err(refusal),
            _ => Ok(()),
        }
    }

    /// Returns the states of a part that have no deadline.
    async fn in_use(&self, key: &str) -> Result<Vec<String>, String> {
        #[derive(Deserialize)]
        struct List {
            items: Vec<GeneratorState>,
        }
        let label = OWNER_KEY_LABEL.replace('/', "%2F");
        let path = format!("{}?labelSelector={label}%3D{key}", self.path(""));
        let body = self.api.get(&path).await.map_err(|refusal| refusal.to_string())?;
        let list: List = serde_json::from_slice(body.expose())
            .map_err(|_| "the API server's answer does not fit".to_owned())?;
        let own = list.items.into_iter().filter(|state| {
            state.spec.garbage_collection_deadline.is_none() && state.metadata.deletion_timestamp.is_none()
        });
        Ok(own.filter_map(|state| state.metadata.name).collect())
    }
}

fn seconds_text(time: Timestamp) -> String {
    time.strftime("%Y-%m-%dT%H:%M:%SZ").to_string()
}

impl Ledger for StateLedger {
    fn intend<'a>(&'a self, left: &'a Left) -> BoxFuture<'a, Result<String, String>> {
        Box::pin(async move { self.create(left, Some(Timestamp::now() + UNHEARD)).await })
    }

    fn made<'a>(&'a self, entry: Option<String>, left: &'a Left) -> BoxFuture<'a, Result<(), String>> {
        Box::pin(async move {
            let name = match entry {
                Some(name) => {
                    let spec = json!({ "state": left.state, "garbageCollectionDeadline": null });
                    self.patch(&name, spec).await.map_err(|refusal| refusal.to_string())?;
                    name
                }
                None => self.create(left, None).await?,
            };
            lock(&self.made).push((self.key_of(&left.part), name));
            Ok(())
        })
    }

    fn nothing(&self, entry: String) -> BoxFuture<'_, ()> {
        Box::pin(async move {
            let path = format!("{}?fieldManager={FIELD_MANAGER}", self.path(&entry));
            let free = json!({ "metadata": { "finalizers": null } });
            // Deleted first: an object without finalizer that stays would get it again.
            let removed = async {
                self.guard
                    .check()
                    .map_err(|_| Refusal::unavailable("this replica does not lead any more"))?;
                self.api.send(Method::DELETE, &self.path(&entry), None, AS_METADATA).await?;
                self.send(Method::PATCH, &path, (MERGE, &free)).await.map(drop)
            };
            if let Err(refusal) = removed.await {
                debug!(state = entry, %refusal, "an intention of a generator stays until its deadline");
            }
        })
    }
}
