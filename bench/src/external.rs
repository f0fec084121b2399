//! P11 and P12 for ExternalSecrets: the real operator 0.20.4 and ours at one webhook store that takes 20 ms to answer.
//!
//! Each has a cluster of its own. The objects are there when it starts (*first sync*); then it starts again and finds
//! everything as it is (*warm restart*). Ten objects share a key. `SEALOPS_BENCH_EXTERNAL` is another number of objects.
//! With `--quick` there is one pair of a thousand, else three, and one of ten thousand.

use std::collections::BTreeMap;
use std::time::Duration;

use anyhow::{Context as _, Result, ensure};
use futures::{StreamExt, TryStreamExt};
use k8s_openapi::api::core::v1::Secret;
use kube::api::{Api, ApiResource, DynamicObject, GroupVersionKind, ListParams, PostParams};
use sealops_crds::ExternalSecret;
use sealops_testenv::{AuditMark, ExternalSecretsOperator, Process, eventually};
use serde_json::{Value, json};
use tempfile::TempDir;

use crate::Context;
use crate::cluster::{Cluster, PATIENCE, block_on};
use crate::controller::{
    POLL, POLLS_AT_REST, Quiet, USER, age, counter, cpu_seconds, is_write, start_process,
};
use crate::keys;
use crate::report::{Goal, Report, Row, Unit};
use crate::slow_store::SlowStore;

/// Runs the benchmark.
pub(crate) fn run(context: &Context, report: &mut Report) -> Result<()> {
    let sizes = match std::env::var("SEALOPS_BENCH_EXTERNAL") {
        Ok(text) => vec![text.parse().context("SEALOPS_BENCH_EXTERNAL is no number")?],
        Err(_) if context.quick => vec![1000],
        Err(_) => vec![1000, 10_000],
    };
    for objects in sizes {
        let pairs = if objects <= OBJECTS_OF_PAIRS { context.repetitions(3, 1) } else { 1 };
        let mut both = [Vec::new(), Vec::new()];
        for _ in 0..pairs {
            for (side, starts) in [Side::Theirs, Side::Ours].into_iter().zip(&mut both) {
                eprintln!("P11 {objects} ExternalSecrets, {side:?}");
                match block_on(measure(context, side, objects)) {
                    Ok(measured) => starts.push(measured),
                    Err(error) => {
                        report.problem(format!("P11 {side:?}, {objects} objects: {error:#}"));
                    }
                }
            }
        }
        let [peer, ours] = both;
        rows(objects, &peer, &ours).into_iter().for_each(|row| report.add(row));
    }
    Ok(())
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Side {
    /// With 50 workers and its client limits lifted.
    Theirs,
    /// As it comes.
    Ours,
}

/// What a start came to, from the beginning of the process to the last thing it did.
struct Start {
    wall_seconds: f64,
    cpu_seconds: f64,
    rss_bytes: f64,
    peak_bytes: f64,
    calls: f64,
    requests: Requests,
}

/// Requests to the API server about objects of the namespace, watches apart.
#[derive(Default)]
struct Requests {
    secrets: u32,
    others: u32,
    reads: u32,
}

type Starts = [Start; 2];

async fn measure(context: &Context, side: Side, objects: usize) -> Result<Starts> {
    let store = SlowStore::start(DELAY)?;
    // Ours handles SealedSecrets too: without a key it would begin with making one, which takes a second.
    let cluster = Cluster::start(&keys::pairs(1)?).await?;
    cluster.plane.ensure_namespace(NAMESPACE).await?;
    create(&cluster, &store, objects).await?;
    let first = start(context, side, &cluster, &store, objects).await?;
    let before = verify(&cluster, objects).await?;
    let warm = start(context, side, &cluster, &store, objects).await?;
    ensure!(verify(&cluster, objects).await? == before || side == Side::Theirs, "a restart changed Secrets");
    Ok([first, warm])
}

async fn start(
    context: &Context,
    side: Side,
    cluster: &Cluster,
    store: &SlowStore,
    objects: usize,
) -> Result<Start> {
    let mark = cluster.plane.audit().mark()?;
    let calls = store.calls();
    let mut running = Running::start(context, side, cluster).await?;
    let wall_seconds = running.wait_rest(cluster, objects).await?;
    let process = running.process();
    let (cpu_seconds, rss_bytes) = (cpu_seconds(process)?, process.rss_bytes()? as f64);
    let peak_bytes = process.peak_memory_bytes()? as f64;
    let calls = (store.calls() - calls) as f64;
    let requests = requests(cluster, mark, side)?;
    running.process().terminate(Duration::from_secs(30))?;
    Ok(Start { wall_seconds, cpu_seconds, rss_bytes, peak_bytes, calls, requests })
}

fn requests(cluster: &Cluster, mark: AuditMark, side: Side) -> Result<Requests> {
    let user = if side == Side::Ours { USER } else { ExternalSecretsOperator::USER };
    let mut requests = Requests::default();
    for entry in cluster.plane.audit().since(mark)? {
        if entry.user != user || entry.namespace != NAMESPACE {
            continue;
        }
        match (is_write(&entry), entry.resource.as_str()) {
            (true, "secrets") => requests.secrets += 1,
            (true, _) => requests.others += 1,
            (false, _) if entry.verb == "get" => requests.reads += 1,
            (false, _) => {}
        }
    }
    Ok(requests)
}

enum Running {
    Theirs(Box<ExternalSecretsOperator>),
    Ours { process: Box<Process>, metrics_port: u16, _folder: TempDir },
}

impl Running {
    async fn start(context: &Context, side: Side, cluster: &Cluster) -> Result<Self> {
        Ok(match side {
            Side::Theirs => {
                Self::Theirs(Box::new(ExternalSecretsOperator::start(&cluster.plane, &[]).await?))
            }
            Side::Ours => {
                let (process, folder, metrics_port) = start_process(cluster, &context.programs.controller)?;
                Self::Ours { process, metrics_port, _folder: folder }
            }
        })
    }

    fn reconciles(&self) -> f64 {
        match self {
            Self::Theirs(operator) => operator.reconciles(),
            Self::Ours { metrics_port, .. } => {
                counter(*metrics_port, "sealops_reconcile_total{kind=\"ExternalSecret\"").unwrap_or_default()
            }
        }
    }

    /// Waits until it has looked at every object, all Secrets are there, and it has done nothing for a second.
    async fn wait_rest(&mut self, cluster: &Cluster, objects: usize) -> Result<f64> {
        let mut last = Quiet { counter: 0.0, changed: None, polls: 0 };
        eventually("it comes to rest", PATIENCE, async || {
            tokio::time::sleep(POLL).await;
            let now = age(self.process().pid()).ok()?;
            let looked = self.reconciles();
            last.note(looked, now);
            let rests = looked >= objects as f64 && last.polls >= POLLS_AT_REST;
            let done = rests && count(cluster).await.is_some_and(|count| count == objects);
            last.changed.filter(|_| done)
        })
        .await
    }

    fn process(&mut self) -> &mut Process {
        match self {
            Self::Theirs(operator) => operator.process(),
            Self::Ours { process, .. } => process,
        }
    }
}

fn secrets(cluster: &Cluster) -> Result<Api<Secret>> {
    Ok(Api::namespaced(cluster.plane.client()?, NAMESPACE))
}

async fn count(cluster: &Cluster) -> Option<usize> {
    Some(secrets(cluster).ok()?.list_metadata(&ListParams::default()).await.ok()?.items.len())
}

/// Compares all values, and returns the versions of the Secrets.
async fn verify(cluster: &Cluster, objects: usize) -> Result<BTreeMap<String, String>> {
    let list = secrets(cluster)?.list(&ListParams::default()).await?;
    let found: BTreeMap<String, Secret> =
        list.into_iter().map(|secret| (secret.metadata.name.clone().unwrap_or_default(), secret)).collect();
    for number in 0..objects {
        let secret = found.get(&name(number)).with_context(|| format!("no Secret {}", name(number)))?;
        let value = secret.data.as_ref().and_then(|data| data.get("x"));
        let expected = SlowStore::value(&key(number, objects));
        ensure!(value.is_some_and(|value| value.0 == expected.as_bytes()), "Secret {} differs", name(number));
    }
    let version = |secret: Secret| secret.metadata.resource_version.unwrap_or_default();
    Ok(found.into_iter().map(|(name, secret)| (name, version(secret))).collect())
}

fn name(number: usize) -> String {
    format!("app-{number:05}")
}

fn key(number: usize, objects: usize) -> String {
    format!("k{}", number % (objects / SHARING).max(1))
}

async fn create(cluster: &Cluster, store: &SlowStore, objects: usize) -> Result<()> {
    let manifest = json!({ "apiVersion": ExternalSecret::API_VERSION, "kind": "SecretStore",
        "metadata": { "name": "slow", "namespace": NAMESPACE },
        "spec": { "provider": { "webhook": {
            "url": format!("{}/{{{{ .remoteRef.key }}}}", store.url()),
            "result": { "jsonPath": "$.v" },
        } } } });
    cluster.plane.apply_manifests(&manifest.to_string()).await?;
    let kind = GroupVersionKind::gvk(ExternalSecret::GROUP, ExternalSecret::VERSION, ExternalSecret::KIND);
    let resource = ApiResource::from_gvk_with_plural(&kind, ExternalSecret::PLURAL);
    let api = Api::<DynamicObject>::namespaced_with(cluster.plane.client()?, NAMESPACE, &resource);
    let object = |number: usize| -> Value {
        json!({ "apiVersion": ExternalSecret::API_VERSION, "kind": ExternalSecret::KIND,
            "metadata": { "name": name(number), "namespace": NAMESPACE },
            "spec": { "refreshInterval": "1h", "secretStoreRef": { "name": "slow" },
                "data": [{ "secretKey": "x", "remoteRef": { "key": key(number, objects) } }] } })
    };
    futures::stream::iter((0..objects).map(object))
        .map(|object| {
            let api = api.clone();
            async move {
                api.create(&PostParams::default(), &serde_json::from_value(object)?).await?;
                anyhow::Ok(())
            }
        })
        .buffer_unordered(16)
        .try_collect()
        .await
}

/// What is shown of a start: benchmark, what, unit, the figure.
type Figure = (&'static str, &'static str, Unit, fn(&Start) -> f64);

const FIGURES: [Figure; 8] = [
    ("P11", "", Unit::WallMilliseconds, |start| start.wall_seconds * 1e3),
    ("P11", "", Unit::CpuMilliseconds, |start| start.cpu_seconds * 1e3),
    ("P11", ", provider calls", Unit::Requests, |start| start.calls),
    ("P11", ", Secrets written", Unit::Requests, |start| start.requests.secrets.into()),
    ("P11", ", other writes", Unit::Requests, |start| start.requests.others.into()),
    ("P11", ", objects read one by one", Unit::Requests, |start| start.requests.reads.into()),
    ("P12", "", Unit::Megabytes, |start| start.rss_bytes / 1e6),
    ("P12", ", peak without the program", Unit::Megabytes, |start| start.peak_bytes / 1e6),
];

fn rows(objects: usize, peer: &[Starts], ours: &[Starts]) -> Vec<Row> {
    let mut rows = Vec::new();
    for (index, state) in ["first sync", "warm restart"].into_iter().enumerate() {
        for (benchmark, what, unit, figure) in FIGURES {
            let all = |starts: &[Starts]| starts.iter().map(|starts| figure(&starts[index])).collect();
            let goal = match (index, what, unit) {
                (0, ", provider calls", _) => {
                    Goal::OursAtMost((objects / SHARING).max(1) as f64 * CALLS_A_KEY)
                }
                (1, ", provider calls" | ", Secrets written", _) => Goal::OursAtMost(0.0),
                (_, _, Unit::Megabytes) => Goal::OursAtMost(MEGABYTES_AT_TEN_THOUSAND),
                _ => Goal::None,
            };
            let case = format!("{objects} ExternalSecrets, {state}{what}");
            rows.push(Row { benchmark, case, unit, peer: all(peer), ours: all(ours), goal });
        }
    }
    rows
}

const NAMESPACE: &str = "bench";
const DELAY: Duration = Duration::from_millis(20);
/// Objects with the same key.
const SHARING: usize = 10;
/// More objects than these are measured in one pair only.
const OBJECTS_OF_PAIRS: usize = 1000;
/// The floor of P11.
const CALLS_A_KEY: f64 = 1.1;
/// The floor of P12.
const MEGABYTES_AT_TEN_THOUSAND: f64 = 64.0;
