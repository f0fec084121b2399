//! What the check of a store says to others: status and events.

use std::time::Duration;

use sealops_crds::Condition;
use sealops_crds::secret_store::{Provider, SecretStoreSpec, SecretStoreStatus, StoreInterval};
use sealops_providers::{ProviderError, ProviderErrorKind, Validation, go_duration};

use super::breaker::Open;
use super::connections::{CheckError, Checked};
use crate::outcome::Event;

/// Condition that says that calls are held back.
pub const CIRCUIT_OPEN: &str = "CircuitOpen";
/// Annotation that silences the warning about providers that nobody maintains.
const IGNORE_MAINTENANCE: &str = "external-secrets.io/ignore-maintenance-checks";
const UNMAINTAINED: &str = "store isn't currently maintained. Please plan and prepare accordingly.";
/// Shortest time between two checks.
const SHORTEST_INTERVAL: Duration = Duration::from_secs(1);

/// What a check comes to.
#[derive(Debug, Clone, PartialEq)]
pub struct Verdict {
    /// `True` or `False`.
    pub is_ready: bool,
    reason: &'static str,
    message: String,
    /// Text of the event where it says more than the message.
    cause: Option<String>,
    capabilities: Option<sealops_crds::secret_store::Capabilities>,
}

impl Verdict {
    /// Returns what a check comes to.
    pub fn of(checked: Checked) -> Self {
        let Checked { result, capabilities } = checked;
        let (is_ready, reason, message, cause) = match result {
            Ok(Validation::Ready | Validation::Unknown) => {
                (true, "Valid", "store validated".to_owned(), None)
            }
            Ok(Validation::Unclear(why)) => {
                let message = "could not determine validation status".to_owned();
                let verdict = Self {
                    is_ready: true,
                    reason: "ValidationUnknown",
                    message,
                    cause: Some(why),
                    capabilities: None,
                };
                return verdict;
            }
            Err(CheckError::Open(error)) => {
                (false, "InvalidProviderConfig", opening(&error), Some(error.kind.to_string()))
            }
            Err(CheckError::Validate(error)) => {
                let message = "unable to validate store".to_owned();
                (false, "InvalidProviderConfig", message, Some(error.kind.to_string()))
            }
        };
        Self { is_ready, reason, message, cause, capabilities: capabilities.filter(|_| is_ready) }
    }

    /// Returns the verdict on settings that make no sense.
    pub fn unfit(problem: &str) -> Self {
        let reason = "InvalidStoreConfiguration";
        Self { is_ready: false, reason, message: problem.to_owned(), cause: None, capabilities: None }
    }

    /// Returns the events, the most important first. `annotations` are those of the store.
    pub fn events(
        &self,
        spec: &SecretStoreSpec,
        annotations: &std::collections::BTreeMap<String, String>,
    ) -> Vec<Event> {
        let text = self.cause.clone().unwrap_or_else(|| self.message.clone());
        if self.reason != "Valid" {
            return vec![Event::warning(self.reason, text)];
        }
        let mut events = vec![Event::normal(self.reason, text)];
        let is_silenced = annotations.get(IGNORE_MAINTENANCE).is_some_and(|value| value == "true");
        if matches!(spec.provider, Some(Provider::Fake(_))) && !is_silenced {
            events.push(Event::warning("StoreUnmaintained", UNMAINTAINED));
        }
        events
    }

    /// Returns the new status. What the store can do stays known while it cannot be asked.
    pub fn status(&self, stored: &SecretStoreStatus, open: Option<&Open>, now: &str) -> SecretStoreStatus {
        let mut conditions = vec![condition("Ready", self.is_ready, self.reason, &self.message, stored, now)];
        if let Some(open) = open {
            let message =
                format!("calls are held back after {} failures in a row: {}", open.failures, open.reason);
            conditions.push(condition(CIRCUIT_OPEN, true, "TooManyFailures", &message, stored, now));
        }
        let foreign = |condition: &&Condition| !matches!(condition.type_.as_str(), "Ready" | CIRCUIT_OPEN);
        conditions.extend(stored.conditions.iter().filter(foreign).cloned());
        let capabilities = self.capabilities.clone().or_else(|| stored.capabilities.clone());
        SecretStoreStatus { conditions, capabilities }
    }
}

/// Upstream's text, and more where it never gets to.
fn opening(error: &ProviderError) -> String {
    let text = "unable to create client";
    match &error.kind {
        ProviderErrorKind::NotBuilt => {
            format!("{text}: this build of sealops has no provider \"{}\"", error.backend)
        }
        ProviderErrorKind::Unsupported(what) => format!("{text}: {what} is not supported"),
        _ => text.to_owned(),
    }
}

fn condition(
    type_: &str,
    holds: bool,
    reason: &str,
    message: &str,
    stored: &SecretStoreStatus,
    now: &str,
) -> Condition {
    let status = if holds { "True" } else { "False" };
    let before = stored.conditions.iter().find(|before| before.type_ == type_ && before.status == status);
    let since = before.and_then(|before| before.last_transition_time.clone());
    Condition {
        type_: type_.to_owned(),
        status: status.to_owned(),
        reason: Some(reason.to_owned()),
        message: Some(message.to_owned()),
        last_transition_time: Some(since.unwrap_or_else(|| now.to_owned())),
    }
}

/// Returns the time between two checks.
///
/// # Errors
/// Returns why the store's own interval makes no sense.
pub fn check_interval(spec: &SecretStoreSpec, default: Duration) -> Result<Duration, String> {
    let interval = match &spec.refresh_interval {
        None | Some(StoreInterval::Seconds(0)) => default,
        Some(StoreInterval::Seconds(seconds)) => {
            Duration::from_secs(u64::try_from(*seconds).unwrap_or_default())
        }
        Some(StoreInterval::Duration(text)) if text.is_empty() => default,
        Some(StoreInterval::Duration(text)) => go_duration(text).ok_or_else(|| {
            "spec.refreshInterval: this is neither a number of seconds nor a duration such as 1h30m"
                .to_owned()
        })?,
    };
    Ok(interval.max(SHORTEST_INTERVAL))
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use sealops_crds::secret_store::{Capabilities, FakeProvider};

    use super::*;

    fn verdict(result: Result<Validation, CheckError>) -> Verdict {
        Verdict::of(Checked { result, capabilities: Some(Capabilities::ReadWrite) })
    }

    fn error(kind: ProviderErrorKind) -> ProviderError {
        ProviderError { backend: "gcpsm".into(), operation: "open", target: "the store".into(), kind }
    }

    fn ready(verdict: &Verdict) -> (String, String, String) {
        let status = verdict.status(&SecretStoreStatus::default(), None, "now");
        let ready = status.conditions[0].clone();
        (ready.status, ready.reason.unwrap(), ready.message.unwrap())
    }

    #[test]
    fn conditions_are_upstreams() {
        let open = |kind| verdict(Err(CheckError::Open(error(kind))));
        for (verdict, expected) in [
            (verdict(Ok(Validation::Ready)), ("True", "Valid", "store validated")),
            (verdict(Ok(Validation::Unknown)), ("True", "Valid", "store validated")),
            (
                verdict(Ok(Validation::Unclear("why".into()))),
                ("True", "ValidationUnknown", "could not determine validation status"),
            ),
            (
                open(ProviderErrorKind::Invalid("x".into())),
                ("False", "InvalidProviderConfig", "unable to create client"),
            ),
            (
                open(ProviderErrorKind::NotBuilt),
                (
                    "False",
                    "InvalidProviderConfig",
                    "unable to create client: this build of sealops has no provider \"gcpsm\"",
                ),
            ),
            (
                verdict(Err(CheckError::Validate(error(ProviderErrorKind::Denied("x".into()))))),
                ("False", "InvalidProviderConfig", "unable to validate store"),
            ),
        ] {
            let (status, reason, message) = ready(&verdict);
            assert_eq!((status.as_str(), reason.as_str(), message.as_str()), expected);
        }
    }

    #[test]
    fn a_breaker_shows_and_goes_again() {
        let good = verdict(Ok(Validation::Ready));
        let open = Open { wait: Duration::from_secs(1), failures: 7, reason: "down".into() };
        let with = good.status(&SecretStoreStatus::default(), Some(&open), "then");
        assert_eq!(with.conditions[1].type_, CIRCUIT_OPEN);
        assert!(with.conditions[1].message.as_ref().unwrap().contains("after 7 failures in a row: down"));
        let without = good.status(&with, None, "now");
        assert_eq!(without.conditions.len(), 1);
        assert_eq!(without.conditions[0].last_transition_time.as_deref(), Some("then"), "nothing turned");
        let bad = verdict(Err(CheckError::Validate(error(ProviderErrorKind::NotFound))));
        let failed = bad.status(&without, None, "later");
        assert_eq!(failed.conditions[0].last_transition_time.as_deref(), Some("later"));
        assert_eq!(failed.capabilities, Some(Capabilities::ReadWrite), "still known");
    }

    #[test]
    fn unmaintained_providers_are_named_unless_silenced() {
        let spec = SecretStoreSpec {
            provider: Some(Provider::Fake(FakeProvider::default())),
            ..SecretStoreSpec::default()
        };
        let reasons = |verdict: Verdict, annotations: &BTreeMap<String, String>| {
            verdict.events(&spec, annotations).into_iter().map(|event| event.reason).collect::<Vec<_>>()
        };
        let none = BTreeMap::new();
        let silenced = BTreeMap::from([(IGNORE_MAINTENANCE.to_owned(), "true".to_owned())]);
        assert_eq!(reasons(verdict(Ok(Validation::Ready)), &none), ["Valid", "StoreUnmaintained"]);
        assert_eq!(reasons(verdict(Ok(Validation::Ready)), &silenced), ["Valid"]);
        assert_eq!(reasons(verdict(Ok(Validation::Unclear("x".into()))), &none), ["ValidationUnknown"]);
    }

    #[test]
    fn intervals_are_read_as_numbers_and_durations() {
        let default = Duration::from_secs(300);
        let of = |interval| {
            let spec = SecretStoreSpec { refresh_interval: interval, ..SecretStoreSpec::default() };
            check_interval(&spec, default).map(|interval| interval.as_secs())
        };
        let text = |text: &str| Some(StoreInterval::Duration(text.into()));
        assert_eq!(of(None), Ok(300));
        assert_eq!(of(Some(StoreInterval::Seconds(60))), Ok(60));
        assert_eq!(of(text("1h30m")), Ok(5400));
        assert_eq!(of(Some(StoreInterval::Seconds(-5))), Ok(1));
        assert_eq!(of(text("1ns")), Ok(1));
        for odd in ["1d", "soon", "1y"] {
            assert!(of(text(odd)).is_err(), "{odd}");
        }
    }
}
