//! The system's clock and source of randomness, for callers that give templates both.

use std::time::{SystemTime, UNIX_EPOCH};

use aws_lc_rs::encoding::{AsDer, Pkcs8V1Der};
use aws_lc_rs::rsa::{KeySize, PrivateDecryptingKey};
use aws_lc_rs::signature::{ECDSA_P256_SHA256_ASN1_SIGNING, EcdsaKeyPair, Ed25519KeyPair};
use sealops_formats::Plaintext;

use crate::context::{Capabilities, Clock, KeyKind, Random};
use crate::error::FunctionError;
use crate::value::Time;

/// The system's clock, in UTC: containers know no other zone.
pub struct SystemClock;

impl Clock for SystemClock {
    fn now(&self) -> Time {
        let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
        Time::utc(i64::try_from(since.as_secs()).unwrap_or(i64::MAX), since.subsec_nanos())
    }
}

/// AWS-LC's generator, which the kernel seeds.
pub struct SystemRandom;

impl Random for SystemRandom {
    fn fill(&self, bytes: &mut [u8]) -> Result<(), FunctionError> {
        aws_lc_rs::rand::fill(bytes).map_err(|_| FunctionError::failed("there are no random bytes"))
    }

    fn private_key(&self, kind: KeyKind) -> Result<Plaintext, FunctionError> {
        let failed = || FunctionError::failed("the key could not be made");
        match kind {
            KeyKind::Rsa(bits) => {
                let size = match bits {
                    2048 => KeySize::Rsa2048,
                    3072 => KeySize::Rsa3072,
                    4096 => KeySize::Rsa4096,
                    _ => return Err(failed()),
                };
                let key = PrivateDecryptingKey::generate(size).map_err(|_| failed())?;
                let der: Pkcs8V1Der<'_> = key.as_der().map_err(|_| failed())?;
                Ok(der.as_ref().into())
            }
            KeyKind::EcdsaP256 => {
                let key = EcdsaKeyPair::generate(&ECDSA_P256_SHA256_ASN1_SIGNING).map_err(|_| failed())?;
                Ok(key.to_pkcs8v1().map_err(|_| failed())?.as_ref().into())
            }
            KeyKind::Ed25519 => {
                let key = Ed25519KeyPair::generate().map_err(|_| failed())?;
                Ok(key.to_pkcs8v1().map_err(|_| failed())?.as_ref().into())
            }
        }
    }
}

/// Both, for [`crate::Template::execute`].
pub fn capabilities() -> Capabilities<'static> {
    Capabilities { clock: Some(&SystemClock), random: Some(&SystemRandom) }
}
