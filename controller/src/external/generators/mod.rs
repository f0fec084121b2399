//! Generators: values that are made instead of fetched.
//!
//! A generator that leaves something behind at a provider returns a state; whoever asked records it
//! (`GeneratorState`) before the values are used, and takes it back when they are replaced.

use std::collections::BTreeMap;

use sealops_crds::external_secret::GeneratorRef;
use sealops_crds::generators::{ClusterGenerator, FakeSpec, GROUP, OPAQUE};
use sealops_crds::secret_store::{Provider, SecretStoreSpec, WebhookProvider};
use sealops_formats::Plaintext;
use sealops_providers::{BoxFuture, ProviderError, ProviderErrorKind, RemoteKey, RemoteValue};
#[cfg(feature = "stores")]
use sealops_providers::{ConnectContext, aws};
use serde::de::DeserializeOwned;
use serde_json::Value;
use serde_json::value::RawValue;

#[cfg(feature = "stores")]
use super::credentials::Credentials;
use super::credentials::StoreEnvironment;
use super::direct::connect_once;
use super::ledger::Usage;
use super::store::{StoreKey, StoreObject};
use crate::object::{ClusterReader, ReadError};

mod mfa;
mod password;
mod ssh_key;
#[cfg(feature = "cluster")]
mod state;
mod uuid;
#[cfg(feature = "stores")]
mod vault;
#[cfg(feature = "cluster")]
pub use state::{clean_up, expires};

/// What a generator made.
#[derive(Debug, Default)]
pub struct Generated {
    /// The values by key.
    pub values: BTreeMap<String, Plaintext>,
    /// What has to be taken back one day.
    pub state: Option<Value>,
}

impl From<BTreeMap<String, Plaintext>> for Generated {
    fn from(values: BTreeMap<String, Plaintext>) -> Self {
        Self { values, state: None }
    }
}

/// Why a generator made nothing. Its texts are upstream's, without a value.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum GeneratorProblem {
    /// It is for a controller of another class: nothing is to be said about its users.
    #[error("the generator is for the controller class {0:?}")]
    ForeignClass(String),
    /// It cannot be had.
    #[error("unable to get generator: {0}")]
    Get(String),
    /// It failed.
    #[error("error using generator: {0}")]
    Use(String),
}

/// Runs generators.
pub trait Generators: Send + Sync {
    /// Makes the values of a generator.
    fn generate<'a>(&'a self, usage: Usage<'a>) -> BoxFuture<'a, Result<Generated, GeneratorProblem>>;
}

/// Reads generators from where the other objects are.
pub struct ObjectGenerators {
    class: String,
    environment: StoreEnvironment,
}

impl ObjectGenerators {
    /// Makes it for a controller class.
    pub fn new(class: impl Into<String>, environment: StoreEnvironment) -> Self {
        Self { class: class.into(), environment }
    }
}

impl Generators for ObjectGenerators {
    fn generate<'a>(&'a self, usage: Usage<'a>) -> BoxFuture<'a, Result<Generated, GeneratorProblem>> {
        Box::pin(async move {
            let found = find(usage.reference, usage.namespace, usage.cluster).await?;
            let run = Run { environment: &self.environment, class: &self.class, usage };
            run.generate(&found).await
        })
    }
}

/// A generator, wherever it stands.
struct Found {
    kind: String,
    spec: Value,
}

/// Finds the generator that a reference names: in the namespace of its user, or a ClusterGenerator.
async fn find(
    reference: &GeneratorRef,
    namespace: &str,
    cluster: &dyn ClusterReader,
) -> Result<Found, GeneratorProblem> {
    let get = |text: String| GeneratorProblem::Get(text);
    let read = |error: ReadError| GeneratorProblem::Get(error.to_string());
    let version = reference.api_version.as_deref().unwrap_or_default();
    let group = version.split('/').next().unwrap_or_default();
    if !group.is_empty() && group != GROUP {
        return Err(get(format!(
            "terminal error: generatorRef may only reference the generators group, but got {group}"
        )));
    }
    let GeneratorRef { kind, name, .. } = reference;
    let missing = || get(format!("{kind}.{GROUP} \"{name}\" not found"));
    if kind == ClusterGenerator::KIND {
        let found = cluster.cluster_generator(name).await.map_err(read)?.ok_or_else(missing)?;
        let spec = found.spec.settings().cloned().ok_or_else(|| {
            get(format!(
                "terminal error: invalid ClusterGenerator: when kind is {kind}, {kind}Spec must be set",
                kind = found.spec.kind
            ))
        })?;
        return Ok(Found { kind: found.spec.kind, spec });
    }
    let plural = plural_of(kind)
        .ok_or_else(|| get(format!("terminal error: generatorRef has unknown kind {kind}")))?;
    let found = cluster.in_namespace(namespace).generator(plural, name).await.map_err(read)?;
    Ok(Found { kind: kind.clone(), spec: found.ok_or_else(missing)? })
}

/// Returns the plural name of a kind, `None` for what is no generator.
pub(crate) fn plural_of(kind: &str) -> Option<&'static str> {
    const OURS: [(&str, &str); 7] = [
        ("Fake", "fakes"),
        ("MFA", "mfas"),
        ("Password", "passwords"),
        ("SSHKey", "sshkeys"),
        ("UUID", "uuids"),
        ("VaultDynamicSecret", "vaultdynamicsecrets"),
        ("Webhook", "webhooks"),
    ];
    OURS.iter().chain(&OPAQUE).find(|(known, _)| *known == kind).map(|(_, plural)| *plural)
}

/// One use of a generator.
struct Run<'a> {
    environment: &'a StoreEnvironment,
    class: &'a str,
    usage: Usage<'a>,
}

impl Run<'_> {
    async fn generate(&self, found: &Found) -> Result<Generated, GeneratorProblem> {
        self.is_ours(&found.spec)?;
        let failed = GeneratorProblem::Use;
        match found.kind.as_str() {
            "Password" => password::generate(&settings(found)?).map(Generated::from).map_err(failed),
            "UUID" => uuid::generate().map(Generated::from).map_err(failed),
            "Fake" => {
                let spec: FakeSpec = settings(found)?;
                let values = spec.data.into_iter().map(|(key, value)| (key, value.into())).collect();
                Ok(Generated { values, state: None })
            }
            "MFA" => self.mfa(found).await,
            "SSHKey" => ssh_key::generate(&settings(found)?).map(Generated::from).map_err(failed),
            "VaultDynamicSecret" => self.vault(found).await,
            "Webhook" => self.webhook(found).await.map(Generated::from),
            "ECRAuthorizationToken" | "STSSessionToken" => self.aws(found).await.map(Generated::from),
            kind => Err(GeneratorProblem::Get(format!(
                "the generator {kind} is not supported by this version of sealops; its object is kept as it is"
            ))),
        }
    }

    /// Kinds with a class have it at `controller`.
    fn is_ours(&self, spec: &Value) -> Result<(), GeneratorProblem> {
        match spec.get("controller").and_then(Value::as_str) {
            Some(class) if !class.is_empty() && class != self.class => {
                Err(GeneratorProblem::ForeignClass(class.to_owned()))
            }
            _ => Ok(()),
        }
    }

    async fn mfa(&self, found: &Found) -> Result<Generated, GeneratorProblem> {
        let failed = GeneratorProblem::Use;
        let spec: sealops_crds::generators::MfaSpec = settings(found)?;
        let name = spec.secret.name.clone().unwrap_or_default();
        let key = spec.secret.key.clone().unwrap_or_default();
        let objects = self.usage.cluster.in_namespace(self.usage.namespace);
        let secret = objects.secret(&name).await.map_err(|error| failed(error.to_string()))?;
        let secret = secret.ok_or_else(|| {
            failed(format!("failed to find secret for token key: secrets \"{name}\" not found"))
        })?;
        let seed = secret.data.get(&key);
        let seed =
            seed.ok_or_else(|| failed(format!("secret key {key} does not exist in secret data map")))?;
        mfa::generate(&spec, seed, self.usage.now).map(Generated::from).map_err(failed)
    }

    /// Asks AWS, with credentials of the namespace.
    #[cfg(feature = "stores")]
    async fn aws(&self, found: &Found) -> Result<BTreeMap<String, Plaintext>, GeneratorProblem> {
        let store = vault::identity(self.usage.namespace);
        let credentials = Credentials::new(&store, self.usage.cluster, self.environment);
        let context =
            ConnectContext { store: &store, credentials: &credentials, network: self.environment.network };
        let made = if found.kind == "STSSessionToken" {
            aws::session(&settings(found)?, &context).await
        } else {
            aws::registry_login(&settings(found)?, &context).await
        };
        made.map_err(|error| {
            GeneratorProblem::Use(format!("unable to get authorization token: {}", words(&error)))
        })
    }

    /// Without a network there is no AWS to ask.
    #[cfg(not(feature = "stores"))]
    async fn aws(&self, _: &Found) -> Result<BTreeMap<String, Plaintext>, GeneratorProblem> {
        Err(GeneratorProblem::Use("this program reaches no AWS".to_owned()))
    }

    /// Without a network there is no engine to ask.
    #[cfg(not(feature = "stores"))]
    async fn vault(&self, _: &Found) -> Result<Generated, GeneratorProblem> {
        Err(GeneratorProblem::Use("this program reaches no Vault".to_owned()))
    }

    /// A webhook store of the namespace, which is asked for nothing in particular.
    async fn webhook(&self, found: &Found) -> Result<BTreeMap<String, Plaintext>, GeneratorProblem> {
        let spec: WebhookProvider = settings(found)?;
        let key = StoreKey { namespace: Some(self.usage.namespace.to_owned()), name: "generator".to_owned() };
        let provider = Some(Provider::Webhook(spec));
        let spec = SecretStoreSpec { provider, ..SecretStoreSpec::default() };
        let store = StoreObject { key, uid: String::new(), generation: 0, spec, ready: None };
        let (connection, _) =
            connect_once(&store, self.usage.namespace, self.usage.cluster, self.environment).await;
        let used = |error: ProviderError| GeneratorProblem::Use(words(&error));
        let connection = connection.map_err(used)?;
        let Some(reader) = connection.reader else {
            return Err(GeneratorProblem::Use("the endpoint cannot be read".to_owned()));
        };
        let answer = reader.get(&RemoteKey { key: String::new(), version: None }).await.map_err(used)?;
        match answer.value {
            RemoteValue::Bytes(value) => object_of(&value).map_err(GeneratorProblem::Use),
            RemoteValue::Entries(entries) => Ok(entries),
        }
    }
}

fn words(error: &ProviderError) -> String {
    match error.kind {
        ProviderErrorKind::NotFound => "Secret does not exist".to_owned(),
        _ => error.kind.to_string(),
    }
}

fn settings<T: DeserializeOwned>(found: &Found) -> Result<T, GeneratorProblem> {
    // serde's message quotes the value.
    serde_json::from_value(found.spec.clone()).map_err(|_| {
        GeneratorProblem::Use(format!("unable to parse spec: the settings of the {} do not fit", found.kind))
    })
}

/// Splits a JSON object: texts unquoted, null empty, everything else as it stands.
fn object_of(value: &Plaintext) -> Result<BTreeMap<String, Plaintext>, String> {
    let unfit = |_| "failed to parse response json from jsonpath: the result is not a JSON object".to_owned();
    let raw: BTreeMap<String, &RawValue> = serde_json::from_slice(value.expose()).map_err(unfit)?;
    let entry = |(key, raw): (String, &RawValue)| {
        let text = raw.get();
        let value = match text.as_bytes().first() {
            Some(b'"') => serde_json::from_str::<Plaintext>(text).map_err(unfit)?,
            Some(b'n') => Plaintext::default(),
            _ => Plaintext::from(text),
        };
        Ok((key, value))
    };
    raw.into_iter().map(entry).collect()
}

/// Returns a number below `bound`, each equally likely.
fn below(bound: usize) -> Result<usize, String> {
    let bound = u32::try_from(bound).map_err(|_| "the choice is too wide".to_owned())?;
    if bound == 0 {
        return Err("there is nothing to choose from".to_owned());
    }
    // The part of the range that would make small numbers likelier is drawn again.
    let limit = u32::MAX - u32::MAX % bound;
    loop {
        let mut bytes = [0; 4];
        fill(&mut bytes)?;
        let drawn = u32::from_ne_bytes(bytes);
        if drawn < limit {
            return Ok((drawn % bound) as usize);
        }
    }
}

fn fill(bytes: &mut [u8]) -> Result<(), String> {
    aws_lc_rs::rand::fill(bytes).map_err(|_| "there are no random bytes".to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn kinds_have_their_plurals() {
        for (kind, plural) in [("Password", "passwords"), ("MFA", "mfas"), ("Grafana", "grafanas")] {
            assert_eq!(plural_of(kind), Some(plural));
        }
        assert_eq!(plural_of("Secret"), None);
    }

    #[test]
    fn objects_are_split_as_they_stand() {
        let values =
            object_of(&r#"{"a":"x\"y","b":1.50,"c":{"d":[1, 2]},"e":null,"f":true}"#.into()).unwrap();
        let texts: Vec<_> =
            values.iter().map(|(key, value)| (key.as_str(), value.expose_str().unwrap())).collect();
        assert_eq!(texts, [("a", "x\"y"), ("b", "1.50"), ("c", r#"{"d":[1, 2]}"#), ("e", ""), ("f", "true")]);
        for odd in ["hunter2", "[1]", "\"hunter2\""] {
            let error = object_of(&odd.into()).unwrap_err();
            assert!(!error.contains("hunter2"), "{error}");
        }
    }

    #[test]
    fn choices_are_even() {
        let mut counts = [0u32; 3];
        for _ in 0..3000 {
            counts[below(3).unwrap()] += 1;
        }
        assert!(counts.iter().all(|count| (800..1200).contains(count)), "{counts:?}");
        assert!(below(0).is_err());
    }
}
