//! What says where the webhook is and whom to trust: put into ValidatingWebhookConfigurations and definitions. Pure.

use serde_json::{Value, json};

use crate::object::ObjectKey;

/// End of the names of the webhooks that are ours to change.
const SUFFIX: &str = "external-secrets.io";

/// Puts service and authority into the webhooks of a configuration. A webhook that names an address keeps it. Returns
/// whether anything has changed.
pub(super) fn configuration(object: &mut Value, service: &ObjectKey, bundle: &str) -> bool {
    let mut changed = false;
    let webhooks = object.get_mut("webhooks").and_then(Value::as_array_mut).into_iter().flatten();
    for webhook in webhooks.filter(|webhook| is_ours(webhook)) {
        let config = webhook.get_mut("clientConfig").and_then(Value::as_object_mut);
        let Some(config) = config else { continue };
        changed |= config.get("caBundle").and_then(Value::as_str) != Some(bundle);
        config.insert("caBundle".to_owned(), json!(bundle));
        if let Some(named) = config.get_mut("service").and_then(Value::as_object_mut) {
            for (field, value) in [("name", &service.name), ("namespace", &service.namespace)] {
                changed |= named.get(field).and_then(Value::as_str) != Some(value);
                named.insert(field.to_owned(), json!(value));
            }
        }
    }
    changed
}

fn is_ours(webhook: &Value) -> bool {
    webhook["name"].as_str().is_some_and(|name| name.ends_with(SUFFIX))
}

/// Returns the patch of a definition that converts by webhook; `None` where nothing is to change.
pub(super) fn definition(object: &Value, service: &ObjectKey, bundle: &str) -> Option<Value> {
    let conversion = &object["spec"]["conversion"];
    let config = &conversion["webhook"]["clientConfig"];
    let wanted = json!({ "name": service.name, "namespace": service.namespace });
    let is_right = config["caBundle"] == bundle
        && config["service"]["name"] == wanted["name"]
        && config["service"]["namespace"] == wanted["namespace"];
    if conversion["strategy"] != "Webhook" || is_right {
        return None;
    }
    Some(json!({
        "metadata": { "resourceVersion": object["metadata"]["resourceVersion"] },
        "spec": { "conversion": { "webhook": { "clientConfig": { "service": wanted, "caBundle": bundle } } } },
    }))
}

/// Returns whether one of the endpoints of a list of slices takes connections.
pub(super) fn has_endpoints(slices: &Value) -> bool {
    let endpoints = slices["items"].as_array().into_iter().flatten();
    let mut endpoints = endpoints.flat_map(|slice| slice["endpoints"].as_array().into_iter().flatten());
    endpoints.any(|endpoint| {
        endpoint["conditions"]["ready"] == true
            && endpoint["addresses"].as_array().is_some_and(|addresses| !addresses.is_empty())
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_our_webhooks_are_changed_and_only_once() {
        let service = ObjectKey::new("system", "hook");
        let config = json!({ "service": { "name": "a", "namespace": "b", "path": "/p", "port": 444 } });
        let mut object = json!({ "webhooks": [
            { "name": "validate.x.external-secrets.io", "clientConfig": config },
            { "name": "validate.y.external-secrets.io", "clientConfig": { "url": "https://x/" } },
            { "name": "validate.example.org", "clientConfig": config },
        ] });
        let foreign = object["webhooks"][2].clone();
        assert!(configuration(&mut object, &service, "Q0E="));
        assert!(!configuration(&mut object, &service, "Q0E="));
        let first = &object["webhooks"][0]["clientConfig"];
        assert_eq!(
            first["service"],
            json!({ "name": "hook", "namespace": "system", "path": "/p", "port": 444 })
        );
        assert_eq!(object["webhooks"][1]["clientConfig"], json!({ "url": "https://x/", "caBundle": "Q0E=" }));
        assert_eq!(object["webhooks"][2], foreign);
        assert!(!configuration(&mut json!({ "webhooks": [{}, 1] }), &service, "Q0E="));
    }

    #[test]
    fn a_definition_is_patched_where_it_converts_by_webhook() {
        let service = ObjectKey::new("system", "hook");
        let none = json!({ "spec": { "conversion": { "strategy": "None" } } });
        assert_eq!(definition(&none, &service, "Q0E="), None);
        let mut object = json!({ "metadata": { "resourceVersion": "7" },
            "spec": { "conversion": { "strategy": "Webhook", "webhook": { "clientConfig": { "service": {} } } } } });
        let patch = definition(&object, &service, "Q0E=").unwrap();
        assert_eq!(patch["metadata"]["resourceVersion"], "7");
        let config = patch["spec"]["conversion"]["webhook"]["clientConfig"].clone();
        object["spec"]["conversion"]["webhook"]["clientConfig"] = config;
        assert_eq!(definition(&object, &service, "Q0E="), None);
    }

    #[test]
    fn endpoints_count_when_they_are_ready() {
        let slices = |ready: bool, addresses: Value| json!({ "items": [{ "endpoints": [{ "conditions": { "ready": ready }, "addresses": addresses }] }] });
        assert!(has_endpoints(&slices(true, json!(["10.0.0.1"]))));
        assert!(!has_endpoints(&slices(false, json!(["10.0.0.1"]))));
        assert!(!has_endpoints(&slices(true, json!([]))));
        assert!(!has_endpoints(&json!({})));
    }
}
