//! AWS Secrets Manager as a store.

use std::collections::BTreeMap;
use std::sync::Arc;

use sealops_crypto::sops::GoRegex;
use sealops_formats::{Plaintext, base64};

use super::api::{Api, Service};
use super::push::{self, PushSettings};
use crate::json::Json;
use crate::{
    BoxFuture, Find, ProviderError, ProviderErrorKind, PushTarget, RemoteKey, RemoteSecret, RemoteValue,
    SecretsReader, SecretsWriter, StoreCheck, Validation,
};

pub(super) const SERVICE: Service =
    Service { name: "secretsmanager", target: "secretsmanager", variable: "AWS_SECRETSMANAGER_ENDPOINT" };

/// The version that is read.
const CURRENT: &str = "AWSCURRENT";
/// What stands before a version's own name, in place of a stage's.
const VERSION_ID: &str = "uuid/";
/// Upstream's name for the first version of every secret that it writes.
const FIRST_VERSION: &str = "00000000-0000-0000-0000-000000000001";
/// Key of values whose settings name none.
const DEFAULT_KEY: &str = "alias/aws/secretsmanager";
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
}

/// What becomes of deleted secrets.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct Deletion {
    pub(super) at_once: bool,
    /// Days, 7 to 30; 0 is AWS's own 30.
    pub(super) window: i64,
}

fn fail(operation: &'static str, target: &str) -> impl FnOnce(ProviderErrorKind) -> ProviderError {
    let target = target.to_owned();
    move |kind| ProviderError { backend: "aws".to_owned(), operation, target, kind }
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
            next = collect(answer, &fits, &mut found)?;
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
            let list = Json::List(batch.iter().map(|name| Json::text(name.as_str())).collect());
            let answer = self.api.call("BatchGetSecretValue", &Json::map([("SecretIdList", list)])).await;
            match answer {
                Ok(answer) => drop(collect(answer, |_| true, &mut found)?),
                Err(ProviderErrorKind::Denied(_)) => {}
                Err(error) => return Err(error),
            }
            // The right to read twenty at once is another than that to read one.
            for name in batch {
                if !found.contains_key(name) {
                    found.insert(name.clone(), self.value(name, None).await?);
                }
            }
        }
        Ok(found)
    }

    async fn write(&self, target: &PushTarget, value: &Plaintext) -> Result<(), ProviderErrorKind> {
        let settings = PushSettings::read(target.metadata.as_ref())?;
        let as_text = match settings.secret_push_format.as_str() {
            "" | "binary" => false,
            "string" => true,
            other => return Err(ProviderErrorKind::Invalid(format!("invalid secret push format: {other}"))),
        };
        let name = self.name(&target.key);
        let described = match self.describe(&name).await {
            Err(ProviderErrorKind::NotFound) => {
                return self.create(&name, target, value, &settings, as_text).await;
            }
            described => described?,
        };
        let tags = push::read_tags(described.get("Tags"));
        if !push::is_ours(&tags) {
            return Err(push::not_ours());
        }
        let has_value =
            matches!(described.get("VersionIdsToStages"), Some(Json::Map(versions)) if !versions.is_empty());
        let current = if has_value { Some(bytes(self.value(&name, None).await?)) } else { None };
        let new = with_property(current.as_ref(), target, value)?;
        if current.as_ref().is_some_and(|current| current.ct_eq(&new)) {
            return Ok(());
        }
        let version = if has_value { push::uuid()? } else { FIRST_VERSION.to_owned() };
        let input = [
            ("SecretId", Json::text(name.as_str())),
            ("ClientRequestToken", Json::text(version)),
            payload(&new, as_text)?,
        ];
        self.api.call("PutSecretValue", &Json::map(input)).await?;
        self.update_tags(&name, &tags, &settings).await
    }

    async fn create(
        &self,
        name: &str,
        target: &PushTarget,
        value: &Plaintext,
        settings: &PushSettings,
        as_text: bool,
    ) -> Result<(), ProviderErrorKind> {
        let value = with_property(None, target, value)?;
        let key = if settings.kms_key_id.is_empty() { DEFAULT_KEY } else { &settings.kms_key_id };
        let input = [
            ("Name", Json::text(name)),
            ("Tags", settings.tags()),
            ("Description", Json::text(settings.description.as_str())),
            ("KmsKeyId", Json::text(key)),
            ("ClientRequestToken", Json::text(FIRST_VERSION)),
            payload(&value, as_text)?,
        ];
        self.api.call("CreateSecret", &Json::map(input)).await.map(drop)
    }

    async fn update_tags(
        &self,
        name: &str,
        tags: &BTreeMap<String, String>,
        settings: &PushSettings,
    ) -> Result<(), ProviderErrorKind> {
        let gone: Vec<Json> = tags
            .keys()
            .filter(|key| !settings.tags.contains_key(*key))
            .map(|key| Json::text(key.as_str()))
            .collect();
        if !gone.is_empty() {
            let input = Json::map([("SecretId", Json::text(name)), ("TagKeys", Json::List(gone))]);
            self.api.call("UntagResource", &input).await?;
        }
        if settings.tags.iter().any(|(key, value)| tags.get(key) != Some(value)) {
            let input = Json::map([("SecretId", Json::text(name)), ("Tags", settings.tags())]);
            self.api.call("TagResource", &input).await?;
        }
        Ok(())
    }

    async fn remove(&self, target: &PushTarget) -> Result<(), ProviderErrorKind> {
        if self.deletion.at_once && self.deletion.window != 0 {
            let text = "forceDeleteWithoutRecovery and recoveryWindowInDays exclude each other";
            return Err(ProviderErrorKind::Invalid(text.to_owned()));
        }
        if self.deletion.window != 0 && !(7..=30).contains(&self.deletion.window) {
            return Err(ProviderErrorKind::Invalid("recoveryWindowInDays has to be 7 to 30".to_owned()));
        }
        let name = self.name(&target.key);
        let described = match self.describe(&name).await {
            Err(ProviderErrorKind::NotFound) => return Ok(()),
            described => described?,
        };
        if described.get("DeletedDate").is_some() || !push::is_ours(&push::read_tags(described.get("Tags"))) {
            return Ok(());
        }
        let mut input = BTreeMap::from([("SecretId", Json::text(name))]);
        if self.deletion.at_once {
            input.insert("ForceDeleteWithoutRecovery", Json::Bool(true));
        }
        if self.deletion.window != 0 {
            input.insert("RecoveryWindowInDays", Json::Number(self.deletion.window.to_string().into()));
        }
        match self.api.call("DeleteSecret", &Json::map(input)).await {
            Ok(_) | Err(ProviderErrorKind::NotFound) => Ok(()),
            Err(error) => Err(error),
        }
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

/// Takes the values of an answer; returns where the next page begins.
fn collect(
    mut answer: Json,
    fits: impl Fn(&str) -> bool,
    found: &mut BTreeMap<String, RemoteSecret>,
) -> Result<Option<Json>, ProviderErrorKind> {
    if let Some(Json::List(values)) = remove(&mut answer, "SecretValues") {
        for value in values {
            let Some(name) = value.str_at("Name").map(ToOwned::to_owned) else { continue };
            if fits(&name) {
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

fn bytes(secret: RemoteSecret) -> Plaintext {
    match secret.value {
        RemoteValue::Bytes(bytes) => bytes,
        RemoteValue::Entries(_) => Plaintext::default(),
    }
}

fn payload(value: &Plaintext, as_text: bool) -> Result<(&'static str, Json), ProviderErrorKind> {
    if !as_text {
        return Ok(("SecretBinary", Json::Text(base64::encode(value.expose()))));
    }
    if value.expose_str().is_none() {
        return Err(ProviderErrorKind::Invalid("secretPushFormat string: the value is no text".to_owned()));
    }
    Ok(("SecretString", Json::Text(value.duplicate())))
}

fn with_property(
    current: Option<&Plaintext>,
    target: &PushTarget,
    value: &Plaintext,
) -> Result<Plaintext, ProviderErrorKind> {
    match target.property.as_deref().filter(|property| !property.is_empty()) {
        Some(property) => push::with_property(current, property, value),
        None => Ok(value.duplicate()),
    }
}

impl SecretsReader for SecretsManager {
    fn get<'a>(&'a self, remote: &'a RemoteKey) -> BoxFuture<'a, Result<RemoteSecret, ProviderError>> {
        Box::pin(async {
            let name = self.name(&remote.key);
            self.value(&name, remote.version.as_deref()).await.map_err(fail("read", &name))
        })
    }

    fn metadata<'a>(&'a self, remote: &'a RemoteKey) -> BoxFuture<'a, Result<Plaintext, ProviderError>> {
        Box::pin(async {
            let name = self.name(&remote.key);
            let described = self.describe(&name).await.map_err(fail("read the tags of", &name))?;
            let tags = push::read_tags(described.get("Tags"));
            Ok(Json::map(tags.into_iter().map(|(key, value)| (key, Json::text(value)))).to_text())
        })
    }

    fn find<'a>(
        &'a self,
        find: &'a Find,
    ) -> BoxFuture<'a, Result<BTreeMap<String, RemoteSecret>, ProviderError>> {
        Box::pin(async { self.find_all(find).await.map_err(fail("find in", "Secrets Manager")) })
    }
}

impl SecretsWriter for SecretsManager {
    fn put<'a>(
        &'a self,
        target: &'a PushTarget,
        value: &'a Plaintext,
    ) -> BoxFuture<'a, Result<(), ProviderError>> {
        Box::pin(async { self.write(target, value).await.map_err(fail("write", &self.name(&target.key))) })
    }

    fn delete<'a>(&'a self, target: &'a PushTarget) -> BoxFuture<'a, Result<(), ProviderError>> {
        Box::pin(async { self.remove(target).await.map_err(fail("delete", &self.name(&target.key))) })
    }

    fn exists<'a>(&'a self, target: &'a PushTarget) -> BoxFuture<'a, Result<bool, ProviderError>> {
        Box::pin(async {
            let name = self.name(&target.key);
            match self.value(&name, None).await {
                Ok(_) => Ok(true),
                Err(ProviderErrorKind::NotFound) => Ok(false),
                Err(kind) => Err(fail("look for", &name)(kind)),
            }
        })
    }
}

impl StoreCheck for SecretsManager {
    fn validate<'a>(&'a self) -> BoxFuture<'a, Result<Validation, ProviderError>> {
        Box::pin(async {
            if !self.can_check {
                return Ok(Validation::Unknown);
            }
            self.api.credentials().await.map_err(fail("log in to", "Secrets Manager"))?;
            Ok(Validation::Ready)
        })
    }
}
