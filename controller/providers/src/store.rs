//! Stores of External Secrets: what they can do, and what they may ask of the controller.

use std::collections::BTreeMap;
use std::sync::Arc;

use sealops_crds::secret_store::{Provider, SecretStoreSpec};
use sealops_formats::Plaintext;
use serde_json::Value;

use crate::{BoxFuture, ProviderError, ProviderErrorKind, Reach, fake};

/// Which value of a store is wanted.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct RemoteKey {
    /// Name in the store.
    pub key: String,
    /// Version in the store; `None` is the newest.
    pub version: Option<String>,
}

/// What a store holds under a name.
#[derive(Debug)]
pub struct RemoteSecret {
    /// The value.
    pub value: RemoteValue,
    /// The store's name for this version, where it has one.
    pub version: Option<String>,
}

/// A value as the store holds it.
#[derive(Debug)]
pub enum RemoteValue {
    /// Bytes; whether they are JSON is for those who ask for a property.
    Bytes(Plaintext),
    /// Named values, as a Kubernetes Secret has them.
    Entries(BTreeMap<String, Plaintext>),
}

/// How upstream looks into the values of a provider; the controller does it, once for all.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Dialect {
    /// How `remoteRef.property` is looked up.
    pub property: PropertyRule,
    /// What becomes of JSON values that are no strings, in `extract`.
    pub values: ValueRule,
}

/// How `remoteRef.property` is looked up.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum PropertyRule {
    /// The literal key first, then a gjson path.
    LiteralThenPath,
    /// A gjson path first, then the literal key (Azure).
    PathThenLiteral,
    /// A gjson path only (fake).
    Path,
    /// The literal key, else a gjson path in the entry before the first dot (Kubernetes). A single read that finds no
    /// Secret or no entry is an error for every deletion policy here, as upstream has it; `extract` honours the policy.
    Entry,
    /// There are no properties: the field is passed on in the request (webhook).
    Ignored,
}

/// What becomes of JSON values that are no strings.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ValueRule {
    /// Their text as it stands.
    Raw,
    /// Read and written again as Go does: sorted keys, `<>&` escaped, numbers as doubles (Vault, webhook).
    Rewritten,
}

/// Which values `find` looks for.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Find {
    /// Where it looks.
    pub path: Option<String>,
    /// Regular expression over names, in Go's dialect.
    pub name: Option<String>,
    /// Tags, all of which have to be there.
    pub tags: BTreeMap<String, String>,
}

/// Reads values.
pub trait SecretsReader: Send + Sync {
    /// Returns one value.
    fn get<'a>(&'a self, remote: &'a RemoteKey) -> BoxFuture<'a, Result<RemoteSecret, ProviderError>>;

    /// As [`SecretsReader::get`], for providers that pass the property on ([`PropertyRule::Ignored`]).
    fn get_property<'a>(
        &'a self,
        remote: &'a RemoteKey,
        _property: Option<&'a str>,
    ) -> BoxFuture<'a, Result<RemoteSecret, ProviderError>> {
        self.get(remote)
    }

    /// Returns how many values one call can return; 1 where there is no such call.
    fn batch_size(&self) -> usize {
        1
    }

    /// Returns whether a value can come with others, as things are now. Only asked where the batch size is above 1.
    fn can_batch(&self, _remote: &RemoteKey) -> bool {
        true
    }

    /// Returns several values, at most [`SecretsReader::batch_size`], in their order. Only called where that is above 1,
    /// for values that can come with others.
    fn get_batch<'a>(
        &'a self,
        remotes: &'a [RemoteKey],
    ) -> BoxFuture<'a, Vec<Result<RemoteSecret, ProviderError>>> {
        Box::pin(async move {
            let mut found = Vec::with_capacity(remotes.len());
            for remote in remotes {
                found.push(self.get(remote).await);
            }
            found
        })
    }

    /// Returns what the store knows about a value: its tags, labels and the like, as JSON.
    fn metadata<'a>(&'a self, remote: &'a RemoteKey) -> BoxFuture<'a, Result<Plaintext, ProviderError>> {
        unsupported(remote.key.as_str(), "metadata", "metadataPolicy: Fetch")
    }

    /// Returns every value that matches, by its name.
    fn find<'a>(
        &'a self,
        _: &'a Find,
    ) -> BoxFuture<'a, Result<BTreeMap<String, RemoteSecret>, ProviderError>> {
        unsupported("the store", "find", "find")
    }

    /// Returns how upstream looks into the values of this provider.
    fn dialect(&self) -> Dialect {
        Dialect { property: PropertyRule::LiteralThenPath, values: ValueRule::Raw }
    }
}

fn unsupported<'a, T: Send + 'a>(
    target: &'a str,
    operation: &'static str,
    what: &'static str,
) -> BoxFuture<'a, Result<T, ProviderError>> {
    Box::pin(async move {
        Err(ProviderError {
            backend: "this".to_owned(),
            operation,
            target: target.to_owned(),
            kind: ProviderErrorKind::Unsupported(what),
        })
    })
}

/// Where a value is pushed to.
#[derive(Debug, Clone, Default)]
pub struct PushTarget {
    /// Name in the store.
    pub key: String,
    /// The property to set, in a value that is a JSON object.
    pub property: Option<String>,
    /// Name of the entry of the Secret; `None` is the whole Secret as a JSON object.
    pub secret_key: Option<String>,
    /// Settings of the provider, as they stand in the PushSecret.
    pub metadata: Option<Value>,
    /// What the settings' `resourcePolicy.policySourceRef` names: read beforehand, since a provider sees no cluster.
    pub resource_policy: Option<Arc<Plaintext>>,
}

/// Writes values.
pub trait SecretsWriter: Send + Sync {
    /// Makes the store hold a value. Does nothing where it does already.
    fn put<'a>(
        &'a self,
        target: &'a PushTarget,
        value: &'a Plaintext,
    ) -> BoxFuture<'a, Result<(), ProviderError>>;

    /// Makes the store hold all values of a Secret under one key, bytes that are no text among them. `None` where it holds
    /// one text under a key: it is given a JSON object instead.
    fn put_whole<'a>(
        &'a self,
        _target: &'a PushTarget,
        _values: &'a BTreeMap<String, Plaintext>,
    ) -> Option<BoxFuture<'a, Result<(), ProviderError>>> {
        None
    }

    /// Removes a value; one that is not there is removed.
    fn delete<'a>(&'a self, target: &'a PushTarget) -> BoxFuture<'a, Result<(), ProviderError>>;

    /// Returns whether the store has a value.
    fn exists<'a>(&'a self, target: &'a PushTarget) -> BoxFuture<'a, Result<bool, ProviderError>>;
}

/// What the check of a store says.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Validation {
    /// It can be used.
    Ready,
    /// Nobody can say before it is used: there is no check, or the login is each user's own.
    Unknown,
    /// The check itself did not come through, for this reason. The store counts as ready.
    Unclear(String),
}

/// Checks that a store can be used.
pub trait StoreCheck: Send + Sync {
    /// Asks the store.
    fn validate<'a>(&'a self) -> BoxFuture<'a, Result<Validation, ProviderError>>;
}

/// An open connection to a store. What a store cannot do is absent.
pub struct StoreConnection {
    /// Reads.
    pub reader: Option<Box<dyn SecretsReader>>,
    /// Writes.
    pub writer: Option<Box<dyn SecretsWriter>>,
    /// Checks.
    pub check: Option<Box<dyn StoreCheck>>,
}

/// Which store is opened, and for whom.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct StoreIdentity {
    /// Namespace of a SecretStore; `None` for a ClusterSecretStore.
    pub namespace: Option<String>,
    /// Name.
    pub name: String,
    /// Namespace of the object that uses the store.
    pub user_namespace: String,
}

/// Names a key of a Secret or ConfigMap, as a store's settings do.
#[derive(Debug, Clone, Default, PartialEq, Eq, Hash)]
pub struct Selector {
    /// Name of the object.
    pub name: String,
    /// Namespace; the rules for it are the controller's.
    pub namespace: Option<String>,
    /// Key.
    pub key: String,
}

/// A token of a service account that is asked for.
#[derive(Debug, Clone, Default, PartialEq, Eq, Hash)]
pub struct TokenRequest {
    /// Name of the service account.
    pub name: String,
    /// Namespace; the rules for it are the controller's.
    pub namespace: Option<String>,
    /// Who the token is for; none is the API server.
    pub audiences: Vec<String>,
    /// Life, in seconds.
    pub seconds: i64,
}

/// What a provider may ask of the controller while a store is opened. The rules which namespaces a store may refer to
/// are applied behind it.
pub trait CredentialSource: Send + Sync {
    /// Returns what renders the templates of a store's settings; `None` where nothing does.
    fn templates(&self) -> Option<Arc<dyn Render>> {
        None
    }

    /// Returns which addresses may be connected to.
    fn egress(&self) -> Egress {
        Egress::NoLinkLocal
    }

    /// Returns which servers may be asked, and as whom.
    fn reach(&self) -> Arc<Reach> {
        Arc::default()
    }

    /// Returns a variable of the process that replaces a cloud's own address, unless it is empty.
    fn address(&self, variable: &str) -> Option<String> {
        std::env::var(variable).ok().filter(|text| !text.is_empty())
    }

    /// Returns one key of a Secret.
    fn secret<'a>(&'a self, selector: &'a Selector) -> BoxFuture<'a, Result<Plaintext, ProviderErrorKind>>;

    /// Returns a whole Secret: the webhook's templates name entries.
    fn secret_entries<'a>(
        &'a self,
        selector: &'a Selector,
        label: Option<(&'a str, &'a str)>,
    ) -> BoxFuture<'a, Result<BTreeMap<String, Plaintext>, ProviderErrorKind>>;

    /// Returns one key of a ConfigMap: authorities.
    fn config_map<'a>(
        &'a self,
        selector: &'a Selector,
    ) -> BoxFuture<'a, Result<Plaintext, ProviderErrorKind>>;

    /// Returns a new token of a service account.
    fn token<'a>(&'a self, request: &'a TokenRequest) -> BoxFuture<'a, Result<Plaintext, ProviderErrorKind>>;

    /// Returns the annotations of a service account, which name roles of clouds.
    fn service_account_annotations<'a>(
        &'a self,
        name: &'a str,
        namespace: Option<&'a str>,
    ) -> BoxFuture<'a, Result<BTreeMap<String, String>, ProviderErrorKind>>;
}

/// A value that templates of a store's settings see.
#[derive(Debug)]
pub enum TemplateValue {
    /// A string.
    Text(Plaintext),
    /// A map of strings.
    Map(BTreeMap<String, Plaintext>),
}

/// Renders templates of a store's settings, in External Secrets' dialect of Go's text/template.
pub trait Render: Send + Sync {
    /// Renders a text; `values` are the fields of dot; a missing key gives Go's `<no value>`. May take seconds of processor time.
    ///
    /// # Errors
    /// Returns why in words, without a value.
    fn render(
        &self,
        name: &str,
        template: &Plaintext,
        values: &BTreeMap<String, TemplateValue>,
    ) -> Result<Plaintext, RenderProblem>;
}

/// Why a template of a store's settings gave nothing, without a value.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum RenderProblem {
    /// It is no template.
    Parse(String),
    /// It failed.
    Execute(String),
}

/// Which addresses the provider of a store may connect to.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum Egress {
    /// Every address.
    #[default]
    Open,
    /// Every address but link-local ones, where clouds hand out the credentials of their machines.
    NoLinkLocal,
    /// Neither link-local addresses nor this machine's own.
    NoLocal,
}

/// Everything that opening a store needs beside its settings.
pub struct ConnectContext<'a> {
    /// Which store, for whom.
    pub store: &'a StoreIdentity,
    /// Where credentials come from.
    pub credentials: &'a dyn CredentialSource,
    /// Whether this may reach a network. Off where only stores that hold their own values are wanted.
    pub network: bool,
}

/// Opens a connection by a store's settings.
///
/// # Errors
/// Returns [`ProviderErrorKind::Invalid`] for settings that make no sense and [`ProviderErrorKind::NotBuilt`] for a
/// provider that is not there.
pub async fn connect(
    store: &SecretStoreSpec,
    context: &ConnectContext<'_>,
) -> Result<StoreConnection, ProviderError> {
    let fail = |backend: &str, kind| {
        Err(ProviderError {
            backend: backend.to_owned(),
            operation: "open",
            target: "the store".to_owned(),
            kind,
        })
    };
    if let Some(provider) = &store.provider
        && !context.credentials.reach().is_open()
        && !asks_before_it_connects(provider)
    {
        let text =
            "the servers of this provider cannot be limited, so it is asked only where all are allowed";
        return fail(provider.name(), ProviderErrorKind::Forbidden(text.to_owned()));
    }
    match &store.provider {
        Some(Provider::Fake(settings)) => {
            let fake = fake::FakeStore::new(settings.clone(), context.store);
            Ok(StoreConnection {
                reader: Some(Box::new(fake.clone())),
                writer: Some(Box::new(fake.clone())),
                check: Some(Box::new(fake)),
            })
        }
        #[cfg(feature = "kubernetes")]
        Some(Provider::Kubernetes(settings)) => crate::kubernetes::connect(settings, context).await,
        #[cfg(feature = "webhook")]
        Some(Provider::Webhook(settings)) => crate::webhook::connect(settings, context).await,
        #[cfg(feature = "vault")]
        Some(Provider::Vault(settings) | Provider::OpenBao(settings)) => {
            crate::vault::connect(store, settings, context).await
        }
        #[cfg(feature = "aws")]
        Some(Provider::Aws(settings)) => {
            crate::aws::connect(settings, store.retry_settings.as_ref(), context).await
        }
        Some(other) => fail(other.name(), ProviderErrorKind::NotBuilt),
        None => fail("unknown", ProviderErrorKind::Invalid("spec.provider is missing".to_owned())),
    }
}

/// Whether a provider asks [`Reach`] for every server before it sends anything there. One that is not known to do so is not
/// opened where the servers are limited.
fn asks_before_it_connects(provider: &Provider) -> bool {
    matches!(
        provider,
        Provider::Fake(_)
            | Provider::Kubernetes(_)
            | Provider::Webhook(_)
            | Provider::Vault(_)
            | Provider::OpenBao(_)
            | Provider::Aws(_)
    )
}
