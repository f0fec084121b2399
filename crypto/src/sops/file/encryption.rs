//! Encryption of a tree in place: for a clear file, and for an open one that keeps its nonces.

use sealops_formats::tree::Tree;

use super::EncryptError;
use crate::random::Random;
use crate::sops::crypt::{self, Executor, Plan};
use crate::sops::data_key::DataKey;
use crate::sops::mac;
use crate::sops::metadata::Metadata;
use crate::sops::selector::Selector;
use crate::sops::stash::{Stash, digest_of};
use crate::sops::timestamp::Timestamp;
use crate::sops::value::{NonceBytes, ValueCipher};
use crate::sops::walk::{self, Direction, Leaves};

/// Encrypts a tree in place and completes its metadata; returns whether the selector matched anything.
pub(super) fn encrypt_tree(
    tree: &mut Tree,
    metadata: &mut Metadata,
    key: &DataKey,
    stash: &mut Stash,
    random: &mut dyn Random,
    now: &Timestamp,
    executor: &dyn Executor,
) -> Result<bool, EncryptError> {
    let selector = metadata.selector.as_ref();
    if let Some(error) = selector.and_then(Selector::broken) {
        return Err(EncryptError::BrokenSelector(error.clone()));
    }
    let cipher = ValueCipher::new(key);
    let mut leaves = walk::leaves(tree, selector, Direction::Encrypt)?;
    let hash = mac::of(&leaves.leaves, metadata.mac_only_encrypted).map_err(|(index, problem)| {
        EncryptError::Value { path: leaves.path_text(&leaves.leaves[index]), problem }
    })?;
    let mut plans = plan_nonces(&leaves, key, stash, random)?;
    crypt::run(&mut leaves, &mut plans, &cipher, true, executor)
        .map_err(|(index, _)| EncryptError::Cipher { path: leaves.path_text(&leaves.leaves[index]) })?;
    if let Some(selector) = selector.filter(|selector| selector.exempts_by_comment()) {
        let matching = leaves.leaves.iter().find(|leaf| {
            leaf.encrypted && leaf.comment().is_some_and(|comment| selector.is_match(comment.text.expose()))
        });
        if let Some(leaf) = matching {
            return Err(EncryptError::CommentMatches { path: leaves.path_text(leaf) });
        }
    }
    let matched = leaves.matched;
    let mut nonce = NonceBytes::default();
    random.fill(&mut nonce)?;
    metadata.mac = cipher
        .encrypt(hash, "str", now.as_str().as_bytes(), &nonce)
        .map_err(|_| EncryptError::Cipher { path: "mac".to_owned() })?;
    metadata.last_modified = now.clone();
    Ok(matched)
}

/// Gives every leaf that is encrypted a nonce: the one it had, or a new one.
fn plan_nonces(
    leaves: &Leaves<'_>,
    key: &DataKey,
    stash: &mut Stash,
    random: &mut dyn Random,
) -> Result<Vec<Plan>, EncryptError> {
    let mut fresh = vec![0; leaves.leaves.len() * size_of::<NonceBytes>()];
    random.fill(&mut fresh)?;
    let plans = leaves.leaves.iter().zip(fresh.as_chunks().0).map(|(leaf, fresh)| {
        let mut plan = Plan { nonce: Some(*fresh), ..Plan::default() };
        if !leaf.encrypted || stash.is_empty() {
            return plan;
        }
        let aad = &leaves.paths[leaf.path.clone()];
        let stored = match (leaf.comment(), leaf.scalar()) {
            (Some(comment), _) => stash.take(&digest_of(key, aad, comment.text.expose()), "comment"),
            (_, Some(scalar)) => scalar
                .to_plain_bytes()
                .ok()
                .and_then(|bytes| stash.take(&digest_of(key, aad, bytes.expose()), scalar.type_name())),
            _ => None,
        };
        if let Some((type_name, nonce)) = stored {
            plan.nonce = Some(nonce);
            plan.type_name = Some(type_name);
        }
        plan
    });
    Ok(plans.collect())
}
