//! A registry of counters, gauges and histograms with fixed label names.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::sync::{Mutex, MutexGuard, PoisonError};

/// All series of the process.
#[derive(Debug, Default)]
pub struct Registry {
    families: Mutex<BTreeMap<&'static str, Family>>,
}

macro_rules! definition {
    ($(#[$doc:meta])* $name:ident) => {
        $(#[$doc])*
        #[derive(Clone, Copy, Debug)]
        pub struct $name<const LABELS: usize> {
            name: &'static str,
            help: &'static str,
            labels: [&'static str; LABELS],
        }

        impl<const LABELS: usize> $name<LABELS> {
            /// Defines a metric by its full name, help text and label names.
            #[must_use]
            pub const fn new(name: &'static str, help: &'static str, labels: [&'static str; LABELS]) -> Self {
                Self { name, help, labels }
            }

            fn family(&self) -> Family {
                let labels = self.labels.to_vec();
                Family { kind: Kind::$name, help: self.help, labels, series: BTreeMap::new() }
            }
        }
    };
}

definition! {
    /// A number that only grows.
    Counter
}
definition! {
    /// A number that goes up and down.
    Gauge
}
definition! {
    /// Counts of observations, in seconds, by the default buckets of the Go client.
    Histogram
}

#[derive(Clone, Copy, Debug)]
enum Kind {
    Counter,
    Gauge,
    Histogram,
}

#[derive(Debug)]
struct Family {
    kind: Kind,
    help: &'static str,
    labels: Vec<&'static str>,
    /// By label values, in the order of `labels`.
    series: BTreeMap<Vec<String>, Value>,
}

#[derive(Debug)]
enum Value {
    Number(f64),
    Buckets { counts: [u64; BUCKETS.len()], count: u64, sum: f64 },
}

impl Registry {
    /// Adds to a counter; makes the series when it is new.
    pub fn add<const N: usize>(&self, counter: &Counter<N>, labels: [&str; N], by: f64) {
        self.update(counter.name, || counter.family(), &labels, |number| *number += by);
    }

    /// Sets a counter to a total that somebody else counts, such as the kernel.
    pub fn total<const N: usize>(&self, counter: &Counter<N>, labels: [&str; N], total: f64) {
        self.update(counter.name, || counter.family(), &labels, |number| *number = total);
    }

    /// Sets a gauge.
    pub fn set<const N: usize>(&self, gauge: &Gauge<N>, labels: [&str; N], value: f64) {
        self.update(gauge.name, || gauge.family(), &labels, |number| *number = value);
    }

    /// Sets a gauge and removes the series that differ in the last label only.
    pub fn replace_last<const N: usize>(&self, gauge: &Gauge<N>, labels: [&str; N], value: f64) {
        self.remove(gauge, &labels[..N.saturating_sub(1)]);
        self.set(gauge, labels, value);
    }

    /// Removes the series of a gauge whose first labels have these values.
    pub fn remove<const N: usize>(&self, gauge: &Gauge<N>, first: &[&str]) {
        let mut families = self.lock();
        let Some(family) = families.get_mut(gauge.name) else { return };
        let start: Vec<String> = first.iter().map(|value| (*value).to_owned()).collect();
        let gone: Vec<_> = family
            .series
            .range(start.clone()..)
            .map(|(values, _)| values)
            .take_while(|values| values.starts_with(&start))
            .cloned()
            .collect();
        for values in gone {
            family.series.remove(&values);
        }
    }

    /// Removes the series of a counter whose first labels have these values: what they count is gone.
    pub fn forget<const N: usize>(&self, counter: &Counter<N>, first: &[&str]) {
        self.remove(&Gauge { name: counter.name, help: counter.help, labels: counter.labels }, first);
    }

    /// Counts an observation.
    pub fn observe<const N: usize>(&self, histogram: &Histogram<N>, labels: [&str; N], seconds: f64) {
        let mut families = self.lock();
        let family = families.entry(histogram.name).or_insert_with(|| histogram.family());
        let empty = Value::Buckets { counts: [0; BUCKETS.len()], count: 0, sum: 0.0 };
        if let Value::Buckets { counts, count, sum } = family.series.entry(owned(&labels)).or_insert(empty) {
            if let Some(bucket) = BUCKETS.iter().position(|(bound, _)| seconds <= *bound) {
                counts[bucket] += 1;
            }
            *count += 1;
            *sum += seconds;
        }
    }

    fn update(
        &self,
        name: &'static str,
        new: impl Fn() -> Family,
        labels: &[&str],
        change: impl Fn(&mut f64),
    ) {
        let mut families = self.lock();
        let family = families.entry(name).or_insert_with(new);
        if let Value::Number(number) = family.series.entry(owned(labels)).or_insert(Value::Number(0.0)) {
            change(number);
        }
    }

    /// Returns the text format 0.0.4, sorted by name and labels. A family without series is left out, as in Go.
    #[must_use]
    pub fn render(&self) -> String {
        let mut out = String::new();
        for (name, family) in self.lock().iter() {
            family.render(name, &mut out);
        }
        out
    }

    /// No code that can panic runs under the lock.
    fn lock(&self) -> MutexGuard<'_, BTreeMap<&'static str, Family>> {
        self.families.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn owned(labels: &[&str]) -> Vec<String> {
    labels.iter().map(|value| (*value).to_owned()).collect()
}

impl Family {
    fn render(&self, name: &str, out: &mut String) {
        if self.series.is_empty() {
            return;
        }
        let kind = match self.kind {
            Kind::Counter => "counter",
            Kind::Gauge => "gauge",
            Kind::Histogram => "histogram",
        };
        let help = self.help.replace('\\', r"\\").replace('\n', r"\n");
        line(out, format_args!("# HELP {name} {help}\n# TYPE {name} {kind}"));
        for (values, value) in &self.series {
            let labels = self.label_text(values);
            match value {
                Value::Number(number) => {
                    line(out, format_args!("{name}{} {}", braces(&labels), text(*number)));
                }
                Value::Buckets { counts, count, sum } => buckets(out, name, &labels, counts, *count, *sum),
            }
        }
    }

    /// The labels without braces, sorted by name as the Go client does.
    fn label_text(&self, values: &[String]) -> String {
        let mut labels: Vec<_> = self.labels.iter().zip(values).collect();
        labels.sort_unstable();
        let labels: Vec<_> =
            labels.iter().map(|(name, value)| format!("{name}=\"{}\"", escape(value))).collect();
        labels.join(",")
    }
}

fn buckets(out: &mut String, name: &str, labels: &str, counts: &[u64], count: u64, sum: f64) {
    let comma = if labels.is_empty() { "" } else { "," };
    let mut cumulative = 0;
    for ((_, bound), in_bucket) in BUCKETS.iter().zip(counts) {
        cumulative += in_bucket;
        line(out, format_args!("{name}_bucket{{{labels}{comma}le=\"{bound}\"}} {cumulative}"));
    }
    line(out, format_args!("{name}_bucket{{{labels}{comma}le=\"+Inf\"}} {count}"));
    line(out, format_args!("{name}_sum{} {}", braces(labels), text(sum)));
    line(out, format_args!("{name}_count{} {count}", braces(labels)));
}

fn line(out: &mut String, line: std::fmt::Arguments<'_>) {
    // Writing to a String cannot fail.
    let _ = writeln!(out, "{line}");
}

fn braces(labels: &str) -> String {
    if labels.is_empty() { String::new() } else { format!("{{{labels}}}") }
}

fn escape(value: &str) -> String {
    value.replace('\\', r"\\").replace('"', "\\\"").replace('\n', r"\n")
}

fn text(number: f64) -> String {
    match number {
        f64::INFINITY => "+Inf".to_owned(),
        f64::NEG_INFINITY => "-Inf".to_owned(),
        number => number.to_string(),
    }
}

/// `DefBuckets` of the Go client.
const BUCKETS: [(f64, &str); 11] = [
    (0.005, "0.005"),
    (0.01, "0.01"),
    (0.025, "0.025"),
    (0.05, "0.05"),
    (0.1, "0.1"),
    (0.25, "0.25"),
    (0.5, "0.5"),
    (1.0, "1"),
    (2.5, "2.5"),
    (5.0, "5"),
    (10.0, "10"),
];
