//! What `/v1/verify` and `/v1/rotate` do: judge and seal anew, without an API server and without a template.
//!
//! Whoever reaches the port may send any object. So a template is never rendered (#2019, #2049 of upstream: an oracle
//! for one bit of the plaintext), and the scope of what comes out is the one under which the values opened
//! (CVE-2026-22728: upstream before 0.36 took it from the template, and a strict value could leave its namespace).

use sealops_crds::SealedSecret;
use sealops_crypto::sealing::{Certificate, Label, SealingKeyRing, seal};
use sealops_formats::{Plaintext, base64, manifest};
use serde_json::Value;

use super::open::{Opener, V1_REFUSED};
use super::{OpenOptions, scope_of};
use crate::HINT_ANNOTATION;

/// Why a body was not judged or sealed anew. The caller gets a code only; this is for the log.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum RotateError {
    /// The body is not one SealedSecret.
    #[error("the body is not one SealedSecret with apiVersion and kind: {0}")]
    Unfit(String),
    /// A value does not open.
    #[error("{0}")]
    Unopened(String),
    /// A value cannot be sealed.
    #[error("{0}")]
    Unsealable(String),
}

/// A body that was read.
pub struct Body {
    tree: Value,
    sealed: SealedSecret,
}

impl Body {
    /// Reads one SealedSecret in JSON or YAML.
    ///
    /// # Errors
    /// Returns what is wrong with it, without a piece of it.
    pub fn read(text: &[u8]) -> Result<Self, RotateError> {
        let unfit = |problem: &str| RotateError::Unfit(problem.to_owned());
        let mut documents = manifest::parse(text).map_err(|error| unfit(&error.to_string()))?;
        let document = documents.pop().ok_or_else(|| unfit("it is empty"))?;
        if !documents.is_empty() {
            return Err(unfit("it has several documents"));
        }
        let tree: Value = document.root.read().map_err(|error| unfit(&error.to_string()))?;
        let is = |field: &str, word: &str| tree.get(field).and_then(Value::as_str) == Some(word);
        if !is("apiVersion", SealedSecret::API_VERSION) || !is("kind", SealedSecret::KIND) {
            return Err(unfit("it is of another kind"));
        }
        let sealed = document.root.read().map_err(|error| unfit(&error.to_string()))?;
        Ok(Self { tree, sealed })
    }

    /// Tells whether every value opens. Reads no template.
    pub fn opens(&self, keys: &SealingKeyRing, options: OpenOptions) -> bool {
        self.values(keys, options).is_ok()
    }

    /// Seals every value anew and changes nothing else; returns JSON.
    ///
    /// # Errors
    /// Returns the first value that does not open or cannot be sealed.
    pub fn rotate(
        mut self,
        keys: &SealingKeyRing,
        current: &Certificate,
        options: OpenOptions,
    ) -> Result<Vec<u8>, RotateError> {
        let values = self.values(keys, options)?;
        let label = self.label();
        for (entry, value) in values {
            let sealed =
                seal(current, &label, &value).map_err(|error| RotateError::Unsealable(error.to_string()))?;
            let sealed = Value::String(base64::encode_public(&sealed));
            match entry {
                Some(entry) => self.tree["spec"]["encryptedData"][entry] = sealed,
                None => self.tree["spec"]["data"] = sealed,
            }
        }
        if let Some(tree) = self.tree.as_object_mut() {
            tree.remove("status"); // it was about the values that are replaced
        }
        if let Some(hint) =
            self.tree.pointer_mut(&format!("/metadata/annotations/{}", HINT_ANNOTATION.replace('/', "~1")))
        {
            *hint = Value::String(current.fingerprint().as_str().to_owned());
        }
        serde_json::to_vec(&self.tree).map_err(|_| RotateError::Unsealable("cannot be written".to_owned()))
    }

    /// Opens every value, by entry; the one without a name is the deprecated `spec.data`.
    fn values(
        &self,
        keys: &SealingKeyRing,
        options: OpenOptions,
    ) -> Result<Vec<(Option<String>, Plaintext)>, RotateError> {
        let spec = &self.sealed.spec;
        let mut opener = Opener::new(keys, self.label(), None);
        let mut open = |text: &str| opener.value(text).map_err(RotateError::Unopened);
        match &spec.data {
            Some(_) if !spec.encrypted_data.is_empty() || !options.accept_v1_data => {
                Err(RotateError::Unopened(V1_REFUSED.to_owned()))
            }
            Some(data) => Ok(vec![(None, open(data)?)]),
            None => spec
                .encrypted_data
                .iter()
                .map(|(entry, text)| Ok((Some(entry.clone()), open(text)?)))
                .collect(),
        }
    }

    fn label(&self) -> Label {
        let metadata = &self.sealed.metadata;
        let part = |part: &Option<String>| part.clone().unwrap_or_default();
        Label::for_secret(scope_of(metadata.annotations()), &part(&metadata.namespace), &part(&metadata.name))
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use sealops_crypto::sealing::{RingKey, Scope, SealingKey};
    use serde_json::json;

    use super::*;

    fn testdata(name: &str) -> Vec<u8> {
        std::fs::read(format!("{}/../testdata/keys/{name}", env!("CARGO_MANIFEST_DIR"))).unwrap()
    }

    fn keys() -> (SealingKeyRing, Certificate) {
        let key = SealingKey::from_pem(&testdata("interop-2048.key").into()).unwrap();
        let certificate = Certificate::from_pem(&testdata("interop-2048.crt")).unwrap();
        (SealingKeyRing::new([RingKey { key: Arc::new(key), order: 0 }]), certificate)
    }

    fn object(scope: Scope) -> Value {
        let (_, certificate) = keys();
        let label = Label::for_secret(scope, "shop", "web");
        let value = base64::encode_public(&seal(&certificate, &label, &"hunter2".into()).unwrap());
        json!({
            "apiVersion": "bitnami.com/v1alpha1", "kind": "SealedSecret",
            "metadata": { "name": "web", "namespace": "shop", "labels": { "team": "blue" } },
            "spec": {
                "encryptedData": { "a": value, "b": value },
                "template": { "metadata": { "labels": { "x": "y" } }, "data": { "cfg": "{{ .a }}" } },
            },
            "status": { "observedGeneration": 1 },
        })
    }

    fn rotated(object: &Value) -> Result<Value, RotateError> {
        let (ring, certificate) = keys();
        let body = Body::read(object.to_string().as_bytes())?;
        let bytes = body.rotate(&ring, &certificate, OpenOptions::default())?;
        Ok(serde_json::from_slice(&bytes).unwrap())
    }

    #[test]
    fn rotating_changes_ciphertexts_only() {
        let before = object(Scope::Strict);
        let mut after = rotated(&before).unwrap();
        for entry in ["a", "b"] {
            assert_ne!(after["spec"]["encryptedData"][entry], before["spec"]["encryptedData"][entry]);
        }
        assert!(Body::read(after.to_string().as_bytes()).unwrap().opens(&keys().0, OpenOptions::default()));
        after["spec"]["encryptedData"] = before["spec"]["encryptedData"].clone();
        after["status"] = before["status"].clone();
        assert_eq!(after, before);
    }

    /// CVE-2026-22728, GHSA-465p-v42x-3fmj; B7 row 16.
    #[test]
    fn rotating_never_widens_the_scope() {
        let mut before = object(Scope::Strict);
        before["spec"]["template"]["metadata"]["annotations"] =
            json!({ "sealedsecrets.bitnami.com/cluster-wide": "true" });
        let mut after = rotated(&before).unwrap();
        assert!(after["metadata"].get("annotations").is_none());
        after["metadata"]["name"] = json!("elsewhere");
        let opens = |object: &Value| {
            Body::read(object.to_string().as_bytes()).unwrap().opens(&keys().0, OpenOptions::default())
        };
        assert!(!opens(&after), "still bound to its name");
        after["metadata"]["annotations"] = json!({ "sealedsecrets.bitnami.com/cluster-wide": "true" });
        assert!(!opens(&after), "and not cluster-wide");
        before["metadata"]["annotations"] = json!({ "sealedsecrets.bitnami.com/cluster-wide": "true" });
        assert!(rotated(&before).is_err(), "a claimed scope opens nothing");
    }

    /// #2019 and #2049 of upstream: the answer must not depend on a template over the values.
    #[test]
    fn templates_are_no_oracle() {
        for template in ["{{ fail .a }}", "{{ nope", "{{ if eq .a \"hunter2\" }}{{ fail \"x\" }}{{ end }}"] {
            let mut object = object(Scope::Strict);
            object["spec"]["template"]["data"]["cfg"] = json!(template);
            assert_eq!(rotated(&object).unwrap()["spec"]["template"], object["spec"]["template"]);
        }
    }

    /// B7 rows 18 and 22, and what upstream answers with 500.
    #[test]
    fn refuses_what_is_not_one_sealed_secret() {
        let good = object(Scope::Strict);
        let mut kindless = good.clone();
        kindless["kind"] = Value::Null;
        let mut secret = good.clone();
        secret["kind"] = json!("Secret");
        let twice = format!("{good}\n---\n{good}\n");
        for text in
            ["", "{}", "[]", "{{{", "a: b", &kindless.to_string(), &secret.to_string(), &twice, "\u{0}"]
        {
            assert!(matches!(Body::read(text.as_bytes()), Err(RotateError::Unfit(_))), "{text}");
        }
        let mut nameless = good;
        nameless["metadata"] = json!({ "namespace": "shop" });
        assert!(matches!(rotated(&nameless), Err(RotateError::Unopened(_))));
    }
}
