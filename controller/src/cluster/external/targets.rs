//! Watches of the kinds that are targets beside Secrets: one for each kind that an ExternalSecret names, as long as one
//! does.

use std::collections::{HashMap, HashSet};
use std::sync::Arc;
use std::time::Duration;

use futures::StreamExt;
use futures::stream::{self, AbortHandle, BoxStream};
use sealops_crds::Metadata;
use tracing::debug;

use super::ExternalDriver;
use crate::cluster::lock;
use crate::cluster::queue::Lane;
use crate::cluster::watch::{Seen, manifests};
use crate::external::{MANAGED, refusal};
use crate::object::{ManifestKind, ServedKind};

/// Wait before the API server is asked again for a kind that it does not serve.
const NOT_SERVED: Duration = Duration::from_secs(30);
/// Kinds that are watched at once; a target of a further one is looked at with each refresh only.
const MAX_KINDS: usize = 64;

/// One thing that such a watch shows.
pub(super) type SeenTarget = (Arc<ManifestKind>, Seen<Metadata>);

/// The watches that run.
#[derive(Default)]
pub(super) struct Watches(HashMap<ManifestKind, AbortHandle>);

impl ExternalDriver {
    /// Ends the watches that nobody needs any more; returns those that are needed now.
    pub(super) fn follow_targets(
        self: &Arc<Self>,
        watches: &mut Watches,
    ) -> Vec<BoxStream<'static, SeenTarget>> {
        if !self.options.generic_targets {
            return Vec::new();
        }
        let wanted: HashSet<ManifestKind> = lock(&self.links).target_kinds();
        watches.0.retain(|kind, handle| {
            let stays = wanted.contains(kind);
            if !stays {
                handle.abort();
            }
            stays
        });
        let mut new = Vec::new();
        for kind in wanted {
            if watches.0.contains_key(&kind) || watches.0.len() >= MAX_KINDS || refusal(&kind).is_some() {
                continue;
            }
            let (stream, handle) = stream::abortable(self.follow(kind.clone()));
            watches.0.insert(kind, handle);
            new.push(stream.boxed());
        }
        new
    }

    /// The watch of one kind; begins as soon as the kind is served.
    fn follow(self: &Arc<Self>, kind: ManifestKind) -> BoxStream<'static, SeenTarget> {
        let driver = Arc::clone(self);
        let shared = Arc::new(kind.clone());
        let begin = async move {
            let served = driver.wait_served(&kind).await;
            let label = format!("{MANAGED}=true");
            manifests(&driver.shared.client, &driver.namespaces, &served, Some(&label))
        };
        stream::once(begin).flatten().map(move |seen| (Arc::clone(&shared), seen)).boxed()
    }

    async fn wait_served(&self, kind: &ManifestKind) -> ServedKind {
        loop {
            match self.shared.api.served(kind).await {
                Ok(Some(served)) if served.namespaced => return served,
                Ok(_) => debug!(%kind, "a kind that is a target is not served"),
                Err(error) => debug!(%kind, %error, "cannot find how a kind is served"),
            }
            tokio::time::sleep(NOT_SERVED).await;
        }
    }

    pub(super) fn saw_target(&self, (kind, seen): SeenTarget) {
        let owners = match seen {
            Seen::Applied(key, _) | Seen::Deleted(key) => lock(&self.links).writers_of(&kind, &key),
            Seen::Complete(listed) => {
                let targets = lock(&self.links).targets_of(&kind);
                targets
                    .into_iter()
                    .filter(|(key, _)| !listed.contains(key))
                    .flat_map(|(_, who)| who)
                    .collect()
            }
        };
        owners.into_iter().for_each(|key| self.shared.queue.add(key, Lane::Drift));
    }
}
