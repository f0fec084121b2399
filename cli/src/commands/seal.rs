//! `sealops seal`: Secrets in, SealedSecrets out.

use std::path::{Path, PathBuf};

use sealops_crypto::sealing::{Certificate, Label, Scope};

use crate::certificates::{self, CertificateFlags};
use crate::connection::ConnectionFlags;
use crate::error::CommandError;
use crate::files::{self, Access, NewFile};
use crate::merging::merge_into;
use crate::sealing::{Format, Front, NamespaceLookup, SealOptions, seal_manifests, seal_raw};
use crate::{input, ui};

/// Seal Secrets so that they can be committed
#[derive(clap::Args)]
#[command(after_help = EXAMPLES)]
pub(super) struct Args {
    /// Secret manifest, YAML or JSON, one or more documents; stdin without it
    #[arg(short = 'f', long, value_name = "FILE", env = "SEALED_SECRETS_SECRET_FILE")]
    secret_file: Option<PathBuf>,
    /// Write here instead of to stdout; the extension chooses the format
    #[arg(short = 'w', long, value_name = "FILE", env = "SEALED_SECRETS_SEALED_SECRET_FILE")]
    sealed_secret_file: Option<PathBuf>,
    /// Seal into this file, whose format, comments and scope stay, instead of printing
    #[arg(long, value_name = "FILE", env = "SEALED_SECRETS_MERGE_INTO", conflicts_with_all = ["raw", "sealed_secret_file", "format"])]
    merge_into: Option<PathBuf>,
    /// Output format (yaml, unless the file's extension says otherwise)
    #[arg(short = 'o', long, value_enum, ignore_case = true, env = "SEALED_SECRETS_FORMAT")]
    format: Option<Format>,
    /// Where the values may be opened: strict, namespace-wide, cluster-wide; without it the annotations decide
    #[arg(long, env = "SEALED_SECRETS_SCOPE")]
    scope: Option<Scope>,
    /// Name of the Secret; overrides the manifest's
    #[arg(long, value_name = "NAME", env = "SEALED_SECRETS_NAME")]
    name: Option<String>,
    /// Namespace of the Secret; an error where the manifest names another
    #[arg(short, long, value_name = "NAME", env = "SEALED_SECRETS_NAMESPACE")]
    namespace: Option<String>,
    /// Seal a Secret without data
    #[arg(long, env = "SEALED_SECRETS_ALLOW_EMPTY_DATA")]
    allow_empty_data: bool,
    /// Seal the data of objects that are no v1 Secret
    #[arg(long)]
    allow_any_kind: bool,
    /// Seal with a certificate whose time is over; its key still opens
    #[arg(long)]
    allow_expired: bool,
    /// Seal one value instead of manifests: stdin or --from-file, byte for byte; prints base64
    #[arg(long, env = "SEALED_SECRETS_RAW")]
    raw: bool,
    /// File with the value
    #[arg(long, value_name = "[KEY=]FILE", requires = "raw")]
    from_file: Option<String>,
    #[command(flatten)]
    certificate: CertificateFlags,
    #[command(flatten)]
    connection: ConnectionFlags,
}

const EXAMPLES: &str = "Examples:
  sealops seal --cert cert.pem -f secret.yaml -w sealed.yaml
  kubectl create secret generic web -n shop --from-literal=password=… --dry-run=client -o yaml | sealops seal
  sealops seal --cert cert.pem -f new-values.yaml --merge-into sealed.yaml
  printf %s \"$PASSWORD\" | sealops seal --raw --cert cert.pem -n shop --name web";

pub(super) fn run(args: &Args) -> Result<(), CommandError> {
    if let Some(path) = &args.merge_into {
        return merge(args, path);
    }
    let text = if args.raw { raw(args)? } else { manifests(args)? };
    match &args.sealed_secret_file {
        Some(path) => files::write(&[NewFile { path: path.clone(), content: &text, access: Access::Public }]),
        None => ui::data(&text),
    }
}

/// Returns the certificate to seal with, judged by its time.
fn certificate(args: &Args) -> Result<Certificate, CommandError> {
    let certificate = match args.allow_expired {
        true => Certificate::from_pem(&certificates::fetch(&args.certificate, &args.connection)?)
            .map_err(CommandError::input)?,
        false => certificates::load(&args.certificate, &args.connection)?,
    };
    certificates::warn_if_not_yet_valid(&certificate);
    Ok(certificate)
}

fn manifests(args: &Args) -> Result<Vec<u8>, CommandError> {
    let certificate = certificate(args)?;
    let input = input::read(args.secret_file.as_deref(), "json/yaml k8s resource")?;
    let other_namespace = || args.connection.namespace();
    let sealed = seal_manifests(&input, &options(args, &certificate, &other_namespace))?;
    for warning in &sealed.warnings {
        ui::warn(warning);
    }
    Ok(format(args).text(&sealed.objects).expose().to_vec())
}

fn merge(args: &Args, path: &Path) -> Result<(), CommandError> {
    let certificate = certificate(args)?;
    let input = input::read(args.secret_file.as_deref(), "json/yaml k8s resource")?;
    let other_namespace = || args.connection.namespace();
    for warning in merge_into(path, &input, &options(args, &certificate, &other_namespace))? {
        ui::warn(&warning);
    }
    Ok(())
}

fn options<'a>(
    args: &'a Args,
    certificate: &'a Certificate,
    other_namespace: NamespaceLookup<'a>,
) -> SealOptions<'a> {
    SealOptions {
        front: Front::Sealops,
        certificate,
        scope: args.scope,
        name: args.name.as_deref(),
        namespace: args.namespace.as_deref(),
        other_namespace,
        allow_empty_data: args.allow_empty_data,
        allow_any_kind: args.allow_any_kind,
        into: None,
    }
}

fn raw(args: &Args) -> Result<Vec<u8>, CommandError> {
    let scope = args.scope.unwrap_or_default();
    let namespace = match (&args.namespace, scope) {
        (Some(namespace), _) => namespace.clone(),
        (None, Scope::ClusterWide) => String::new(),
        (None, _) => args.connection.namespace()?.ok_or_else(|| {
            CommandError::usage(format!("must provide the --namespace flag with --raw and --scope {scope}"))
        })?,
    };
    let name = args.name.as_deref().unwrap_or_default();
    if scope == Scope::Strict && name.is_empty() {
        return Err(CommandError::usage("must provide the --name flag with --raw and --scope strict"));
    }
    let certificate = certificate(args)?;
    let from_file = args.from_file.as_deref().map(|item| item.split_once('=').map_or(item, |(_, path)| path));
    let path = from_file.map(Path::new).or(args.secret_file.as_deref());
    let value = input::read(path, "a secret to encrypt")?;
    let label = Label::for_secret(scope, &namespace, name);
    seal_raw(&certificate, &label, &value.text)
        .map(String::into_bytes)
        .map_err(|error| error.within(&value.name))
}

/// Returns the format: the file's extension, then the flag, then YAML.
fn format(args: &Args) -> Format {
    let extension = args.sealed_secret_file.as_ref().and_then(|path| path.extension()?.to_str());
    match extension {
        Some("yaml" | "yml") => Format::Yaml,
        Some("json") => args.format.unwrap_or(Format::Json),
        _ => args.format.unwrap_or(Format::Yaml),
    }
}
