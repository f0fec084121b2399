//! P8, the arithmetic alone: opening objects with a ring of 1, 12 and 60 keys, in this process.

use anyhow::{Context as _, Result, ensure};
use nix::sys::resource::{UsageWho, getrusage};
use nix::sys::time::TimeVal;
use sealops_controller::sealed::{OpenOptions, Opened, open};
use sealops_crds::SealedSecret;
use sealops_crypto::sealing::{Fingerprint, SealingKeyRing};

use crate::Context;
use crate::keys::{self, Pair};
use crate::objects::Values;
use crate::report::{Goal, Report, Row, Unit};
use crate::stats::Random;

/// Numbers of keys.
pub(crate) const RINGS: [usize; 3] = [1, 12, 60];
/// Values an object.
pub(crate) const VALUES: usize = 3;
/// What the fullest ring may cost more than a single key (benchmarks, P8).
pub(crate) const GROWTH: f64 = 1.1;

/// Which key has sealed the objects.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum SealedWith {
    /// The one that is tried first.
    Newest,
    /// Any other, at random.
    Old,
}

impl SealedWith {
    /// Both series.
    pub(crate) const BOTH: [Self; 2] = [Self::Newest, Self::Old];

    /// Returns the name of the series.
    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::Newest => "newest",
            Self::Old => "old",
        }
    }

    /// Chooses a key for the object `number`.
    pub(crate) fn choose(self, pairs: &[Pair], number: usize) -> Result<&Pair> {
        let (newest, old) = pairs.split_last().context("no keys")?;
        if self == Self::Newest || old.is_empty() {
            return Ok(newest);
        }
        let mut random = Random(0x9e37_79b9_7f4a_7c15 ^ (number as u64 + 1));
        random.next();
        Ok(&old[random.below(old.len())])
    }
}

/// Runs the benchmark.
pub(crate) fn run(context: &Context, report: &mut Report) -> Result<()> {
    let pairs = keys::pairs(*RINGS.iter().max().context("no rings")?)?;
    for series in SealedWith::BOTH {
        // The cost of an object by ring, and within by repetition: at first, and with the key remembered.
        let mut costs: Vec<[Vec<f64>; 2]> = Vec::new();
        for keys in RINGS {
            eprintln!("P8 in-process, {keys} keys, sealed with the {} one", series.name());
            costs.push(measure(context, &pairs[..keys], series)?);
        }
        for (time, name) in ["first", "again"].into_iter().enumerate() {
            for (keys, cost) in RINGS.iter().zip(&costs) {
                let case = format!("library, K={keys}, {} key, {name}: an object", series.name());
                report.add(row(case, Unit::CpuMilliseconds, cost[time].clone(), Goal::None));
            }
            let growth = growth(&costs[RINGS.len() - 1][time], &costs[0][time]);
            let goal = goal(series, time);
            let case = format!("library, {} key, {name}: K=60 / K=1", series.name());
            report.add(row(case, Unit::Times, growth, goal));
        }
    }
    Ok(())
}

/// The first time an old key must be searched for; everything else must not depend on the number of keys.
pub(crate) fn goal(series: SealedWith, time: usize) -> Goal {
    if series == SealedWith::Old && time == 0 { Goal::None } else { Goal::OursAtMost(GROWTH) }
}

/// Divides repetition by repetition.
pub(crate) fn growth(many: &[f64], one: &[f64]) -> Vec<f64> {
    many.iter().zip(one).map(|(many, one)| many / one).collect()
}

fn row(case: String, unit: Unit, ours: Vec<f64>, goal: Goal) -> Row {
    Row { benchmark: "P8", case, unit, peer: Vec::new(), ours, goal }
}

fn measure(context: &Context, pairs: &[Pair], series: SealedWith) -> Result<[Vec<f64>; 2]> {
    let ring = keys::ring(pairs)?;
    let objects = context.repetitions(20, 4);
    let mut costs = [Vec::new(), Vec::new()];
    for repetition in 0..context.repetitions(5, 2) {
        let sealed: Vec<(Values, SealedSecret)> = (0..objects)
            .map(|number| {
                let values = Values::new("bench", &format!("object-{repetition}-{number}"), VALUES);
                let pair = series.choose(pairs, repetition * objects + number)?;
                let sealed = serde_json::from_value(values.sealed(&pair.certificate)?)?;
                Ok((values, sealed))
            })
            .collect::<Result<_>>()?;
        let hints = open_all(&ring, &sealed, &vec![None; objects], &mut costs[0])?;
        open_all(&ring, &sealed, &hints, &mut costs[1])?;
    }
    Ok(costs)
}

/// Opens every object, adds the mean cost in milliseconds, and returns the keys to remember.
fn open_all(
    ring: &SealingKeyRing,
    sealed: &[(Values, SealedSecret)],
    hints: &[Option<Fingerprint>],
    costs: &mut Vec<f64>,
) -> Result<Vec<Option<Fingerprint>>> {
    let before = cpu_milliseconds()?;
    let opened: Vec<Opened> = sealed
        .iter()
        .zip(hints)
        .map(|((_, sealed), hint)| open(sealed, ring, hint.as_ref(), OpenOptions::default()))
        .collect::<Result<_, _>>()
        .ok()
        .context("an object does not open")?;
    costs.push((cpu_milliseconds()? - before) / sealed.len() as f64);
    for ((values, _), opened) in sealed.iter().zip(&opened) {
        let data = opened.secret.data.iter().map(|(key, value)| (key.as_str(), value.expose()));
        let expected = values.entries.iter().map(|(key, value)| (key.as_str(), value.as_slice()));
        ensure!(data.eq(expected), "object {} opens to something else", values.name);
    }
    Ok(opened.into_iter().map(|opened| opened.key).collect())
}

fn cpu_milliseconds() -> Result<f64> {
    let usage = getrusage(UsageWho::RUSAGE_SELF)?;
    let milliseconds = |time: TimeVal| time.tv_sec() as f64 * 1e3 + time.tv_usec() as f64 / 1e3;
    Ok(milliseconds(usage.user_time()) + milliseconds(usage.system_time()))
}
