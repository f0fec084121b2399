//! What stands in for the databases where this build has no network.

use super::Action;
use super::config::Backend;

/// There is none: a configuration with a database is refused.
pub(super) struct Databases;

impl Databases {
    pub(super) fn connect(backends: Vec<Backend>) -> Result<Self, Vec<String>> {
        let place = backends.into_iter().next().map(|backend| backend.place).unwrap_or_default();
        Err(vec![format!("{place}: this build of sealops connects to no database")])
    }

    pub(super) fn record(&self, _: Action, _: &str) -> Result<(), String> {
        Err("this build of sealops connects to no database".to_owned())
    }
}
