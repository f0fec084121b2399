//! Whether targets are as their marks say, without asking for each.

use std::time::Duration;

use tokio::time::timeout;
use tracing::debug;

use super::ExternalDriver;
use crate::cluster::lock;
use crate::cluster::watch::Namespaces;
use crate::external::{self, MANAGED};
use crate::object::{ObjectKey, SecretObject};

/// Longest time in which the targets are listed before the first look.
const LONGEST_JUDGING: Duration = Duration::from_secs(5);

impl ExternalDriver {
    /// Notes that a target that was read is as its mark says.
    pub(super) fn judge(&self, secret: &SecretObject) {
        if let Some(version) = &secret.metadata.resource_version {
            lock(&self.links).judge(ObjectKey::of(&secret.metadata), version);
        }
    }

    /// Compares all targets with their marks, page by page: a restart asks for none of them by itself. What cannot be
    /// listed in time is asked for when its object is looked at.
    pub(super) async fn judge_all(&self) {
        let marked = format!("{MANAGED}=true");
        let places: Vec<Option<&str>> = match &self.namespaces {
            Namespaces::All => vec![None],
            Namespaces::Some(names) => names.iter().map(|name| Some(name.as_str())).collect(),
        };
        let all = async {
            for place in places {
                let judge = |secret: SecretObject| {
                    if external::is_valid(&secret) {
                        self.judge(&secret);
                    }
                };
                if let Err(error) = self.shared.api.each_secret(place, &marked, judge).await {
                    debug!(%error, "cannot list the targets; each is asked for");
                }
            }
        };
        if timeout(LONGEST_JUDGING, all).await.is_err() {
            debug!("listing the targets takes long; the rest is asked for one by one");
        }
    }
}
