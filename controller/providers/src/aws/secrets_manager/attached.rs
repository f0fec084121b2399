//! What is attached to a pushed secret: a policy, copies in other regions. Both are left alone where the settings of the
//! push do not name them. (Upstream removes a policy that it does not know.)

use std::collections::BTreeSet;

use sealops_formats::Plaintext;

use super::SecretsManager;
use crate::aws::auth;
use crate::aws::push::PushSettings;
use crate::json::Json;
use crate::{ProviderErrorKind, PushTarget};

impl SecretsManager {
    /// Refuses what cannot be attached.
    pub(super) fn check_attached(
        target: &PushTarget,
        settings: &PushSettings,
    ) -> Result<(), ProviderErrorKind> {
        let regions = settings.replication_locations.iter().flatten();
        if let Some(region) = regions.into_iter().find(|region| !auth::is_region(region)) {
            return Err(ProviderErrorKind::Invalid(format!(
                "replicationLocations: {region:?} is no AWS region"
            )));
        }
        if settings.resource_policy.is_none() {
            return Ok(());
        }
        let policy = target.resource_policy.as_deref().ok_or_else(|| {
            ProviderErrorKind::Invalid(
                "failed to resolve resource policy: policySourceRef is missing".to_owned(),
            )
        })?;
        if !policy.is_empty() && Json::parse(policy).is_none() {
            return Err(ProviderErrorKind::Invalid(
                "resourcePolicy: the text that policySourceRef names is no JSON".to_owned(),
            ));
        }
        Ok(())
    }

    /// Makes policy and copies as the settings say. `described` is what AWS knows of the secret.
    pub(super) async fn attach(
        &self,
        name: &str,
        target: &PushTarget,
        settings: &PushSettings,
        described: &Json,
    ) -> Result<(), ProviderErrorKind> {
        if let Some(policy) = &settings.resource_policy {
            let text = target.resource_policy.as_deref().ok_or_else(|| {
                ProviderErrorKind::Invalid(
                    "failed to resolve resource policy: policySourceRef is missing".to_owned(),
                )
            })?;
            self.set_policy(name, text, policy.block_public_policy).await?;
        }
        match &settings.replication_locations {
            Some(regions) => self.replicate(name, regions, described).await,
            None => Ok(()),
        }
    }

    async fn set_policy(
        &self,
        name: &str,
        policy: &Plaintext,
        block_public: Option<bool>,
    ) -> Result<(), ProviderErrorKind> {
        let secret = || ("SecretId", Json::text(name));
        if policy.is_empty() {
            return match self.api.call("DeleteResourcePolicy", &Json::map([secret()])).await {
                Ok(_) | Err(ProviderErrorKind::NotFound) => Ok(()),
                Err(error) => Err(error),
            };
        }
        let wanted = Json::parse(policy).ok_or_else(|| {
            ProviderErrorKind::Invalid(
                "resourcePolicy: the text that policySourceRef names is no JSON".to_owned(),
            )
        })?;
        let current = match self.api.call("GetResourcePolicy", &Json::map([secret()])).await {
            Ok(answer) => answer.text_at("ResourcePolicy").and_then(Json::parse),
            Err(ProviderErrorKind::NotFound) => None,
            Err(error) => return Err(error),
        };
        // Maps are sorted, so that the same policy has the same text.
        if current.is_some_and(|current| current.to_text().ct_eq(&wanted.to_text())) {
            return Ok(());
        }
        let policy = ("ResourcePolicy", Json::Text(policy.duplicate()));
        let block = block_public.map(|block| ("BlockPublicPolicy", Json::Bool(block)));
        let input = Json::map([secret(), policy].into_iter().chain(block));
        self.api.call("PutResourcePolicy", &input).await.map(drop)
    }

    async fn replicate(
        &self,
        name: &str,
        regions: &[String],
        described: &Json,
    ) -> Result<(), ProviderErrorKind> {
        if let Some(region) = regions.iter().find(|region| !auth::is_region(region)) {
            return Err(ProviderErrorKind::Invalid(format!(
                "replicationLocations: {region:?} is no AWS region"
            )));
        }
        let wanted: BTreeSet<&str> = regions.iter().map(String::as_str).collect();
        let current: BTreeSet<&str> = match described.get("ReplicationStatus") {
            Some(Json::List(copies)) => copies.iter().filter_map(|copy| copy.str_at("Region")).collect(),
            _ => BTreeSet::new(),
        };
        let secret = || ("SecretId", Json::text(name));
        let gone: Vec<Json> = current.difference(&wanted).map(|region| Json::text(*region)).collect();
        if !gone.is_empty() {
            let input = Json::map([secret(), ("RemoveReplicaRegions", Json::List(gone))]);
            self.api.call("RemoveRegionsFromReplication", &input).await?;
        }
        let key = described.str_at("KmsKeyId").map(|key| ("KmsKeyId", Json::text(key)));
        let copy = |region: &&str| {
            let key = key.as_ref().map(|(name, key)| (*name, key.duplicate()));
            Json::map([("Region", Json::text(*region))].into_iter().chain(key))
        };
        let new: Vec<Json> = wanted.difference(&current).map(copy).collect();
        if !new.is_empty() {
            let input = Json::map([secret(), ("AddReplicaRegions", Json::List(new))]);
            self.api.call("ReplicateSecretToRegions", &input).await?;
        }
        Ok(())
    }
}
