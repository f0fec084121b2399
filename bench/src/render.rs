//! T1: rendering small templates, as Go's `text/template` with sprig renders them.

use std::fmt::Write as _;
use std::path::Path;

use anyhow::{Context as _, Result, ensure};
use sealops_formats::base64::encode_public;
use sealops_testenv::Parts;
use serde_json::{Value, json};

use crate::Context;
use crate::command::{Invocation, Pairing};
use crate::report::{Goal, Report};

/// Templates as they stand in SealedSecrets and ExternalSecrets.
const TEMPLATES: [&str; 10] = [
    "{{ .password }}",
    "postgresql://{{ .user }}:{{ .password | urlquery }}@{{ .host }}:5432/{{ .database }}",
    "{{ printf \"%s:%s\" .user .password | b64enc }}",
    "{\"auths\":{\"{{ .host }}\":{\"username\":{{ .user | quote }},\"password\":{{ .password | toJson }}}}}",
    "{{- if .tls }}\nssl = on\n{{- else }}\nssl = off\n{{- end }}\nhost = {{ .host | default \"localhost\" }}\n",
    "{{- range $key, $value := . }}\n{{ $key | upper }}={{ $value }}\n{{- end }}\n",
    "[client]\nuser={{ .user }}\npassword={{ .password }}\nhost={{ .host | trim | lower }}\n",
    "{{ define \"line\" }}{{ .name }}={{ .value }}{{ end }}{{ template \"line\" (dict \"name\" \"a\" \"value\" .password) }}",
    "{{ with .database }}{{ . | replace \"-\" \"_\" | trunc 20 }}{{ end }}{{ .password | sha256sum }}",
    "users:\n{{- range $i := until 5 }}\n  - name: {{ $.user }}-{{ $i }}\n    admin: {{ eq $i 0 }}\n{{- end }}\n",
];
/// Templates in one run.
const COUNT: usize = 10_000;

/// Runs the benchmark.
pub(crate) fn run(context: &Context, report: &mut Report) -> Result<()> {
    let programs = &context.programs;
    let file = programs.folder.path().join("templates.jsonl");
    std::fs::write(&file, requests()?)?;
    let go = Parts::locate()?.path("template-sealed-secrets")?;
    // Both read from standard input, which the launcher leaves empty.
    let fed = |program: &Path| {
        let (program, file) = (program.display().to_string(), file.display().to_string());
        Invocation::new(Path::new("/bin/sh"), &["-c", "exec \"$0\" <\"$1\"", &program, &file])
    };
    Pairing {
        benchmark: "T1",
        case: "10,000 templates",
        peer: fed(go),
        ours: fed(&programs.template),
        check: &|peer, ours, _| same_answers(peer, ours),
        cpu_goal: Goal::RatioAtLeast(5.0),
        memory_goal: Goal::None,
        pairs: context.repetitions(20, 3),
    }
    .measure(context, report)
}

fn requests() -> Result<String> {
    let mut lines = String::new();
    for number in 0..COUNT {
        let text = |text: &str| encode_public(text.as_bytes());
        let request = json!({
            "name": "config",
            "template": text(TEMPLATES[number % TEMPLATES.len()]),
            "data": {
                "user": text(&format!("user-{number}")),
                "password": text(&format!("p\u{e4}ss \"{number}\" & <word>")),
                "host": text("Db.Example.COM "),
                "database": text(&format!("orders-and-customers-{number}")),
                "tls": text(if number % 20 < 10 { "yes" } else { "" }),
            },
        });
        writeln!(lines, "{request}")?;
    }
    Ok(lines)
}

fn same_answers(peer: &Path, ours: &Path) -> Result<()> {
    let (peer, ours) = (std::fs::read_to_string(peer)?, std::fs::read_to_string(ours)?);
    ensure!(peer.lines().count() == COUNT && ours.lines().count() == COUNT, "answers are missing");
    for (number, (peer, ours)) in peer.lines().zip(ours.lines()).enumerate() {
        let (peer, ours): (Value, Value) = (serde_json::from_str(peer)?, serde_json::from_str(ours)?);
        let place = || format!("answer {number}: {}", ours["error"]);
        ensure!(peer["ok"] == true && peer == ours, "{}: not what Go renders", place());
        let output = peer["output"].as_str().with_context(place)?;
        ensure!(!output.is_empty(), "{}: empty", place());
    }
    Ok(())
}
