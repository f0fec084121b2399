//! The cert controller: keeps the webhook's certificate, and tells the API server whom to trust.

use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use futures::StreamExt as _;
use http::Method;
use jiff::Timestamp;
use sealops_crypto::sealing::Certificate;
use sealops_crypto::serving::{Authority, Validity};
use sealops_formats::{Plaintext, base64};
use serde_json::Value;
use tokio::sync::watch;
use tokio::time::timeout;
use tracing::{info, warn};

use super::certificates::{CA_CERTIFICATE, CA_KEY, CERTIFICATE, KEY, Material};
use super::inject;
use crate::cluster::FIELD_MANAGER;
use crate::cluster::api::{AS_METADATA, JSON, MERGE, Refusal, SecretApi};
use crate::cluster::leader::{Candidate, LeaderElector, Leadership, WriteGuard};
use crate::cluster::metrics::{Metrics, ObjectLabels};
use crate::cluster::run::{Connection, DRAIN, Signals, connect, publish_leadership};
use crate::cluster::run_external::{ElectionOptions, bind_any, serve_both};
use crate::cluster::watch::webhook_configurations;
use crate::object::{ObjectKey, SecretObject};
use crate::outcome::Change;

/// Marks the configurations of the webhook.
const LABEL: &str = "external-secrets.io/component=webhook";
const CONFIGURATIONS: &str = "/apis/admissionregistration.k8s.io/v1/validatingwebhookconfigurations";
const DEFINITIONS: &str = "/apis/apiextensions.k8s.io/v1/customresourcedefinitions";
/// Life of what is made: ten years, as upstream.
const LIFETIME: i64 = 10 * 365 * 24 * 3600;
/// How long before the end a successor is made: 90 days, as upstream.
const AHEAD: i64 = 90 * 24 * 3600;
/// How far in the past validity begins, for clocks that differ.
const SKEW: i64 = 3600;
/// Between two attempts while something is missing.
const RETRY: Duration = Duration::from_secs(5);

/// What the cert controller is told.
#[derive(Debug, Clone)]
pub struct CertControllerOptions {
    /// Where the API server is.
    pub connection: Connection,
    /// Unique name of this process.
    pub identity: String,
    /// How replicas elect a leader; without, there must be one replica only.
    pub election: Option<ElectionOptions>,
    /// The webhook's Service.
    pub service: ObjectKey,
    /// The Secret with its certificate. It has to be there.
    pub secret: ObjectKey,
    /// Definitions that may convert by webhook.
    pub definitions: Vec<String>,
    /// Time between two looks at everything.
    pub interval: Duration,
    /// Addresses of the probes: the first that can be had. None where they are off.
    pub health: Vec<SocketAddr>,
    /// Addresses of the metrics, likewise.
    pub metrics: Vec<SocketAddr>,
}

/// Runs until SIGTERM or SIGINT.
///
/// # Errors
/// Returns why the process cannot start. Later failures are retried for ever.
pub async fn run_cert_controller(options: CertControllerOptions) -> Result<(), String> {
    let (health, metrics_listener) = (bind_any(&options.health).await?, bind_any(&options.metrics).await?);
    let client = connect(&options.connection).await?;
    let mut signals = Signals::new()?;
    let metrics = Arc::new(Metrics::new(env!("CARGO_PKG_VERSION"), ObjectLabels::Omit));
    let (stop, rest) = watch::channel(false);
    let (elector, leadership) = match &options.election {
        None => (None, Leadership::always()),
        Some(election) => {
            let candidate = Candidate {
                namespace: election.namespace.clone(),
                lease_name: election.lease.clone(),
                identity: options.identity.clone(),
                timing: election.timing,
            };
            let (elector, leadership) = LeaderElector::new(client.clone(), candidate);
            (Some(tokio::spawn(elector.run(rest.clone()))), leadership)
        }
    };
    tokio::spawn(publish_leadership(Arc::clone(&metrics), leadership.clone()));
    // A replica that does not lead has nothing to do, and is ready.
    let ready = Arc::new(AtomicBool::new(options.election.is_some()));
    let serving = serve_both(health, metrics_listener, &ready, &metrics, &rest);
    let keeper = Keeper { api: SecretApi::new(client), options, ready: Arc::clone(&ready) };
    let keeping = tokio::spawn(async move { keeper.run(leadership).await });

    signals.wait(|| {}).await;
    keeping.abort();
    let _ = keeping.await;
    ready.store(false, Ordering::Relaxed);
    stop.send_replace(true);
    let _ = timeout(DRAIN, futures::future::join_all(serving.into_iter().chain(elector))).await;
    info!("stopped");
    Ok(())
}

struct Keeper {
    api: SecretApi,
    options: CertControllerOptions,
    ready: Arc<AtomicBool>,
}

impl Keeper {
    async fn run(&self, leadership: Leadership) {
        loop {
            let guard = leadership.acquired().await;
            tokio::select! {
                () = self.keep(&guard) => {}
                () = guard.lost() => warn!("lost the leadership; writes have stopped"),
            }
            self.ready.store(true, Ordering::Relaxed);
        }
    }

    /// Looks at everything: at each interval, and whenever a configuration changes.
    async fn keep(&self, guard: &WriteGuard) {
        let mut changes = webhook_configurations(self.api.client(), LABEL);
        let mut said = String::new();
        loop {
            let result = self.pass(guard).await;
            self.ready.store(result.is_ok(), Ordering::Relaxed);
            let problem = result.err().unwrap_or_default();
            let wait = if problem.is_empty() { self.options.interval } else { RETRY };
            if problem != said {
                if problem.is_empty() {
                    info!("certificate, configurations and definitions are as they should be");
                } else {
                    warn!(problem, "not ready; trying again");
                }
            }
            said = problem;
            // However it ends, it is time to look again.
            let _ = timeout(wait, changes.next()).await;
        }
    }

    async fn pass(&self, guard: &WriteGuard) -> Result<(), String> {
        let bundle = self.certificate(guard).await?;
        let missing = self.definitions(&bundle, guard).await?;
        self.configurations(&bundle, guard).await?;
        if let Some(name) = missing {
            return Err(format!(
                "there is no CustomResourceDefinition {name}; install it, or see --crd-names"
            ));
        }
        self.endpoints().await
    }

    /// Makes the certificate where there is none that is right for long enough; returns the authority in base64.
    async fn certificate(&self, guard: &WriteGuard) -> Result<String, String> {
        let key = &self.options.secret;
        let found = self.api.secret(key).await.map_err(|error| error.to_string())?;
        let mut secret = found.ok_or_else(|| {
            format!("there is no Secret {key} to put the certificate into; the chart makes an empty one")
        })?;
        let now = Timestamp::now().as_second();
        let dns_name = format!("{}.{}.svc", self.options.service.name, self.options.service.namespace);
        if !is_right(&secret, &dns_name, now + AHEAD) {
            secret = tokio::task::spawn_blocking(move || renew(secret, &dns_name, now))
                .await
                .map_err(|_| "the certificate could not be made".to_owned())??;
            guard.check().map_err(|_| "this replica does not lead".to_owned())?;
            let change = Change::Replace(secret);
            self.api.write(&change, FIELD_MANAGER).await.map_err(|error| format!("Secret {key}: {error}"))?;
            info!(secret = %key, "made a new certificate for the webhook");
            return Ok(bundle_of(change.secret()));
        }
        Ok(bundle_of(&secret))
    }

    async fn configurations(&self, bundle: &str, guard: &WriteGuard) -> Result<(), String> {
        let label = LABEL.replace('/', "%2F").replace('=', "%3D");
        let list = self.read(&format!("{CONFIGURATIONS}?labelSelector={label}")).await?;
        let items = list.map(|mut list| list["items"].take()).unwrap_or_default();
        let items = items.as_array().cloned().unwrap_or_default();
        for mut object in items.iter().cloned() {
            if !inject::configuration(&mut object, &self.options.service, bundle) {
                continue;
            }
            let name = object["metadata"]["name"].as_str().unwrap_or_default().to_owned();
            let path = format!("{CONFIGURATIONS}/{name}?fieldManager={FIELD_MANAGER}");
            self.send(Method::PUT, &path, JSON, &object, guard).await?;
            info!(configuration = name, "put the authority into a webhook configuration");
        }
        if items.is_empty() {
            return Err(format!("there is no ValidatingWebhookConfiguration labelled {LABEL}"));
        }
        Ok(())
    }

    /// Returns the first definition that is not there.
    async fn definitions(&self, bundle: &str, guard: &WriteGuard) -> Result<Option<String>, String> {
        let mut missing = None;
        for name in &self.options.definitions {
            let path = format!("{DEFINITIONS}/{name}");
            let Some(object) = self.read(&path).await? else {
                missing.get_or_insert_with(|| name.clone());
                continue;
            };
            if let Some(patch) = inject::definition(&object, &self.options.service, bundle) {
                let path = format!("{path}?fieldManager={FIELD_MANAGER}");
                self.send(Method::PATCH, &path, MERGE, &patch, guard).await?;
                info!(definition = name, "put the authority into a definition");
            }
        }
        Ok(missing)
    }

    async fn endpoints(&self) -> Result<(), String> {
        let ObjectKey { namespace, name } = &self.options.service;
        let path = format!(
            "/apis/discovery.k8s.io/v1/namespaces/{namespace}/endpointslices?labelSelector=kubernetes.io%2Fservice-name%3D{name}"
        );
        let slices = self.read(&path).await?.unwrap_or_default();
        if inject::has_endpoints(&slices) {
            Ok(())
        } else {
            Err(format!("no endpoint of the Service {namespace}/{name} is ready yet"))
        }
    }

    /// Reads what is no secret; `None` where there is nothing.
    async fn read(&self, path: &str) -> Result<Option<Value>, String> {
        match self.api.get(path).await {
            Ok(body) => serde_json::from_slice(body.expose())
                .map(Some)
                .map_err(|_| format!("{path}: the API server's answer does not fit")),
            Err(refusal) if refusal.is_not_found() => Ok(None),
            Err(refusal) => Err(problem(path, &refusal)),
        }
    }

    async fn send(
        &self,
        method: Method,
        path: &str,
        content_type: &'static str,
        body: &Value,
        guard: &WriteGuard,
    ) -> Result<(), String> {
        guard.check().map_err(|_| "this replica does not lead".to_owned())?;
        let body = Some((content_type, Plaintext::from(body.to_string())));
        let sent = self.api.send(method, path, body, AS_METADATA).await;
        sent.map(drop).map_err(|refusal| problem(path, &refusal))
    }
}

fn problem(path: &str, refusal: &Refusal) -> String {
    format!("{}: {refusal}", path.split('?').next().unwrap_or_default())
}

fn bundle_of(secret: &SecretObject) -> String {
    secret.data.get(CA_CERTIFICATE).map(|pem| base64::encode_public(pem.expose())).unwrap_or_default()
}

/// Returns whether a Secret holds an authority with its key and a certificate, right for a name at a time.
fn is_right(secret: &SecretObject, dns_name: &str, at: i64) -> bool {
    let entry = |name| secret.data.get(name);
    let (Some(authority), Some(certificate), Some(key)) =
        (authority_of(secret, at), entry(CERTIFICATE), entry(KEY))
    else {
        return false;
    };
    let material = Material {
        authority: authority.certificate().as_bytes().to_vec(),
        certificate: certificate.expose().to_vec(),
        key: key.duplicate(),
    };
    material.judged(dns_name, at).is_ok()
}

/// Returns the authority in a Secret, if it is good at a time.
fn authority_of(secret: &SecretObject, at: i64) -> Option<Authority> {
    let (certificate, key) = (secret.data.get(CA_CERTIFICATE)?, secret.data.get(CA_KEY)?);
    let is_good =
        Certificate::from_pem(certificate.expose()).is_ok_and(|certificate| certificate.not_after() >= at);
    Authority::from_pem(certificate.expose(), key).ok().filter(|_| is_good)
}

/// Puts a new certificate into a Secret: of its own authority where that is good, so that whoever trusts it goes on.
fn renew(mut secret: SecretObject, dns_name: &str, now: i64) -> Result<SecretObject, String> {
    let failed = |error: &dyn std::fmt::Display| format!("the certificate could not be made: {error}");
    let validity = Validity { not_before: now - SKEW, not_after: now + LIFETIME };
    let own = authority_of(&secret, now + AHEAD);
    let is_own = own.is_some();
    let authority = match own {
        Some(authority) => authority,
        None => Authority::generate(validity).map_err(|error| failed(&error))?,
    };
    let issued = authority.issue(dns_name, validity).map_err(|error| failed(&error))?;
    for (name, value) in [
        (CA_CERTIFICATE, authority.certificate().into()),
        (CA_KEY, authority.private_key().duplicate()),
        (CERTIFICATE, issued.certificate.as_str().into()),
        (KEY, issued.private_key),
    ] {
        secret.data.insert(name.to_owned(), value);
    }
    if is_right(&secret, dns_name, now + AHEAD) {
        return Ok(secret);
    }
    if is_own {
        // An authority of another make, whose subject is not ours.
        secret.data.remove(CA_KEY);
        return renew(secret, dns_name, now);
    }
    Err(failed(&format!("it is not right for {dns_name}")))
}

#[cfg(test)]
mod tests {
    use super::*;

    const NOW: i64 = 1_800_000_000;

    #[test]
    fn a_certificate_is_made_once_and_renewed_by_the_same_authority() {
        let made = renew(SecretObject::default(), "w.s.svc", NOW).unwrap();
        assert!(is_right(&made, "w.s.svc", NOW + AHEAD));
        assert!(!is_right(&made, "other.s.svc", NOW + AHEAD), "another Service");
        assert!(!is_right(&made, "w.s.svc", NOW + LIFETIME + 1), "its time is over");
        let authority = made.data[CA_CERTIFICATE].duplicate();
        let moved = renew(made, "other.s.svc", NOW).unwrap();
        assert!(is_right(&moved, "other.s.svc", NOW + AHEAD));
        assert!(moved.data[CA_CERTIFICATE].ct_eq(&authority), "the authority stays");
        let late = renew(moved, "other.s.svc", NOW + LIFETIME).unwrap();
        assert!(!late.data[CA_CERTIFICATE].ct_eq(&authority), "its time is over too");
    }
}
