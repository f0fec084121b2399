//! Puts the parts together and runs them until a signal.

use std::net::{IpAddr, SocketAddr};
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use futures::StreamExt;
use kube::config::{KubeConfigOptions, Kubeconfig};
use kube::{Client, Config};
use sealops_crds::sealed_secret::{SEALING_KEY_ACTIVE, SEALING_KEY_LABEL};
use sealops_providers::Egress;
use tokio::net::TcpListener;
use tokio::signal::unix::{Signal, SignalKind, signal};
use tokio::sync::watch;
use tokio::time::timeout;
use tracing::{info, warn};

use super::api::SecretApi;
use super::events::Recorder;
use super::http::{
    Clients, Limiter, Limits, Router, SealingApi, main_routes, metrics_routes, sealing_routes, serve,
};
use super::keys::{KeyManager, KeyOptions};
use super::leader::{Candidate, LeaderElector, Leadership, Timing};
use super::metrics::{Metrics, ObjectLabels};
use super::receiver::{ReceiverOptions, receive};
use super::run_external::{ExternalHalf, HalfOptions, Reconcilers};
use super::sealed::{SealedDriver, SealedOptions};
use super::throttle::Rate;
use super::watch::{Namespaces, Seen, secrets};
use crate::external::{Options, StoreRules};

/// Everything that the process is told.
#[derive(Debug, Clone)]
pub struct RunOptions {
    /// Where the API server is.
    pub connection: Connection,
    /// Highest rate of our requests to it, besides watches, lease and events; `None` leaves that to the API server.
    pub api_rate: Option<Rate>,
    /// Unique name of this process, for the Lease and the events.
    pub identity: String,
    /// How replicas elect a leader; without, there must be one replica only.
    pub election: Option<Timing>,
    /// Sealing keys.
    pub keys: KeyOptions,
    /// Whether key Secrets are watched; else they are read at the start only.
    pub watch_keys: bool,
    /// SealedSecrets.
    pub sealed: SealedOptions,
    /// Workers for ExternalSecrets; `None` leaves that half out.
    pub external_workers: Option<usize>,
    /// Which addresses the stores of that half may be reached at.
    pub egress: Egress,
    /// Whether workloads are restarted whose Secrets change; a part of the half of ExternalSecrets.
    pub restart_workloads: bool,
    /// Whether targets of ExternalSecrets may be other objects than Secrets.
    pub generic_targets: bool,
    /// Notices of changed values.
    pub receiver: ReceiverOptions,
    /// The two servers.
    pub http: HttpOptions,
    /// Version that the metric `build_info` names.
    pub revision: String,
    /// Whether the metrics name objects.
    pub object_labels: ObjectLabels,
}

/// Where the API server is.
#[derive(Debug, Clone)]
pub enum Connection {
    /// This kubeconfig, or what the environment says, or the pod's own account.
    Kubeconfig(Option<PathBuf>),
    /// The pod's own account.
    Pod,
}

/// How the two servers serve.
#[derive(Debug, Clone)]
pub struct HttpOptions {
    /// Addresses of certificate, verify, rotate and probes: the first that can be had.
    pub listen: Vec<SocketAddr>,
    /// Addresses of the metrics.
    pub listen_metrics: Vec<SocketAddr>,
    /// Their bounds.
    pub limits: Limits,
    /// Requests a second and client to verify and rotate.
    pub rate_limit: u32,
    /// Requests beyond that at once.
    pub rate_limit_burst: u32,
    /// Addresses whose `X-Forwarded-For` is believed, besides those of the API servers that the cluster names.
    pub trusted_proxies: Vec<IpAddr>,
}

const LEASE: &str = "sealops-controller";
/// Time between two checks of a store without an interval of its own.
const STORE_INTERVAL: Duration = Duration::from_secs(300);
/// How long a replaced state of a generator is kept.
const GENERATOR_GRACE: Duration = Duration::from_secs(120);
/// Longest time that work in hand may take after a signal.
pub(super) const DRAIN: Duration = Duration::from_secs(20);

/// Runs until SIGTERM or SIGINT, then drains. SIGUSR1 makes a new sealing key.
///
/// # Errors
/// Returns why the process cannot start: configuration, addresses. Later failures are retried for ever.
pub async fn run(options: RunOptions) -> Result<(), String> {
    let client = connect(&options.connection).await?;
    let listener = bind(&options.http.listen).await?;
    let metrics_listener = bind(&options.http.listen_metrics).await?;
    let limiter = Limiter::new(options.http.rate_limit, options.http.rate_limit_burst)
        .ok_or("the rate limit must be one request a second or more")?;
    let mut signals = Signals::new()?;

    let metrics = Arc::new(Metrics::new(&options.revision, options.object_labels));
    let api = SecretApi::new(client.clone()).throttled(options.api_rate);
    let (recorder, events) = Recorder::new(client.clone(), "sealed-secrets", options.identity.clone());
    let keys = KeyManager::new(api.clone(), options.keys.clone(), recorder.clone(), Arc::clone(&metrics));
    let keys = Arc::new(keys);
    let sealed = SealedDriver::new(
        api.clone(),
        Arc::clone(&keys),
        Arc::clone(&metrics),
        recorder,
        options.sealed.clone(),
    );
    let (stop_work, work) = watch::channel(false);
    let (stop_rest, rest) = watch::channel(false);
    let identity = options.identity.clone();
    let (elector, leadership) = elect(&client, &options);
    let elector = elector.map(|elector| tokio::spawn(elector.run(rest.clone())));
    tokio::spawn(events.run());
    if options.watch_keys {
        tokio::spawn(follow_keys(client.clone(), Arc::clone(&keys)));
    }
    tokio::spawn(publish_leadership(Arc::clone(&metrics), leadership.clone()));
    tokio::spawn(Arc::clone(&sealed).watch());
    let mut working = vec![tokio::spawn(Arc::clone(&sealed).lead(leadership.clone(), work.clone()))];
    let external = options.external_workers.map(|workers| {
        let options = HalfOptions {
            namespaces: options.sealed.namespaces.clone(),
            workers,
            stores: StoreRules { egress: options.egress, ..StoreRules::default() },
            store_interval: STORE_INTERVAL,
            reconcilers: Reconcilers::default(),
            rules: Options {
                templates: options.sealed.open.templates,
                allow_token_secrets: options.sealed.open.allow_token_secrets,
                generic_targets: options.generic_targets,
            },
            generator_grace: GENERATOR_GRACE,
            restarts: options.restart_workloads.then(|| options.keys.namespace.clone()),
        };
        ExternalHalf::start(&api, &client, &metrics, &identity, &options, &leadership, &work)
    });
    let routes = routes(&options, api, &sealed, &keys, limiter);
    let limits = options.http.limits;
    let mut serving =
        vec![tokio::spawn(serve(listener, routes, Some(Arc::clone(&metrics)), limits, rest.clone()))];
    match &external {
        Some(external) => serving.extend(
            receive(&options.receiver, leadership, external.refresh(), &metrics, rest.clone()).await?,
        ),
        None if options.receiver.listen.is_empty() => {}
        None => return Err("--refresh-addr: ExternalSecrets are not handled here".to_owned()),
    }
    serving.push(tokio::spawn(serve(metrics_listener, metrics_routes(metrics), None, limits, rest)));

    signals.wait(|| keys.ask_for_renewal()).await;
    info!("stopping: finishing the work in hand");
    stop_work.send_replace(true);
    sealed.queue().shut_down(super::queue::Drain::Discard);
    if let Some(external) = external {
        external.shut_down();
        working.extend(external.working);
    }
    if timeout(DRAIN, futures::future::join_all(working)).await.is_err() {
        warn!("the work in hand did not end in time");
    }
    stop_rest.send_replace(true);
    let _ = timeout(DRAIN, futures::future::join_all(serving.into_iter().chain(elector))).await;
    info!("stopped");
    Ok(())
}

/// The routes of the main server. Ready means: every watch has shown everything, and there is a certificate to seal
/// with.
fn routes(
    options: &RunOptions,
    api: SecretApi,
    sealed: &Arc<SealedDriver>,
    keys: &Arc<KeyManager>,
    limiter: Limiter,
) -> Router {
    let clients = Arc::new(Clients::new(options.http.trusted_proxies.iter().copied()));
    let followed = Arc::clone(&clients);
    tokio::spawn(async move { followed.follow(&api).await });
    let (watching, ready_keys, served_keys) = (Arc::clone(sealed), Arc::clone(keys), Arc::clone(keys));
    let routes = main_routes(
        move || watching.is_complete() && ready_keys.current().certificate.is_some(),
        move || served_keys.current().certificate.clone(),
    );
    let sealing = SealingApi::new(Arc::clone(keys), options.sealed.open, sealed.rsa());
    sealing_routes(routes, sealing, clients, limiter)
}

pub(super) async fn connect(connection: &Connection) -> Result<Client, String> {
    let config = match connection {
        Connection::Kubeconfig(Some(path)) => {
            let read = Kubeconfig::read_from(path).map_err(|error| format!("{}: {error}", path.display()))?;
            Config::from_custom_kubeconfig(read, &KubeConfigOptions::default())
                .await
                .map_err(|error| format!("{}: {error}", path.display()))?
        }
        Connection::Kubeconfig(None) => Config::infer().await.map_err(|_| {
            "found neither a kubeconfig nor a pod's service account; name one with --kubeconfig".to_owned()
        })?,
        Connection::Pod => Config::incluster().map_err(|error| {
            format!("unable to load in-cluster configuration; this name runs in a pod only: {error}")
        })?,
    };
    Client::try_from(config)
        .map_err(|error| format!("cannot set up the connection to the API server: {error}"))
}

pub(super) async fn bind(addresses: &[SocketAddr]) -> Result<TcpListener, String> {
    let shown = addresses.first().map_or_else(|| "no address".to_owned(), ToString::to_string);
    let listener =
        TcpListener::bind(addresses).await.map_err(|error| format!("cannot listen on {shown}: {error}"))?;
    info!(addr = shown, "HTTP server serving");
    Ok(listener)
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

pub(super) async fn publish_leadership(metrics: Arc<Metrics>, leadership: Leadership) {
    loop {
        metrics.leader(false);
        let guard = leadership.acquired().await;
        metrics.leader(true);
        guard.lost().await;
    }
}

pub(super) struct Signals {
    terminate: Signal,
    interrupt: Signal,
    user: Signal,
}

impl Signals {
    pub(super) fn new() -> Result<Self, String> {
        let listen = |kind| signal(kind).map_err(|error| format!("cannot listen for signals: {error}"));
        Ok(Self {
            terminate: listen(SignalKind::terminate())?,
            interrupt: listen(SignalKind::interrupt())?,
            user: listen(SignalKind::user_defined1())?,
        })
    }

    /// Waits for the end; meanwhile does what SIGUSR1 asks for.
    pub(super) async fn wait(&mut self, renew: impl Fn()) {
        loop {
            tokio::select! {
                _ = self.terminate.recv() => return,
                _ = self.interrupt.recv() => return,
                _ = self.user.recv() => renew(),
            }
        }
    }
}
