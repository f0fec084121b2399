//! 1,000 generated Secrets each way between the real kubeseal and controller 0.40.0 and ours, whole and raw.

use std::collections::BTreeMap;
use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context, Result, ensure};
use futures::StreamExt;
use k8s_openapi::api::core::v1::Secret;
use kube::Client;
use kube::api::{Api, ListParams};
use sealops_controller::sealed::{OpenOptions, open};
use sealops_crds::SealedSecret;
use sealops_crypto::sealing::{RingKey, Scope, SealingKey, SealingKeyRing};
use sealops_formats::base64;
use sealops_testenv::{Peers, SealedSecretsController, eventually, run_peer};
use serde_json::{Value, json};

use super::harness::*;

const SECRETS: usize = 1000;
const CALL: Duration = Duration::from_secs(60);

/// A generated Secret: any bytes, empty values, long keys, all scopes, two namespaces.
struct Generated {
    name: String,
    namespace: &'static str,
    scope: Scope,
    data: BTreeMap<String, Vec<u8>>,
}

fn generate(number: usize) -> Generated {
    let seed = number as u64 + 1;
    let lengths = [0, 1, 15, 16, 17, 255, 1000];
    let mut data = BTreeMap::new();
    for entry in 0..(1 + number % 3) {
        let key = match (number + entry) % 5 {
            0 => format!("{}-{entry}", "long.key_".repeat(27)),
            1 => format!(".dot-{entry}"),
            2 => format!("UPPER_{entry}"),
            _ => format!("key{entry}"),
        };
        data.insert(key, bytes(seed * 7 + entry as u64, lengths[(number + entry) % lengths.len()]));
    }
    Generated {
        name: format!("secret-{number:04}"),
        namespace: ["shop", "bank"][number % 2],
        scope: Scope::ALL[number % 3],
        data,
    }
}

fn manifest(secret: &Generated) -> String {
    let annotation = match secret.scope {
        Scope::Strict => json!({}),
        scope => json!({ format!("sealedsecrets.bitnami.com/{scope}"): "true" }),
    };
    let data: BTreeMap<&String, String> =
        secret.data.iter().map(|(key, value)| (key, base64::encode_public(value))).collect();
    json!({
        "apiVersion": "v1", "kind": "Secret", "type": "Opaque",
        "metadata": { "name": secret.name, "namespace": secret.namespace, "annotations": annotation, "labels": { "n": "1" } },
        "data": data,
    })
    .to_string()
}

/// Our command line, which `make test` builds beside the controller.
pub fn sealops() -> Result<PathBuf> {
    let path = Path::new(env!("CARGO_BIN_EXE_sealops-controller")).with_file_name("sealops");
    ensure!(path.is_file(), "{} is missing: cargo build -p sealops", path.display());
    Ok(path)
}

/// The name `kubeseal` for our binary.
fn our_kubeseal(folder: &Path) -> Result<PathBuf> {
    let link = folder.join("kubeseal");
    std::os::unix::fs::symlink(sealops()?, &link)?;
    Ok(link)
}

fn call(mut command: Command, arguments: &[&str], stdin: &[u8]) -> Result<Vec<u8>> {
    command.args(arguments);
    let output = run_peer(command, stdin, CALL)?;
    ensure!(output.status.success(), "{}", output.stderr);
    Ok(output.stdout)
}

fn our_command(path: &Path) -> Command {
    let mut command = Command::new(path);
    command.env_clear();
    command
}

/// Seals all in one call of a kubeseal, whichever it is.
fn seal_all(command: Command, certificate: &Path, secrets: &[Generated]) -> Result<Vec<Value>> {
    let input: String = secrets.iter().map(|secret| format!("---\n{}\n", manifest(secret))).collect();
    let output = call(
        command,
        &["--cert", &certificate.display().to_string(), "--allow-empty-data"],
        input.as_bytes(),
    )?;
    let objects =
        serde_json::Deserializer::from_slice(&output).into_iter().collect::<Result<Vec<Value>, _>>()?;
    ensure!(objects.len() == secrets.len(), "{} objects came out", objects.len());
    Ok(objects)
}

async fn create_all(client: &Client, objects: &[Value]) -> Result<()> {
    futures::stream::iter(objects)
        .map(|object| async move {
            let namespace = object["metadata"]["namespace"].as_str().context("no namespace")?;
            create(&sealed_api(client, namespace), object.clone()).await
        })
        .buffer_unordered(8)
        .collect::<Vec<_>>()
        .await
        .into_iter()
        .collect::<Result<Vec<_>>>()
        .map(drop)
}

async fn differences(client: &Client, secrets: &[Generated]) -> Result<Vec<String>> {
    let api = Api::<Secret>::all(client.clone());
    let found: BTreeMap<(String, String), BTreeMap<String, Vec<u8>>> =
        eventually("every Secret is there", PATIENCE * 4, async || {
            let list = api.list(&ListParams::default().labels("n=1")).await.ok()?;
            (list.items.len() == secrets.len()).then(|| {
                let key = |secret: &Secret| {
                    Some((secret.metadata.namespace.clone()?, secret.metadata.name.clone()?))
                };
                list.into_iter().filter_map(|secret| Some((key(&secret)?, data(&secret)))).collect()
            })
        })
        .await?;
    Ok(secrets
        .iter()
        .filter(|secret| found.get(&(secret.namespace.to_owned(), secret.name.clone())) != Some(&secret.data))
        .map(|secret| format!("{}/{}", secret.namespace, secret.name))
        .collect())
}

fn write_file(folder: &Path, name: &str, text: &str) -> Result<PathBuf> {
    let path = folder.join(name);
    std::fs::File::create(&path)?.write_all(text.as_bytes())?;
    Ok(path)
}

#[test]
fn kubeseal_seals_and_our_controller_unseals() {
    run(async {
        let plane = control_plane().await?;
        let client = plane.client()?;
        for namespace in ["shop", "bank"] {
            plane.ensure_namespace(namespace).await?;
        }
        let folder = tempfile::tempdir()?;
        let controller = Controller::start(&plane, &[]).await?;
        let certificate = write_file(folder.path(), "cert.pem", controller.certificate().await?.pem())?;
        let secrets: Vec<Generated> = (0..SECRETS).map(generate).collect();
        let objects = seal_all(Peers::locate()?.kubeseal()?, &certificate, &secrets)?;
        create_all(&client, &objects).await?;
        let different = differences(&client, &secrets).await?;
        assert!(different.is_empty(), "{different:?}");
        println!("kubeseal -> our controller: {SECRETS} Secrets, 0 differences");
        Ok(())
    });
}

#[test]
fn we_seal_and_the_real_controller_unseals() {
    run(async {
        let plane = control_plane().await?;
        let client = plane.client()?;
        for namespace in ["shop", "bank"] {
            plane.ensure_namespace(namespace).await?;
        }
        let folder = tempfile::tempdir()?;
        let flags = ["--key-size=2048", "--kubeclient-qps=5000", "--kubeclient-burst=5000"];
        let real = SealedSecretsController::start(&plane, HOME, &flags).await?;
        let certificate = write_file(folder.path(), "cert.pem", &real.certificate_pem()?)?;
        let secrets: Vec<Generated> = (0..SECRETS).map(generate).collect();
        let objects = seal_all(our_command(&our_kubeseal(folder.path())?), &certificate, &secrets)?;
        create_all(&client, &objects).await?;
        let different = differences(&client, &secrets).await?;
        assert!(different.is_empty(), "{different:?}");
        println!("our kubeseal -> the real controller: {SECRETS} Secrets, 0 differences");
        Ok(())
    });
}

/// Raw values of one scope: `(key, value)` pairs sealed one by one.
struct Raw {
    scope: Scope,
    values: Vec<(String, Vec<u8>)>,
}

fn raw_sets() -> Vec<Raw> {
    Scope::ALL
        .into_iter()
        .map(|scope| {
            let seed = scope as u64 * 10_000;
            let values =
                (0..=SECRETS / 3).map(|n| (format!("key-{n:04}"), bytes(seed + n as u64, n % 90))).collect();
            Raw { scope, values }
        })
        .collect()
}

fn seal_raw(command: &dyn Fn() -> Result<Command>, certificate: &str, set: &Raw) -> Result<Value> {
    let scope = set.scope.to_string();
    let mut encrypted = BTreeMap::new();
    for (key, value) in &set.values {
        let arguments = [
            "--raw",
            "--cert",
            certificate,
            "--scope",
            &scope,
            "--namespace",
            "shop",
            "--name",
            "web",
            "--from-file",
            "/dev/stdin",
        ];
        let text = String::from_utf8(call(command()?, &arguments, value)?)?;
        ensure!(!text.ends_with('\n'), "raw output has no line end");
        encrypted.insert(key, text);
    }
    let mut object = Draft { scope: set.scope, ..Draft::new("shop", "web", vec![]) }
        .sealed(&sealops_crypto::sealing::Certificate::from_pem(&std::fs::read(certificate)?)?);
    object["spec"]["encryptedData"] = json!(encrypted);
    Ok(object)
}

fn testdata(name: &str) -> String {
    format!("{}/../testdata/keys/{name}", env!("CARGO_MANIFEST_DIR"))
}

#[test]
fn raw_values_open_on_the_other_side() -> Result<()> {
    let folder = tempfile::tempdir()?;
    let ours = our_kubeseal(folder.path())?;
    let (certificate, key) = (testdata("interop-2048.crt"), testdata("interop-2048.key"));
    let sealing_key = SealingKey::from_pem(&std::fs::read(&key)?.into())?;
    let ring = SealingKeyRing::new([RingKey { key: Arc::new(sealing_key), order: 0 }]);
    for set in raw_sets() {
        let expected: BTreeMap<String, Vec<u8>> = set.values.iter().cloned().collect();

        let theirs: SealedSecret =
            serde_json::from_value(seal_raw(&|| Peers::locate()?.kubeseal(), &certificate, &set)?)?;
        let opened =
            open(&theirs, &ring, None, OpenOptions::default()).map_err(|f| anyhow::anyhow!(f.message))?;
        let found: BTreeMap<String, Vec<u8>> =
            opened.secret.data.iter().map(|(key, value)| (key.clone(), value.expose().to_vec())).collect();
        assert_eq!(found, expected, "kubeseal --raw --scope {}", set.scope);

        let object = seal_raw(&|| Ok(our_command(&ours)), &certificate, &set)?;
        let arguments = ["--recovery-unseal", "--recovery-private-key", &key];
        let output = call(Peers::locate()?.kubeseal()?, &arguments, object.to_string().as_bytes())?;
        let secret: Value = serde_json::from_slice(&output)?;
        let found: BTreeMap<String, Vec<u8>> = secret["data"]
            .as_object()
            .context("no data")?
            .iter()
            .map(|(key, value)| {
                let text = value.as_str().unwrap_or_default(); // an empty value is null there
                (key.clone(), base64::decode(text.as_bytes()).unwrap().expose().to_vec())
            })
            .collect();
        assert_eq!(found, expected, "our --raw --scope {}", set.scope);
    }
    println!(
        "raw: {} values each way, 0 differences",
        raw_sets().iter().map(|set| set.values.len()).sum::<usize>()
    );
    Ok(())
}

#[test]
fn seals_through_the_service_proxy_as_kubeseal_does() {
    run(async {
        let plane = control_plane().await?;
        plane.ensure_namespace("shop").await?;
        let folder = tempfile::tempdir()?;
        let kubeconfig = plane.kubeconfig_for(USER, &["system:masters"])?;
        let controller = Controller::start_as(&kubeconfig, &[]).await?;
        let certificate = controller.certificate().await?;
        let service = SealedSecretsController::NAME;
        sealops_testenv::expose_through_service_proxy(&plane, HOME, service, controller.port).await?;
        let admin = plane.admin_kubeconfig();
        let admin = admin.to_str().context("odd path")?;
        let fetch = ["--kubeconfig", admin, "--fetch-cert"];
        let ours = our_kubeseal(folder.path())?;
        for command in [Peers::locate()?.kubeseal()?, our_command(&ours)] {
            assert_eq!(String::from_utf8(call(command, &fetch, b"")?)?, certificate.pem());
        }
        let input = manifest(&generate(3)).replace("\"bank\"", "\"shop\"");
        let sealed = call(our_command(&ours), &["--kubeconfig", admin], input.as_bytes())?;
        let object: Value = serde_json::from_slice(&sealed)?;
        create(&sealed_api(&plane.client()?, "shop"), object).await?;
        let made = secret(&plane.client()?, "shop", "secret-0003").await?;
        assert_eq!(data(&made), generate(3).data);
        Ok(())
    });
}
