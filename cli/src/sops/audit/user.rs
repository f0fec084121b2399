//! The user's name in a record: what Go's `os/user` gives a program without C.

use nix::unistd::getuid;

use crate::accounts;

/// Returns the name that `/etc/passwd` has for the real user id. Where it has none, as in a container with an arbitrary user,
/// `USER` names the user if `HOME` is set too; anyone can set these.
///
/// # Errors
/// Fails where nobody knows the name.
pub(super) fn name() -> Result<String, String> {
    if let Some(account) = accounts::by_id(getuid().as_raw()) {
        return Ok(account.name);
    }
    let variable = |name: &str| std::env::var(name).ok().filter(|text| !text.is_empty());
    variable("USER").filter(|_| variable("HOME").is_some()).ok_or_else(|| {
        format!(
            "nobody knows the name of the user {}: the audit needs it, so add it to /etc/passwd, or set USER and HOME",
            getuid()
        )
    })
}
