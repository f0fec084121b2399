//! Programs that see other files than the rest of the machine.
use std::path::Path;
use std::process::Command;

/// Mounts pairs of arguments until `--`, then becomes the command.
const SCRIPT: &str =
    r#"while [ "$1" != -- ]; do mount --bind "$1" "$2" || exit 125; shift 2; done; shift; exec "$@""#;

/// Returns a command that runs a program in a mount namespace of its own, in which each source (a file or a folder) lies
/// over its target. Add the program's arguments to it. It works as root, also as root of `testenv/in-namespace.sh`.
pub fn with_mounts(program: &Path, mounts: &[(&Path, &Path)]) -> Command {
    let mut command = Command::new("/usr/bin/unshare");
    command.args(["-m", "/bin/sh", "-c", SCRIPT, "sh"]);
    for (source, target) in mounts {
        command.arg(source).arg(target);
    }
    command.arg("--").arg(program);
    command
}

/// Lays a folder over /etc, becomes the command.
const OVER_ETC: &str = r#"mount -t overlay overlay -o "lowerdir=$1:/etc" /etc || exit 125; shift; exec "$@""#;

/// As [`with_mounts`], with what a folder holds in /etc too, before what the machine has there. Nothing can be written to
/// /etc then. The folder's path has neither a colon nor a comma.
pub fn with_etc(program: &Path, folder: &Path) -> Command {
    let mut command = Command::new("/usr/bin/unshare");
    command.args(["-m", "/bin/sh", "-c", OVER_ETC, "sh"]).arg(folder).arg(program);
    command
}
