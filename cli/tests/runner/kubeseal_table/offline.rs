//! Command lines that need no cluster.

use super::*;

const SECRET: &str = "apiVersion: v1\nkind: Secret\nmetadata:\n  name: web\n  namespace: shop\n";

/// Files that every row finds in its sandbox.
pub(super) fn fixtures() -> BTreeMap<String, Vec<u8>> {
    let mut files: BTreeMap<String, Vec<u8>> = BTreeMap::new();
    let mut put = |name: &str, text: String| drop(files.insert(name.to_owned(), text.into_bytes()));
    let data = "data:\n  a: Zm9v\n  b: YmFy\n";
    put("s.yaml", format!("{SECRET}{data}"));
    put(
        "s.json",
        r#"{"kind": "Secret", "apiVersion": "v1", "metadata": {"name": "web", "namespace": "shop"}, "data": {"a": "Zm9v"}}"#
            .to_owned(),
    );
    put("two.yaml", format!("{SECRET}{data}---\n{}{data}", SECRET.replace("web", "api")));
    put(
        "two.json",
        r#"{"kind": "Secret", "apiVersion": "v1", "metadata": {"name": "web", "namespace": "shop"}, "data": {"a": "Zm9v"}}
{"kind": "Secret", "apiVersion": "v1", "metadata": {"name": "api", "namespace": "shop"}, "data": {"a": "Zm9v"}}"#
            .to_owned(),
    );
    put("gaps.yaml", format!("---\n# nothing\n---\n{SECRET}{data}---\n---\n"));
    put("noname.yaml", format!("{}{data}", SECRET.replace("  name: web\n", "")));
    put("nonamespace.yaml", format!("{}{data}", SECRET.replace("  namespace: shop\n", "")));
    put("nodata.yaml", SECRET.to_owned());
    put("nokind.yaml", format!("metadata: {{name: web, namespace: shop}}\n{data}"));
    put("configmap.yaml", format!("{}{data}", SECRET.replace("Secret", "ConfigMap")));
    put(
        "list.yaml",
        format!("apiVersion: v1\nkind: List\nitems:\n- {}", format!("{SECRET}{data}").replace('\n', "\n  ")),
    );
    put("string.yaml", format!("{SECRET}data: {{a: Zm9v}}\nstringData:\n  a: over\n  c: \"tést\\n\"\n"));
    put("words.yaml", format!("{SECRET}stringData: {{a: yes, b: 010, c: 1.50, d: null, e: 1e3}}\n"));
    put("binary.yaml", format!("{SECRET}data:\n  a: |\n    AAEC\n    AwQF\n  empty: ''\n"));
    put(
        "rich.yaml",
        "apiVersion: v1\nkind: Secret\ntype: kubernetes.io/basic-auth\nimmutable: true\nmetadata:\n  name: web\n  namespace: shop\n  \
         uid: u\n  resourceVersion: \"3\"\n  generation: 4\n  creationTimestamp: \"2020-01-01T00:00:00Z\"\n  labels: {app: web, tier: \"1\"}\n  \
         annotations: {note: \"x<y>&z\", kubectl.kubernetes.io/last-applied-configuration: all}\n  finalizers: [a/b]\n  \
         ownerReferences: [{apiVersion: v1, kind: K, name: n, uid: x}]\n  generateName: web-\nstringData: {username: u, password: p}\n"
            .to_owned(),
    );
    for (name, scope) in [("namespace-wide", "namespace-wide"), ("cluster-wide", "cluster-wide")] {
        let annotation = format!("  annotations: {{sealedsecrets.bitnami.com/{scope}: \"true\"}}\n");
        put(&format!("{name}.yaml"), format!("{SECRET}{annotation}{data}"));
    }
    put(
        "both-scopes.yaml",
        format!(
            "{SECRET}  annotations: {{sealedsecrets.bitnami.com/namespace-wide: \"true\", sealedsecrets.bitnami.com/cluster-wide: \"true\"}}\n{data}"
        ),
    );
    put(
        "odd-scope.yaml",
        format!("{SECRET}  annotations: {{sealedsecrets.bitnami.com/cluster-wide: \"True\"}}\n{data}"),
    );
    put(
        "other.yaml",
        "apiVersion: v1\nkind: Secret\nmetadata: {name: x, namespace: elsewhere}\ndata: {c: YmF6}\n".into(),
    );
    put("labelled.yaml", "apiVersion: v1\nkind: Secret\nmetadata: {name: x, labels: {l: m}, annotations: {n: o}}\ndata: {c: YmF6}\n".into());
    put("nowhere.yaml", "apiVersion: v1\nkind: Secret\nmetadata: {name: x}\ndata: {c: YmF6}\n".into());
    put("broken.yaml", "a: 'b\n".into());
    put("half-broken.yaml", format!("{SECRET}{data}---\nkind: Secret\nmetadata: [x]\n"));
    put("badbase64.yaml", format!("{SECRET}data: {{a: 'Zg'}}\n"));
    put("notutf8.yaml", "kind: Secret\nmetadata: {name: ".into());
    put("words.txt", "just words\n".into());
    put("value", "exact\n".into());
    put(
        "config",
        "apiVersion: v1\nkind: Config\ncurrent-context: a\ncontexts:\n- {name: a, context: {cluster: c, namespace: here}}\n- {name: b, \
         context: {cluster: c}}\nclusters:\n- {name: c, cluster: {server: \"https://127.0.0.1:1\"}}\n"
            .into(),
    );
    files.insert(
        "notutf8.yaml".to_owned(),
        b"kind: Secret\nmetadata: {name: \xff}\ndata: {a: Zg==}\n".to_vec(),
    );
    files.extend(key_files());
    files.extend(sealed_files(&files));
    files
}

fn key_files() -> BTreeMap<String, Vec<u8>> {
    let encoded = |name: &str| {
        let path = format!("{}/../testdata/keys/{name}", env!("CARGO_MANIFEST_DIR"));
        base64::encode_public(&fs::read(path).unwrap())
    };
    let secret = |name: &str| {
        format!(
            "apiVersion: v1\nkind: Secret\nmetadata: {{name: {name}}}\ndata:\n  tls.key: {}\n  tls.crt: {}\n",
            encoded(&format!("{name}.key")),
            encoded(&format!("{name}.crt"))
        )
    };
    let item = |name: &str| format!("- {}", secret(name).trim_end().replace('\n', "\n  "));
    let list =
        format!("apiVersion: v1\nkind: List\nitems:\n{}\n{}\n", item("third-2048"), item("interop-2048"));
    let json = manifest::to_json(&manifest::parse(list.as_bytes()).unwrap()[0].root).expose().to_vec();
    let keyless = "apiVersion: v1\nkind: Secret\nmetadata: {name: k}\ndata: {other: Zg==}\n";
    BTreeMap::from(
        [
            ("keys/secret.yaml".to_owned(), secret("interop-2048").into_bytes()),
            ("keys/list.yaml".to_owned(), list.into_bytes()),
            ("keys/list.json".to_owned(), json),
            (
                "keys/two.yaml".to_owned(),
                format!("{}---\n{}", secret("third-2048"), secret("interop-2048")).into_bytes(),
            ),
            ("keys/keyless.yaml".to_owned(), keyless.as_bytes().to_vec()),
            ("folder/a.key".to_owned(), test_key("third-2048").expose().to_vec()),
            ("folder/b.key".to_owned(), test_key("interop-2048").expose().to_vec()),
        ]
        .map(|(name, text)| (name.replace("keys/", "k/"), text)),
    )
}

/// SealedSecrets, made by the real tool.
fn sealed_files(files: &BTreeMap<String, Vec<u8>>) -> BTreeMap<String, Vec<u8>> {
    let seal = |input: &str, flags: &[&str]| -> String {
        let mut command = Peers::locate().unwrap().kubeseal().unwrap();
        let certificate = format!("{}/../testdata/keys/interop-2048.crt", env!("CARGO_MANIFEST_DIR"));
        command.args(["--cert", &certificate]).args(flags).env("HOME", "/nowhere");
        run_peer(command, &files[input], TIMEOUT).unwrap().text().unwrap()
    };
    let yaml = seal("s.yaml", &["-o", "yaml"]);
    let commented = yaml
        .replace("---\n", "# why this is here\n")
        .replace("  encryptedData:\n", "  # values\n  encryptedData:\n")
        .replace("spec:\n", "spec: # the spec\n")
        .replace("kind: SealedSecret\n", "kind: \"SealedSecret\"\n");
    let labelled = seal("rich.yaml", &["-o", "yaml"]);
    let wide = seal("namespace-wide.yaml", &["-o", "yaml"]);
    [
        ("sealed.yaml", yaml.clone()),
        ("sealed.json", seal("s.json", &[])),
        ("sealed-two.yaml", seal("two.yaml", &["-o", "yaml"])),
        ("sealed-two.json", seal("two.json", &[])),
        ("sealed-wide.yaml", wide),
        ("sealed-cluster.yaml", seal("cluster-wide.yaml", &["-o", "yaml"])),
        ("sealed-rich.yaml", labelled),
        ("commented.yaml", commented.clone()),
        (
            "mixed.yaml",
            format!("{commented}---\napiVersion: v1\nkind: Namespace\nmetadata: {{name: shop}} # mine\n"),
        ),
        ("renamed.yaml", yaml.replace("name: web", "name: api")),
        ("sealed-noext", yaml),
    ]
    .map(|(name, text)| (name.to_owned(), text.into_bytes()))
    .into()
}

/// `C` stands for the certificate, `K` for its key.
const ROWS: &[Row] = &[
    // Version, help, flag errors.
    ("--version", "", Same),
    ("--version=true", "", Same),
    ("SEALED_SECRETS_VERSION=true --cert nope", "", Same),
    ("--version extra words", "", Same),
    ("--help --version", "", Same),
    ("-f nope --version", "", Same),
    // Seal: input and output.
    ("--cert C", "s.yaml", Same),
    ("--cert C", "s.json", Same),
    ("--cert=C -f s.yaml", "", Same),
    ("--cert C --secret-file s.yaml", "", Same),
    ("--cert C --secret-file=s.json -o yaml", "", Same),
    ("--cert C -o yaml", "s.yaml", Same),
    ("--cert C -oyaml", "s.yaml", Same),
    ("--cert C -o=yaml", "s.yaml", Same),
    ("--cert C --format yaml", "s.yaml", Same),
    ("--cert C --format=YAML", "s.yaml", Same),
    ("--cert C --format=Json", "s.yaml", Same),
    ("--cert C --format EMPTY", "s.yaml", Same),
    ("--cert C -o xml", "s.yaml", Same),
    ("--cert C", "two.yaml", Same),
    ("--cert C -o yaml", "two.yaml", Same),
    ("--cert C", "two.json", Same),
    ("--cert C", "gaps.yaml", Same),
    ("--cert C", "string.yaml", Same),
    ("--cert C", "words.yaml", Same),
    ("--cert C", "binary.yaml", Same),
    ("--cert C -o yaml", "rich.yaml", Same),
    ("--cert C", "rich.yaml", Same),
    ("--cert C extra arguments", "s.yaml", Same),
    ("--cert C --", "s.yaml", Same),
    ("--cert C -f s.yaml -w out.json", "", Same),
    ("--cert C -f s.yaml -w out.yaml", "", Same),
    ("--cert C -f s.yaml --sealed-secret-file out.yml", "", Same),
    ("--cert C -f s.yaml --sealed-secret-file=out", "", Same),
    ("--cert C -f s.yaml -o yaml -w out.json", "", Same),
    ("--cert C -f s.yaml -w value", "", Same),
    ("--cert C -f s.yaml -w nowhere/out", "", Words),
    ("--cert C -f noname.yaml -w out.json", "", Same),
    // Seal: what is missing or wrong.
    ("--cert C", "", Same),
    ("--cert C", "broken.yaml", Ours(1, "line ", PARSES)),
    ("--cert C", "half-broken.yaml", Words),
    ("--cert C --scope=", "s.yaml", Same),
    ("--cert C", "words.txt", Words),
    ("--cert C", "notutf8.yaml", Ours(1, "line 2: the text is not UTF-8", PARSES)),
    ("--cert C", "badbase64.yaml", Words),
    ("--cert C", "configmap.yaml", Ours(1, "expected a v1 Secret, found v1 ConfigMap", KIND)),
    ("--cert C", "list.yaml", Words),
    ("--cert C", "nokind.yaml", Ours(1, "expected a v1 Secret, found nothing", KIND)),
    ("--cert C", "noname.yaml", Same),
    ("--cert C", "nonamespace.yaml", Same),
    ("--cert C --scope namespace-wide", "nonamespace.yaml", Same),
    ("--cert C", "nodata.yaml", Same),
    ("--cert C --allow-empty-data", "nodata.yaml", Same),
    ("--cert C --allow-empty-data=false", "nodata.yaml", Same),
    ("SEALED_SECRETS_ALLOW_EMPTY_DATA=true --cert C", "nodata.yaml", Same),
    ("SEALED_SECRETS_ALLOW_EMPTY_DATA=maybe --cert C", "nodata.yaml", Same),
    ("--cert C -f nope", "", Same),
    ("--cert C -f nope --recovery-unseal", "", Same),
    ("--cert C --from-file value", "s.yaml", Same),
    // Scope, name, namespace.
    ("--cert C --scope strict", "s.yaml", Same),
    ("--cert C --scope namespace-wide", "s.yaml", Same),
    ("--cert C --scope=cluster-wide -o yaml", "s.yaml", Same),
    ("--cert C --scope cluster-wide", "nonamespace.yaml", Same),
    ("--cert C", "namespace-wide.yaml", Same),
    ("--cert C", "cluster-wide.yaml", Same),
    ("--cert C", "both-scopes.yaml", Same),
    ("--cert C", "odd-scope.yaml", Same),
    ("--cert C --scope strict", "cluster-wide.yaml", Same),
    ("--cert C --scope namespace-wide", "cluster-wide.yaml", Same),
    ("SEALED_SECRETS_SCOPE=cluster-wide --cert C", "s.yaml", Same),
    ("SEALED_SECRETS_SCOPE=nonsense --cert C", "s.yaml", Same),
    ("SEALED_SECRETS_SCOPE=cluster-wide --cert C --scope strict", "s.yaml", Same),
    ("--cert C --name other", "s.yaml", Same),
    ("--cert C --name other", "noname.yaml", Same),
    ("SEALED_SECRETS_NAME=other --cert C", "noname.yaml", Same),
    ("--cert C -n shop", "s.yaml", Same),
    ("--cert C -n other", "s.yaml", Same),
    ("--cert C --namespace=other", "nonamespace.yaml", Same),
    ("--cert C --namespace other --scope cluster-wide", "s.yaml", Same),
    ("SEALED_SECRETS_NAMESPACE=other --cert C", "nonamespace.yaml", Same),
    ("--cert C --kubeconfig config", "nonamespace.yaml", Same),
    ("--cert C --kubeconfig config --context b", "nonamespace.yaml", Same),
    (
        "--cert C --kubeconfig config --context gone",
        "nonamespace.yaml",
        Ours(1, "context was not found", PARSES),
    ),
    ("--cert C --kubeconfig nope", "s.yaml", Same),
    ("KUBECONFIG=config --cert C", "nonamespace.yaml", Same),
    ("SEALED_SECRETS_KUBECONFIG=config --cert C", "nonamespace.yaml", Same),
    ("SEALED_SECRETS_CONTEXT=b KUBECONFIG=config --cert C", "nonamespace.yaml", Same),
    ("SEALED_SECRETS_FORMAT=yaml --cert C", "s.yaml", Same),
    ("SEALED_SECRETS_FORMAT=yaml --cert C -o json", "s.yaml", Same),
    ("SEALED_SECRETS_CERT=C", "s.yaml", Same),
    ("SEALED_SECRETS_CERT=nope --cert C", "s.yaml", Same),
    ("SEALED_SECRETS_SECRET_FILE=s.yaml SEALED_SECRETS_SEALED_SECRET_FILE=out.yaml --cert C", "", Same),
    // Certificates.
    ("--cert nope", "s.yaml", Same),
    ("--cert keys", "s.yaml", Words),
    ("--cert keys/expired.crt", "s.yaml", Same),
    ("--cert keys/not-yet-valid.crt", "s.yaml", Same),
    ("--cert keys/first-4096.crt", "s.yaml", Same),
    ("--cert K", "s.yaml", Same),
    ("--cert keys/ec.crt", "s.yaml", Words),
    ("--cert words.txt", "s.yaml", Same),
    ("--cert http://127.0.0.1:1/v1/cert.pem", "s.yaml", Words),
    ("--cert ftp://x/y", "s.yaml", Same),
    ("--cert x:y", "s.yaml", Same),
    ("--fetch-cert --cert C", "", Same),
    ("--fetch-cert --cert words.txt", "", Same),
    ("--fetch-cert --cert C -w out.pem", "", Same),
    ("--fetch-cert --cert nope", "", Same),
    ("SEALED_SECRETS_FETCH_CERT=true --cert C", "", Same),
    ("--fetch-cert", "", Same),
    // Raw.
    ("--raw --cert C -n shop --name web", "value", Same),
    ("--raw --cert C --namespace shop --name web --scope strict", "value", Same),
    ("--raw --cert C -n shop --scope namespace-wide", "value", Same),
    ("--raw --cert C --scope cluster-wide", "value", Same),
    ("--raw --cert C --scope cluster-wide --from-file value", "", Same),
    ("--raw --cert C --scope cluster-wide --from-file=key=value", "", Same),
    ("--raw --cert C --scope cluster-wide --from-file=/dev/stdin", "value", Same),
    ("--raw --cert C --scope cluster-wide --from-file a,b", "", Same),
    ("--raw --cert C --scope cluster-wide --from-file nope", "", Same),
    ("--raw --cert C --scope cluster-wide -w out", "value", Same),
    ("--raw --cert C --scope cluster-wide -f s.yaml", "value", Words),
    ("--raw --cert C --scope cluster-wide", "", Same),
    ("--raw --cert C -n shop", "value", Same),
    ("--raw --cert C --name web", "value", Same),
    ("--raw --cert C --name web --scope namespace-wide", "value", Same),
    ("--raw --cert C --name web --kubeconfig config", "value", Same),
    ("--raw --cert nope --scope cluster-wide", "value", Same),
    ("SEALED_SECRETS_RAW=1 --cert C --scope cluster-wide", "value", Same),
    ("SEALED_SECRETS_FROM_FILE=value --raw --cert C --scope cluster-wide", "", Same),
    ("SEALED_SECRETS_FROM_FILE=value --raw --cert C --scope cluster-wide --from-file value", "", Same),
    // Merge.
    ("--merge-into sealed.yaml --cert C -o yaml", "other.yaml", Same),
    ("--merge-into sealed.json --cert C", "other.yaml", Same),
    ("--merge-into=sealed.yaml --cert C -o yaml -f s.yaml", "", Same),
    ("--merge-into sealed.yaml --cert C", "other.yaml", Layout(KEEPS_FORMAT)),
    ("--merge-into sealed.json --cert C -o yaml", "other.yaml", Layout(KEEPS_FORMAT)),
    ("--merge-into commented.yaml --cert C -o yaml", "other.yaml", Layout(KEEPS_FORMAT)),
    ("--merge-into sealed-rich.yaml --cert C -o yaml", "labelled.yaml", Layout(KEEPS_FORMAT)),
    ("--merge-into sealed.yaml --cert C -o yaml", "labelled.yaml", Ours(0, "OPENED-strict-YmF6", NO_PANIC)),
    ("--merge-into sealed.yaml --cert C -o yaml", "two.yaml", Same),
    ("--merge-into sealed.json --cert C", "two.json", Ours(0, "OPENED-strict-Zm9v", ALL_DOCUMENTS)),
    (
        "--merge-into sealed-wide.yaml --cert C -o yaml",
        "other.yaml",
        Ours(0, "OPENED-namespace-wide-YmF6", OWN_SCOPE),
    ),
    ("--merge-into sealed-wide.yaml --cert C -o yaml --scope namespace-wide", "other.yaml", Same),
    (
        "--merge-into sealed-cluster.yaml --cert C -o yaml",
        "other.yaml",
        Ours(0, "OPENED-cluster-wide-YmF6", OWN_SCOPE),
    ),
    (
        "--merge-into sealed.yaml --cert C --scope cluster-wide -o yaml",
        "other.yaml",
        Ours(1, "the file's scope is strict", OWN_SCOPE),
    ),
    (
        "--merge-into sealed.yaml --cert C -o yaml",
        "cluster-wide.yaml",
        Ours(1, "ask for the scope cluster-wide", OWN_SCOPE),
    ),
    ("--merge-into mixed.yaml --cert C -o yaml", "other.yaml", Ours(0, "kind: Namespace", KEEPS_FORMAT)),
    ("--merge-into sealed.yaml --cert C -o yaml", "nodata.yaml", Same),
    ("--merge-into sealed.yaml --cert C -o yaml --allow-empty-data", "nodata.yaml", Same),
    ("--merge-into sealed.yaml --cert C -o yaml", "nowhere.yaml", Same),
    ("--merge-into sealed.yaml --cert C -o yaml -n other", "other.yaml", Same),
    ("--merge-into sealed.yaml --cert C -o yaml", "", Same),
    ("--merge-into sealed.yaml --cert C -o xml", "other.yaml", Same),
    ("--merge-into sealed.yaml --cert C -o yaml", "broken.yaml", Words),
    (
        "--merge-into sealed.yaml --cert C -o yaml -w out.yaml",
        "other.yaml",
        Ours(0, "OPENED-strict-YmF6", NO_FILES_LEFT),
    ),
    ("--merge-into nope --cert C", "other.yaml", Same),
    ("--merge-into s.yaml --cert C", "other.yaml", Words),
    ("--merge-into words.txt --cert C", "other.yaml", Words),
    ("SEALED_SECRETS_MERGE_INTO=sealed.yaml --cert C -o yaml", "other.yaml", Same),
    // Recovery.
    ("--recovery-unseal --recovery-private-key K", "sealed.yaml", Layout(NO_OWNER)),
    ("--recovery-unseal --recovery-private-key K -o yaml", "sealed.json", Layout(NO_OWNER)),
    ("--recovery-unseal --recovery-private-key=K -f sealed.yaml", "", Layout(NO_OWNER)),
    ("--recovery-unseal --recovery-private-key keys/third-2048.key,K", "sealed.yaml", Layout(NO_OWNER)),
    (
        "--recovery-unseal --recovery-private-key keys/third-2048.key --recovery-private-key K",
        "sealed.yaml",
        Layout(NO_OWNER),
    ),
    ("--recovery-unseal --recovery-private-key k/secret.yaml", "sealed.yaml", Layout(NO_OWNER)),
    ("--recovery-unseal --recovery-private-key k/list.yaml", "sealed.yaml", Layout(NO_OWNER)),
    ("--recovery-unseal --recovery-private-key k/list.json", "sealed.yaml", Layout(NO_OWNER)),
    ("--recovery-unseal --recovery-private-key k/two.yaml", "sealed.yaml", Layout(NO_OWNER)),
    ("--recovery-unseal --recovery-private-key folder", "sealed.yaml", Ours(0, "\"a\": \"Zm9v\"", FOLDERS)),
    ("--recovery-unseal --recovery-private-key K", "sealed-wide.yaml", Layout(NO_OWNER)),
    ("--recovery-unseal --recovery-private-key K", "sealed-cluster.yaml", Layout(NO_OWNER)),
    ("--recovery-unseal --recovery-private-key K", "sealed-rich.yaml", Layout(NO_OWNER)),
    ("--recovery-unseal --recovery-private-key K", "sealed-two.yaml", Layout(NO_OWNER)),
    ("--recovery-unseal --recovery-private-key K -f sealed.yaml -w out.yaml", "", Layout(NO_OWNER)),
    ("SEALED_SECRETS_RECOVERY_PRIVATE_KEY=K --recovery-unseal", "sealed.yaml", Layout(NO_OWNER)),
    (
        "SEALED_SECRETS_RECOVERY_PRIVATE_KEY=nope --recovery-unseal --recovery-private-key K",
        "sealed.yaml",
        Same,
    ),
    ("--recovery-unseal", "sealed.json", Same),
    ("--recovery-unseal --recovery-private-key keys/third-2048.key", "sealed.json", Same),
    ("--recovery-unseal --recovery-private-key nope", "sealed.json", Same),
    ("--recovery-unseal --recovery-private-key k/keyless.yaml", "sealed.json", Same),
    ("--recovery-unseal --recovery-private-key keys/ec.key", "sealed.json", Words),
    ("--recovery-unseal --recovery-private-key words.txt", "sealed.json", Words),
    ("--recovery-unseal --recovery-private-key K", "s.yaml", Words),
    ("--recovery-unseal --recovery-private-key K", "", Ours(1, "there is no SealedSecret", PARSES)),
    ("--recovery-unseal --recovery-private-key K", "broken.yaml", Words),
    ("--recovery-unseal --recovery-private-key K -o xml", "sealed.json", Same),
    ("--recovery-unseal --recovery-private-key K -n other", "sealed.json", Layout(NO_OWNER)),
    ("--cert C --recovery-private-key K", "s.json", Same),
    // No cluster.
    ("--validate", "sealed.json", Same),
    ("--re-encrypt", "sealed.json", Same),
    ("--rotate", "sealed.json", Ours(1, "Flag --rotate has been deprecated", NOTICE)),
    ("--validate -f nope", "", Same),
    ("", "s.json", Same),
    // klog's flags.
    (
        "--cert C --add_dir_header --alsologtostderr --log_dir /tmp --log_file x --log_file_max_size 3",
        "s.json",
        Same,
    ),
    (
        "--cert C --logtostderr --one_output --skip_headers --skip_log_headers --stderrthreshold 2 -v 4",
        "s.json",
        Same,
    ),
    (
        "--cert C --vmodule a=1 --log_backtrace_at a.go:1 --legacy_stderr_threshold_behavior --v=3",
        "s.json",
        Same,
    ),
    ("--cert C --alsologtostderrthreshold 1", "s.json", Same),
    // Connection flags that an offline run reads and does not use.
    (
        "--cert C --as u --as-group g --as-uid 1 --certificate-authority x --client-certificate x --client-key x",
        "s.json",
        Same,
    ),
    (
        "--cert C --cluster c --disable-compression --insecure-skip-tls-verify --password p --proxy-url http://x",
        "s.json",
        Same,
    ),
    (
        "--cert C --request-timeout 1s --server https://x --tls-server-name n --token t --user u --username n",
        "s.json",
        Same,
    ),
    ("--cert C --controller-name x --controller-namespace y", "s.json", Same),
];

/// Usage errors: the last line and the exit code; the texts of the usage itself are our own.
const USAGE: &[&str] = &[
    "--nope",
    "--nope=1",
    "-x",
    "-xy",
    "-n",
    "--name",
    "--raw=maybe",
    "--scope foo",
    "--version=maybe",
    "--help=2",
    "-v x",
    "---x",
    "--as-group",
    "-=x",
    "--cert C -o",
    "--disable-compression=2",
];

pub(super) fn full(line: &str) -> &'static str {
    let words: Vec<String> = line
        .split(' ')
        .map(|word| {
            let (head, tail) = word
                .rsplit_once(['=', ','])
                .map_or(("", word), |(head, tail)| (&word[..head.len() + 1], tail));
            match tail {
                "C" => format!("{head}keys/interop-2048.crt"),
                "K" => format!("{head}keys/interop-2048.key"),
                _ => word.to_owned(),
            }
        })
        .collect();
    words.join(" ").leak()
}

#[test]
fn offline_lines_give_what_kubeseal_gives() {
    let mut table = Table::new(fixtures());
    let rows: Vec<Row> = ROWS.iter().map(|row| (full(row.0), row.1, row.2)).collect();
    table.run(&rows);
    for line in USAGE {
        let row = (full(line), "", Same);
        table.rows += 1;
        let ours = table.outcome(&row, Path::new(env!("CARGO_BIN_EXE_sealops")));
        let theirs = table.outcome(&row, &real());
        let last = |outcome: &Outcome| outcome.out.lines().last().unwrap_or_default().to_owned();
        let (own, other) = ((ours.code, last(&ours), &ours.err), (theirs.code, last(&theirs), &theirs.err));
        if own != other || ours.code != Some(2) || !ours.files.is_empty() {
            table.problems.push(format!("usage {line}: differs\n  ours:   {own:?}\n  theirs: {other:?}"));
        }
    }
    let used = std::mem::take(&mut table.flags);
    let help = |program: &Path| table.outcome(&("--help", "", Same), program);
    let (ours, theirs) = (help(Path::new(env!("CARGO_BIN_EXE_sealops"))), help(&real()));
    assert_eq!((ours.code, &ours.err), (theirs.code, &theirs.err));
    assert_eq!(flags_of(&ours.out), flags_of(&theirs.out), "the flags of --help");
    let mut missing: Vec<String> =
        flags_of(&theirs.out).into_iter().filter(|flag| !used.contains(flag)).collect();
    missing.retain(|flag| flag != "--help");
    assert!(missing.is_empty(), "flags without a row: {missing:?}");
    table.finish("offline", 150);
}
