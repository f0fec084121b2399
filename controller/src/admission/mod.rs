//! What upstream's admission webhook (External Secrets Operator 2.9) admits and refuses: pure.
//!
//! ```text
//!   AdmissionReview ──answer──► by kind: external_secret │ stores ──► Judgement ──► AdmissionReview
//! ```
//!
//! The rules about templates are the controller's own ([`template_problems`]); the others hold at admission only, since
//! upstream's controller does not check them. Texts are upstream's. An object that is being deleted is admitted whatever it
//! looks like, so that it can lose its finalizers.

mod external_secret;
mod review;
mod stores;

pub use external_secret::template_problems;
pub use review::{BadReview, Kind, answer};

/// What is said about an object.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Judgement {
    /// Why it is refused; none admits it.
    pub problems: Vec<String>,
    /// What its author should know.
    pub warnings: Vec<String>,
}

impl Judgement {
    fn refused(problem: impl Into<String>) -> Self {
        Self { problems: vec![problem.into()], warnings: Vec::new() }
    }
}
