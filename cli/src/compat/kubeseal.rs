//! The command line of kubeseal 0.40.0.
//!
//! Different on purpose (the tests list every case): a document that does not parse or is no Secret is an error, `-w`
//! keeps the mode of the file and leaves nothing behind, a recovered Secret has no owner reference with an empty uid,
//! `--merge-into` and `--re-encrypt` change sealed values and nothing else of a file. `--version` names the version whose
//! behaviour this is.

mod controller;
mod flags;

use std::ffi::OsString;
use std::fs::File;
use std::io::{self, IsTerminal};
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use sealops_controller::pflag::{self, ParseError, Parsed};
use sealops_controller::sealed::OpenOptions;
use sealops_controller::templates::TemplateOptions;
use sealops_crypto::sealing::{Certificate, Label, Scope};
use sealops_formats::manifest;

use self::flags::FLAGS;
use crate::certificates::{self, CertificateFlags};
use crate::connection::ConnectionFlags;
use crate::error::CommandError;
use crate::files::{self, Access, NewFile};
use crate::merging::merge_into;
use crate::sealing::{Format, Front, NamespaceLookup, SealOptions, seal_manifests, seal_raw};
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
    if flags.is_set("version") {
        return ui::data(VERSION.as_bytes());
    }
    if flags.is_set("help") {
        // Asked for by name it is data; `-h` and mistakes put the first line on stderr.
        return ui::data(format!("Usage of {program}:\n{}", pflag::usage(FLAGS)).as_bytes());
    }
    let raw = flags.is_set("raw");
    if !raw && !flags.list("from-file").is_empty() {
        return Err(CommandError::input("--from-file requires --raw"));
    }
    if flags.non_empty("secret-file").is_some_and(|path| File::open(path).is_err()) {
        return Err(CommandError::input("Could not read file specified with --secret-file"));
    }
    if flags.is_set("recovery-unseal") {
        return recover(flags);
    }
    if !flags.list("recovery-private-key").is_empty() && io::stderr().is_terminal() {
        ui::note(
            "warning: ignoring --recovery-private-key because unseal command not chosen with --recovery-unseal",
        );
    }
    let connection = connection(flags);
    let source = certificate(flags);
    if flags.is_set("validate") {
        return controller::validate(flags, &source, &connection);
    }
    // Upstream says so on stdout, in the middle of the data.
    if flags.has("rotate") {
        ui::note("Flag --rotate has been deprecated, please use --re-encrypt instead");
    }
    if flags.is_set("re-encrypt") || flags.is_set("rotate") {
        return controller::re_encrypt(flags, &source, &connection);
    }
    if flags.is_set("fetch-cert") {
        return write(flags, &certificates::fetch(&source, &connection)?);
    }
    if flags.non_empty("merge-into").is_some() {
        return merge(flags, &source, &connection);
    }
    if raw { seal_one(flags, &source, &connection) } else { seal(flags, &source, &connection) }
}

fn merge(
    flags: &Parsed,
    source: &CertificateFlags,
    connection: &ConnectionFlags,
) -> Result<(), CommandError> {
    // Judged for the sake of scripts; the file keeps its own.
    format(flags)?;
    let certificate = certificates::load(source, connection)?;
    let path = PathBuf::from(flags.text(FLAGS, "merge-into"));
    // Upstream's order of errors: the file, then the input.
    files::read(&path, manifest::MAX_BYTES)?;
    let input = read(flags, "json/yaml k8s resource")?;
    let other_namespace = || connection.namespace();
    merge_into(&path, &input, &options(flags, &certificate, &other_namespace)).map(drop)
}

fn options<'a>(
    flags: &'a Parsed,
    certificate: &'a Certificate,
    other_namespace: NamespaceLookup<'a>,
) -> SealOptions<'a> {
    SealOptions {
        front: Front::Kubeseal,
        certificate,
        scope: Some(scope(flags)).filter(|scope| *scope != Scope::Strict),
        name: flags.non_empty("name"),
        namespace: flags.non_empty("namespace"),
        other_namespace,
        allow_empty_data: flags.is_set("allow-empty-data"),
        allow_any_kind: false,
        into: None,
    }
}

fn seal(flags: &Parsed, source: &CertificateFlags, connection: &ConnectionFlags) -> Result<(), CommandError> {
    let format = format(flags)?;
    let certificate = certificates::load(source, connection)?;
    let input = read(flags, "json/yaml k8s resource")?;
    let other_namespace = || connection.namespace();
    let sealed = seal_manifests(&input, &options(flags, &certificate, &other_namespace))?;
    write(flags, format.text(&sealed.objects).expose())
}

fn seal_one(
    flags: &Parsed,
    source: &CertificateFlags,
    connection: &ConnectionFlags,
) -> Result<(), CommandError> {
    let certificate = certificates::load(source, connection)?;
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
    if flags.non_empty("secret-file").is_some() {
        ui::warn("--secret-file is not read with --raw: the value comes from --from-file or stdin");
    }
    let value = match flags.list("from-file") {
        [] => input::read(None, "a secret to encrypt")?,
        // The key in front of `=` is for kubectl's sake.
        [item] => {
            input::read(Some(Path::new(item.split_once('=').map_or(item.as_str(), |(_, path)| path))), "")?
        }
        _ => {
            let text = "must provide only one --from-file when encrypting a single item with --raw";
            return Err(CommandError::input(text));
        }
    };
    let sealed = seal_raw(&certificate, &Label::for_secret(scope, &namespace, name), &value.text)?;
    write(flags, sealed.as_bytes())
}

fn recover(flags: &Parsed) -> Result<(), CommandError> {
    let format = format(flags)?;
    let mut ring = keys::Keys::default();
    for path in flags.list("recovery-private-key") {
        let found = keys::read_path(Path::new(path))?;
        if found.is_empty() {
            ui::warn(&format!("{path}: there is no private key in this file"));
        }
        ring.extend(found);
    }
    let input = read(flags, "json/yaml k8s resource")?;
    let documents = manifest::parse(input.text.expose())
        .map_err(|error| CommandError::input(error).within(&input.name))?;
    if documents.len() > 1 {
        ui::warn(&format!("{}: only the first of {} documents is opened", input.name, documents.len()));
    }
    let Some(document) = documents.first() else {
        return Err(CommandError::input("there is no SealedSecret").within(&input.name));
    };
    let place = |error: CommandError| error.within(format!("{}: document 1", input.name));
    let sealed = unsealing::read_sealed(&document.root, None).map_err(place)?;
    let templates = TemplateOptions { allow_random_functions: true }; // as upstream
    let options = OpenOptions { accept_v1_data: false, templates, allow_token_secrets: true };
    let secret = unsealing::unseal(sealed, &ring.into_ring(), options)?;
    let text = format.text(&[unsealing::secret_node(&secret)]);
    write_with(flags, text.expose(), Access::Private)
}

/// Reads `-f`, or stdin.
fn read(flags: &Parsed, expected: &str) -> Result<input::Input, CommandError> {
    input::read(flags.non_empty("secret-file").map(Path::new), expected)
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
        _ => flags.non_empty("format").unwrap_or("json").parse(),
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
