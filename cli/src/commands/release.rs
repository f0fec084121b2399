//! `sealops release`: takes away what upstream's controller would not keep up to date, for going back.
//!
//! ```text
//!   SealedSecret   conditions other than Synced, annotations sealops.io/…        patched, under its resourceVersion
//!   Secrets        annotations sealops.io/… of those that a SealedSecret made     patched, their data is never asked for
//!   ConfigMaps     state of the controller (label sealops.io/state)               deleted
//!   Lease          of the controller, once it has run out                         deleted
//! ```

use jiff::Timestamp;
use sealops_controller::HINT_ANNOTATION;
use sealops_crds::SealedSecret;
use sealops_crds::sealed_secret::SYNCED;
use serde_json::{Map, Value as Json, json};

use crate::connection::ConnectionFlags;
use crate::connection::api::{Api, JSON, Method, Request};
use crate::connection::objects::{METADATA_LIST, list, sealed_secrets_path};
use crate::error::CommandError;
use crate::ui;

/// Take away from a cluster what upstream's controller would leave behind stale, before going back to it
///
/// The controller of sealops has to be stopped first. Secrets, sealing keys and SealedSecrets stay.
#[derive(clap::Args)]
#[command(after_help = EXAMPLES)]
pub(super) struct Args {
    /// Change nothing; say what would change
    #[arg(long)]
    dry_run: bool,
    /// Go on although the controller still runs
    #[arg(long)]
    force: bool,
    /// Print every change as JSON
    #[arg(long)]
    json: bool,
    /// Namespace of the SealedSecrets; all without it
    #[arg(short, long, value_name = "NAME")]
    namespace: Option<String>,
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

const EXAMPLES: &str = "Examples:
  sealops release --dry-run
  sealops release --controller-namespace sealops-system";

/// Content type of a merge patch (RFC 7396).
const MERGE: &str = "application/merge-patch+json";
const LEASE: &str = "sealops-controller";
const STATE_LABEL: &str = "sealops.io/state";

/// One change: what is said about it, and the request that makes it.
struct Change {
    object: String,
    what: String,
    method: Method,
    path: String,
    body: Json,
}

pub(super) fn run(args: &Args) -> Result<(), CommandError> {
    let api = Api::connect(&args.connection)?;
    let mut changes = Vec::new();
    let lease = lease(args, &api)?;
    sealed_secrets(args, &api, &mut changes)?;
    secrets(args, &api, &mut changes)?;
    state(args, &api, &mut changes)?;
    changes.extend(lease);
    if !args.dry_run {
        for change in &changes {
            make(&api, change)?;
        }
    }
    report(args, &changes)
}

/// Fails while the controller runs: it would write everything again.
fn lease(args: &Args, api: &Api) -> Result<Option<Change>, CommandError> {
    let path =
        format!("/apis/coordination.k8s.io/v1/namespaces/{}/leases/{LEASE}", args.controller_namespace);
    let request = Request::get(&path);
    let answer = api.send(&request)?;
    if answer.status == 404 {
        return Ok(None);
    }
    if !answer.is_success() {
        return Err(CommandError::connection(answer.refusal("")).within(&request));
    }
    let lease: Json = serde_json::from_slice(answer.body.expose()).unwrap_or_default();
    let spec = &lease["spec"];
    let renewed = spec["renewTime"].as_str().and_then(|time| time.parse::<Timestamp>().ok());
    let length = spec["leaseDurationSeconds"].as_i64().unwrap_or(0);
    let held = spec["holderIdentity"].as_str().is_some_and(|holder| !holder.is_empty());
    let runs = held && renewed.is_some_and(|time| time.as_second() + length > Timestamp::now().as_second());
    match (runs, args.force) {
        (true, false) => Err(CommandError::input(format!(
            "the controller still runs: it renewed Lease {}/{LEASE} a moment ago",
            args.controller_namespace
        ))
        .hint("stop it first: kubectl scale deployment … --replicas=0")
        .hint("--force goes on; a running controller writes its conditions again")),
        (true, true) => Ok(None),
        (false, _) => Ok(Some(Change {
            object: format!("Lease {}/{LEASE}", args.controller_namespace),
            what: "delete".to_owned(),
            method: Method::Delete,
            path,
            body: precondition(&lease),
        })),
    }
}

fn sealed_secrets(args: &Args, api: &Api, changes: &mut Vec<Change>) -> Result<(), CommandError> {
    for object in list(api, &sealed_secrets_path(args.namespace.as_deref()), "", JSON)? {
        let (namespace, name) = key(&object);
        let path = format!("{}/{name}", sealed_secrets_path(Some(namespace)));
        let shown = format!("{} {namespace}/{name}", SealedSecret::KIND);
        let version = &object["metadata"]["resourceVersion"];
        if let Some(conditions) = object["status"]["conditions"].as_array() {
            let is_upstreams = |condition: &&Json| condition["type"] == SYNCED;
            let kept: Vec<&Json> = conditions.iter().filter(is_upstreams).collect();
            let types = conditions.iter().filter(|condition| !is_upstreams(condition));
            let gone: Vec<&str> = types.filter_map(|condition| condition["type"].as_str()).collect();
            if kept.len() < conditions.len() {
                changes.push(Change {
                    object: shown.clone(),
                    what: format!("remove the conditions {}", gone.join(", ")),
                    method: Method::Patch,
                    path: format!("{path}/status"),
                    body: json!({ "metadata": { "resourceVersion": version }, "status": { "conditions": kept } }),
                });
            }
        }
        changes.extend(own_annotations(&object, shown, path));
    }
    Ok(())
}

/// Secrets that a SealedSecret controls. Only their metadata is read.
fn secrets(args: &Args, api: &Api, changes: &mut Vec<Change>) -> Result<(), CommandError> {
    let scope = args.namespace.as_ref().map_or(String::new(), |namespace| format!("namespaces/{namespace}/"));
    for object in list(api, &format!("/api/v1/{scope}secrets"), "", METADATA_LIST)? {
        let owners = object["metadata"]["ownerReferences"].as_array();
        if owners.is_some_and(|owners| owners.iter().any(|owner| owner["kind"] == SealedSecret::KIND)) {
            let (namespace, name) = key(&object);
            let path = format!("/api/v1/namespaces/{namespace}/secrets/{name}");
            let shown = format!("Secret {namespace}/{name}");
            changes.extend(own_annotations(&object, shown, path));
        }
    }
    Ok(())
}

fn state(args: &Args, api: &Api, changes: &mut Vec<Change>) -> Result<(), CommandError> {
    let path = format!("/api/v1/namespaces/{}/configmaps", args.controller_namespace);
    let query = format!("labelSelector={}", STATE_LABEL.replace('/', "%2F"));
    for object in list(api, &path, &query, METADATA_LIST)? {
        let (namespace, name) = key(&object);
        changes.push(Change {
            object: format!("ConfigMap {namespace}/{name}"),
            what: "delete".to_owned(),
            method: Method::Delete,
            path: format!("{path}/{name}"),
            body: precondition(&object),
        });
    }
    Ok(())
}

/// Returns the patch that removes our annotations, if there are any.
fn own_annotations(object: &Json, shown: String, path: String) -> Option<Change> {
    let prefix = HINT_ANNOTATION.split('/').next().unwrap_or_default();
    let annotations = object["metadata"]["annotations"].as_object()?;
    let own = annotations.keys().filter(|name| name.split('/').next() == Some(prefix));
    let own: Vec<&str> = own.map(String::as_str).collect();
    if own.is_empty() {
        return None;
    }
    let removed: Map<String, Json> = own.iter().map(|name| ((*name).to_owned(), Json::Null)).collect();
    Some(Change {
        object: shown,
        what: format!("remove the annotations {}", own.join(", ")),
        method: Method::Patch,
        path,
        body: json!({ "metadata": { "annotations": removed } }),
    })
}

fn key(object: &Json) -> (&str, &str) {
    let part = |name: &str| object["metadata"][name].as_str().unwrap_or_default();
    (part("namespace"), part("name"))
}

fn precondition(object: &Json) -> Json {
    json!({ "kind": "DeleteOptions", "apiVersion": "v1", "preconditions": { "uid": object["metadata"]["uid"] } })
}

/// Makes a change. What has gone meanwhile is as good.
fn make(api: &Api, change: &Change) -> Result<(), CommandError> {
    let body = change.body.to_string();
    let media = if change.method == Method::Patch { MERGE } else { JSON };
    let request = Request { method: change.method, path: &change.path, media, body: body.as_bytes() };
    let answer = api.send(&request)?;
    if answer.is_success() || answer.status == 404 {
        return Ok(());
    }
    let text = match answer.status {
        // The text of a refused patch may quote the object.
        422 => "the API server refused the change".to_owned(),
        _ => answer.refusal(""),
    };
    Err(CommandError::connection(text)
        .within(&change.object)
        .hint("run the command again: what was changed already is not changed twice"))
}

fn report(args: &Args, changes: &[Change]) -> Result<(), CommandError> {
    if args.json {
        let rows: Vec<_> =
            changes.iter().map(|change| json!({ "object": change.object, "change": change.what })).collect();
        let text = json!({ "dryRun": args.dry_run, "changes": rows });
        return ui::data(format!("{text:#}\n").as_bytes());
    }
    for change in changes {
        ui::note(&format!("{}: {}", change.object, change.what));
    }
    let (count, verb) = (changes.len(), if args.dry_run { "would be made" } else { "made" });
    ui::note(&format!("{count} {} {verb}", if count == 1 { "change" } else { "changes" }));
    Ok(())
}
