//! P9 and P12: a controller starts again and finds everything in sync; and once from nothing.
//!
//! Our notes tell which version of a Secret we have judged. After a run of the peer, which writes every Secret, our
//! first start has to compare contents (*taking over*); the second is the warm restart that is measured.

use std::collections::BTreeMap;

use anyhow::Result;

use crate::Context;
use crate::cluster::{Cluster, block_on};
use crate::controller::{Rest, Running, Side, Writes};
use crate::keys::{self, Pair};
use crate::objects::Values;
use crate::report::{Goal, Report, Row, Unit};
use crate::unseal::VALUES;

/// Runs the benchmark.
pub(crate) fn run(context: &Context, report: &mut Report) -> Result<()> {
    let pairs = keys::pairs(1)?;
    block_on(measure(context, &pairs, 300, true))?.into_iter().for_each(|row| report.add(row));
    if !context.quick {
        block_on(measure(context, &pairs, 1000, false))?.into_iter().for_each(|row| report.add(row));
    }
    Ok(())
}

/// P12: the memory of a controller that has found many objects in sync. One start of each; memory hardly varies.
pub(crate) fn run_memory(context: &Context, report: &mut Report) -> Result<()> {
    let pairs = keys::pairs(1)?;
    let objects = if context.quick { 300 } else { 10_000 };
    let row = block_on(async {
        let bench = Bench { context, cluster: Cluster::start(&pairs).await?, values: values(objects) };
        let sealed = bench.values.iter().map(|values| values.sealed(&pairs[0].certificate));
        bench.cluster.create(NAMESPACE, sealed.collect::<Result<Vec<_>>>()?).await?;
        let mut starts = Starts::default();
        bench.start(Side::Ours).await?;
        bench.measure(&mut starts, State::Warm, Side::Real).await?;
        bench.start(Side::Ours).await?;
        bench.measure(&mut starts, State::Warm, Side::Ours).await?;
        let [peer, ours] = starts.0.remove(&State::Warm).unwrap_or_default();
        let megabytes = |start: &Start| start.rest.rss_bytes / 1e6;
        anyhow::Ok(Row {
            benchmark: "P12",
            case: format!("N={objects}, in sync"),
            unit: Unit::Megabytes,
            peer: peer.iter().map(megabytes).collect(),
            ours: ours.iter().map(megabytes).collect(),
            goal: Goal::OursAtMost(MEGABYTES_AT_TEN_THOUSAND),
        })
    })?;
    report.add(row);
    Ok(())
}

/// One start, from the beginning of the process to rest.
struct Start {
    rest: Rest,
    writes: Writes,
}

/// What a start begins with.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum State {
    /// No Secrets, nothing remembered.
    Cold,
    /// Everything is in sync.
    Warm,
    /// The other controller ran last.
    TakingOver,
}

impl State {
    fn name(self) -> &'static str {
        match self {
            Self::Cold => "cold",
            Self::Warm => "warm restart",
            Self::TakingOver => "after the other",
        }
    }
}

/// Starts by what they began with: the peer's and ours.
#[derive(Default)]
struct Starts(BTreeMap<State, [Vec<Start>; 2]>);

impl Starts {
    fn add(&mut self, state: State, side: Side, start: Start) {
        let both = self.0.entry(state).or_default();
        both[usize::from(side == Side::Ours)].push(start);
    }
}

async fn measure(context: &Context, pairs: &[Pair], objects: usize, cold: bool) -> Result<Vec<Row>> {
    let bench = Bench { context, cluster: Cluster::start(pairs).await?, values: values(objects) };
    let certificate = &pairs[0].certificate;
    let sealed = bench.values.iter().map(|values| values.sealed(certificate)).collect::<Result<Vec<_>>>()?;
    bench.cluster.create(NAMESPACE, sealed.clone()).await?;

    let mut starts = Starts::default();
    if cold {
        bench.measure(&mut starts, State::Cold, Side::Real).await?;
        // New objects: the old ones have a status already, which would save writing it.
        bench.cluster.remove(NAMESPACE).await?;
        bench.cluster.forget_state().await?;
        bench.cluster.create(NAMESPACE, sealed).await?;
        bench.measure(&mut starts, State::Cold, Side::Ours).await?;
    } else {
        // Unmeasured, by whoever is quicker.
        bench.start(Side::Ours).await?;
    }
    // So that the first of the pairs finds the peer's own Secrets.
    bench.start(Side::Real).await?;
    for _ in 0..context.repetitions(3, 1) {
        bench.measure(&mut starts, State::Warm, Side::Real).await?;
        bench.measure(&mut starts, State::TakingOver, Side::Ours).await?;
        bench.measure(&mut starts, State::Warm, Side::Ours).await?;
    }
    Ok(rows(objects, &starts))
}

struct Bench<'a> {
    context: &'a Context,
    cluster: Cluster,
    values: Vec<Values>,
}

impl Bench<'_> {
    async fn measure(&self, starts: &mut Starts, state: State, side: Side) -> Result<()> {
        eprintln!("P9 {} objects, {}, {}", self.values.len(), state.name(), side.name());
        starts.add(state, side, self.start(side).await?);
        Ok(())
    }

    async fn start(&self, side: Side) -> Result<Start> {
        let objects = self.values.len();
        let mut running = Running::start(side, &self.cluster, &self.context.programs.controller).await?;
        let rest = running.wait_rest(objects).await?;
        let writes = running.writes(&self.cluster)?;
        running.stop()?;
        self.cluster.verify(NAMESPACE, &self.values).await?;
        Ok(Start { rest, writes })
    }
}

fn values(objects: usize) -> Vec<Values> {
    (0..objects).map(|number| Values::new(NAMESPACE, &format!("object-{number:05}"), VALUES)).collect()
}

/// What is shown of a start: the end of the case, the unit, the figure.
type Figure = (&'static str, Unit, fn(&Start) -> f64);

fn rows(objects: usize, starts: &Starts) -> Vec<Row> {
    let figures: [Figure; 6] = [
        ("", Unit::WallMilliseconds, |start| start.rest.wall_seconds * 1e3),
        ("", Unit::CpuMilliseconds, |start| start.rest.cpu_seconds * 1e3),
        ("", Unit::Megabytes, |start| start.rest.rss_bytes / 1e6),
        (", Secrets written", Unit::Requests, |start| start.writes.secrets as f64),
        (", statuses written", Unit::Requests, |start| start.writes.statuses as f64),
        (", Events", Unit::Requests, |start| start.writes.events as f64),
    ];
    let mut rows = Vec::new();
    for (state, [peer, ours]) in &starts.0 {
        for (what, unit, figure) in figures {
            let goal = match unit {
                _ if *state != State::Warm => Goal::None,
                Unit::Requests => Goal::OursAtMost(0.0),
                Unit::WallMilliseconds => Goal::OursAtMost(WALL_AT_TEN_THOUSAND),
                _ => Goal::None,
            };
            rows.push(Row {
                benchmark: "P9",
                case: format!("N={objects}, {}{what}", state.name()),
                unit,
                peer: peer.iter().map(figure).collect(),
                ours: ours.iter().map(figure).collect(),
                goal,
            });
        }
    }
    rows
}

const NAMESPACE: &str = "bench";
/// The floor of P12.
const MEGABYTES_AT_TEN_THOUSAND: f64 = 64.0;
/// The floor is 10 s at 10^4 objects (benchmarks, P9); fewer must not need more.
const WALL_AT_TEN_THOUSAND: f64 = 10_000.0;
