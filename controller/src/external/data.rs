//! Fetching, and what is done to values afterwards: once, for every provider.

use std::collections::BTreeMap;
use std::future::poll_fn;
use std::sync::Arc;
use std::task::Poll;

use sealops_crds::ExternalSecret;
use sealops_crds::external_secret::{
    ConversionStrategy, DataFromEntry, DeletionPolicy, Find as FindEntry, GeneratorRef, MetadataPolicy,
    RemoteRef, SourceRef, StoreKind, StoreRef,
};
use sealops_formats::Plaintext;
use sealops_providers::{
    Dialect, Find, PropertyRule, ProviderError, ProviderErrorKind, RemoteKey, RemoteValue,
};

use super::generators::GeneratorProblem;
use super::ledger::Usage;
use super::store::{Freshness, StoreHandle, StoreProblem, find_store};
use super::{Failure, Moment, Surroundings, rewrite, values};
use crate::outcome::Event;
use crate::templates::TemplateOptions;

type Values = BTreeMap<String, Plaintext>;

/// What a fetch brought.
pub(super) struct Fetched {
    pub(super) values: Values,
    /// Entries that the stores do not have.
    pub(super) events: Vec<Event>,
}

/// Fetches every `dataFrom`, then every `data`; later keys win.
pub(super) async fn fetch(
    external: &ExternalSecret,
    surroundings: &Surroundings<'_>,
    moment: &Moment,
) -> Result<Fetched, Failure> {
    let target = external.spec.target.as_ref();
    let policy = target.and_then(|target| target.deletion_policy.as_ref());
    let tolerates = policy.is_some_and(|policy| *policy != DeletionPolicy::Retain);
    let fresh = if moment.moved { Freshness::NOW } else { Freshness::of(external, moment.now) };
    let mut fetch = Fetch { external, surroundings, fresh, now: moment.now, open: BTreeMap::new() };
    let mut fetched = Fetched { values: Values::new(), events: Vec::new() };
    for (index, entry) in external.spec.data_from.iter().enumerate() {
        match fetch.set(index, entry).await {
            Ok(values) => fetched.values.extend(values),
            Err(failure) if failure.is_missing && tolerates => fetched.lacks(index, None),
            Err(failure) => {
                let place = format!("spec.dataFrom[{index}].{}", field_of(entry));
                return Err(Failure { events: fetched.events, ..failure.at(&place) });
            }
        }
    }
    let asked = fetch.asked().await;
    let read = fetch.all(asked, tolerates).await;
    for ((index, entry), read) in external.spec.data.iter().enumerate().zip(read) {
        let key = entry.remote_ref.key.as_str();
        match read {
            Ok(value) => drop(fetched.values.insert(entry.secret_key.clone(), value)),
            Err(failure) if failure.is_missing && tolerates => fetched.lacks(index, Some(key)),
            Err(failure) => {
                let place = format!("spec.data[{index}] (key: {key})");
                return Err(Failure { events: fetched.events, ..failure.at(&place) });
            }
        }
    }
    Ok(fetched)
}

fn field_of(entry: &DataFromEntry) -> &'static str {
    match entry {
        DataFromEntry { find: Some(_), .. } => "find",
        DataFromEntry { extract: Some(_), .. } => "extract",
        _ => "sourceRef.generatorRef",
    }
}

impl Fetched {
    /// Upstream's text says `spec.dataFrom` of entries of `spec.data` too.
    fn lacks(&mut self, index: usize, key: Option<&str>) {
        let key = key.map(|key| format!(" (key={key})")).unwrap_or_default();
        let text = format!("secret does not exist at provider using spec.dataFrom[{index}]{key}");
        self.events.push(Event::normal("MissingProviderSecret", text));
    }
}

/// Returns every store that the object names.
pub(crate) fn stores_of(external: &ExternalSecret) -> Vec<&StoreRef> {
    let spec = &external.spec;
    let data = spec.data.iter().map(|entry| entry.source_ref.as_ref());
    let from = spec.data_from.iter().map(|entry| entry.source_ref.as_ref());
    let own = data.chain(from).filter_map(|source| source?.store_ref.as_ref());
    let named = |reference: &&StoreRef| reference.name.as_deref().is_some_and(|name| !name.is_empty());
    spec.secret_store_ref.iter().chain(own).filter(named).collect()
}

struct Fetch<'a> {
    external: &'a ExternalSecret,
    surroundings: &'a Surroundings<'a>,
    fresh: Freshness,
    now: i64,
    /// Stores that this reconcile has opened, by kind and name.
    open: BTreeMap<(bool, String), Open>,
}

/// An open store and how upstream looks into its values.
#[derive(Clone)]
struct Open {
    handle: Arc<dyn StoreHandle>,
    dialect: Dialect,
}

impl<'a> Fetch<'a> {
    async fn set(&mut self, index: usize, entry: &DataFromEntry) -> Result<Values, Failure> {
        let source = entry.source_ref.as_ref();
        let templates = self.surroundings.options.templates;
        if let Some(find) = &entry.find {
            let values = self.find(find, source).await?;
            let values = named(values, entry, find.conversion_strategy.as_ref(), templates)?;
            let (decoding, zero) = (find.decoding_strategy.as_ref(), find.null_byte_policy.as_ref());
            return values::all_finished(values, decoding, zero);
        }
        if let Some(remote) = &entry.extract {
            let values = self.properties(remote, source).await?;
            let values = named(values, entry, remote.conversion_strategy.as_ref(), templates)?;
            let (decoding, zero) = (remote.decoding_strategy.as_ref(), remote.null_byte_policy.as_ref());
            return values::all_finished(values, decoding, zero);
        }
        match source.and_then(|source| source.generator_ref.as_ref()) {
            Some(reference) => {
                let values = self.generated(index, reference).await?;
                let values = rewrite::rewritten(values, &entry.rewrite, templates)?;
                values::with_valid_keys(values)
            }
            None => Err(Failure::cause("the entry names nothing: extract, find or sourceRef.generatorRef")),
        }
    }

    /// Opens the stores of `spec.data`, up to the first that cannot be: what comes behind it is not asked for.
    async fn asked(&mut self) -> Vec<(&'a RemoteRef, Result<Open, Failure>)> {
        let mut asked = Vec::with_capacity(self.external.spec.data.len());
        let external = self.external;
        for entry in &external.spec.data {
            let store = self.store(entry.source_ref.as_ref()).await;
            let is_open = store.is_ok();
            asked.push((&entry.remote_ref, store));
            if !is_open {
                break;
            }
        }
        asked
    }

    /// Reads values in their order, as many at the same time as a store likes, up to a failure that ends it all.
    async fn all(
        &self,
        asked: Vec<(&RemoteRef, Result<Open, Failure>)>,
        tolerates: bool,
    ) -> Vec<Result<Plaintext, Failure>> {
        let sizes = asked.iter().filter_map(|(_, store)| Some(store.as_ref().ok()?.handle.batch_size()));
        let width = sizes.max().unwrap_or(1).max(1);
        let (mut read, mut asked) = (Vec::with_capacity(asked.len()), asked.into_iter().peekable());
        while asked.peek().is_some() {
            let next = asked.by_ref().take(width).map(|(remote, store)| self.one(remote, store)).collect();
            let answers = joined(next).await;
            let ends = |answer: &Result<_, Failure>| {
                answer.as_ref().is_err_and(|failure| !(failure.is_missing && tolerates))
            };
            let is_end = answers.iter().any(ends);
            read.extend(answers);
            if is_end {
                break;
            }
        }
        read
    }

    async fn one(&self, remote: &RemoteRef, store: Result<Open, Failure>) -> Result<Plaintext, Failure> {
        let store = store?;
        let property = property(remote);
        let value = if wants_metadata(remote, store.dialect) {
            self.metadata(&store, remote, property).await?
        } else {
            let found = store.handle.get(&key_of(remote), property, self.fresh).await;
            let found = found.map_err(|error| single_failure(error, store.dialect, &remote.key))?;
            values::single(&found.value, property, store.dialect, &remote.key)?
        };
        values::finished(value, remote.decoding_strategy.as_ref(), remote.null_byte_policy.as_ref())
    }

    async fn properties(
        &mut self,
        remote: &RemoteRef,
        source: Option<&SourceRef>,
    ) -> Result<Values, Failure> {
        let store = self.store(source).await?;
        let property = property(remote);
        if wants_metadata(remote, store.dialect) {
            let metadata = self.metadata(&store, remote, property).await?;
            return values::fields_of(&metadata, store.dialect.values);
        }
        let found = store.handle.get(&key_of(remote), property, self.fresh).await.map_err(failure)?;
        values::properties(&found.value, property, store.dialect, &remote.key)
    }

    async fn find(&mut self, find: &FindEntry, source: Option<&SourceRef>) -> Result<Values, Failure> {
        let store = self.store(source).await?;
        let wanted = Find {
            path: find.path.clone(),
            name: find.name.as_ref().and_then(|name| name.regexp.clone()),
            tags: find.tags.clone().unwrap_or_default(),
        };
        let found = store.handle.find(&wanted, self.fresh).await.map_err(|error| {
            let failure = failure(error);
            Failure { cause: format!("error getting all secrets: {}", failure.cause), ..failure }
        })?;
        let whole = |(key, found): (&String, &sealops_providers::RemoteSecret)| {
            let value = values::single(&found.value, None, store.dialect, key)?;
            Ok((key.clone(), value))
        };
        found.iter().map(whole).collect()
    }

    async fn metadata(
        &self,
        store: &Open,
        remote: &RemoteRef,
        property: Option<&str>,
    ) -> Result<Plaintext, Failure> {
        let metadata = store.handle.metadata(&key_of(remote), self.fresh).await.map_err(failure)?;
        let metadata = RemoteValue::Bytes(metadata.duplicate());
        let is_entry = store.dialect.property == PropertyRule::Entry;
        values::single(&metadata, property, store.dialect, &remote.key).map_err(|failure| match property {
            Some(property) if is_entry => Failure::cause(format!(
                "property {property} does not exist in metadata of secret \"{}\"",
                remote.key
            )),
            _ => failure,
        })
    }

    async fn generated(&self, index: usize, reference: &GeneratorRef) -> Result<Values, Failure> {
        let Surroundings { cluster, generators, ledger, .. } = *self.surroundings;
        let part = format!("dataFrom-{index}");
        let (namespace, now) = (self.namespace(), self.now);
        let usage = Usage { reference, namespace, cluster, now, ledger, part: &part };
        let generated = generators.generate(usage).await;
        let generated = generated.map_err(|problem| Failure {
            is_foreign: matches!(problem, GeneratorProblem::ForeignClass(_)),
            ..Failure::cause(problem.to_string())
        })?;
        Ok(generated.values)
    }

    fn namespace(&self) -> &str {
        self.external.metadata.namespace.as_deref().unwrap_or_default()
    }

    /// Opens the store of an entry, once in a reconcile.
    async fn store(&mut self, source: Option<&SourceRef>) -> Result<Open, Failure> {
        let none = StoreRef::default();
        let reference = reference(self.external, source).unwrap_or(&none);
        let is_cluster = matches!(reference.kind, Some(StoreKind::ClusterSecretStore));
        let key = (is_cluster, reference.name.clone().unwrap_or_default());
        if let Some(open) = self.open.get(&key) {
            return Ok(open.clone());
        }
        let Surroundings { cluster, stores, .. } = *self.surroundings;
        let store = find_store(stores.rules(), reference, self.namespace(), cluster).await;
        let store = store.map_err(|problem: StoreProblem| Failure {
            is_foreign: problem.is_foreign(),
            ..Failure::cause(problem.to_string())
        })?;
        let handle = stores.open(&store, self.namespace(), cluster).await.map_err(failure)?;
        let dialect = handle.dialect().ok_or_else(|| Failure::cause("the store cannot be read from"))?;
        let open = Open { handle, dialect };
        self.open.insert(key, open.clone());
        Ok(open)
    }
}

/// Runs some futures at the same time. (The crate with that function comes with the cluster only.)
async fn joined<F: Future>(futures: Vec<F>) -> Vec<F::Output> {
    let mut running: Vec<_> = futures.into_iter().map(|future| (Box::pin(future), None)).collect();
    poll_fn(|context| {
        let mut is_done = true;
        for (future, output) in running.iter_mut().filter(|(_, output)| output.is_none()) {
            match future.as_mut().poll(context) {
                Poll::Ready(value) => *output = Some(value),
                Poll::Pending => is_done = false,
            }
        }
        if is_done { Poll::Ready(()) } else { Poll::Pending }
    })
    .await;
    running.into_iter().filter_map(|(_, output)| output).collect()
}

/// Returns the store that an entry reads from: its own, or the object's. An entry of `data` that names a generator has
/// none, as upstream.
fn reference<'a>(external: &'a ExternalSecret, source: Option<&'a SourceRef>) -> Option<&'a StoreRef> {
    match source {
        Some(SourceRef { store_ref: Some(own), .. }) => Some(own),
        Some(SourceRef { generator_ref: Some(_), .. }) => None,
        _ => external.spec.secret_store_ref.as_ref(),
    }
}

/// Gives the keys of a set their names.
fn named(
    values: Values,
    entry: &DataFromEntry,
    conversion: Option<&ConversionStrategy>,
    templates: TemplateOptions,
) -> Result<Values, Failure> {
    let values = if entry.rewrite.is_empty() {
        values::converted(values, conversion)?
    } else {
        rewrite::rewritten(values, &entry.rewrite, templates)?
    };
    values::with_valid_keys(values)
}

fn key_of(remote: &RemoteRef) -> RemoteKey {
    let version = remote.version.clone().filter(|version| !version.is_empty());
    RemoteKey { key: remote.key.clone(), version }
}

fn property(remote: &RemoteRef) -> Option<&str> {
    remote.property.as_deref().filter(|property| !property.is_empty())
}

/// The fake store has no metadata; the policy changes nothing there.
fn wants_metadata(remote: &RemoteRef, dialect: Dialect) -> bool {
    remote.metadata_policy == Some(MetadataPolicy::Fetch) && dialect.property != PropertyRule::Path
}

fn failure(error: ProviderError) -> Failure {
    match error.kind {
        ProviderErrorKind::NotFound => Failure::missing(),
        _ => {
            let cause = Failure::cause(error.to_string());
            Failure { provider: Some(error.kind), ..cause }
        }
    }
}

/// A single read of a Kubernetes store fails whatever the deletion policy is.
fn single_failure(error: ProviderError, dialect: Dialect, key: &str) -> Failure {
    let failure = failure(error);
    if failure.is_missing && dialect.property == PropertyRule::Entry {
        return Failure::cause(format!("secrets \"{key}\" not found"));
    }
    failure
}
