//! A kubeconfig that stands in a Secret. What would lead to files or programs of the controller is refused.

use sealops_formats::{Plaintext, base64, manifest};
use serde::Deserialize;

use super::connect::Endpoint;
use crate::ProviderErrorKind;

/// Largest kubeconfig.
const MAX_BYTES: usize = 1 << 20;

#[derive(Deserialize)]
#[serde(rename_all = "kebab-case")]
struct Kubeconfig {
    current_context: Option<String>,
    #[serde(default)]
    clusters: Vec<Named>,
    #[serde(default)]
    contexts: Vec<Named>,
    #[serde(default)]
    users: Vec<Named>,
}

#[derive(Deserialize)]
struct Named {
    name: String,
    cluster: Option<Cluster>,
    context: Option<Context>,
    user: Option<User>,
}

#[derive(Deserialize)]
#[serde(rename_all = "kebab-case")]
struct Cluster {
    server: Option<String>,
    certificate_authority_data: Option<Plaintext>,
    certificate_authority: Option<String>,
    insecure_skip_tls_verify: Option<bool>,
    tls_server_name: Option<String>,
    proxy_url: Option<String>,
}

#[derive(Deserialize)]
struct Context {
    cluster: String,
    user: String,
}

#[derive(Default, Deserialize)]
#[serde(rename_all = "kebab-case", default)]
struct User {
    token: Option<Plaintext>,
    #[serde(rename = "tokenFile")]
    token_file: Option<String>,
    client_certificate_data: Option<Plaintext>,
    client_key_data: Option<Plaintext>,
    client_certificate: Option<String>,
    client_key: Option<String>,
    username: Option<String>,
    password: Option<Plaintext>,
    exec: Option<serde::de::IgnoredAny>,
    auth_provider: Option<serde::de::IgnoredAny>,
}

fn invalid(text: impl Into<String>) -> ProviderErrorKind {
    ProviderErrorKind::Invalid(format!("the kubeconfig of authRef: {}", text.into()))
}

/// Reads the current context.
///
/// # Errors
/// Returns what is missing, what makes no sense, and what is refused.
pub(super) fn read(text: &Plaintext) -> Result<Endpoint, ProviderErrorKind> {
    if text.len() > MAX_BYTES {
        return Err(invalid(format!("it is larger than {MAX_BYTES} bytes")));
    }
    let documents = manifest::parse(text.expose()).map_err(|_| invalid("it is no YAML"))?;
    let first = documents.first().ok_or_else(|| invalid("it is empty"))?;
    let config: Kubeconfig = first.root.read().map_err(|_| invalid("it is no kubeconfig"))?;
    let current = config.current_context.unwrap_or_default();
    let of = |entries: Vec<Named>, kind: &str, name: &str| {
        let found = entries.into_iter().find(|entry| entry.name == name);
        found.ok_or_else(|| invalid(format!("the {kind} that it names is not in it")))
    };
    let context = of(config.contexts, "context", &current)?.context;
    let context = context.ok_or_else(|| invalid("the current context is empty"))?;
    let cluster = of(config.clusters, "cluster", &context.cluster)?.cluster;
    let cluster = cluster.ok_or_else(|| invalid("the cluster is empty"))?;
    let user = of(config.users, "user", &context.user)?.user.unwrap_or_default();
    refuse(&cluster, &user)?;
    endpoint(cluster, user)
}

fn refuse(cluster: &Cluster, user: &User) -> Result<(), ProviderErrorKind> {
    for (is_used, field) in [
        (cluster.certificate_authority.is_some(), "certificate-authority (use certificate-authority-data)"),
        (cluster.insecure_skip_tls_verify == Some(true), "insecure-skip-tls-verify"),
        (cluster.proxy_url.is_some(), "proxy-url"),
        (user.token_file.is_some(), "tokenFile (use token)"),
        (user.client_certificate.is_some(), "client-certificate (use client-certificate-data)"),
        (user.client_key.is_some(), "client-key (use client-key-data)"),
        (user.exec.is_some(), "exec"),
        (user.auth_provider.is_some(), "auth-provider"),
    ] {
        if is_used {
            let text = format!("the kubeconfig of authRef: {field} is refused");
            return Err(ProviderErrorKind::Forbidden(text));
        }
    }
    Ok(())
}

fn endpoint(cluster: Cluster, user: User) -> Result<Endpoint, ProviderErrorKind> {
    let decoded = |field: &str, text: Option<Plaintext>| {
        text.map(|text| base64::decode(text.expose()).map_err(|_| invalid(format!("{field} is not base64"))))
            .transpose()
    };
    let roots = decoded("certificate-authority-data", cluster.certificate_authority_data)?;
    let chain = decoded("client-certificate-data", user.client_certificate_data)?;
    let key = decoded("client-key-data", user.client_key_data)?;
    let authorization = match (&user.token, user.username) {
        (Some(token), _) => Some(header("Bearer ", token)),
        (None, Some(name)) => {
            let mut pair = Plaintext::from(format!("{name}:"));
            pair.push(user.password.unwrap_or_default().expose());
            Some(header("Basic ", &base64::encode(pair.expose())))
        }
        (None, None) => None,
    };
    Ok(Endpoint {
        server: cluster.server.ok_or_else(|| invalid("the cluster has no server"))?,
        roots: roots.map(|pem| pem.expose().to_vec()),
        server_name: cluster.tls_server_name,
        identity: chain.zip(key).map(|(chain, key)| (chain.expose().to_vec(), key)),
        authorization,
    })
}

fn header(scheme: &str, value: &Plaintext) -> Plaintext {
    let mut header = Plaintext::with_capacity(scheme.len() + value.len());
    header.push(scheme.as_bytes());
    header.push(value.expose().trim_ascii());
    header
}

#[cfg(test)]
mod tests {
    use super::*;

    fn config(cluster: &str, user: &str) -> Result<Endpoint, ProviderErrorKind> {
        let text = format!(
            "current-context: main\ncontexts:\n- name: main\n  context: {{cluster: c, user: u}}\n\
             clusters:\n- name: c\n  cluster: {cluster}\nusers:\n- name: u\n  user: {user}\n"
        );
        read(&text.into())
    }

    #[test]
    fn reads_the_current_context() {
        let endpoint =
            config("{server: 'https://k:6443', certificate-authority-data: eA==}", "{token: hunter2}")
                .unwrap();
        assert_eq!(
            (endpoint.server.as_str(), endpoint.roots.as_deref()),
            ("https://k:6443", Some(&b"x"[..]))
        );
        assert_eq!(endpoint.authorization.unwrap().expose(), b"Bearer hunter2");
        let endpoint =
            config("{server: k}", "{client-certificate-data: eA==, client-key-data: eQ==}").unwrap();
        assert_eq!(endpoint.identity.unwrap().1.expose(), b"y");
        let endpoint = config("{server: k}", "{username: a, password: b}").unwrap();
        assert_eq!(endpoint.authorization.unwrap().expose(), b"Basic YTpi");
    }

    /// Such a file could read files of the controller and run programs in it.
    #[test]
    fn refuses_what_leads_to_files_and_programs() {
        for (cluster, user) in [
            ("{server: k, certificate-authority: /etc/passwd}", "{token: hunter2}"),
            ("{server: k, insecure-skip-tls-verify: true}", "{token: hunter2}"),
            ("{server: k, proxy-url: 'http://p'}", "{token: hunter2}"),
            ("{server: k}", "{tokenFile: /var/run/secrets/kubernetes.io/serviceaccount/token}"),
            ("{server: k}", "{client-certificate: /a, client-key: /b}"),
            ("{server: k}", "{exec: {command: sh}}"),
            ("{server: k}", "{auth-provider: {name: gcp}}"),
        ] {
            let Err(error) = config(cluster, user) else { panic!("{cluster} {user} was taken") };
            assert!(matches!(error, ProviderErrorKind::Forbidden(_)), "{cluster} {user}: {error}");
        }
        for text in
            ["", "hunter2", "[hunter2]", "{current-context: hunter2}", "{contexts: hunter2}", "\t%hunter2"]
        {
            let Err(error) = read(&text.into()) else { panic!("{text} was taken") };
            assert!(matches!(error, ProviderErrorKind::Invalid(_)));
            assert!(!error.to_string().contains("hunter2"), "{error}");
        }
    }
}
