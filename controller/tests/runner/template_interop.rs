//! 200 generated SealedSecrets with templates: the real controller 0.40.0 and ours make the same Secret, or fail with the
//! same words.

use std::collections::BTreeMap;
use std::sync::Arc;

use anyhow::{Context, Result, ensure};
use futures::StreamExt;
use k8s_openapi::api::core::v1::Secret;
use kube::api::{Api, ListParams};
use sealops_controller::sealed::{OpenOptions, open};
use sealops_crds::SealedSecret;
use sealops_crypto::sealing::{Certificate, RingKey, SealingKey, SealingKeyRing};
use sealops_testenv::{SealedSecretsController, eventually};
use serde_json::{Value, json};

use super::harness::*;

const OBJECTS: usize = 200;

/// Templates over the entries `user`, `pass`, `raw` (any bytes) and the plain `host`.
const TEMPLATES: &[&str] = &[
    "plain text, no action",
    "{{ .user }}:{{ .pass }}@{{ .host }}",
    "postgres://{{ .user | urlquery }}:{{ .pass | urlquery }}@{{ .host }}/db",
    "{{ .user | upper }} {{ .pass | lower | quote }}",
    "{{ .raw | b64enc }}",
    "{{ .raw }}",
    "{{ .raw | sha256sum }}-{{ .user | sha1sum }}-{{ .pass | adler32sum }}",
    "{{ index . \"user\" }}{{ index . \"nobody\" }}",
    "{{ .nobody }}",
    "{{ .nobody | default \"fallback\" }}",
    "{{ if .nobody }}a{{ else if .user }}b{{ else }}c{{ end }}",
    "{{ range $key, $value := . }}{{ $key }}={{ len $value }};{{ end }}",
    "{{ with .user }}{{ . }}{{ end }}{{ with .nobody }}x{{ else }}y{{ end }}",
    "{{- .user -}}   \n  {{- .pass }}  ",
    "{{/* a comment */}}{{ printf \"%q %5d %-5s|%x\" .user 42 \"ab\" .pass }}",
    "{{ toJson . }}",
    "{{ dict \"a\" .user \"b\" (list 1 2 .pass) | toPrettyJson }}",
    "{{ define \"t\" }}<{{ . }}>{{ end }}{{ template \"t\" .user }}{{ template \"t\" 5 }}",
    "{{ range until 5 }}{{ if eq . 3 }}{{ break }}{{ end }}{{ . }}{{ end }}",
    "{{ range $i, $part := splitList \".\" .host }}{{ $i }}{{ $part }} {{ end }}",
    "{{ .pass | trunc 3 }}{{ .pass | trunc -3 }}{{ substr 1 3 .pass }}",
    "{{ repeat 3 .user | nospace | indent 2 }}",
    "{{ regexReplaceAll \"[aeiou]\" .user \"<$0>\" }}",
    "{{ ternary .user .pass (eq .host \"db.test\") }}",
    "{{ .user | hasPrefix \"a\" }} {{ contains \"b\" .pass }} {{ and .user .nobody }}",
    "{{ add 1 2 }} {{ mul 3 4 }} {{ div 7 2 }} {{ mod 7 4 }} {{ max 1 9 3 }} {{ round 3.14159 2 }}",
    "{{ $x := 1 }}{{ range until 4 }}{{ $x = mul $x 2 }}{{ end }}{{ $x }}",
    "{{ eq .user \"amber\" }}{{ ne 1 2 }}{{ lt 1 2 }}{{ len .user }}{{ not true }}",
    "{{ coalesce .nobody \"\" .user }}{{ empty .nobody }}",
    "{{ sortAlpha (list \"c\" \"a\" \"b\") | join \",\" }}{{ list 1 2 3 | reverse }}",
    "{{ snakecase \"FirstName\" }} {{ camelcase \"first_name\" }} {{ title .user }} {{ initials \"a b\" }}",
    "{{ semver \"1.2.3\" }} {{ semverCompare \"^1.2\" \"1.9.0\" }}",
    "{{ b64dec \"YWJj\" }}{{ b32enc .user }}",
    "{{ print .user 1 2 .pass }}{{ println 1 \"a\" }}{{ html \"<a>\" }}{{ js \"'\" }}",
    "{{ date \"2006-01-02\" 0 }}",
    "{{ derivePassword 1 \"long\" .pass .user .host }}",
    // These fail.
    "{{ .user",
    "{{ nonsense .user }}",
    "{{ .nobody | upper }}",
    "{{ fail \"on purpose\" }}",
    "{{ include \"x\" . }}",
    "{{ slice \"abc\" 1 2 }}",
    "{{ template \"nowhere\" . }}",
    "{{ keys . }}",
    "{{ index .user \"a\" }}",
    "{{ div 1 0 }}",
    "{{ lt .user 1 }}",
    "{{ if }}x{{ end }}",
    "{{ upper }}",
];
/// The first template that fails; an object has one of them at most, since upstream's order of errors is random.
const FIRST_FAILING: usize = 36;

fn generate(number: usize, certificate: &Certificate) -> Value {
    let raw = bytes(number as u64, number % 40);
    let name = format!("template-{number:03}");
    let user: &[u8] = [b"amber".as_slice(), b"", "Ünïcode ☂".as_bytes(), b"a\"b'c<d>&e"][number % 4];
    let draft = Draft::new("shop", &name, vec![("user", user), ("pass", b"fake-pass-1"), ("raw", &raw)]);
    let mut object = draft.sealed(certificate);
    let mut templates = BTreeMap::new();
    templates.insert("host".to_owned(), json!(["db.test", "a.b.example.test"][number % 2]));
    templates.insert("first".to_owned(), json!(TEMPLATES[number % TEMPLATES.len()]));
    for (at, key) in ["second", "third"].into_iter().enumerate() {
        templates.insert(key.to_owned(), json!(TEMPLATES[(number * 7 + at * 11) % FIRST_FAILING]));
    }
    match number % 10 {
        3 => templates.insert("user".into(), json!("a template beside a sealed value: {{ .host }}")),
        6 => templates.insert("pass".into(), Value::Null),
        9 => templates.insert("raw".into(), json!("{{ .user }}")),
        _ => None,
    };
    object["spec"]["template"]["data"] = json!(templates);
    object["spec"]["template"]["metadata"]["labels"] = json!({ "n": "{{ .user }}", "templates": "1" });
    object["spec"]["template"]["metadata"]["labels"]["n"] = json!(format!("n{number}"));
    object
}

/// What became of an object: its data, or the message of its condition.
type Result_ = std::result::Result<BTreeMap<String, Vec<u8>>, String>;

async fn keys(client: &kube::Client) -> Result<SealingKeyRing> {
    let list = ListParams::default().labels("sealedsecrets.bitnami.com/sealed-secrets-key=active");
    let secrets = Api::<Secret>::namespaced(client.clone(), HOME).list(&list).await?;
    let mut ring = Vec::new();
    for secret in secrets {
        let pem = secret.data.unwrap_or_default().remove("tls.key").context("no tls.key")?;
        ring.push(RingKey { key: Arc::new(SealingKey::from_pem(&pem.0.into())?), order: 0 });
    }
    ensure!(!ring.is_empty(), "the controller has no key");
    Ok(SealingKeyRing::new(ring))
}

async fn theirs(client: &kube::Client) -> Result<BTreeMap<String, Result_>> {
    let api = sealed_api(client, "shop");
    let secrets = Api::<Secret>::namespaced(client.clone(), "shop");
    eventually("the real controller has judged every object", PATIENCE * 4, async || {
        let objects = api.list(&ListParams::default()).await.ok()?;
        let mut found = BTreeMap::new();
        let made: BTreeMap<String, Secret> = secrets
            .list(&ListParams::default())
            .await
            .ok()?
            .into_iter()
            .filter_map(|secret| Some((secret.metadata.name.clone()?, secret)))
            .collect();
        for object in objects {
            let name = object.metadata.name.clone()?;
            let condition = object.data.pointer("/status/conditions/0")?;
            let result = match condition["status"].as_str()? {
                "True" => Ok(data(made.get(&name)?)),
                _ => Err(condition["message"].as_str()?.to_owned()),
            };
            found.insert(name, result);
        }
        (found.len() == OBJECTS).then_some(found)
    })
    .await
}

#[test]
fn the_real_controller_renders_the_same() {
    run(async {
        let plane = control_plane().await?;
        let client = plane.client()?;
        plane.ensure_namespace("shop").await?;
        let flags = ["--key-size=2048", "--kubeclient-qps=5000", "--kubeclient-burst=5000"];
        let real = SealedSecretsController::start(&plane, HOME, &flags).await?;
        let certificate = Certificate::from_pem(real.certificate_pem()?.as_bytes())?;
        let ring = keys(&client).await?;
        let objects: Vec<Value> = (0..OBJECTS).map(|number| generate(number, &certificate)).collect();
        futures::stream::iter(&objects)
            .map(|object| create_one(&client, object))
            .buffer_unordered(8)
            .collect::<Vec<_>>()
            .await
            .into_iter()
            .collect::<Result<Vec<_>>>()?;
        let theirs = theirs(&client).await?;
        let (mut differences, mut failed) = (Vec::new(), 0);
        // As the API server stored them: upstream's definition lets it drop null entries.
        let stored = sealed_api(&client, "shop").list(&ListParams::default()).await?;
        for object in stored {
            let object = serde_json::to_value(object)?;
            let sealed: SealedSecret = serde_json::from_value(object.clone())?;
            let ours: Result_ = open(&sealed, &ring, None, OpenOptions::default())
                .map(|opened| {
                    let data = opened.secret.data.iter();
                    data.map(|(key, value)| (key.clone(), value.expose().to_vec())).collect()
                })
                .map_err(|failure| failure.message);
            let name = object["metadata"]["name"].as_str().context("no name")?;
            failed += usize::from(ours.is_err());
            if theirs.get(name) != Some(&ours) {
                let text = |result: &Result_| match result {
                    Ok(data) => data
                        .iter()
                        .map(|(key, value)| format!("{key}={}", String::from_utf8_lossy(value)))
                        .collect::<Vec<_>>()
                        .join("; "),
                    Err(message) => format!("failed: {message}"),
                };
                differences.push(format!(
                    "{name}: {}\n  ours:   {}\n  theirs: {}",
                    object["spec"]["template"]["data"],
                    text(&ours),
                    theirs.get(name).map_or_else(String::new, text)
                ));
            }
        }
        assert!(differences.is_empty(), "{} differences\n{}", differences.len(), differences.join("\n"));
        println!(
            "the real controller and ours: {OBJECTS} objects with templates, {failed} fail, 0 differences"
        );
        Ok(())
    });
}

async fn create_one(client: &kube::Client, object: &Value) -> Result<()> {
    create(&sealed_api(client, "shop"), object.clone()).await.map(drop)
}
