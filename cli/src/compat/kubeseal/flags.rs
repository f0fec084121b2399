//! Every flag of kubeseal 0.40.0, in one table.

use sealops_controller::pflag::{Flag, Kind};

const fn flag(name: &'static str, kind: Kind, help: &'static str) -> Flag {
    Flag { name, short: None, kind, help }
}

const fn short(letter: char, name: &'static str, kind: Kind, help: &'static str) -> Flag {
    Flag { name, short: Some(letter), kind, help }
}

/// Every flag, kubeseal's own first.
pub(super) static FLAGS: &[Flag] = &[
    flag("allow-empty-data", Kind::Bool, "Seal a Secret without data"),
    flag("cert", Kind::Text(""), "Certificate file or URL to seal with; overrides --controller-*"),
    flag("controller-name", Kind::Text("sealed-secrets-controller"), "Name of the controller's Service"),
    flag("controller-namespace", Kind::Text("kube-system"), "Namespace of the controller"),
    flag("fetch-cert", Kind::Bool, "Write the certificate to stdout, for later use with --cert"),
    short('o', "format", Kind::Text("json"), "Output format: json or yaml"),
    flag("from-file", Kind::Texts, "(only with --raw) File with the value, as [key=]path"),
    flag("help", Kind::Bool, "Print this help message"),
    flag(
        "merge-into",
        Kind::Text(""),
        "Merge the values of a Secret into an existing sealed secret file, which keeps its format, comments and scope",
    ),
    flag("name", Kind::Text(""), "Name of the sealed secret (needed with --raw and scope strict)"),
    flag("raw", Kind::Bool, "Seal one value instead of a whole Secret"),
    flag(
        "re-encrypt",
        Kind::Bool,
        "Seal the values of a sealed secret anew with the controller's newest key; nothing else changes",
    ),
    flag(
        "recovery-private-key",
        Kind::Texts,
        "Private keys for --recovery-unseal: PEM files, Secrets and Lists of them, or folders with such files",
    ),
    flag("recovery-unseal", Kind::Bool, "Open a SealedSecret from stdin with --recovery-private-key"),
    flag("rotate", Kind::Bool, ""),
    flag(
        "scope",
        Kind::Word(&["strict", "namespace-wide", "cluster-wide"]),
        "Scope of the sealed secret: strict, namespace-wide, cluster-wide; without --raw, annotations of the Secret count too",
    ),
    short('w', "sealed-secret-file", Kind::Text(""), "Output file"),
    short('f', "secret-file", Kind::Text(""), "Input file"),
    flag("validate", Kind::Bool, "Ask the controller whether a sealed secret opens"),
    flag("version", Kind::Bool, "Print version information and exit"),
    // kubectl's
    flag("as", Kind::Text(""), "User to impersonate"),
    flag("as-group", Kind::TextArray, "Group to impersonate; may be repeated"),
    flag("as-uid", Kind::Text(""), "UID to impersonate"),
    flag("certificate-authority", Kind::Text(""), "CA certificate of the API server"),
    flag("client-certificate", Kind::Text(""), "Client certificate for the API server"),
    flag("client-key", Kind::Text(""), "Client key for the API server"),
    flag("cluster", Kind::Text(""), "Cluster of the kubeconfig"),
    flag("context", Kind::Text(""), "Context of the kubeconfig"),
    flag("disable-compression", Kind::Bool, "Accepted; answers are small"),
    flag("insecure-skip-tls-verify", Kind::Bool, "Do not check the API server's certificate"),
    flag("kubeconfig", Kind::Text(""), "Kubeconfig file"),
    short('n', "namespace", Kind::Text(""), "Namespace of the sealed secret"),
    flag("password", Kind::Text(""), "Password for the API server"),
    flag("proxy-url", Kind::Text(""), "Proxy to the API server"),
    flag("request-timeout", Kind::Text("0"), "Longest time for one request, such as 1s, 2m, 3h"),
    flag("server", Kind::Text(""), "URL of the API server"),
    flag("tls-server-name", Kind::Text(""), "Name that the API server's certificate must have"),
    flag("token", Kind::Text(""), "Bearer token for the API server"),
    flag("user", Kind::Text(""), "User of the kubeconfig"),
    flag("username", Kind::Text(""), "User name for the API server"),
    // klog's: there is no such log here.
    flag("add_dir_header", Kind::IgnoredBool, "Accepted and ignored"),
    flag("alsologtostderr", Kind::IgnoredBool, "Accepted and ignored"),
    flag("alsologtostderrthreshold", Kind::Ignored(" severity"), "Accepted and ignored"),
    flag("legacy_stderr_threshold_behavior", Kind::IgnoredBool, "Accepted and ignored"),
    flag("log_backtrace_at", Kind::Ignored(" traceLocation"), "Accepted and ignored"),
    flag("log_dir", Kind::Ignored(" string"), "Accepted and ignored"),
    flag("log_file", Kind::Ignored(" string"), "Accepted and ignored"),
    flag("log_file_max_size", Kind::Ignored(" uint"), "Accepted and ignored"),
    flag("logtostderr", Kind::IgnoredBool, "Accepted and ignored"),
    flag("one_output", Kind::IgnoredBool, "Accepted and ignored"),
    flag("skip_headers", Kind::IgnoredBool, "Accepted and ignored"),
    flag("skip_log_headers", Kind::IgnoredBool, "Accepted and ignored"),
    flag("stderrthreshold", Kind::Ignored(" severity"), "Accepted and ignored"),
    short('v', "v", Kind::Number, "Accepted and ignored"),
    flag("vmodule", Kind::Ignored(" moduleSpec"), "Accepted and ignored"),
];
