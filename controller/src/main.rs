//! `sealops-controller`, also as `controller`: flags, then [`sealops_controller::cluster::run`].

mod flags;

use std::ffi::OsString;
use std::path::Path;
use std::process::ExitCode;

use clap::Parser as _;
use sealops_controller::cluster::log::{self, LogOptions};
use sealops_controller::cluster::run::{RunOptions, run};

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
    let (setup, failure) = if name.is_some_and(|name| name == upstream::NAME) {
        match upstream::read(&arguments) {
            Ok(setup) => (setup, ExitCode::from(upstream::FAILURE)),
            Err(code) => return code,
        }
    } else {
        (own::Flags::parse_from(arguments).setup(), ExitCode::FAILURE)
    };
    match start(setup) {
        Ok(()) => ExitCode::SUCCESS,
        Err(problem) => {
            tracing::error!("{problem}");
            failure
        }
    }
}

fn start(setup: Setup) -> Result<(), String> {
    log::init(setup.logging).map_err(|error| error.to_string())?;
    if let Some(version) = setup.announced {
        tracing::info!(version, "Starting sealed-secrets controller");
    }
    let options = setup.options?;
    rustls::crypto::aws_lc_rs::default_provider()
        .install_default()
        .map_err(|_| "a TLS provider is installed already".to_owned())?;
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .enable_all()
        .build()
        .map_err(|error| format!("cannot start the runtime: {error}"))?;
    runtime.block_on(run(options))
}
