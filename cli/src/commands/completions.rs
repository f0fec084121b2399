//! `sealops completions` and `sealops man`: made from the definition of the command line.

use std::path::PathBuf;

use crate::error::CommandError;
use crate::files::{self, Access, NewFile};
use crate::ui;

/// Print completions for a shell
#[derive(clap::Args)]
#[command(after_help = "Examples:\n  sealops completions bash > /etc/bash_completion.d/sealops")]
pub(super) struct CompletionArgs {
    /// Shell
    #[arg(value_enum)]
    shell: clap_complete::Shell,
}

/// Print the manual page, or write one page per command
#[derive(clap::Args)]
#[command(after_help = "Examples:\n  sealops man | man -l -\n  sealops man -o /usr/local/share/man/man1")]
pub(super) struct ManArgs {
    /// Write sealops.1, sealops-seal.1, … into this folder
    #[arg(short, long, value_name = "DIR")]
    output: Option<PathBuf>,
}

pub(super) fn completions(args: &CompletionArgs) -> Result<(), CommandError> {
    let mut text = Vec::new();
    clap_complete::generate(args.shell, &mut super::command(), "sealops", &mut text);
    ui::data(&text)
}

pub(super) fn man(args: &ManArgs) -> Result<(), CommandError> {
    let mut command = super::command();
    command.build();
    let Some(folder) = &args.output else { return ui::data(&page(command)?) };
    files::create_folder(folder)?;
    let mut pages = vec![("sealops.1".to_owned(), page(command.clone())?)];
    for verb in command.get_subcommands().filter(|verb| verb.get_name() != "help") {
        pages.push((format!("sealops-{}.1", verb.get_name()), page(verb.clone())?));
    }
    let files: Vec<_> = pages
        .iter()
        .map(|(name, text)| NewFile { path: folder.join(name), content: text, access: Access::Public })
        .collect();
    files::write(&files)
}

fn page(command: clap::Command) -> Result<Vec<u8>, CommandError> {
    let mut text = Vec::new();
    clap_mangen::Man::new(command).render(&mut text).map_err(CommandError::input)?;
    Ok(text)
}
