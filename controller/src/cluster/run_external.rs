//! The half of ExternalSecrets: what it consists of, and how it runs alone (called `external-secrets`).

use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use kube::Client;
use tokio::net::TcpListener;
use tokio::sync::watch;
use tokio::task::JoinHandle;
use tokio::time::timeout;
use tracing::{info, warn};

use super::api::SecretApi;
use super::events::Recorder;
use super::external::{ExternalDriver, ExternalOptions};
use super::fan_out::FanOutDriver;
use super::generator_states::StateDriver;
use super::http::{Limits, Route, Router, metrics_routes, serve, text};
use super::leader::{Candidate, LeaderElector, Leadership, Timing};
use super::metrics::{Metrics, ObjectLabels};
use super::push::PushDriver;
use super::queue::Drain;
use super::receiver::{ReceiverOptions, Refresh, receive};
use super::restarts::RestartDriver;
use super::run::{Connection, DRAIN, Signals, bind, connect, publish_leadership};
use super::stores::{StoreDriver, StoreNews, StoreOptions};
use super::throttle::Rate;
use super::watch::Namespaces;
use crate::external::children::{ExternalSecrets, PushSecrets};
use crate::external::{
    Connections, Generators, ObjectGenerators, Observer, Options, StoreEnvironment, StoreRules, Stores,
};
use crate::templates::TemplateOptions;

/// Component of the events, as upstream's.
const COMPONENT: &str = "external-secrets";

/// Everything that this half is told when it runs alone.
#[derive(Debug, Clone)]
pub struct ExternalRunOptions {
    /// Where the API server is.
    pub connection: Connection,
    /// Highest rate of our requests to it; `None` leaves that to the API server.
    pub api_rate: Option<Rate>,
    /// Unique name of this process.
    pub identity: String,
    /// How replicas elect a leader; without, there must be one replica only.
    pub election: Option<ElectionOptions>,
    /// Which namespaces are watched.
    pub namespaces: Namespaces,
    /// Which stores are used.
    pub stores: StoreRules,
    /// Time between two checks of a store without an interval of its own.
    pub store_interval: Duration,
    /// Which kinds are handled.
    pub reconcilers: Reconcilers,
    /// How long a replaced state of a generator is kept.
    pub generator_grace: Duration,
    /// Whether targets may be other objects than Secrets.
    pub generic_targets: bool,
    /// Restarts workloads whose Secrets change; the key for that lies in this namespace.
    pub restarts: Option<String>,
    /// Objects of each kind in work at once.
    pub workers: usize,
    /// Addresses of the probes: the first that can be had. None where they are off.
    pub live: Vec<SocketAddr>,
    /// Addresses of the metrics, likewise.
    pub metrics: Vec<SocketAddr>,
    /// Notices of changed values.
    pub receiver: ReceiverOptions,
}

/// How a leader is elected.
#[derive(Debug, Clone)]
pub struct ElectionOptions {
    /// Times.
    pub timing: Timing,
    /// Name of the lease.
    pub lease: String,
    /// Its namespace.
    pub namespace: String,
}

/// Which kinds are handled, besides ExternalSecrets.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Reconcilers {
    /// The status of SecretStores.
    pub stores: bool,
    /// ClusterSecretStores.
    pub cluster_stores: bool,
    /// ClusterExternalSecrets.
    pub cluster_external_secrets: bool,
    /// PushSecrets.
    pub push_secrets: bool,
    /// ClusterPushSecrets.
    pub cluster_push_secrets: bool,
    /// GeneratorStates.
    pub generator_states: bool,
}

impl Default for Reconcilers {
    fn default() -> Self {
        Self {
            stores: true,
            cluster_stores: true,
            cluster_external_secrets: true,
            push_secrets: true,
            cluster_push_secrets: true,
            generator_states: true,
        }
    }
}

/// What this half is told, alone or beside the other one.
#[derive(Debug, Clone)]
pub struct HalfOptions {
    /// Which namespaces are watched. The cluster-wide kinds need all of them.
    pub namespaces: Namespaces,
    /// Objects of each kind in work at once.
    pub workers: usize,
    /// Which stores are used.
    pub stores: StoreRules,
    /// Time between two checks of a store without an interval of its own.
    pub store_interval: Duration,
    /// Which kinds are handled.
    pub reconcilers: Reconcilers,
    /// How ExternalSecrets become Secrets.
    pub rules: Options,
    /// How long a replaced state of a generator is kept.
    pub generator_grace: Duration,
    /// Restarts workloads whose Secrets change; the key for that lies in this namespace.
    pub restarts: Option<String>,
}

/// The running half.
pub(super) struct ExternalHalf {
    /// End after `stop` of [`ExternalHalf::start`], when the work in hand is done.
    pub(super) working: Vec<JoinHandle<()>>,
    shut_down: Vec<Box<dyn Fn() + Send + Sync>>,
    external: Arc<ExternalDriver>,
}

impl ExternalHalf {
    /// Starts everything; nothing is written before there is leadership.
    pub(super) fn start(
        api: &SecretApi,
        client: &Client,
        metrics: &Arc<Metrics>,
        identity: &str,
        options: &HalfOptions,
        leadership: &Leadership,
        stop: &watch::Receiver<bool>,
    ) -> Self {
        let (recorder, events) = Recorder::new(client.clone(), COMPONENT, identity.to_owned());
        tokio::spawn(events.run());
        let environment = StoreEnvironment {
            templates: TemplateOptions { allow_random_functions: true },
            network: true,
            egress: options.stores.egress,
            ..StoreEnvironment::default()
        };
        let class = options.stores.class.clone();
        let news = Arc::new(StoreNews::new(Arc::clone(metrics)));
        let observer = Arc::clone(&news) as Arc<dyn Observer>;
        let connections = Arc::new(Connections::new(options.stores.clone(), environment.clone(), observer));
        let stores = Arc::clone(&connections) as Arc<dyn Stores>;
        let state_environment = environment.clone();
        let generators: Arc<dyn Generators> = Arc::new(ObjectGenerators::new(class, environment));
        let workers = options.workers;
        let (metrics, namespaces) = (|| Arc::clone(metrics), options.namespaces.clone());
        let external = ExternalOptions {
            namespaces: namespaces.clone(),
            workers,
            stores: Arc::clone(&stores),
            generators: Arc::clone(&generators),
            options: options.rules,
            generator_grace: options.reconcilers.generator_states.then_some(options.generator_grace),
        };
        let external = ExternalDriver::new(api.clone(), metrics(), recorder.clone(), external);
        let mut half = Self { working: Vec::new(), shut_down: Vec::new(), external: Arc::clone(&external) };
        let checks = StoreOptions {
            namespaces: namespaces.clone(),
            secret_stores: options.reconcilers.stores,
            // Cluster-wide kinds need the right to all namespaces.
            cluster_stores: options.reconcilers.cluster_stores && namespaces == Namespaces::All,
            interval: options.store_interval,
            workers,
        };
        let store =
            StoreDriver::new(api.clone(), metrics(), recorder.clone(), checks, connections, news.as_ref());
        tokio::spawn(Arc::clone(&store).watch());
        let queue = Arc::clone(&store);
        half.add(store.lead(leadership.clone(), stop.clone()), move || {
            queue.queue().shut_down(Drain::Discard);
        });
        tokio::spawn(Arc::clone(&external).watch());
        let queue = Arc::clone(&external);
        half.add(external.lead(leadership.clone(), stop.clone()), move || {
            queue.queue().shut_down(Drain::Discard);
        });
        if let Some(home) = &options.restarts {
            let restarts = RestartDriver::new(
                api.clone(),
                metrics(),
                recorder.clone(),
                namespaces.clone(),
                home.clone(),
            );
            tokio::spawn(Arc::clone(&restarts).watch());
            let own = Arc::clone(&restarts);
            half.add(restarts.lead(leadership.clone(), stop.clone()), move || own.shut_down());
        }
        if options.reconcilers.generator_states {
            let states = StateDriver::new(
                api.clone(),
                metrics(),
                recorder.clone(),
                namespaces.clone(),
                state_environment,
            );
            tokio::spawn(Arc::clone(&states).watch());
            let queue = Arc::clone(&states);
            half.add(states.lead(leadership.clone(), stop.clone()), move || {
                queue.queue().shut_down(Drain::Discard);
            });
        }
        if options.reconcilers.push_secrets {
            let push = PushDriver::new(
                api.clone(),
                metrics(),
                recorder.clone(),
                namespaces.clone(),
                workers,
                stores,
                generators,
            );
            tokio::spawn(Arc::clone(&push).watch());
            let queue = Arc::clone(&push);
            half.add(push.lead(leadership.clone(), stop.clone()), move || {
                queue.queue().shut_down(Drain::Discard);
            });
        }
        // Kinds for all namespaces need the right to all of them.
        let all = namespaces == Namespaces::All;
        if options.reconcilers.cluster_external_secrets && all {
            let fan = FanOutDriver::<ExternalSecrets>::new(api.clone(), metrics(), recorder.clone(), workers);
            tokio::spawn(Arc::clone(&fan).watch());
            let queue = Arc::clone(&fan);
            half.add(fan.lead(leadership.clone(), stop.clone()), move || {
                queue.queue().shut_down(Drain::Discard);
            });
        }
        if options.reconcilers.cluster_push_secrets && all {
            let fan = FanOutDriver::<PushSecrets>::new(api.clone(), metrics(), recorder, workers);
            tokio::spawn(Arc::clone(&fan).watch());
            let queue = Arc::clone(&fan);
            half.add(fan.lead(leadership.clone(), stop.clone()), move || {
                queue.queue().shut_down(Drain::Discard);
            });
        }
        half
    }

    fn add(
        &mut self,
        work: impl Future<Output = ()> + Send + 'static,
        shut_down: impl Fn() + Send + Sync + 'static,
    ) {
        self.working.push(tokio::spawn(work));
        self.shut_down.push(Box::new(shut_down));
    }

    /// Returns what makes objects due.
    pub(super) fn refresh(&self) -> Refresh {
        let external = Arc::clone(&self.external);
        Box::new(move |notice| external.refresh(notice))
    }

    /// Takes no new work.
    pub(super) fn shut_down(&self) {
        self.shut_down.iter().for_each(|shut_down| shut_down());
    }
}

/// Runs this half alone until SIGTERM or SIGINT, then drains.
///
/// # Errors
/// Returns why the process cannot start: configuration, addresses. Later failures are retried for ever.
pub async fn run_external(options: ExternalRunOptions) -> Result<(), String> {
    let live = bind_any(&options.live).await?;
    let metrics_listener = bind_any(&options.metrics).await?;
    let client = connect(&options.connection).await?;
    let mut signals = Signals::new()?;
    let metrics = Arc::new(Metrics::new(env!("CARGO_PKG_VERSION"), ObjectLabels::Publish));
    let api = SecretApi::new(client.clone()).throttled(options.api_rate);

    let (stop_work, work) = watch::channel(false);
    let (stop_rest, rest) = watch::channel(false);
    let (elector, leadership) = elect(&client, &options);
    let elector = elector.map(|elector| tokio::spawn(elector.run(rest.clone())));
    tokio::spawn(publish_leadership(Arc::clone(&metrics), leadership.clone()));
    let half_options = HalfOptions {
        namespaces: options.namespaces.clone(),
        workers: options.workers,
        stores: options.stores.clone(),
        store_interval: options.store_interval,
        reconcilers: options.reconcilers,
        rules: Options {
            templates: TemplateOptions { allow_random_functions: true },
            allow_token_secrets: false,
            generic_targets: options.generic_targets,
        },
        generator_grace: options.generator_grace,
        restarts: options.restarts.clone(),
    };
    let half =
        ExternalHalf::start(&api, &client, &metrics, &options.identity, &half_options, &leadership, &work);
    let ready = Arc::new(AtomicBool::new(true));
    let mut serving = serve_both(live, metrics_listener, &ready, &metrics, &rest);
    let receiving = receive(&options.receiver, leadership, half.refresh(), &metrics, rest);
    serving.extend(receiving.await?);

    signals.wait(|| {}).await;
    info!("stopping: finishing the work in hand");
    ready.store(false, Ordering::Relaxed);
    stop_work.send_replace(true);
    half.shut_down();
    if timeout(DRAIN, futures::future::join_all(half.working)).await.is_err() {
        warn!("the work in hand did not end in time");
    }
    stop_rest.send_replace(true);
    let _ = timeout(DRAIN, futures::future::join_all(serving.into_iter().chain(elector))).await;
    info!("stopped");
    Ok(())
}

/// Listens on the first address that can be had; nowhere where there is none.
pub(super) async fn bind_any(addresses: &[SocketAddr]) -> Result<Option<TcpListener>, String> {
    match addresses {
        [] => Ok(None),
        addresses => bind(addresses).await.map(Some),
    }
}

/// Serves probes and metrics where they are wanted.
pub(super) fn serve_both(
    probes: Option<TcpListener>,
    metrics_listener: Option<TcpListener>,
    ready: &Arc<AtomicBool>,
    metrics: &Arc<Metrics>,
    stop: &watch::Receiver<bool>,
) -> Vec<JoinHandle<()>> {
    let limits = Limits::default();
    let probes =
        probes.map(|listener| tokio::spawn(serve(listener, probe_routes(ready), None, limits, stop.clone())));
    let metrics = metrics_listener.map(|listener| {
        tokio::spawn(serve(listener, metrics_routes(Arc::clone(metrics)), None, limits, stop.clone()))
    });
    probes.into_iter().chain(metrics).collect()
}

fn probe_routes(ready: &Arc<AtomicBool>) -> Router {
    let ready = Arc::clone(ready);
    Router::new().route("/healthz", Route::new(|_| async { text(200, "ok\n") })).route(
        "/readyz",
        Route::new(move |_| {
            let ready = ready.load(Ordering::Relaxed);
            async move { if ready { text(200, "ok\n") } else { text(503, "not ready\n") } }
        }),
    )
}

fn elect(client: &Client, options: &ExternalRunOptions) -> (Option<LeaderElector>, Leadership) {
    let Some(election) = &options.election else { return (None, Leadership::always()) };
    let candidate = Candidate {
        namespace: election.namespace.clone(),
        lease_name: election.lease.clone(),
        identity: options.identity.clone(),
        timing: election.timing,
    };
    let (elector, leadership) = LeaderElector::new(client.clone(), candidate);
    (Some(elector), leadership)
}
