//! Who gets a token for what, and what it is good for.

use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use serde_json::{Value, json};

use super::accounts::{self, AUDIENCE, CI_HEADER, CLIENT_ID, CLIENT_SECRET, REFRESH_TOKEN};
use super::server::{Request, Response};
use super::{State, Token, error};

/// Longest that an account's word may hold (Google's limit), and how much clocks may differ.
const MAX_WORD_SECONDS: u64 = 3600;
const SKEW_SECONDS: u64 = 60;
const CLOUD_PLATFORM: &str = "https://www.googleapis.com/auth/cloud-platform";

impl State {
    /// Gives out a token.
    pub(super) fn issue(&mut self, scopes: &str) -> String {
        self.issued += 1;
        let token = format!("ya29.CANARY-access-token-{}-7b3c", self.issued);
        let end = Instant::now() + self.life;
        self.tokens.insert(token.clone(), Token { scopes: scopes.to_owned(), end });
        token
    }

    fn granted(&mut self, scopes: &str) -> Response {
        let token = self.issue(scopes);
        let body =
            json!({ "access_token": token, "expires_in": self.life.as_secs(), "token_type": "Bearer" });
        Response::json(200, &body)
    }

    /// `oauth2.googleapis.com/token`: the word of a service account, or a user's refresh token.
    pub(super) fn token(&mut self, request: &Request) -> Response {
        let field = |name: &str| request.field(name).unwrap_or_default();
        match field("grant_type").as_str() {
            "urn:ietf:params:oauth:grant-type:jwt-bearer" => {
                let assertion = field("assertion");
                let Some(claims) = self.claims(&assertion) else { return refused("invalid_grant") };
                if !self.audiences.iter().any(|audience| claims["aud"] == audience.as_str()) {
                    return refused("invalid_grant");
                }
                match claims["scope"].as_str() {
                    Some(scopes) if !scopes.is_empty() => self.granted(scopes),
                    _ => refused("invalid_scope"),
                }
            }
            "refresh_token" if field("client_id") != CLIENT_ID || field("client_secret") != CLIENT_SECRET => {
                refused("invalid_client")
            }
            "refresh_token" if field("refresh_token") != REFRESH_TOKEN => refused("invalid_grant"),
            "refresh_token" => self.granted(CLOUD_PLATFORM),
            _ => refused("unsupported_grant_type"),
        }
    }

    /// `sts.googleapis.com/v1/token`: the token of another identity provider.
    pub(super) fn exchange(&mut self, request: &Request) -> Response {
        let field = |name: &str| request.field(name).unwrap_or_default();
        let asked = [
            ("grant_type", "urn:ietf:params:oauth:grant-type:token-exchange"),
            ("requested_token_type", "urn:ietf:params:oauth:token-type:access_token"),
            ("subject_token_type", "urn:ietf:params:oauth:token-type:jwt"),
        ];
        if asked.iter().any(|(name, value)| field(name) != *value) {
            return refused("invalid_request");
        }
        if field("audience") != AUDIENCE || !self.subjects.contains(&field("subject_token")) {
            return refused("invalid_grant");
        }
        self.granted(&field("scope"))
    }

    /// The token of another identity provider: the first one that this cloud trusts.
    pub(super) fn subject(&mut self, request: &Request) -> Response {
        let Some(subject) = self.subjects.first().filter(|_| request.header("x-ci") == Some(CI_HEADER))
        else {
            return error(403, "PERMISSION_DENIED", "CANARY: no such header");
        };
        if request.path.ends_with(".json") {
            Response::json(200, &json!({ "value": subject }))
        } else {
            text(subject)
        }
    }

    /// `iamcredentials.googleapis.com`: a token of another account.
    pub(super) fn impersonate(&mut self, request: &Request) -> Response {
        if let Err(refusal) = self.authorize(request, &["cloud-platform", "iam"]) {
            return refusal;
        }
        let email = request.path.rsplit('/').next().unwrap_or_default();
        let email = email.trim_end_matches(":generateAccessToken");
        if !self.accounts.contains_key(email) {
            return error(403, "PERMISSION_DENIED", "no such account, or no right to be it");
        }
        let body: Value = serde_json::from_slice(&request.body).unwrap_or_default();
        let scopes = body["scope"].as_array().into_iter().flatten().filter_map(Value::as_str);
        let scopes = scopes.collect::<Vec<_>>().join(" ");
        let seconds = body["lifetime"].as_str().and_then(|text| text.strip_suffix('s')?.parse().ok());
        if scopes.is_empty() || seconds.is_none_or(|seconds: u64| seconds > MAX_WORD_SECONDS) {
            return error(400, "INVALID_ARGUMENT", "scope or lifetime");
        }
        let token = self.issue(&scopes);
        let end = jiff::Timestamp::now() + Duration::from_secs(seconds.unwrap_or(MAX_WORD_SECONDS));
        let end = end.strftime("%Y-%m-%dT%H:%M:%SZ").to_string();
        Response::json(200, &json!({ "accessToken": token, "expireTime": end }))
    }

    /// The metadata server.
    pub(super) fn metadata(&mut self, request: &Request) -> Response {
        // An account is known by its name too.
        let path = request.path.replace("/default@p.iam.gserviceaccount.com/", "/default/");
        let mut response = match path.trim_start_matches("/computeMetadata/v1/") {
            _ if request.header("metadata-flavor") != Some("Google") => error(403, "FORBIDDEN", "no flavor"),
            "/" => text("computeMetadata/"),
            "instance/service-accounts/default/token" => {
                let scopes = request.query("scopes").unwrap_or(CLOUD_PLATFORM).replace(',', " ");
                self.granted(&scopes)
            }
            "instance/service-accounts/default/" => Response::json(
                200,
                &json!({ "aliases": ["default"], "email": "default@p.iam.gserviceaccount.com", "scopes": [CLOUD_PLATFORM] }),
            ),
            "universe/universe-domain" | "universe/universe_domain" => text("googleapis.com"),
            "project/project-id" => text("p"),
            _ => error(404, "NOT_FOUND", "no such metadata"),
        };
        response.headers.push(("Metadata-Flavor", "Google".to_owned()));
        response
    }

    /// Checks the token of a call for a service.
    pub(super) fn authorize(&self, request: &Request, good_for: &[&str]) -> Result<(), Response> {
        let header = request.header("authorization").and_then(|header| header.strip_prefix("Bearer "));
        let Some(token) = header else { return Err(unauthenticated()) };
        let scopes = match self.tokens.get(token) {
            Some(known) if known.end > Instant::now() => known.scopes.clone(),
            Some(_) => return Err(unauthenticated()),
            // A service account's word for itself, without a login.
            None => {
                let claims = self.claims(token).ok_or_else(unauthenticated)?;
                if claims["sub"] != claims["iss"] {
                    return Err(unauthenticated());
                }
                let host = request.header("host").unwrap_or_default();
                match (claims["scope"].as_str(), claims["aud"].as_str()) {
                    (Some(scopes), _) if !scopes.is_empty() => scopes.to_owned(),
                    (_, Some(audience)) if audience == format!("https://{host}/") => {
                        CLOUD_PLATFORM.to_owned()
                    }
                    _ => return Err(unauthenticated()),
                }
            }
        };
        let good = |scope: &str| {
            let name = scope.strip_prefix("https://www.googleapis.com/auth/");
            name.is_some_and(|name| good_for.contains(&name))
        };
        if scopes.split(' ').any(good) {
            return Ok(());
        }
        let body = json!({ "error": {
            "code": 403,
            "message": "Request had insufficient authentication scopes.",
            "status": "PERMISSION_DENIED",
            "details": [{
                "@type": "type.googleapis.com/google.rpc.ErrorInfo",
                "reason": "ACCESS_TOKEN_SCOPE_INSUFFICIENT",
                "domain": "googleapis.com",
            }],
        }});
        Err(Response::json(403, &body))
    }

    /// Returns the claims of an account's word, if it holds now.
    fn claims(&self, token: &str) -> Option<Value> {
        let claims = self.accounts.get(&accounts::issuer(token)?)?.verify(token)?;
        let now = SystemTime::now().duration_since(UNIX_EPOCH).ok()?.as_secs();
        let (issued, end) = (claims["iat"].as_u64()?, claims["exp"].as_u64()?);
        let holds = issued <= now + SKEW_SECONDS && end > now && end <= issued + MAX_WORD_SECONDS;
        holds.then_some(claims)
    }
}

fn text(text: &str) -> Response {
    Response {
        status: 200,
        headers: vec![("Content-Type", "application/text".to_owned())],
        body: text.as_bytes().to_vec(),
    }
}

fn refused(word: &str) -> Response {
    let status = if word == "invalid_client" { 401 } else { 400 };
    Response::json(status, &json!({ "error": word, "error_description": "CANARY-description-0d9f" }))
}

fn unauthenticated() -> Response {
    let mut response = error(401, "UNAUTHENTICATED", "Request had invalid authentication credentials.");
    response.headers.push(("WWW-Authenticate", "Bearer realm=\"https://accounts.google.com/\"".to_owned()));
    response
}
