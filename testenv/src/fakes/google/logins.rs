//! What tests log in with.

use std::path::Path;
use std::time::Duration;

use anyhow::Result;
use serde_json::{Value, json};

use super::accounts::{self, Account};
use super::{GoogleCloud, Scope};

impl GoogleCloud {
    /// Makes a service account and returns the JSON of its key, whose logins go to `https://oauth2.googleapis.com`.
    ///
    /// # Errors
    /// If no key can be made.
    pub fn service_account(&self, name: &str) -> Result<Value> {
        let account = Account::new(name)?;
        let file = account.file();
        self.lock().accounts.insert(account.email.clone(), account);
        Ok(file)
    }

    /// Returns the JSON of a key that nobody here knows, of an account that is there.
    ///
    /// # Errors
    /// If no key can be made.
    pub fn foreign_key(&self, name: &str) -> Result<Value> {
        Account::new(name).map(|account| account.file())
    }

    /// Returns the JSON of a user's login.
    pub fn user(&self) -> Value {
        json!({
            "type": "authorized_user",
            "client_id": accounts::CLIENT_ID,
            "client_secret": accounts::CLIENT_SECRET,
            "refresh_token": accounts::REFRESH_TOKEN,
        })
    }

    /// Returns the JSON of a login by the token of another identity provider, in `file`, in the name of an account.
    pub fn federated(&self, file: &Path, subject: &str, email: Option<&str>) -> Value {
        self.lock().subjects.insert(subject.to_owned());
        let mut json = json!({
            "type": "external_account",
            "audience": accounts::AUDIENCE,
            "subject_token_type": "urn:ietf:params:oauth:token-type:jwt",
            "token_url": "https://sts.googleapis.com/v1/token",
            "credential_source": { "file": file },
        });
        if let Some(email) = email {
            json["service_account_impersonation_url"] = accounts::impersonation_url(email).into();
        }
        json
    }

    /// As [`Self::federated`], with a token that is given out at `server`, as text or as JSON, to whoever shows a header.
    pub fn federated_by_url(&self, server: &str, subject: &str, json: bool) -> Value {
        self.lock().subjects.insert(subject.to_owned());
        let mut login = self.federated(Path::new(""), subject, None);
        let name = if json { "subject.json" } else { "subject" };
        login["credential_source"] =
            json!({ "url": format!("{server}/{name}"), "headers": { "X-Ci": accounts::CI_HEADER } });
        if json {
            login["credential_source"]["format"] =
                json!({ "type": "json", "subject_token_field_name": "value" });
        }
        login
    }

    /// Returns the JSON of a login in the name of an account.
    pub fn impersonated(&self, source: &Value, email: &str) -> Value {
        json!({
            "type": "impersonated_service_account",
            "source_credentials": source,
            "service_account_impersonation_url": accounts::impersonation_url(email),
            "delegates": [],
        })
    }

    /// Gives out a token.
    pub fn token(&self, scope: Scope) -> String {
        let scopes = match scope {
            Scope::CloudPlatform => "https://www.googleapis.com/auth/cloud-platform",
            Scope::Kms => "https://www.googleapis.com/auth/cloudkms",
            Scope::Storage => "https://www.googleapis.com/auth/devstorage.read_write",
        };
        self.lock().issue(scopes)
    }

    /// Makes all tokens that there are worthless.
    pub fn end_tokens(&self) {
        self.lock().tokens.clear();
    }

    /// Sets how long tokens live from now on, and say so.
    pub fn set_life(&self, life: Duration) {
        self.lock().life = life;
    }

    /// Takes logins of service accounts at a further address, of a proxy for example.
    pub fn also_at(&self, token_url: &str) {
        self.lock().audiences.push(token_url.to_owned());
    }
}
