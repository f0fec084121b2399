//! Answers what the Go oracle of `testenv/go/template` is asked, in its protocol: the opponent of benchmark T1.
//!
//! One JSON object per line in and out; bytes are base64.
#![forbid(unsafe_code)]

use std::collections::BTreeMap;
use std::io::{self, BufRead, BufReader, BufWriter, Write};
use std::process::ExitCode;

use sealops_formats::{Plaintext, base64};
use sealops_template::{Capabilities, FunctionSet, Limits, Options, Template, Value, functions};
use serde::{Deserialize, Serialize};

#[derive(Deserialize)]
struct Request {
    name: String,
    template: String,
    data: BTreeMap<String, String>,
}

#[derive(Serialize)]
struct Answer {
    ok: bool,
    #[serde(skip_serializing_if = "String::is_empty")]
    output: String,
    #[serde(skip_serializing_if = "String::is_empty")]
    error: String,
}

fn main() -> ExitCode {
    match serve() {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            let _ = writeln!(io::stderr(), "bench-template: {error}");
            ExitCode::FAILURE
        }
    }
}

fn serve() -> io::Result<()> {
    let functions = functions::sealed_secrets();
    let mut output = BufWriter::with_capacity(1 << 20, io::stdout().lock());
    for line in BufReader::with_capacity(1 << 20, io::stdin().lock()).lines() {
        let request: Request = serde_json::from_str(&line?)?;
        let answer = match render(&functions, &request) {
            Ok(text) => Answer { ok: true, output: base64::encode_public(text.expose()), error: String::new() },
            Err(error) => Answer { ok: false, output: String::new(), error },
        };
        serde_json::to_writer(&mut output, &answer)?;
        output.write_all(b"\n")?;
    }
    output.flush()
}

fn render(functions: &FunctionSet, request: &Request) -> Result<Plaintext, String> {
    let decode = |text: &str| base64::decode(text.as_bytes()).map_err(|error| error.to_string());
    let template = decode(&request.template)?;
    let mut data = Vec::new();
    for (key, value) in &request.data {
        data.push((key.as_str(), decode(value)?));
    }
    let root = Value::of_strings(data.iter().map(|(key, value)| (*key, value)));
    Template::parse(&request.name, template.expose(), functions, Options::default())
        .map_err(|error| error.to_string())?
        .execute(&root, Limits::default(), Capabilities::default())
        .map_err(|error| error.to_string())
}
