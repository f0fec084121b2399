//! The verbs of `sealops`.

mod check;
mod completions;
mod crds;
mod fetch_cert;
mod keys;
mod re_encrypt;
mod release;
mod render;
mod seal;
mod sops;
mod unseal;
mod validate;

use std::ffi::OsString;
use std::process::ExitCode;

use clap::{CommandFactory, FromArgMatches, Parser, Subcommand};

use crate::error::CommandError;
use crate::ui;

/// Seals Secrets for git, encrypts files as SOPS does, and renders a folder of manifests without a cluster
///
/// Under the names `kubeseal` and `sops` (symbolic links) it takes the flags of kubeseal 0.40.0 and sops 3.13.3.
#[derive(Parser)]
#[command(name = "sealops", version, arg_required_else_help = true, after_help = EXIT_CODES)]
pub(crate) struct Cli {
    #[command(subcommand)]
    verb: Verb,
}

const EXIT_CODES: &str = "Exit codes: 0 done, 1 the input cannot be used, 2 the command line is wrong, \
                          3 a server did not answer as it should.";

#[derive(Subcommand)]
enum Verb {
    Encrypt(sops::encrypt::Args),
    Decrypt(sops::decrypt::Args),
    Edit(sops::edit::Args),
    Rotate(sops::rotate::Args),
    Set(sops::set::SetArgs),
    Unset(sops::set::UnsetArgs),
    #[command(name = "updatekeys")]
    UpdateKeys(sops::updatekeys::Args),
    Groups(sops::groups::Args),
    #[command(name = "filestatus")]
    FileStatus(sops::verify::StatusArgs),
    ExecEnv(sops::exec::EnvArgs),
    ExecFile(sops::exec::FileArgs),
    #[command(name = "keyservice")]
    KeyService(sops::keyservice::Args),
    Publish(sops::publish::Args),
    Verify(sops::verify::Args),
    Explain(sops::explain::Args),
    Seal(seal::Args),
    Unseal(unseal::Args),
    ReEncrypt(re_encrypt::Args),
    Validate(validate::Args),
    Render(render::Args),
    Check(check::Args),
    Keys(keys::Args),
    FetchCert(fetch_cert::Args),
    Release(release::Args),
    Crds(crds::Args),
    Completions(completions::CompletionArgs),
    Man(completions::ManArgs),
}

/// Runs the command line.
pub(crate) fn run(arguments: Vec<OsString>) -> ExitCode {
    let parsed =
        command().try_get_matches_from(arguments).and_then(|matches| Cli::from_arg_matches(&matches));
    let cli = match parsed {
        Ok(cli) => cli,
        Err(error) => {
            let _ = error.print();
            return ExitCode::from(u8::try_from(error.exit_code()).unwrap_or(2));
        }
    };
    finish(match cli.verb {
        Verb::Encrypt(args) => sops::encrypt::run(&args),
        Verb::Decrypt(args) => sops::decrypt::run(&args),
        Verb::Edit(args) => sops::edit::run(&args),
        Verb::Rotate(args) => sops::rotate::run(&args),
        Verb::Set(args) => sops::set::set(&args),
        Verb::Unset(args) => sops::set::unset(&args),
        Verb::UpdateKeys(args) => sops::updatekeys::run(&args),
        Verb::Groups(args) => sops::groups::run(&args),
        Verb::FileStatus(args) => sops::verify::filestatus(&args),
        Verb::ExecEnv(args) => sops::exec::env(&args),
        Verb::ExecFile(args) => sops::exec::file(&args),
        Verb::KeyService(args) => sops::keyservice::run(&args),
        Verb::Publish(args) => sops::publish::run(&args),
        Verb::Verify(args) => sops::verify::run(&args),
        Verb::Explain(args) => sops::explain::run(&args),
        Verb::Seal(args) => seal::run(&args),
        Verb::Unseal(args) => unseal::run(&args),
        Verb::ReEncrypt(args) => re_encrypt::run(&args),
        Verb::Validate(args) => validate::run(&args),
        Verb::Render(args) => render::run(&args),
        Verb::Check(args) => check::run(&args),
        Verb::Keys(args) => keys::run(&args),
        Verb::FetchCert(args) => fetch_cert::run(&args),
        Verb::Release(args) => release::run(&args),
        Verb::Crds(args) => crds::run(&args),
        Verb::Completions(args) => completions::completions(&args),
        Verb::Man(args) => completions::man(&args),
    })
}

/// Reports an error and returns the exit code.
pub(crate) fn finish(result: Result<(), CommandError>) -> ExitCode {
    match result {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            ui::report(&error);
            error.exit_code()
        }
    }
}

/// Returns the command line's definition. Its help names environment variables and never shows what they hold.
fn command() -> clap::Command {
    hide_values(Cli::command())
}

fn hide_values(command: clap::Command) -> clap::Command {
    command.mut_args(|argument| argument.hide_env_values(true)).mut_subcommands(hide_values)
}
