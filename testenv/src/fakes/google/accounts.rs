//! Service accounts, and what else proves who asks.

use anyhow::{Context, Result};
use aws_lc_rs::encoding::{AsDer, Pkcs8V1Der};
use aws_lc_rs::rsa::{KeyPair, KeySize};
use aws_lc_rs::signature::{KeyPair as _, RSA_PKCS1_2048_8192_SHA256, UnparsedPublicKey};
use base64::Engine;
use base64::engine::general_purpose::{STANDARD, URL_SAFE_NO_PAD};
use serde_json::{Value, json};

pub(super) const CLIENT_ID: &str = "client.apps.googleusercontent.com";
pub(super) const CLIENT_SECRET: &str = "CANARY-client-secret-55d0";
pub(super) const REFRESH_TOKEN: &str = "1//CANARY-refresh-token-8e21";
pub(super) const CI_HEADER: &str = "CANARY-ci-header-77c0";
pub(super) const AUDIENCE: &str =
    "//iam.googleapis.com/projects/1/locations/global/workloadIdentityPools/ci/providers/ci";

/// An account with its one key.
pub(super) struct Account {
    pub(super) email: String,
    key_id: String,
    private_pem: String,
    public_key: Vec<u8>,
}

impl Account {
    pub(super) fn new(name: &str) -> Result<Self> {
        let key = KeyPair::generate(KeySize::Rsa2048).context("an RSA key")?;
        let der = AsDer::<Pkcs8V1Der<'_>>::as_der(&key).context("an RSA key")?;
        let text = STANDARD.encode(der.as_ref());
        let lines: Vec<&str> =
            (0..text.len()).step_by(64).map(|at| &text[at..text.len().min(at + 64)]).collect();
        let private_pem =
            format!("-----BEGIN PRIVATE KEY-----\n{}\n-----END PRIVATE KEY-----\n", lines.join("\n"));
        let public_key = key.public_key().as_ref().to_vec();
        let key_id: String =
            public_key.iter().rev().skip(8).take(20).map(|byte| format!("{byte:02x}")).collect();
        Ok(Self { email: format!("{name}@p.iam.gserviceaccount.com"), key_id, private_pem, public_key })
    }

    /// The file that Google gives for the key.
    pub(super) fn file(&self) -> Value {
        json!({
            "type": "service_account",
            "project_id": "p",
            "private_key_id": self.key_id,
            "private_key": self.private_pem,
            "client_email": self.email,
            "client_id": "100000000000000000001",
            "auth_uri": "https://accounts.google.com/o/oauth2/auth",
            "token_uri": "https://oauth2.googleapis.com/token",
            "universe_domain": "googleapis.com",
        })
    }

    /// Returns the claims of a token that this account's key has signed.
    pub(super) fn verify(&self, token: &str) -> Option<Value> {
        let (signed, signature) = token.rsplit_once('.')?;
        let (header, claims) = signed.split_once('.')?;
        let json = |text: &str| -> Option<Value> {
            serde_json::from_slice(&URL_SAFE_NO_PAD.decode(text).ok()?).ok()
        };
        let header = json(header)?;
        let named = header.get("kid").is_none_or(|id| id == self.key_id.as_str());
        if header["alg"] != "RS256" || !named {
            return None;
        }
        let signature = URL_SAFE_NO_PAD.decode(signature).ok()?;
        UnparsedPublicKey::new(&RSA_PKCS1_2048_8192_SHA256, &self.public_key)
            .verify(signed.as_bytes(), &signature)
            .ok()?;
        json(claims)
    }
}

/// Returns who says that a token is theirs. Nothing is verified.
pub(super) fn issuer(token: &str) -> Option<String> {
    let claims = URL_SAFE_NO_PAD.decode(token.split('.').nth(1)?).ok()?;
    let claims: Value = serde_json::from_slice(&claims).ok()?;
    claims["iss"].as_str().map(str::to_owned)
}

pub(super) fn impersonation_url(email: &str) -> String {
    format!("https://iamcredentials.googleapis.com/v1/projects/-/serviceAccounts/{email}:generateAccessToken")
}
