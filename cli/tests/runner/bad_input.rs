//! One clear error for every input that cannot be used: place and object named, nothing printed, nothing written.

use crate::sandbox::Sandbox;

const GOOD: &str = "kind: Secret\nmetadata: {name: x, namespace: s}\ndata: {a: Zg==}\n";

#[test]
fn manifests() {
    let head = "kind: Secret\nmetadata: {name: x, namespace: s}\n";
    let cases: &[(&str, &[&str])] = &[
        ("", &["no secrets found. Ensure the input is valid and UTF-8 encoded"]),
        ("# only\n---\n", &["no secrets found"]),
        ("{{{", &["stdin: line 1, column "]),
        ("a: 'b", &["stdin: line "]),
        ("just words", &["stdin: document 1, line 1: this is not a Kubernetes object"]),
        (
            "kind: ConfigMap\napiVersion: v1\n",
            &["document 1, line 1: expected a v1 Secret, found v1 ConfigMap"],
        ),
        ("kind: Secret\napiVersion: x/v1\n", &["found x/v1 Secret"]),
        ("metadata: {name: x}\n", &["expected a v1 Secret, found nothing"]),
        ("kind: Secret\nmetadata: {name: x}\ndata: {a: Zg==}\n", &["secret must declare a namespace"]),
        (
            "kind: Secret\nmetadata: {namespace: x}\ndata: {a: Zg==}\n",
            &["missing metadata.name in input Secret"],
        ),
        ("kind: Secret\nmetadata: {name: [x]}\ndata: {a: Zg==}\n", &["line 2: metadata.name: "]),
        (
            "kind: Secret\nmetadata: {name: x, namespace: s, labels: {l: [1]}}\ndata: {a: Zg==}\n",
            &["metadata.labels.l: "],
        ),
    ];
    let sandbox = Sandbox::new();
    let before = sandbox.files();
    for front in ["kubeseal", "sealops seal"] {
        let line = format!("{front} --cert keys/interop-2048.crt -w out.yaml");
        for (input, parts) in cases {
            sandbox.run(&line, input).fails(1, parts);
        }
        for (data, parts) in [
            ("", "secret.data is empty in input Secret, assuming this is an error and aborting"),
            ("data: {a: Zg}\n", "document 1, line 3: data.a: illegal base64 data at input byte 0"),
            (
                "data:\n  ok: Zg==\n  a: 'Zg==!'\n",
                "document 1, line 5: data.a: illegal base64 data at input byte 4",
            ),
            ("data: {a: 1234}\n", "data.a: expected text in base64"),
            ("data: {a: [x]}\n", "data.a: expected text in base64"),
            ("data: x\n", "line 3: data: expected a map"),
            ("stringData: {a: {b: c}}\n", "stringData.a: expected text"),
            ("data: {a: Zg==}\nimmutable: maybe\n", "immutable: "),
        ] {
            sandbox.run(&line, format!("{head}{data}")).fails(1, &[parts]);
            let second = format!("{GOOD}---\n{head}{data}");
            sandbox.run(&line, second).fails(
                1,
                &[&parts
                    .replace("document 1", "document 2")
                    .replace("line 3", "line 7")
                    .replace("line 5", "line 9")],
            );
        }
        sandbox.run(&format!("{line} -n other"), GOOD).fails(
            1,
            &["namespace mismatch: input secret is in namespace \"s\" but \"other\" was specified"],
        );
        sandbox
            .run(&line, b"kind: Secret\nmetadata: {name: \xff}\n")
            .fails(1, &["stdin: line 2: the text is not UTF-8"]);
        let large = format!("{head}stringData: {{a: {}}}\n", "x".repeat(5 << 20));
        sandbox.run(&line, large).fails(1, &["stdin: document 1: a: the value is larger than 4 MiB"]);
        sandbox
            .run(
                &format!("{front} --raw --scope cluster-wide --cert keys/interop-2048.crt"),
                "x".repeat(5 << 20),
            )
            .fails(1, &["the value is larger than 4 MiB"]);
    }
    sandbox
        .run("sealops seal --cert keys/interop-2048.crt", "kind: ConfigMap\n")
        .fails(1, &["hint: sealops seal --allow-any-kind"]);
    sandbox
        .run(
            "sealops seal --cert keys/interop-2048.crt --allow-any-kind",
            GOOD.replace("Secret", "ConfigMap"),
        )
        .ok();
    assert_eq!(sandbox.files(), before);
}

#[test]
fn certificates() {
    let sandbox = Sandbox::new();
    for front in ["kubeseal", "sealops seal"] {
        for (cert, text) in [
            ("nope.crt", "error: open nope.crt: no such file or directory\n"),
            ("keys", "error: open keys: is a directory\n"),
            (
                "keys/expired.crt",
                "error: failed to encrypt using an expired certificate on February 3, 2020\n",
            ),
            ("keys/ec.crt", "error: expected RSA public key but found an elliptic curve key\n"),
            ("keys/interop-2048.key", "error: data does not contain any valid RSA or ECDSA certificates\n"),
            ("c:nope", "error: open c:nope: no such file or directory\n"),
            ("ftp://x", "error: Get \"ftp://x\": unsupported protocol scheme \"ftp\"\n"),
        ] {
            sandbox.run(&format!("{front} --cert {cert}"), GOOD).fails(1, &[text]);
        }
        sandbox.run(&format!("{front} --cert keys/not-yet-valid.crt"), GOOD).ok();
    }
}

#[test]
fn files_and_keys() {
    let sandbox = Sandbox::new();
    let seal = "kubeseal --cert keys/interop-2048.crt";
    sandbox
        .run(&format!("{seal} -f nope"), "")
        .fails(1, &["Could not read file specified with --secret-file\n"]);
    sandbox
        .run("sealops seal --cert keys/interop-2048.crt -f nope", "")
        .fails(1, &["open nope: no such file"]);
    sandbox.run(&format!("{seal} -o xml"), GOOD).fails(1, &["unsupported output format: xml\n"]);
    let sealed = sandbox.run(seal, GOOD).ok();
    let recover = "kubeseal --recovery-unseal";
    sandbox.run(recover, &sealed).fails(1, &["error: no key could decrypt secret (a)\n"]);
    sandbox
        .run(&format!("{recover} --recovery-private-key keys/third-2048.key"), &sealed)
        .fails(1, &["error: no key could decrypt secret (a)\n"]);
    sandbox
        .run(&format!("{recover} --recovery-private-key nope"), &sealed)
        .fails(1, &["open nope: no such file"]);
    sandbox.write("keyless.yaml", GOOD);
    sandbox
        .run(&format!("{recover} --recovery-private-key keyless.yaml"), &sealed)
        .fails(1, &["error: secret must contain a 'tls.data' key\n"]);
    sandbox
        .run(&format!("{recover} --recovery-private-key keys/interop-2048.key"), GOOD)
        .fails(1, &["stdin: document 1: expected a bitnami.com/v1alpha1 SealedSecret, found Secret"]);
    let unseal = |key: &str| sandbox.run(&format!("sealops unseal --key {key}"), &sealed);
    unseal("keys/ec.key").fails(1, &["keys/ec.key: the private key is not a valid RSA key"]);
    unseal("keys/ec.crt").fails(1, &["keys/ec.crt: there is no private key in this file", "hint: "]);
    unseal("keys/third-2048.key").fails(1, &["stdin: document 1: no key could decrypt secret (a)"]);
    let cluster_wide = sealed.replace("\"spec\"", "\"x\"");
    sandbox
        .run(
            "sealops unseal --key keys/interop-2048.key",
            cluster_wide.replace("\"namespace\": \"s\"", "\"n\": \"\""),
        )
        .fails(1, &["the SealedSecret has no namespace"]);
}

#[test]
fn kubeconfigs() {
    let sandbox = Sandbox::new();
    let nameless = "kind: Secret\nmetadata: {name: x}\ndata: {a: Zg==}\n";
    sandbox.write("broken", "clusters: [hunter2\n");
    sandbox.write("foreign", GOOD);
    sandbox.write("config", "kind: Config\ncurrent-context: gone\n");
    for (config, text) in [
        ("nope", "stat nope: no such file or directory"),
        ("broken", "kubeconfig broken: line "),
        ("foreign", "kubeconfig foreign: this is not a kubeconfig"),
        ("config", "context was not found for specified context: gone"),
    ] {
        let run =
            sandbox.run(&format!("kubeseal --cert keys/interop-2048.crt --kubeconfig {config}"), nameless);
        run.fails(1, &[text]);
        assert!(!run.err.contains("hunter2"));
    }
    sandbox.run("kubeseal --cert keys/interop-2048.crt --kubeconfig nope", GOOD).ok();
}

#[cfg(feature = "cluster")]
#[test]
fn controllers_that_do_not_answer() {
    let sandbox = Sandbox::new();
    sandbox.write("broken", "clusters: [{name: c, cluster: {server: [hunter2]}}]\n");
    let unreachable = "--server https://127.0.0.1:1 --token hunter2";
    let parts = [
        "cannot get sealed secret service: Get \"https://127.0.0.1:1/api/v1/namespaces/kube-system/services/sealed-secrets-controller\": ",
        ".\nPlease, use the flag --controller-name and --controller-namespace to set up the name and namespace of the sealed secrets controller\n",
    ];
    for (program, code) in
        [("kubeseal", 1), ("kubeseal --fetch-cert", 1), ("sealops seal", 3), ("sealops fetch-cert", 3)]
    {
        let run = sandbox.run(&format!("{program} {unreachable}"), GOOD);
        run.fails(code, &parts);
        assert!(!run.err.contains("hunter2"));
    }
    sandbox.run("kubeseal", GOOD).fails(1, &["invalid configuration: no configuration has been provided"]);
    let run = sandbox.run("kubeseal --kubeconfig broken", GOOD);
    run.fails(1, &["kubeconfig broken: the file does not have the fields of a kubeconfig"]);
    assert!(!run.err.contains("hunter2"));
    sandbox
        .run("kubeseal --cert http://127.0.0.1:1/v1/cert.pem", GOOD)
        .fails(1, &["Get \"http://127.0.0.1:1/v1/cert.pem\": "]);
    sandbox
        .run("kubeseal --request-timeout soon --server https://127.0.0.1:1", GOOD)
        .fails(1, &["--request-timeout"]);
}

/// Serves fixed answers by the path of the request, 404 with a body for every other one; returns its address.
#[cfg(feature = "cluster")]
pub(crate) fn serve(answers: Vec<(&'static str, &'static str, String)>) -> std::net::SocketAddr {
    use std::io::{Read, Write};
    let server = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let address = server.local_addr().unwrap();
    std::thread::spawn(move || {
        for connection in server.incoming() {
            let mut connection = connection.unwrap();
            let mut request = [0; 4096];
            let count = connection.read(&mut request).unwrap();
            let request = String::from_utf8_lossy(&request[..count]).into_owned();
            let path = request.split(' ').nth(1).unwrap_or_default();
            let answer = answers.iter().find(|(own, ..)| *own == path);
            let (head, body) =
                answer.map_or(("404 Not Found", "hunter2"), |(_, head, body)| (head, body.as_str()));
            let length = body.len();
            let _ = write!(
                connection,
                "HTTP/1.1 {head}\r\ncontent-length: {length}\r\nconnection: close\r\n\r\n{body}"
            );
        }
    });
    address
}

#[cfg(feature = "cluster")]
#[test]
fn certificates_by_url() {
    let sandbox = Sandbox::new();
    let certificate = sandbox.read("keys/interop-2048.crt");
    let address = serve(vec![
        ("/good", "200 OK", certificate),
        ("/moved", "302 Found\r\nlocation: /good", String::new()),
        ("/round", "302 Found\r\nlocation: /round", String::new()),
        ("/large", "200 OK", "x".repeat(2 << 20)),
    ]);
    let run = |path: &str| sandbox.run(&format!("sealops seal --cert http://{address}{path}"), GOOD);
    run("/good").ok();
    run("/moved").ok();
    run("/round").fails(3, &["too many redirects"]);
    run("/gone").fails(3, &[&format!("cannot fetch \"http://{address}/gone\": 404 Not Found\n")]);
    run("/large").fails(3, &["larger than 1 MiB"]);
}

#[cfg(feature = "cluster")]
#[test]
fn certificates_from_the_controller() {
    const SERVICES: &str = "/api/v1/namespaces/kube-system/services";
    let sandbox = Sandbox::new();
    let certificate = sandbox.read("keys/interop-2048.crt");
    let service = |port: &str| format!("{{\"kind\": \"Service\", \"spec\": {{\"ports\": [{{{port}}}]}}}}");
    let missing = "{\"kind\": \"Status\", \"message\": \"services \\\"gone\\\" not found\"}".to_owned();
    let path = |name: &str| -> &'static str { format!("{SERVICES}/{name}").leak() };
    let proxy = "/proxy/v1/cert.pem";
    let address = serve(vec![
        (path("sealed-secrets-controller"), "200 OK", service("\"name\": \"web\"")),
        (path(&format!("http:sealed-secrets-controller:web{proxy}")), "200 OK", certificate.clone()),
        (path("unnamed"), "200 OK", service("\"port\": 1")),
        (path(&format!("http:unnamed:{proxy}")), "200 OK", certificate.clone()),
        (path("silent"), "200 OK", service("\"name\": \"web\"")),
        (path("gone"), "404 Not Found", missing),
    ]);
    sandbox.write(
        "config",
        format!(
            "kind: Config\ncurrent-context: a\ncontexts: [{{name: a, context: {{cluster: c, user: u}}}}]\n\
             clusters: [{{name: c, cluster: {{server: 'http://{address}'}}}}]\nusers: [{{name: u, user: {{token: hunter2}}}}]\n"
        ),
    );
    let fetch = |flags: &str| sandbox.run(&format!("kubeseal --fetch-cert {flags}"), "");
    assert_eq!(fetch("--kubeconfig config").ok(), certificate);
    assert_eq!(fetch(&format!("--server http://{address} --token x")).ok(), certificate);
    assert_eq!(fetch("--kubeconfig config --controller-name unnamed").ok(), certificate);
    assert!(sandbox.run_with("kubeseal", GOOD, &[("KUBECONFIG", "config")]).ok().starts_with('{'));
    fetch("--kubeconfig config --controller-name gone")
        .fails(1, &["cannot get sealed secret service: services \"gone\" not found.\nPlease, use the flag "]);
    let silent = fetch("--kubeconfig config --controller-name silent");
    silent.fails(1, &["error: cannot fetch certificate: 404 Not Found\n"]);
    assert!(!silent.err.contains("hunter2"));
}

#[cfg(not(feature = "cluster"))]
#[test]
fn the_offline_build_names_the_feature() {
    let sandbox = Sandbox::new();
    for line in ["kubeseal", "kubeseal --fetch-cert", "kubeseal --cert https://127.0.0.1:1/x"] {
        sandbox.run(line, GOOD).fails(1, &["needs the feature `cluster`", "hint: --cert FILE"]);
    }
}
