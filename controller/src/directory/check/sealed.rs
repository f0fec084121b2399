//! SealedSecrets: do they open, and with which key.

use sealops_crds::SealedSecret;
use sealops_crypto::sealing::Fingerprint;

use super::{Finding, Run};
use crate::HINT_ANNOTATION;
use crate::directory::load::Manifest;
use crate::directory::render::open_sealed;

pub(super) fn check(manifest: &Manifest, run: &Run<'_>) -> Vec<Finding> {
    let sealed: SealedSecret = match run.session.read(manifest) {
        Ok(sealed) => sealed,
        Err(message) => return vec![Finding::problem(manifest, "invalid", message)],
    };
    if run.keys.is_empty() {
        let text = "no private key was given, so whether it opens is not known";
        return vec![Finding::note(manifest, "not-opened", text)];
    }
    let mut findings = Vec::new();
    let hint = sealed.metadata.annotations().get(HINT_ANNOTATION).map(|text| Fingerprint::from_text(text));
    if hint.is_some_and(|hint| run.keys.by_fingerprint(&hint).is_none()) {
        let text =
            format!("the key that {HINT_ANNOTATION} names is not among the private keys that were given");
        findings.push(Finding::note(manifest, "unknown-certificate", text));
    }
    match open_sealed(&sealed, run.keys, run.options.render.open) {
        Ok(opened) => run.session.reader.add(opened.secret),
        Err(message) => findings.push(Finding::problem(manifest, "not-opened", message)),
    }
    findings
}
