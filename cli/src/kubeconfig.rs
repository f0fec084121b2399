//! The namespace that a kubeconfig chooses, by kubectl's rules and without a Kubernetes client.

use std::env;
use std::path::{Path, PathBuf};

use sealops_formats::manifest::{self, Node, Value};

use crate::error::CommandError;
use crate::files;

/// Largest kubeconfig that is read.
const MAX_BYTES: usize = 4 << 20;
/// Where a pod finds its namespace.
const POD_NAMESPACE: &str = "/var/run/secrets/kubernetes.io/serviceaccount/namespace";

/// Returns the existing kubeconfig files, in order: the flag's, else those of `KUBECONFIG`, else `~/.kube/config`.
pub(crate) fn paths(flag: Option<&Path>) -> Result<Vec<PathBuf>, CommandError> {
    if let Some(path) = flag {
        return match path.exists() {
            true => Ok(vec![path.to_owned()]),
            false => Err(CommandError::input(format!("stat {}: no such file or directory", path.display()))),
        };
    }
    let listed = env::var_os("KUBECONFIG").filter(|list| !list.is_empty());
    let candidates: Vec<PathBuf> = match listed {
        Some(list) => env::split_paths(&list).collect(),
        // Not the home that the system knows for this user: client-go reads the variable alone.
        None => {
            let home = env::var_os("HOME").filter(|home| !home.is_empty());
            home.map(|home| Path::new(&home).join(".kube").join("config")).into_iter().collect()
        }
    };
    Ok(candidates.into_iter().filter(|path| !path.as_os_str().is_empty() && path.exists()).collect())
}

/// Parses a kubeconfig. Errors hold positions only: these files hold tokens and keys.
pub(crate) fn read(path: &Path) -> Result<Node, CommandError> {
    let text = files::read(path, MAX_BYTES)?;
    let place = format!("kubeconfig {}", path.display());
    let mut documents =
        manifest::parse(text.expose()).map_err(|error| CommandError::input(error).within(&place))?;
    let root = documents.pop().map(|document| document.root).unwrap_or_default();
    let kind_fits = root.str_at(&["kind"]).is_none_or(|kind| kind == "Config");
    match root.value {
        Value::Map(_) | Value::Null if kind_fits => Ok(root),
        _ => Err(CommandError::input("this is not a kubeconfig (kind: Config)").within(&place)),
    }
}

/// Returns the namespace of the context, `default` where the context names none, the pod's own without a kubeconfig in
/// a pod, and `None` without any of them.
pub(crate) fn namespace(
    flag: Option<&Path>,
    context: Option<&str>,
    server: Option<&str>,
) -> Result<Option<String>, CommandError> {
    let configs = paths(flag)?.iter().map(|path| read(path)).collect::<Result<Vec<_>, _>>()?;
    let current =
        configs.iter().find_map(|config| config.str_at(&["current-context"]).filter(|name| !name.is_empty()));
    let Some(name) = context.or(current) else {
        let alone = configs.iter().all(|config| config.child("clusters").is_none()) && server.is_none();
        return Ok(if alone { pod_namespace() } else { Some("default".to_owned()) });
    };
    let found = configs.iter().find_map(|config| named(config, "contexts", name));
    let Some(found) = found else {
        return Err(CommandError::input(format!("context was not found for specified context: {name}"))
            .hint("kubectl config get-contexts lists them"));
    };
    let namespace = found.str_at(&["context", "namespace"]).filter(|namespace| !namespace.is_empty());
    Ok(Some(namespace.unwrap_or("default").to_owned()))
}

fn named<'a>(config: &'a Node, list: &str, name: &str) -> Option<&'a Node> {
    let Value::List(items) = &config.child(list)?.value else { return None };
    items.iter().find(|item| item.str_at(&["name"]) == Some(name))
}

fn pod_namespace() -> Option<String> {
    env::var_os("KUBERNETES_SERVICE_HOST")?;
    let text = files::read(Path::new(POD_NAMESPACE), 1 << 10).ok()?;
    text.expose_str().map(|name| name.trim().to_owned()).filter(|name| !name.is_empty())
}
