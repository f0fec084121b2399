//! Pushing into Secrets Manager.

use std::collections::BTreeMap;

use sealops_formats::{Plaintext, base64};

use super::SecretsManager;
use crate::aws::api::fail;
use crate::aws::push::{self, PushSettings, TagChanges};
use crate::json::Json;
use crate::{
    BoxFuture, ProviderError, ProviderErrorKind, PushTarget, RemoteSecret, RemoteValue, SecretsWriter,
};

/// Upstream's name for the first version of every secret that it writes.
const FIRST_VERSION: &str = "00000000-0000-0000-0000-000000000001";
/// Key of values whose settings name none.
const DEFAULT_KEY: &str = "alias/aws/secretsmanager";

impl SecretsManager {
    async fn write(&self, target: &PushTarget, value: &Plaintext) -> Result<(), ProviderErrorKind> {
        let settings = PushSettings::read(target.metadata.as_ref())?;
        let as_text = match settings.secret_push_format.as_str() {
            "" | "binary" => false,
            "string" => true,
            other => return Err(ProviderErrorKind::Invalid(format!("invalid secret push format: {other}"))),
        };
        // Before anything is made.
        Self::check_attached(target, &settings)?;
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
        // Without tags in the settings, those that others gave stay.
        if settings.names_tags {
            self.update_tags(&name, &tags, &settings).await?;
        }
        self.attach(&name, target, &settings, &described).await?;
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
        self.api.call("PutSecretValue", &Json::map(input)).await.map(drop)
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
        self.api.call("CreateSecret", &Json::map(input)).await?;
        let described = Json::map([("KmsKeyId", Json::text(key))]);
        self.attach(name, target, settings, &described).await
    }

    async fn update_tags(
        &self,
        name: &str,
        tags: &BTreeMap<String, String>,
        settings: &PushSettings,
    ) -> Result<(), ProviderErrorKind> {
        let TagChanges { gone, set } = settings.tag_changes(tags);
        let secret = || ("SecretId", Json::text(name));
        if let Some(gone) = gone {
            self.api.call("UntagResource", &Json::map([secret(), ("TagKeys", gone)])).await?;
        }
        if let Some(set) = set {
            self.api.call("TagResource", &Json::map([secret(), ("Tags", set)])).await?;
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
            push::found(self.value(&name, None).await).map_err(fail("look for", &name))
        })
    }
}
