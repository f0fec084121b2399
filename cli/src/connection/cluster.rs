//! The network: requests to an API server, and certificates by URL.
//!
//! Both go through kube's HTTP client, so that there is one TLS stack.

use std::error::Error as _;
use std::future::Future;
use std::time::Duration;

use http::{Request, Response, StatusCode, Uri, header};
use http_body_util::{BodyExt, Limited};
use kube::client::Body;
use kube::config::{
    AuthInfo, Cluster, Context, KubeConfigOptions, Kubeconfig, KubeconfigError, NamedAuthInfo, NamedCluster,
    NamedContext,
};
use kube::{Client, Config};
use sealops_formats::Plaintext;
use tokio::runtime::Runtime;

use super::ConnectionFlags;
use super::api::{self, Answer};
use super::client::client;
use crate::certificates::MAX_BYTES;
use crate::error::CommandError;
use crate::kubeconfig;

const MAX_REDIRECTS: usize = 10;
const NOT_CONFIGURED: &str = "invalid configuration: no configuration has been provided, try setting KUBERNETES_MASTER environment variable";

/// A connection to one API server. Requests go one after another, and the runtime lives as long as it does.
pub(crate) struct Api {
    runtime: Runtime,
    client: Client,
    server: String,
    timeout: Duration,
}

impl Api {
    /// Finds the cluster that the flags mean; nothing is sent yet.
    pub(crate) fn connect(flags: &ConnectionFlags) -> Result<Self, CommandError> {
        let timeout = flags.timeout()?;
        let runtime = runtime()?;
        let late = || Err(late(timeout));
        let (client, server) = runtime.block_on(async {
            tokio::time::timeout(timeout, connect(flags)).await.unwrap_or_else(|_| late())
        })?;
        Ok(Self { runtime, client, server, timeout })
    }

    /// Returns the URL of the API server.
    pub(crate) fn server(&self) -> &str {
        &self.server
    }

    /// Sends a request, again after a while where the server asks for that.
    pub(crate) fn send(&self, request: &api::Request<'_>) -> Result<Answer, CommandError> {
        self.runtime.block_on(async {
            let mut tries = 0;
            loop {
                let once = tokio::time::timeout(self.timeout, self.send_once(request));
                let (answer, wait) = once.await.unwrap_or_else(|_| Err(late(self.timeout)))?;
                match wait {
                    Some(wait) if tries < MAX_RETRIES => tokio::time::sleep(wait).await,
                    _ => return Ok(answer),
                }
                tries += 1;
            }
        })
    }

    async fn send_once(
        &self,
        request: &api::Request<'_>,
    ) -> Result<(Answer, Option<Duration>), CommandError> {
        let method = match request.method {
            api::Method::Get => http::Method::GET,
            api::Method::Post => http::Method::POST,
            api::Method::Patch => http::Method::PATCH,
            api::Method::Delete => http::Method::DELETE,
        };
        let is_patch = method == http::Method::PATCH;
        let (sent, wanted) = if is_patch { (request.media, api::JSON) } else { (api::JSON, request.media) };
        let verb = match request.method {
            api::Method::Get => "Get",
            api::Method::Post => "Post",
            api::Method::Patch => "Patch",
            api::Method::Delete => "Delete",
        };
        let fail = |problem: String| {
            CommandError::connection(format!("{verb} \"{}{}\": {problem}", self.server, request.path))
        };
        let mut builder = Request::builder().method(method).uri(request.path).header(header::ACCEPT, wanted);
        if !request.body.is_empty() {
            builder = builder.header(header::CONTENT_TYPE, sent);
        }
        let built = builder
            .body(Body::from(request.body.to_vec()))
            .map_err(|_| fail("this is not a URL".to_owned()))?;
        let response = self.client.send(built).await.map_err(|error| fail(cause(&error)))?;
        let status = response.status().as_u16();
        let wait = response.headers().get(header::RETRY_AFTER).filter(|_| status == 429 || status >= 500);
        let wait = wait.and_then(|text| text.to_str().ok()?.parse::<u64>().ok());
        let wait = wait.map(|seconds| Duration::from_secs(seconds.min(LONGEST_WAIT)));
        Ok((
            Answer { status, body: secret_body(response).await.map_err(|text| fail(text.to_owned()))? },
            wait,
        ))
    }
}

/// How often a request is sent again; client-go's figure.
const MAX_RETRIES: usize = 10;
/// Longest time to wait before that, in seconds, whatever the server asks for.
const LONGEST_WAIT: u64 = 30;
/// Largest answer that is read: a page of a list.
const MAX_ANSWER_BYTES: usize = 64 << 20;

/// Reads a body that may hold secrets.
async fn secret_body(response: Response<Body>) -> Result<Plaintext, &'static str> {
    let mut body = response.into_body();
    let mut text = Plaintext::default();
    while let Some(frame) = body.frame().await {
        let frame = frame.map_err(|_| "the answer broke off")?;
        let Ok(data) = frame.into_data() else { continue };
        if text.len() + data.len() > MAX_ANSWER_BYTES {
            return Err("the answer is larger than 64 MiB");
        }
        text.push(&data);
    }
    Ok(text)
}

fn runtime() -> Result<Runtime, CommandError> {
    tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .map_err(|error| CommandError::input(format!("start the async runtime: {error}")))
}

fn late(timeout: Duration) -> CommandError {
    CommandError::connection(format!("no answer within {} s", timeout.as_secs_f64()))
}

/// Fetches a URL.
pub(crate) fn fetch_url(url: &str, timeout: Duration) -> Result<Vec<u8>, CommandError> {
    let fail = |problem: &str| CommandError::connection(format!("cannot fetch {url:?}: {problem}"));
    run(timeout, async {
        let mut uri: Uri = url.parse().map_err(|_| fail("this is not a URL"))?;
        for _ in 0..=MAX_REDIRECTS {
            // kube puts the path of its server in front of every request's, so the server has none.
            let authority = uri.authority().ok_or_else(|| fail("this is not a URL"))?;
            let server = format!("{}://{authority}", uri.scheme_str().unwrap_or("http"));
            let mut config = Config::new(server.parse().map_err(|_| fail("this is not a URL"))?);
            config.proxy_url = proxy_for(&uri);
            let client = client(config).map_err(|error| fail(&cause(&error)))?;
            let path = uri.path_and_query().map_or("/", |path| path.as_str());
            let response = get(&client, &server, path).await?;
            match next_location(&uri, &response) {
                Some(next) => uri = next,
                None if response.status() == StatusCode::OK => return body(response).await,
                None => return Err(fail(&status_text(response.status()))),
            }
        }
        Err(fail("too many redirects"))
    })
}

fn run<T>(timeout: Duration, work: impl Future<Output = Result<T, CommandError>>) -> Result<T, CommandError> {
    runtime()?
        .block_on(async { tokio::time::timeout(timeout, work).await.unwrap_or_else(|_| Err(late(timeout))) })
}

/// Sends a GET. The path is made of names that may come from flags, so it may turn out to be no path.
async fn get(client: &Client, server: &str, path: &str) -> Result<Response<Body>, CommandError> {
    let fail = |problem: String| CommandError::connection(format!("Get \"{server}{path}\": {problem}"));
    let request = Request::get(path)
        .header(header::ACCEPT, "application/x-pem-file, application/json, */*")
        .body(Body::empty())
        .map_err(|_| fail("this is not a URL".to_owned()))?;
    client.send(request).await.map_err(|error| fail(cause(&error)))
}

async fn body(response: Response<Body>) -> Result<Vec<u8>, CommandError> {
    match Limited::new(response.into_body(), MAX_BYTES).collect().await {
        Ok(body) => Ok(body.to_bytes().to_vec()),
        Err(_) => Err(CommandError::connection(format!(
            "the answer broke off or is larger than {} MiB",
            MAX_BYTES >> 20
        ))),
    }
}

/// Returns where a redirect leads.
fn next_location(from: &Uri, response: &Response<Body>) -> Option<Uri> {
    if !matches!(response.status().as_u16(), 301 | 302 | 303 | 307 | 308) {
        return None;
    }
    let location = response.headers().get(header::LOCATION)?.to_str().ok()?;
    let absolute = match location.strip_prefix('/') {
        Some(_) => format!("{}://{}{location}", from.scheme_str()?, from.authority()?),
        None => location.to_owned(),
    };
    let next: Uri = absolute.parse().ok()?;
    matches!(next.scheme_str(), Some("http" | "https")).then_some(next)
}

/// Returns the proxy that the environment names, by the rules of Go's `ProxyFromEnvironment` without its CIDR lists.
fn proxy_for(uri: &Uri) -> Option<Uri> {
    let variable = |name: &str| {
        let value = std::env::var(name).ok().or_else(|| std::env::var(name.to_lowercase()).ok());
        value.filter(|value| !value.is_empty())
    };
    let host = uri.host()?;
    let direct = ["localhost", "127.0.0.1", "[::1]"].contains(&host)
        || variable("NO_PROXY").is_some_and(|list| {
            list.split(',').map(str::trim).any(|entry| {
                let entry = entry.trim_start_matches('.');
                entry == "*" || entry == host || (!entry.is_empty() && host.ends_with(&format!(".{entry}")))
            })
        });
    let proxy = if uri.scheme_str() == Some("https") { "HTTPS_PROXY" } else { "HTTP_PROXY" };
    let proxy = variable(proxy).filter(|_| !direct)?;
    let proxy = if proxy.contains("://") { proxy } else { format!("http://{proxy}") };
    proxy.parse().ok()
}

async fn connect(flags: &ConnectionFlags) -> Result<(Client, String), CommandError> {
    let config = config(flags).await?;
    let server = config.cluster_url.to_string().trim_end_matches('/').to_owned();
    let client = client(config)
        .map_err(|error| CommandError::connection(format!("connect to {server}: {}", cause(&error))))?;
    Ok((client, server))
}

/// Follows client-go: kubeconfig with the flags laid over it; without either the pod's service account.
async fn config(flags: &ConnectionFlags) -> Result<Config, CommandError> {
    let paths = kubeconfig::paths(flags.kubeconfig.as_deref())?;
    let mut merged = Kubeconfig::default();
    for path in &paths {
        // Our parser first: its errors quote nothing, and these files hold tokens.
        kubeconfig::read(path)?;
        let place = format!("kubeconfig {}", path.display());
        let fail = |error: KubeconfigError| CommandError::input(kubeconfig_problem(&error)).within(&place);
        merged = merged.merge(Kubeconfig::read_from(path).map_err(fail)?).map_err(fail)?;
    }
    if merged.clusters.is_empty() && flags.server.is_none() {
        return Config::incluster().map_err(|_| {
            CommandError::input(NOT_CONFIGURED)
                .hint("--cert FILE seals without a cluster; --kubeconfig FILE names one")
        });
    }
    let options = lay_over(&mut merged, flags);
    let config = Config::from_custom_kubeconfig(merged, &options).await;
    config.map_err(|error| CommandError::input(kubeconfig_problem(&error)))
}

/// Lays the flags over the chosen context, which is made up where there is none.
fn lay_over(config: &mut Kubeconfig, flags: &ConnectionFlags) -> KubeConfigOptions {
    const OWN: &str = "sealops-flags";
    let name =
        flags.context.clone().or_else(|| config.current_context.clone().filter(|name| !name.is_empty()));
    let context = config.contexts.iter().find(|context| Some(&context.name) == name.as_ref());
    let context = context.and_then(|context| context.context.clone());
    if name.is_some() && context.is_none() {
        // Left as it is: loading says that the context does not exist.
        return KubeConfigOptions { context: name, ..KubeConfigOptions::default() };
    }
    let context = context.unwrap_or_default();
    let cluster_name = flags.cluster.as_ref().unwrap_or(&context.cluster);
    let cluster = config.clusters.iter().find(|cluster| &cluster.name == cluster_name);
    let user_name = flags.user.as_ref().or(context.user.as_ref());
    let user = config.auth_infos.iter().find(|user| Some(&user.name) == user_name);
    let cluster = cluster.and_then(|cluster| cluster.cluster.clone());
    if cluster.is_none() && flags.server.is_none() {
        return KubeConfigOptions { context: name, cluster: flags.cluster.clone(), user: flags.user.clone() };
    }
    let cluster = laid_over_cluster(cluster.unwrap_or_default(), flags);
    let user = laid_over_user(user.and_then(|user| user.auth_info.clone()).unwrap_or_default(), flags);
    let own = || OWN.to_owned();
    config.clusters.push(NamedCluster { name: own(), cluster: Some(cluster), ..NamedCluster::default() });
    config.auth_infos.push(NamedAuthInfo { name: own(), auth_info: Some(user), ..NamedAuthInfo::default() });
    let context = Context { cluster: own(), user: Some(own()), ..context };
    config.contexts.push(NamedContext { name: own(), context: Some(context), ..NamedContext::default() });
    KubeConfigOptions { context: Some(own()), ..KubeConfigOptions::default() }
}

fn laid_over_cluster(mut cluster: Cluster, flags: &ConnectionFlags) -> Cluster {
    cluster.server = flags.server.clone().or(cluster.server);
    if flags.insecure_skip_tls_verify {
        cluster.insecure_skip_tls_verify = Some(true);
    }
    if let Some(file) = &flags.certificate_authority {
        cluster.certificate_authority = Some(file.clone());
        cluster.certificate_authority_data = None;
    }
    cluster.tls_server_name = flags.tls_server_name.clone().or(cluster.tls_server_name);
    cluster.proxy_url = flags.proxy_url.clone().or(cluster.proxy_url);
    cluster
}

fn laid_over_user(mut user: AuthInfo, flags: &ConnectionFlags) -> AuthInfo {
    if let Some(token) = &flags.token {
        user.token = Some(token.clone().into());
        user.token_file = None;
        user.exec = None;
    }
    if let Some(name) = &flags.username {
        user.username = Some(name.clone());
    }
    if let Some(password) = &flags.password {
        user.password = Some(password.clone().into());
    }
    if let Some(file) = &flags.client_certificate {
        user.client_certificate = Some(file.clone());
        user.client_certificate_data = None;
    }
    if let Some(file) = &flags.client_key {
        user.client_key = Some(file.clone());
        user.client_key_data = None;
    }
    user.impersonate = flags.as_user.clone().or(user.impersonate);
    user.impersonate_uid = flags.as_uid.clone().or(user.impersonate_uid);
    if !flags.as_group.is_empty() {
        user.impersonate_groups = Some(flags.as_group.clone());
    }
    user
}

/// Returns kube's words only where they cannot quote the file.
fn kubeconfig_problem(error: &KubeconfigError) -> String {
    match error {
        KubeconfigError::CurrentContextNotSet => NOT_CONFIGURED.to_owned(),
        KubeconfigError::LoadContext(name) => format!("context was not found for specified context: {name}"),
        KubeconfigError::LoadClusterOfContext(name) => format!("cluster {name:?} does not exist"),
        KubeconfigError::MissingClusterUrl => "the cluster has no server".to_owned(),
        KubeconfigError::ParseClusterUrl(_) => "the cluster's server is not a URL".to_owned(),
        KubeconfigError::ParseProxyUrl(_) => "the proxy is not a URL".to_owned(),
        KubeconfigError::LoadCertificateAuthority(_) | KubeconfigError::ParseCertificates(_) => {
            "the certificate authority cannot be read".to_owned()
        }
        KubeconfigError::LoadClientCertificate(_) => "the client certificate cannot be read".to_owned(),
        KubeconfigError::LoadClientKey(_) => "the client key cannot be read".to_owned(),
        _ => "the file does not have the fields of a kubeconfig".to_owned(),
    }
}

fn status_text(status: StatusCode) -> String {
    format!("{} {}", status.as_u16(), status.canonical_reason().unwrap_or_default()).trim_end().to_owned()
}

/// Returns the innermost cause; of login failures only that they are one, since plugins print what they like.
fn cause(error: &kube::Error) -> String {
    if matches!(error, kube::Error::Auth(_)) {
        return "the login of the kubeconfig's user failed".to_owned();
    }
    let mut source = error.source();
    let mut text = "the request failed".to_owned();
    while let Some(error) = source {
        text = error.to_string();
        source = error.source();
    }
    text.split(" (os error").next().unwrap_or_default().to_lowercase()
}
