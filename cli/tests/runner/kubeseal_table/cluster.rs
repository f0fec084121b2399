//! Command lines that ask the real controller through the API server.

use anyhow::{Context, Result};
use k8s_openapi::api::core::v1::Secret;
use kube::Api;
use kube::api::ListParams;
use sealops_testenv::{ControlPlane, SealedSecretsController, eventually, expose_through_service_proxy};
use serde_json::Value as Json;

use super::offline::{fixtures, full};
use super::*;

/// `LIVE` stands for a kubeconfig that works, `SERVER` for the API server's URL, `TOKEN` for a token.
const ROWS: &[Row] = &[
    // The certificate.
    ("LIVE --fetch-cert", "", Same),
    ("LIVE --fetch-cert -w out.pem", "", Same),
    ("--kubeconfig live --fetch-cert", "", Same),
    ("SEALED_SECRETS_KUBECONFIG=live --fetch-cert", "", Same),
    ("--kubeconfig live --context test --cluster test --user test --fetch-cert", "", Same),
    ("--kubeconfig live --context gone --fetch-cert", "", Words),
    ("--kubeconfig live --cluster gone --fetch-cert", "", Same),
    (
        "--server SERVER --certificate-authority ca.pem --client-certificate admin.crt --client-key admin.key --fetch-cert",
        "",
        Same,
    ),
    (
        "--server SERVER --insecure-skip-tls-verify --client-certificate admin.crt --client-key admin.key --fetch-cert",
        "",
        Same,
    ),
    ("--server=SERVER --certificate-authority=ca.pem --token=TOKEN --fetch-cert", "", Same),
    (
        "SEALED_SECRETS_SERVER=SERVER SEALED_SECRETS_CERTIFICATE_AUTHORITY=ca.pem SEALED_SECRETS_TOKEN=TOKEN --fetch-cert",
        "",
        Same,
    ),
    ("--server SERVER --token TOKEN --fetch-cert", "", Words),
    ("--server SERVER --certificate-authority ca.pem --token wrong --fetch-cert", "", Same),
    ("--server SERVER --certificate-authority ca.pem --username u --password p --fetch-cert", "", Same),
    ("--server SERVER --certificate-authority nope --token TOKEN --fetch-cert", "", Words),
    ("LIVE --tls-server-name wrong.example --fetch-cert", "", Words),
    ("LIVE --proxy-url http://127.0.0.1:1 --fetch-cert", "", Words),
    ("LIVE --server https://127.0.0.1:1 --fetch-cert", "", Words),
    ("LIVE --disable-compression --request-timeout 30s --fetch-cert", "", Same),
    ("LIVE --as nobody --fetch-cert", "", Same),
    ("LIVE --as nobody --as-group system:masters --fetch-cert", "", Same),
    ("LIVE --as nobody --as-uid 7 --as-group a --as-group system:masters --fetch-cert", "", Same),
    ("LIVE --controller-name gone --fetch-cert", "", Same),
    ("LIVE --controller-namespace default --fetch-cert", "", Same),
    ("LIVE SEALED_SECRETS_CONTROLLER_NAME=gone --fetch-cert", "", Same),
    (
        "LIVE SEALED_SECRETS_CONTROLLER_NAMESPACE=gone --fetch-cert --controller-namespace kube-system",
        "",
        Same,
    ),
    ("LIVE --controller-name silent --fetch-cert", "", Words),
    // Seal.
    ("LIVE", "s.yaml", Same),
    ("LIVE -o yaml", "two.yaml", Same),
    ("LIVE", "nonamespace.yaml", Same),
    ("LIVE --raw -n shop --name web", "value", Same),
    ("LIVE --raw --scope cluster-wide", "value", Same),
    ("LIVE --merge-into sealed.yaml -o yaml", "other.yaml", Same),
    ("LIVE --merge-into commented.yaml -o yaml", "other.yaml", Layout(KEEPS_FORMAT)),
    // Validate.
    ("LIVE --validate", "sealed.yaml", Same),
    ("LIVE --validate", "sealed.json", Same),
    ("LIVE --validate=true -f sealed.yaml", "", Same),
    ("LIVE --validate", "sealed-two.yaml", Same),
    ("LIVE --validate", "sealed-two.json", Same),
    ("LIVE --validate", "sealed-wide.yaml", Same),
    ("LIVE --validate", "sealed-cluster.yaml", Same),
    ("LIVE --validate", "sealed-rich.yaml", Same),
    ("LIVE --validate", "commented.yaml", Same),
    ("LIVE --validate", "renamed.yaml", Same),
    ("LIVE --validate -n other", "sealed.yaml", Same),
    ("LIVE --validate --cert nope", "sealed.yaml", Same),
    ("LIVE SEALED_SECRETS_VALIDATE=true", "sealed.yaml", Same),
    ("LIVE --validate --re-encrypt", "sealed.yaml", Same),
    ("LIVE --validate -w out", "sealed.yaml", Ours(0, "", NO_FILES_LEFT)),
    ("LIVE --validate", "", Ours(1, "no sealed secrets found", PARSES)),
    ("LIVE --validate", "broken.yaml", Ours(1, "line ", PARSES)),
    (
        "LIVE --validate",
        "s.yaml",
        Ours(1, "expected a bitnami.com/v1alpha1 SealedSecret, found Secret", PARSES),
    ),
    ("LIVE --validate", "words.txt", Ours(1, "this is not a Kubernetes object", PARSES)),
    ("LIVE --validate --controller-name gone", "sealed.yaml", Same),
    ("LIVE --validate --controller-name silent", "sealed.yaml", Same),
    ("LIVE --validate --as nobody", "sealed.yaml", Same),
    // Re-encrypt.
    ("LIVE --re-encrypt", "sealed.json", Same),
    ("LIVE --re-encrypt -o yaml", "sealed.yaml", Same),
    ("LIVE --re-encrypt", "sealed.yaml", Layout(KEEPS_FORMAT)),
    ("LIVE --re-encrypt -o yaml", "sealed.json", Same),
    ("LIVE --re-encrypt -f sealed.yaml", "", Same),
    ("LIVE --re-encrypt=true -f sealed.json", "", Same),
    ("LIVE --re-encrypt -f sealed.yaml -w out.yaml", "", Same),
    ("LIVE --re-encrypt -f sealed.yaml -w out.json", "", Layout(KEEPS_FORMAT)),
    ("LIVE --re-encrypt -o yaml", "sealed-two.yaml", Same),
    ("LIVE --re-encrypt", "sealed-two.json", Same),
    ("LIVE --re-encrypt -o yaml", "sealed-wide.yaml", Same),
    ("LIVE --re-encrypt -o yaml", "sealed-cluster.yaml", Same),
    ("LIVE --re-encrypt -f sealed-noext", "", Layout(KEEPS_FORMAT)),
    ("LIVE --re-encrypt -f commented.yaml", "", Layout(KEEPS_FORMAT)),
    ("LIVE --re-encrypt -f sealed.json -o yaml", "", Layout(KEEPS_FORMAT)),
    ("LIVE --re-encrypt -o yaml", "sealed-rich.yaml", Ours(0, "tier: \"1\"", ONLY_VALUES)),
    ("LIVE --re-encrypt -f mixed.yaml", "", Ours(0, "kind: Namespace", ONLY_VALUES)),
    ("LIVE --rotate", "sealed.json", Ours(0, "OPENED-strict", NOTICE)),
    ("LIVE --re-encrypt", "renamed.yaml", Same),
    ("LIVE --re-encrypt -f renamed.yaml", "", Same),
    ("LIVE --re-encrypt", "", Ours(1, "no sealed secrets found", PARSES)),
    ("LIVE --re-encrypt -f broken.yaml", "", Ours(1, "line ", PARSES)),
    ("LIVE --re-encrypt -f s.yaml", "", Words),
    ("LIVE --re-encrypt -o xml", "sealed.json", Same),
    ("LIVE --re-encrypt --controller-name gone -f sealed.yaml", "", Same),
    ("LIVE --re-encrypt --cert nope", "sealed.json", Same),
    ("LIVE SEALED_SECRETS_RE_ENCRYPT=true", "sealed.json", Same),
];

/// A control plane with the real controller, which holds a key of ours and, newer, one of its own.
pub(crate) struct Live {
    pub(crate) control_plane: ControlPlane,
    _controller: SealedSecretsController,
    pub(crate) keys: Vec<Plaintext>,
    pub(crate) certificate: String,
}

impl Live {
    /// With the real controller.
    pub(crate) async fn start() -> Result<Self> {
        Self::start_with(None).await
    }

    /// With another program under the controller's name.
    async fn start_with(program: Option<&Path>) -> Result<Self> {
        let control_plane = ControlPlane::start().await?;
        let encoded = |name: &str| {
            let path = format!("{}/../testdata/keys/{name}", env!("CARGO_MANIFEST_DIR"));
            base64::encode_public(&fs::read(path).unwrap())
        };
        let key = format!(
            "apiVersion: v1\nkind: Secret\ntype: kubernetes.io/tls\nmetadata:\n  name: ours\n  namespace: kube-system\n  labels: \
             {{sealedsecrets.bitnami.com/sealed-secrets-key: active}}\ndata: {{tls.key: {}, tls.crt: {}}}\n",
            encoded("interop-2048.key"),
            encoded("interop-2048.crt")
        );
        control_plane.apply_manifests(&key).await?;
        // Our key is older than the period, so the controller makes one at its start.
        let flags =
            ["--key-size=2048", "--rate-limit=1000", "--rate-limit-burst=1000", "--key-renew-period=1h"];
        let controller = match program {
            None => SealedSecretsController::start(&control_plane, "kube-system", &flags).await?,
            Some(program) => {
                control_plane.in_cluster_folder("kube-system", SealedSecretsController::NAME).await?;
                control_plane.apply_manifests(RIGHTS).await?;
                let mut own =
                    SealedSecretsController::start_program(&control_plane, "kube-system", program, &flags)
                        .await?;
                own.wait_ready(&control_plane, "kube-system").await?;
                own
            }
        };
        let name = SealedSecretsController::NAME;
        expose_through_service_proxy(&control_plane, "kube-system", name, controller.port()).await?;
        let silent = "apiVersion: v1\nkind: Service\nmetadata: {name: silent, namespace: kube-system}\nspec: {ports: [{name: http, port: 8080}]}\n";
        control_plane.apply_manifests(silent).await?;
        let api = Api::<Secret>::namespaced(control_plane.client()?, "kube-system");
        let label = ListParams::default().labels("sealedsecrets.bitnami.com/sealed-secrets-key=active");
        let keys = eventually("the controller makes its own key", TIMEOUT, async || {
            let list = api.list(&label).await.ok()?;
            let keys: Vec<Plaintext> = list
                .items
                .into_iter()
                .filter_map(|secret| Some(secret.data?.remove("tls.key")?.0.into()))
                .collect();
            (keys.len() == 2).then_some(keys)
        })
        .await?;
        let ours = test_certificate();
        let certificate = eventually("the new key is served", TIMEOUT, async || {
            controller.certificate_pem().ok().filter(|text| text.trim() != ours.trim())
        })
        .await?;
        Ok(Self { control_plane, _controller: controller, keys, certificate })
    }

    /// Returns the files by which a sandbox reaches the cluster.
    pub(crate) fn files(&self) -> Result<BTreeMap<String, Vec<u8>>> {
        let kubeconfig = fs::read(self.control_plane.admin_kubeconfig())?;
        let config: Json = serde_json::from_slice(&kubeconfig)?;
        let user = &config["users"][0]["user"];
        let decoded = |name: &str| -> Result<Vec<u8>> {
            let text = user[name].as_str().context("the administrator has no certificate")?;
            Ok(base64::decode(text.as_bytes())?.expose().to_vec())
        };
        Ok(BTreeMap::from([
            ("live".to_owned(), kubeconfig),
            ("ca.pem".to_owned(), self.control_plane.ca_pem().into_bytes()),
            ("admin.crt".to_owned(), decoded("client-certificate-data")?),
            ("admin.key".to_owned(), decoded("client-key-data")?),
        ]))
    }
}

/// What the real controller gets in these tests, too.
const RIGHTS: &str = "apiVersion: rbac.authorization.k8s.io/v1\nkind: ClusterRoleBinding\nmetadata: {name: table}\nroleRef: {apiGroup: rbac.authorization.k8s.io, kind: ClusterRole, name: cluster-admin}\nsubjects: [{kind: ServiceAccount, name: sealed-secrets-controller, namespace: kube-system}]\n";

fn test_certificate() -> String {
    fs::read_to_string(format!("{}/../testdata/keys/interop-2048.crt", env!("CARGO_MANIFEST_DIR"))).unwrap()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn lines_for_the_controller_give_what_kubeseal_gives() -> Result<()> {
    let live = Live::start().await?;
    run_rows(&live, "with the real controller", 50, |_| true).await
}

/// Both kubeseals get the same from our controller, too.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn lines_for_our_controller_give_the_same_to_both() -> Result<()> {
    let program = Path::new(env!("CARGO_BIN_EXE_sealops")).with_file_name("sealops-controller");
    anyhow::ensure!(program.exists(), "{}: cargo build -p sealops-controller makes it", program.display());
    let folder = tempfile::tempdir()?;
    let name = folder.path().join("controller");
    std::os::unix::fs::symlink(program, &name)?;
    let live = Live::start_with(Some(&name)).await?;
    let asks = ["--validate", "--re-encrypt", "--fetch-cert"];
    run_rows(&live, "with our controller", 40, |row| {
        matches!(row.2, Same) && asks.iter().any(|flag| row.0.contains(flag))
    })
    .await
}

async fn run_rows(live: &Live, what: &str, at_least: usize, wanted: impl Fn(&Row) -> bool) -> Result<()> {
    let mut files = fixtures();
    files.extend(live.files()?);
    let token = token(&live.control_plane).await?;
    let mut table = Table::new(files);
    table.ring = SealingKeyRing::new(live.keys.iter().map(ring_key));
    let server = live.control_plane.url();
    let rows: Vec<Row> = ROWS
        .iter()
        .filter(|row| wanted(row))
        .map(|row| {
            let line = row.0.replace("LIVE", "KUBECONFIG=live").replace("SERVER ", &format!("{server} "));
            (full(&line.replace("TOKEN ", &format!("{token} "))), row.1, row.2)
        })
        .collect();
    tokio::task::block_in_place(|| table.run(&rows));
    table.finish(what, at_least);
    Ok(())
}

/// Returns a token that may do what the controller's account may do.
async fn token(control_plane: &ControlPlane) -> Result<String> {
    use k8s_openapi::api::authentication::v1::{TokenRequest, TokenRequestSpec};
    use k8s_openapi::api::core::v1::ServiceAccount;
    let api = Api::<ServiceAccount>::namespaced(control_plane.client()?, "kube-system");
    let request = TokenRequest { spec: Some(TokenRequestSpec::default()), ..TokenRequest::default() };
    let made = api
        .create_token_request(SealedSecretsController::NAME, &kube::api::PostParams::default(), &request)
        .await?;
    made.status.and_then(|status| status.token).context("no token")
}
