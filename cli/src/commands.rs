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

use clap::{ArgMatches, Args, Command, FromArgMatches};

use crate::error::CommandError;
use crate::ui;

const ABOUT: &str =
    "Seals Secrets for git, encrypts files as SOPS does, and renders a folder of manifests without a cluster";
const LONG_ABOUT: &str = "\
    Seals Secrets for git, encrypts files as SOPS does, and renders a folder of manifests without a cluster\n\n\
    Under the names `kubeseal` and `sops` (symbolic links) it takes the flags of kubeseal 0.40.0 and sops 3.13.3.";
const EXIT_CODES: &str = "Exit codes: 0 done, 1 the input cannot be used, 2 the command line is wrong, \
                          3 a server did not answer as it should.";

/// A verb: its name, its flags, and what it does.
struct Verb {
    name: &'static str,
    flags: fn(Command) -> Command,
    run: fn(&ArgMatches) -> Result<Result<(), CommandError>, clap::Error>,
}

macro_rules! verb {
    ($name:literal, $args:ty, $run:path) => {
        Verb {
            name: $name,
            flags: <$args as Args>::augment_args,
            run: |matches| Ok($run(&<$args as FromArgMatches>::from_arg_matches(matches)?)),
        }
    };
}

const VERBS: &[Verb] = &[
    verb!("encrypt", sops::encrypt::Args, sops::encrypt::run),
    verb!("decrypt", sops::decrypt::Args, sops::decrypt::run),
    verb!("edit", sops::edit::Args, sops::edit::run),
    verb!("rotate", sops::rotate::Args, sops::rotate::run),
    verb!("set", sops::set::SetArgs, sops::set::set),
    verb!("unset", sops::set::UnsetArgs, sops::set::unset),
    verb!("updatekeys", sops::updatekeys::Args, sops::updatekeys::run),
    verb!("groups", sops::groups::Args, sops::groups::run),
    verb!("filestatus", sops::verify::StatusArgs, sops::verify::filestatus),
    verb!("exec-env", sops::exec::EnvArgs, sops::exec::env),
    verb!("exec-file", sops::exec::FileArgs, sops::exec::file),
    verb!("keyservice", sops::keyservice::Args, sops::keyservice::run),
    verb!("publish", sops::publish::Args, sops::publish::run),
    verb!("verify", sops::verify::Args, sops::verify::run),
    verb!("explain", sops::explain::Args, sops::explain::run),
    verb!("seal", seal::Args, seal::run),
    verb!("unseal", unseal::Args, unseal::run),
    verb!("re-encrypt", re_encrypt::Args, re_encrypt::run),
    verb!("validate", validate::Args, validate::run),
    verb!("render", render::Args, render::run),
    verb!("check", check::Args, check::run),
    verb!("keys", keys::Args, keys::run),
    verb!("fetch-cert", fetch_cert::Args, fetch_cert::run),
    verb!("release", release::Args, release::run),
    verb!("crds", crds::Args, crds::run),
    verb!("completions", completions::CompletionArgs, completions::completions),
    verb!("man", completions::ManArgs, completions::man),
];

/// Runs the command line.
pub(crate) fn run(arguments: Vec<OsString>) -> ExitCode {
    let parsed = definition_for(arguments.get(1)).try_get_matches_from(arguments).and_then(|matches| {
        let chosen = matches.subcommand().and_then(|(name, matches)| {
            VERBS.iter().find(|verb| verb.name == name).map(|verb| (verb.run)(matches))
        });
        // None is not reachable: a verb is required, and all are in the table.
        chosen.unwrap_or(Ok(Ok(())))
    });
    match parsed {
        Ok(result) => finish(result),
        Err(error) => {
            let _ = error.print();
            ExitCode::from(u8::try_from(error.exit_code()).unwrap_or(2))
        }
    }
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
fn command() -> Command {
    with_verbs(VERBS.iter())
}

/// Returns as much of the definition as the first argument needs: all flags of all verbs cost a millisecond.
fn definition_for(first: Option<&OsString>) -> Command {
    let first = first.and_then(|argument| argument.to_str()).unwrap_or_default();
    match VERBS.iter().find(|verb| verb.name == first) {
        Some(verb) => with_verbs([verb].into_iter()),
        None if matches!(first, "-V" | "--version") => with_verbs([].into_iter()),
        None => command(),
    }
}

fn with_verbs(verbs: impl Iterator<Item = &'static Verb>) -> Command {
    let top = Command::new("sealops")
        .version(env!("CARGO_PKG_VERSION"))
        .about(ABOUT)
        .long_about(LONG_ABOUT)
        .after_help(EXIT_CODES)
        .subcommand_required(true)
        .arg_required_else_help(true);
    hide_values(top.subcommands(verbs.map(|verb| (verb.flags)(Command::new(verb.name)))))
}

fn hide_values(command: Command) -> Command {
    command.mut_args(|argument| argument.hide_env_values(true)).mut_subcommands(hide_values)
}
