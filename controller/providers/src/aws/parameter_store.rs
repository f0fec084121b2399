//! AWS Systems Manager's Parameter Store as a store.

mod write;

use std::collections::BTreeMap;
use std::sync::Arc;

use sealops_crypto::sops::GoRegex;
use sealops_formats::Plaintext;

use super::api::{Api, Service, fail};
use super::push;
use super::together::Together;
use crate::json::Json;
use crate::{
    BoxFuture, Find, ProviderError, ProviderErrorKind, RemoteKey, RemoteSecret, RemoteValue, SecretsReader,
    StoreCheck, Validation,
};

pub(super) const SERVICE: Service =
    Service { name: "ssm", host: "ssm", target: "AmazonSSM", variable: "AWS_SSM_ENDPOINT" };

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
    pub(super) together: Together,
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
            for (name, answer) in batch.iter().zip(self.newest(batch).await) {
                found.insert(name.clone(), answer?);
            }
        }
        Ok(found)
    }

    /// Returns the newest versions of up to [`BATCH`] parameters, in their order.
    async fn newest(&self, names: &[String]) -> Vec<Result<RemoteSecret, ProviderErrorKind>> {
        let all = async {
            let list = Json::List(names.iter().map(|name| Json::text(name.as_str())).collect());
            let input = Json::map([("Names", list), ("WithDecryption", Json::Bool(true))]);
            let mut found = BTreeMap::new();
            collect(self.api.call("GetParameters", &input).await?, |_| true, &mut found);
            Ok(found)
        };
        self.together.read(names, all, |name| async move { self.value(&name).await }).await
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

    fn batch_size(&self) -> usize {
        BATCH
    }

    /// A batch names parameters without their versions.
    fn can_batch(&self, remote: &RemoteKey) -> bool {
        self.together.is_allowed() && remote.version.as_deref().unwrap_or_default().is_empty()
    }

    fn get_batch<'a>(
        &'a self,
        remotes: &'a [RemoteKey],
    ) -> BoxFuture<'a, Vec<Result<RemoteSecret, ProviderError>>> {
        Box::pin(async {
            let names: Vec<String> = remotes.iter().map(|remote| self.name(&remote.key)).collect();
            let answers = self.newest(&names).await.into_iter().zip(&names);
            answers.map(|(answer, name)| answer.map_err(fail("read", name))).collect()
        })
    }

    fn metadata<'a>(&'a self, remote: &'a RemoteKey) -> BoxFuture<'a, Result<Plaintext, ProviderError>> {
        Box::pin(async {
            let name = self.versioned(remote);
            let tags = self.tags(&name).await.map_err(fail("read the tags of", &name))?;
            Ok(push::tags_as_metadata(tags))
        })
    }

    fn find<'a>(
        &'a self,
        find: &'a Find,
    ) -> BoxFuture<'a, Result<BTreeMap<String, RemoteSecret>, ProviderError>> {
        Box::pin(async { self.find_all(find).await.map_err(fail("find in", "Parameter Store")) })
    }
}

impl StoreCheck for ParameterStore {
    fn validate<'a>(&'a self) -> BoxFuture<'a, Result<Validation, ProviderError>> {
        Box::pin(async { self.api.check(self.can_check).await.map_err(fail("log in to", "Parameter Store")) })
    }
}
