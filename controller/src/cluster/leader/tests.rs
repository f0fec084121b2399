use std::convert::Infallible;
use std::sync::{Arc, Mutex};

use http_body_util::BodyExt as _;
use hyper::{Method, Request, Response};
use kube::client::Body;
use kube::core::Status;
use serde_json::json;
use tokio::task::JoinHandle;
use tokio::time::advance;

use super::*;

/// An API server with one Lease and optimistic locking.
#[derive(Clone, Default)]
struct ApiServer(Arc<Mutex<Stored>>);

#[derive(Default)]
struct Stored {
    lease: Option<Lease>,
    version: u64,
    writes: usize,
    /// Answer every call with this status (and `details.kind`).
    refuse: Option<(u16, &'static str)>,
}

impl ApiServer {
    /// A client of one replica; its calls hang while `cut` is true.
    fn client(&self, cut: watch::Receiver<bool>) -> Client {
        let server = self.clone();
        let service = tower::service_fn(move |request: Request<Body>| {
            let (server, mut cut) = (server.clone(), cut.clone());
            async move {
                let (parts, body) = request.into_parts();
                let bytes = body.collect().await.unwrap().to_bytes();
                cut.wait_for(|cut| !cut).await.unwrap();
                let (code, body) = server.answer(&parts.method, &bytes);
                let response = Response::builder().status(code).body(Body::from(body)).unwrap();
                Ok::<_, Infallible>(response)
            }
        });
        Client::new(service, "sealops")
    }

    fn answer(&self, method: &Method, body: &[u8]) -> (u16, Vec<u8>) {
        let mut stored = self.0.lock().unwrap();
        if let Some((code, kind)) = stored.refuse {
            return failure(code, kind);
        }
        if *method == Method::GET {
            let Some(lease) = &stored.lease else { return failure(404, "leases") };
            return (200, serde_json::to_vec(lease).unwrap());
        }
        let mut lease: Lease = serde_json::from_slice(body).unwrap();
        let current = stored.lease.as_ref().and_then(|lease| lease.metadata.resource_version.clone());
        match (method, &current) {
            (&Method::POST, Some(_)) => return failure(409, "leases"),
            (&Method::PUT, None) => return failure(404, "leases"),
            (&Method::PUT, Some(_)) if lease.metadata.resource_version != current => {
                return failure(409, "leases");
            }
            _ => {}
        }
        stored.version += 1;
        stored.writes += 1;
        lease.metadata.resource_version = Some(stored.version.to_string());
        stored.lease = Some(lease.clone());
        (200, serde_json::to_vec(&lease).unwrap())
    }

    fn spec(&self) -> LeaseSpec {
        self.0.lock().unwrap().lease.clone().and_then(|lease| lease.spec).unwrap_or_default()
    }

    fn holder(&self) -> String {
        self.spec().holder_identity.unwrap_or_default()
    }
}

fn failure(code: u16, kind: &str) -> (u16, Vec<u8>) {
    let reason = if code == 404 { "NotFound" } else { "" };
    let status = json!({
        "kind": "Status", "apiVersion": "v1", "status": "Failure", "code": code,
        "message": "refused", "reason": reason, "details": {"kind": kind},
    });
    (code, serde_json::to_vec(&status).unwrap())
}

struct Replica {
    leadership: Leadership,
    stop: watch::Sender<bool>,
    cut: watch::Sender<bool>,
    task: JoinHandle<()>,
}

fn elector(server: &ApiServer, identity: &str) -> (LeaderElector, Leadership, watch::Sender<bool>) {
    let (cut, is_cut) = watch::channel(false);
    let candidate = Candidate {
        namespace: "sealops".into(),
        lease_name: "sealops-controller".into(),
        identity: identity.into(),
        timing: Timing::default(),
    };
    let (elector, leadership) = LeaderElector::new(server.client(is_cut), candidate);
    (elector, leadership, cut)
}

fn start(server: &ApiServer, identity: &str) -> Replica {
    let (elector, leadership, cut) = elector(server, identity);
    let (stop, stopped) = watch::channel(false);
    Replica { leadership, stop, cut, task: tokio::spawn(elector.run(stopped)) }
}

async fn pass(seconds: u64) {
    for _ in 0..seconds * 10 {
        sleep(Duration::from_millis(100)).await;
    }
}

#[tokio::test(start_paused = true)]
async fn one_of_two_leads_and_keeps_renewing() {
    let server = ApiServer::default();
    let (first, second) = (start(&server, "a"), start(&server, "b"));
    pass(1).await;
    let acquired = server.spec();
    for _ in 0..60 {
        pass(1).await;
        assert_ne!(first.leadership.is_leader(), second.leadership.is_leader());
    }
    let renewed = server.spec();
    assert_eq!(renewed.acquire_time, acquired.acquire_time);
    assert_eq!((renewed.lease_transitions, renewed.lease_duration_seconds), (Some(0), Some(15)));
    assert!(server.0.lock().unwrap().writes > 25);
}

#[tokio::test(start_paused = true)]
async fn a_cut_off_leader_stops_before_its_successor_starts() {
    let server = ApiServer::default();
    let old = start(&server, "a");
    let guard = acquired(&old).await;
    let new = start(&server, "b");
    pass(3).await;
    old.cut.send_replace(true);
    let cut = Instant::now();
    guard.lost().await;
    let stopped = cut.elapsed();
    assert!(!new.leadership.is_leader());
    acquired(&new).await;
    let taken = cut.elapsed();
    assert!(stopped <= Duration::from_secs(10), "{stopped:?}");
    assert!(taken >= stopped + Duration::from_secs(3), "{stopped:?} {taken:?}");
    assert!(taken <= Duration::from_secs(20), "{taken:?}");
    assert_eq!((guard.check(), guard.remaining()), (Err(NotLeader), None));
    assert_eq!((server.holder().as_str(), server.spec().lease_transitions), ("b", Some(1)));

    old.cut.send_replace(false);
    pass(30).await;
    assert!(new.leadership.is_leader() && !old.leadership.is_leader());
}

#[tokio::test(start_paused = true)]
async fn a_paused_process_sees_at_once_that_its_term_is_over() {
    let server = ApiServer::default();
    let (mut elector, leadership, _cut) = elector(&server, "a");
    elector.attempt().await;
    let guard = leadership.guard().unwrap();
    advance(Duration::from_millis(9999)).await;
    assert!(leadership.is_leader() && guard.check().is_ok() && leadership.check().is_ok());
    advance(Duration::from_millis(1)).await;
    assert!(!leadership.is_leader() && leadership.guard().is_none());
    advance(Duration::from_secs(50)).await;
    elector.attempt().await;
    assert!(leadership.is_leader(), "nobody took the lease meanwhile");
    assert_eq!(guard.check(), Err(NotLeader), "a guard does not outlive its term");
}

#[tokio::test(start_paused = true)]
async fn a_term_counts_from_the_start_of_the_request() {
    let server = ApiServer::default();
    let (mut elector, leadership, cut) = elector(&server, "a");
    elector.attempt().await;
    cut.send_replace(true);
    let attempt = tokio::spawn(async move {
        elector.attempt().await;
        elector
    });
    tokio::time::sleep(Duration::from_secs(4)).await;
    cut.send_replace(false);
    let _elector = attempt.await.unwrap();
    let remaining = leadership.guard().unwrap().remaining().unwrap();
    assert!(remaining <= Duration::from_secs(6), "{remaining:?}");
}

#[tokio::test(start_paused = true)]
async fn release_on_shutdown_lets_a_successor_start_at_once() {
    let server = ApiServer::default();
    let old = start(&server, "a");
    acquired(&old).await;
    let new = start(&server, "b");
    pass(1).await;
    old.stop.send_replace(true);
    old.task.await.unwrap();
    assert!(!old.leadership.is_leader());
    let released = Instant::now();
    acquired(&new).await;
    assert!(released.elapsed() <= Duration::from_secs(2));
    assert_eq!((server.holder().as_str(), server.spec().lease_transitions), ("b", Some(1)));
}

#[tokio::test(start_paused = true)]
async fn a_standby_releases_nothing() {
    let server = ApiServer::default();
    let leader = start(&server, "a");
    acquired(&leader).await;
    let standby = start(&server, "b");
    pass(1).await;
    let _ = standby.stop.send(true);
    standby.task.await.unwrap();
    assert_eq!(server.holder(), "a");
}

#[tokio::test(start_paused = true)]
async fn a_conflict_is_read_again_and_a_usurper_respected() {
    let server = ApiServer::default();
    let (mut elector, leadership, _cut) = elector(&server, "a");
    elector.attempt().await;
    // Somebody labels the Lease: our resourceVersion is outdated, the holder is not.
    server.0.lock().unwrap().lease.as_mut().unwrap().metadata.resource_version = Some("70".into());
    elector.attempt().await;
    assert!(leadership.is_leader());
    assert_eq!(server.spec().lease_transitions, Some(0));

    let usurp = |stored: &mut Stored| {
        let lease = stored.lease.as_mut().unwrap();
        lease.metadata.resource_version = Some("80".into());
        lease.spec.as_mut().unwrap().holder_identity = Some("c".into());
    };
    usurp(&mut server.0.lock().unwrap());
    elector.attempt().await;
    assert!(!leadership.is_leader(), "at once, not at the deadline");
    assert_eq!(server.holder(), "c");
}

#[tokio::test(start_paused = true)]
async fn a_deleted_lease_is_created_again() {
    let server = ApiServer::default();
    let (mut elector, leadership, _cut) = elector(&server, "a");
    elector.attempt().await;
    server.0.lock().unwrap().lease = None;
    elector.attempt().await;
    assert!(leadership.is_leader());
    assert_eq!(server.holder(), "a");
}

#[tokio::test(start_paused = true)]
async fn missing_rights_are_named_and_leadership_follows_when_granted() {
    let server = ApiServer::default();
    server.0.lock().unwrap().refuse = Some((403, "leases"));
    let (mut elector, leadership, _cut) = elector(&server, "a");
    let problem = elector.step().await.unwrap_err();
    assert!(problem.hint().contains("resources [leases], verbs [get, create, update]"));
    elector.attempt().await;
    assert!(!leadership.is_leader());
    server.0.lock().unwrap().refuse = None;
    elector.attempt().await;
    assert!(leadership.is_leader());
    assert!(elector.last_problem.is_none());
}

#[tokio::test(start_paused = true)]
async fn a_missing_namespace_is_named() {
    let (_, body) = failure(404, "namespaces");
    let status: Status = serde_json::from_slice(&body).unwrap();
    assert!(matches!(Problem::of(kube::Error::Api(Box::new(status))), Problem::NoNamespace));
}

#[tokio::test(start_paused = true)]
async fn fields_of_others_are_kept_and_a_blind_overwrite_refused() {
    let server = ApiServer::default();
    let (mut elector, leadership, _cut) = elector(&server, "a");
    let spec = LeaseSpec { strategy: Some("OldestEmulationVersion".into()), ..LeaseSpec::default() };
    let mut lease = Lease { spec: Some(spec), ..Lease::default() };
    assert!(matches!(elector.put(&lease).await, Err(Problem::Outdated)));
    lease.metadata.resource_version = Some("3".into());
    lease.metadata.labels = Some([("team".to_owned(), "x".to_owned())].into());
    server.0.lock().unwrap().lease = Some(lease);
    elector.attempt().await;
    assert!(leadership.is_leader());
    assert_eq!(server.spec().strategy.as_deref(), Some("OldestEmulationVersion"));
    assert!(server.0.lock().unwrap().lease.as_ref().unwrap().metadata.labels.is_some());
}

#[tokio::test(start_paused = true)]
async fn a_lone_replica_always_leads() {
    let leadership = Leadership::always();
    assert!(leadership.acquired().await.check().is_ok());
    advance(Duration::from_secs(86_400 * 365)).await;
    assert!(leadership.is_leader());
}

async fn acquired(replica: &Replica) -> WriteGuard {
    timeout(Duration::from_secs(100), replica.leadership.acquired()).await.expect("acquired")
}
