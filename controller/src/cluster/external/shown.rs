//! Objects as the watch has just shown them, until they are looked at for the first time: a first look need not ask for
//! what is at hand. Later looks ask, since they may follow upon writes of ours that the watch has not shown yet.

use std::collections::HashMap;
use std::io::{self, Write};

use sealops_crds::ExternalSecret;
use tokio::time::Instant;

use crate::object::ObjectKey;

/// Objects that are kept.
const MAX_SHOWN: usize = 20_000;
/// Their texts in bytes.
const MAX_SHOWN_BYTES: usize = 16 << 20;

/// An object, and when it was shown.
pub(super) struct Shown {
    pub(super) object: ExternalSecret,
    pub(super) at: Instant,
    size: usize,
}

/// Objects that nobody has looked at.
#[derive(Default)]
pub(super) struct FirstLooks {
    objects: HashMap<ObjectKey, Shown>,
    bytes: usize,
}

impl FirstLooks {
    /// Keeps an object that is new, or that is newer than what is kept of it.
    pub(super) fn put(&mut self, key: &ObjectKey, object: ExternalSecret, is_new: bool) {
        let known = self.take(key);
        if !is_new && known.is_none() {
            return;
        }
        let size = size_of(&object);
        if self.objects.len() < MAX_SHOWN && self.bytes + size <= MAX_SHOWN_BYTES {
            self.bytes += size;
            self.objects.insert(key.clone(), Shown { object, at: Instant::now(), size });
        }
    }

    /// Returns an object and forgets it.
    pub(super) fn take(&mut self, key: &ObjectKey) -> Option<Shown> {
        let shown = self.objects.remove(key)?;
        self.bytes -= shown.size;
        if self.objects.is_empty() {
            self.objects = HashMap::new();
        }
        Some(shown)
    }
}

/// Counts what is written and keeps nothing.
struct Count(usize);

impl Write for Count {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.0 += bytes.len();
        Ok(bytes.len())
    }
    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

fn size_of(object: &ExternalSecret) -> usize {
    let mut count = Count(0);
    // What cannot be written as text is not kept.
    serde_json::to_writer(&mut count, object).map_or(MAX_SHOWN_BYTES + 1, |()| count.0)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn object(version: &str, size: usize) -> ExternalSecret {
        let mut object = ExternalSecret::default();
        object.metadata.resource_version = Some(version.to_owned());
        object.metadata.annotations_mut().insert("a".to_owned(), "x".repeat(size));
        object
    }

    fn version(looks: &mut FirstLooks, key: &ObjectKey) -> Option<String> {
        looks.take(key).and_then(|shown| shown.object.metadata.resource_version)
    }

    #[test]
    fn the_newest_is_given_once_and_only_for_a_first_look() {
        let (mut looks, key) = (FirstLooks::default(), ObjectKey::new("shop", "app"));
        looks.put(&key, object("1", 0), false);
        assert_eq!(version(&mut looks, &key), None, "it was looked at before");
        looks.put(&key, object("2", 0), true);
        looks.put(&key, object("3", 0), false);
        assert_eq!(version(&mut looks, &key).as_deref(), Some("3"));
        assert_eq!(version(&mut looks, &key), None);
        assert_eq!(looks.bytes, 0);
    }

    #[test]
    fn bytes_are_bounded() {
        let mut looks = FirstLooks::default();
        let key = |number: usize| ObjectKey::new("shop", format!("app-{number}"));
        for number in 0..20 {
            looks.put(&key(number), object("1", 1 << 20), true);
        }
        assert!(looks.bytes <= MAX_SHOWN_BYTES);
        assert_eq!((0..20).filter(|number| looks.take(&key(*number)).is_some()).count(), 15);
    }
}
