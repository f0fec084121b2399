//! P5 with KMS: files whose data keys a KMS has wrapped that takes its time. Here the clock counts: all is waiting.

use std::fs;
use std::path::Path;
use std::process::Command;
use std::time::Duration;

use anyhow::{Context as _, Result, ensure};
use sealops_testenv::{Fault, FaultProxy, Moto};
use serde_json::Value;

use crate::Context;
use crate::command::{Cost, Invocation, launch};
use crate::report::{Goal, Report, Row, Unit};

/// What a call to a KMS in the same country takes.
const DELAY: Duration = Duration::from_millis(40);
const CASE: &str = "200 files by KMS, 40 ms a call";
const DECRYPT: &str = "TrentService.Decrypt";
/// How much faster than a process per file it has to be.
const FLOOR: f64 = 16.0;

/// Runs the benchmark.
pub(crate) fn run(context: &Context, report: &mut Report) -> Result<()> {
    let files = context.repetitions(200, 20);
    let moto = Moto::start()?;
    let arn = new_key(&moto)?;
    let folder = context.programs.folder.path().join("kms");
    fs::create_dir_all(&folder)?;
    prepare(context, &folder, &moto.url(), &arn, files)?;
    let proxy = FaultProxy::http(moto.address())?;
    proxy.set(Fault::Delay(DELAY));
    let environment = format!("export {}; cd {};", variables(&proxy.url()), folder.display());
    let peer = context.programs.sops.display();
    let peer =
        format!("{environment} for f in *.enc.yaml; do {peer} decrypt --output /dev/null $f || exit 1; done");
    let ours = format!("{environment} exec {} verify *.enc.yaml", context.programs.sealops.display());
    let output = context.programs.folder.path().join("kms.out");
    let measure = |script: &str| -> Result<(Cost, f64)> {
        proxy.reset_calls();
        let cost = launch(context, &Invocation::new(Path::new("/bin/sh"), &["-c", script]), &output)?;
        let calls = proxy.count(DECRYPT);
        ensure!(calls >= files, "{calls} calls for {files} files: not everything was opened");
        Ok((cost, calls as f64))
    };
    let (mut theirs, mut own) = (Vec::new(), Vec::new());
    for _ in 0..context.repetitions(3, 1) {
        theirs.push(measure(&peer)?);
        own.push(measure(&ours)?);
    }
    let mut add = |unit, goal, figure: fn(&(Cost, f64)) -> f64| {
        report.add(Row {
            benchmark: "P5",
            case: CASE.to_owned(),
            unit,
            peer: theirs.iter().map(figure).collect(),
            ours: own.iter().map(figure).collect(),
            goal,
        });
    };
    add(Unit::WallMilliseconds, Goal::RatioAtLeast(FLOOR), |(cost, _)| cost.wall_ms());
    add(Unit::Requests, Goal::OursAtMost(files as f64), |(_, calls)| *calls);
    Ok(())
}

fn new_key(moto: &Moto) -> Result<String> {
    let answer = moto.call("kms", "eu-west-1", "TrentService.CreateKey", "{}")?;
    let key: Value = serde_json::from_str(&answer).context("moto made no key")?;
    key["KeyMetadata"]["Arn"].as_str().map(str::to_owned).context("moto's key has no ARN")
}

/// Encrypts the files by the peer, without the delay.
fn prepare(context: &Context, folder: &Path, url: &str, arn: &str, files: usize) -> Result<()> {
    for number in 0..files {
        let text: String = (0..20).map(|value| format!("key_{value}: value {value} of {number}\n")).collect();
        fs::write(folder.join(format!("{number}.yaml")), text)?;
    }
    let script = format!(
        "export {}; cd {}; for n in *.yaml; do {} encrypt --kms {arn} --output ${{n%.yaml}}.enc.yaml $n || exit 1; done",
        variables(url),
        folder.display(),
        context.programs.sops.display()
    );
    let output = Command::new("/bin/sh").args(["-c", &script]).env_clear().env("HOME", folder).output()?;
    ensure!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    Ok(())
}

fn variables(url: &str) -> String {
    format!(
        "AWS_ENDPOINT_URL={url} AWS_ACCESS_KEY_ID=AKIDEXAMPLE AWS_SECRET_ACCESS_KEY=secret \
         AWS_EC2_METADATA_DISABLED=true"
    )
}
