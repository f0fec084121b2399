//! What goes wrong with a Lease, and what to do about it.

use kube::core::Status;

/// Why an attempt failed. The text carries nothing but the API server's message about the Lease.
#[derive(Debug, thiserror::Error)]
pub(super) enum Problem {
    #[error("not allowed to read or write the lease")]
    Forbidden,
    #[error("the namespace of the lease does not exist")]
    NoNamespace,
    /// Somebody else wrote, or deleted the Lease: read it again.
    #[error("the lease changes faster than it can be read")]
    Outdated,
    #[error("the API server did not answer in time")]
    Timeout,
    #[error(transparent)]
    Api(Box<kube::Error>),
}

impl Problem {
    pub(super) fn of(error: kube::Error) -> Self {
        match error {
            kube::Error::Api(status) if matches!(status.code, 401 | 403) => Self::Forbidden,
            // A missing Lease is an answer, not an error, when read; a missing namespace shows on create.
            kube::Error::Api(status) if status.code == 404 && names_namespace(&status) => Self::NoNamespace,
            kube::Error::Api(status) if matches!(status.code, 404 | 409) => Self::Outdated,
            error => Self::Api(Box::new(error)),
        }
    }

    pub(super) fn hint(&self) -> &'static str {
        match self {
            Self::Forbidden => {
                "the service account needs a Role with apiGroups [coordination.k8s.io], resources [leases], verbs [get, create, update] in this namespace"
            }
            Self::NoNamespace => "create the namespace, or name another for the lease",
            _ => "retrying",
        }
    }
}

fn names_namespace(status: &Status) -> bool {
    status.details.as_ref().is_some_and(|details| details.kind == "namespaces")
}
