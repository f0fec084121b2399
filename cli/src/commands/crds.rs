//! `sealops crds`: the custom resource definitions.

use sealops_crds::MANIFESTS;

use crate::error::CommandError;
use crate::ui;

/// Print the custom resource definitions
#[derive(clap::Args)]
#[command(after_help = "Examples:\n  sealops crds | kubectl apply --server-side -f -")]
pub(super) struct Args {}

pub(super) fn run(_: &Args) -> Result<(), CommandError> {
    let text: String =
        MANIFESTS.iter().map(|(_, text)| format!("---\n{}", text.trim_start_matches("---\n"))).collect();
    ui::data(text.as_bytes())
}
