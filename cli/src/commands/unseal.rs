//! `sealops unseal`: a SealedSecret and its key in, the Secret out; offline.

use std::path::PathBuf;

use sealops_controller::sealed::OpenOptions;
use sealops_controller::templates::TemplateOptions;
use sealops_formats::manifest;

use crate::error::CommandError;
use crate::files::{self, Access, NewFile};
use crate::sealing::Format;
use crate::{input, keys, ui, unsealing};

/// Open SealedSecrets with a private key, without a cluster
#[derive(clap::Args)]
#[command(after_help = EXAMPLES)]
pub(super) struct Args {
    /// Private key: PEM, or Secrets and Lists of them; may be repeated
    #[arg(long, value_name = "FILE", required = true)]
    key: Vec<PathBuf>,
    /// SealedSecret manifest, one or more documents; stdin without it
    #[arg(short = 'f', long, value_name = "FILE")]
    file: Option<PathBuf>,
    /// Write here (mode 0600) instead of to stdout
    #[arg(short, long, value_name = "FILE")]
    output: Option<PathBuf>,
    /// Output format
    #[arg(long, value_enum, default_value = "yaml", ignore_case = true)]
    format: Format,
    /// Namespace of objects that name none
    #[arg(short, long, value_name = "NAME")]
    namespace: Option<String>,
    /// Let templates use the clock and random numbers; what they make is another at each run
    #[arg(long)]
    allow_random_functions: bool,
    /// Write into a git work tree although the file is not ignored
    #[arg(long)]
    force: bool,
}

const EXAMPLES: &str = "Examples:
  kubectl get secret -n kube-system -l sealedsecrets.bitnami.com/sealed-secrets-key -o yaml > keys.yaml
  sealops unseal --key keys.yaml -f sealed.yaml
  sealops unseal --key tls.key -f sealed.yaml -o secret.yaml";

pub(super) fn run(args: &Args) -> Result<(), CommandError> {
    if let Some(path) = args.output.as_deref().filter(|_| !args.force) {
        files::refuse_tracked(path)?;
    }
    let ring = keys::read(&args.key)?;
    let input = input::read(args.file.as_deref(), "json/yaml k8s resource")?;
    let documents = manifest::parse(input.text.expose())
        .map_err(|error| CommandError::input(error).within(&input.name))?;
    if documents.is_empty() {
        return Err(CommandError::input("there is no SealedSecret").within(&input.name));
    }
    let templates = TemplateOptions { allow_random_functions: args.allow_random_functions };
    // Reading a backup is not making a Secret in a cluster.
    let options = OpenOptions { templates, allow_token_secrets: true, ..OpenOptions::default() };
    let mut secrets = Vec::new();
    for (index, document) in documents.iter().enumerate() {
        let place = |error: CommandError| error.within(format!("{}: document {}", input.name, index + 1));
        let sealed = unsealing::read_sealed(&document.root, args.namespace.as_deref()).map_err(place)?;
        let secret = unsealing::unseal(sealed, &ring, options).map_err(place)?;
        secrets.push(unsealing::secret_node(&secret));
    }
    let text = args.format.text(&secrets);
    match &args.output {
        Some(path) => {
            files::write(&[NewFile { path: path.clone(), content: text.expose(), access: Access::Private }])
        }
        None => ui::data(text.expose()),
    }
}
