//! Objects that a store's notice makes due.

use super::ExternalDriver;
use crate::cluster::lock;
use crate::external::notice::Notice;

impl ExternalDriver {
    /// Has the objects that a notice means fetch again, past every cache; returns how many.
    pub fn refresh(&self, notice: &Notice) -> usize {
        let meant = lock(&self.links).meant_by(notice);
        let count = meant.len();
        self.moved(meant);
        count
    }
}
