//! `sealops keyservice`.

use super::EXIT_CODES;
use crate::error::CommandError;

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
    })
}

#[cfg(not(feature = "clouds"))]
pub(in crate::commands) fn run(_: &Args) -> Result<(), CommandError> {
    Err(CommandError::input("this build of sealops asks no network and serves none"))
}
