//! AWS Secrets Manager as a store.

mod attached;
mod write;

use std::collections::BTreeMap;
use std::sync::Arc;

use sealops_crypto::sops::GoRegex;
use sealops_formats::{Plaintext, base64};

use super::api::{Api, Service, fail};
use super::push;
use super::together::Together;
use crate::json::Json;
use crate::{
    BoxFuture, Find, ProviderError, ProviderErrorKind, RemoteKey, RemoteSecret, RemoteValue, SecretsReader,
    StoreCheck, Validation,
};

pub(super) const SERVICE: Service = Service {
    name: "secretsmanager",
    host: "secretsmanager",
    target: "secretsmanager",
    variable: "AWS_SECRETSMANAGER_ENDPOINT",
};

/// The version that is read.
const CURRENT: &str = "AWSCURRENT";
/// What stands before a version's own name, in place of a stage's.
const VERSION_ID: &str = "uuid/";
/// Secrets that AWS gives at once.
const BATCH: usize = 20;
/// Pages of a list, at most.
const MAX_PAGES: usize = 1000;

/// A store.
#[derive(Clone)]
pub(super) struct SecretsManager {
    pub(super) api: Arc<Api>,
    /// Stands before the names that are read and written, and not before those that are found.
    pub(super) prefix: String,
    /// `None` where nobody can say before it is used: credentials are those of the user's namespace.
    pub(super) can_check: bool,
    pub(super) deletion: Deletion,
    pub(super) together: Together,
}

/// What becomes of deleted secrets.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct Deletion {
    pub(super) at_once: bool,
    /// Days, 7 to 30; 0 is AWS's own 30.
    pub(super) window: i64,
}

impl SecretsManager {
    fn name(&self, key: &str) -> String {
        format!("{}{key}", self.prefix)
    }

    async fn value(&self, name: &str, version: Option<&str>) -> Result<RemoteSecret, ProviderErrorKind> {
        let version = version.filter(|version| !version.is_empty()).unwrap_or(CURRENT);
        let wanted = match version.strip_prefix(VERSION_ID) {
            Some(id) => ("VersionId", id),
            None => ("VersionStage", version),
        };
        let input = Json::map([("SecretId", Json::text(name)), (wanted.0, Json::text(wanted.1))]);
        read(self.api.call("GetSecretValue", &input).await?)
    }

    async fn describe(&self, name: &str) -> Result<Json, ProviderErrorKind> {
        self.api.call("DescribeSecret", &Json::map([("SecretId", Json::text(name))])).await
    }

    async fn find_all(&self, find: &Find) -> Result<BTreeMap<String, RemoteSecret>, ProviderErrorKind> {
        let pattern = find.name.as_deref().map(|name| {
            GoRegex::new(name)
                .map_err(|error| ProviderErrorKind::Invalid(format!("find.name.regexp: {error}")))
        });
        let pattern = pattern.transpose()?;
        let mut filters = Vec::new();
        if pattern.is_none() {
            if find.tags.is_empty() {
                return Err(ProviderErrorKind::Invalid("unexpected find operator".to_owned()));
            }
            for (key, value) in &find.tags {
                filters.push(filter("tag-key", key));
                filters.push(filter("tag-value", value));
            }
        }
        if let Some(path) = &find.path {
            filters.push(filter("name", path));
        }
        let fits = |name: &str| pattern.as_ref().is_none_or(|pattern| pattern.is_match(name.as_bytes()));
        if filters.is_empty() {
            return self.find_listed(fits).await;
        }
        let mut found = BTreeMap::new();
        let mut next = None;
        for _ in 0..MAX_PAGES {
            let mut input =
                BTreeMap::from([("Filters", Json::List(filters.iter().map(Json::duplicate).collect()))]);
            input.extend(next.take().map(|token| ("NextToken", token)));
            let answer = self.api.call("BatchGetSecretValue", &Json::map(input)).await?;
            let named =
                |secret: &Json| secret.str_at("Name").filter(|name| fits(name)).map(ToOwned::to_owned);
            next = collect(answer, named, &mut found)?;
            if next.is_none() {
                return Ok(found);
            }
        }
        Err(too_many())
    }

    /// Without a filter AWS gives names only; the values come twenty at a time.
    async fn find_listed(
        &self,
        fits: impl Fn(&str) -> bool,
    ) -> Result<BTreeMap<String, RemoteSecret>, ProviderErrorKind> {
        let mut names = Vec::new();
        let mut next = None;
        for page in 0.. {
            if page == MAX_PAGES {
                return Err(too_many());
            }
            let input = Json::map(next.take().map(|token| ("NextToken", token)));
            let mut answer = self.api.call("ListSecrets", &input).await?;
            if let Some(Json::List(listed)) = answer.get("SecretList") {
                let listed = listed.iter().filter_map(|secret| secret.str_at("Name"));
                names.extend(listed.filter(|name| fits(name)).map(ToOwned::to_owned));
            }
            next = remove(&mut answer, "NextToken");
            if next.is_none() {
                break;
            }
        }
        let mut found = BTreeMap::new();
        for batch in names.chunks(BATCH) {
            for (name, answer) in batch.iter().zip(self.current(batch).await) {
                found.insert(name.clone(), answer?);
            }
        }
        Ok(found)
    }

    /// Returns the newest versions of up to [`BATCH`] secrets, in their order.
    async fn current(&self, names: &[String]) -> Vec<Result<RemoteSecret, ProviderErrorKind>> {
        let all = async {
            let list = Json::List(names.iter().map(|name| Json::text(name.as_str())).collect());
            let answer = self.api.call("BatchGetSecretValue", &Json::map([("SecretIdList", list)])).await?;
            let mut found = BTreeMap::new();
            // Asked for by its ARN, a secret has its name in the answer as well.
            let asked = |secret: &Json| {
                let of = |field| secret.str_at(field).filter(|text| names.iter().any(|name| name == text));
                of("ARN").or_else(|| of("Name")).map(ToOwned::to_owned)
            };
            collect(answer, asked, &mut found)?;
            Ok(found)
        };
        self.together.read(names, all, |name| async move { self.value(&name, None).await }).await
    }
}

fn too_many() -> ProviderErrorKind {
    ProviderErrorKind::Failed(format!("the list has more than {MAX_PAGES} pages"))
}

fn filter(key: &str, value: &str) -> Json {
    Json::map([("Key", Json::text(key)), ("Values", Json::List(vec![Json::text(value)]))])
}

fn remove(json: &mut Json, key: &str) -> Option<Json> {
    let Json::Map(entries) = json else { return None };
    entries.remove(key).filter(|value| !matches!(value, Json::Null))
}

/// Takes the values of an answer that have a name here; returns where the next page begins.
fn collect(
    mut answer: Json,
    named: impl Fn(&Json) -> Option<String>,
    found: &mut BTreeMap<String, RemoteSecret>,
) -> Result<Option<Json>, ProviderErrorKind> {
    if let Some(Json::List(values)) = remove(&mut answer, "SecretValues") {
        for value in values {
            if let Some(name) = named(&value) {
                found.insert(name, read(value)?);
            }
        }
    }
    Ok(remove(&mut answer, "NextToken"))
}

fn read(mut answer: Json) -> Result<RemoteSecret, ProviderErrorKind> {
    let version = answer.str_at("VersionId").map(ToOwned::to_owned);
    let value = match (remove(&mut answer, "SecretString"), remove(&mut answer, "SecretBinary")) {
        (Some(Json::Text(text)), _) => text,
        (_, Some(Json::Text(text))) => base64::decode(text.expose())
            .map_err(|error| ProviderErrorKind::Failed(format!("SecretBinary in the answer: {error}")))?,
        _ => {
            let text = "invalid secret received: it has neither a string nor bytes";
            return Err(ProviderErrorKind::Failed(text.to_owned()));
        }
    };
    Ok(RemoteSecret { value: RemoteValue::Bytes(value), version })
}

impl SecretsReader for SecretsManager {
    fn get<'a>(&'a self, remote: &'a RemoteKey) -> BoxFuture<'a, Result<RemoteSecret, ProviderError>> {
        Box::pin(async {
            let name = self.name(&remote.key);
            self.value(&name, remote.version.as_deref()).await.map_err(fail("read", &name))
        })
    }

    fn batch_size(&self) -> usize {
        BATCH
    }

    /// A batch has newest versions only.
    fn can_batch(&self, remote: &RemoteKey) -> bool {
        let version = remote.version.as_deref().unwrap_or_default();
        self.together.is_allowed() && matches!(version, "" | CURRENT)
    }

    fn get_batch<'a>(
        &'a self,
        remotes: &'a [RemoteKey],
    ) -> BoxFuture<'a, Vec<Result<RemoteSecret, ProviderError>>> {
        Box::pin(async {
            let names: Vec<String> = remotes.iter().map(|remote| self.name(&remote.key)).collect();
            let answers = self.current(&names).await.into_iter().zip(&names);
            answers.map(|(answer, name)| answer.map_err(fail("read", name))).collect()
        })
    }

    fn metadata<'a>(&'a self, remote: &'a RemoteKey) -> BoxFuture<'a, Result<Plaintext, ProviderError>> {
        Box::pin(async {
            let name = self.name(&remote.key);
            let described = self.describe(&name).await.map_err(fail("read the tags of", &name))?;
            Ok(push::tags_as_metadata(push::read_tags(described.get("Tags"))))
        })
    }

    fn find<'a>(
        &'a self,
        find: &'a Find,
    ) -> BoxFuture<'a, Result<BTreeMap<String, RemoteSecret>, ProviderError>> {
        Box::pin(async { self.find_all(find).await.map_err(fail("find in", "Secrets Manager")) })
    }
}

impl StoreCheck for SecretsManager {
    fn validate<'a>(&'a self) -> BoxFuture<'a, Result<Validation, ProviderError>> {
        Box::pin(async { self.api.check(self.can_check).await.map_err(fail("log in to", "Secrets Manager")) })
    }
}
