//! Puts the parts together and runs them until a signal.

use std::net::SocketAddr;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use futures::StreamExt;
use kube::config::{KubeConfigOptions, Kubeconfig};
use kube::{Client, Config};
use sealops_crds::sealed_secret::{SEALING_KEY_ACTIVE, SEALING_KEY_LABEL};
use tokio::net::TcpListener;
use tokio::signal::unix::{SignalKind, signal};
use tokio::sync::watch;
use tokio::time::timeout;
use tracing::{info, warn};

use super::api::SecretApi;
use super::events::Recorder;
use super::external::ExternalDriver;
use super::http::{Limits, main_routes, metrics_routes, serve};
use super::keys::{KeyManager, KeyOptions};
use super::leader::{Candidate, LeaderElector, Leadership, Timing};
use super::metrics::{Metrics, ObjectLabels};
use super::sealed::{SealedDriver, SealedOptions};
use super::watch::{Namespaces, Seen, secrets};

/// Everything that the process is told.
#[derive(Debug, Clone)]
pub struct RunOptions {
    /// Kubeconfig file; `None` asks the environment, then the pod's own account.
    pub kubeconfig: Option<PathBuf>,
    /// Unique name of this process, for the Lease and the events.
    pub identity: String,
    /// How replicas elect a leader; without, there must be one replica only.
    pub election: Option<Timing>,
    /// Sealing keys.
    pub keys: KeyOptions,
    /// SealedSecrets.
    pub sealed: SealedOptions,
    /// Workers for ExternalSecrets; `None` leaves that half out.
    pub external_workers: Option<usize>,
    /// Address of certificate and probes.
    pub listen: SocketAddr,
    /// Address of the metrics.
    pub listen_metrics: SocketAddr,
}

const LEASE: &str = "sealops-controller";
/// Longest time that work in hand may take after a signal.
const DRAIN: Duration = Duration::from_secs(20);

/// Runs until SIGTERM or SIGINT, then drains.
///
/// # Errors
/// Returns why the process cannot start: configuration, addresses. Later failures are retried for ever.
pub async fn run(options: RunOptions) -> Result<(), String> {
    let client = connect(options.kubeconfig.as_deref()).await?;
    let listener = bind(options.listen).await?;
    let metrics_listener = bind(options.listen_metrics).await?;
    let mut signals = Signals::new()?;

    let metrics = Arc::new(Metrics::new(env!("CARGO_PKG_VERSION"), ObjectLabels::Publish));
    let keys = Arc::new(KeyManager::new(SecretApi::new(client.clone()), options.keys.clone()));
    let (recorder, events) = Recorder::new(client.clone(), "sealed-secrets", options.identity.clone());
    let (external_recorder, external_events) =
        Recorder::new(client.clone(), "external-secrets", options.identity.clone());
    let sealed = SealedDriver::new(
        client.clone(),
        Arc::clone(&keys),
        Arc::clone(&metrics),
        recorder,
        options.sealed.clone(),
    );
    let external = options.external_workers.map(|workers| {
        let namespaces = options.sealed.namespaces.clone();
        ExternalDriver::new(client.clone(), Arc::clone(&metrics), external_recorder, namespaces, workers)
    });

    let (stop_work, work) = watch::channel(false);
    let (stop_rest, rest) = watch::channel(false);
    let (elector, leadership) = elect(&client, &options);
    let elector = elector.map(|elector| tokio::spawn(elector.run(rest.clone())));
    tokio::spawn(events.run());
    tokio::spawn(external_events.run());
    tokio::spawn(follow_keys(client.clone(), Arc::clone(&keys)));
    tokio::spawn(publish_leadership(Arc::clone(&metrics), leadership.clone()));
    tokio::spawn(Arc::clone(&sealed).watch());
    let mut working = vec![tokio::spawn(Arc::clone(&sealed).lead(leadership.clone(), work.clone()))];
    if let Some(external) = &external {
        tokio::spawn(Arc::clone(external).watch());
        working.push(tokio::spawn(Arc::clone(external).lead(leadership, work)));
    }
    let ready = Arc::clone(&sealed);
    let routes = main_routes(move || ready.is_complete(), move || keys.current().certificate.clone());
    let serving = [
        tokio::spawn(serve(listener, routes, Some(Arc::clone(&metrics)), Limits::default(), rest.clone())),
        tokio::spawn(serve(metrics_listener, metrics_routes(metrics), None, Limits::default(), rest)),
    ];
    info!(listen = %options.listen, metrics = %options.listen_metrics, "started");

    signals.wait().await;
    info!("stopping: finishing the work in hand");
    stop_work.send_replace(true);
    sealed.queue().shut_down(super::queue::Drain::Discard);
    if let Some(external) = &external {
        external.queue().shut_down(super::queue::Drain::Discard);
    }
    if timeout(DRAIN, futures::future::join_all(working)).await.is_err() {
        warn!("the work in hand did not end in time");
    }
    stop_rest.send_replace(true);
    let _ = timeout(DRAIN, futures::future::join_all(serving.into_iter().chain(elector))).await;
    info!("stopped");
    Ok(())
}

async fn connect(kubeconfig: Option<&std::path::Path>) -> Result<Client, String> {
    let config = match kubeconfig {
        Some(path) => {
            let read = Kubeconfig::read_from(path).map_err(|error| format!("{}: {error}", path.display()))?;
            Config::from_custom_kubeconfig(read, &KubeConfigOptions::default())
                .await
                .map_err(|error| format!("{}: {error}", path.display()))?
        }
        None => Config::infer().await.map_err(|_| {
            "found neither a kubeconfig nor a pod's service account; name one with --kubeconfig".to_owned()
        })?,
    };
    Client::try_from(config)
        .map_err(|error| format!("cannot set up the connection to the API server: {error}"))
}

async fn bind(address: SocketAddr) -> Result<TcpListener, String> {
    TcpListener::bind(address).await.map_err(|error| format!("cannot listen on {address}: {error}"))
}

fn elect(client: &Client, options: &RunOptions) -> (Option<LeaderElector>, Leadership) {
    let Some(timing) = options.election else { return (None, Leadership::always()) };
    let candidate = Candidate {
        namespace: options.keys.namespace.clone(),
        lease_name: LEASE.to_owned(),
        identity: options.identity.clone(),
        timing,
    };
    let (elector, leadership) = LeaderElector::new(client.clone(), candidate);
    (Some(elector), leadership)
}

/// Reads the keys again whenever a key Secret changes; also on replicas that do not lead, which serve the certificate.
async fn follow_keys(client: Client, keys: Arc<KeyManager>) {
    let namespaces = Namespaces::Some(vec![keys.namespace().to_owned()]);
    let label = format!("{SEALING_KEY_LABEL}={SEALING_KEY_ACTIVE}");
    let mut changes = secrets(&client, &namespaces, Some(&label));
    while let Some(seen) = changes.next().await {
        if matches!(seen, Seen::Applied(..)) && keys.current().ring.is_empty() {
            continue; // the complete list follows
        }
        while let Err(error) = keys.refresh().await {
            warn!(%error, "cannot read the sealing keys; trying again");
            tokio::time::sleep(Duration::from_secs(2)).await;
        }
    }
}

async fn publish_leadership(metrics: Arc<Metrics>, leadership: Leadership) {
    loop {
        metrics.leader(false);
        let guard = leadership.acquired().await;
        metrics.leader(true);
        guard.lost().await;
    }
}

struct Signals {
    terminate: tokio::signal::unix::Signal,
    interrupt: tokio::signal::unix::Signal,
}

impl Signals {
    fn new() -> Result<Self, String> {
        let listen = |kind| signal(kind).map_err(|error| format!("cannot listen for signals: {error}"));
        Ok(Self { terminate: listen(SignalKind::terminate())?, interrupt: listen(SignalKind::interrupt())? })
    }

    async fn wait(&mut self) {
        tokio::select! {
            _ = self.terminate.recv() => {}
            _ = self.interrupt.recv() => {}
        }
    }
}
