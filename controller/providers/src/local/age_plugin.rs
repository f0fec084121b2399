//! age plugins: programs named `age-plugin-NAME` on the PATH.

use std::sync::Arc;

use age::plugin::{
    Identity as PluginIdentity, IdentityPluginV1, Recipient as PluginRecipient, RecipientPluginV1,
};
use age::secrecy::SecretString;
use age::{Callbacks, Identity, Recipient};
use sealops_formats::Plaintext;

use super::Prompt;

/// Passes a plugin's questions to a person.
#[derive(Clone)]
pub(super) struct Questions(pub(super) Arc<dyn Prompt>);

impl Callbacks for Questions {
    fn display_message(&self, message: &str) {
        self.0.message(message);
    }

    fn confirm(&self, message: &str, yes: &str, no: Option<&str>) -> Option<bool> {
        self.0.confirm(message, yes, no)
    }

    fn request_public_string(&self, description: &str) -> Option<String> {
        self.0.text(description)
    }

    fn request_passphrase(&self, description: &str) -> Option<SecretString> {
        let typed = self.0.passphrase(description)?;
        typed.expose_str().map(|text| SecretString::from(text.to_owned()))
    }
}

/// Encrypts to a plugin's recipient.
pub(super) fn encrypt(
    name: &str,
    recipient: &str,
    part: &Plaintext,
    prompt: &Arc<dyn Prompt>,
) -> Result<String, String> {
    let plugin = self::recipient(name, recipient, prompt)?;
    sealops_crypto::age::encrypt(plugin.as_ref(), part).map_err(|error| error.to_string())
}

/// Makes a plugin's recipient usable.
pub(super) fn recipient(
    name: &str,
    recipient: &str,
    prompt: &Arc<dyn Prompt>,
) -> Result<Box<dyn Recipient + Send + Sync>, String> {
    let parsed: PluginRecipient = recipient
        .parse()
        .map_err(|error| format!("failed to parse input as age key from age plugin: {error}"))?;
    let plugin = RecipientPluginV1::new(name, &[parsed], &[], Questions(Arc::clone(prompt)))
        .map_err(|_| missing(name))?;
    Ok(Box::new(plugin))
}

/// Makes a plugin's identity usable.
pub(super) fn identity(
    name: &str,
    identity: &Plaintext,
    prompt: &Arc<dyn Prompt>,
) -> Result<Box<dyn Identity + Send + Sync>, String> {
    let parsed: PluginIdentity = identity
        .expose_str()
        .unwrap_or_default()
        .parse()
        .map_err(|_| format!("malformed identity of the age plugin {name}"))?;
    let plugin =
        IdentityPluginV1::new(name, &[parsed], Questions(Arc::clone(prompt))).map_err(|_| missing(name))?;
    Ok(Box::new(plugin))
}

fn missing(name: &str) -> String {
    format!("the program age-plugin-{name} is not on the PATH")
}
