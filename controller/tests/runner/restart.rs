//! A restart with everything in sync does nothing at all, counted from the API server's audit log.

use std::time::Duration;

use anyhow::Result;
use futures::StreamExt;
use sealops_testenv::eventually;

use super::harness::*;

const OBJECTS: usize = 300;

#[test]
fn a_restart_in_sync_writes_nothing_and_costs_nothing() {
    run(async {
        let plane = control_plane().await?;
        let client = plane.client()?;
        plane.ensure_namespace("shop").await?;
        let mut first = Controller::start(&plane, &[]).await?;
        let certificate = first.certificate().await?;
        let api = sealed_api(&client, "shop");
        futures::stream::iter(0..OBJECTS)
            .map(|number| {
                let (api, certificate) = (api.clone(), &certificate);
                async move {
                    let name = format!("object-{number:03}");
                    let value = bytes(number as u64, 32);
                    create(
                        &api,
                        Draft::new("shop", &name, vec![("a", &value), ("b", &value), ("c", b"")])
                            .sealed(certificate),
                    )
                    .await
                }
            })
            .buffer_unordered(8)
            .collect::<Vec<_>>()
            .await
            .into_iter()
            .collect::<Result<Vec<_>>>()?;
        eventually("everything is unsealed", PATIENCE * 2, async || {
            let list = api.list(&kube::api::ListParams::default()).await.ok()?;
            let synced = |object: &kube::api::DynamicObject| {
                object.data.pointer("/status/conditions/0/status").is_some_and(|s| s == "True")
            };
            (list.items.iter().filter(|object| synced(object)).count() == OBJECTS).then_some(())
        })
        .await?;
        first.wait_idle().await?;
        assert!(first.process.terminate(PATIENCE)?.success());

        let mark = plane.audit().mark()?;
        let second = Controller::start(&plane, &[]).await?;
        eventually("the second process leads and has compared everything", PATIENCE, async || {
            second.log().contains("compared all SealedSecrets").then_some(())
        })
        .await?;
        second.wait_idle().await?;
        let log = second.log();
        assert!(log.contains("objects=300 to_do=0"), "{log}");
        let ours: Vec<_> =
            plane.audit().since(mark)?.into_iter().filter(|entry| entry.user == USER).collect();
        for resource in ["secrets", "sealedsecrets", "events", "configmaps"] {
            let writes: Vec<_> = ours.iter().filter(|entry| our_write(entry, resource)).collect();
            assert!(writes.is_empty(), "{resource}: {writes:?}");
        }
        let reads = ours
            .iter()
            .filter(|entry| {
                entry.verb == "get" && !matches!(entry.resource.as_str(), "leases" | "endpointslices")
            })
            .count();
        assert!(reads <= 2, "a restart reads lists, not objects: {reads} GETs");
        let cpu = second.process.cpu_time()?;
        assert!(cpu < Duration::from_secs(1), "the restart took {cpu:?} of CPU");
        assert_eq!(second.metric("sealops_rsa_operations_total")?, 0.0);
        println!("restart with {OBJECTS} objects in sync: {} requests, CPU {cpu:?}", ours.len());
        Ok(())
    });
}
