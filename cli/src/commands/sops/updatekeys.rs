//! `sealops updatekeys`.

use std::path::{Path, PathBuf};

use super::{Common, EXIT_CODES};
use crate::error::CommandError;
use crate::interrupt::Interrupt;
use crate::sops::session::absolute;
use crate::sops::{code, threads, updatekeys, verify};
use crate::ui;

/// Give files the keys that their creation rules name
///
/// Files are looked at and changed several at a time; the summary says what became of each.
#[derive(clap::Args)]
#[command(after_help = EXIT_CODES)]
pub(in crate::commands) struct Args {
    /// Files, and folders with encrypted files in them
    #[arg(value_name = "FILE", required = true)]
    files: Vec<PathBuf>,
    /// Change the files; without it, only tell what would change (exit code 1 if anything would)
    #[arg(short, long)]
    yes: bool,
    /// Print the summary as JSON
    #[arg(long)]
    json: bool,
    #[command(flatten)]
    common: Common,
}

/// What became of one file.
#[derive(serde::Serialize)]
struct Report {
    file: String,
    status: &'static str,
    added: Vec<String>,
    removed: Vec<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    problem: Option<String>,
}

/// Of a file that was left out after a signal.
const NOT_BEGUN: &str = "not begun";

impl Report {
    fn new(path: &Path, status: &'static str) -> Self {
        let file = path.display().to_string();
        Self { file, status, added: Vec::new(), removed: Vec::new(), problem: None }
    }
}

pub(in crate::commands) fn run(args: &Args) -> Result<(), CommandError> {
    let files: Vec<PathBuf> = verify::encrypted_files(&args.files)?;
    args.common.audit()?;
    let interrupt = Interrupt::watch().map_err(CommandError::input)?;
    let reports = threads::map_files(&files, |path| match interrupt.exit_code() {
        None => report(args, path),
        Some(_) => Report::new(path, NOT_BEGUN),
    });
    if args.json {
        let text = serde_json::to_string_pretty(&reports).map_err(CommandError::input)?;
        ui::data(format!("{text}\n").as_bytes())?;
    } else {
        for report in reports.iter().filter(|report| !matches!(report.status, "up to date" | NOT_BEGUN)) {
            let keys = report.added.iter().map(|key| format!("\n  + {key}"));
            let keys: String = keys.chain(report.removed.iter().map(|key| format!("\n  - {key}"))).collect();
            let problem = report.problem.as_ref().map(|problem| format!(": {problem}")).unwrap_or_default();
            ui::note(&format!("{}: {}{problem}{keys}", report.file, report.status));
        }
    }
    let count = |status| reports.iter().filter(|report| report.status == status).count();
    let (updated, same, due, failed) =
        (count("updated"), count("up to date"), count("out of date"), count("failed"));
    let mut summary = format!("{updated} updated, {same} up to date, {due} out of date, {failed} failed");
    if let (left @ 1.., Some(code)) = (count(NOT_BEGUN), interrupt.exit_code()) {
        summary.push_str(&format!(", {left} not begun"));
        return Err(CommandError::code(code, summary)
            .hint("run it again: files that are up to date already are left alone"));
    }
    if reports.iter().any(|report| report.status == "updated" && !report.removed.is_empty()) {
        ui::warn("whoever held a removed key still knows the data key: `sealops rotate -i` makes a new one");
    }
    if failed + due > 0 {
        let error = CommandError::code(code::GENERIC, summary);
        return Err(if due > 0 { error.hint("--yes changes the files") } else { error });
    }
    ui::note(&summary);
    Ok(())
}

fn report(args: &Args, path: &Path) -> Report {
    let mut report = Report::new(path, "failed");
    match update(args, path, &mut report) {
        Ok(status) => report.status = status,
        Err(error) => report.problem = Some(error.error),
    }
    report
}

fn update(args: &Args, path: &Path, report: &mut Report) -> Result<&'static str, CommandError> {
    let session = args.common.session()?;
    let candidate = updatekeys::prepare(&session, &absolute(path), args.common.input_type, |_| {})?;
    let keys = |list: fn(&sealops_crypto::sops::GroupDiff) -> &Vec<sealops_crypto::sops::MasterKey>| {
        candidate.update.groups.iter().flat_map(list).map(ToString::to_string).collect()
    };
    report.added = keys(|group| &group.added);
    report.removed = keys(|group| &group.removed);
    if !candidate.update.changes() {
        return Ok("up to date");
    }
    if !args.yes {
        return Ok("out of date");
    }
    candidate.apply(&session)?;
    Ok("updated")
}
