//! `sealops keyservice`.

use std::path::PathBuf;

use super::EXIT_CODES;
use crate::error::CommandError;
use crate::sops::policy;

/// Serve the keys of this machine to SOPS on another one
///
/// It speaks the protocol of `sops keyservice`, in the clear and without a login: whoever reaches it can use the keys. A
/// unix socket is for its owner only; TCP can be carried through an SSH tunnel.
#[derive(clap::Args)]
#[command(after_help = EXIT_CODES)]
pub(in crate::commands) struct Args {
    /// tcp or unix
    #[arg(long, alias = "net", value_name = "NETWORK", default_value = "tcp", value_parser = ["tcp", "unix"])]
    network: String,
    /// Address or socket to listen on
    #[arg(long, alias = "addr", value_name = "ADDRESS", default_value = "127.0.0.1:5000")]
    address: String,
    /// Ask on the terminal before each answer
    #[arg(long)]
    prompt: bool,
    /// Allow only keys and addresses on the list in this file
    #[arg(long, value_name = "FILE", env = policy::VARIABLE)]
    key_policy: Option<PathBuf>,
    /// Allow keys and addresses that match; others are not asked. May be given again
    #[arg(long, value_name = "PATTERN")]
    allow_key: Vec<String>,
}

#[cfg(feature = "clouds")]
pub(in crate::commands) fn run(args: &Args) -> Result<(), CommandError> {
    use crate::sops::Front;
    use crate::sops::key_server::{self, Serving};

    key_server::run(&Serving {
        front: Front::Sealops,
        network: args.network.clone(),
        address: args.address.clone(),
        prompt: args.prompt,
        verbose: true,
        policy: policy::read(args.key_policy.as_deref(), &args.allow_key)?,
    })
}

#[cfg(not(feature = "clouds"))]
pub(in crate::commands) fn run(_: &Args) -> Result<(), CommandError> {
    Err(CommandError::input("this build of sealops asks no network and serves none"))
}
