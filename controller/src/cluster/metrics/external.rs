//! Metrics of External Secrets. Names and labels of `externalsecret_*` and `*secretstore_*` are upstream's (2.9), so that
//! its dashboard works unchanged; `sealops_*` are ours.

use std::time::Duration;

use super::{Counter, Gauge, Metrics, ObjectLabels};

/// A kind whose condition and duration are published per object.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ExternalKind {
    /// ExternalSecret.
    ExternalSecret,
    /// SecretStore.
    SecretStore,
    /// ClusterSecretStore.
    ClusterSecretStore,
    /// PushSecret.
    PushSecret,
    /// ClusterExternalSecret.
    ClusterExternalSecret,
    /// ClusterPushSecret.
    ClusterPushSecret,
}

impl ExternalKind {
    fn condition(self) -> Gauge<4> {
        match self {
            Self::ExternalSecret => EXTERNAL_CONDITION,
            Self::SecretStore => STORE_CONDITION,
            Self::ClusterSecretStore => CLUSTER_STORE_CONDITION,
            Self::PushSecret => PUSH_CONDITION,
            Self::ClusterExternalSecret => CLUSTER_EXTERNAL_CONDITION,
            Self::ClusterPushSecret => CLUSTER_PUSH_CONDITION,
        }
    }

    fn duration(self) -> Gauge<2> {
        match self {
            Self::ExternalSecret => EXTERNAL_DURATION,
            Self::SecretStore => STORE_DURATION,
            Self::ClusterSecretStore => CLUSTER_STORE_DURATION,
            Self::PushSecret => PUSH_DURATION,
            Self::ClusterExternalSecret => CLUSTER_EXTERNAL_DURATION,
            Self::ClusterPushSecret => CLUSTER_PUSH_DURATION,
        }
    }
}

impl Metrics {
    /// Publishes the condition `Ready` of an object, and how long its last reconcile took. Cluster-wide objects have an
    /// empty namespace.
    pub fn external_condition(
        &self,
        kind: ExternalKind,
        namespace: &str,
        name: &str,
        is_ready: bool,
        took: Duration,
    ) {
        if self.objects == ObjectLabels::Omit {
            return;
        }
        for (status, holds) in [("True", is_ready), ("False", !is_ready)] {
            let value = f64::from(u8::from(holds));
            self.registry.set(&kind.condition(), [name, namespace, "Ready", status], value);
        }
        self.registry.set(&kind.duration(), [name, namespace], took.as_nanos() as f64);
    }

    /// Counts a synchronisation of an ExternalSecret, and says when it was right last (`refreshed`) and is refreshed next
    /// (`next`), both in seconds since 1970.
    pub fn external_sync(
        &self,
        namespace: &str,
        name: &str,
        succeeded: bool,
        refreshed: Option<i64>,
        next: Option<i64>,
    ) {
        if self.objects == ObjectLabels::Omit {
            return;
        }
        self.registry.add(&SYNC_CALLS, [name, namespace], 1.0);
        let errors = f64::from(u8::from(!succeeded));
        self.registry.add(&SYNC_ERRORS, [name, namespace], errors);
        for (gauge, time) in [(REFRESHED, refreshed), (NEXT_REFRESH, next)] {
            match time {
                Some(time) => self.registry.set(&gauge, [name, namespace], time as f64),
                None => self.registry.remove(&gauge, &[name, namespace]),
            }
        }
    }

    /// Removes what is published of an object that is gone.
    pub fn external_gone(&self, kind: ExternalKind, namespace: &str, name: &str) {
        self.registry.remove(&kind.condition(), &[name, namespace]);
        self.registry.remove(&kind.duration(), &[name, namespace]);
        if kind == ExternalKind::ExternalSecret {
            self.registry.remove(&REFRESHED, &[name, namespace]);
            self.registry.remove(&NEXT_REFRESH, &[name, namespace]);
            self.registry.forget(&SYNC_CALLS, &[name, namespace]);
            self.registry.forget(&SYNC_ERRORS, &[name, namespace]);
        }
    }

    /// Counts a call to a provider, by the name of its settings.
    pub fn provider_call(&self, provider: &str, call: &'static str, succeeded: bool) {
        let status = if succeeded { "success" } else { "error" };
        self.registry.add(&API_CALLS, [provider_label(provider), call, status], 1.0);
    }

    /// Counts an opening or closing of a store's breaker.
    pub fn breaker(&self, is_open: bool) {
        let to = if is_open { "open" } else { "closed" };
        self.registry.add(&BREAKER, [to], 1.0);
    }
}

/// Upstream's words; a closed set.
fn provider_label(provider: &str) -> &'static str {
    match provider {
        "vault" | "openBao" => "HashiCorp/Vault",
        "aws" => "AWS/SecretsManager",
        "kubernetes" => "Kubernetes",
        "webhook" => "Webhook",
        "fake" => "Fake",
        _ => "other",
    }
}

macro_rules! of_objects {
    ($($condition:ident, $duration:ident = $prefix:literal, $kind:literal;)*) => {
        $(
            const $condition: Gauge<4> = Gauge::new(
                concat!($prefix, "_status_condition"),
                concat!("The status condition of a specific ", $kind),
                ["name", "namespace", "condition", "status"],
            );
            const $duration: Gauge<2> = Gauge::new(
                concat!($prefix, "_reconcile_duration"),
                concat!("The duration time to reconcile the ", $kind, ", in nanoseconds"),
                ["name", "namespace"],
            );
        )*
    };
}

of_objects! {
    EXTERNAL_CONDITION, EXTERNAL_DURATION = "externalsecret", "External Secret";
    STORE_CONDITION, STORE_DURATION = "secretstore", "Secret Store";
    CLUSTER_STORE_CONDITION, CLUSTER_STORE_DURATION = "clustersecretstore", "Cluster Secret Store";
    PUSH_CONDITION, PUSH_DURATION = "pushsecret", "Push Secret";
    CLUSTER_EXTERNAL_CONDITION, CLUSTER_EXTERNAL_DURATION = "clusterexternalsecret", "Cluster External Secret";
    CLUSTER_PUSH_CONDITION, CLUSTER_PUSH_DURATION = "clusterpushsecret", "Cluster Push Secret";
}

const SYNC_CALLS: Counter<2> = Counter::new(
    "externalsecret_sync_calls_total",
    "Total number of the External Secret sync calls",
    ["name", "namespace"],
);
const SYNC_ERRORS: Counter<2> = Counter::new(
    "externalsecret_sync_calls_error",
    "Total number of the External Secret sync errors",
    ["name", "namespace"],
);
const API_CALLS: Counter<3> = Counter::new(
    "externalsecret_provider_api_calls_count",
    "Number of API calls towards the secret provider",
    ["provider", "call", "status"],
);
const REFRESHED: Gauge<2> = Gauge::new(
    "sealops_externalsecret_refreshed_seconds",
    "When an External Secret was refreshed last, in seconds since 1970.",
    ["name", "namespace"],
);
const NEXT_REFRESH: Gauge<2> = Gauge::new(
    "sealops_externalsecret_next_refresh_seconds",
    "When an External Secret is refreshed next, in seconds since 1970.",
    ["name", "namespace"],
);
const BREAKER: Counter<1> = Counter::new(
    "sealops_store_breaker_total",
    "How often calls to a store were held back (open), and let through again (closed).",
    ["to"],
);

#[cfg(test)]
mod tests {
    use super::*;

    fn shown(metrics: &Metrics) -> Vec<String> {
        let text = metrics.registry.render();
        text.lines()
            .filter(|line| !line.starts_with('#') && line.contains("app"))
            .map(str::to_owned)
            .collect()
    }

    #[test]
    fn names_and_labels_are_upstreams() {
        let metrics = Metrics::new("test", ObjectLabels::Publish);
        let took = Duration::from_millis(2);
        metrics.external_condition(ExternalKind::ExternalSecret, "shop", "app", true, took);
        metrics.external_sync("shop", "app", false, Some(1_700_000_000), None);
        assert_eq!(
            shown(&metrics),
            [
                r#"externalsecret_reconcile_duration{name="app",namespace="shop"} 2000000"#,
                r#"externalsecret_status_condition{condition="Ready",name="app",namespace="shop",status="False"} 0"#,
                r#"externalsecret_status_condition{condition="Ready",name="app",namespace="shop",status="True"} 1"#,
                r#"externalsecret_sync_calls_error{name="app",namespace="shop"} 1"#,
                r#"externalsecret_sync_calls_total{name="app",namespace="shop"} 1"#,
                r#"sealops_externalsecret_refreshed_seconds{name="app",namespace="shop"} 1700000000"#,
            ]
        );
        metrics.external_gone(ExternalKind::ExternalSecret, "shop", "app");
        assert!(shown(&metrics).is_empty());
        let quiet = Metrics::new("test", ObjectLabels::Omit);
        quiet.external_condition(ExternalKind::SecretStore, "shop", "app", true, took);
        quiet.external_sync("shop", "app", true, Some(1), Some(2));
        assert!(shown(&quiet).is_empty());
    }

    #[test]
    fn providers_are_a_closed_set() {
        let metrics = Metrics::new("test", ObjectLabels::Publish);
        metrics.provider_call("vault", "ReadSecretData", true);
        metrics.provider_call("anything", "GetSecret", false);
        let text = metrics.registry.render();
        assert!(text.contains(r#"{call="ReadSecretData",provider="HashiCorp/Vault",status="success"} 1"#));
        assert!(text.contains(r#"{call="GetSecret",provider="other",status="error"} 1"#));
    }
}
