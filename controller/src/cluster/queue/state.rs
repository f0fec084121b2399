//! The queue without its waiting: plain maps that are told the time.

use std::collections::{BTreeMap, HashMap, VecDeque};
use std::hash::Hash;

use tokio::time::Instant;

use super::{Drain, Lane};

pub(super) struct State<K> {
    lanes: [Groups<K>; 3],
    /// Where a ready key waits.
    ready: HashMap<K, Place>,
    /// Keys handed out, with the lane of an add that came meanwhile.
    in_progress: HashMap<K, Option<Lane>>,
    delayed: BTreeMap<(Instant, u64), K>,
    due: HashMap<K, Due>,
    failures: HashMap<K, u32>,
    sequence: u64,
    shut_down: bool,
}

struct Place {
    lane: Lane,
    group: String,
    sequence: u64,
}

struct Due {
    at: (Instant, u64),
    lane: Lane,
}

impl<K> State<K> {
    pub(super) fn new() -> Self {
        Self {
            lanes: [Groups::new(), Groups::new(), Groups::new()],
            ready: HashMap::new(),
            in_progress: HashMap::new(),
            delayed: BTreeMap::new(),
            due: HashMap::new(),
            failures: HashMap::new(),
            sequence: 0,
            shut_down: false,
        }
    }

    pub(super) fn has_ready(&self) -> bool {
        !self.ready.is_empty()
    }

    pub(super) fn ready_len(&self) -> usize {
        self.ready.len()
    }

    pub(super) fn delayed_len(&self) -> usize {
        self.delayed.len()
    }

    pub(super) fn next_due(&self) -> Option<Instant> {
        self.delayed.keys().next().map(|(at, _)| *at)
    }

    pub(super) fn is_idle(&self) -> bool {
        self.ready.is_empty() && self.in_progress.is_empty()
    }

    /// Shut down, nothing ready, and nothing in progress that will become ready again.
    pub(super) fn is_finished(&self) -> bool {
        self.shut_down && self.ready.is_empty() && self.in_progress.values().all(Option::is_none)
    }

    fn next_sequence(&mut self) -> u64 {
        self.sequence += 1;
        self.sequence
    }
}

impl<K: Clone + Eq + Hash> State<K> {
    /// Returns whether a worker should be woken.
    pub(super) fn add(&mut self, key: K, group: String, lane: Lane) -> bool {
        if self.shut_down {
            return false;
        }
        self.cancel_delayed(&key);
        if let Some(dirty) = self.in_progress.get_mut(&key) {
            *dirty = Some(dirty.map_or(lane, |earlier| earlier.min(lane)));
            return false;
        }
        self.make_ready(key, group, lane);
        true
    }

    fn make_ready(&mut self, key: K, group: String, lane: Lane) {
        if let Some(place) = self.ready.get(&key) {
            if place.lane <= lane {
                return;
            }
            self.lanes[place.lane as usize].remove(&place.group, place.sequence);
        }
        let sequence = self.next_sequence();
        self.lanes[lane as usize].push(&group, sequence, key.clone());
        self.ready.insert(key, Place { lane, group, sequence });
    }

    /// Returns whether a worker should be woken.
    pub(super) fn add_at(&mut self, key: K, lane: Lane, at: Instant) -> bool {
        let dirty = self.in_progress.get(&key).is_some_and(Option::is_some);
        if self.shut_down || dirty || self.ready.contains_key(&key) {
            return false;
        }
        let mut lane = lane;
        if let Some(due) = self.due.get_mut(&key) {
            due.lane = due.lane.min(lane);
            lane = due.lane;
            if due.at.0 <= at {
                return false;
            }
        }
        self.cancel_delayed(&key);
        let at = (at, self.next_sequence());
        self.delayed.insert(at, key.clone());
        self.due.insert(key, Due { at, lane });
        true
    }

    fn cancel_delayed(&mut self, key: &K) {
        if let Some(due) = self.due.remove(key) {
            self.delayed.remove(&due.at);
        }
    }

    /// Makes the delayed keys ready whose time has come.
    pub(super) fn promote(&mut self, now: Instant, group_of: &dyn Fn(&K) -> String) {
        while let Some(entry) = self.delayed.first_entry() {
            if entry.key().0 > now {
                return;
            }
            let key = entry.remove();
            let lane = self.due.remove(&key).map_or(Lane::Resync, |due| due.lane);
            let group = group_of(&key);
            self.add(key, group, lane);
        }
    }

    /// Takes the next key and marks it as in progress.
    pub(super) fn pop(&mut self) -> Option<(K, Lane)> {
        let key = self.lanes.iter_mut().find_map(Groups::pop)?;
        let place = self.ready.remove(&key)?;
        self.in_progress.insert(key.clone(), None);
        Some((key, place.lane))
    }

    /// Ends the processing of `key`. Returns whether it is ready again.
    pub(super) fn done(&mut self, key: &K, group: String) -> bool {
        let Some(Some(lane)) = self.in_progress.remove(key) else { return false };
        self.make_ready(key.clone(), group, lane);
        true
    }

    pub(super) fn failures(&self, key: &K) -> u32 {
        self.failures.get(key).copied().unwrap_or(0)
    }

    /// Returns the number of failures in a row, this one included.
    pub(super) fn count_failure(&mut self, key: &K) -> u32 {
        let failures = self.failures.entry(key.clone()).or_insert(0);
        *failures = failures.saturating_add(1);
        *failures
    }

    pub(super) fn forget(&mut self, key: &K) {
        self.failures.remove(key);
    }

    pub(super) fn shut_down(&mut self, drain: Drain) {
        self.shut_down = true;
        self.delayed.clear();
        self.due.clear();
        if drain == Drain::Discard {
            self.lanes = [Groups::new(), Groups::new(), Groups::new()];
            self.ready.clear();
            self.in_progress.values_mut().for_each(|dirty| *dirty = None);
        }
    }
}

/// One lane: first in, first out within a group, round-robin over the groups.
struct Groups<K> {
    /// By the order of adding, so that a key can be taken out of the middle.
    keys: HashMap<String, BTreeMap<u64, K>>,
    /// Exactly the groups in `keys`; the first is served next.
    turns: VecDeque<String>,
}

impl<K> Groups<K> {
    fn new() -> Self {
        Self { keys: HashMap::new(), turns: VecDeque::new() }
    }

    fn push(&mut self, group: &str, sequence: u64, key: K) {
        if let Some(keys) = self.keys.get_mut(group) {
            keys.insert(sequence, key);
            return;
        }
        self.keys.insert(group.to_owned(), BTreeMap::from([(sequence, key)]));
        self.turns.push_back(group.to_owned());
    }

    /// Leaves an emptied group in its turn; [`Groups::pop`] drops it then.
    fn remove(&mut self, group: &str, sequence: u64) {
        if let Some(keys) = self.keys.get_mut(group) {
            keys.remove(&sequence);
        }
    }

    fn pop(&mut self) -> Option<K> {
        while let Some(group) = self.turns.pop_front() {
            let Some(keys) = self.keys.get_mut(&group) else { continue };
            let key = keys.pop_first().map(|(_, key)| key);
            if keys.is_empty() {
                self.keys.remove(&group);
            } else {
                self.turns.push_back(group);
            }
            if key.is_some() {
                return key;
            }
        }
        None
    }
}
