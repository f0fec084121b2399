//! `sealops render`: a folder of manifests in, the Secrets that a cluster would hold out.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use sealops_controller::directory::{self, Directory, RenderOptions, Rendered};
use sealops_controller::object::SecretObject;
use sealops_controller::sealed::OpenOptions;
use sealops_controller::templates::TemplateOptions;
use sealops_providers::Reach;

use crate::error::CommandError;
use crate::files::{self, Access, NewFile};
use crate::sealing::Format;
use crate::stores::{self, StoreFlags};
use crate::{keys, ui, unsealing};

/// Render the Secrets of a folder of manifests, without a cluster
///
/// The reconcilers are those of the controller: SealedSecrets are opened with --key, ExternalSecrets are read from
/// their stores. One object that cannot be rendered fails the whole run, and nothing is written.
///
/// Stores on a network are asked only where --allow-server or --allow-network says so; without, each object says which
/// server it would ask. They log in with Secrets of the folder, those of its SealedSecrets included. Nothing is ever
/// written to a store: PushSecrets are left out, and generators run only with --allow-generators. An ExternalSecret that
/// merges into a Secret which is not in the folder is left out too; one that merges into a Secret of the folder gives the
/// merged Secret. What is left out is said on stderr.
#[derive(clap::Args)]
#[command(after_help = EXAMPLES)]
pub(super) struct Args {
    /// Folder (or file) with the manifests
    #[arg(value_name = "DIR")]
    folder: PathBuf,
    /// Private key: PEM, or Secrets and Lists of them; may be repeated
    #[arg(long, value_name = "FILE")]
    key: Vec<PathBuf>,
    /// Write one file per Secret into this folder (NAMESPACE.NAME.yaml, mode 0600) instead of to stdout
    #[arg(short, long, value_name = "DIR")]
    output: Option<PathBuf>,
    /// Namespace of objects that name none
    #[arg(short, long, value_name = "NAME")]
    namespace: Option<String>,
    /// Output format
    #[arg(long, value_enum, default_value = "yaml", ignore_case = true)]
    format: Format,
    /// Accept a folder without any Secret to render
    #[arg(long)]
    allow_empty: bool,
    /// Let templates use the clock and random numbers; what they make is another at each run
    #[arg(long)]
    allow_random_functions: bool,
    /// Write into a git work tree although the folder is not ignored
    #[arg(long)]
    force: bool,
    #[command(flatten)]
    stores: StoreFlags,
}

const EXAMPLES: &str = "Examples:
  sealops render manifests/ --key tls.key
  sealops render manifests/ --key keys.yaml -o \"$(mktemp -d)\"
  sealops render manifests/ --key tls.key | kubectl apply -f -
  sealops render manifests/ --key tls.key --allow-server https://vault.example.com:8200
  sealops render manifests/ --allow-server 'https://secretsmanager.*.amazonaws.com' --own-identity";

pub(super) fn run(args: &Args) -> Result<(), CommandError> {
    if let Some(folder) = args.output.as_deref().filter(|_| !args.force) {
        files::refuse_tracked(&folder.join("x"))?;
    }
    let ring = keys::read(&args.key)?;
    let folder = Arc::new(Directory::load(&args.folder).map_err(CommandError::input)?);
    let environment = args.stores.environment()?;
    let reach = Arc::clone(&environment.reach);
    let options = RenderOptions {
        environment,
        generators: args.stores.allow_generators,
        now: jiff::Timestamp::now().as_second(),
        deadline: args.stores.deadline(),
        default_namespace: args.namespace.clone(),
        open: OpenOptions {
            templates: TemplateOptions { allow_random_functions: args.allow_random_functions },
            ..OpenOptions::default()
        },
    };
    let rendered = stores::wait(directory::render(&folder, &ring, &options))?;
    for left_out in &rendered.left_out {
        ui::note(&format!("left out: {}: {}: {}", left_out.source, left_out.object, left_out.message));
    }
    judge(args, &rendered, &reach)?;
    let secrets = rendered.secrets.iter().map(|rendered| &rendered.secret);
    match &args.output {
        Some(folder) => write(folder, secrets, args.format),
        None => {
            let nodes: Vec<_> = secrets.map(unsealing::secret_node).collect();
            ui::data(args.format.text(&nodes).expose())
        }
    }
}

/// Lists every problem in one error.
fn judge(args: &Args, rendered: &Rendered, reach: &Reach) -> Result<(), CommandError> {
    if rendered.problems.is_empty() {
        return if rendered.secrets.is_empty() && !args.allow_empty {
            Err(CommandError::input("there is no Secret to render")
                .within(args.folder.display())
                .hint("--allow-empty accepts that"))
        } else {
            Ok(())
        };
    }
    let mut text = match rendered.problems.len() {
        1 => "1 object cannot be rendered".to_owned(),
        count => format!("{count} objects cannot be rendered"),
    };
    for problem in &rendered.problems {
        text.push_str(&format!("\n  {}: {}: {}", problem.source, problem.object, problem.message));
    }
    let is_unavailable = rendered.problems.iter().any(|problem| problem.is_unavailable);
    let mut error = if is_unavailable { CommandError::connection(text) } else { CommandError::input(text) };
    error.hints = stores::hints(reach);
    Err(if args.key.is_empty() && error.hints.is_empty() {
        error.hint("--key FILE gives the private keys of SealedSecrets")
    } else {
        error
    })
}

fn write<'a>(
    folder: &Path,
    secrets: impl Iterator<Item = &'a SecretObject>,
    format: Format,
) -> Result<(), CommandError> {
    files::create_folder(folder)?;
    let extension = if format == Format::Json { "json" } else { "yaml" };
    let mut texts = Vec::new();
    for secret in secrets {
        let part = |part: &Option<String>| part.clone().unwrap_or_default();
        let (namespace, name) = (part(&secret.metadata.namespace), part(&secret.metadata.name));
        // Names come from manifests that somebody else wrote.
        if [&namespace, &name].iter().any(|part| part.contains(['/', '\\', '\0']) || part.starts_with('.')) {
            return Err(
                CommandError::input("the name cannot be a file name").within(format!("{namespace}/{name}"))
            );
        }
        texts.push((
            format!("{namespace}.{name}.{extension}"),
            format.text(&[unsealing::secret_node(secret)]),
        ));
    }
    let files: Vec<_> = texts
        .iter()
        .map(|(name, text)| NewFile {
            path: folder.join(name),
            content: text.expose(),
            access: Access::Private,
        })
        .collect();
    files::write(&files)
}
