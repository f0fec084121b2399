//! The handle that tells, at any moment and without asking anybody, whether this process leads.

use std::time::Duration;

use tokio::sync::watch;
use tokio::time::{Instant, sleep_until};

/// Tells whether this process leads; cheap to clone.
#[derive(Clone, Debug)]
pub struct Leadership {
    term: watch::Receiver<Term>,
}

/// Permission to write, for the term in which it was given. Check it right before each write.
#[derive(Clone, Debug)]
pub struct WriteGuard {
    leadership: Leadership,
    number: u64,
}

/// This process does not lead, or not any more: do not write.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("this replica is not the leader")]
pub struct NotLeader;

#[derive(Clone, Copy, Debug, Default)]
struct Term {
    /// Counts the acquisitions of this process.
    number: u64,
    /// `None`: known to be lost.
    until: Option<Instant>,
}

/// The elector's end.
#[derive(Debug)]
pub(super) struct Publisher {
    term: watch::Sender<Term>,
}

pub(super) fn channel() -> (Publisher, Leadership) {
    let (sender, receiver) = watch::channel(Term::default());
    (Publisher { term: sender }, Leadership { term: receiver })
}

impl Leadership {
    /// Makes a handle that always leads, for a single replica without election and for tests.
    #[must_use]
    pub fn always() -> Self {
        let far = Instant::now() + Duration::from_secs(100 * 365 * 86_400);
        let (_, receiver) = watch::channel(Term { number: 1, until: Some(far) });
        Self { term: receiver }
    }

    /// Whether this process leads now, by its own monotonic clock.
    #[must_use]
    pub fn is_leader(&self) -> bool {
        self.term.borrow().leads()
    }

    /// Returns permission to write in the present term.
    #[must_use]
    pub fn guard(&self) -> Option<WriteGuard> {
        let term = *self.term.borrow();
        term.leads().then(|| WriteGuard { leadership: self.clone(), number: term.number })
    }

    /// Checks that this process leads now.
    ///
    /// # Errors
    ///
    /// [`NotLeader`].
    pub fn check(&self) -> Result<(), NotLeader> {
        if self.is_leader() { Ok(()) } else { Err(NotLeader) }
    }

    /// Waits until this process leads, and returns permission to write. Never ends when the elector is gone.
    pub async fn acquired(&self) -> WriteGuard {
        let mut leadership = self.clone();
        loop {
            leadership.term.mark_unchanged();
            if let Some(guard) = leadership.guard() {
                return guard;
            }
            if leadership.term.changed().await.is_err() {
                std::future::pending::<()>().await;
            }
        }
    }
}

impl WriteGuard {
    /// Checks that the term lasts; call it right before each write.
    ///
    /// # Errors
    ///
    /// [`NotLeader`] when the term is over, even if a new one has begun.
    pub fn check(&self) -> Result<(), NotLeader> {
        self.remaining().map(drop).ok_or(NotLeader)
    }

    /// Returns how long writes may still be started, `None` when the term is over.
    #[must_use]
    pub fn remaining(&self) -> Option<Duration> {
        let term = *self.leadership.term.borrow();
        let until = term.until.filter(|_| term.leads() && term.number == self.number)?;
        Some(until.saturating_duration_since(Instant::now()))
    }

    /// Waits until the term is over.
    pub async fn lost(&self) {
        let mut leadership = self.leadership.clone();
        loop {
            leadership.term.mark_unchanged();
            let Some(remaining) = self.remaining() else { return };
            let end = Instant::now() + remaining;
            tokio::select! {
                () = sleep_until(end) => {}
                changed = leadership.term.changed() => if changed.is_err() {
                    // Without an elector nothing extends the term; it ends by itself.
                    sleep_until(end).await;
                },
            }
        }
    }
}

impl Term {
    fn leads(self) -> bool {
        self.until.is_some_and(|until| Instant::now() < until)
    }
}

impl Publisher {
    /// Extends the term, or begins one. Returns whether it began.
    pub(super) fn lead_until(&self, until: Instant) -> bool {
        let term = *self.term.borrow();
        let begins = !term.leads();
        let number = if begins { term.number + 1 } else { term.number };
        self.term.send_replace(Term { number, until: Some(until) });
        begins
    }

    /// Ends the term. Returns whether there was one.
    pub(super) fn lose(&self) -> bool {
        self.term.send_if_modified(|term| term.until.take().is_some())
    }

    /// Ends the term if its time has passed. Returns whether it did.
    pub(super) fn expire(&self) -> bool {
        let term = *self.term.borrow();
        term.until.is_some() && !term.leads() && self.lose()
    }
}
