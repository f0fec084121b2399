//! The keys of this machine: age identities and PGP.

use std::env;
use std::io::{self, IsTerminal, Write};
use std::sync::Arc;

use sealops_crypto::sops::{KeyPart, MasterKey};
use sealops_providers::local::{Environment, LocalKeys};

use super::keyring::KeyAccess;
