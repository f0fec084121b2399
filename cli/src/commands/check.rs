//! `sealops check`: what is missing before a folder becomes Secrets.

use std::io::{self, IsTerminal, Write};
use std::path::PathBuf;
use std::sync::Arc;

use sealops_controller::directory::{
    self, CheckOptions, Checked, Directory, Finding, RenderOptions, Severity,
};
use sealops_controller::sealed::OpenOptions;
use sealops_controller::templates::TemplateOptions;
use serde_json::json;

use crate::error::CommandError;
use crate::stores::{self, StoreFlags};
use crate::{keys, ui};

/// Say what is missing in a folder of manifests, without showing a value
///
/// Of each SealedSecret: does it open. Of each SecretStore: does it answer. Of each ExternalSecret: are its stores there, has
/// each remote key and property a value that decodes, do its templates render, may its Secret have this type. Of each
/// PushSecret: are its stores and its source there; nothing is pushed. Of all: Secrets that two objects make, owners that
/// are not there, intervals.
///
/// Stores on a network are asked only where --allow-server or --allow-network says so; a store that may not be asked is a
/// problem, unless --offline says that only what needs no network is wanted.
#[derive(clap::Args)]
#[command(after_help = EXAMPLES)]
pub(super) struct Args {
    /// Folder (or file) with the manifests
    #[arg(value_name = "DIR")]
    folder: PathBuf,
    /// Private key for SealedSecrets: PEM, or Secrets and Lists of them; may be repeated
    #[arg(long, value_name = "FILE")]
    key: Vec<PathBuf>,
    /// Namespace of objects that name none
    #[arg(short, long, value_name = "NAME")]
    namespace: Option<String>,
    /// Check only what needs no network
    #[arg(long, conflicts_with_all = ["allow_server", "allow_network", "own_identity"])]
    offline: bool,
    /// Print every finding as JSON
    #[arg(long)]
    json: bool,
    /// Let notes fail the run too
    #[arg(long)]
    strict: bool,
    #[command(flatten)]
    stores: StoreFlags,
}

const EXAMPLES: &str = "Examples:
  sealops check manifests/ --offline
  sealops check manifests/ --key keys.yaml --allow-server https://vault.example.com:8200
  sealops check manifests/ --allow-network --own-identity --json

Exit codes: 0 nothing is missing, 1 something is, 2 the command line is wrong, 3 a server did not answer.";

pub(super) fn run(args: &Args) -> Result<(), CommandError> {
    let keys = keys::read(&args.key)?;
    let folder = Arc::new(Directory::load(&args.folder).map_err(CommandError::input)?);
    let environment = args.stores.environment()?;
    let reach = Arc::clone(&environment.reach);
    let options = CheckOptions {
        render: RenderOptions {
            default_namespace: args.namespace.clone(),
            open: OpenOptions {
                // What a template makes is thrown away, so it may be another at each run.
                templates: TemplateOptions { allow_random_functions: true },
                ..OpenOptions::default()
            },
            environment,
            generators: args.stores.allow_generators,
            now: jiff::Timestamp::now().as_second(),
            deadline: args.stores.deadline(),
        },
        offline: args.offline,
    };
    let terminal = io::stderr().is_terminal() && !args.json;
    let progress = move |done: usize, total: usize| {
        if terminal {
            // Nobody is left to hear of a failure here.
            let _ = write!(io::stderr().lock(), "\rchecked {done} of {total}\x1b[K");
        }
    };
    let checked = stores::wait(directory::check(&folder, &keys, &options, &progress))?;
    if terminal {
        let _ = write!(io::stderr().lock(), "\r\x1b[K");
    }
    print(args, &checked)?;
    verdict(args, &checked).map_err(|mut error| {
        error.hints.extend(stores::hints(&reach));
        error
    })
}

fn print(args: &Args, checked: &Checked) -> Result<(), CommandError> {
    if args.json {
        let findings: Vec<_> = checked.findings.iter().map(row).collect();
        let text = json!({
            "findings": findings, "objects": checked.objects, "notAsked": checked.not_asked,
            "problems": count(checked, Severity::Problem), "notes": count(checked, Severity::Note),
        });
        return ui::data(format!("{text:#}\n").as_bytes());
    }
    let mut text = String::new();
    for finding in &checked.findings {
        let Finding { source, object, code, message, .. } = finding;
        text.push_str(&format!("{source}: {object}: {} ({code}): {message}\n", word(finding.severity)));
    }
    ui::data(text.as_bytes())
}

fn row(finding: &Finding) -> serde_json::Value {
    json!({
        "source": finding.source, "object": finding.object, "severity": word(finding.severity),
        "code": finding.code, "message": finding.message, "unavailable": finding.is_unavailable,
    })
}

fn word(severity: Severity) -> &'static str {
    match severity {
        Severity::Note => "note",
        Severity::Problem => "problem",
    }
}

fn count(checked: &Checked, severity: Severity) -> usize {
    checked.findings.iter().filter(|finding| finding.severity == severity).count()
}

fn verdict(args: &Args, checked: &Checked) -> Result<(), CommandError> {
    let objects: usize = checked.objects.values().sum();
    let (problems, notes) = (count(checked, Severity::Problem), count(checked, Severity::Note));
    let not_asked = match checked.not_asked {
        0 => String::new(),
        count => format!("; the stores of {count} were not asked"),
    };
    let summary = format!("{objects} objects: {problems} problems, {notes} notes{not_asked}");
    if problems == 0 && (notes == 0 || !args.strict) {
        if !args.json {
            ui::note(&summary);
        }
        return Ok(());
    }
    let is_unavailable = checked.findings.iter().any(|finding| finding.is_unavailable);
    Err(if is_unavailable { CommandError::connection(summary) } else { CommandError::input(summary) })
}
