//! A store as its users see it: shared reads, bounded calls.

use std::collections::BTreeMap;
use std::sync::Arc;

use sealops_formats::Plaintext;
use sealops_providers::{
    BoxFuture, Dialect, Find, PropertyRule, ProviderError, ProviderErrorKind, PushTarget, RemoteKey,
    RemoteSecret, SecretsReader, SecretsWriter,
};

use super::super::reads::{Answer, Question};
use super::super::store::{Freshness, StoreHandle};
use super::lock;
use super::login::{Cell, Live, Slot};

/// A login in use.
pub(super) struct Handle {
    pub(super) slot: Arc<Slot>,
    pub(super) live: Arc<Live>,
}

impl Handle {
    fn reader(&self, operation: &'static str) -> Result<&dyn SecretsReader, ProviderError> {
        let unsupported = || {
            let kind = ProviderErrorKind::Unsupported("reading");
            self.slot.error(operation, "the store", kind)
        };
        self.live.connection.reader.as_deref().ok_or_else(unsupported)
    }

    /// A login that is refused is not used again.
    async fn kept<T>(&self, result: Result<T, ProviderError>) -> Result<T, ProviderError> {
        if result.as_ref().is_err_and(|error| matches!(error.kind, ProviderErrorKind::Unauthenticated(_))) {
            let cells: Vec<Cell> = lock(&self.slot.logins).cells.values().cloned().collect();
            for cell in cells {
                let mut live = cell.lock().await;
                if live.as_ref().is_some_and(|live| Arc::ptr_eq(live, &self.live)) {
                    *live = None;
                }
            }
        }
        result
    }

    async fn value(&self, remote: &RemoteKey, property: Option<&str>) -> Result<Answer, ProviderError> {
        let reader = self.reader("get")?;
        let (call, operation) = (calls(&self.slot.provider).get, "get");
        let found = if self.live.batches.size() > 1 && reader.can_batch(remote) {
            let read = |remotes| self.batch(reader, call, remotes);
            self.live.batches.get(remote, read).await
        } else {
            self.slot.call(call, operation, reader.get_property(remote, property)).await
        };
        self.kept(found).await.map(|found| Answer::Value(Arc::new(found)))
    }

    /// Reads several values by one call. What all of them fail with is about the store.
    fn batch<'a>(
        &'a self,
        reader: &'a dyn SecretsReader,
        call: &'static str,
        remotes: Vec<RemoteKey>,
    ) -> BoxFuture<'a, Vec<Result<RemoteSecret, ProviderError>>> {
        Box::pin(async move {
            let mut answers = Vec::new();
            let asked = async {
                answers = reader.get_batch(&remotes).await;
                shared_failure(&answers).cloned().map_or(Ok(()), Err)
            };
            match self.slot.call(call, "get", asked).await {
                // The breaker let nothing through.
                Err(error) if answers.is_empty() => remotes.iter().map(|_| Err(error.clone())).collect(),
                _ => answers,
            }
        })
    }

    async fn write<T>(
        &self,
        operation: &'static str,
        call: impl Future<Output = Result<T, ProviderError>>,
    ) -> Result<T, ProviderError> {
        let name = calls(&self.slot.provider).write;
        let result = self.slot.call(name, operation, call).await;
        if operation != "exists" {
            self.live.reads.clear();
        }
        self.kept(result).await
    }

    fn written(&self) -> Result<&dyn SecretsWriter, ProviderError> {
        let kind = ProviderErrorKind::Unsupported("writing");
        let unsupported = || self.slot.error("write", "the store", kind);
        self.live.connection.writer.as_deref().ok_or_else(unsupported)
    }
}

impl StoreHandle for Handle {
    fn dialect(&self) -> Option<Dialect> {
        self.live.connection.reader.as_ref().map(|reader| reader.dialect())
    }

    fn batch_size(&self) -> usize {
        self.live.batches.size()
    }

    fn get<'a>(
        &'a self,
        remote: &'a RemoteKey,
        property: Option<&'a str>,
        fresh: Freshness,
    ) -> BoxFuture<'a, Result<Arc<RemoteSecret>, ProviderError>> {
        Box::pin(async move {
            let passed_on =
                self.dialect().is_some_and(|dialect| matches!(dialect.property, PropertyRule::Ignored));
            let property = property.filter(|_| passed_on);
            let question = Question::Value(remote.clone(), property.map(str::to_owned));
            match self.live.reads.ask(question, fresh, || self.value(remote, property)).await? {
                Answer::Value(value) => Ok(value),
                _ => Err(mixed_up(&self.slot)),
            }
        })
    }

    fn metadata<'a>(
        &'a self,
        remote: &'a RemoteKey,
        fresh: Freshness,
    ) -> BoxFuture<'a, Result<Arc<Plaintext>, ProviderError>> {
        Box::pin(async move {
            let ask = || async {
                let reader = self.reader("metadata")?;
                let name = calls(&self.slot.provider).metadata;
                let found = self.slot.call(name, "metadata", reader.metadata(remote)).await;
                self.kept(found).await.map(|found| Answer::Metadata(Arc::new(found)))
            };
            match self.live.reads.ask(Question::Metadata(remote.clone()), fresh, ask).await? {
                Answer::Metadata(json) => Ok(json),
                _ => Err(mixed_up(&self.slot)),
            }
        })
    }

    fn find<'a>(
        &'a self,
        find: &'a Find,
        fresh: Freshness,
    ) -> BoxFuture<'a, Result<Arc<BTreeMap<String, RemoteSecret>>, ProviderError>> {
        Box::pin(async move {
            let ask = || async {
                let reader = self.reader("find")?;
                let name = calls(&self.slot.provider).find;
                let found = self.slot.call(name, "find", reader.find(find)).await;
                self.kept(found).await.map(|found| Answer::Found(Arc::new(found)))
            };
            match self.live.reads.ask(Question::find(find), fresh, ask).await? {
                Answer::Found(found) => Ok(found),
                _ => Err(mixed_up(&self.slot)),
            }
        })
    }

    fn writer(&self) -> Option<&dyn SecretsWriter> {
        self.live.connection.writer.as_ref().map(|_| self as &dyn SecretsWriter)
    }
}

/// Returns why nothing came of a batch, where that is the same for every value.
fn shared_failure(answers: &[Result<RemoteSecret, ProviderError>]) -> Option<&ProviderError> {
    let first = answers.first()?.as_ref().err()?;
    let is_same =
        |answer: &Result<_, ProviderError>| answer.as_ref().err().is_some_and(|e| e.kind == first.kind);
    answers.iter().all(is_same).then_some(first)
}

/// A question has answers of its own kind only.
fn mixed_up(slot: &Slot) -> ProviderError {
    slot.error("get", "the store", ProviderErrorKind::Failed("the answer is of another kind".to_owned()))
}

impl SecretsWriter for Handle {
    fn put<'a>(
        &'a self,
        target: &'a PushTarget,
        value: &'a Plaintext,
    ) -> BoxFuture<'a, Result<(), ProviderError>> {
        Box::pin(async move { self.write("put", self.written()?.put(target, value)).await })
    }

    fn put_whole<'a>(
        &'a self,
        target: &'a PushTarget,
        values: &'a BTreeMap<String, Plaintext>,
    ) -> Option<BoxFuture<'a, Result<(), ProviderError>>> {
        let work = self.written().ok()?.put_whole(target, values)?;
        Some(Box::pin(self.write("put", work)))
    }

    fn delete<'a>(&'a self, target: &'a PushTarget) -> BoxFuture<'a, Result<(), ProviderError>> {
        Box::pin(async move { self.write("delete", self.written()?.delete(target)).await })
    }

    fn exists<'a>(&'a self, target: &'a PushTarget) -> BoxFuture<'a, Result<bool, ProviderError>> {
        Box::pin(async move { self.write("exists", self.written()?.exists(target)).await })
    }
}

/// Upstream's words for calls, as labels of the metric that counts them.
struct Calls {
    get: &'static str,
    metadata: &'static str,
    find: &'static str,
    write: &'static str,
}

fn calls(provider: &str) -> Calls {
    let (get, metadata, find, write) = match provider {
        "vault" | "openBao" => ("ReadSecretData", "ReadMetadata", "ListSecrets", "WriteSecretData"),
        "aws" => ("GetSecretValue", "DescribeSecret", "ListSecrets", "PutSecretValue"),
        "kubernetes" => ("GetSecret", "GetSecret", "ListSecrets", "UpdateSecret"),
        "webhook" => ("HTTPReq", "HTTPReq", "HTTPReq", "HTTPReq"),
        _ => ("GetSecret", "GetSecretMetadata", "GetAllSecrets", "PushSecret"),
    };
    Calls { get, metadata, find, write }
}
