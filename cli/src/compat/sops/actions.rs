//! The commands, each from its flags to one call of `crate::sops`. Orders of checks are those of sops' main.go.

use std::cell::OnceCell;
use std::collections::BTreeMap;
use std::ffi::OsString;
use std::io::{self, IsTerminal};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use sealops_crypto::sops::{KeyKind, SelectorKind};
use sealops_formats::Plaintext;
use sealops_formats::tree::{self, Entry, Format, Layout, Map, Node, Scalar, Tree};

use super::completion;
use crate::compat::urfave::Parsed;
use crate::error::CommandError;
use crate::sops::consent::confirmed;
use crate::sops::decrypt::{self, Decryption};
use crate::sops::edit::{self, Edition};
use crate::sops::encrypt::{self, Choice, Encryption};
use crate::sops::exec::{self, Program, Start};
use crate::sops::groups::{self, GroupChange};
use crate::sops::keyring::Keyring;
use crate::sops::network_keys::NetworkKeys;
use crate::sops::open::{self, Source};
use crate::sops::output::Output;
use crate::sops::publish::{self, Publication};
use crate::sops::rotate::{self, Rotation};
use crate::sops::session::{KeyFlags, Session, Types, absolute, read_order};
use crate::sops::value::{self, Change};
use crate::sops::{Front, code, local_keys, policy, status, updatekeys};
use crate::ui;

/// Runs a command by its name.
pub(super) fn run(name: &str, global: &Parsed, local: &Parsed) -> Result<(), CommandError> {
    match name {
        "bash" => ui::data(completion::BASH.as_bytes()),
        "zsh" => ui::data(completion::ZSH.as_bytes()),
        "encrypt" => encrypt(global, local),
        "decrypt" => decrypt(global, local),
        "rotate" => rotate(global, local),
        "edit" => edit(global, local),
        "set" => set(global, local),
        "unset" => unset(global, local),
        "updatekeys" => update_keys(global, local),
        "add" => add_group(global, local),
        "delete" => delete_group(global, local),
        "filestatus" => file_status(global, local),
        "exec-env" => exec_env(global, local),
        "exec-file" => exec_file(global, local),
        "keyservice" => key_service(global, local),
        "publish" => publish(global, local),
        _ => Err(CommandError::input(format!(
            "sops {name} is not part of this version yet: it comes with the cloud providers"
        ))),
    }
}

/// Makes the session of a command; the key services and the order are the command's own flags.
pub(super) fn session(global: &Parsed, local: &Parsed) -> Result<Session, CommandError> {
    let indent =
        global.is_given("indent").then(|| i32::try_from(global.number("indent")).unwrap_or(i32::MIN));
    let session = Session {
        front: Front::Sops,
        config: global.non_empty("config").map(PathBuf::from),
        indent,
        order: Vec::new(),
        keyring: Arc::new(keyring(local)?),
        near: OnceCell::new(),
    };
    Ok(session)
}

fn keyring(local: &Parsed) -> Result<Keyring, CommandError> {
    let own = local.is_on("enable-local-keyservice");
    let network = NetworkKeys::new(own, local.list("keyservice").to_vec());
    Ok(Keyring::new(own.then(local_keys::local), network.with_policy(policy::of_environment()?)))
}

pub(super) fn types(local: &Parsed) -> Types {
    let format = |name| Format::named(local.text(name));
    Types { input: format("input-type"), output: format("output-type") }
}

fn no_file() -> CommandError {
    CommandError::code(code::NO_FILE, "Error: no file specified")
}

/// Warns of arguments that are passed over.
pub(super) fn warn_of_more(session: &Session, arguments: &[String]) {
    if arguments.len() < 2 {
        return;
    }
    session.warn("More than one positional argument provided. Only the first one will be used!");
    if let Some(flag) = arguments[1..].iter().rfind(|argument| argument.starts_with('-')) {
        session.warn(&format!(
            "Note that one of the ignored positional argument is {flag:?}, which looks like a flag. Flags must always be \
             provided before the first positional argument!"
        ));
    }
}

pub(super) fn conflicting_outputs(local: &Parsed) -> Result<(), CommandError> {
    if local.is_on("in-place") && local.non_empty("output").is_some() {
        let text = "Error: cannot operate on both --output and --in-place";
        return Err(CommandError::code(code::CONFLICT, text));
    }
    Ok(())
}

pub(super) fn missing(path: &Path) -> CommandError {
    let path = path.display().to_string();
    CommandError::code(code::NO_FILE, format!("Error: cannot operate on non-existent file {path:?}"))
}

/// Returns the name that rules and formats go by.
pub(super) fn name_of(local: &Parsed, path: &Path) -> PathBuf {
    local.non_empty("filename-override").map_or_else(|| path.to_owned(), |name| absolute(Path::new(name)))
}

pub(super) fn output(local: &Parsed, path: &Path) -> Output {
    match local.non_empty("output") {
        _ if local.is_on("in-place") => Output::InPlace(path.to_owned()),
        Some(path) => Output::File(path.into()),
        None => Output::Stdout,
    }
}

/// Returns what `encrypt` and `decrypt` read: a file that is there, or stdin.
fn source(session: &Session, local: &Parsed) -> Result<(Source, PathBuf), CommandError> {
    warn_of_more(session, &local.rest);
    conflicting_outputs(local)?;
    match local.rest.first() {
        None => Ok((Source::Stdin, PathBuf::new())),
        Some(name) => {
            let path = absolute(Path::new(name));
            if path.symlink_metadata().is_err() || !path.exists() {
                return Err(missing(&path));
            }
            Ok((Source::File(path.clone()), path))
        }
    }
}

pub(super) fn key_flags(local: &Parsed, prefix: &str) -> KeyFlags {
    let of_kind = |kind: KeyKind| {
        let name = format!("{prefix}{}", kind.spec().flag);
        (kind, vec![local.text(&name).to_owned()])
    };
    KeyFlags {
        keys: KeyKind::ALL.into_iter().map(of_kind).filter(|(_, texts)| !texts[0].is_empty()).collect(),
        aws_profile: local.text("aws-profile").to_owned(),
        encryption_context: local.text("encryption-context").to_owned(),
    }
}

pub(super) fn choice(global: &Parsed, local: &Parsed) -> Choice {
    let selectors = SelectorKind::ALL
        .into_iter()
        .map(|kind| (kind, local.text(&kind.field().replace('_', "-")).to_owned()));
    Choice {
        keys: key_flags(local, ""),
        selectors: selectors.collect(),
        mac_only_encrypted: global.is_on("mac-only-encrypted"),
        rule_context: BTreeMap::new(),
        threshold: local.number("shamir-secret-sharing-threshold"),
    }
}

fn encrypt(global: &Parsed, local: &Parsed) -> Result<(), CommandError> {
    let session = session(global, local)?;
    if local.rest.is_empty() {
        let conflict = |text| Err(CommandError::code(code::CONFLICT, text));
        if local.is_on("in-place") {
            return conflict("Error: cannot use --in-place when reading from stdin");
        }
        if local.non_empty("filename-override").is_none() {
            return conflict("Error: must specify --filename-override when reading from stdin");
        }
    }
    for kind in SelectorKind::ALL.into_iter().filter(|kind| kind.by_comment()) {
        let flag = kind.field().replace('_', "-");
        if global.non_empty(&flag).is_some() {
            session.warn(&format!("--{flag} counts with `sops -e` only, not with `sops encrypt`"));
        }
    }
    let (source, path) = source(&session, local)?;
    let encryption = Encryption {
        source,
        name: name_of(local, &path),
        types: types(local),
        choice: choice(global, local),
        output: output(local, &path),
    };
    encrypt::run(&session, &encryption)
}

fn decrypt(global: &Parsed, local: &Parsed) -> Result<(), CommandError> {
    let mut session = session(global, local)?;
    if local.rest.is_empty() && local.is_on("in-place") {
        return Err(CommandError::code(
            code::CONFLICT,
            "Error: cannot use --in-place when reading from stdin",
        ));
    }
    let (source, path) = source(&session, local)?;
    let name = name_of(local, &path);
    session.config_for(Some(&name))?;
    session.order = read_order(local.text("decryption-order"))?;
    let decryption = Decryption {
        source,
        name,
        types: types(local),
        extract: decrypt::read_extract(local.text("extract"))?,
        ignore_mac: local.is_on("ignore-mac"),
        output: output(local, &path),
    };
    decrypt::run(&session, &decryption)
}

fn rotate(global: &Parsed, local: &Parsed) -> Result<(), CommandError> {
    let mut session = session(global, local)?;
    let first = local.rest.first().ok_or_else(no_file)?;
    warn_of_more(&session, &local.rest);
    conflicting_outputs(local)?;
    let path = absolute(Path::new(first));
    if !path.exists() {
        refuse_keys_of_no_file(local, &path, "use the `edit` subcommand instead")?;
    }
    let name = name_of(local, &path);
    session.config_for(Some(&name))?;
    session.order = read_order(local.text("decryption-order"))?;
    rotate::run(&session, &rotation(local, path, name))
}

pub(super) fn rotation(local: &Parsed, path: PathBuf, name: PathBuf) -> Rotation {
    Rotation {
        output: output(local, &path),
        path,
        name,
        types: types(local),
        add: key_flags(local, "add-"),
        remove: key_flags(local, "rm-"),
        ignore_mac: local.is_on("ignore-mac"),
    }
}

pub(super) fn refuse_keys_of_no_file(local: &Parsed, path: &Path, instead: &str) -> Result<(), CommandError> {
    if key_flags(local, "add-").any() || key_flags(local, "rm-").any() {
        let path = path.display().to_string();
        let text = format!("Error: cannot add or remove keys on non-existent file {path:?}, {instead}.");
        return Err(CommandError::code(code::KEYS_OF_NO_FILE, text));
    }
    Ok(())
}

fn edit(global: &Parsed, local: &Parsed) -> Result<(), CommandError> {
    let mut session = session(global, local)?;
    let first = local.rest.first().ok_or_else(no_file)?;
    warn_of_more(&session, &local.rest);
    let path = absolute(Path::new(first));
    session.config_for(Some(&path))?;
    session.order = read_order(local.text("decryption-order"))?;
    edit::run(&session, &edition(global, local, path))
}

pub(super) fn edition(global: &Parsed, local: &Parsed, path: PathBuf) -> Edition {
    Edition {
        path,
        types: types(local),
        ignore_mac: local.is_on("ignore-mac"),
        show_master_keys: local.is_on("show-master-keys"),
        choice: choice(global, local),
    }
}

fn set(global: &Parsed, local: &Parsed) -> Result<(), CommandError> {
    let wrong = |text| Err(CommandError::code(code::NO_FILE, text));
    let (from_file, from_stdin) = (local.is_on("value-file"), local.is_on("value-stdin"));
    if from_file && from_stdin {
        return Err(CommandError::input("Error: cannot use both --value-file and --value-stdin"));
    }
    match (from_stdin, local.rest.len()) {
        (true, 2) | (false, 3) => {}
        (true, _) => {
            return wrong(
                "Error: file specified, or index and value are missing. Need precisely 2 positional arguments since \
                 --value-stdin is used.",
            );
        }
        (false, _) => {
            return wrong(
                "Error: no file specified, or index and value are missing. Need precisely 3 positional arguments.",
            );
        }
    }
    let (mut session, mut change) = change(global, local, "set")?;
    let text = match local.rest.get(2) {
        None => Source::Stdin.read()?,
        Some(path) if from_file => {
            Source::File(path.into()).read().map_err(|error| CommandError::input(error.error))?
        }
        Some(text) => Plaintext::from(text.as_str()),
    };
    let value = value::read_value(&text)?;
    session.order = read_order(local.text("decryption-order"))?;
    change.idempotent = local.is_on("idempotent");
    value::set(&session, &change, value).map(drop)
}

fn unset(global: &Parsed, local: &Parsed) -> Result<(), CommandError> {
    if local.rest.len() != 2 {
        return Err(CommandError::code(code::NO_FILE, "Error: no file specified, or index is missing"));
    }
    let (mut session, change) = change(global, local, "unset")?;
    session.order = read_order(local.text("decryption-order"))?;
    value::unset(&session, &change).map(drop)
}

fn change(global: &Parsed, local: &Parsed, verb: &str) -> Result<(Session, Change), CommandError> {
    let session = session(global, local)?;
    let path = absolute(Path::new(&local.rest[0]));
    session.config_for(Some(&path))?;
    let place = decrypt::read_path(&local.rest[1])
        .map_err(|_| CommandError::code(code::INDEX, format!("Invalid {verb} index format")))?;
    let change = Change {
        output: Output::InPlace(path.clone()),
        path,
        types: types(local),
        place,
        ignore_mac: local.is_on("ignore-mac"),
        idempotent: local.is_on("idempotent"),
    };
    Ok((session, change))
}

fn update_keys(global: &Parsed, local: &Parsed) -> Result<(), CommandError> {
    let mut session = session(global, local)?;
    session.order = read_order("")?;
    if session.config_for(None)?.is_none() {
        return Err(updatekeys::no_config());
    }
    if local.rest.is_empty() {
        return Err(no_file());
    }
    let mut failed = 0;
    for path in &local.rest {
        let result = update_one(&session, local, &absolute(Path::new(path)));
        match result {
            Err(error) if local.rest.len() == 1 => return Err(error),
            Err(error) => {
                ui::log_line("CMD", "error", &error.error);
                failed += 1;
            }
            Ok(()) => {}
        }
    }
    if failed > 0 { Err(CommandError::input(format!("failed updating {failed} key(s)"))) } else { Ok(()) }
}

fn update_one(session: &Session, local: &Parsed, path: &Path) -> Result<(), CommandError> {
    let say = |text: String| {
        let time = jiff::Timestamp::now().to_string();
        let (day, time) = time.split_once('T').unwrap_or_default();
        let time = time.split(['.', 'Z']).next().unwrap_or_default();
        ui::plain(&format!("{} {time} {text}", day.replace('-', "/")));
    };
    let name = path.display();
    let candidate = updatekeys::prepare(session, path, types(local).input, |_| {
        say(format!("Syncing keys for file {name}"));
    })?;
    if !candidate.update.changes() {
        say(format!("File {name} already up to date"));
        return Ok(());
    }
    ui::data(b"The following changes will be made to the file's groups:\n")?;
    let colour = io::stdout().is_terminal() && std::env::var_os("NO_COLOR").is_none();
    ui::data(updatekeys::describe(&candidate.update, colour).as_bytes())?;
    if !local.is_on("yes") && !confirmed("Is this okay? (y/n):")? {
        say(format!("File {name} left unchanged"));
        return Ok(());
    }
    if candidate.update.removes_keys() {
        session.warn("whoever held a removed key still knows the data key: `sops rotate -i` makes a new one");
    }
    candidate.apply(session)?;
    say(format!("File {name} synced with new keys"));
    Ok(())
}

fn group_change(global: &Parsed, local: &Parsed) -> Result<(Session, GroupChange), CommandError> {
    let mut session = session(global, local)?;
    session.order = read_order("")?;
    let path = PathBuf::from(local.text("file"));
    session.config_for(Some(&path))?;
    let threshold = usize::try_from(local.number("shamir-secret-sharing-threshold")).ok();
    let output = if local.is_on("in-place") { Output::InPlace(path.clone()) } else { Output::Stdout };
    let change = GroupChange { path, types: Types::default(), threshold, output };
    Ok((session, change))
}

fn add_group(global: &Parsed, local: &Parsed) -> Result<(), CommandError> {
    if !local.rest.is_empty() {
        return Err(CommandError::input("error: no positional arguments allowed"));
    }
    let (session, change) = group_change(global, local)?;
    let flags = KeyFlags {
        keys: KeyKind::ALL.into_iter().map(|kind| (kind, local.list(kind.spec().flag).to_vec())).collect(),
        aws_profile: local.text("aws-profile").to_owned(),
        encryption_context: local.text("encryption-context").to_owned(),
    };
    groups::add(&session, &change, flags.read(&groups::FLAG_ORDER)?)
}

fn delete_group(global: &Parsed, local: &Parsed) -> Result<(), CommandError> {
    let [index] = local.rest.as_slice() else {
        return Err(CommandError::input("error: exactly one positional argument (index) required"));
    };
    let index = index
        .parse()
        .map_err(|_| CommandError::input("failed to parse [index] argument: it is no number from 0 on"))?;
    let (session, change) = group_change(global, local)?;
    groups::delete(&session, &change, index)
}

fn file_status(global: &Parsed, local: &Parsed) -> Result<(), CommandError> {
    let first = local.rest.first().ok_or_else(no_file)?;
    let session = session(global, local)?;
    session.config_for(Some(Path::new(first)))?;
    let (format, _) = types(local).of(Path::new(first));
    let encrypted = status::is_encrypted(Path::new(first), format)?;
    ui::data(format!("{{\"encrypted\":{encrypted}}}\n").as_bytes())
}

/// What both `exec` commands begin with.
fn execution(global: &Parsed, local: &Parsed) -> Result<(Session, PathBuf, Start), CommandError> {
    let [file, command] = local.rest.as_slice() else {
        return Err(CommandError::input("error: missing file to decrypt"));
    };
    let mut session = session(global, local)?;
    session.config_for(Some(Path::new(file)))?;
    session.order = read_order(local.text("decryption-order"))?;
    let start = Start {
        program: Program::Line(OsString::from(command)),
        user: local.non_empty("user").map(str::to_owned),
        background: local.is_on("background"),
    };
    Ok((session, PathBuf::from(file), start))
}

fn exec_env(global: &Parsed, local: &Parsed) -> Result<(), CommandError> {
    let (session, path, start) = execution(global, local)?;
    let same_process = local.is_on("same-process");
    if start.background {
        session.warn(
            "exec-env's --background option is deprecated and will be removed in a future version of sops",
        );
        if same_process {
            let text = "Error: The --same-process flag cannot be used with --background";
            return Err(CommandError::code(code::CONFLICT, text));
        }
    }
    let file = open::load(&Source::File(path.clone()), Format::of_path(&path.to_string_lossy()))?;
    let tree = open::open(&session, file, false)?.into_tree();
    let variables = variables(tree)?;
    exec::with_environment(&start, local.is_on("pristine"), same_process, &variables)
}

/// Makes variables of a flat document.
pub(crate) fn variables(tree: Tree) -> Result<Vec<(String, Plaintext)>, CommandError> {
    let document = tree.documents.into_iter().next().unwrap_or_default();
    let mut variables = Vec::new();
    for entry in document.entries {
        let Entry::Pair { key, value } = entry else { continue };
        let name = key.as_bytes().map(String::from_utf8_lossy);
        let shown = name.as_deref().unwrap_or_default().to_owned();
        let Some(name) = name else {
            let text = format!("cannot use non-string keys in environment, got {}", key.go_type());
            return Err(CommandError::input(text));
        };
        let value = match value {
            Node::Map(_) | Node::Seq(_) => {
                return Err(CommandError::input(format!(
                    "cannot use complex value in environment; offending key {shown}"
                )));
            }
            _ if shown.contains('=') => {
                return Err(CommandError::input(format!("cannot use keys with '=' in environment: {shown}")));
            }
            Node::Scalar(Scalar::Str(text)) => text,
            other => in_dotenv(other)?,
        };
        variables.push((name.into_owned(), value));
    }
    Ok(variables)
}

/// Numbers, booleans, times and null are written as in a dotenv file.
fn in_dotenv(value: Node) -> Result<Plaintext, CommandError> {
    let mut map = Map::default();
    map.push("v", value);
    let tree = Tree { documents: vec![map] };
    let line = tree::emit(Format::Dotenv, &tree, &Layout::default()).map_err(CommandError::input)?;
    let text = line.expose();
    let text = text.strip_prefix(b"v=").unwrap_or(text);
    Ok(Plaintext::from(text.strip_suffix(b"\n").unwrap_or(text)))
}

fn exec_file(global: &Parsed, local: &Parsed) -> Result<(), CommandError> {
    let (session, path, start) = execution(global, local)?;
    let decryption = Decryption {
        source: Source::File(path.clone()),
        name: path,
        types: types(local),
        extract: None,
        ignore_mac: false,
        output: Output::Stdout,
    };
    let text = Arc::new(decrypt::plaintext(&session, &decryption)?);
    if start.background {
        session.warn(
            "exec-file's --background option is deprecated and will be removed in a future version of sops",
        );
    }
    exec::with_file(&start, !local.is_on("no-fifo"), local.non_empty("filename"), &text)
}

#[cfg(feature = "clouds")]
fn key_service(global: &Parsed, local: &Parsed) -> Result<(), CommandError> {
    use crate::sops::key_server::{self, Serving};

    key_server::run(&Serving {
        front: Front::Sops,
        network: local.text("network").to_owned(),
        address: local.text("address").to_owned(),
        prompt: local.is_on("prompt"),
        verbose: local.is_on("verbose") || global.is_on("verbose"),
    })
}

#[cfg(not(feature = "clouds"))]
fn key_service(_: &Parsed, _: &Parsed) -> Result<(), CommandError> {
    Err(CommandError::input("this build of sops asks no network and serves none"))
}

fn publish(global: &Parsed, local: &Parsed) -> Result<(), CommandError> {
    let mut session = session(global, local)?;
    if session.config_for(None)?.is_none() {
        return Err(updatekeys::no_config());
    }
    let first = local.rest.first().ok_or_else(no_file)?;
    warn_of_more(&session, &local.rest);
    session.order = read_order(local.text("decryption-order"))?;
    let publication = Publication {
        path: PathBuf::from(first),
        yes: local.is_on("yes"),
        omit_extensions: local.is_on("omit-extensions"),
        recursive: local.is_on("recursive"),
        verbose: local.is_on("verbose") || global.is_on("verbose"),
    };
    publish::run(&session, &publication)
}
