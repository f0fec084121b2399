//! The commands that speak with other machines.

use std::path::PathBuf;

use super::{no_file, session, warn_of_more};
use crate::compat::urfave::Parsed;
use crate::error::CommandError;
#[cfg(feature = "clouds")]
use crate::sops::Front;
use crate::sops::publish::{self, Publication};
use crate::sops::session::read_order;
use crate::sops::updatekeys;

#[cfg(feature = "clouds")]
pub(super) fn key_service(global: &Parsed, local: &Parsed) -> Result<(), CommandError> {
    use crate::sops::key_server::{self, Serving};

    key_server::run(&Serving {
        front: Front::Sops,
        network: local.text("network").to_owned(),
        address: local.text("address").to_owned(),
        prompt: local.is_on("prompt"),
        verbose: local.is_on("verbose") || global.is_on("verbose"),
        policy: crate::sops::policy::of_environment()?,
    })
}

#[cfg(not(feature = "clouds"))]
pub(super) fn key_service(_: &Parsed, _: &Parsed) -> Result<(), CommandError> {
    Err(CommandError::input("this build of sops asks no network and serves none"))
}

pub(super) fn publish(global: &Parsed, local: &Parsed) -> Result<(), CommandError> {
    let mut session = session(global, local)?;
    if session.config_for(None)?.is_none() {
        return Err(updatekeys::no_config());
    }
    let first = local.rest.first().ok_or_else(no_file)?;
    warn_of_more(&session, &local.rest);
    session.order = read_order(local.text("decryption-order"))?;
    let publication = Publication {
        path: PathBuf::from(first),
        yes: local.is_on("yes"),
        omit_extensions: local.is_on("omit-extensions"),
        recursive: local.is_on("recursive"),
        verbose: local.is_on("verbose") || global.is_on("verbose"),
    };
    publish::run(&session, &publication)
}
