//! Upstream's chart with our program in its two side Deployments: the webhook answers as the real one does.
#![allow(clippy::print_stdout, reason = "the run shows what it counted")]

mod inputs;

use std::collections::BTreeSet;
use std::net::SocketAddr;
use std::path::Path;
use std::process::Command;

use anyhow::{Context, Result};
use k8s_openapi::api::core::v1::Secret;
use kube::api::{Api, PostParams};
use sealops_formats::manifest;
use sealops_testenv::{ControlPlane, Parts, Process, eventually, free_port, http_get, run_peer};
use serde_json::{Value, json};
use tempfile::TempDir;

use self::inputs::{Input, inputs};
use super::chart_external::without_dependencies;
use super::cluster_kinds::api;
use super::eso_process::program;
use super::harness::*;

const SYSTEM: &str = "system";
const SERVICE: &str = "external-secrets-webhook";
/// The user of the cert controller.
const KEEPER: &str = "system:serviceaccount:system:external-secrets-cert-controller";

/// The objects of upstream's chart that concern webhook and certificate.
fn chart() -> Result<Vec<Value>> {
    let chart = without_dependencies(Parts::locate()?.path("external-secrets-chart")?)?;
    let mut command: Command = Parts::locate()?.command("helm")?;
    command.args(["template", "external-secrets"]).arg(chart.path());
    command.args(["--namespace", SYSTEM, "--set", "installCRDs=false"]);
    command.env_clear().env("HOME", "/nonexistent");
    let text = run_peer(command, b"", PATIENCE)?.text()?;
    let documents = manifest::parse(text.as_bytes())?;
    let objects = documents.iter().map(|document| Ok(document.root.read::<Value>()?));
    let objects: Vec<Value> = objects.collect::<Result<_>>()?;
    let is_side = |object: &Value| {
        let name = object["metadata"]["name"].as_str().unwrap_or_default();
        name.contains("webhook") || name.contains("cert-controller") || name.ends_with("-validate")
    };
    Ok(objects.into_iter().filter(is_side).collect())
}

/// The arguments of a Deployment's container.
fn arguments(objects: &[Value], name: &str) -> Result<Vec<String>> {
    let found = objects
        .iter()
        .find(|object| object["kind"] == "Deployment" && object["metadata"]["name"] == name)
        .with_context(|| format!("the chart has no Deployment {name}"))?;
    let arguments = found.pointer("/spec/template/spec/containers/0/args").and_then(Value::as_array);
    let texts = arguments.into_iter().flatten().filter_map(|value| value.as_str().map(str::to_owned));
    Ok(texts.collect())
}

/// A running side process and the address of its probes.
struct Side {
    process: Process,
    probes: SocketAddr,
    _folder: TempDir,
}

impl Side {
    fn start(mut command: Command, name: &str) -> Result<Self> {
        let folder = tempfile::tempdir()?;
        let (probes, metrics) = (free_port()?, free_port()?);
        command.arg(format!("--healthz-addr=127.0.0.1:{probes}"));
        command.arg(format!("--metrics-addr=127.0.0.1:{metrics}"));
        let process = Process::spawn(name, command, folder.path())?;
        Ok(Self { process, probes: local(probes), _folder: folder })
    }

    fn ready(&self) -> bool {
        http_get(self.probes, "/readyz", &[]).is_ok_and(|answer| answer.status == 200)
    }

    async fn wait_ready(&mut self) -> Result<()> {
        let probes = self.probes;
        self.process
            .wait_until_async(PATIENCE * 3, async || {
                http_get(probes, "/readyz", &[]).is_ok_and(|answer| answer.status == 200)
            })
            .await
    }
}

struct Scene {
    plane: ControlPlane,
    objects: Vec<Value>,
    port: u16,
    certificates: TempDir,
    programs: TempDir,
}

impl Scene {
    /// Everything of the chart but its Deployments. What stands for the pods: a Service that leads to this machine, and
    /// an endpoint that is ready.
    async fn set_up() -> Result<Self> {
        let plane = control_plane().await?;
        for namespace in [SYSTEM, "shop"] {
            plane.ensure_namespace(namespace).await?;
        }
        let (mut objects, port) = (chart()?, free_port()?);
        for object in &mut objects {
            let hooks = object.get_mut("webhooks").and_then(Value::as_array_mut);
            for hook in hooks.into_iter().flatten() {
                hook["clientConfig"]["service"]["port"] = json!(port);
                hook["failurePolicy"] = json!("Fail");
            }
        }
        for object in &objects {
            if !matches!(object["kind"].as_str(), Some("Deployment" | "Service")) {
                plane.apply_manifests(&object.to_string()).await?;
            }
        }
        let metadata = json!({ "name": SERVICE, "namespace": SYSTEM });
        let service = json!({ "apiVersion": "v1", "kind": "Service", "metadata": metadata,
            "spec": { "type": "ExternalName", "externalName": "127.0.0.1" } });
        let slice = json!({ "apiVersion": "discovery.k8s.io/v1", "kind": "EndpointSlice",
            "metadata": { "name": SERVICE, "namespace": SYSTEM, "labels": { "kubernetes.io/service-name": SERVICE } },
            "addressType": "IPv4", "ports": [{ "name": "webhook", "port": port }],
            "endpoints": [{ "addresses": ["10.99.0.1"], "conditions": { "ready": true } }] });
        for object in [service, slice] {
            plane.apply_manifests(&object.to_string()).await?;
        }
        let (certificates, programs) = (tempfile::tempdir()?, tempfile::tempdir()?);
        Ok(Self { plane, objects, port, certificates, programs })
    }

    /// Ours, under upstream's name, with the arguments of the chart's Deployment.
    fn command(&self, deployment: &str) -> Result<Command> {
        let mut command = Command::new(program(self.programs.path())?);
        command.env_clear().args(arguments(&self.objects, deployment)?);
        Ok(command)
    }

    async fn cert_controller(&self) -> Result<Side> {
        let mut command = self.command("external-secrets-cert-controller")?;
        let account = "external-secrets-cert-controller";
        command.env("KUBECONFIG", self.plane.service_account_kubeconfig(SYSTEM, account).await?);
        Side::start(command, "certcontroller")
    }

    /// No kubeconfig: it has nobody to ask.
    fn webhook(&self) -> Result<Side> {
        let mut command = self.command("external-secrets-webhook")?;
        self.place(&mut command);
        Side::start(command, "webhook")
    }

    fn real_webhook(&self) -> Result<Side> {
        let mut command = Parts::locate()?.command("external-secrets")?;
        command.env_clear().args(arguments(&self.objects, "external-secrets-webhook")?);
        command.env("KUBECONFIG", self.plane.kubeconfig_for("real-webhook", &["system:masters"])?);
        self.place(&mut command);
        Side::start(command, "real-webhook")
    }

    fn place(&self, command: &mut Command) {
        command.arg(format!("--cert-dir={}", self.certificates.path().display()));
        command.arg(format!("--port={}", self.port));
    }

    /// What the kubelet does: the entries of the Secret as files.
    async fn mount(&self) -> Result<()> {
        let secrets = Api::<Secret>::namespaced(self.plane.client()?, SYSTEM);
        let entries = eventually("the Secret has a certificate", PATIENCE, async || {
            let entries = data(&secrets.get_opt(SERVICE).await.ok()??);
            entries.contains_key("tls.crt").then_some(entries)
        })
        .await?;
        for (name, value) in entries {
            std::fs::write(self.certificates.path().join(name), value)?;
        }
        Ok(())
    }

    /// Returns what the API server says to each input: `None` admits it.
    async fn answers(&self, inputs: &[Input]) -> Result<Vec<Option<String>>> {
        let client = self.plane.client()?;
        let dry = PostParams { dry_run: true, field_manager: None };
        let mut answers = Vec::new();
        for input in inputs {
            let kind = input.object["kind"].as_str().unwrap_or_default();
            let namespace = (kind != "ClusterSecretStore").then_some("shop");
            let object = serde_json::from_value(input.object.clone())?;
            answers.push(match api(&client, kind, namespace).create(&dry, &object).await {
                Ok(_) => None,
                Err(kube::Error::Api(status)) => Some(status.message.clone()),
                Err(error) => return Err(error.into()),
            });
        }
        Ok(answers)
    }
}

/// The webhook of the API server's answer, without what goes before its own words.
fn words(message: &str) -> Option<&str> {
    let rest = message.strip_prefix("admission webhook \"validate.")?;
    rest.split_once("external-secrets.io\" denied the request: ").map(|(_, words)| words)
}

#[test]
fn upstreams_chart_works_with_this_program_and_the_real_webhook_says_the_same() {
    run(async {
        let scene = Scene::set_up().await?;
        let inputs = inputs();
        let mut webhook = scene.webhook()?;
        let mut keeper = scene.cert_controller().await?;
        eventually("the webhook lives", PATIENCE, async || {
            http_get(webhook.probes, "/healthz", &[]).ok().filter(|answer| answer.status == 200)
        })
        .await?;
        assert!(!webhook.ready(), "there is no certificate yet");
        let closed = scene.answers(&inputs[..1]).await?;
        assert!(
            closed[0].as_deref().is_some_and(|text| text.contains("failed calling webhook")),
            "{closed:?}"
        );

        scene.mount().await?;
        webhook.wait_ready().await?;
        keeper.wait_ready().await?;
        let ours = scene.answers(&inputs).await?;
        for (input, said) in inputs.iter().zip(&ours) {
            let said = said.as_deref().map(|text| words(text).unwrap_or(text));
            assert_eq!(said, input.refused.as_deref(), "{}", input.object);
        }
        assert!(webhook.process.terminate(PATIENCE)?.success(), "{}", webhook.process.log()?);

        let mut real = scene.real_webhook()?;
        real.wait_ready().await?;
        let theirs = scene.answers(&inputs).await?;
        let mut differences = Vec::new();
        for ((input, ours), theirs) in inputs.iter().zip(&ours).zip(&theirs) {
            if input.newer {
                assert_ne!(ours, theirs, "not newer than 0.20.4: {}", input.object);
            } else if ours != theirs {
                differences.push(format!("{}\n  ours {ours:?}\n  theirs {theirs:?}", input.object));
            }
        }
        assert!(differences.is_empty(), "{} differ:\n{}", differences.len(), differences.join("\n"));
        let refused = theirs.iter().flatten().count();
        println!("admission: {} inputs, the real webhook refuses {refused}; same words", inputs.len());
        assert!(refused > 30 && inputs.len() - refused > 10);
        assert!(keeper.process.terminate(PATIENCE)?.success(), "{}", keeper.process.log()?);
        Ok(())
    });
}

#[test]
fn the_cert_controller_uses_few_rights_and_repairs_what_others_undo() {
    run(async {
        let scene = Scene::set_up().await?;
        let client = scene.plane.client()?;
        let mut keeper = scene.cert_controller().await?;
        keeper.wait_ready().await?;
        scene.mount().await?;
        let bundle = std::fs::read(scene.certificates.path().join("ca.crt"))?;
        let configurations = Api::<Configuration>::all(client.clone());
        let has_bundle = async |name: &str| {
            let found = configurations.get(name).await.ok()?;
            let hooks = found.webhooks?;
            let right = |hook: &k8s_openapi::api::admissionregistration::v1::ValidatingWebhook| {
                hook.client_config.ca_bundle.as_ref().is_some_and(|own| own.0 == bundle)
            };
            hooks.iter().all(right).then_some(())
        };
        for name in ["secretstore-validate", "externalsecret-validate"] {
            has_bundle(name).await.context("the authority is in the configuration")?;
        }
        // As an upgrade of the chart does: far from the interval.
        for object in scene.objects.iter().filter(|object| object["webhooks"].is_array()) {
            let mut object = object.clone();
            for hook in object["webhooks"].as_array_mut().into_iter().flatten() {
                hook["clientConfig"]["caBundle"] = json!("");
            }
            let name = object["metadata"]["name"].as_str().unwrap_or_default().to_owned();
            configurations
                .replace(&name, &PostParams::default(), &with_version(&configurations, object).await?)
                .await?;
            eventually("the authority is back", PATIENCE, async || has_bundle(&name).await).await?;
        }
        let expected = [
            "get customresourcedefinitions.apiextensions.k8s.io ",
            "get secrets. external-secrets-webhook",
            "list endpointslices.discovery.k8s.io ",
            "list validatingwebhookconfigurations.admissionregistration.k8s.io ",
            "update secrets. external-secrets-webhook",
            "update validatingwebhookconfigurations.admissionregistration.k8s.io ",
            "watch validatingwebhookconfigurations.admissionregistration.k8s.io ",
        ];
        // A watch is in the log a moment after it has begun.
        eventually("these rights are used and no others", PATIENCE, async || {
            let entries = scene.plane.audit().since_start().ok()?;
            let own = entries.iter().filter(|entry| entry.user == KEEPER);
            let mut used = BTreeSet::new();
            for entry in own {
                assert_ne!(entry.code, 403, "{} {} is refused", entry.verb, entry.request_uri);
                let name = if entry.resource == "secrets" { entry.name.as_str() } else { "" };
                used.insert(format!("{} {}.{} {name}", entry.verb, entry.resource, entry.api_group));
            }
            used.iter().eq(expected).then_some(())
        })
        .await?;
        // It starts again and finds everything as it should be.
        assert!(keeper.process.terminate(PATIENCE)?.success());
        let mark = scene.plane.audit().mark()?;
        let mut keeper = scene.cert_controller().await?;
        keeper.wait_ready().await?;
        let writes = scene.plane.audit().count(mark, |entry| {
            entry.user == KEEPER && matches!(entry.verb.as_str(), "create" | "update" | "patch" | "delete")
        })?;
        assert_eq!(writes, 0);
        no_key_in(&keeper, scene.certificates.path())
    });
}

type Configuration = k8s_openapi::api::admissionregistration::v1::ValidatingWebhookConfiguration;

async fn with_version(api: &Api<Configuration>, mut object: Value) -> Result<Configuration> {
    let name = object["metadata"]["name"].as_str().unwrap_or_default().to_owned();
    object["metadata"]["resourceVersion"] = json!(api.get(&name).await?.metadata.resource_version);
    Ok(serde_json::from_value(object)?)
}

/// No line of a key is in the log.
fn no_key_in(side: &Side, folder: &Path) -> Result<()> {
    let log = side.process.log()?;
    for file in ["ca.key", "tls.key"] {
        let text = std::fs::read_to_string(folder.join(file))?;
        let line = text.lines().nth(5).context("a key has more lines")?;
        assert!(!log.contains(line), "{file} is in the log");
    }
    Ok(())
}

/// The certificate that the real cert controller makes is taken over, and ours is good enough for it.
#[test]
fn the_certificate_is_shared_with_the_real_cert_controller() {
    run(async {
        let scene = Scene::set_up().await?;
        let secrets = Api::<Secret>::namespaced(scene.plane.client()?, SYSTEM);
        let real = async || -> Result<Side> {
            let mut command = Parts::locate()?.command("external-secrets")?;
            command.env_clear().args(arguments(&scene.objects, "external-secrets-cert-controller")?);
            let account = "external-secrets-cert-controller";
            command.env("KUBECONFIG", scene.plane.service_account_kubeconfig(SYSTEM, account).await?);
            Side::start(command, "real-certcontroller")
        };
        let mut first = scene.cert_controller().await?;
        first.wait_ready().await?;
        first.process.terminate(PATIENCE)?;
        let ours = data(&secrets.get(SERVICE).await?);
        let mut theirs = real().await?;
        theirs.wait_ready().await?;
        theirs.process.terminate(PATIENCE)?;
        assert_eq!(data(&secrets.get(SERVICE).await?), ours, "the real one takes our certificate");

        let empty = json!({ "data": { "ca.crt": null, "ca.key": null, "tls.crt": null, "tls.key": null } });
        secrets.patch(SERVICE, &Default::default(), &kube::api::Patch::Merge(&empty)).await?;
        let mut theirs = real().await?;
        // It calls itself ready before it has written.
        let made = eventually("the real one makes a certificate", PATIENCE, async || {
            let made = data(&secrets.get(SERVICE).await.ok()?);
            ["ca.key", "tls.key"].iter().all(|key| made.contains_key(*key)).then_some(made)
        })
        .await?;
        theirs.process.terminate(PATIENCE)?;
        assert_ne!(made, ours);
        let mut second = scene.cert_controller().await?;
        second.wait_ready().await?;
        assert_eq!(data(&secrets.get(SERVICE).await?), made, "we take the real one's certificate");
        // A leaf that is not right is made anew, by the same authority.
        second.process.terminate(PATIENCE)?;
        let broken = json!({ "data": { "tls.crt": null } });
        secrets.patch(SERVICE, &Default::default(), &kube::api::Patch::Merge(&broken)).await?;
        let mut third = scene.cert_controller().await?;
        third.wait_ready().await?;
        let renewed = data(&secrets.get(SERVICE).await?);
        assert_eq!(renewed["ca.crt"], made["ca.crt"], "the authority stays");
        assert!(renewed.contains_key("tls.crt") && renewed["tls.key"] != made["tls.key"]);
        Ok(())
    });
}
