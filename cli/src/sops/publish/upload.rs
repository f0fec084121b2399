//! Sending what is published.

use std::cell::OnceCell;
use std::collections::BTreeMap;
use std::env;

use sealops_providers::ProviderError;
use sealops_providers::aws::S3;
use sealops_providers::gcp::{self, Storage};
use sealops_providers::local::Environment;
use sealops_providers::vault::{EnvironmentServers, Published, Servers, Session as VaultSession, publish};
use tokio::runtime::{Builder, Runtime};
use tokio::sync::Mutex;

use super::{Parcel, Place, Publication, tell};
use crate::error::CommandError;
use crate::sops::network_keys::{aws_http, mfa_sessions};
use crate::sops::session::Session;

/// Sends. Nothing is started, and nobody logged in at, before there is something to send.
pub(super) struct Uploader {
    started: OnceCell<Started>,
}

struct Started {
    runtime: Runtime,
    s3: S3,
    gcs: Storage,
    servers: EnvironmentServers,
    vaults: Mutex<BTreeMap<String, VaultSession>>,
}

impl Uploader {
    pub(super) fn new() -> Self {
        Self { started: OnceCell::new() }
    }

    pub(super) fn send(
        &self,
        session: &Session,
        publication: &Publication,
        place: &Place,
        parcel: &Parcel,
    ) -> Result<(), CommandError> {
        if self.started.get().is_none() {
            let _ = self.started.set(Started::new()?);
        }
        let Some(started) = self.started.get() else { return Err(CommandError::input("no runtime")) };
        match (place, parcel) {
            (Place::S3 { bucket, name }, Parcel::File(text)) => {
                let put = started.runtime.block_on(started.s3.put(bucket, name, text));
                put.map_err(CommandError::input)?;
                tell(session, publication, &format!("{} is written", place.shown()));
            }
            (Place::Gcs { bucket, name }, Parcel::File(text)) => {
                let put = started.runtime.block_on(started.gcs.put(bucket, name, text));
                put.map_err(CommandError::input)?;
                tell(session, publication, &format!("{} is written", place.shown()));
            }
            (Place::Vault { address, path, version }, Parcel::Values(values)) => {
                let warn = || {
                    session.warn(&format!(
                        "Cannot check if destination secret already exists in {path}. New version will be created \
                         even if the data has not been changed."
                    ));
                };
                let work = async {
                    let mut vaults = started.vaults.lock().await;
                    if !vaults.contains_key(address) {
                        let opened = started.servers.session(address).await;
                        vaults.insert(address.clone(), opened.map_err(|kind| unopened(address, kind))?);
                    }
                    let Some(vault) = vaults.get(address) else { return Ok(Published::UpToDate) };
                    publish(vault, path, *version, values, warn).await
                };
                let text = match started.runtime.block_on(work).map_err(CommandError::input)? {
                    Published::Written => format!("Secret in {path} is written."),
                    Published::UpToDate => format!("Secret in {path} is already up-to-date."),
                };
                tell(session, publication, &text);
            }
            // A place has the parcel that was made for it.
            _ => return Err(CommandError::input("the destination takes something else")),
        }
        Ok(())
    }
}

fn unopened(address: &str, kind: sealops_providers::ProviderErrorKind) -> ProviderError {
    ProviderError { backend: "vault".to_owned(), operation: "open", target: address.to_owned(), kind }
}

impl Started {
    fn new() -> Result<Self, CommandError> {
        let runtime = Builder::new_current_thread().enable_all().build().map_err(|error| {
            CommandError::input(format!("cannot start what speaks to the network: {error}"))
        })?;
        let environment = Environment::new(env::vars_os());
        let endpoint = env::var("AWS_ENDPOINT_URL_S3").ok().filter(|url| !url.is_empty());
        Ok(Self {
            runtime,
            s3: S3::new(aws_http(), endpoint).with_mfa(mfa_sessions()),
            gcs: Storage::new({
                let environment = environment.clone();
                move || gcp::storage_settings(&environment)
            }),
            servers: EnvironmentServers::new(environment),
            vaults: Mutex::default(),
        })
    }
}

impl Drop for Started {
    fn drop(&mut self) {
        let vaults = std::mem::take(self.vaults.get_mut());
        self.runtime.block_on(async {
            for session in vaults.values() {
                // A token that stays dies by itself.
                let _ = session.close().await;
            }
        });
    }
}
