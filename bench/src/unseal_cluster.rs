//! P8 on a cluster: the real controller and ours with 1, 12 and 60 keys.
//!
//! Each starts on an empty cluster and comes to rest; then the objects are created (*first*), and then their Secrets
//! are deleted, which makes them be unsealed *again*. So the start (reading the keys) is a figure of its own.

use anyhow::Result;
use serde_json::Value;

use crate::Context;
use crate::cluster::{Cluster, block_on};
use crate::controller::{Running, Side};
use crate::keys::{self, Pair};
use crate::objects::Values;
use crate::report::{Goal, Report, Row, Unit};
use crate::unseal::{RINGS, SealedWith, VALUES, goal, growth};

/// Milliseconds of processor time by phase.
type Phases = [f64; 3];
const START: usize = 0;

/// One ring, one series: the peer's repetitions and ours.
struct Curve {
    keys: usize,
    peer: Vec<Phases>,
    ours: Vec<Phases>,
}

/// Runs the benchmark.
pub(crate) fn run(context: &Context, report: &mut Report) -> Result<()> {
    let pairs = keys::pairs(RINGS[RINGS.len() - 1])?;
    let mut curves = SealedWith::BOTH.map(|series| (series, Vec::new()));
    for keys in RINGS {
        block_on(async {
            let cluster = Cluster::start(&pairs[..keys]).await?;
            for (series, curves) in &mut curves {
                curves.push(measure(context, &cluster, &pairs[..keys], *series).await?);
            }
            anyhow::Ok(())
        })?;
    }
    for (series, curves) in &curves {
        add_rows(report, *series, curves);
    }
    Ok(())
}

async fn measure(context: &Context, cluster: &Cluster, pairs: &[Pair], series: SealedWith) -> Result<Curve> {
    let mut curve = Curve { keys: pairs.len(), peer: Vec::new(), ours: Vec::new() };
    for repetition in 0..context.repetitions(3, 1) {
        for side in Side::BOTH {
            let (keys, key, name) = (pairs.len(), series.name(), side.name());
            eprintln!("P8 on a cluster, {keys} keys, sealed with the {key} one, {name} ({repetition})");
            let namespace = format!("bench-{key}-{name}-{repetition}");
            let phases = one(context, cluster, pairs, series, side, &namespace).await?;
            match side {
                Side::Real => curve.peer.push(phases),
                Side::Ours => curve.ours.push(phases),
            }
        }
    }
    Ok(curve)
}

async fn one(
    context: &Context,
    cluster: &Cluster,
    pairs: &[Pair],
    series: SealedWith,
    side: Side,
    namespace: &str,
) -> Result<Phases> {
    let objects = context.repetitions(20, 4);
    let (values, sealed) = make(pairs, series, namespace, objects)?;
    let mut running = Running::start(side, cluster, &context.programs.controller).await?;
    let start = running.wait_rest(0).await?.cpu_seconds;

    cluster.create(namespace, sealed).await?;
    let uids = cluster.wait_secrets(namespace, objects, &[]).await?;
    let first = running.wait_rest(objects).await?.cpu_seconds;
    cluster.verify(namespace, &values).await?;

    cluster.remove_secrets(namespace).await?;
    cluster.wait_secrets(namespace, objects, &uids).await?;
    let again = running.wait_rest(objects).await?.cpu_seconds;
    cluster.verify(namespace, &values).await?;

    cluster.remove(namespace).await?;
    running.stop()?;
    let an_object = |from: f64, to: f64| (to - from) * 1e3 / objects as f64;
    Ok([start * 1e3, an_object(start, first), an_object(first, again)])
}

fn make(
    pairs: &[Pair],
    series: SealedWith,
    namespace: &str,
    objects: usize,
) -> Result<(Vec<Values>, Vec<Value>)> {
    let values: Vec<Values> =
        (0..objects).map(|number| Values::new(namespace, &format!("object-{number:02}"), VALUES)).collect();
    let sealed = values
        .iter()
        .enumerate()
        .map(|(number, values)| values.sealed(&series.choose(pairs, number)?.certificate));
    let sealed = sealed.collect::<Result<_>>()?;
    Ok((values, sealed))
}

fn add_rows(report: &mut Report, series: SealedWith, curves: &[Curve]) {
    let phase = |of: &[Phases], index: usize| of.iter().map(|phases| phases[index]).collect::<Vec<f64>>();
    let key = series.name();
    for (index, what) in ["start", "first: an object", "again: an object"].into_iter().enumerate() {
        for curve in curves {
            report.add(Row {
                benchmark: "P8",
                case: format!("controller, K={}, {key} key, {what}", curve.keys),
                unit: Unit::CpuMilliseconds,
                peer: phase(&curve.peer, index),
                ours: phase(&curve.ours, index),
                goal: Goal::None,
            });
        }
        if let (Some(one), Some(many), true) = (curves.first(), curves.last(), index != START) {
            report.add(Row {
                benchmark: "P8",
                case: format!("controller, {key} key, {what}: K=60 / K=1"),
                unit: Unit::Times,
                peer: growth(&phase(&many.peer, index), &phase(&one.peer, index)),
                ours: growth(&phase(&many.ours, index), &phase(&one.ours, index)),
                goal: goal(series, index - 1),
            });
        }
    }
}
