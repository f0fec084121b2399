//! What a provider gets of the cluster while a store is opened, and from which namespace.
//!
//! | store | a reference without namespace | with its own | with another |
//! | --- | --- | --- | --- |
//! | SecretStore | its own namespace | its own namespace | its own namespace: the field is not looked at, as upstream |
//! | ClusterSecretStore | the namespace of the user ("referent authentication") | – | that namespace |
//!
//! So a SecretStore reads its own namespace, whatever it says. Authorities (`caProvider`) are stricter, and the rules are
//! those of the providers: see `authorities.rs` there.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Arc, Mutex, PoisonError};

use sealops_crds::Metadata;
use sealops_formats::Plaintext;
use sealops_providers::{
    BoxFuture, CredentialSource, Egress, ProviderErrorKind, Reach, Render, RenderProblem, Selector,
    StoreIdentity, TemplateValue, TokenRequest,
};
use sealops_template::Value;
use sealops_template::value::{Map, Text};

use crate::object::{ClusterReader, NO_TOKENS, ReadError, SecretObject, TokenAsk};
use crate::templates::{Dialect, Problem, Renderer, TemplateOptions};

/// An object that a store's settings refer to.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Referenced {
    /// `Secret`, `ConfigMap` or `ServiceAccount`.
    pub kind: &'static str,
    /// Namespace.
    pub namespace: String,
    /// Name.
    pub name: String,
}

/// What was given out while a store was opened: it stays right as long as these versions do.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Used {
    /// Versions of the objects (uid and resourceVersion), `None` where there was none.
    pub versions: BTreeMap<Referenced, Option<String>>,
    /// Whether a reference was resolved in the namespace of the user.
    pub per_user: bool,
    /// Whether such a reference was asked for while there is no user: only the store was being checked.
    pub needs_user: bool,
    /// The shortest life, in seconds, of the tokens that were made.
    pub token_seconds: Option<i64>,
}

impl Used {
    /// Returns the Secrets and ConfigMaps that were read.
    pub fn objects(&self) -> BTreeSet<Referenced> {
        self.versions.keys().cloned().collect()
    }
}

/// What all stores of a process have in common.
#[derive(Debug, Clone)]
pub struct StoreEnvironment {
    /// What templates of a store's settings may use.
    pub templates: TemplateOptions,
    /// Which addresses may be connected to.
    pub egress: Egress,
    /// Whether anything may be connected to at all.
    pub network: bool,
    /// Which servers may be asked, and as whom.
    pub reach: Arc<Reach>,
    /// Addresses in place of clouds' own, by the names of the variables that would hold them. What is not here is taken from
    /// the process's environment.
    pub addresses: BTreeMap<String, String>,
}

impl Default for StoreEnvironment {
    fn default() -> Self {
        Self {
            templates: TemplateOptions::default(),
            egress: Egress::NoLinkLocal,
            network: false,
            reach: Arc::default(),
            addresses: BTreeMap::new(),
        }
    }
}

/// Hands out credentials to one store for one user, and remembers what it gave.
pub(super) struct Credentials<'a> {
    store: &'a StoreIdentity,
    cluster: &'a dyn ClusterReader,
    environment: &'a StoreEnvironment,
    used: Mutex<Used>,
}

impl<'a> Credentials<'a> {
    /// Makes the source. An empty `user_namespace` says that nobody uses the store yet.
    pub(super) fn new(
        store: &'a StoreIdentity,
        cluster: &'a dyn ClusterReader,
        environment: &'a StoreEnvironment,
    ) -> Self {
        Self { store, cluster, environment, used: Mutex::default() }
    }

    /// Returns what was given out.
    pub(super) fn used(&self) -> Used {
        self.note(|used| used.clone())
    }

    fn note<T>(&self, change: impl FnOnce(&mut Used) -> T) -> T {
        change(&mut self.used.lock().unwrap_or_else(PoisonError::into_inner))
    }

    /// The one place that decides where a reference leads.
    fn namespace(&self, given: Option<&str>) -> Result<String, ProviderErrorKind> {
        if let Some(own) = &self.store.namespace {
            return Ok(own.clone());
        }
        if let Some(given) = given.filter(|given| !given.is_empty()) {
            return Ok(given.to_owned());
        }
        let user = &self.store.user_namespace;
        self.note(|used| used.per_user = true);
        if user.is_empty() {
            self.note(|used| used.needs_user = true);
            return Err(ProviderErrorKind::Invalid(
                "the reference has no namespace, so each user of the store brings its own credentials"
                    .to_owned(),
            ));
        }
        Ok(user.clone())
    }

    fn saw(&self, kind: &'static str, namespace: &str, name: &str, metadata: Option<&Metadata>) {
        let reference = Referenced { kind, namespace: namespace.to_owned(), name: name.to_owned() };
        self.note(|used| used.versions.insert(reference, metadata.map(version_of)));
    }

    async fn read_secret(&self, selector: &Selector) -> Result<(SecretObject, String), ProviderErrorKind> {
        let namespace = self.namespace(selector.namespace.as_deref())?;
        let found = self.cluster.in_namespace(&namespace).secret(&selector.name).await.map_err(unreadable)?;
        self.saw("Secret", &namespace, &selector.name, found.as_ref().map(|secret| &secret.metadata));
        let missing = || missing("secret", &selector.name, &namespace);
        Ok((found.ok_or_else(missing)?, namespace))
    }
}

/// Returns what tells two versions of an object apart.
pub(super) fn version_of(metadata: &Metadata) -> String {
    let part = |text: &Option<String>| text.clone().unwrap_or_default();
    format!("{}/{}", part(&metadata.uid), part(&metadata.resource_version))
}

fn unreadable(error: ReadError) -> ProviderErrorKind {
    ProviderErrorKind::Unavailable(error.to_string())
}

fn missing(kind: &str, name: &str, namespace: &str) -> ProviderErrorKind {
    ProviderErrorKind::Invalid(format!(
        "cannot get Kubernetes {kind} \"{name}\" from namespace \"{namespace}\": {kind}s \"{name}\" not found"
    ))
}

fn no_key(kind: &str, key: &str) -> ProviderErrorKind {
    ProviderErrorKind::Invalid(format!("cannot find {kind} data for key: \"{key}\""))
}

impl CredentialSource for Credentials<'_> {
    fn templates(&self) -> Option<Arc<dyn Render>> {
        Some(Arc::new(StoreTemplates(self.environment.templates)))
    }

    fn egress(&self) -> Egress {
        self.environment.egress
    }

    fn reach(&self) -> Arc<Reach> {
        Arc::clone(&self.environment.reach)
    }

    fn address(&self, variable: &str) -> Option<String> {
        let own = self.environment.addresses.get(variable).cloned();
        own.or_else(|| std::env::var(variable).ok()).filter(|text| !text.is_empty())
    }

    fn secret<'a>(&'a self, selector: &'a Selector) -> BoxFuture<'a, Result<Plaintext, ProviderErrorKind>> {
        Box::pin(async move {
            let (mut secret, _) = self.read_secret(selector).await?;
            secret.data.remove(&selector.key).ok_or_else(|| no_key("secret", &selector.key))
        })
    }

    fn secret_entries<'a>(
        &'a self,
        selector: &'a Selector,
        label: Option<(&'a str, &'a str)>,
    ) -> BoxFuture<'a, Result<BTreeMap<String, Plaintext>, ProviderErrorKind>> {
        Box::pin(async move {
            let (secret, namespace) = self.read_secret(selector).await?;
            if let Some((name, value)) = label
                && secret.metadata.labels().get(name).is_none_or(|found| found != value)
            {
                return Err(ProviderErrorKind::Forbidden(format!(
                    "secret \"{}\" in namespace \"{namespace}\" does not have the label {name}: {value}, without which \
                     it is not used here; add it",
                    selector.name
                )));
            }
            Ok(secret.data)
        })
    }

    fn config_map<'a>(
        &'a self,
        selector: &'a Selector,
    ) -> BoxFuture<'a, Result<Plaintext, ProviderErrorKind>> {
        Box::pin(async move {
            let namespace = self.namespace(selector.namespace.as_deref())?;
            let objects = self.cluster.in_namespace(&namespace);
            let found = objects.config_map(&selector.name).await.map_err(unreadable)?;
            self.saw("ConfigMap", &namespace, &selector.name, found.as_ref().map(|map| &map.metadata));
            let mut map = found.ok_or_else(|| missing("configmap", &selector.name, &namespace))?;
            map.data.remove(&selector.key).ok_or_else(|| no_key("configmap", &selector.key))
        })
    }

    fn token<'a>(&'a self, request: &'a TokenRequest) -> BoxFuture<'a, Result<Plaintext, ProviderErrorKind>> {
        Box::pin(async move {
            let namespace = self.namespace(request.namespace.as_deref())?;
            let ask = TokenAsk { audiences: request.audiences.clone(), seconds: request.seconds };
            let token = self.cluster.in_namespace(&namespace).token(&request.name, &ask).await;
            let token = token.map_err(|error| match error.problem.as_str() {
                NO_TOKENS => ProviderErrorKind::Invalid(error.to_string()),
                _ => unreadable(error),
            })?;
            self.note(|used| {
                let shortest = used.token_seconds.map_or(request.seconds, |known| known.min(request.seconds));
                used.token_seconds = Some(shortest);
            });
            Ok(token)
        })
    }

    fn service_account_annotations<'a>(
        &'a self,
        name: &'a str,
        namespace: Option<&'a str>,
    ) -> BoxFuture<'a, Result<BTreeMap<String, String>, ProviderErrorKind>> {
        Box::pin(async move {
            let namespace = self.namespace(namespace)?;
            let found =
                self.cluster.in_namespace(&namespace).service_account(name).await.map_err(unreadable)?;
            self.saw("ServiceAccount", &namespace, name, found.as_ref());
            let metadata = found.ok_or_else(|| missing("serviceaccount", name, &namespace))?;
            Ok(metadata.annotations().clone())
        })
    }
}

/// Templates in the settings of a store.
struct StoreTemplates(TemplateOptions);

impl Render for StoreTemplates {
    fn render(
        &self,
        name: &str,
        template: &Plaintext,
        values: &BTreeMap<String, TemplateValue>,
    ) -> Result<Plaintext, RenderProblem> {
        let fields = values.iter().map(|(key, value)| {
            let value = match value {
                TemplateValue::Text(text) => Value::string(Text::from(text.duplicate())),
                TemplateValue::Map(map) => {
                    Value::of_strings(map.iter().map(|(key, value)| (key.as_str(), value)))
                }
            };
            (Text::from(key.as_str()), value)
        });
        let root = Value::Map(Map::new(fields.collect()));
        Renderer::of_root(Dialect::StoreSettings, self.0, root).render(name, template).map_err(|problem| {
            match problem {
                Problem::Parse(text) => RenderProblem::Parse(text),
                Problem::Execute(text) => RenderProblem::Execute(text),
            }
        })
    }
}
