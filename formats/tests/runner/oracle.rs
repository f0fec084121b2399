//! SOPS's stores as a child process (`testenv/go/sops-stores`).

use std::io::{BufRead, BufReader, BufWriter, Write};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use sealops_formats::base64;
use sealops_formats::tree::Format;
use serde::{Deserialize, Serialize};

/// One text to read and write.
#[derive(Debug, Clone)]
pub(crate) struct Request {
    pub(crate) format: Format,
    pub(crate) output: Format,
    pub(crate) indent: Option<i32>,
    pub(crate) input: Vec<u8>,
    /// Whether the text is an encrypted file, which goes in and out with its metadata.
    pub(crate) encrypted: bool,
}

#[derive(Serialize)]
struct Line<'a> {
    format: &'a str,
    output: &'a str,
    indent: Option<i32>,
    input: String,
    encrypted: bool,
}

/// What SOPS made of it.
#[derive(Debug, Default, Deserialize)]
pub(crate) struct Answer {
    #[serde(default)]
    pub(crate) error: String,
    #[serde(default)]
    pub(crate) tree: String,
    #[serde(default)]
    emitted: String,
    #[serde(default)]
    pub(crate) emit_error: String,
    values: Option<Vec<String>>,
    #[serde(default)]
    example: String,
}

impl Answer {
    pub(crate) fn emitted(&self) -> Vec<u8> {
        decoded(&self.emitted)
    }

    /// The first values as `--extract` prints them, `None` where that is refused.
    pub(crate) fn values(&self) -> Vec<Option<Vec<u8>>> {
        let values = self.values.iter().flatten();
        values.map(|value| (value != "!").then(|| decoded(value))).collect()
    }

    pub(crate) fn example(&self) -> Vec<u8> {
        decoded(&self.example)
    }
}

fn decoded(text: &str) -> Vec<u8> {
    base64::decode(text.as_bytes()).unwrap().expose().to_vec()
}

/// Asks SOPS about every text, in order.
pub(crate) fn ask(requests: &[Request]) -> Vec<Answer> {
    let mut child = Command::new(program())
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .env("TZ", "UTC")
        .spawn()
        .unwrap();
    let mut stdin = BufWriter::new(child.stdin.take().unwrap());
    let stdout = BufReader::new(child.stdout.take().unwrap());
    let lines: Vec<String> = requests
        .iter()
        .map(|request| {
            let line = Line {
                format: request.format.name(),
                output: request.output.name(),
                indent: request.indent,
                input: base64::encode_public(&request.input),
                encrypted: request.encrypted,
            };
            serde_json::to_string(&line).unwrap()
        })
        .collect();
    let writer = std::thread::spawn(move || {
        for line in lines {
            writeln!(stdin, "{line}").unwrap();
        }
        stdin.flush().unwrap();
    });
    let answers: Vec<Answer> =
        stdout.lines().map(|line| serde_json::from_str(&line.unwrap()).unwrap()).collect();
    writer.join().unwrap();
    assert!(child.wait().unwrap().success());
    assert_eq!(answers.len(), requests.len(), "SOPS's stores died on a text");
    answers
}

/// The program: from the parts that `make test` built, or built now (only this one, seconds).
fn program() -> PathBuf {
    let lines = match std::env::var_os("SEALOPS_TEST_PARTS") {
        Some(file) => std::fs::read_to_string(file).unwrap(),
        None => {
            let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("../testenv/build-parts.sh");
            let output = Command::new("bash").arg(script).arg("sops-stores").output().unwrap();
            assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
            String::from_utf8(output.stdout).unwrap()
        }
    };
    let path = lines.lines().find_map(|line| line.strip_prefix("sops-stores="));
    PathBuf::from(path.expect("no part named sops-stores: remove a stale SEALOPS_TEST_PARTS"))
}
