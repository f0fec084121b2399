//! `sealops keys export`, `import` and `verify`: backups of sealing keys, and the proof that they are worth something.

use std::path::{Path, PathBuf};

use sealops_controller::object::SecretObject;
use sealops_crds::sealed_secret::SEALING_KEY_LABEL;
use sealops_formats::Plaintext;

use super::super::validate;
use crate::backup;
use crate::connection::ConnectionFlags;
use crate::connection::api::{Api, Request};
use crate::connection::objects;
use crate::error::CommandError;
use crate::files::{self, Access, NewFile};
use crate::keys::{self, Keys};
use crate::sealed_file::{SealedObject, manifests};
use crate::sealing::Format;
use crate::{ui, unsealing};

/// Largest file with key Secrets.
const MAX_BYTES: usize = 16 << 20;

#[derive(clap::Args)]
#[command(after_help = "Examples:
  sealops keys export --recipient age1… -o sealing-keys.age
  sealops keys export --recipients-file team.txt --key keys.yaml -o sealing-keys.age")]
pub(super) struct ExportArgs {
    /// age recipient that may open the backup (age1…, ssh-ed25519 …, a plugin's); may be repeated
    #[arg(short, long, value_name = "RECIPIENT")]
    recipient: Vec<String>,
    /// File with age recipients, one per line; may be repeated
    #[arg(short = 'R', long, value_name = "FILE")]
    recipients_file: Vec<PathBuf>,
    /// Take the key Secrets of these files instead of the cluster's
    #[arg(long, value_name = "FILE")]
    key: Vec<PathBuf>,
    /// Write here (mode 0600) instead of to stdout
    #[arg(short, long, value_name = "FILE")]
    output: Option<PathBuf>,
    #[command(flatten)]
    cluster: ClusterArgs,
}

#[derive(clap::Args)]
#[command(after_help = "Examples:
  sealops keys import sealing-keys.age --identity backup.key
  sealops keys import sealing-keys.age --identity backup.key -o \"$(mktemp -d)\"")]
pub(super) struct ImportArgs {
    /// Backup that `sealops keys export` made, or a plain List of key Secrets
    #[arg(value_name = "FILE")]
    backup: PathBuf,
    /// File with the age identity that opens it; may be repeated
    #[arg(short, long, value_name = "FILE")]
    identity: Vec<PathBuf>,
    /// Write the Secrets into this folder (NAME.yaml, mode 0600) instead of the cluster
    #[arg(short, long, value_name = "DIR")]
    output: Option<PathBuf>,
    /// Write nothing; say what would be made
    #[arg(long)]
    dry_run: bool,
    /// Write into a git work tree although the folder is not ignored
    #[arg(long)]
    force: bool,
    #[command(flatten)]
    cluster: ClusterArgs,
}

#[derive(clap::Args)]
#[command(after_help = "Examples:
  sealops keys verify sealing-keys.age --identity backup.key manifests/
  sealops keys verify sealing-keys.age --identity backup.key --in-cluster --json")]
pub(super) struct VerifyArgs {
    /// Backup that `sealops keys export` made, or a plain List of key Secrets
    #[arg(value_name = "FILE")]
    backup: PathBuf,
    /// Files and folders with SealedSecrets that it has to open
    #[arg(value_name = "FILE|DIR", required_unless_present = "in_cluster")]
    paths: Vec<PathBuf>,
    /// File with the age identity that opens the backup; may be repeated
    #[arg(short, long, value_name = "FILE")]
    identity: Vec<PathBuf>,
    /// Open the SealedSecrets of the cluster, of all namespaces unless --namespace says otherwise
    #[arg(long)]
    in_cluster: bool,
    /// Namespace of the SealedSecrets in the cluster
    #[arg(short, long, value_name = "NAME", requires = "in_cluster")]
    namespace: Option<String>,
    /// Print every object with its result as JSON
    #[arg(long)]
    json: bool,
    #[command(flatten)]
    connection: ConnectionFlags,
}

#[derive(clap::Args)]
struct ClusterArgs {
    /// Namespace of the controller
    #[arg(
        long,
        value_name = "NAME",
        default_value = "kube-system",
        env = "SEALED_SECRETS_CONTROLLER_NAMESPACE"
    )]
    controller_namespace: String,
    #[command(flatten)]
    connection: ConnectionFlags,
}

pub(super) fn export(args: &ExportArgs) -> Result<(), CommandError> {
    let recipients = backup::recipients(&args.recipient, &args.recipients_file)?;
    let secrets = match args.key.as_slice() {
        [] => {
            let api = Api::connect(&args.cluster.connection)?;
            // Every value of the label: a compromised key still opens what it sealed.
            objects::secrets(&api, &args.cluster.controller_namespace, SEALING_KEY_LABEL)?
        }
        paths => {
            let mut secrets = Vec::new();
            for path in paths {
                let name = path.display().to_string();
                let found = keys::secrets(&files::read(path, MAX_BYTES)?, &name)?;
                if found.is_empty() {
                    return Err(CommandError::input("there is no key Secret in this file").within(name).hint(
                        "kubectl create secret tls NAME --cert tls.crt --key tls.key --dry-run=client -o yaml \
                         makes one",
                    ));
                }
                secrets.extend(found);
            }
            secrets
        }
    };
    if secrets.is_empty() {
        return Err(CommandError::input(format!(
            "there is no sealing key in the namespace {}",
            args.cluster.controller_namespace
        ))
        .hint("--controller-namespace NAME says where the controller runs"));
    }
    for secret in &secrets {
        let name = secret.metadata.name.as_deref().unwrap_or_default();
        Keys::default().add_secret(secret, &format!("Secret {name}"))?;
    }
    let text = backup::seal(&secrets, &recipients)?;
    match &args.output {
        Some(path) => {
            files::write(&[NewFile { path: path.clone(), content: &text, access: Access::Private }])?;
            ui::note(&format!(
                "{} keys for {} recipients in {}",
                secrets.len(),
                recipients.len(),
                path.display()
            ));
            Ok(())
        }
        None => ui::data(&text),
    }
}

pub(super) fn import(args: &ImportArgs) -> Result<(), CommandError> {
    let secrets = backup::open(&args.backup, &args.identity)?;
    match &args.output {
        Some(folder) => into_folder(args, folder, &secrets),
        None => into_cluster(args, &secrets),
    }
}

fn into_folder(args: &ImportArgs, folder: &Path, secrets: &[SecretObject]) -> Result<(), CommandError> {
    if !args.force {
        files::refuse_tracked(&folder.join("x"))?;
    }
    let mut texts = Vec::new();
    for secret in secrets {
        let name = secret.metadata.name.as_deref().unwrap_or_default();
        // Names come from a file that somebody else may have written.
        if name.is_empty() || name.contains(['/', '\\', '\0']) || name.starts_with('.') {
            return Err(CommandError::input("the name of a key Secret cannot be a file name"));
        }
        let path = folder.join(format!("{name}.yaml"));
        if path.symlink_metadata().is_ok() {
            return Err(CommandError::input("the file exists already").within(path.display()));
        }
        texts.push((path, Format::Yaml.text(&[unsealing::secret_node(secret)])));
    }
    for (path, _) in &texts {
        ui::note(&format!("{}{}", if args.dry_run { "would write " } else { "" }, path.display()));
    }
    if args.dry_run {
        return Ok(());
    }
    files::create_folder(folder)?;
    let files: Vec<_> = texts
        .iter()
        .map(|(path, text)| NewFile { path: path.clone(), content: text.expose(), access: Access::Private })
        .collect();
    files::write(&files)
}

/// Makes what is missing and overwrites nothing: everything is judged before the first Secret is made.
fn into_cluster(args: &ImportArgs, secrets: &[SecretObject]) -> Result<(), CommandError> {
    let api = Api::connect(&args.cluster.connection)?;
    let namespace = &args.cluster.controller_namespace;
    let existing = objects::secrets(&api, namespace, SEALING_KEY_LABEL)?;
    let path = format!("/api/v1/namespaces/{namespace}/secrets");
    let mut missing = Vec::new();
    for secret in secrets {
        let name = secret.metadata.name.clone().unwrap_or_default();
        if let Some(own) = existing.iter().find(|own| own.same_data(secret)) {
            let own = own.metadata.name.as_deref().unwrap_or_default();
            ui::note(&format!("{name}: the key is there already, as Secret {own}"));
            continue;
        }
        let taken = api.send(&Request::get(&format!("{path}/{name}")))?;
        if taken.status != 404 {
            return Err(CommandError::input(format!(
                "Secret {namespace}/{name} exists and holds something else; nothing was made"
            ))
            .hint("rename the Secret in the backup: sealops keys import -o DIR, then kubectl create"));
        }
        missing.push((name, secret));
    }
    for (name, secret) in missing {
        if args.dry_run {
            ui::note(&format!("{name}: would be made"));
            continue;
        }
        let mut new = secret.duplicate();
        new.metadata.namespace = Some(namespace.clone());
        new.metadata.creation_timestamp = None;
        let body: Plaintext = new.to_json();
        let answer = api.send(&Request::post(&path, body.expose()))?;
        if !answer.is_success() {
            // A refusal of a Secret may quote it.
            return Err(CommandError::connection(format!(
                "Secret {namespace}/{name} was refused with status {}",
                answer.status
            )));
        }
        ui::note(&format!("{name}: made"));
    }
    Ok(())
}

pub(super) fn verify(args: &VerifyArgs) -> Result<(), CommandError> {
    let mut keys = Keys::default();
    for secret in backup::open(&args.backup, &args.identity)? {
        keys.add_secret(&secret, &args.backup.display().to_string())?;
    }
    let ring = keys.into_ring();
    let files = manifests(&args.paths)?;
    let mut cluster = Vec::new();
    if args.in_cluster {
        let api = Api::connect(&args.connection)?;
        let found = objects::sealed_secrets(&api, args.namespace.as_deref())?;
        cluster.extend(found.into_iter().map(|sealed| SealedObject::of_cluster(sealed, api.server())));
    }
    let objects: Vec<_> = files.iter().flat_map(|(_, file)| &file.objects).chain(&cluster).collect();
    if objects.is_empty() {
        return Err(CommandError::input("there is no SealedSecret that the backup could open"));
    }
    let results = validate::open_all(&objects, &ring);
    validate::report(args.json, &objects, &results)
}
