//! The image's file system, assembled in a folder, runs the controller as the Deployment would.

use std::path::Path;
use std::process::Command;

use anyhow::{Context, Result, ensure};
use sealops_testenv::{Process, eventually, free_port, http_get};

use super::harness::*;

#[test]
fn runs_as_uid_1001_on_a_read_only_root_without_capabilities() {
    run(async {
        let plane = control_plane().await?;
        let client = plane.client()?;
        let deploy = Path::new(concat!(env!("CARGO_MANIFEST_DIR"), "/../deploy"));
        for file in ["service-account.yaml", "rbac.yaml", "services.yaml"] {
            plane
                .apply_manifests(&std::fs::read_to_string(deploy.join("kustomize/base").join(file))?)
                .await?;
        }
        plane.ensure_namespace("shop").await?;
        let account = plane.in_cluster_folder(HOME, "sealed-secrets-controller").await?;
        let folder = tempfile::tempdir()?;
        let image = folder.path().join("image");
        let assembled = Command::new(deploy.join("assemble.sh"))
            .arg(&image)
            .args([
                env!("CARGO_BIN_EXE_sealops-controller"),
                &super::interop::sealops()?.display().to_string(),
            ])
            .output()?;
        ensure!(assembled.status.success(), "{}", String::from_utf8_lossy(&assembled.stderr));

        let (port, metrics_port) = (free_port()?, free_port()?);
        let mut command = Command::new(deploy.join("run-assembled.sh"));
        command
            .arg("--volume")
            .arg(format!("{}:/var/run/secrets/kubernetes.io/serviceaccount", account.display()));
        command.arg(&image).arg("/usr/local/bin/sealops-controller").args(["--key-size", "2048"]);
        command.arg(format!("--listen-addr=127.0.0.1:{port}"));
        command.arg(format!("--listen-metrics-addr=127.0.0.1:{metrics_port}"));
        command.env("KUBERNETES_SERVICE_HOST", plane.address().to_string());
        command.env("KUBERNETES_SERVICE_PORT", plane.port().to_string());
        let mut process = Process::spawn("assembled", command, folder.path())?;
        process
            .wait_until_async(PATIENCE, async || {
                http_get(local(port), "/v1/cert.pem", &[]).is_ok_and(|answer| answer.status == 200)
            })
            .await?;
        let status = std::fs::read_to_string(format!("/proc/{}/status", process.pid()))?;
        let field = |name: &str| {
            status.lines().find_map(|line| line.strip_prefix(name)).map(str::trim).unwrap_or("?")
        };
        for capabilities in ["CapInh:", "CapPrm:", "CapEff:", "CapBnd:", "CapAmb:"] {
            assert_eq!(field(capabilities), "0000000000000000", "{capabilities}");
        }
        assert_eq!(field("NoNewPrivs:"), "1");
        let pem = http_get(local(port), "/v1/cert.pem", &[])?.body;
        let certificate =
            sealops_crypto::sealing::Certificate::from_pem(pem.as_bytes()).context("certificate")?;
        create(
            &sealed_api(&client, "shop"),
            Draft::new("shop", "web", vec![("a", b"one")]).sealed(&certificate),
        )
        .await?;
        synced(&client, "shop", "web", "True").await?;
        assert!(process.terminate(PATIENCE)?.success(), "{}", process.log()?);
        Ok(())
    });
}

#[test]
fn the_base_is_accepted_as_a_whole() {
    run(async {
        let plane = control_plane().await?;
        let base = Path::new(concat!(env!("CARGO_MANIFEST_DIR"), "/../deploy/kustomize/base"));
        let mut applied = 0;
        for entry in std::fs::read_dir(base)? {
            let path = entry?.path();
            if path.file_name().is_some_and(|name| name != "kustomization.yaml") {
                plane
                    .apply_manifests(&std::fs::read_to_string(&path)?)
                    .await
                    .with_context(|| path.display().to_string())?;
                applied += 1;
            }
        }
        assert!(applied >= 4, "only {applied} files");
        let deployments =
            kube::api::Api::<k8s_openapi::api::apps::v1::Deployment>::namespaced(plane.client()?, HOME);
        let found: Result<_> = eventually("the Deployment is there", PATIENCE, async || {
            deployments.get_opt("sealed-secrets-controller").await.ok().flatten()
        })
        .await;
        let pod = found?.spec.template.spec.context("no pod")?;
        let security = pod.containers[0].security_context.clone().context("no security context")?;
        assert_eq!(security.read_only_root_filesystem, Some(true));
        assert_eq!(security.allow_privilege_escalation, Some(false));
        Ok(())
    });
}
