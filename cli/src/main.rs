//! `sealops` on the command line; under the name `kubeseal` it takes that tool's flags.
//!
//! A command file is arguments, one library call, one print. Nothing here starts an async runtime except the two
//! functions that ask a server for a certificate.

#![forbid(unsafe_code)]

mod accounts;
mod backup;
mod certificates;
mod commands;
mod compat;
mod connection;
mod error;
mod files;
mod input;
mod interrupt;
mod keys;
mod kubeconfig;
mod merging;
mod resealing;
mod sealed_file;
mod sealing;
mod sops;
mod stores;
mod ui;
mod unsealing;

use std::env;
use std::ffi::OsString;
use std::path::Path;
use std::process::ExitCode;

fn main() -> ExitCode {
    sealops_controller::harden::no_core_dumps();
    let arguments: Vec<OsString> = env::args_os().collect();
    let name = arguments.first().and_then(|path| Path::new(path).file_stem()).unwrap_or_default();
    match name.to_str() {
        Some("kubeseal") => compat::kubeseal::run(&arguments),
        Some("sops") => compat::sops::run(&arguments),
        _ => commands::run(arguments),
    }
}
