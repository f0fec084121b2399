//! Keys of SOPS in Cloud KMS.

use std::time::Duration;

use ::http::Method;
use sealops_crypto::sops::{KeyPart, MasterKey};
use sealops_formats::{Plaintext, base64};
use tokio::sync::OnceCell;

use super::api::{Api, Settings, escape};
use super::checksum::crc32c;
use crate::ProviderErrorKind;
use crate::http::Request;
use crate::json::Json;
use crate::key_service::KeyBackend;

/// Longest time for one request.
const REQUEST_TIMEOUT: Duration = Duration::from_secs(10);
/// Time for all attempts of one call.
const DEADLINE: Duration = Duration::from_secs(45);
/// Largest answer; what KMS encrypts has 64 KiB at most.
const MAX_ANSWER_BYTES: usize = 1 << 20;
/// What tokens have to be good for.
const SCOPE: &str = "https://www.googleapis.com/auth/cloudkms";

type Open = dyn Fn() -> Result<Settings, ProviderErrorKind> + Send + Sync;

/// Wraps and unwraps by Cloud KMS, with one login.
pub struct Kms {
    open: Box<Open>,
    api: OnceCell<Api>,
}

impl Kms {
    /// Takes what finds the settings; it is called when the first key is wanted, and may read files.
    pub fn new(open: impl Fn() -> Result<Settings, ProviderErrorKind> + Send + Sync + 'static) -> Self {
        Self { open: Box::new(open), api: OnceCell::new() }
    }

    /// Asks the key to do something to a field of the body, and returns the field of the answer.
    async fn ask(
        &self,
        key: &MasterKey,
        verb: &str,
        (sent, content): (&str, &Plaintext),
        wanted: &str,
    ) -> Result<Plaintext, ProviderErrorKind> {
        let path = path(key)?;
        let api = self.api.get_or_try_init(async || Api::new((self.open)()?, SCOPE)).await?;
        let url = format!("{}/v1/{path}:{verb}", api.endpoint());
        let sum = |field: &str| format!("{field}Crc32c");
        let body = Json::map([
            (sent.to_owned(), Json::Text(base64::encode(content.expose()))),
            (sum(sent), Json::text(crc32c(content.expose()).to_string().as_str())),
        ])
        .to_text();
        let answer = api.call(DEADLINE, || {
            let mut request =
                Request::new(Method::POST, url.as_str()).body("application/json", body.duplicate());
            request.timeout = REQUEST_TIMEOUT;
            request.max_bytes = MAX_ANSWER_BYTES;
            request
        });
        let answer = answer.await?;
        let got = answer.text_at(wanted).and_then(|text| base64::decode(text.expose()).ok());
        let got = got.filter(|got| !got.is_empty());
        let got = got.ok_or_else(|| ProviderErrorKind::Failed(format!("KMS answered without a {wanted}")))?;
        // A number of 64 bits, which is a text in JSON.
        let said = answer.str_at(&sum(wanted)).and_then(|text| text.parse().ok());
        let changed = said.is_some_and(|said: u32| said != crc32c(got.expose()));
        let unseen =
            answer.get("verifiedPlaintextCrc32c").is_some_and(|seen| !matches!(seen, Json::Bool(true)));
        if changed || unseen {
            return Err(ProviderErrorKind::Unavailable(
                "what was sent or answered was changed on its way: its checksum is another one".to_owned(),
            ));
        }
        Ok(got)
    }
}

impl KeyBackend for Kms {
    const NAME: &'static str = "Google Cloud KMS";

    async fn wrap_part(&self, key: &MasterKey, part: &KeyPart) -> Result<String, ProviderErrorKind> {
        let wrapped = self.ask(key, "encrypt", ("plaintext", part.plaintext()), "ciphertext").await?;
        Ok(base64::encode_public(wrapped.expose()))
    }

    async fn unwrap_part(&self, key: &MasterKey, wrapped: &str) -> Result<KeyPart, ProviderErrorKind> {
        let wrapped = base64::decode(wrapped.as_bytes())
            .map_err(|error| ProviderErrorKind::Failed(format!("the wrapped key is no base64: {error}")))?;
        self.ask(key, "decrypt", ("ciphertext", &wrapped), "plaintext").await.map(KeyPart::new)
    }
}

/// Returns a key's place below `/v1/`.
///
/// # Errors
/// Refuses what is no `projects/P/locations/L/keyRings/R/cryptoKeys/K`, in SOPS's words.
fn path(key: &MasterKey) -> Result<String, ProviderErrorKind> {
    let MasterKey::GcpKms { resource_id } = key else {
        return Err(ProviderErrorKind::Unsupported("a key that is none of Google Cloud KMS"));
    };
    let steps: Vec<&str> = resource_id.split('/').collect();
    let (kinds, names): (Vec<&str>, Vec<&str>) =
        steps.chunks(2).map(|pair| (pair[0], pair[pair.len() - 1])).unzip();
    let named = |name: &&str| !name.is_empty() && *name != "." && *name != "..";
    if steps.len() != 8
        || kinds != ["projects", "locations", "keyRings", "cryptoKeys"]
        || !names.iter().all(named)
    {
        return Err(ProviderErrorKind::Invalid(format!("no valid resource ID found in {resource_id:?}")));
    }
    let mut path = String::with_capacity(resource_id.len());
    for (kind, name) in kinds.iter().zip(names) {
        path.push_str(if path.is_empty() { "" } else { "/" });
        path.push_str(kind);
        path.push('/');
        // Old projects have names such as `example.com:project`.
        escape(&mut path, name);
    }
    Ok(path)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of(id: &str) -> Result<String, ProviderErrorKind> {
        path(&MasterKey::GcpKms { resource_id: id.to_owned() })
    }

    #[test]
    fn names_of_keys_lead_nowhere_else() {
        assert_eq!(
            of("projects/example.com:p/locations/eu/keyRings/r/cryptoKeys/k?x#y%2F").unwrap(),
            "projects/example.com%3Ap/locations/eu/keyRings/r/cryptoKeys/k%3Fx%23y%252F"
        );
        for id in [
            "",
            "projects/p",
            "projects/p/locations/l/keyRings/r/cryptoKeys/",
            "projects/p/locations/l/keyRings/r/cryptoKeys/k/cryptoKeyVersions/1",
            "projects/p/locations/../keyRings/r/cryptoKeys/k",
            "projects/p/locations/l/keyrings/r/cryptoKeys/k",
            "/projects/p/locations/l/keyRings/r/cryptoKeys/k",
        ] {
            let error = of(id).unwrap_err().to_string();
            assert_eq!(error, format!("no valid resource ID found in {id:?}"));
        }
    }
}
