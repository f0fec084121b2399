//! Key services, both ways: our client with the real server, the real client with ours, over TCP and a unix socket.
//!
//! The client's world has no key of its own, so whatever it opens the service has opened.

use std::fs;
use std::net::TcpStream;
use std::os::unix::fs::PermissionsExt;
use std::os::unix::net::UnixStream;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use sealops_testenv::{Fault, FaultProxy, Moto, OpenBao, Process, free_port, http_call};
use tempfile::TempDir;

use super::fixtures::{PGP, keyring};
use super::world::{AGE_A, AGE_B, AGE_C, Outcome, Side, World, is_encrypted};

const READY: Duration = Duration::from_secs(30);
const PLAIN: &[u8] = b"a: 1\nb: two\nc:\n    - x\n";

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Network {
    Tcp,
    Unix,
}

/// A running `sops keyservice`.
struct Server {
    process: Process,
    uri: String,
    socket: Option<PathBuf>,
    gnupg: PathBuf,
    _folder: TempDir,
}

impl Server {
    /// Starts it with the age identities A and C and the PGP key.
    fn start(side: Side, network: Network) -> Self {
        Self::start_with(side, network, &[])
    }

    /// As [`Server::start`], with variables of its own.
    fn start_with(side: Side, network: Network, variables: &[(&str, &str)]) -> Self {
        let folder = tempfile::Builder::new().prefix("k").tempdir().unwrap();
        let home = folder.path().join("home");
        fs::create_dir(&home).unwrap();
        fs::write(home.join("keys.txt"), super::world::identity("a") + &super::world::identity("c")).unwrap();
        let gnupg = keyring(folder.path());
        let mut command = Command::new(side.program());
        command
            .env_clear()
            .env("PATH", "/usr/bin:/bin")
            .env("HOME", &home)
            .env("GNUPGHOME", &gnupg)
            .env("SOPS_AGE_KEY_FILE", home.join("keys.txt"))
            .envs(variables.iter().copied())
            .current_dir(folder.path());
        let (uri, socket, address) = match network {
            Network::Tcp => {
                let address = format!("127.0.0.1:{}", free_port().unwrap());
                (format!("tcp://{address}"), None, address)
            }
            Network::Unix => {
                let path = folder.path().join("s");
                (format!("unix://{}", path.display()), Some(path.clone()), path.display().to_string())
            }
        };
        let name = if network == Network::Tcp { "tcp" } else { "unix" };
        command.args(["keyservice", "--network", name, "--address", &address, "--verbose"]);
        let mut process = Process::spawn("keyservice", command, folder.path()).unwrap();
        process
            .wait_until(READY, || match network {
                Network::Tcp => TcpStream::connect(&address).is_ok(),
                Network::Unix => UnixStream::connect(&address).is_ok(),
            })
            .unwrap();
        Self { process, uri, socket, gnupg, _folder: folder }
    }

    fn log(&self, folder: &Path) -> String {
        fs::read_to_string(folder.join("keyservice.log")).unwrap()
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        let _ = Command::new("gpgconf").args(["--kill", "all"]).env("GNUPGHOME", &self.gnupg).status();
    }
}

/// A folder whose home has no keys.
fn keyless() -> World {
    let world = World::new();
    fs::remove_file(world.root().join("home/keys.txt")).unwrap();
    world.write("p.yaml", PLAIN);
    world
}

fn remote(world: &World, side: Side, uri: &str, command: &str, rest: &[&str]) -> Outcome {
    let mut arguments = vec![command, "--enable-local-keyservice=false", "--keyservice", uri];
    arguments.extend_from_slice(rest);
    world.run(side, &arguments, b"")
}

/// Every operation through the service, for one kind of key.
fn round(client: Side, uri: &str, flag: &str, key: &str) {
    let world = keyless();
    let encrypted = remote(&world, client, uri, "encrypt", &[flag, key, "p.yaml"]).ok();
    assert!(is_encrypted(&encrypted), "{client:?} {flag}");
    world.write("e.yaml", &encrypted);
    let decrypted = |world: &World| remote(world, client, uri, "decrypt", &["e.yaml"]).ok();
    assert_eq!(decrypted(&world), PLAIN);
    remote(&world, client, uri, "set", &["e.yaml", "[\"b\"]", "\"three\""]).ok();
    remote(&world, client, uri, "rotate", &["-i", "--add-age", AGE_C, "e.yaml"]).ok();
    let before = world.read("e.yaml");
    let field = if flag == "--hc-vault-transit" { "hc_vault_transit_uri" } else { &flag[2..] };
    world.write(".sops.yaml", format!("creation_rules:\n  - {field}: '{key}'\n"));
    remote(&world, client, uri, "updatekeys", &["-y", "e.yaml"]).ok();
    assert_ne!(world.read("e.yaml"), before);
    assert_eq!(decrypted(&world), b"a: 1\nb: three\nc:\n    - x\n");
    let editor = world.root().join("editor.sh");
    fs::write(&editor, "#!/bin/sh\nsed -i 's/b: three/b: four/' \"$1\"\n").unwrap();
    fs::set_permissions(&editor, fs::Permissions::from_mode(0o755)).unwrap();
    let mut edit = world.command(client);
    edit.args(["edit", "--enable-local-keyservice=false", "--keyservice", uri, "e.yaml"]);
    super::world::finish(edit_with(edit, &editor), b"").ok();
    assert_eq!(decrypted(&world), b"a: 1\nb: four\nc:\n    - x\n");
    // Without the service nobody opens it.
    assert_eq!(world.run(client, &["decrypt", "e.yaml"], b"").code, 128);
}

fn edit_with(mut command: Command, editor: &Path) -> Command {
    command.env("EDITOR", editor).env_remove("SOPS_EDITOR");
    command
}

fn both_kinds(server: Side, client: Side) {
    for network in [Network::Tcp, Network::Unix] {
        let server = Server::start(server, network);
        for (flag, key) in [("--age", AGE_A), ("--pgp", PGP)] {
            round(client, &server.uri, flag, key);
        }
    }
}

#[test]
fn our_client_and_the_real_server() {
    both_kinds(Side::Theirs, Side::Ours);
}

#[test]
fn the_real_client_and_our_server() {
    both_kinds(Side::Ours, Side::Theirs);
}

#[test]
fn both_of_ours() {
    both_kinds(Side::Ours, Side::Ours);
}

#[test]
fn keys_of_clouds_are_asked_with_the_logins_of_the_server() {
    let moto = Moto::start().unwrap();
    let key = moto.call("kms", "eu-west-1", "TrentService.CreateKey", "{}").unwrap();
    let key: serde_json::Value = serde_json::from_str(&key).unwrap();
    let arn = key["KeyMetadata"]["Arn"].as_str().unwrap();
    let bao = OpenBao::start().unwrap();
    for (path, body) in [("/v1/sys/mounts/transit", r#"{"type":"transit"}"#), ("/v1/transit/keys/k", "{}")] {
        let answer = http_call(
            bao.address(),
            "POST",
            path,
            &[("X-Vault-Token", OpenBao::ROOT_TOKEN)],
            body.as_bytes(),
        );
        let status = answer.unwrap().status;
        assert!((200..300).contains(&status), "{path}: {status}");
    }
    let transit = format!("{}/v1/transit/keys/k", bao.url());
    let url = moto.url();
    let variables = [
        ("AWS_ENDPOINT_URL", url.as_str()),
        ("AWS_ACCESS_KEY_ID", "AKIDEXAMPLE"),
        ("AWS_SECRET_ACCESS_KEY", "secret"),
        ("AWS_EC2_METADATA_DISABLED", "true"),
        ("VAULT_TOKEN", OpenBao::ROOT_TOKEN),
    ];
    for (server, client) in [(Side::Theirs, Side::Ours), (Side::Ours, Side::Theirs), (Side::Ours, Side::Ours)]
    {
        for network in [Network::Tcp, Network::Unix] {
            let server = Server::start_with(server, network, &variables);
            round(client, &server.uri, "--kms", arn);
            round(client, &server.uri, "--hc-vault-transit", &transit);
        }
    }
    // What is not on the list is not asked for anybody.
    let list = tempfile::NamedTempFile::new().unwrap();
    fs::write(list.path(), "https://vault.example/*\n").unwrap();
    let path = list.path().to_str().unwrap();
    let variables = [&variables[..], &[("SEALOPS_KEY_POLICY", path)]].concat();
    let server = Server::start_with(Side::Ours, Network::Unix, &variables);
    let world = keyless();
    for (flag, key) in [("--kms", arn), ("--hc-vault-transit", transit.as_str())] {
        let outcome = remote(&world, Side::Ours, &server.uri, "encrypt", &[flag, key, "p.yaml"]);
        assert_eq!(outcome.code, 1, "{}", outcome.err);
        assert!(outcome.err.contains("is not on the list of allowed keys"), "{}", outcome.err);
    }
}

#[test]
fn refusals_are_the_same_and_nothing_is_written() {
    for server in [Side::Theirs, Side::Ours] {
        let server = Server::start(server, Network::Unix);
        for client in [Side::Theirs, Side::Ours] {
            let world = keyless();
            // The service has no identity for B.
            let encrypted = remote(&world, client, &server.uri, "encrypt", &["--age", AGE_B, "p.yaml"]).ok();
            world.write("e.yaml", &encrypted);
            for (command, rest) in [
                ("decrypt", &["e.yaml"][..]),
                ("rotate", &["-i", "e.yaml"]),
                ("set", &["e.yaml", "[\"a\"]", "2"]),
            ] {
                let outcome = remote(&world, client, &server.uri, command, rest);
                assert_eq!(outcome.code, 128, "{client:?} {command}: {}", outcome.err);
                assert!(outcome.err.contains(AGE_B), "{}", outcome.err);
            }
            assert_eq!(world.read("e.yaml"), encrypted);
            // A key that is none for gpg.
            let pgp = "0000000000000000000000000000000000000000";
            let before = world.read("p.yaml");
            let outcome = remote(&world, client, &server.uri, "encrypt", &["-i", "--pgp", pgp, "p.yaml"]);
            assert_eq!(outcome.code, 1, "{client:?}: {}", outcome.err);
            assert!(outcome.err.contains("Could not generate data key"), "{}", outcome.err);
            assert_eq!(world.read("p.yaml"), before);
        }
    }
}

#[test]
fn the_service_of_this_machine_is_asked_first_and_remotes_in_order() {
    let server = Server::start(Side::Ours, Network::Tcp);
    let world = World::new();
    world.write("p.yaml", PLAIN);
    let proxies =
        [1, 2].map(|_| FaultProxy::tcp(server.uri.trim_start_matches("tcp://").parse().unwrap()).unwrap());
    let services: Vec<String> = proxies.iter().map(FaultProxy::url).collect();
    let flags = ["--keyservice", &services[0], "--keyservice", &services[1]];
    let encrypted =
        world.run(Side::Ours, &[&["encrypt", "--age", AGE_A][..], &flags, &["p.yaml"]].concat(), b"").ok();
    assert_eq!((proxies[0].count(""), proxies[1].count("")), (0, 0));
    world.write("e.yaml", encrypted);
    fs::remove_file(world.root().join("home/keys.txt")).unwrap();
    let arguments = [&["decrypt"][..], &flags, &["e.yaml"]].concat();
    assert_eq!(world.run(Side::Ours, &arguments, b"").ok(), PLAIN);
    assert_eq!((proxies[0].count(""), proxies[1].count("")), (1, 0));
    // The first is broken: the second helps.
    proxies[0].set(Fault::Reset);
    assert_eq!(world.run(Side::Ours, &arguments, b"").ok(), PLAIN);
    assert_eq!(proxies[1].count(""), 1);
    // By variable, as scripts give them.
    let mut command = world.command(Side::Ours);
    command.args(["decrypt", "e.yaml"]).env("SOPS_KEYSERVICE", services.join(","));
    command.env("SOPS_ENABLE_LOCAL_KEYSERVICE", "false");
    assert_eq!(super::world::finish(command, b"").ok(), PLAIN);
}

#[test]
fn a_service_that_is_gone_or_no_service_is_named() {
    let world = keyless();
    let encrypted = World::new();
    encrypted.write("p.yaml", PLAIN);
    let text = encrypted.run(Side::Ours, &["encrypt", "--age", AGE_A, "p.yaml"], b"").ok();
    world.write("e.yaml", &text);
    let gone = format!("tcp://127.0.0.1:{}", free_port().unwrap());
    for (uri, words) in [
        (gone.as_str(), "no answer: Connection refused"),
        ("unix:///nowhere/s", "no answer: No such file"),
        ("http://127.0.0.1:1", "tcp://HOST:PORT"),
    ] {
        let outcome = remote(&world, Side::Ours, uri, "rotate", &["-i", "e.yaml"]);
        assert_eq!(outcome.code, 128, "{}", outcome.err);
        let flat: String =
            outcome.err.replace(['|', '\n'], " ").split_whitespace().collect::<Vec<_>>().join(" ");
        assert!(flat.contains(uri) && flat.contains(words), "{uri}: {flat}");
    }
    assert_eq!(world.read("e.yaml"), text);
}

#[test]
fn the_verbs_of_sealops_serve_and_ask_too() {
    let folder = tempfile::Builder::new().prefix("k").tempdir().unwrap();
    let socket = folder.path().join("s");
    let world = World::new();
    let mut command = Command::new(env!("CARGO_BIN_EXE_sealops"));
    world.environment(&mut command);
    command.args(["keyservice", "--network", "unix", "--address"]).arg(&socket);
    let mut process = Process::spawn("keyservice", command, folder.path()).unwrap();
    process.wait_until(READY, || UnixStream::connect(&socket).is_ok()).unwrap();
    let client = keyless();
    let uri = format!("unix://{}", socket.display());
    let sealops = |line: &[&str]| {
        let mut command = Command::new(env!("CARGO_BIN_EXE_sealops"));
        client.environment(&mut command);
        command.args(line);
        super::world::finish(command, b"")
    };
    let flags = ["--enable-local-keyservice=false", "--keyservice", &uri];
    let encrypted = sealops(&[&["encrypt", "--age", AGE_A, "p.yaml"][..], &flags].concat()).ok();
    client.write("e.yaml", encrypted);
    assert_eq!(sealops(&[&["decrypt", "e.yaml"][..], &flags].concat()).ok(), PLAIN);
    assert_eq!(
        sealops(&["decrypt", "e.yaml", "--enable-local-keyservice", "--keyservice", &uri]).ok(),
        PLAIN
    );
    assert_eq!(sealops(&["decrypt", "e.yaml"]).code, 128);
}

#[test]
fn our_server_ends_in_order_and_its_socket_is_its_owners() {
    let mut server = Server::start(Side::Ours, Network::Unix);
    let socket = server.socket.clone().unwrap();
    let folder = socket.parent().unwrap().to_owned();
    assert_eq!(fs::metadata(&socket).unwrap().permissions().mode() & 0o7777, 0o600);
    // A second one does not take the place of the first.
    let mut second = Command::new(Side::Ours.program());
    second.args(["keyservice", "--network", "unix", "--address"]).arg(&socket);
    let outcome = super::world::finish(second, b"");
    assert_eq!(outcome.code, 1);
    assert!(outcome.err.contains("address already in use"), "{}", outcome.err);
    assert!(UnixStream::connect(&socket).is_ok());
    let status = server.process.terminate(Duration::from_secs(20)).unwrap();
    assert_eq!(status.code(), Some(0), "{}", server.log(&folder));
    assert!(!socket.exists());
    let log = server.log(&folder);
    assert!(log.contains("Listening on unix://") && log.contains("shutting down"), "{log}");
}

#[test]
fn a_person_is_asked_and_can_refuse() {
    let folder = tempfile::Builder::new().prefix("k").tempdir().unwrap();
    let socket = folder.path().join("s");
    let world = World::new();
    world.write("p.yaml", PLAIN);
    let text = world.run(Side::Ours, &["encrypt", "--age", AGE_A, "p.yaml"], b"").ok();
    let client = keyless();
    client.write("e.yaml", &text);
    for (answer, code) in [("y", 0), ("what\nn\nn", 128)] {
        let mut command = world.command(Side::Ours);
        command.args(["keyservice", "--network", "unix", "--prompt", "--address"]).arg(&socket);
        command.stdin(std::process::Stdio::piped()).stdout(std::process::Stdio::piped());
        let mut child = command.spawn().unwrap();
        std::io::Write::write_all(child.stdin.as_mut().unwrap(), format!("{answer}\n").as_bytes()).unwrap();
        let begun = std::time::Instant::now();
        while UnixStream::connect(&socket).is_err() {
            assert!(begun.elapsed() < sealops_testenv::stretched(READY), "the server does not listen");
            std::thread::yield_now();
        }
        let uri = format!("unix://{}", socket.display());
        for side in [Side::Theirs, Side::Ours].into_iter().take(if code == 0 { 1 } else { 2 }) {
            let outcome = remote(&client, side, &uri, "decrypt", &["e.yaml"]);
            assert_eq!(outcome.code, code, "{side:?} {}", outcome.err);
            assert_eq!(outcome.out, if code == 0 { PLAIN } else { b"" });
        }
        let pid = rustix_pid(&child);
        rustix::process::kill_process(pid, rustix::process::Signal::TERM).unwrap();
        let output = child.wait_with_output().unwrap();
        let asked = String::from_utf8(output.stdout).unwrap();
        assert!(asked.contains("Received decrypt request using"), "{asked}");
        assert!(asked.contains("Respond to request? (y/n): "), "{asked}");
    }
}

fn rustix_pid(child: &std::process::Child) -> rustix::process::Pid {
    rustix::process::Pid::from_child(child)
}
