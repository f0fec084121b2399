//! Leader election with a `coordination.k8s.io/v1` Lease.
//!
//! * Every write replaces the Lease under the resourceVersion that was read; two candidates can never both succeed
//!   (two forced server-side applies can).
//! * No clock is compared with another machine's. A candidate takes over when *it* has seen the Lease unchanged for
//!   `leaseDurationSeconds` on its own monotonic clock, and a leader stops by its own: `renew_deadline` after the
//!   *start* of its last successful renewal. The difference (15 s − 10 s) is the time a write may take to arrive.
//!
//! ```text
//!   renewal starts      is_leader() turns false          others may take over
//!   ├── renew_deadline ──────────┤                                │
//!   ├────────────────── lease_duration (from when it is seen) ────┤
//! ```
//!
//! The monotonic clock runs on while the process is stopped (SIGSTOP). It does not while the whole machine sleeps; a
//! write after that is caught by the resourceVersion it carries.

mod decision;
mod leadership;
mod problem;
#[cfg(test)]
mod tests;

use std::time::Duration;

use jiff::Timestamp;
use k8s_openapi::api::coordination::v1::{Lease, LeaseSpec};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::{MicroTime, ObjectMeta};
use kube::api::PostParams;
use kube::{Api, Client};
use tokio::sync::watch;
use tokio::time::{Instant, sleep, timeout};
use tracing::{error, info, warn};

pub use self::decision::{Action, Observed, decide};
use self::leadership::Publisher;
pub use self::leadership::{Leadership, NotLeader, WriteGuard};
use self::problem::Problem;

/// Whose Lease it is, and who runs for it.
#[derive(Clone, Debug)]
pub struct Candidate {
    /// Namespace of the Lease.
    pub namespace: String,
    /// Name of the Lease.
    pub lease_name: String,
    /// Unique per running process; the pod's name does.
    pub identity: String,
    /// How long a lease lasts, and how often it is renewed.
    pub timing: Timing,
}

/// The times of an election; `retry_period < renew_deadline < lease_duration`.
#[derive(Clone, Copy, Debug)]
pub struct Timing {
    /// How long others wait for an unchanged Lease.
    pub lease_duration: Duration,
    /// How long after the start of its last renewal the leader writes.
    pub renew_deadline: Duration,
    /// Between two renewals, or two attempts.
    pub retry_period: Duration,
}

/// Runs for leadership for as long as the process lives.
pub struct LeaderElector {
    api: Api<Lease>,
    candidate: Candidate,
    publisher: Publisher,
    /// The Lease as last written by us.
    held: Option<Lease>,
    observed: Option<Observed>,
    last_problem: Option<String>,
}

impl Default for Timing {
    fn default() -> Self {
        Self {
            lease_duration: Duration::from_secs(15),
            renew_deadline: Duration::from_secs(10),
            retry_period: Duration::from_secs(2),
        }
    }
}

impl LeaderElector {
    /// Makes a candidate and the handle that tells whether it leads.
    #[must_use]
    pub fn new(client: Client, candidate: Candidate) -> (Self, Leadership) {
        let (publisher, leadership) = leadership::channel();
        let api = Api::namespaced(client, &candidate.namespace);
        let elector = Self { api, candidate, publisher, held: None, observed: None, last_problem: None };
        (elector, leadership)
    }

    /// Runs until `shutdown` is true (or its sender dropped), then releases the Lease so that a successor starts at
    /// once. Shut the workers down first. Losing leadership does not end it: it runs again.
    pub async fn run(mut self, mut shutdown: watch::Receiver<bool>) {
        loop {
            let pause = self.attempt().await;
            tokio::select! {
                () = sleep(pause) => {}
                _ = shutdown.wait_for(|stop| *stop) => break,
            }
        }
        self.release().await;
    }

    /// Makes one attempt to renew or acquire. Returns the time until the next.
    async fn attempt(&mut self) -> Duration {
        let outcome = self.step().await;
        if self.publisher.expire() {
            warn!(
                lease = self.candidate.lease_name,
                "leadership lost, the lease could not be renewed in time"
            );
        }
        match outcome {
            Ok(pause) => {
                self.last_problem = None;
                pause
            }
            Err(problem) => {
                self.report(&problem);
                self.candidate.timing.retry_period
            }
        }
    }

    /// Renews the held Lease; otherwise reads it and does what [`decide`] says. A conflict means: read again.
    async fn step(&mut self) -> Result<Duration, Problem> {
        for _ in 0..MAX_REREADS {
            let written = match self.held.take() {
                Some(lease) => self.replace(lease, Action::Renew).await,
                None => match self.read_and_decide().await? {
                    (_, Action::Wait(pause)) => {
                        self.step_down();
                        return Ok(pause.min(self.candidate.timing.retry_period));
                    }
                    (Some(lease), action) => self.replace(lease, action).await,
                    (None, _) => self.create().await,
                },
            };
            match written {
                Ok(()) => return Ok(self.candidate.timing.retry_period),
                Err(Problem::Outdated) => {}
                Err(problem) => return Err(problem),
            }
        }
        Err(Problem::Outdated)
    }

    /// Another holds the Lease.
    fn step_down(&mut self) {
        if self.publisher.lose() {
            warn!(lease = self.candidate.lease_name, "leadership lost to another replica");
        }
    }

    async fn read_and_decide(&mut self) -> Result<(Option<Lease>, Action), Problem> {
        let lease = self.bounded(self.api.get_opt(&self.candidate.lease_name)).await?;
        let now = Instant::now();
        let lease_duration = self.candidate.timing.lease_duration;
        self.observed =
            lease.as_ref().map(|lease| Observed::update(self.observed.take(), lease, now, lease_duration));
        let action = decide(self.observed.as_ref(), now, &self.candidate.identity);
        Ok((lease, action))
    }

    async fn create(&mut self) -> Result<(), Problem> {
        let now = MicroTime(Timestamp::now());
        let lease = Lease {
            metadata: ObjectMeta {
                name: Some(self.candidate.lease_name.clone()),
                namespace: Some(self.candidate.namespace.clone()),
                ..ObjectMeta::default()
            },
            spec: Some(LeaseSpec {
                acquire_time: Some(now.clone()),
                lease_transitions: Some(0),
                ..self.held_spec(LeaseSpec::default(), now)
            }),
        };
        let start = Instant::now();
        let created = self.bounded(self.api.create(&PostParams::default(), &lease)).await?;
        self.succeeded(start, created);
        Ok(())
    }

    async fn replace(&mut self, mut lease: Lease, action: Action) -> Result<(), Problem> {
        let now = MicroTime(Timestamp::now());
        let mut spec = self.held_spec(lease.spec.take().unwrap_or_default(), now.clone());
        if action == Action::TakeOver {
            spec.acquire_time = Some(now);
            spec.lease_transitions = Some(spec.lease_transitions.unwrap_or(0).saturating_add(1));
        }
        lease.spec = Some(spec);
        let start = Instant::now();
        let written = self.put(&lease).await?;
        self.succeeded(start, written);
        Ok(())
    }

    /// Replaces under the resourceVersion in `lease`; without one the API server would overwrite blindly.
    async fn put(&self, lease: &Lease) -> Result<Lease, Problem> {
        if lease.metadata.resource_version.is_none() {
            return Err(Problem::Outdated);
        }
        self.bounded(self.api.replace(&self.candidate.lease_name, &PostParams::default(), lease)).await
    }

    /// The spec with us as holder; what others put there is kept.
    fn held_spec(&self, spec: LeaseSpec, now: MicroTime) -> LeaseSpec {
        let seconds = i32::try_from(self.candidate.timing.lease_duration.as_secs()).unwrap_or(i32::MAX);
        LeaseSpec {
            holder_identity: Some(self.candidate.identity.clone()),
            lease_duration_seconds: Some(seconds.max(1)),
            renew_time: Some(now),
            ..spec
        }
    }

    fn succeeded(&mut self, start: Instant, lease: Lease) {
        self.held = Some(lease);
        self.observed = None;
        if self.publisher.lead_until(start + self.candidate.timing.renew_deadline) {
            info!(
                lease = self.candidate.lease_name,
                identity = self.candidate.identity,
                "leadership acquired"
            );
        }
    }

    /// Gives the Lease up if it is ours. Reports the loss before the API server does.
    async fn release(&mut self) {
        self.publisher.lose();
        for _ in 0..MAX_REREADS {
            let lease = match self.held.take() {
                Some(lease) => lease,
                // The last renewal may have arrived although its answer did not.
                None => match self.read_and_decide().await {
                    Ok((Some(lease), Action::Renew)) => lease,
                    _ => return,
                },
            };
            let now = MicroTime(Timestamp::now());
            let spec = LeaseSpec {
                holder_identity: Some(String::new()),
                ..self.held_spec(lease.spec.clone().unwrap_or_default(), now)
            };
            match self.put(&Lease { spec: Some(spec), ..lease }).await {
                Ok(_) => return info!(lease = self.candidate.lease_name, "lease released"),
                Err(Problem::Outdated) => {}
                Err(problem) => return self.report(&problem),
            }
        }
    }

    async fn bounded<T>(&self, call: impl Future<Output = kube::Result<T>>) -> Result<T, Problem> {
        match timeout(self.candidate.timing.renew_deadline / CALLS_PER_DEADLINE, call).await {
            Ok(result) => result.map_err(Problem::of),
            Err(_) => Err(Problem::Timeout),
        }
    }

    /// Logs a problem once, not at every attempt.
    fn report(&mut self, problem: &Problem) {
        let text = problem.to_string();
        if self.last_problem.as_ref() != Some(&text) {
            let Candidate { namespace, lease_name, .. } = &self.candidate;
            error!(namespace, lease = lease_name, hint = problem.hint(), "leader election: {text}");
            self.last_problem = Some(text);
        }
    }
}

const MAX_REREADS: usize = 3;
/// One hanging call must leave time for another.
const CALLS_PER_DEADLINE: u32 = 2;
