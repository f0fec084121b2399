//! AWS Systems Manager's Parameter Store as a store.

use std::collections::BTreeMap;
use std::sync::Arc;

use sealops_crypto::sops::GoRegex;
use sealops_formats::Plaintext;

use super::api::{Api, Service};
use super::push::{self, PushSettings};
use crate::json::Json;
use crate::{
    BoxFuture, Find, ProviderError, ProviderErrorKind, PushTarget, RemoteKey, RemoteSecret, RemoteValue,
    SecretsReader, SecretsWriter, StoreCheck, Validation,
};

pub(super) const SERVICE: Service =
    Service { name: "ssm", target: "AmazonSSM", variable: "AWS_SSM_ENDPOINT" };

/// Key of secure strings whose settings name none.
const DEFAULT_KEY: &str = "alias/aws/ssm";
/// Parameters that AWS gives at once by their names.
const BATCH: usize = 10;
/// Pages of a list, at most.
const MAX_PAGES: usize = 10_000;

/// A store.
#[derive(Clone)]
pub(super) struct ParameterStore {
    pub(super) api: Arc<Api>,
    /// Stands before the names that are read and written, and not before those that are found.
    pub(super) prefix: String,
    /// Off where nobody can say before it is used: credentials are those of the user's namespace.
    pub(super) can_check: bool,
}

fn fail(operation: &'static str, target: &str) -> impl FnOnce(ProviderErrorKind) -> ProviderError {
    let target = target.to_owned();
    move |kind| ProviderError { backend: "aws".to_owned(), operation, target, kind }
}

impl ParameterStore {
    fn name(&self, key: &str) -> String {
        format!("{}{key}", self.prefix)
    }

    /// A version is a number or a label behind the name.
    fn versioned(&self, remote: &RemoteKey) -> String {
        let name = self.name(&remote.key);
        match remote.version.as_deref().filter(|version| !version.is_empty()) {
            Some(version) => format!("{name}:{version}"),
            None => name,
        }
    }

    async fn value(&self, name: &str) -> Result<RemoteSecret, ProviderErrorKind> {
        let input = Json::map([("Name", Json::text(name)), ("WithDecryption", Json::Bool(true))]);
        let answer = self.api.call("GetParameter", &input).await?;
        let parameter = answer.take("Parameter").and_then(read);
        parameter.map(|(_, secret)| secret).ok_or_else(|| {
            ProviderErrorKind::Failed("invalid secret received: the parameter has no value".to_owned())
        })
    }

    async fn tags(&self, name: &str) -> Result<BTreeMap<String, String>, ProviderErrorKind> {
        let input = Json::map([("ResourceType", Json::text("Parameter")), ("ResourceId", Json::text(name))]);
        let answer = self.api.call("ListTagsForResource", &input).await;
        match answer {
            Ok(answer) => Ok(push::read_tags(answer.get("TagList"))),
            // What is no resource to tag is no parameter.
            Err(ProviderErrorKind::Failed(code)) if code == "InvalidResourceId" => {
                Err(ProviderErrorKind::NotFound)
            }
            Err(error) => Err(error),
        }
    }

    async fn find_all(&self, find: &Find) -> Result<BTreeMap<String, RemoteSecret>, ProviderErrorKind> {
        let Some(name) = &find.name else {
            if find.tags.is_empty() {
                return Err(ProviderErrorKind::Invalid("unexpected find operator".to_owned()));
            }
            let mut filters: Vec<Json> =
                find.tags.iter().map(|(key, value)| filter(&format!("tag:{key}"), "Equals", value)).collect();
            filters.extend(find.path.as_deref().map(|path| filter("Path", "Recursive", path)));
            return self.find_described(filters, |_| true).await;
        };
        let pattern = GoRegex::new(name)
            .map_err(|error| ProviderErrorKind::Invalid(format!("find.name.regexp: {error}")))?;
        let fits = |name: &str| pattern.is_match(name.as_bytes());
        match self.find_by_path(find.path.as_deref().unwrap_or("/"), fits).await {
            Err(ProviderErrorKind::Denied(_)) => {
                let filters = find.path.as_deref().map(|path| filter("Path", "Recursive", path));
                self.find_described(filters.into_iter().collect(), fits).await
            }
            found => found,
        }
    }

    async fn find_by_path(
        &self,
        path: &str,
        fits: impl Fn(&str) -> bool,
    ) -> Result<BTreeMap<String, RemoteSecret>, ProviderErrorKind> {
        let mut found = BTreeMap::new();
        let mut next = None;
        for _ in 0..MAX_PAGES {
            let mut input = BTreeMap::from([
                ("Path", Json::text(path)),
                ("Recursive", Json::Bool(true)),
                ("WithDecryption", Json::Bool(true)),
                ("MaxResults", Json::Number(BATCH.to_string().into())),
            ]);
            input.extend(next.take().map(|token| ("NextToken", token)));
            let answer = self.api.call("GetParametersByPath", &Json::map(input)).await?;
            next = collect(answer, &fits, &mut found);
            if next.is_none() {
                return Ok(found);
            }
        }
        Err(too_many())
    }

    /// Descriptions have no values; those come ten at a time.
    async fn find_described(
        &self,
        filters: Vec<Json>,
        fits: impl Fn(&str) -> bool,
    ) -> Result<BTreeMap<String, RemoteSecret>, ProviderErrorKind> {
        let mut names = Vec::new();
        let mut next = None;
        for page in 0.. {
            if page == MAX_PAGES {
                return Err(too_many());
            }
            let filters = Json::List(filters.iter().map(Json::duplicate).collect());
            let mut input = BTreeMap::from([("ParameterFilters", filters)]);
            input.extend(next.take().map(|token| ("NextToken", token)));
            let answer = self.api.call("DescribeParameters", &Json::map(input)).await?;
            if let Some(Json::List(listed)) = answer.get("Parameters") {
                let listed = listed.iter().filter_map(|parameter| parameter.str_at("Name"));
                names.extend(listed.filter(|name| fits(name)).map(ToOwned::to_owned));
            }
            next = answer.take("NextToken");
            if next.is_none() {
                break;
            }
        }
        let mut found = BTreeMap::new();
        for batch in names.chunks(BATCH) {
            let list = Json::List(batch.iter().map(|name| Json::text(name.as_str())).collect());
            let input = Json::map([("Names", list), ("WithDecryption", Json::Bool(true))]);
            match self.api.call("GetParameters", &input).await {
                Ok(answer) => drop(collect(answer, |_| true, &mut found)),
                Err(ProviderErrorKind::Denied(_)) => {}
                Err(error) => return Err(error),
            }
            // The right to read ten at once is another than that to read one.
            for name in batch {
                if !found.contains_key(name) {
                    found.insert(name.clone(), self.value(name).await?);
                }
            }
        }
        Ok(found)
    }

    async fn write(&self, target: &PushTarget, value: &Plaintext) -> Result<(), ProviderErrorKind> {
        let settings = PushSettings::read(target.metadata.as_ref())?;
        if target.property.as_deref().is_some_and(|property| !property.is_empty()) {
            return Err(ProviderErrorKind::Unsupported("a property in Parameter Store"));
        }
        if value.expose_str().is_none() {
            return Err(ProviderErrorKind::Invalid(
                "the value is no text, which a parameter has to be".to_owned(),
            ));
        }
        let name = self.name(&target.key);
        let current = match self.value(&name).await {
            Ok(current) => Some(current),
            Err(ProviderErrorKind::NotFound) => None,
            Err(error) => return Err(error),
        };
        let Some(current) = current else {
            let mut input = self.input(&name, value, &settings, false);
            input.insert("Tags", settings.tags());
            return self.api.call("PutParameter", &Json::map(input)).await.map(drop);
        };
        let tags = self.tags(&name).await?;
        if !push::is_ours(&tags) {
            return Err(push::not_ours());
        }
        if matches!(&current.value, RemoteValue::Bytes(current) if current.ct_eq(value)) {
            return Ok(());
        }
        self.api.call("PutParameter", &Json::map(self.input(&name, value, &settings, true))).await?;
        self.update_tags(&name, &tags, &settings).await
    }

    fn input(
        &self,
        name: &str,
        value: &Plaintext,
        settings: &PushSettings,
        overwrite: bool,
    ) -> BTreeMap<&'static str, Json> {
        let kind = if settings.secret_type.is_empty() { "String" } else { &settings.secret_type };
        let mut input = BTreeMap::from([
            ("Name", Json::text(name)),
            ("Value", Json::Text(value.duplicate())),
            ("Type", Json::text(kind)),
            ("Description", Json::text(settings.description.as_str())),
            ("Overwrite", Json::Bool(overwrite)),
        ]);
        if kind == "SecureString" {
            let key = if settings.kms_key_id.is_empty() { DEFAULT_KEY } else { &settings.kms_key_id };
            input.insert("KeyId", Json::text(key));
        }
        if settings.tier.name == "Advanced" {
            input.insert("Tier", Json::text("Advanced"));
            if let Some(policies) = &settings.tier.policies {
                input.insert("Policies", Json::text(policies.to_string()));
            }
        }
        input
    }

    async fn update_tags(
        &self,
        name: &str,
        tags: &BTreeMap<String, String>,
        settings: &PushSettings,
    ) -> Result<(), ProviderErrorKind> {
        let resource = || [("ResourceType", Json::text("Parameter")), ("ResourceId", Json::text(name))];
        let gone: Vec<Json> = tags
            .keys()
            .filter(|key| !settings.tags.contains_key(*key))
            .map(|key| Json::text(key.as_str()))
            .collect();
        if !gone.is_empty() {
            let input = Json::map(resource().into_iter().chain([("TagKeys", Json::List(gone))]));
            self.api.call("RemoveTagsFromResource", &input).await?;
        }
        if settings.tags.iter().any(|(key, value)| tags.get(key) != Some(value)) {
            let input = Json::map(resource().into_iter().chain([("Tags", settings.tags())]));
            self.api.call("AddTagsToResource", &input).await?;
        }
        Ok(())
    }

    async fn remove(&self, target: &PushTarget) -> Result<(), ProviderErrorKind> {
        let name = self.name(&target.key);
        let removed = async {
            self.value(&name).await?;
            if !push::is_ours(&self.tags(&name).await?) {
                return Ok(());
            }
            self.api
                .call("DeleteParameter", &Json::map([("Name", Json::text(name.as_str()))]))
                .await
                .map(drop)
        };
        match removed.await {
            Err(ProviderErrorKind::NotFound) => Ok(()),
            removed => removed,
        }
    }
}

fn too_many() -> ProviderErrorKind {
    ProviderErrorKind::Failed(format!("the list has more than {MAX_PAGES} pages"))
}

fn filter(key: &str, option: &str, value: &str) -> Json {
    Json::map([
        ("Key", Json::text(key)),
        ("Option", Json::text(option)),
        ("Values", Json::List(vec![Json::text(value)])),
    ])
}

/// Takes the parameters of an answer; returns where the next page begins.
fn collect(
    answer: Json,
    fits: impl Fn(&str) -> bool,
    found: &mut BTreeMap<String, RemoteSecret>,
) -> Option<Json> {
    let Json::Map(mut answer) = answer else { return None };
    if let Some(Json::List(parameters)) = answer.remove("Parameters") {
        found.extend(parameters.into_iter().filter_map(read).filter(|(name, _)| fits(name)));
    }
    answer.remove("NextToken").filter(|token| !matches!(token, Json::Null))
}

fn read(parameter: Json) -> Option<(String, RemoteSecret)> {
    let name = parameter.str_at("Name")?.to_owned();
    let version = parameter.integer_at("Version").map(|version| version.to_string());
    match parameter.take("Value")? {
        Json::Text(value) => Some((name, RemoteSecret { value: RemoteValue::Bytes(value), version })),
        _ => None,
    }
}

impl SecretsReader for ParameterStore {
    fn get<'a>(&'a self, remote: &'a RemoteKey) -> BoxFuture<'a, Result<RemoteSecret, ProviderError>> {
        Box::pin(async {
            let name = self.versioned(remote);
            self.value(&name).await.map_err(fail("read", &name))
        })
    }

    fn metadata<'a>(&'a self, remote: &'a RemoteKey) -> BoxFuture<'a, Result<Plaintext, ProviderError>> {
        Box::pin(async {
            let name = self.versioned(remote);
            let tags = self.tags(&name).await.map_err(fail("read the tags of", &name))?;
            Ok(Json::map(tags.into_iter().map(|(key, value)| (key, Json::text(value)))).to_text())
        })
    }

    fn find<'a>(
        &'a self,
        find: &'a Find,
    ) -> BoxFuture<'a, Result<BTreeMap<String, RemoteSecret>, ProviderError>> {
        Box::pin(async { self.find_all(find).await.map_err(fail("find in", "Parameter Store")) })
    }
}

impl SecretsWriter for ParameterStore {
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
            match self.value(&name).await {
                Ok(_) => Ok(true),
                Err(ProviderErrorKind::NotFound) => Ok(false),
                Err(kind) => Err(fail("look for", &name)(kind)),
            }
        })
    }
}

impl StoreCheck for ParameterStore {
    fn validate<'a>(&'a self) -> BoxFuture<'a, Result<Validation, ProviderError>> {
        Box::pin(async {
            if !self.can_check {
                return Ok(Validation::Unknown);
            }
            self.api.credentials().await.map_err(fail("log in to", "Parameter Store"))?;
            Ok(Validation::Ready)
        })
    }
}
