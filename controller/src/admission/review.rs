//! `AdmissionReview` of `admission.k8s.io/v1` and `v1beta1`: read, judged, answered.

use serde_json::{Value, json};

use super::{Judgement, external_secret, stores};

/// Kind of the objects of a path.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// ExternalSecret.
    ExternalSecret,
    /// SecretStore.
    SecretStore,
    /// ClusterSecretStore.
    ClusterSecretStore,
}

/// The body is no AdmissionReview.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("expected an AdmissionReview of admission.k8s.io/v1 or v1beta1 with a request")]
pub struct BadReview;

/// Answers a review of objects of one kind, with another review.
///
/// # Errors
/// Returns that there is nothing to answer.
pub fn answer(kind: Kind, body: &[u8]) -> Result<Value, BadReview> {
    let review: Value = serde_json::from_slice(body).map_err(|_| BadReview)?;
    let version = review["apiVersion"].as_str().filter(|version| VERSIONS.contains(version));
    let (Some(version), Some(uid)) = (version, review["request"]["uid"].as_str()) else {
        return Err(BadReview);
    };
    if review["kind"] != "AdmissionReview" {
        return Err(BadReview);
    }
    let Judgement { problems, warnings } = judge(kind, &review["request"]);
    let mut response = json!({ "uid": uid, "allowed": problems.is_empty() });
    response["status"] = if problems.is_empty() {
        json!({ "code": 200 })
    } else {
        json!({ "code": 403, "reason": "Forbidden", "message": problems.join("\n") })
    };
    if !warnings.is_empty() {
        response["warnings"] = json!(warnings);
    }
    Ok(json!({ "apiVersion": version, "kind": "AdmissionReview", "response": response }))
}

fn judge(kind: Kind, request: &Value) -> Judgement {
    let object = &request["object"];
    let is_write = matches!(request["operation"].as_str(), Some("CREATE" | "UPDATE"));
    if !is_write || !object["metadata"]["deletionTimestamp"].is_null() {
        return Judgement::default();
    }
    match kind {
        Kind::ExternalSecret => external_secret::judge(object),
        Kind::SecretStore => {
            let namespace = object["metadata"]["namespace"].as_str().or(request["namespace"].as_str());
            stores::judge(&stores::Store { object, namespace: Some(namespace.unwrap_or_default()) })
        }
        Kind::ClusterSecretStore => stores::judge(&stores::Store { object, namespace: None }),
    }
}

const VERSIONS: &[&str] = &["admission.k8s.io/v1", "admission.k8s.io/v1beta1"];

#[cfg(test)]
mod tests {
    use super::*;

    fn review(operation: &str, object: Value) -> Value {
        json!({ "apiVersion": "admission.k8s.io/v1", "kind": "AdmissionReview",
            "request": { "uid": "u", "operation": operation, "object": object, "namespace": "shop" } })
    }

    fn ask(kind: Kind, review: &Value) -> Value {
        answer(kind, review.to_string().as_bytes()).unwrap()["response"].clone()
    }

    #[test]
    fn every_problem_is_named_and_deletions_pass() {
        let object = json!({ "spec": { "dataFrom": [{}, { "extract": { "key": "a" }, "find": {} }],
            "data": [{ "secretKey": "a" }, { "secretKey": "a" }] } });
        let said = ask(Kind::ExternalSecret, &review("CREATE", object.clone()));
        assert_eq!(said["allowed"], false);
        assert_eq!(
            said["status"]["message"],
            "either extract, find, or sourceRef must be set to dataFrom\n\
             extract, find, or generatorRef cannot be set at the same time\n\
             duplicate secretKey found: a"
        );
        assert_eq!((said["uid"].clone(), said["status"]["code"].clone()), (json!("u"), json!(403)));
        assert_eq!(ask(Kind::ExternalSecret, &review("DELETE", Value::Null))["allowed"], true);
        let mut going = object;
        going["metadata"] = json!({ "deletionTimestamp": "2026-01-01T00:00:00Z" });
        assert_eq!(ask(Kind::ExternalSecret, &review("UPDATE", going))["allowed"], true);
    }

    #[test]
    fn stores_are_told_apart_by_their_kind() {
        let auth = json!({ "tokenSecretRef": { "name": "n", "key": "k", "namespace": "other" } });
        let store = json!({ "metadata": { "name": "s", "namespace": "shop" },
            "spec": { "provider": { "vault": { "server": "https://x", "auth": auth } } } });
        let said = ask(Kind::SecretStore, &review("CREATE", store.clone()));
        let message = said["status"]["message"].as_str().unwrap();
        assert!(message.starts_with("invalid Auth.TokenSecretRef: namespace should either"), "{message}");
        assert_eq!(ask(Kind::ClusterSecretStore, &review("CREATE", store))["allowed"], true);
    }

    #[test]
    fn warnings_do_not_refuse() {
        let store =
            |provider: Value| json!({ "metadata": { "name": "s" }, "spec": { "provider": provider } });
        let said = ask(
            Kind::ClusterSecretStore,
            &review("UPDATE", store(json!({ "fake": { "data": [{ "key": "a", "value": "b" }] } }))),
        );
        assert_eq!(said["allowed"], true);
        assert!(said["warnings"][0].as_str().unwrap().contains("isn't currently maintained"));
        let said = ask(Kind::SecretStore, &review("CREATE", store(json!({ "akeyless": {} }))));
        assert_eq!((said["allowed"].clone(), said["warnings"].as_array().unwrap().len()), (json!(true), 1));
        for odd in [json!({}), json!({ "fake": {}, "vault": {} }), Value::Null] {
            assert_eq!(ask(Kind::SecretStore, &review("CREATE", store(odd)))["allowed"], false);
        }
    }

    #[test]
    fn what_is_no_review_has_no_answer() {
        for body in ["", "{}", "[]", r#"{"kind":"AdmissionReview","apiVersion":"admission.k8s.io/v1"}"#] {
            assert_eq!(answer(Kind::SecretStore, body.as_bytes()), Err(BadReview), "{body}");
        }
        let old = json!({ "apiVersion": "admission.k8s.io/v2", "kind": "AdmissionReview", "request": { "uid": "u" } });
        assert_eq!(answer(Kind::SecretStore, old.to_string().as_bytes()), Err(BadReview));
    }
}
