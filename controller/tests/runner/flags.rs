//! Every flag of the real controller 0.40.0, on the real one and on ours.

mod cases;

use std::collections::BTreeSet;
use std::process::Command;
use std::time::Duration;

use anyhow::{Context, Result, bail, ensure};
use futures::StreamExt;
use jiff::Timestamp;
use sealops_crypto::sealing::Certificate;
use sealops_testenv::{ControlPlane, PeerOutput, run_peer};
use serde_json::{Value, json};

use self::cases::*;
use super::both::*;
use super::harness::*;

/// A flag, the arguments that show it, and whether both can show it. `{home}` is the controller's namespace.
const CASES: &[(&str, &[&str])] = &[
    ("accept-deprecated-v1-data", &["--accept-deprecated-v1-data=false"]),
    ("additional-namespaces", &["--additional-namespaces={home}-x,{home}-x, missing-namespace"]),
    ("all-namespaces", &["--all-namespaces=false"]),
    ("key-cutoff-time", &["--key-cutoff-time=Fri, 01 Jan 2100 00:00:00 +0000", "--key-renew-period=0"]),
    ("key-order-priority", &["--key-order-priority=SecretCreationTimestamp", "--key-renew-period=0"]),
    ("key-order-priority", &["--key-order-priority=CertNotBefore", "--key-renew-period=0"]),
    ("key-order-priority", &["--key-order-priority=nonsense", "--key-renew-period=0"]),
    ("key-prefix", &["--key-prefix=custom-prefix-"]),
    ("key-renew-period", &["--key-renew-period=2s"]),
    ("key-renew-period", &["--key-renew-period=0"]),
    ("key-size", &["--key-size=3072"]),
    ("key-ttl", &["--key-ttl=48h30m"]),
    ("kubeclient-burst", &["--kubeclient-qps=0.05", "--kubeclient-burst=1000"]),
    ("kubeclient-qps", &["--kubeclient-qps=5", "--kubeclient-burst=1"]),
    ("kubeclient-qps", &["--kubeclient-qps=-1"]),
    ("label-selector", &["--label-selector=team=blue"]),
    ("max-unseal-retries", &["--max-unseal-retries=1"]),
    ("metrics-omit-secret-labels", &["--metrics-omit-secret-labels"]),
    ("my-cn", &["--my-cn=sealing.example.com"]),
    ("old-gc-behavior", &["--old-gc-behavior"]),
    ("privatekey-annotations", &["--privatekey-annotations=example.com/a=b,c=d"]),
    ("privatekey-labels", &["--privatekey-labels=team=blue,sealedsecrets.bitnami.com/sealed-secrets-key=no"]),
    ("rate-limit", &["--rate-limit=1", "--rate-limit-burst=0"]),
    ("rate-limit-burst", &["--rate-limit-burst=5"]),
    ("read-timeout", &["--read-timeout=1s"]),
    ("rotate-period", &["--rotate-period=2s"]),
    ("skip-recreate", &["--skip-recreate"]),
    ("update-status", &["--update-status=false"]),
    ("watch-for-secrets", &["--watch-for-secrets"]),
    ("watch-for-secrets", &[]),
    ("write-timeout", &["--write-timeout=1s"]),
];
/// Shown without a cluster.
const STATIC: &[&str] = &["log-format", "log-info-stdout", "log-level", "version"];
/// Given in every case: nothing would answer without them.
const ALWAYS: &[&str] = &["listen-addr", "listen-metrics-addr"];
/// What a case checks on ours only, since the real one does nothing that could be seen.
const ONLY_OURS: &[(&str, &[&str])] =
    &[("allow-token-secrets", &["--allow-token-secrets"]), ("allow-token-secrets", &[])];

#[test]
fn every_flag_does_what_it_does_there() {
    run(async {
        let plane = control_plane().await?;
        let both = CASES.iter().flat_map(|case| Side::BOTH.map(|side| (side, case)));
        let all: Vec<_> = both.chain(ONLY_OURS.iter().map(|case| (Side::Ours, case))).collect();
        let number = all.len();
        let results: Vec<Result<()>> = futures::stream::iter(all.into_iter().enumerate())
            .map(|(number, (side, case))| {
                let plane = &plane;
                async move {
                    let home = format!("flag-{number}");
                    show(plane, side, case, &home).await.with_context(|| format!("{side:?} {:?}", case.1))
                }
            })
            .buffer_unordered(4)
            .collect()
            .await;
        let failures: Vec<String> =
            results.into_iter().filter_map(Result::err).map(|error| format!("{error:#}")).collect();
        assert!(failures.is_empty(), "{} of {number}:\n{}", failures.len(), failures.join("\n"));
        println!("{number} runs of {} flags", CASES.iter().map(|case| case.0).collect::<BTreeSet<_>>().len());
        Ok(())
    });
}

#[test]
fn the_table_has_every_flag_of_the_real_help_and_ours_has_them_too() -> Result<()> {
    let names = |side: Side| -> Result<BTreeSet<String>> {
        let output = alone(side, &["--help"])?;
        ensure!(output.status.code() == Some(0) && output.stdout.is_empty(), "help goes to stderr");
        Ok(output
            .stderr
            .lines()
            .filter_map(|line| line.trim_start().strip_prefix("--")?.split(' ').next().map(str::to_owned))
            .collect())
    };
    let real = names(Side::Theirs)?;
    assert_eq!(names(Side::Ours)?, real);
    let mut table: BTreeSet<String> = CASES.iter().map(|case| case.0.to_owned()).collect();
    table.extend(STATIC.iter().chain(ALWAYS).map(|name| (*name).to_owned()));
    assert!(table.remove("rotate-period"), "deprecated, so no help names it");
    assert_eq!(table, real);
    Ok(())
}

/// Runs one of them outside a pod, where it ends at once.
fn alone(side: Side, arguments: &[&str]) -> Result<PeerOutput> {
    alone_with(side, arguments, &[])
}

fn alone_with(side: Side, arguments: &[&str], environment: &[(&str, &str)]) -> Result<PeerOutput> {
    let mut command = Command::new(side.program()?);
    command.env_clear().envs(environment.iter().copied()).args(arguments);
    run_peer(command, b"", Duration::from_secs(20))
}

#[test]
fn command_lines_end_alike() -> Result<()> {
    for (arguments, code) in [
        (&["--version"][..], 0),
        (&["--version=true", "--log-level=debug"], 0),
        (&["--version", "positional"], 0),
        (&["--rotate-period=3h", "--version"], 0),
        (&["--rate-limit=0x10", "--version"], 0),
        (&["-h"], 0),
        (&["--help", "--nope"], 0),
        (&["--nope"], 2),
        (&["--nope=1", "--version"], 2),
        (&["-v"], 2),
        (&["-x"], 2),
        (&["---x"], 2),
        (&["--my-cn"], 2),
        (&["--rate-limit=x"], 2),
        (&["--rate-limit=99999999999999999999"], 2),
        (&["--rate-limit="], 2),
        (&["--key-size=1.5"], 2),
        (&["--key-ttl=1d"], 2),
        (&["--key-ttl=1"], 2),
        (&["--key-ttl=x"], 2),
        (&["--key-ttl="], 2),
        (&["--kubeclient-qps=x"], 2),
        (&["--update-status=maybe"], 2),
        (&["--version=x"], 2),
        (&[], 2),
        (&["positional"], 2),
    ] {
        let [theirs, ours] = Side::BOTH.map(|side| alone(side, arguments));
        let (theirs, ours) = (theirs?, ours?);
        assert_eq!((theirs.status.code(), ours.status.code()), (Some(code), Some(code)), "{arguments:?}");
        if arguments.iter().any(|argument| argument.starts_with('-')) {
            assert_eq!(theirs.stdout, ours.stdout, "{arguments:?}");
            let last = |output: &PeerOutput| output.stderr.lines().last().map(str::to_owned);
            if code == 2 || arguments[0].starts_with("--rotate") {
                assert_eq!(last(&theirs), last(&ours), "{arguments:?}");
            }
        }
    }
    for (name, value, arguments) in [
        ("SEALED_SECRETS_VERSION", "true", &[][..]),
        ("SEALED_SECRETS_RATE_LIMIT", "nonsense", &["--version"]),
        ("SEALED_SECRETS_ROTATE_PERIOD", "3h", &["--version"]),
    ] {
        let [theirs, ours] = Side::BOTH.map(|side| alone_with(side, arguments, &[(name, value)]));
        let (theirs, ours) = (theirs?, ours?);
        assert_eq!((&theirs.stdout, &theirs.stderr), (&ours.stdout, &ours.stderr), "{name}");
        assert_eq!(String::from_utf8(ours.stdout)?, "controller version: v0.40.0\n");
    }
    Ok(())
}

#[test]
fn logs_have_the_same_form_in_the_same_place() -> Result<()> {
    for side in Side::BOTH {
        let first =
            |bytes: &[u8]| String::from_utf8_lossy(bytes).lines().next().unwrap_or_default().to_owned();
        let start = "Starting sealed-secrets controller";
        let text = first(&alone(side, &[])?.stdout);
        assert!(
            text.starts_with("time=20") && text.contains("Z level=INFO msg=\"Starting"),
            "{side:?}: {text}"
        );
        assert!(text.ends_with(" version=v0.40.0"), "{side:?}: {text}");

        let line: Value = serde_json::from_str(&first(&alone(side, &["--log-format=json"])?.stdout))?;
        let keys: Vec<&String> = line.as_object().context("no object")?.keys().collect();
        assert_eq!(keys, ["time", "level", "msg", "version"], "{side:?}");
        assert_eq!((&line["level"], &line["msg"]), (&json!("INFO"), &json!(start)));
        line["time"].as_str().context("no time")?.parse::<Timestamp>()?;

        let elsewhere = alone(side, &["--log-info-stdout=false"])?;
        assert!(elsewhere.stdout.is_empty() && elsewhere.stderr.contains(start), "{side:?}");
        for level in ["ERROR", "error", "WARN", "INFO+1"] {
            assert!(alone(side, &["--log-level", level])?.stdout.is_empty(), "{side:?} {level}");
        }
        for unfit in ["--log-level=nonsense", "--log-format=xml", "--log-level=DEBUG-4"] {
            let text = String::from_utf8(alone(side, &[unfit])?.stdout)?;
            assert!(text.contains(&format!("msg=\"{start}\"")), "{side:?} {unfit}: {text}");
        }
    }
    Ok(())
}

/// What cannot be: upstream panics, ours says which flag.
#[test]
fn values_that_cannot_be_are_named() -> Result<()> {
    for (arguments, text) in [
        (&["--key-prefix=UPPER"][..], "name contains illegal character U"),
        (&["--key-cutoff-time=yesterday"], "the key cut-off time \\\"yesterday\\\" is not like"),
        (&["--privatekey-labels=a"], "--privatekey-labels: \\\"a\\\" is not name=value"),
        (&["--rate-limit=-1"], "--rate-limit: -1 is out of range"),
        (&["--listen-addr=8080"], "is no address"),
    ] {
        let ours = alone(Side::Ours, arguments)?;
        assert_eq!(ours.status.code(), Some(2));
        assert!(ours.stderr.contains(text), "{arguments:?}: {}", ours.stderr);
    }
    Ok(())
}

async fn show(plane: &ControlPlane, side: Side, case: &(&str, &[&str]), home: &str) -> Result<()> {
    let (flag, arguments) = *case;
    let client = Home::prepare(plane, home).await?;
    let other = format!("{home}-x");
    match flag {
        "additional-namespaces" | "all-namespaces" => plane.ensure_namespace(&other).await?,
        "key-cutoff-time" => drop(put_test_key(&client, home, "third-2048").await?),
        "key-order-priority" => two_keys(&client, home).await?,
        _ => {}
    }
    let arguments: Vec<String> = arguments.iter().map(|text| text.replace("{home}", home)).collect();
    let mut all: Vec<&str> = arguments.iter().map(String::as_str).collect();
    let has = |name: &str| arguments.iter().any(|text| text.starts_with(name));
    let common = [("--all-namespaces=false", "--a"), ("--key-size=2048", "--key-size")];
    all.extend(common.iter().filter(|(_, name)| !has(name) || *name == "--a").map(|(text, _)| *text));
    let home = Home::start(side, plane, home, &all).await?;
    match flag {
        "accept-deprecated-v1-data" => refuses_v1(&home).await,
        "additional-namespaces" => watches(&home, &other, true).await,
        "all-namespaces" => watches(&home, &other, false).await,
        "allow-token-secrets" => makes_tokens(&home, !arguments.is_empty()).await,
        "key-cutoff-time" => home.wait_keys(2).await.map(drop),
        "key-order-priority" => {
            let name = if arguments[0].contains("Creation") { "interop-2048" } else { "third-2048" };
            let expected = Certificate::from_pem(&testdata(&format!("{name}.crt")))?;
            same(home.certificate()?.fingerprint().as_str(), expected.fingerprint().as_str())
        }
        "key-prefix" => {
            let name = home.keys().await?[0].metadata.name.clone().unwrap_or_default();
            ensure!(name.starts_with("custom-prefix-") && name.len() == "custom-prefix-".len() + 5, "{name}");
            Ok(())
        }
        "key-renew-period" | "rotate-period" if arguments[0].ends_with("2s") => renews(&home).await,
        "key-renew-period" => renews_on_signal(&home).await,
        "key-size" => contains(&certificate_text(&home.controller.certificate_pem()?)?, "(3072 bit)"),
        "key-ttl" => {
            let certificate = home.certificate()?;
            same(certificate.not_after() - certificate.not_before(), 48 * 3600 + 1800)
        }
        "kubeclient-burst" => unseals_six(&home, Pace::Any).await,
        "kubeclient-qps" if arguments[0].ends_with("-1") => unseals_six(&home, Pace::Any).await,
        "kubeclient-qps" => unseals_six(&home, Pace::FivePerSecond).await,
        "label-selector" => selects(&home).await,
        "max-unseal-retries" => gives_up(&home).await,
        "metrics-omit-secret-labels" => {
            home.unseal("web").await?;
            event(&home.client, &home.namespace, "web", "Unsealed").await?;
            let metrics = home.metrics()?;
            contains(&metrics, "sealed_secrets_controller_unseal_requests_total")?;
            ensure!(!metrics.contains("condition_info{"), "{metrics}");
            Ok(())
        }
        "my-cn" => contains(
            &certificate_text(&home.controller.certificate_pem()?)?,
            "Subject: CN=sealing.example.com",
        ),
        "old-gc-behavior" => deletes_the_secret(&home).await,
        "privatekey-annotations" => {
            let annotations = home.keys().await?[0].metadata.annotations.clone().unwrap_or_default();
            same(format!("{annotations:?}"), r#"{"c": "d", "example.com/a": "b"}"#.to_owned())
        }
        "privatekey-labels" => {
            let labels = home.keys().await?[0].metadata.labels.clone().unwrap_or_default();
            let expected = r#"{"sealedsecrets.bitnami.com/sealed-secrets-key": "active", "team": "blue"}"#;
            same(format!("{labels:?}"), expected.to_owned())
        }
        "rate-limit" => limits(&home, 1),
        "rate-limit-burst" => limits(&home, 6),
        "read-timeout" => hangs_up(&home),
        "skip-recreate" => lets_it_go(&home).await,
        "update-status" => {
            home.seal("web").await?;
            event(&home.client, &home.namespace, "web", "Unsealed").await?;
            ensure!(home.status("web").await?.is_null(), "a status was written");
            Ok(())
        }
        "watch-for-secrets" => learns_keys(&home, !arguments.is_empty()).await,
        "write-timeout" => answers_late(&home),
        other => bail!("no case for {other}"),
    }
}
