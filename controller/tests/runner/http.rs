//! `/v1/verify`, `/v1/rotate` and the probes, on the real controller and on ours; and the real kubeseal against both.

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, ensure};
use sealops_crypto::sealing::{Certificate, Scope};
use sealops_testenv::{
    ControlPlane, ControlPlaneOptions, Peers, eventually, expose_through_service_proxy, http_get,
    pod_address, run_peer,
};
use serde_json::{Value, json};

use super::both::*;
use super::harness::*;

const FLAGS: &[&str] =
    &["--all-namespaces=false", "--key-size=2048", "--rate-limit=1000", "--rate-limit-burst=1000"];

/// A control plane whose API server has an address of which a pod can be asked.
async fn routed_control_plane() -> Result<ControlPlane> {
    let manifests = sealops_crds::MANIFESTS.map(|(_, yaml)| yaml).join("\n---\n");
    let options =
        ControlPlaneOptions { address: pod_address()?, manifests, ..ControlPlaneOptions::default() };
    ControlPlane::start_with(options).await
}

const ENDLESS: &str = "three braces";

/// What it is, the body, and the codes of verify and rotate.
type Case = (&'static str, Vec<u8>, u16, u16);

/// Bodies by what the answers must be on both.
fn bodies(home: &Home<'_>) -> Result<Vec<Case>> {
    let certificate = home.certificate()?;
    let foreign = Certificate::from_pem(&testdata("third-2048.crt"))?;
    let draft = |scope| Draft { scope, ..Draft::new("shop", "web", vec![("a", b"one"), ("b", b"")]) };
    let good = draft(Scope::Strict).sealed(&certificate);
    let with = |change: &dyn Fn(&mut Value)| {
        let mut object = good.clone();
        change(&mut object);
        object.to_string().into_bytes()
    };
    let mut v1 = good.clone();
    v1["spec"]["data"] = v1["spec"]["encryptedData"]["a"].clone();
    let both_formats = v1.to_string().into_bytes();
    let yaml = format!(
        "apiVersion: bitnami.com/v1alpha1\nkind: SealedSecret\nmetadata: {{name: web, namespace: shop}}\nspec: {}\n",
        good["spec"]
    );
    let twice = format!("{yaml}---\n{yaml}");
    Ok(vec![
        ("good", good.to_string().into_bytes(), 200, 200),
        ("good, in YAML", yaml.into_bytes(), 200, 200),
        (
            "namespace-wide",
            draft(Scope::NamespaceWide).sealed(&certificate).to_string().into_bytes(),
            200,
            200,
        ),
        ("cluster-wide", draft(Scope::ClusterWide).sealed(&certificate).to_string().into_bytes(), 200, 200),
        ("nothing sealed", with(&|object| object["spec"]["encryptedData"] = json!({})), 200, 200),
        ("another name", with(&|object| object["metadata"]["name"] = json!("other")), 409, 500),
        ("another namespace", with(&|object| object["metadata"]["namespace"] = json!("bank")), 409, 500),
        (
            "a claimed scope",
            with(&|object| {
                object["metadata"]["annotations"] =
                    json!({ "sealedsecrets.bitnami.com/cluster-wide": "true" });
            }),
            409,
            500,
        ),
        ("a foreign key", draft(Scope::Strict).sealed(&foreign).to_string().into_bytes(), 409, 500),
        ("no base64", with(&|object| object["spec"]["encryptedData"]["a"] = json!("!!")), 409, 500),
        ("an empty value", with(&|object| object["spec"]["encryptedData"]["a"] = json!("")), 409, 500),
        // #2019, #2049: neither a broken template nor one that fails on the value changes the answer.
        (
            "a broken template",
            with(&|object| object["spec"]["template"]["data"] = json!({ "t": "{{ nope" })),
            200,
            200,
        ),
        (
            "a template that fails",
            with(&|object| {
                object["spec"]["template"]["data"] =
                    json!({ "t": "{{ if eq .a \"one\" }}{{ fail \"x\" }}{{ end }}" });
            }),
            200,
            200,
        ),
        ("both formats", both_formats, 409, 500),
        ("no kind", with(&|object| object["kind"] = Value::Null), 500, 500),
        ("another kind", with(&|object| object["kind"] = json!("Secret")), 500, 500),
        ("another version", with(&|object| object["apiVersion"] = json!("bitnami.com/v2")), 500, 500),
        ("a Secret", b"apiVersion: v1\nkind: Secret\nmetadata: {name: a}\n".to_vec(), 500, 500),
        ("two documents", twice.into_bytes(), 500, 500),
        ("nothing", Vec::new(), 500, 500),
        ("nonsense", b"nonsense".to_vec(), 500, 500),
        // The real one never answers this.
        (ENDLESS, b"{{{".to_vec(), 500, 500),
        ("a list", b"[]".to_vec(), 500, 500),
    ])
}

#[test]
fn verify_and_rotate_answer_as_the_real_ones() {
    run(async {
        let plane = control_plane().await?;
        let mut checked = 0;
        for side in Side::BOTH {
            let home = Home::start(side, &plane, &format!("http-{side:?}").to_lowercase(), FLAGS).await?;
            for (what, body, verify, rotate) in bodies(&home)? {
                if (side, what) == (Side::Theirs, ENDLESS) {
                    continue;
                }
                // The real one rotates the first of two documents; ours refuses.
                let rotate =
                    if side == Side::Theirs && what == "two documents" { None } else { Some(rotate) };
                let answer = post(home.address(), "/v1/verify", &[], &body).context(what)?;
                assert_eq!((answer.status, answer.body.len()), (verify, 0), "{side:?} verify {what}");
                let answer = post(home.address(), "/v1/rotate", &[], &body)
                    .with_context(|| format!("{side:?} rotate {what}"))?;
                if let Some(rotate) = rotate {
                    assert_eq!(answer.status, rotate, "{side:?} rotate {what}: {}", home.log());
                }
                if answer.status == 200 {
                    let mut object: Value = serde_json::from_slice(&answer.body)?;
                    object["kind"] = json!("SealedSecret");
                    object["apiVersion"] = json!("bitnami.com/v1alpha1");
                    let again = post(home.address(), "/v1/verify", &[], object.to_string().as_bytes())?;
                    assert_eq!(again.status, 200, "{side:?} {what}: what was rotated opens");
                }
                checked += 2;
            }
            for (path, status, body) in [
                ("/healthz", 200, "ok\n"),
                ("/readyz", 200, "ok\n"),
                ("/v1/nope", 404, "404 page not found\n"),
            ] {
                let answer = http_get(home.address(), path, &[])?;
                assert_eq!((answer.status, answer.body.as_str()), (status, body), "{side:?} {path}");
            }
            let pem = post(home.address(), "/v1/cert.pem", &[], b"")?;
            assert_eq!((pem.status, pem.header("Content-Type")), (200, Some("application/x-pem-file")));
            let metrics = home.metrics()?;
            for series in [
                "http_requests_total{code=\"200\",method=\"post\",path=\"/v1/verify\"}",
                "http_requests_total{code=\"409\",method=\"post\",path=\"/v1/verify\"}",
                "http_request_duration_seconds_count{method=\"post\",path=\"/v1/rotate\"}",
            ] {
                let mut labels: Vec<&str> =
                    series.split_once('{').unwrap().1.trim_end_matches('}').split(',').collect();
                labels.sort_unstable();
                let name = format!("sealed_secrets_controller_{}{{", series.split_once('{').unwrap().0);
                let found = metrics
                    .lines()
                    .any(|line| line.starts_with(&name) && labels.iter().all(|label| line.contains(label)));
                assert!(found, "{side:?}: no {series} in\n{metrics}");
            }
        }
        println!("{checked} answers of verify and rotate, both sides");
        Ok(())
    });
}

/// Runs the real kubeseal against the controller behind the service proxy.
fn kubeseal(plane: &ControlPlane, arguments: &[&str], input: &[u8]) -> Result<(i32, Vec<u8>, String)> {
    let mut command = Peers::locate()?.kubeseal()?;
    let kubeconfig = plane.admin_kubeconfig();
    command.arg("--kubeconfig").arg(kubeconfig).args(arguments);
    let output = run_peer(command, input, Duration::from_secs(60))?;
    Ok((output.status.code().unwrap_or(-1), output.stdout, output.stderr))
}

/// The real kubeseal validates and re-encrypts at ours as at theirs; what ours re-encrypts keeps all the rest.
#[test]
fn the_real_kubeseal_validates_and_reencrypts_at_both() {
    run(async {
        let plane = routed_control_plane().await?;
        for side in Side::BOTH {
            let namespace = format!("proxied-{side:?}").to_lowercase();
            let home = Home::start(side, &plane, &namespace, FLAGS).await?;
            expose_through_service_proxy(
                &plane,
                &namespace,
                "sealed-secrets-controller",
                home.controller.port(),
            )
            .await?;
            let call = |arguments: &[&str], input: &[u8]| {
                kubeseal(&plane, &[&["--controller-namespace", &namespace], arguments].concat(), input)
            };
            let (code, pem, _) = call(&["--fetch-cert"], b"")?;
            assert_eq!((code, String::from_utf8(pem)?), (0, home.controller.certificate_pem()?), "{side:?}");

            let mut object = Draft::new(&namespace, "web", vec![("a", b"one")]).sealed(&home.certificate()?);
            object["metadata"]["labels"] = json!({ "team": "blue" });
            object["spec"]["template"]["metadata"]["labels"] = json!({ "made": "here" });
            object["spec"]["template"]["data"] = json!({ "plain": "text" });
            let text = object.to_string();
            let (code, _, problem) = call(&["--validate"], text.as_bytes())?;
            assert_eq!((code, problem.as_str()), (0, ""), "{side:?}");
            let mut renamed = object.clone();
            renamed["metadata"]["name"] = json!("other");
            let (code, _, problem) = call(&["--validate"], renamed.to_string().as_bytes())?;
            assert_eq!(
                (code, problem.trim()),
                (1, "error: unable to decrypt sealed secret: other"),
                "{side:?}"
            );

            let (code, output, problem) = call(&["--re-encrypt"], text.as_bytes())?;
            assert_eq!((code, problem.as_str()), (0, ""), "{side:?}");
            let again: Value = serde_json::from_slice(&output)?;
            assert_ne!(again["spec"]["encryptedData"]["a"], object["spec"]["encryptedData"]["a"]);
            let (code, _, _) = call(&["--validate"], &output)?;
            assert_eq!(code, 0, "{side:?}: what was re-encrypted is valid");
            if side == Side::Ours {
                assert_eq!(again["metadata"]["labels"], json!({ "team": "blue" }));
                assert_eq!(again["spec"]["template"]["metadata"]["labels"], json!({ "made": "here" }));
                assert_eq!(again["spec"]["template"]["data"], json!({ "plain": "text" }));
            }
            let (code, _, problem) = call(&["--re-encrypt"], renamed.to_string().as_bytes())?;
            assert_eq!(code, 1, "{side:?}");
            assert!(
                problem.starts_with("error: cannot re-encrypt secret: an error on the server"),
                "{problem}"
            );
        }
        Ok(())
    });
}

/// GHSA-jpp5-6cf2-prqh, B5 T12: headers buy nothing; only the API server says for whom it asks.
#[test]
fn the_limit_is_no_choice_of_the_caller() {
    run(async {
        let plane = routed_control_plane().await?;
        let namespace = "limited";
        let flags = ["--all-namespaces=false", "--key-size=2048", "--rate-limit=1", "--rate-limit-burst=1"];
        let evaded = |address| -> Result<usize> {
            let mut through = 0;
            for number in 0..40 {
                let header = format!("203.0.113.{number}");
                let answer = post(address, "/v1/verify", &[("X-Forwarded-For", &header)], b"nonsense")?;
                through += usize::from(answer.status != 429);
            }
            Ok(through)
        };
        let theirs = Home::start(Side::Theirs, &plane, "limited-theirs", &flags).await?;
        assert_eq!(evaded(theirs.address())?, 40, "the real one lets everybody through");
        drop(theirs);
        // The endpoints of the Service `kubernetes`, which the API servers of a real cluster keep themselves.
        let slice = json!({
            "apiVersion": "discovery.k8s.io/v1", "kind": "EndpointSlice", "addressType": "IPv4",
            "metadata": { "name": "kubernetes", "namespace": "default" },
            "endpoints": [{ "addresses": [pod_address()?] }], "ports": [{ "port": plane.port() }],
        });
        plane.apply_manifests(&slice.to_string()).await?;
        let home = Home::start(Side::Ours, &plane, namespace, &flags).await?;
        let start = Instant::now();
        let allowed = |start: Instant| 2 + start.elapsed().as_secs() as usize + 1;
        let through = evaded(home.address())?;
        assert!(through <= allowed(start), "{through} of 40 came through");
        // Who has the API server's address is believed: each client has its own limit.
        let as_api_server = SocketAddr::new(pod_address()?, home.controller.port());
        eventually("the addresses of the API servers are known", PATIENCE, async || {
            evaded(as_api_server).ok().filter(|through| *through == 40)
        })
        .await?;

        // Behind the API server a client's own header buys nothing: the last entry is the API server's.
        expose_through_service_proxy(&plane, namespace, "sealed-secrets-controller", home.controller.port())
            .await?;
        let path = format!(
            "/api/v1/namespaces/{namespace}/services/http:sealed-secrets-controller:http/proxy/v1/verify"
        );
        let client = plane.client()?;
        let start = Instant::now();
        let mut through = 0;
        // The client tries again when it is refused, so each comes through, at the rate of one.
        for number in 0..7 {
            let request = hyper_request(&path, &format!("198.51.100.{number}"))?;
            match client.request_text(request).await {
                Err(kube::Error::Api(status)) if status.code == 429 => {}
                _ => through += 1,
            }
        }
        assert!(through <= allowed(start), "{through} of 7 came through the API server at once");
        let object =
            Draft::new(namespace, "web", vec![("a", b"one")]).sealed(&home.certificate()?).to_string();
        let call = ["--controller-namespace", namespace, "--validate"];
        let (code, _, problem) = kubeseal(&plane, &call, object.as_bytes())?;
        assert_eq!((code, problem.as_str()), (0, ""), "the real kubeseal waits and asks again");
        Ok(())
    });
}

fn hyper_request(path: &str, forwarded: &str) -> Result<http::Request<Vec<u8>>> {
    let request = http::Request::post(path).header("X-Forwarded-For", forwarded);
    Ok(request.body(b"nonsense".to_vec())?)
}

/// #2051: a body has a limit; so has the time it may take.
#[test]
fn bodies_have_a_limit() {
    run(async {
        let plane = control_plane().await?;
        let home = Home::start(Side::Ours, &plane, "bodies", FLAGS).await?;
        for path in ["/v1/verify", "/v1/rotate"] {
            let answer = post(home.address(), path, &[], &vec![b' '; (2 << 20) + 1])?;
            assert_eq!(answer.status, 413, "{path}");
            let answer = post(home.address(), path, &[], &vec![b' '; 2 << 20])?;
            assert_eq!(answer.status, 500, "{path}: read, and refused as empty");
        }
        let deep = [vec![b'['; 100_000], vec![b']'; 100_000]].concat();
        assert_eq!(post(home.address(), "/v1/verify", &[], &deep)?.status, 500, "B5 T35");
        assert_eq!(http_get(home.address(), "/healthz", &[])?.status, 200);
        Ok(())
    });
}

/// B5 T09 and T12, B7 row 20, CVE-2020-14040: garbage is bounded, whoever sends it, and holds nobody up.
#[test]
fn garbage_has_a_budget() {
    run(async {
        let plane = control_plane().await?;
        let home = Home::start(Side::Ours, &plane, "garbage", FLAGS).await?;
        let certificate = home.certificate()?;
        let foreign = Certificate::from_pem(&testdata("third-2048.crt"))?;
        let one = Draft::new("garbage", "bomb", vec![("a", b"one")]).sealed(&foreign);
        let value = &one["spec"]["encryptedData"]["a"];
        let values: BTreeMap<String, &Value> = (0..2000).map(|n| (format!("k{n:04}"), value)).collect();
        let mut bomb = one.clone();
        bomb["spec"]["encryptedData"] = json!(values);
        for number in 0..4 {
            bomb["metadata"]["name"] = json!(format!("bomb-{number}"));
            create(&sealed_api(&home.client, "garbage"), bomb.clone()).await?;
        }
        let good = Draft::new("garbage", "good", vec![("a", b"one")]).sealed(&certificate);
        create(&sealed_api(&home.client, "garbage"), good).await?;
        home.synced("good", "True").await?;
        let message = home.synced("bomb-0", "False").await?;
        let tried = message
            .lines()
            .find(|line| line.starts_with("no key could decrypt secret ("))
            .context("tried")?;
        let left =
            message.lines().find(|line| line.starts_with("not tried, since too many")).context("left")?;
        let names = |line: &str| line.matches("k0").count() + line.matches("k1").count();
        ensure!((names(tried), names(left)) == (256, 2000 - 256), "{} were tried", names(tried));

        // Thousands of small values that open are legal.
        let many: Vec<(String, Vec<u8>)> = (0..500).map(|n| (format!("k{n:04}"), vec![b'x'])).collect();
        let entries = many.iter().map(|(key, value)| (key.as_str(), value.as_slice())).collect();
        let many = Draft::new("garbage", "many", entries).sealed(&certificate);
        create(&sealed_api(&home.client, "garbage"), many).await?;
        home.synced("many", "True").await?;
        let answer = post(home.address(), "/v1/verify", &[], bomb.to_string().as_bytes())?;
        assert_eq!(answer.status, 409);
        Ok(())
    });
}
