//! P1 to P6: the command of SOPS with age keys, ours and the real one on the same files.

use std::fmt::Write as _;
use std::fs;
use std::path::{Path, PathBuf};

use anyhow::{Result, ensure};

use crate::Context;
use crate::command::{Invocation, Pairing};
use crate::report::{Goal, Report};

pub(crate) const RECIPIENT: &str = "age19au0y7s5nqeuhh6kz9sygha6md3ae7wzekx90lzs08099ghk5a4shqvx72";
const IDENTITY: &str = "testdata/keys/sops-a.age";

/// Runs the benchmarks.
pub(crate) fn run(context: &Context, report: &mut Report) -> Result<()> {
    let bench = Bench::new(context)?;
    bench.start(report)?;
    bench.values(report)?;
    bench.one_value(report)?;
    bench.blob(report)?;
    bench.repository(report)?;
    bench.latency(report)
}

struct Bench<'a> {
    context: &'a Context,
    folder: PathBuf,
}

impl<'a> Bench<'a> {
    fn new(context: &'a Context) -> Result<Self> {
        install_identity(context)?;
        Ok(Self { context, folder: context.programs.folder.path().to_owned() })
    }

    fn path(&self, name: &str) -> String {
        self.folder.join(name).display().to_string()
    }

    /// Writes a plain file and encrypts it: with the peer, unless that would take minutes.
    fn prepare(&self, name: &str, text: impl AsRef<[u8]>) -> Result<(String, String)> {
        let (plain, encrypted) = (self.path(&format!("plain-{name}")), self.path(name));
        let programs = &self.context.programs;
        let sops = if name.starts_with("100000.") { &programs.as_sops } else { &programs.sops };
        fs::write(&plain, text)?;
        let output = std::process::Command::new(sops)
            .args(["encrypt", "--age", RECIPIENT, "--output", &encrypted, &plain])
            .env_clear()
            .output()?;
        ensure!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
        Ok((plain, encrypted))
    }

    fn measure(
        &self,
        report: &mut Report,
        pairing: (&'static str, &str),
        goal: f64,
        pairs: usize,
        lines: [&[&str]; 2],
        check: crate::command::Check<'_>,
    ) -> Result<()> {
        let programs = &self.context.programs;
        let shell = |line: &[&str], sops: &Path| match line {
            // A loop, as people write it.
            ["sh", script] => Invocation::new(
                Path::new("/bin/sh"),
                &["-c", &script.replace("SOPS", &sops.display().to_string())],
            ),
            line => Invocation::new(sops, line),
        };
        Pairing {
            benchmark: pairing.0,
            case: pairing.1,
            peer: shell(lines[0], &programs.sops),
            ours: shell(
                lines[1],
                if lines[1].first() == Some(&"verify") { &programs.sealops } else { &programs.as_sops },
            ),
            check,
            cpu_goal: Goal::RatioAtLeast(goal),
            memory_goal: Goal::None,
            pairs: self.context.repetitions(pairs, 2),
        }
        .measure(self.context, report)
    }

    fn start(&self, report: &mut Report) -> Result<()> {
        let line = ["--disable-version-check", "--version"];
        self.measure(report, ("P1", "sops --version"), 8.0, 20, [&line, &line], &same)?;
        let (_, file) = self.prepare("one.yaml", "a: b\n")?;
        let line = ["decrypt", &file];
        self.measure(report, ("P1", "decrypt 1 value"), 8.0, 20, [&line, &line], &same)
    }

    fn values(&self, report: &mut Report) -> Result<()> {
        // The peer needs a quarter of an hour for the last.
        let curve: &[(usize, usize)] = &[(100, 10), (1_000, 5), (10_000, 2), (100_000, 1)];
        let curve = if self.context.quick { &curve[..3] } else { curve };
        for &(count, pairs) in curve {
            let [json, yaml] = match count {
                100_000 => [300.0, 50.0],
                10_000 => [40.0, 10.0],
                _ => [4.0, 4.0],
            };
            for (format, goal) in [("json", json), ("yaml", yaml)] {
                let (plain, file) = self.prepare(&format!("{count}.{format}"), document(format, count))?;
                let line = ["decrypt", &file];
                self.measure(
                    report,
                    ("P2", &format!("decrypt {count} values, {format}")),
                    goal,
                    pairs,
                    [&line, &line],
                    &same,
                )?;
                let line = ["encrypt", "--age", RECIPIENT, &plain];
                self.measure(
                    report,
                    ("P2", &format!("encrypt {count} values, {format}")),
                    goal,
                    pairs,
                    [&line, &line],
                    &lengths,
                )?;
            }
        }
        Ok(())
    }

    fn one_value(&self, report: &mut Report) -> Result<()> {
        let (_, file) = self.prepare("extract.yaml", document("yaml", 10_000))?;
        let line = ["decrypt", "--extract", "[\"key_5000\"]", &file];
        self.measure(report, ("P3", "extract 1 of 10,000 values, yaml"), 10.0, 3, [&line, &line], &same)?;
        let line = ["set", &file, "[\"key_5000\"]", "\"new\""];
        self.measure(report, ("P3", "set 1 of 10,000 values, yaml"), 10.0, 3, [&line, &line], &same)
    }

    fn blob(&self, report: &mut Report) -> Result<()> {
        for mebibytes in [1, 10] {
            let blob: Vec<u8> = (0..mebibytes << 20)
                .map(|index: u32| (index.wrapping_mul(2_654_435_761) >> 24) as u8)
                .collect();
            let (plain, file) = self.prepare(&format!("{mebibytes}.bin"), blob)?;
            let line = ["decrypt", &file];
            self.measure(report, ("P4", &format!("decrypt {mebibytes} MiB")), 6.0, 3, [&line, &line], &same)?;
            let line = ["encrypt", "--age", RECIPIENT, &plain];
            self.measure(
                report,
                ("P4", &format!("encrypt {mebibytes} MiB")),
                6.0,
                3,
                [&line, &line],
                &lengths,
            )?;
        }
        Ok(())
    }

    fn repository(&self, report: &mut Report) -> Result<()> {
        for number in 0..200 {
            self.prepare(&format!("repo-{number}.yaml"), document("yaml", 20))?;
        }
        let glob = self.path("repo-*.yaml");
        let each = |command: &str| format!("for f in {glob}; do SOPS {command} \"$f\" || exit 1; done");
        let decrypt = each("decrypt");
        self.measure(
            report,
            ("P5", "200 files: decrypt"),
            15.0,
            2,
            [&["sh", &decrypt], &["sh", &decrypt]],
            &same,
        )?;
        let rotate = each("rotate -i");
        self.measure(
            report,
            ("P5", "200 files: rotate"),
            15.0,
            2,
            [&["sh", &rotate], &["sh", &rotate]],
            &same,
        )?;
        let files: Vec<String> = (0..200).map(|number| self.path(&format!("repo-{number}.yaml"))).collect();
        let mut verify = vec!["verify"];
        verify.extend(files.iter().map(String::as_str));
        let quiet = each("decrypt --output /dev/null");
        self.measure(
            report,
            ("P5", "200 files: verify in one command"),
            15.0,
            2,
            [&["sh", &quiet], &verify],
            &|_, _, _| Ok(()),
        )
    }

    fn latency(&self, report: &mut Report) -> Result<()> {
        let (_, file) = self.prepare("env.yaml", document("yaml", 200))?;
        let line = ["exec-env", &file, "true"];
        self.measure(report, ("P6", "exec-env of 200 values"), 8.0, 10, [&line, &line], &same)?;
        let textconv = format!(
            "for i in 1 2 3 4 5 6 7 8 9 10 11 12 13 14 15 16 17 18 19 20; do SOPS decrypt {file} || exit 1; done"
        );
        self.measure(
            report,
            ("P6", "textconv, 20 files of 200 values"),
            8.0,
            3,
            [&["sh", &textconv], &["sh", &textconv]],
            &same,
        )
    }
}

/// Puts the identity where both look for it: the programs run with the folder of this run as their home.
pub(crate) fn install_identity(context: &Context) -> Result<()> {
    let keys = context.programs.folder.path().join(".config/sops/age");
    fs::create_dir_all(&keys)?;
    fs::copy(crate::programs::repository(IDENTITY), keys.join("keys.txt"))?;
    Ok(())
}

pub(crate) fn document(format: &str, count: usize) -> String {
    let mut text = String::new();
    for number in 0..count {
        let _ = match format {
            "json" => writeln!(
                text,
                "{}\"key_{number}\": \"value of {number}\"",
                if number == 0 { "{" } else { "," }
            ),
            _ => writeln!(text, "key_{number}: value of {number}"),
        };
    }
    if format == "json" {
        text.push('}');
    }
    text
}

fn same(peer: &Path, ours: &Path, thorough: bool) -> Result<()> {
    ensure!(!thorough || fs::read(peer)? == fs::read(ours)?, "the outputs differ");
    Ok(())
}

/// Ciphertexts differ; their lengths do only by the stanza of random length that the crate age adds to its messages, so
/// that readers get used to unknown ones.
fn lengths(peer: &Path, ours: &Path, _: bool) -> Result<()> {
    let (peer, ours) = (fs::metadata(peer)?.len(), fs::metadata(ours)?.len());
    ensure!(peer.abs_diff(ours) < MAX_GREASE, "{peer} and {ours} bytes");
    Ok(())
}

const MAX_GREASE: u64 = 600;
