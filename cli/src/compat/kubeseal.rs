//! The command line of kubeseal 0.40.0.
//!
//! Different on purpose: a document that does not parse or is no Secret is an error, `-w` keeps the mode of the file and
//! leaves nothing behind, and a recovered Secret has no owner reference with an empty uid. `--version` names the version
//! whose behaviour this is.

use std::ffi::OsString;
use std::io::{self, IsTerminal};
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use sealops_controller::pflag::{self, Flag, Kind, ParseError, Parsed};
use sealops_controller::sealed::OpenOptions;
use sealops_controller::templates::TemplateOptions;
use sealops_crypto::sealing::{Label, Scope, SealingKeyRing};
use sealops_formats::manifest;

use crate::certificates::{self, CertificateFlags};
use crate::connection::ConnectionFlags;
use crate::error::CommandError;
use crate::files::{self, Access, NewFile};
use crate::sealing::{Format, Front, SealOptions, seal_manifests, seal_raw};
use crate::{input, keys, ui, unsealing};

const VERSION: &str = "kubeseal version: v0.40.0\n";
const NOT_CONFIGURED: &str = "invalid configuration: no configuration has been provided, try setting KUBERNETES_MASTER environment variable";

/// Runs the command line.
pub(crate) fn run(arguments: &[OsString]) -> ExitCode {
    let program = arguments.first().map(|name| name.to_string_lossy()).unwrap_or_default();
    let result = match pflag::parse(FLAGS, arguments.get(1..).unwrap_or_default()) {
        Ok(mut flags) => {
            flags.fill_from_environment(FLAGS, "SEALED_SECRETS");
            dispatch(&flags, &program)
        }
        Err(ParseError::Help) => print_usage(&program, ""),
        Err(ParseError::Bad(problem)) => {
            let _ = print_usage(&program, &format!("{problem}\n"));
            return ExitCode::from(2);
        }
    };
    match result {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            ui::report(&error);
            ExitCode::FAILURE
        }
    }
}

fn print_usage(program: &str, problem: &str) -> Result<(), CommandError> {
    ui::note(&format!("Usage of {program}:"));
    ui::data(format!("{}{problem}", pflag::usage(FLAGS)).as_bytes())
}

/// Upstream's order of modes.
fn dispatch(flags: &Parsed, program: &str) -> Result<(), CommandError> {
    if flags.is_set("help") {
        return print_usage(program, "");
    }
    if flags.is_set("version") {
        return ui::data(VERSION.as_bytes());
    }
    if flags.is_set("recovery-unseal") {
        return recover(flags);
    }
    if !flags.list("recovery-private-key").is_empty() && io::stderr().is_terminal() {
        ui::note(
            "warning: ignoring --recovery-private-key because unseal command not chosen with --recovery-unseal",
        );
    }
    let later = ["validate", "re-encrypt", "rotate", "merge-into"];
    let later = later
        .into_iter()
        .find(|name| flags.is_set(name) || flags.non_empty(name).is_some_and(|v| v != "false"));
    if let Some(name) = later {
        return Err(CommandError::input(format!("--{name} is not part of this version of sealops yet")));
    }
    let connection = connection(flags);
    let source = certificate(flags);
    if flags.is_set("fetch-cert") {
        return write(flags, &certificates::fetch(&source, &connection)?);
    }
    let raw = flags.is_set("raw");
    if !raw && !flags.list("from-file").is_empty() {
        return Err(CommandError::input("--from-file requires --raw"));
    }
    if raw { seal_one(flags, &source, &connection) } else { seal(flags, &source, &connection) }
}

fn seal(flags: &Parsed, source: &CertificateFlags, connection: &ConnectionFlags) -> Result<(), CommandError> {
    let format = format(flags)?;
    let certificate = certificates::load(source, connection)?;
    let input = read(flags, "json/yaml k8s resource")?;
    let options = SealOptions {
        front: Front::Kubeseal,
        certificate: &certificate,
        scope: Some(scope(flags)).filter(|scope| *scope != Scope::Strict),
        name: flags.non_empty("name"),
        namespace: flags.non_empty("namespace"),
        other_namespace: &|| connection.namespace(),
        allow_empty_data: flags.is_set("allow-empty-data"),
        allow_any_kind: false,
    };
    let sealed = seal_manifests(&input, &options)?;
    write(flags, format.text(&sealed.objects).expose())
}

fn seal_one(
    flags: &Parsed,
    source: &CertificateFlags,
    connection: &ConnectionFlags,
) -> Result<(), CommandError> {
    let scope = scope(flags);
    let namespace = match flags.non_empty("namespace") {
        Some(namespace) => namespace.to_owned(),
        None if scope == Scope::ClusterWide => String::new(),
        None => connection.namespace()?.ok_or_else(|| CommandError::input(NOT_CONFIGURED))?,
    };
    let name = flags.text(FLAGS, "name");
    if scope == Scope::Strict && name.is_empty() {
        return Err(CommandError::input("must provide the --name flag with --raw and --scope strict"));
    }
    let file = match flags.list("from-file") {
        [] => None,
        // The key in front of `=` is for kubectl's sake.
        [item] => Some(PathBuf::from(item.split_once('=').map_or(item.as_str(), |(_, path)| path))),
        _ => {
            let text = "must provide only one --from-file when encrypting a single item with --raw";
            return Err(CommandError::input(text));
        }
    };
    let certificate = certificates::load(source, connection)?;
    let value = match file {
        Some(file) => input::read(Some(&file), "")?,
        None => read(flags, "a secret to encrypt")?,
    };
    let sealed = seal_raw(&certificate, &Label::for_secret(scope, &namespace, name), &value.text)?;
    write(flags, sealed.as_bytes())
}

fn recover(flags: &Parsed) -> Result<(), CommandError> {
    let format = format(flags)?;
    let mut ring = Vec::new();
    for path in flags.list("recovery-private-key") {
        let found = keys::read_file(Path::new(path))?;
        if found.is_empty() {
            ui::warn(&format!("{path}: there is no private key in this file"));
        }
        ring.extend(found);
    }
    let input = read(flags, "json/yaml k8s resource")?;
    let documents = manifest::parse(input.text.expose())
        .map_err(|error| CommandError::input(error).within(&input.name))?;
    let Some(document) = documents.first() else {
        return Err(CommandError::input("there is no SealedSecret").within(&input.name));
    };
    let place = |error: CommandError| error.within(format!("{}: document 1", input.name));
    let sealed = unsealing::read_sealed(&document.root, None).map_err(place)?;
    let templates = TemplateOptions { allow_random_functions: true }; // as upstream
    let options = OpenOptions { accept_v1_data: false, templates, allow_token_secrets: true };
    let secret = unsealing::unseal(sealed, &SealingKeyRing::new(ring), options)?;
    let text = format.text(&[unsealing::secret_node(&secret)]);
    write_with(flags, text.expose(), Access::Private)
}

/// Reads `-f`, or stdin.
fn read(flags: &Parsed, expected: &str) -> Result<input::Input, CommandError> {
    match flags.non_empty("secret-file").map(Path::new) {
        Some(path) if !path.exists() => {
            Err(CommandError::input("Could not read file specified with --secret-file"))
        }
        path => input::read(path, expected),
    }
}

fn write(flags: &Parsed, content: &[u8]) -> Result<(), CommandError> {
    write_with(flags, content, Access::Public)
}

/// Writes to `-w`, or to stdout.
fn write_with(flags: &Parsed, content: &[u8], access: Access) -> Result<(), CommandError> {
    match flags.non_empty("sealed-secret-file") {
        Some(path) => files::write(&[NewFile { path: path.into(), content, access }]),
        None => ui::data(content),
    }
}

/// Returns the format: the file's extension wins over the flag.
fn format(flags: &Parsed) -> Result<Format, CommandError> {
    let extension =
        flags.non_empty("sealed-secret-file").and_then(|path| Path::new(path).extension()?.to_str());
    match extension {
        Some("yaml" | "yml") => Ok(Format::Yaml),
        _ => flags.text(FLAGS, "format").parse(),
    }
}

fn scope(flags: &Parsed) -> Scope {
    flags.text(FLAGS, "scope").parse().unwrap_or_default()
}

fn certificate(flags: &Parsed) -> CertificateFlags {
    CertificateFlags {
        cert: flags.non_empty("cert").map(str::to_owned),
        controller_namespace: flags.text(FLAGS, "controller-namespace").to_owned(),
        controller_name: flags.text(FLAGS, "controller-name").to_owned(),
    }
}

fn connection(flags: &Parsed) -> ConnectionFlags {
    let text = |name| flags.non_empty(name).map(str::to_owned);
    ConnectionFlags {
        kubeconfig: text("kubeconfig").map(PathBuf::from),
        context: text("context"),
        cluster: text("cluster"),
        user: text("user"),
        server: text("server"),
        token: text("token"),
        username: text("username"),
        password: text("password"),
        certificate_authority: text("certificate-authority"),
        client_certificate: text("client-certificate"),
        client_key: text("client-key"),
        insecure_skip_tls_verify: flags.is_set("insecure-skip-tls-verify"),
        tls_server_name: text("tls-server-name"),
        proxy_url: text("proxy-url"),
        as_user: text("as"),
        as_group: flags.list("as-group").to_vec(),
        as_uid: text("as-uid"),
        request_timeout: text("request-timeout"),
    }
}

const fn flag(name: &'static str, kind: Kind, help: &'static str) -> Flag {
    Flag { name, short: None, kind, help }
}

const fn short(letter: char, name: &'static str, kind: Kind, help: &'static str) -> Flag {
    Flag { name, short: Some(letter), kind, help }
}

/// Every flag, kubeseal's own first.
static FLAGS: &[Flag] = &[
    flag("allow-empty-data", Kind::Bool, "Seal a Secret without data"),
    flag("cert", Kind::Text(""), "Certificate file or URL to seal with; overrides --controller-*"),
    flag("controller-name", Kind::Text("sealed-secrets-controller"), "Name of the controller's Service"),
    flag("controller-namespace", Kind::Text("kube-system"), "Namespace of the controller"),
    flag("fetch-cert", Kind::Bool, "Write the certificate to stdout, for later use with --cert"),
    short('o', "format", Kind::Text("json"), "Output format: json or yaml"),
    flag("from-file", Kind::Texts, "(only with --raw) File with the value, as [key=]path"),
    flag("help", Kind::Bool, "Print this help message"),
    flag("merge-into", Kind::Text(""), "Not part of this version yet"),
    flag("name", Kind::Text(""), "Name of the sealed secret (needed with --raw and scope strict)"),
    flag("raw", Kind::Bool, "Seal one value instead of a whole Secret"),
    flag("re-encrypt", Kind::Bool, "Not part of this version yet"),
    flag(
        "recovery-private-key",
        Kind::Texts,
        "Private keys for --recovery-unseal: PEM files, or Secrets and Lists of them",
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
    flag("validate", Kind::Bool, "Not part of this version yet"),
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
