//! Cloud Storage, as much of it as publishing a file needs: one object is put.

use ::http::Method;
use sealops_formats::{Plaintext, base64};
use tokio::sync::OnceCell;

use super::api::{Api, Settings, escape};
use super::checksum::crc32c;
use crate::http::{Request, upload_times};
use crate::{ProviderError, ProviderErrorKind};

/// Largest answer: what is known about the object.
const MAX_ANSWER_BYTES: usize = 64 << 10;
/// Longest name of an object (Cloud Storage).
const MAX_NAME_BYTES: usize = 1024;
/// What tokens have to be good for.
const SCOPE: &str = "https://www.googleapis.com/auth/devstorage.read_write";
/// The type of an object, as SOPS's client finds it in an encrypted file.
const TYPE: &str = "text/plain; charset=utf-8";

type Open = dyn Fn() -> Result<Settings, ProviderErrorKind>;

/// Cloud Storage, with one login.
pub struct Storage {
    open: Box<Open>,
    api: OnceCell<Api>,
}

impl Storage {
    /// Takes what finds the settings; it is called when the first object is put, and may read files.
    pub fn new(open: impl Fn() -> Result<Settings, ProviderErrorKind> + 'static) -> Self {
        Self { open: Box::new(open), api: OnceCell::new() }
    }

    /// Puts an object, in place of one that may be there.
    ///
    /// # Errors
    /// Returns the code of Google's error, or that there was no answer in time. Nothing is there then, or the old object.
    pub async fn put(&self, bucket: &str, name: &str, content: &Plaintext) -> Result<(), ProviderError> {
        self.try_put(bucket, name, content).await.map_err(|kind| ProviderError {
            backend: "Google Cloud Storage".to_owned(),
            operation: "put",
            target: format!("gcs://{bucket}/{name}"),
            kind,
        })
    }

    async fn try_put(&self, bucket: &str, name: &str, content: &Plaintext) -> Result<(), ProviderErrorKind> {
        check_names(bucket, name)?;
        let api = self.api.get_or_try_init(async || Api::new((self.open)()?, SCOPE)).await?;
        let mut url = format!("{}/upload/storage/v1/b/{bucket}/o?uploadType=media&name=", api.endpoint());
        escape(&mut url, name);
        let (once, all) = upload_times(content.len());
        let answer = api.call(all, || {
            let mut request = Request::new(Method::POST, url.as_str()).body(TYPE, content.duplicate());
            request.timeout = once;
            request.max_bytes = MAX_ANSWER_BYTES;
            request
        });
        let answer = answer.await?;
        let sum = base64::encode_public(&crc32c(content.expose()).to_be_bytes());
        match answer.str_at("crc32c") {
            Some(said) if said == sum => Ok(()),
            Some(_) => Err(ProviderErrorKind::Failed(
                "the object is there, and it is not what was sent: its checksum is another one".to_owned(),
            )),
            None => Err(ProviderErrorKind::Failed(
                "the answer says nothing of the object: it may not be there".to_owned(),
            )),
        }
    }
}

/// A bucket's name becomes part of an address.
fn check_names(bucket: &str, name: &str) -> Result<(), ProviderErrorKind> {
    let letter = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'.' | b'_');
    if bucket.is_empty() || bucket.starts_with(['.', '-']) || !bucket.bytes().all(letter) {
        return Err(ProviderErrorKind::Invalid(format!("{bucket:?} is no name of a bucket")));
    }
    if name.is_empty() || name.len() > MAX_NAME_BYTES {
        let text = format!("the name of an object has 1 to {MAX_NAME_BYTES} bytes, this one {}", name.len());
        return Err(ProviderErrorKind::Invalid(text));
    }
    if name == "." || name == ".." || name.contains(['\r', '\n']) {
        return Err(ProviderErrorKind::Invalid(format!("{name:?} is no name of an object")));
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_lead_nowhere_else() {
        for (bucket, name) in
            [("", "x"), ("evil/o?", "x"), ("b%2f", "x"), ("b", ""), ("b", ".."), ("b", "a\nb")]
        {
            assert!(check_names(bucket, name).is_err(), "{bucket} {name}");
        }
        check_names("my-bucket.1_x", "a/../ü?&b.yaml").unwrap();
    }
}
