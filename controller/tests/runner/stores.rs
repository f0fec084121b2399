//! Stores on a real API server: their status, the Kubernetes provider, and how often a webhook is asked.

use std::sync::Arc;

use futures::StreamExt;
use kube::api::{Api, ApiResource, DeleteParams, DynamicObject, GroupVersionKind, Patch, PatchParams};
use sealops_controller::cluster::api::SecretApi;
use sealops_controller::cluster::reader::LiveReader;
use sealops_controller::external::{
    Connections, Freshness, Observer, StoreEnvironment, StoreHandle, StoreKey, StoreObject, StoreRules,
    Stores,
};
use sealops_crds::{ClusterSecretStore, CustomResource, ExternalSecret, PushSecret, SecretStore};
use sealops_formats::base64;
use sealops_providers::{
    Find, ProviderErrorKind, PushTarget, RemoteKey, RemoteSecret, RemoteValue, Validation,
};
use sealops_testenv::{ControlPlane, eventually};
use serde_json::{Value, json};

use super::harness::*;
use super::store_server::StoreServer;

fn api<T: CustomResource>(client: &kube::Client, namespace: Option<&str>) -> Api<DynamicObject> {
    let kind = GroupVersionKind::gvk(T::GROUP, T::VERSION, T::KIND);
    let resource = ApiResource::from_gvk_with_plural(&kind, T::PLURAL);
    match namespace {
        Some(namespace) => Api::namespaced_with(client.clone(), namespace, &resource),
        None => Api::all_with(client.clone(), &resource),
    }
}

/// Waits until `Ready` of a store has a status and reason, and returns the whole status.
async fn settled(api: &Api<DynamicObject>, name: &str, status: &str, reason: &str) -> anyhow::Result<Value> {
    eventually(&format!("store {name} is Ready={status} {reason}"), PATIENCE, async || {
        let object = api.get_opt(name).await.ok().flatten()?;
        let conditions = object.data.pointer("/status/conditions")?.as_array()?;
        let ready = conditions.iter().find(|condition| condition["type"] == "Ready")?;
        (ready["status"] == status && ready["reason"] == reason).then(|| object.data["status"].clone())
    })
    .await
}

const STORES: &str = r#"
apiVersion: external-secrets.io/v1
kind: SecretStore
metadata: {name: good, namespace: shop}
spec:
  provider: {fake: {data: [{key: k, value: v}]}}
---
apiVersion: external-secrets.io/v1
kind: SecretStore
metadata: {name: silenced, namespace: shop, annotations: {external-secrets.io/ignore-maintenance-checks: "true"}}
spec:
  refreshInterval: 1
  provider: {fake: {data: [{key: k, value: v}]}}
---
apiVersion: external-secrets.io/v1
kind: SecretStore
metadata: {name: unknown, namespace: shop}
spec:
  provider: {fake: {data: [{key: k, value: v}], validationResult: 1}}
---
apiVersion: external-secrets.io/v1
kind: SecretStore
metadata: {name: broken, namespace: shop}
spec:
  provider: {fake: {data: [{key: k, value: v}], validationResult: 2}}
---
apiVersion: external-secrets.io/v1
kind: SecretStore
metadata: {name: odd-interval, namespace: shop}
spec:
  refreshInterval: 1d
  provider: {fake: {data: [{key: k, value: v}]}}
---
apiVersion: external-secrets.io/v1
kind: SecretStore
metadata: {name: foreign, namespace: shop}
spec:
  provider: {gcpsm: {projectID: x}}
---
apiVersion: external-secrets.io/v1
kind: SecretStore
metadata: {name: other-class, namespace: shop}
spec:
  controller: other
  provider: {fake: {data: [{key: k, value: v}]}}
---
apiVersion: external-secrets.io/v1
kind: SecretStore
metadata: {name: ntlm, namespace: shop}
spec:
  provider:
    webhook:
      url: http://127.0.0.1:1
      auth: {ntlm: {usernameSecret: {name: a, key: b}, passwordSecret: {name: a, key: b}}}
---
apiVersion: external-secrets.io/v1
kind: SecretStore
metadata: {name: odd-timeout, namespace: shop}
spec:
  provider: {webhook: {url: "http://127.0.0.1:1", timeout: soon}}
---
apiVersion: external-secrets.io/v1
kind: SecretStore
metadata: {name: metadata-service, namespace: shop}
spec:
  provider: {webhook: {url: "http://169.254.169.254/latest/{{ .remoteRef.key }}"}}
---
apiVersion: external-secrets.io/v1
kind: SecretStore
metadata: {name: late, namespace: shop}
spec:
  provider:
    kubernetes:
      server: {url: "https://127.0.0.1:1"}
      auth: {token: {bearerToken: {name: late-token, key: token}}}
---
apiVersion: external-secrets.io/v1
kind: ClusterSecretStore
metadata: {name: shared}
spec:
  provider: {fake: {data: [{key: k, value: v}]}}
---
apiVersion: external-secrets.io/v1
kind: ClusterSecretStore
metadata: {name: referent}
spec:
  provider:
    kubernetes:
      server: {url: "https://127.0.0.1:1"}
      auth: {serviceAccount: {name: reader}}
"#;

#[test]
fn stores_say_whether_they_work() {
    run(async {
        let plane = control_plane().await?;
        let client = plane.client()?;
        plane.ensure_namespace("shop").await?;
        let controller = Controller::start(&plane, &[]).await?;
        plane.apply_manifests(STORES).await?;
        let own = api::<SecretStore>(&client, Some("shop"));
        let message = |status: &Value| status["conditions"][0]["message"].as_str().unwrap().to_owned();

        let status = settled(&own, "good", "True", "Valid").await?;
        assert_eq!(
            (message(&status).as_str(), &status["capabilities"]),
            ("store validated", &json!("ReadWrite"))
        );
        assert_eq!(event(&client, "shop", "good", "Valid").await?, "store validated");
        assert!(
            event(&client, "shop", "good", "StoreUnmaintained").await?.contains("isn't currently maintained")
        );
        settled(&own, "silenced", "True", "Valid").await?;
        let status = settled(&own, "unknown", "True", "ValidationUnknown").await?;
        assert_eq!(message(&status), "could not determine validation status");
        assert!(status.get("capabilities").is_none());
        assert_eq!(event(&client, "shop", "unknown", "ValidationUnknown").await?, "unable to validate");
        let status = settled(&own, "broken", "False", "InvalidProviderConfig").await?;
        assert_eq!(message(&status), "unable to validate store");
        let status = settled(&own, "odd-interval", "False", "InvalidStoreConfiguration").await?;
        assert!(message(&status).starts_with("spec.refreshInterval: "), "{status}");
        let status = settled(&own, "foreign", "False", "InvalidProviderConfig").await?;
        assert!(message(&status).contains("no provider \"gcpsm\""), "{status}");
        let status = settled(&own, "ntlm", "False", "InvalidProviderConfig").await?;
        assert_eq!(message(&status), "unable to create client: auth.ntlm is not supported");
        settled(&own, "odd-timeout", "False", "InvalidProviderConfig").await?;
        settled(&own, "metadata-service", "False", "InvalidProviderConfig").await?;
        let refused = event(&client, "shop", "metadata-service", "InvalidProviderConfig").await?;
        assert!(refused.contains("169.254.169.254") && refused.contains("policy"), "{refused}");
        let shared = api::<ClusterSecretStore>(&client, None);
        settled(&shared, "shared", "True", "Valid").await?;
        settled(&shared, "referent", "True", "Valid").await?;

        // The credential comes later: noticed at once, not at the next interval.
        let status = settled(&own, "late", "False", "InvalidProviderConfig").await?;
        assert_eq!(message(&status), "unable to create client");
        let why = event(&client, "shop", "late", "InvalidProviderConfig").await?;
        assert!(why.contains("secrets \"late-token\" not found"), "{why}");
        plane.apply_manifests("apiVersion: v1\nkind: Secret\nmetadata: {name: late-token, namespace: shop}\nstringData: {token: x}\n").await?;
        settled(&own, "late", "True", "ValidationUnknown").await?;

        // Another class is not touched.
        assert!(own.get("other-class").await?.data.get("status").is_none());
        for (name, value) in [("good", "True"), ("broken", "False")] {
            let series = format!(
                r#"secretstore_status_condition{{condition="Ready",name="{name}",namespace="shop",status="{value}"}}"#
            );
            assert_eq!(controller.metric(&series)?, 1.0, "{series}");
        }

        // Checked each second, and nothing is written where nothing is new.
        let mark = plane.audit().mark()?;
        let before =
            controller.metric(r#"sealops_reconcile_total{kind="SecretStore",result="unchanged"}"#)?;
        eventually("the store is checked again and again", PATIENCE, async || {
            let now = controller
                .metric(r#"sealops_reconcile_total{kind="SecretStore",result="unchanged"}"#)
                .ok()?;
            (now >= before + 4.0).then_some(())
        })
        .await?;
        let about = |name: &'static str| {
            move |entry: &sealops_testenv::AuditEntry| our_write(entry, "secretstores") && entry.name == name
        };
        assert_eq!(plane.audit().count(mark, about("silenced"))?, 0);

        // An edited store is checked at once.
        let fix = json!({ "spec": { "provider": { "fake": { "validationResult": 0 } } } });
        own.patch("broken", &PatchParams::default(), &Patch::Merge(&fix)).await?;
        settled(&own, "broken", "True", "Valid").await?;
        anyhow::Ok(())
    });
}

#[test]
fn a_store_is_held_while_a_push_has_to_be_deleted() {
    run(async {
        let plane = control_plane().await?;
        let client = plane.client()?;
        plane.ensure_namespace("shop").await?;
        let _controller = Controller::start(&plane, &[]).await?;
        plane
            .apply_manifests(
                r#"
apiVersion: external-secrets.io/v1
kind: SecretStore
metadata: {name: held, namespace: shop}
spec:
  provider: {fake: {data: []}}
---
apiVersion: external-secrets.io/v1alpha1
kind: PushSecret
metadata: {name: push, namespace: shop}
spec:
  refreshInterval: 1h
  deletionPolicy: Delete
  secretStoreRefs: [{name: held, kind: SecretStore}]
  selector: {secret: {name: source}}
"#,
            )
            .await?;
        let stores = api::<SecretStore>(&client, Some("shop"));
        let finalizers = async |wanted: &[&str]| {
            eventually(&format!("finalizers {wanted:?}"), PATIENCE, async || {
                let found = stores.get("held").await.ok()?.metadata.finalizers.unwrap_or_default();
                (found == wanted).then_some(())
            })
            .await
        };
        finalizers(&["secretstore.externalsecrets.io/finalizer"]).await?;
        api::<PushSecret>(&client, Some("shop")).delete("push", &DeleteParams::default()).await?;
        finalizers(&[]).await?;
        anyhow::Ok(())
    });
}

struct Nobody;

impl Observer for Nobody {
    fn called(&self, _: &str, _: &'static str, _: bool) {}
    fn breaker(&self, _: &StoreKey, _: bool) {}
}

/// A remote namespace with a Secret, and an account that may read and write there.
fn remote_side() -> String {
    r#"
apiVersion: v1
kind: ServiceAccount
metadata: {name: reader, namespace: shop}
---
apiVersion: rbac.authorization.k8s.io/v1
kind: Role
metadata: {name: reader, namespace: remote}
rules:
- {apiGroups: [""], resources: [secrets], verbs: [get, list, create, update, delete]}
---
apiVersion: rbac.authorization.k8s.io/v1
kind: RoleBinding
metadata: {name: reader, namespace: remote}
roleRef: {apiGroup: rbac.authorization.k8s.io, kind: Role, name: reader}
subjects: [{kind: ServiceAccount, name: reader, namespace: shop}]
---
apiVersion: v1
kind: Secret
metadata: {name: source, namespace: remote, labels: {team: blue}, annotations: {note: hello}}
data: {user: YW1iZXI=, bin: /wA=}
---
apiVersion: v1
kind: Secret
metadata: {name: source-two, namespace: remote, labels: {team: blue}}
data: {k: dg==}
"#
    .to_owned()
}

struct Bench<'a> {
    plane: &'a ControlPlane,
    all: Connections,
    reader: LiveReader,
}

impl Bench<'_> {
    fn store(&self, name: &str, namespace: &str, auth: Value) -> StoreObject {
        let ca = base64::encode_public(self.plane.ca_pem().as_bytes());
        let mut kubernetes = json!({
            "remoteNamespace": namespace,
            "server": { "url": self.plane.url(), "caBundle": ca },
        });
        kubernetes.as_object_mut().unwrap().extend(auth.as_object().unwrap().clone());
        let mut store = SecretStore::default();
        store.metadata.name = Some(name.to_owned());
        store.metadata.namespace = Some("shop".to_owned());
        store.spec.provider = Some(serde_json::from_value(json!({ "kubernetes": kubernetes })).unwrap());
        store.into()
    }

    async fn open(&self, store: &StoreObject) -> anyhow::Result<Arc<dyn StoreHandle>> {
        Ok(self.all.open(store, "shop", &self.reader).await?)
    }

    async fn get(&self, store: &StoreObject, name: &str) -> Result<Arc<RemoteSecret>, ProviderErrorKind> {
        let handle = self.all.open(store, "shop", &self.reader).await.map_err(|error| error.kind)?;
        let remote = RemoteKey { key: name.to_owned(), version: None };
        handle.get(&remote, None, Freshness::NOW).await.map_err(|error| error.kind)
    }
}

fn entry(secret: &RemoteSecret, name: &str) -> Option<Vec<u8>> {
    match &secret.value {
        RemoteValue::Entries(entries) => entries.get(name).map(|value| value.expose().to_vec()),
        RemoteValue::Bytes(_) => None,
    }
}

#[test]
fn secrets_of_another_namespace_by_every_login() {
    run(async {
        let plane = control_plane().await?;
        let client = plane.client()?;
        for namespace in ["shop", "remote", "empty"] {
            plane.ensure_namespace(namespace).await?;
        }
        plane.apply_manifests(&remote_side()).await?;
        let token = plane.service_account_token("shop", "reader").await?;
        let kubeconfig = format!(
            "current-context: c\ncontexts: [{{name: c, context: {{cluster: c, user: u}}}}]\nusers: [{{name: u, user: \
             {{token: {token}}}}}]\nclusters: [{{name: c, cluster: {{server: '{}', certificate-authority-data: {}}}}}]\n",
            plane.url(),
            base64::encode_public(plane.ca_pem().as_bytes())
        );
        let logins = json!({ "apiVersion": "v1", "kind": "Secret",
            "metadata": { "name": "logins", "namespace": "shop" },
            "stringData": { "token": token, "bad": "wrong", "kubeconfig": kubeconfig } });
        plane.apply_manifests(&logins.to_string()).await?;
        let environment = StoreEnvironment { network: true, ..StoreEnvironment::default() };
        let all = Connections::new(StoreRules::default(), environment, Arc::new(Nobody));
        let bench = Bench { plane: &plane, all, reader: LiveReader::new(SecretApi::new(client.clone())) };
        let by_token =
            |key: &str| json!({ "auth": { "token": { "bearerToken": { "name": "logins", "key": key } } } });
        let by_account = json!({ "auth": { "serviceAccount": { "name": "reader" } } });

        for (name, auth) in [
            ("token", by_token("token")),
            ("account", by_account.clone()),
            ("kubeconfig", json!({ "authRef": { "name": "logins", "key": "kubeconfig" } })),
        ] {
            let store = bench.store(name, "remote", auth);
            let (checked, _) = bench.all.check(&store, &bench.reader).await;
            assert_eq!(checked.result, Ok(Validation::Ready), "{name}");
            let found = bench.get(&store, "source").await.map_err(anyhow::Error::new)?;
            assert_eq!(entry(&found, "user").unwrap(), b"amber", "{name}");
            assert_eq!(entry(&found, "bin").unwrap(), [0xff, 0], "{name}");
            assert!(found.version.is_some());
        }

        let wrong = bench.store("wrong", "remote", by_token("bad"));
        let (checked, _) = bench.all.check(&wrong, &bench.reader).await;
        let unclear = "could not verify if client is valid: the login was refused: Unauthorized";
        assert_eq!(checked.result, Ok(Validation::Unclear(unclear.to_owned())));
        assert!(matches!(bench.get(&wrong, "source").await, Err(ProviderErrorKind::Unauthenticated(_))));
        let denied = bench.store("denied", "empty", by_account.clone());
        let (checked, _) = bench.all.check(&denied, &bench.reader).await;
        assert!(
            format!("{:?}", checked.result.unwrap_err()).contains("client is not allowed to get secrets")
        );
        assert!(matches!(bench.get(&denied, "source").await, Err(ProviderErrorKind::Denied(_))));

        let store = bench.store("account", "remote", by_account);
        for missing in ["none", "../../kube-system/secrets/x", "a/b", ".."] {
            assert_eq!(
                bench.get(&store, missing).await.err(),
                Some(ProviderErrorKind::NotFound),
                "{missing}"
            );
        }
        let handle = bench.open(&store).await?;
        let remote = RemoteKey { key: "source".into(), version: None };
        let metadata = handle.metadata(&remote, Freshness::NOW).await?;
        assert_eq!(
            metadata.expose_str(),
            Some(r#"{"annotations":{"note":"hello"},"labels":{"team":"blue"}}"#)
        );
        let find = async |name: Option<&str>, labels: &[(&str, &str)]| {
            let tags = labels.iter().map(|(key, value)| ((*key).to_owned(), (*value).to_owned())).collect();
            let find = Find { name: name.map(str::to_owned), tags, path: None };
            let found = handle.find(&find, Freshness::NOW).await?;
            anyhow::Ok(found.keys().cloned().collect::<Vec<_>>())
        };
        assert_eq!(find(Some("two$"), &[]).await?, ["source-two"]);
        assert_eq!(find(None, &[("team", "blue")]).await?, ["source", "source-two"]);
        assert_eq!(
            find(Some("two"), &[("team", "blue")]).await?,
            ["source", "source-two"],
            "labels go first"
        );
        assert!(find(None, &[("team", "red")]).await?.is_empty());
        assert!(find(None, &[]).await.is_err());

        // Pushing: an entry, a whole Secret, the same again, deleting.
        let writer = handle.writer().unwrap();
        let target = |property: Option<&str>, key: Option<&str>| PushTarget {
            key: "pushed".into(),
            property: property.map(str::to_owned),
            secret_key: key.map(str::to_owned),
            ..PushTarget::default()
        };
        writer.put(&target(Some("a"), Some("x")), &"one".into()).await?;
        writer.put(&target(None, None), &r#"{"b":"two"}"#.into()).await?;
        let made = secret(&client, "remote", "pushed").await?;
        assert_eq!(
            data(&made),
            [("a", "one"), ("b", "two")].map(|(k, v)| (k.to_owned(), v.as_bytes().to_vec())).into()
        );
        writer.put(&target(None, None), &r#"{"b":"two"}"#.into()).await?;
        let again = secret(&client, "remote", "pushed").await?;
        assert_eq!(made.metadata.resource_version, again.metadata.resource_version, "nothing to do");
        assert!(writer.exists(&target(Some("a"), None)).await?);
        writer.delete(&target(Some("a"), None)).await?;
        assert!(!writer.exists(&target(Some("a"), None)).await?);
        writer.delete(&target(Some("b"), None)).await?;
        assert!(!writer.exists(&target(None, None)).await?, "the last entry takes the Secret along");
        writer.delete(&target(None, None)).await?;
        anyhow::Ok(())
    });
}

/// Hash of an object without labels and annotations.
const NO_LABELS: &str = "f47fe3c0b255b6dd8047cdffa772587bb829efe7a1cb70febeda2eb2";

fn canary() -> String {
    "canary-7b2f9d61".to_owned()
}

/// The goal of the issue: calls counted on the server's side.
#[test]
fn a_thousand_objects_ask_for_a_hundred_keys_once() {
    const OBJECTS: usize = 1000;
    const KEYS: usize = 100;
    run(async {
        let server = StoreServer::start(&canary())?;
        let plane = control_plane().await?;
        let client = plane.client()?;
        plane.ensure_namespace("shop").await?;
        let controller = Controller::start(&plane, &[]).await?;
        let store = json!({ "apiVersion": SecretStore::API_VERSION, "kind": "SecretStore",
            "metadata": { "name": "web", "namespace": "shop" },
            "spec": { "provider": { "webhook": {
                "url": format!("{}/{{{{ .remoteRef.key }}}}", server.url()),
                "result": { "jsonPath": "$.v" },
            } } } });
        plane.apply_manifests(&store.to_string()).await?;
        settled(&api::<SecretStore>(&client, Some("shop")), "web", "True", "Valid").await?;
        let external = api::<ExternalSecret>(&client, Some("shop"));
        let object = |number: usize| {
            json!({ "apiVersion": ExternalSecret::API_VERSION, "kind": "ExternalSecret",
                "metadata": { "name": format!("app-{number}"), "namespace": "shop" },
                "spec": { "refreshInterval": "1h", "secretStoreRef": { "name": "web" },
                    "data": [{ "secretKey": "x", "remoteRef": { "key": format!("k{}", number % KEYS) } }] } })
        };
        let creating = (0..OBJECTS).map(|number| create(&external, object(number)));
        let created: Vec<_> = futures::stream::iter(creating).buffer_unordered(8).collect().await;
        assert!(created.iter().all(Result::is_ok));
        eventually("every object is synchronised", PATIENCE * 5, async || {
            let list = external.list(&kube::api::ListParams::default()).await.ok()?;
            let ready = list.items.iter().filter(|object| {
                object.data.pointer("/status/conditions/0/status").is_some_and(|status| status == "True")
            });
            (ready.count() == OBJECTS).then_some(())
        })
        .await?;
        let requests = server.requests();
        println!("{} requests for {} keys, {OBJECTS} objects", server.total(), requests.len());
        assert_eq!(requests.len(), KEYS);
        assert!(server.total() * 10 <= KEYS * 11, "{} requests for {KEYS} keys", server.total());
        let made = secret(&client, "shop", "app-42").await?;
        assert_eq!(data(&made)["x"], format!("{}-k42", canary()).into_bytes());
        let counted = controller.metric(
            r#"externalsecret_provider_api_calls_count{call="HTTPReq",provider="Webhook",status="success"}"#,
        )?;
        assert_eq!(counted, server.total() as f64);

        // One that asks for it asks the store.
        let before = server.total();
        let force = json!({ "metadata": { "annotations": { "force-sync": "1" } } });
        external.patch("app-1", &PatchParams::default(), &Patch::Merge(&force)).await?;
        eventually("force-sync asks the store", PATIENCE, async || (server.total() > before).then_some(()))
            .await?;

        // The store fails: objects that are forced to ask are held back together, and Secrets stay.
        server.answer_with(500);
        let before = server.total();
        for number in 0..200 {
            let force = json!({ "metadata": { "annotations": { "force-sync": "2" } } });
            external.patch(&format!("app-{number}"), &PatchParams::default(), &Patch::Merge(&force)).await?;
        }
        let stores = api::<SecretStore>(&client, Some("shop"));
        let open = async |wanted: bool| {
            eventually(&format!("CircuitOpen is {wanted}"), PATIENCE * 2, async || {
                let store = stores.get("web").await.ok()?;
                let conditions = store.data.pointer("/status/conditions")?.as_array()?.clone();
                let found = conditions.iter().any(|condition| condition["type"] == "CircuitOpen");
                (found == wanted).then_some(())
            })
            .await
        };
        open(true).await?;
        assert!(server.total() - before < 60, "{} calls to a store that is down", server.total() - before);
        assert_eq!(
            data(&secret(&client, "shop", "app-42").await?)["x"],
            format!("{}-k42", canary()).into_bytes()
        );
        server.answer_with(0);
        let mut tries = 0;
        eventually("a forced object is synchronised again", PATIENCE * 4, async || {
            tries += 1;
            let force = json!({ "metadata": { "annotations": { "force-sync": format!("again-{tries}") } } });
            external.patch("app-7", &PatchParams::default(), &Patch::Merge(&force)).await.ok()?;
            let object = external.get("app-7").await.ok()?;
            let ready = object.data.pointer("/status/conditions/0/status")? == "True";
            let version = object.data.pointer("/status/syncedResourceVersion")?.as_str()?.to_owned();
            (ready && !version.ends_with(NO_LABELS)).then_some(())
        })
        .await?;
        open(false).await?;
        assert!(!controller.log().contains("canary"), "the log holds a value");
        anyhow::Ok(())
    });
}
