//! `sealops-controller`, also as `controller` and `external-secrets`: flags, then [`sealops_controller::cluster::run`] or
//! [`sealops_controller::cluster::run_external`].

mod flags;

use std::ffi::OsString;
use std::path::Path;
use std::process::ExitCode;

use clap::Parser as _;
use sealops_controller::cluster::log::{self, LogOptions};
use sealops_controller::cluster::run::{RunOptions, run};
use sealops_controller::cluster::run_external::run_external;
use sealops_controller::cluster::serving::{run_cert_controller, run_webhook};

use self::flags::external_secrets::{self, Asked};
use self::flags::{own, upstream};

/// What a command line asks for.
struct Setup {
    logging: LogOptions,
    options: Result<RunOptions, String>,
    /// Version in the first line of the log, as upstream's says it.
    announced: Option<&'static str>,
}

fn main() -> ExitCode {
    sealops_controller::harden::no_core_dumps();
    let arguments: Vec<OsString> = std::env::args_os().collect();
    let name = arguments.first().map(Path::new).and_then(Path::file_name);
    if name.is_some_and(|name| name == external_secrets::NAME) {
        return match external_secrets::read(&arguments) {
            Ok(command) => ended(start_external(command), ExitCode::FAILURE),
            Err(code) => code,
        };
    }
    let (setup, failure) = if name.is_some_and(|name| name == upstream::NAME) {
        match upstream::read(&arguments) {
            Ok(setup) => (setup, ExitCode::from(upstream::FAILURE)),
            Err(code) => return code,
        }
    } else {
        (own::Flags::parse_from(arguments).setup(), ExitCode::FAILURE)
    };
    ended(start(setup), failure)
}

fn ended(result: Result<(), String>, failure: ExitCode) -> ExitCode {
    match result {
        Ok(()) => ExitCode::SUCCESS,
        Err(problem) => {
            tracing::error!("{problem}");
            failure
        }
    }
}

fn start_external(command: external_secrets::Command) -> Result<(), String> {
    log::init(command.logging).map_err(|error| error.to_string())?;
    if !command.silent.is_empty() {
        tracing::info!(flags = command.silent.join(","), "these flags have no effect here");
    }
    match command.asked {
        Asked::Controller(options) => {
            let options = (*options)?;
            to_end(run_external(options))
        }
        Asked::Webhook(options) => to_end(run_webhook(options?)),
        Asked::CertController(options) => to_end(run_cert_controller(options?)),
    }
}

fn start(setup: Setup) -> Result<(), String> {
    log::init(setup.logging).map_err(|error| error.to_string())?;
    if let Some(version) = setup.announced {
        tracing::info!(version, "Starting sealed-secrets controller");
    }
    let options = setup.options?;
    to_end(run(options))
}

/// Runs to the end. What only waits for an answer then, a lookup of a name for example, is not waited for.
fn to_end(work: impl Future<Output = Result<(), String>>) -> Result<(), String> {
    let runtime = runtime()?;
    let result = runtime.block_on(work);
    runtime.shutdown_background();
    result
}

fn runtime() -> Result<tokio::runtime::Runtime, String> {
    rustls::crypto::aws_lc_rs::default_provider()
        .install_default()
        .map_err(|_| "a TLS provider is installed already".to_owned())?;
    tokio::runtime::Builder::new_multi_thread()
        .enable_all()
        .build()
        .map_err(|error| format!("cannot start the runtime: {error}"))
}
