//! Pushing into Parameter Store.

use std::collections::BTreeMap;

use sealops_formats::Plaintext;

use super::ParameterStore;
use crate::aws::api::fail;
use crate::aws::push::{self, PushSettings, TagChanges};
use crate::json::Json;
use crate::{BoxFuture, ProviderError, ProviderErrorKind, PushTarget, RemoteValue, SecretsWriter};

/// Key of secure strings whose settings name none.
const DEFAULT_KEY: &str = "alias/aws/ssm";

impl ParameterStore {
    async fn write(&self, target: &PushTarget, value: &Plaintext) -> Result<(), ProviderErrorKind> {
        let settings = PushSettings::read(target.metadata.as_ref())?;
        if settings.resource_policy.is_some() || settings.replication_locations.is_some() {
            return Err(ProviderErrorKind::Unsupported(
                "a resource policy or a replication in Parameter Store",
            ));
        }
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
        let TagChanges { gone, set } = settings.tag_changes(tags);
        if let Some(gone) = gone {
            let input = Json::map(resource().into_iter().chain([("TagKeys", gone)]));
            self.api.call("RemoveTagsFromResource", &input).await?;
        }
        if let Some(set) = set {
            let input = Json::map(resource().into_iter().chain([("Tags", set)]));
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
            push::found(self.value(&name).await).map_err(fail("look for", &name))
        })
    }
}
