//! Metrics in the Prometheus text format.
//!
//! The `sealed_secrets_controller_*` names, types and labels are upstream's (`pkg/controller/metrics.go`, 0.39), so
//! that its mixin, dashboard and alerts work unchanged. Ours are `sealops_*`. Each metric is one constant below.

mod external;
mod process;
mod registry;
#[cfg(test)]
mod tests;

pub use self::external::ExternalKind;
pub use self::registry::{Counter, Gauge, Histogram, Registry};

/// The metrics of the controller.
#[derive(Debug)]
pub struct Metrics {
    registry: Registry,
    objects: ObjectLabels,
}

/// Whether `condition_info`, which names every object, is published: `--metrics-omit-secret-labels`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum ObjectLabels {
    /// One series per object.
    #[default]
    Publish,
    /// None.
    Omit,
}

/// Why an unseal failed, as upstream counts it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum UnsealErrorReason {
    /// The SealedSecret could not be read.
    Fetch,
    /// The status could not be written.
    Status,
    /// The Secret exists and belongs to somebody else.
    Unmanaged,
    /// It could not be decrypted or rendered.
    Unseal,
    /// The Secret could not be written.
    Update,
}

/// What a reconcile came to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ReconcileResult {
    /// It failed and is retried.
    Error,
    /// Nothing had to be done.
    Unchanged,
    /// Something was written.
    Written,
}

/// Value of a condition, in the numbers of `condition_info`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ConditionValue {
    /// −1
    False,
    /// 0, also when absent
    Unknown,
    /// 1
    True,
}

impl Metrics {
    /// Makes the metrics of this process; `revision` is the version in `build_info`.
    #[must_use]
    pub fn new(revision: &str, objects: ObjectLabels) -> Self {
        let registry = Registry::default();
        // Upstream never sets the gauge, so its value is 0.
        registry.set(&BUILD_INFO, [revision], 0.0);
        registry.add(&UNSEAL_REQUESTS, [], 0.0);
        Self { registry, objects }
    }

    /// The registry, for metrics defined elsewhere.
    #[must_use]
    pub fn registry(&self) -> &Registry {
        &self.registry
    }

    /// Counts a reconcile of a SealedSecret.
    pub fn unseal_request(&self) {
        self.registry.add(&UNSEAL_REQUESTS, [], 1.0);
    }

    /// Counts a failed reconcile of a SealedSecret.
    pub fn unseal_error(&self, reason: UnsealErrorReason, namespace: &str) {
        self.registry.add(&UNSEAL_ERRORS, [reason.as_str(), namespace], 1.0);
    }

    /// Publishes a condition; `instance` is the object's label `app.kubernetes.io/instance`, or empty.
    pub fn condition(
        &self,
        namespace: &str,
        name: &str,
        condition: &str,
        instance: &str,
        value: ConditionValue,
    ) {
        if self.objects == ObjectLabels::Omit {
            return;
        }
        let labels = [namespace, name, condition, instance];
        // The instance may have changed; one object has one series per condition.
        self.registry.replace_last(&CONDITION_INFO, labels, value.as_number());
    }

    /// Removes all conditions of an object.
    pub fn remove_condition(&self, namespace: &str, name: &str) {
        self.registry.remove(&CONDITION_INFO, &[namespace, name]);
    }

    /// Counts an answered HTTP request. `path` is one of ours, never the client's text.
    pub fn http_request(&self, path: &str, code: u16, method: &str, seconds: f64) {
        let (method, code) = (known_method(method), code.to_string());
        self.registry.add(&HTTP_REQUESTS, [path, &code, method], 1.0);
        self.registry.observe(&HTTP_REQUEST_DURATION, [path, method], seconds);
    }

    /// Counts a reconcile of an object of `kind`.
    pub fn reconcile(&self, kind: &str, result: ReconcileResult) {
        self.registry.add(&RECONCILES, [kind, result.as_str()], 1.0);
    }

    /// Publishes how many objects of `kind` wait for a worker.
    pub fn queue_length(&self, kind: &str, length: usize) {
        // Exact up to 2^53.
        self.registry.set(&QUEUE_LENGTH, [kind], length as f64);
    }

    /// Publishes whether this replica leads.
    pub fn leader(&self, leads: bool) {
        self.registry.set(&LEADER, [], f64::from(u8::from(leads)));
    }

    /// Publishes how many sealing keys are in use, and how many key Secrets are left out.
    pub fn sealing_keys(&self, usable: usize, unusable: usize) {
        self.registry.set(&SEALING_KEYS, ["usable"], usable as f64);
        self.registry.set(&SEALING_KEYS, ["unusable"], unusable as f64);
    }

    /// Counts RSA private-key operations.
    pub fn rsa_operations(&self, count: u32) {
        self.registry.add(&RSA_OPERATIONS, [], f64::from(count));
    }

    /// Returns all metrics, and those of the process, in the text format 0.0.4.
    #[must_use]
    pub fn render(&self) -> String {
        process::publish(&self.registry);
        self.registry.render()
    }
}

impl UnsealErrorReason {
    fn as_str(self) -> &'static str {
        match self {
            Self::Fetch => "fetch",
            Self::Status => "status",
            Self::Unmanaged => "unmanaged",
            Self::Unseal => "unseal",
            Self::Update => "update",
        }
    }
}

impl ReconcileResult {
    fn as_str(self) -> &'static str {
        match self {
            Self::Error => "error",
            Self::Unchanged => "unchanged",
            Self::Written => "written",
        }
    }
}

impl ConditionValue {
    fn as_number(self) -> f64 {
        match self {
            Self::False => -1.0,
            Self::Unknown => 0.0,
            Self::True => 1.0,
        }
    }
}

/// The label value of a method as promhttp has it: lower case, and `unknown` for what a client invents.
fn known_method(method: &str) -> &'static str {
    match method {
        "GET" => "get",
        "PUT" => "put",
        "HEAD" => "head",
        "POST" => "post",
        "DELETE" => "delete",
        "CONNECT" => "connect",
        "OPTIONS" => "options",
        "TRACE" => "trace",
        "PATCH" => "patch",
        _ => "unknown",
    }
}

const BUILD_INFO: Gauge<1> =
    Gauge::new("sealed_secrets_controller_build_info", "Build information.", ["revision"]);
const UNSEAL_REQUESTS: Counter<0> = Counter::new(
    "sealed_secrets_controller_unseal_requests_total",
    "Total number of sealed secret unseal requests",
    [],
);
const UNSEAL_ERRORS: Counter<2> = Counter::new(
    "sealed_secrets_controller_unseal_errors_total",
    "Total number of sealed secret unseal errors by reason",
    ["reason", "namespace"],
);
const CONDITION_INFO: Gauge<4> = Gauge::new(
    "sealed_secrets_controller_condition_info",
    "Current SealedSecret condition status. Values are -1 (false), 0 (unknown or absent), 1 (true)",
    ["namespace", "name", "condition", "ss_app_kubernetes_io_instance"],
);
const HTTP_REQUESTS: Counter<3> = Counter::new(
    "sealed_secrets_controller_http_requests_total",
    "A counter for requests to the wrapped handler.",
    ["path", "code", "method"],
);
const HTTP_REQUEST_DURATION: Histogram<2> = Histogram::new(
    "sealed_secrets_controller_http_request_duration_seconds",
    "A histogram of latencies for requests.",
    ["path", "method"],
);
const RECONCILES: Counter<2> =
    Counter::new("sealops_reconcile_total", "Reconciles by kind and result.", ["kind", "result"]);
const QUEUE_LENGTH: Gauge<1> =
    Gauge::new("sealops_queue_length", "Objects that wait for a worker, by kind.", ["kind"]);
const LEADER: Gauge<0> = Gauge::new("sealops_leader", "Whether this replica leads (1) or not (0).", []);
const SEALING_KEYS: Gauge<1> =
    Gauge::new("sealops_sealing_keys", "Sealing key Secrets by whether they can be used.", ["state"]);
const RSA_OPERATIONS: Counter<0> =
    Counter::new("sealops_rsa_operations_total", "RSA private-key operations.", []);
