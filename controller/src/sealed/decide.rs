//! What to write, given what exists.

use sealops_crds::SealedSecret;
use sealops_crds::sealed_secret as names;

use super::Failure;
use crate::object::{SecretObject, controller_of};
use crate::outcome::{Change, Outcome};

/// Compares the wanted Secret with the existing one, by upstream's rules of ownership.
///
/// # Errors
/// Returns [`super::FailureReason::Unmanaged`] where the existing Secret belongs to somebody else.
pub fn decide(
    sealed: &SealedSecret,
    wanted: SecretObject,
    existing: Option<SecretObject>,
    made_by_us: Option<&str>,
) -> Result<Outcome, Failure> {
    let Some(existing) = existing else { return Ok(Outcome::one(Change::Create(wanted))) };
    // Without an owner reference (skip-set-owner-references) only the recorded uid shows that the Secret is ours.
    let made_by_us = made_by_us.filter(|_| wanted.metadata.owner_references.is_empty());
    let ownership = Ownership::of(&existing, sealed, made_by_us);
    if ownership == Ownership::Foreign {
        return Err(Failure::unmanaged(sealed.metadata.name.as_deref().unwrap_or_default()));
    }
    let next = merged(&existing, wanted, ownership);
    if next.same_content(&existing) {
        Ok(Outcome::kept(existing))
    } else {
        Ok(Outcome::one(Change::Replace(next)))
    }
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Ownership {
    /// Everything is ours.
    Whole,
    /// Entries are laid over the existing ones; the owner reference is taken only with `managed`.
    Patch { managed: bool },
    /// Not ours.
    Foreign,
}

impl Ownership {
    fn of(existing: &SecretObject, sealed: &SealedSecret, made_by_us: Option<&str>) -> Self {
        let is_set =
            |name| existing.metadata.annotations().get(name).is_some_and(|value| value == names::TRUE);
        let uid = existing.metadata.uid.as_deref();
        let controlled = controller_of(&existing.metadata)
            .is_some_and(|owner| sealed.metadata.uid.as_deref() == Some(owner.uid.as_str()));
        let managed = is_set(names::MANAGED);
        if is_set(names::PATCH) {
            Self::Patch { managed }
        } else if controlled || managed || (uid.is_some() && uid == made_by_us) {
            Self::Whole
        } else {
            Self::Foreign
        }
    }
}

/// Lays the wanted Secret over the existing one; `immutable` and finalizers stay as they are, as upstream does.
fn merged(existing: &SecretObject, wanted: SecretObject, ownership: Ownership) -> SecretObject {
    let mut next = existing.duplicate();
    if wanted.type_.is_some() {
        next.type_.clone_from(&wanted.type_);
    }
    if let Ownership::Patch { managed } = ownership {
        next.data.extend(wanted.data);
        next.metadata.labels_mut().extend(wanted.metadata.labels().clone());
        next.metadata.annotations_mut().extend(wanted.metadata.annotations().clone());
        if managed {
            next.metadata.owner_references = wanted.metadata.owner_references;
        }
    } else {
        next.data = wanted.data;
        next.metadata.labels = wanted.metadata.labels;
        next.metadata.annotations = wanted.metadata.annotations;
        next.metadata.owner_references = wanted.metadata.owner_references;
    }
    next
}

#[cfg(test)]
mod tests {
    use super::*;
    use sealops_crds::{Metadata, OwnerReference};

    fn sealed() -> SealedSecret {
        let mut sealed = SealedSecret { metadata: Metadata::named("shop", "web"), ..SealedSecret::default() };
        sealed.metadata.uid = Some("sealed-uid".into());
        sealed
    }

    fn owner(uid: &str) -> OwnerReference {
        OwnerReference {
            api_version: SealedSecret::API_VERSION.into(),
            kind: SealedSecret::KIND.into(),
            name: "web".into(),
            uid: uid.into(),
            controller: Some(true),
            block_owner_deletion: None,
        }
    }

    fn secret(entries: &[(&str, &str)], owner_uid: Option<&str>, annotations: &[&str]) -> SecretObject {
        let mut secret = SecretObject { metadata: Metadata::named("shop", "web"), ..SecretObject::default() };
        secret.data = entries.iter().map(|(name, value)| ((*name).to_owned(), (*value).into())).collect();
        secret.metadata.owner_references = owner_uid.map(owner).into_iter().collect();
        secret.metadata.uid = Some("target-uid".into());
        for name in annotations {
            secret.metadata.annotations_mut().insert((*name).to_owned(), "true".into());
        }
        secret
    }

    fn written(outcome: Outcome) -> SecretObject {
        match outcome.changes.into_iter().next() {
            Some(Change::Create(secret) | Change::Replace(secret)) => secret,
            Some(Change::Delete(_)) | None => panic!("nothing was written"),
        }
    }

    #[test]
    fn creates_what_is_missing_and_leaves_what_is_right() {
        let wanted = || secret(&[("a", "1")], Some("sealed-uid"), &[]);
        let outcome = decide(&sealed(), wanted(), None, None).unwrap();
        assert!(matches!(outcome.changes[..], [Change::Create(_)]));
        assert!(decide(&sealed(), wanted(), Some(wanted()), None).unwrap().changes.is_empty());
    }

    #[test]
    fn a_missing_type_and_opaque_are_the_same() {
        let mut existing = secret(&[("a", "1")], Some("sealed-uid"), &[]);
        existing.type_ = Some("Opaque".into());
        let wanted = secret(&[("a", "1")], Some("sealed-uid"), &[]);
        assert!(decide(&sealed(), wanted, Some(existing), None).unwrap().changes.is_empty());
    }

    #[test]
    fn ownership_follows_upstream() {
        let wanted = || secret(&[("a", "2")], Some("sealed-uid"), &[]);
        for (existing, made_by_us, allowed) in [
            (secret(&[("a", "1")], Some("sealed-uid"), &[]), None, true),
            (secret(&[("a", "1")], Some("an-older-uid"), &[]), None, false),
            (secret(&[("a", "1")], None, &[]), None, false),
            (secret(&[("a", "1")], None, &[names::MANAGED]), None, true),
            (secret(&[("a", "1")], None, &[names::PATCH]), None, true),
            (secret(&[("a", "1")], None, &[]), Some("target-uid"), false),
            (secret(&[("a", "1")], None, &[]), Some("another-uid"), false),
        ] {
            assert_eq!(decide(&sealed(), wanted(), Some(existing), made_by_us).is_ok(), allowed);
        }
        let failure = decide(&sealed(), wanted(), Some(secret(&[], None, &[])), None).unwrap_err();
        assert_eq!(
            failure.message,
            "failed update: Resource \"web\" already exists and is not managed by SealedSecret"
        );
    }

    #[test]
    fn without_owner_reference_the_recorded_uid_shows_whose_secret_it_is() {
        for (made_by_us, allowed) in [(Some("target-uid"), true), (Some("another-uid"), false), (None, false)]
        {
            let (wanted, existing) = (secret(&[("a", "2")], None, &[]), secret(&[("a", "1")], None, &[]));
            assert_eq!(decide(&sealed(), wanted, Some(existing), made_by_us).is_ok(), allowed);
        }
    }

    #[test]
    fn managed_replaces_and_the_annotation_goes() {
        let existing = secret(&[("old", "1")], None, &[names::MANAGED, "other"]);
        let next = written(
            decide(&sealed(), secret(&[("a", "2")], Some("sealed-uid"), &[]), Some(existing), None).unwrap(),
        );
        assert_eq!(next.data.keys().collect::<Vec<_>>(), ["a"]);
        assert!(next.metadata.annotations().is_empty());
        assert_eq!(next.metadata.owner_references, [owner("sealed-uid")]);
    }

    #[test]
    fn patch_lays_over_and_takes_ownership_only_with_managed() {
        for (annotations, owners) in [(&[names::PATCH][..], 0), (&[names::PATCH, names::MANAGED][..], 1)] {
            let existing = secret(&[("old", "1"), ("a", "1")], None, annotations);
            let wanted = secret(&[("a", "2")], Some("sealed-uid"), &[]);
            let next = written(decide(&sealed(), wanted, Some(existing), None).unwrap());
            assert_eq!(next.data["old"].expose(), b"1");
            assert_eq!(next.data["a"].expose(), b"2");
            assert_eq!(next.metadata.owner_references.len(), owners);
            assert!(next.metadata.annotations().contains_key(names::PATCH));
        }
    }
}
