//! `sealops validate`: do SealedSecrets open, in whole folders, asked from the controller or from private keys.

use std::path::PathBuf;

use sealops_controller::sealed::OpenOptions;
use sealops_controller::templates::TemplateOptions;
use sealops_crypto::sealing::SealingKeyRing;
use serde_json::json;

use crate::certificates::CertificateFlags;
use crate::connection::{ConnectionFlags, Controller};
use crate::error::CommandError;
use crate::sealed_file::{SealedFile, SealedObject, manifests};
use crate::{input, keys, ui, unsealing};

/// Check that SealedSecrets open, without showing what is in them
///
/// The controller is asked, or the private keys of --key. Every object is checked; one that does not open fails the run.
#[derive(clap::Args)]
#[command(after_help = EXAMPLES)]
pub(super) struct Args {
    /// Files and folders with manifests; stdin without them
    #[arg(value_name = "FILE|DIR")]
    paths: Vec<PathBuf>,
    /// Private key to check with, instead of asking the controller: PEM, Secrets, Lists, or a folder; may be repeated
    #[arg(long, value_name = "FILE|DIR")]
    key: Vec<PathBuf>,
    /// Print every object with its result as JSON
    #[arg(long)]
    json: bool,
    /// Namespace of the controller
    #[arg(
        long,
        value_name = "NAME",
        default_value = "kube-system",
        env = "SEALED_SECRETS_CONTROLLER_NAMESPACE"
    )]
    controller_namespace: String,
    /// Name of the controller's Service
    #[arg(
        long,
        value_name = "NAME",
        default_value = "sealed-secrets-controller",
        env = "SEALED_SECRETS_CONTROLLER_NAME"
    )]
    controller_name: String,
    #[command(flatten)]
    connection: ConnectionFlags,
}

const EXAMPLES: &str = "Examples:
  sealops validate manifests/
  sealops validate manifests/ --key keys.yaml --json";

pub(super) fn run(args: &Args) -> Result<(), CommandError> {
    let files = match args.paths.as_slice() {
        [] => vec![(PathBuf::new(), SealedFile::read(input::read(None, "SealedSecrets")?)?)],
        paths => manifests(paths)?,
    };
    let objects: Vec<_> = files.iter().flat_map(|(_, file)| &file.objects).collect();
    if objects.is_empty() {
        return Err(CommandError::input("there is no SealedSecret in these files"));
    }
    let results = match args.key.as_slice() {
        [] => {
            let flags = CertificateFlags {
                cert: None,
                controller_namespace: args.controller_namespace.clone(),
                controller_name: args.controller_name.clone(),
            };
            let controller =
                Controller::find(&args.connection, &flags.controller_namespace, &flags.controller_name)?;
            objects.iter().map(|object| ask(&controller, object)).collect::<Result<Vec<_>, _>>()?
        }
        paths => open_all(&objects, &keys::read(paths)?),
    };
    report(args.json, &objects, &results)
}

/// Whether it opens is asked, not whether a controller would make it.
const OPENS: OpenOptions = OpenOptions {
    accept_v1_data: true,
    templates: TemplateOptions { allow_random_functions: true },
    allow_token_secrets: true,
};

/// Opens every object; `None` is a success.
pub(super) fn open_all(objects: &[&SealedObject], ring: &SealingKeyRing) -> Vec<Option<CommandError>> {
    crate::resealing::on_every_core(objects, |object| {
        object
            .check_names()
            .and_then(|()| unsealing::unseal(object.sealed.clone(), ring, OPENS).map(drop))
            .err()
    })
}

/// Returns why the controller cannot open an object; an answer of another kind is an error of the run.
fn ask(controller: &Controller, object: &SealedObject) -> Result<Option<CommandError>, CommandError> {
    let body = serde_json::to_vec(&object.sealed).map_err(CommandError::input)?;
    let answer = controller.verify(&body)?;
    match answer.status {
        200..300 => Ok(None),
        409 => Ok(Some(CommandError::input("no key of the controller opens it"))),
        _ => {
            let text = format!("cannot validate sealed secret: {}", controller.refusal(&answer));
            Err(CommandError::connection(text).within(&object.place))
        }
    }
}

/// Prints the results, and fails where one is bad.
pub(super) fn report(
    as_json: bool,
    objects: &[&SealedObject],
    results: &[Option<CommandError>],
) -> Result<(), CommandError> {
    let pairs = || objects.iter().zip(results);
    if as_json {
        let rows: Vec<_> = pairs()
            .map(|(object, problem)| {
                json!({
                    "place": object.place, "namespace": object.namespace(), "name": object.name(),
                    "scope": object.scope().name(), "values": object.sealed.spec.encrypted_data.len(),
                    "opens": problem.is_none(), "problem": problem.as_ref().map(|error| &error.error),
                    "hint": problem.as_ref().and_then(|error| error.hints.first()),
                })
            })
            .collect();
        let failed = results.iter().flatten().count();
        let text = json!({ "objects": rows, "opened": results.len() - failed, "failed": failed });
        ui::data(format!("{text:#}\n").as_bytes())?;
    }
    let problems: Vec<CommandError> = pairs()
        .filter_map(|(object, problem)| {
            let error = problem.as_ref()?.clone();
            Some(error.within(format!("{} ({})", object.place, object.key())))
        })
        .collect();
    if problems.is_empty() {
        if !as_json {
            ui::note(&format!("all {} objects open", results.len()));
        }
        return Ok(());
    }
    Err(CommandError::all("cannot be opened", problems))
}
