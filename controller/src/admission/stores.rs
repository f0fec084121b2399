//! The rules for SecretStores and ClusterSecretStores: conditions, then what the provider's settings refer to.
//!
//! A provider that this build does not have is admitted with a warning, so that its owner's controller may use it.

use sealops_crypto::sops::GoRegex;
use serde_json::Value;

use super::Judgement;

/// A store under judgement.
pub(super) struct Store<'a> {
    /// The whole object.
    pub(super) object: &'a Value,
    /// Namespace of a SecretStore; `None` for a ClusterSecretStore.
    pub(super) namespace: Option<&'a str>,
}

/// Judges a store; the first problem of its provider is named.
pub(super) fn judge(store: &Store<'_>) -> Judgement {
    let problems = conditions(&store.object["spec"]["conditions"]);
    if !problems.is_empty() {
        return Judgement { problems, warnings: Vec::new() };
    }
    let name = store.object["metadata"]["name"].as_str().unwrap_or_default();
    let settings = store.object["spec"]["provider"].as_object();
    let mut given = settings.into_iter().flatten().filter(|(_, settings)| !settings.is_null());
    let (Some((provider, settings)), None) = (given.next(), given.next()) else {
        let found = settings.map_or(0, serde_json::Map::len);
        return Judgement::refused(format!(
            "store error for {name}: secret stores must only have exactly one backend specified, found {found}"
        ));
    };
    let mut warnings = Vec::new();
    let result = match provider.as_str() {
        "aws" => aws(store, settings),
        "fake" => {
            warnings.push(format!(
                "store {name} isn't currently maintained. Please plan and prepare accordingly."
            ));
            fake(settings)
        }
        "kubernetes" => kubernetes(store, settings),
        "vault" => vault(store, settings),
        "webhook" => Ok(()),
        other => {
            warnings.push(format!(
                "the settings of the provider {other} are not looked at before the store is used"
            ));
            Ok(())
        }
    };
    Judgement { problems: result.err().into_iter().collect(), warnings }
}

fn conditions(conditions: &Value) -> Vec<String> {
    let mut problems = Vec::new();
    for (place, condition) in conditions.as_array().into_iter().flatten().enumerate() {
        for (number, regex) in condition["namespaceRegexes"].as_array().into_iter().flatten().enumerate() {
            if let Err(error) = GoRegex::new(regex.as_str().unwrap_or_default()) {
                problems.push(format!(
                    "failed to compile {number}th namespace regex in {place}th condition: {error}"
                ));
            }
        }
    }
    problems
}

impl Store<'_> {
    /// Refuses a reference of a SecretStore into another namespace. No reference is none to refuse.
    fn refer(&self, reference: &Value) -> Result<(), String> {
        match (self.namespace, reference["namespace"].as_str()) {
            (Some(own), Some(named)) if named != own => Err(
                "namespace should either be empty or match the namespace of the SecretStore for a namespaced \
                 SecretStore"
                    .to_owned(),
            ),
            _ => Ok(()),
        }
    }

    /// As [`Store::refer`]; a ClusterSecretStore has to name the namespace.
    fn refer_fully(&self, reference: &Value) -> Result<(), String> {
        if self.namespace.is_none() && reference["namespace"].is_null() {
            return Err("cluster scope requires namespace".to_owned());
        }
        self.refer(reference)
    }

    /// Judges the references at the paths of a table, with the text that goes before a problem.
    fn refer_all(&self, settings: &Value, table: &[(&str, &str)]) -> Result<(), String> {
        table.iter().try_for_each(|(path, what)| match settings.pointer(path) {
            Some(reference) => self.refer(reference).map_err(|problem| format!("invalid {what}: {problem}")),
            None => Ok(()),
        })
    }
}

fn aws(store: &Store<'_>, settings: &Value) -> Result<(), String> {
    let (service, region) = (text(&settings["service"]), text(&settings["region"]));
    if !matches!(service, "SecretsManager" | "ParameterStore" | "CertificateManager") {
        return Err(format!("unknown AWS Provider Service: {service}"));
    }
    if !fits_a_host(region) {
        return Err(format!("region not found: {region}"));
    }
    let deletion = &settings["secretsManager"];
    let window = deletion["recoveryWindowInDays"].as_i64().unwrap_or_default();
    let problem = match window {
        0 => None,
        7..=30 if deletion["forceDeleteWithoutRecovery"] == true => {
            Some("ForceDeleteWithoutRecovery conflicts with RecoveryWindowInDays")
        }
        7..=30 => None,
        _ => Some("RecoveryWindowInDays must be between 7 and 30 days"),
    };
    if let Some(problem) = problem {
        return Err(format!("invalid DeleteSecretInput: {problem}"));
    }
    store.refer_all(
        settings,
        &[
            ("/auth/secretRef/accessKeyIDSecretRef", "Auth.SecretRef.AccessKeyID"),
            ("/auth/secretRef/secretAccessKeySecretRef", "Auth.SecretRef.SecretAccessKey"),
            ("/auth/secretRef/sessionTokenSecretRef", "Auth.SecretRef.SessionToken"),
            ("/auth/jwt/serviceAccountRef", "Auth.JWT.ServiceAccountRef"),
        ],
    )
}

/// Upstream makes an address of the region and refuses what is none; which regions there are it does not ask.
fn fits_a_host(region: &str) -> bool {
    !region
        .chars()
        .any(|c| c.is_ascii_control() || matches!(c, ' ' | '%' | '\\' | '^' | '`' | '{' | '|' | '}'))
}

fn fake(settings: &Value) -> Result<(), String> {
    for (place, entry) in settings["data"].as_array().into_iter().flatten().enumerate() {
        if text(&entry["key"]).is_empty() {
            return Err(format!("key must be set in data {place}"));
        }
        if text(&entry["value"]).is_empty() {
            return Err(format!("at least one value must be set in data {place}"));
        }
    }
    Ok(())
}

fn kubernetes(store: &Store<'_>, settings: &Value) -> Result<(), String> {
    let (server, auth) = (&settings["server"], &settings["auth"]);
    let authority = &server["caProvider"];
    if settings["authRef"].is_null() && server["caBundle"].is_null() && authority.is_null() {
        return Err("a CABundle or CAProvider is required".to_owned());
    }
    match (store.namespace, authority.is_null(), authority["namespace"].is_null()) {
        (None, false, true) => {
            return Err("CAProvider.namespace must not be empty with ClusterSecretStore".to_owned());
        }
        (Some(_), false, false) => {
            return Err("CAProvider.namespace must be empty with SecretStore".to_owned());
        }
        _ => {}
    }
    for (login, reference, name) in
        [("cert", "clientCert", "ClientCert"), ("token", "bearerToken", "BearerToken")]
    {
        if auth[login].is_null() {
            continue;
        }
        let reference = &auth[login][reference];
        for (field, word) in [("name", "Name"), ("key", "Key")] {
            if text(&reference[field]).is_empty() {
                return Err(format!("{name}.{word} cannot be empty"));
            }
        }
        store.refer_fully(reference)?;
    }
    store.refer(&auth["serviceAccount"])
}

fn vault(store: &Store<'_>, settings: &Value) -> Result<(), String> {
    let auth = &settings["auth"];
    let given = |value: &Value| !value.is_null();
    let refer = |path: &str, what: &str| store.refer_all(settings, &[(path, what)]);
    refer("/auth/appRole/secretRef", "Auth.AppRole.SecretRef")?;
    if given(&auth["appRole"]) && text(&auth["appRole"]["roleId"]).is_empty() {
        if auth["appRole"]["roleRef"].is_null() {
            return Err("invalid Auth.AppRole: neither `roleId` nor `roleRef` was supplied".to_owned());
        }
        refer("/auth/appRole/roleRef", "Auth.AppRole.RoleRef")?;
    }
    refer("/auth/cert/clientCert", "Auth.Cert.ClientCert")?;
    refer("/auth/cert/secretRef", "Auth.Cert.SecretRef")?;
    let jwt = &auth["jwt"];
    match (given(&jwt["secretRef"]), given(&jwt["kubernetesServiceAccountToken"])) {
        (true, _) => refer("/auth/jwt/secretRef", "Auth.Jwt.SecretRef")?,
        (false, true) => refer(
            "/auth/jwt/kubernetesServiceAccountToken/serviceAccountRef",
            "Auth.Jwt.KubernetesServiceAccountToken.ServiceAccountRef",
        )?,
        (false, false) if given(jwt) => {
            return Err(
                "neither `secretRef` nor `kubernetesServiceAccountToken` was supplied as token source for jwt \
                 authentication"
                    .to_owned(),
            );
        }
        (false, false) => {}
    }
    store.refer_all(
        settings,
        &[
            ("/auth/kubernetes/serviceAccountRef", "Auth.Kubernetes.ServiceAccountRef"),
            ("/auth/kubernetes/secretRef", "Auth.Kubernetes.SecretRef"),
            ("/auth/ldap/secretRef", "Auth.Ldap.SecretRef"),
            ("/auth/userPass/secretRef", "Auth.UserPass.SecretRef"),
            ("/auth/tokenSecretRef", "Auth.TokenSecretRef"),
            ("/auth/iam/jwt/serviceAccountRef", "Auth.TokenSecretRef"),
            ("/auth/iam/secretRef/accessKeyIDSecretRef", "Auth.TokenSecretRef"),
            ("/auth/iam/secretRef/secretAccessKeySecretRef", "Auth.TokenSecretRef"),
            ("/auth/iam/secretRef/sessionTokenSecretRef", "Auth.TokenSecretRef"),
        ],
    )?;
    let tls = &settings["tls"];
    match (given(&tls["certSecretRef"]), given(&tls["keySecretRef"])) {
        (true, true) => {
            refer("/tls/certSecretRef", "ClientTLS.ClientCert")?;
            refer("/tls/keySecretRef", "ClientTLS.SecretRef")?;
        }
        (false, false) => {}
        _ => {
            return Err(
                "when provided, both ClientTLS.ClientCert and ClientTLS.SecretRef should be provided"
                    .to_owned(),
            );
        }
    }
    if settings["checkAndSet"]["required"] == true && settings["version"] == "v1" {
        return Err("checkAndSet is not supported with Vault KV version v1".to_owned());
    }
    Ok(())
}

fn text(value: &Value) -> &str {
    value.as_str().unwrap_or_default()
}
