//! Commands that find their servers by names that only DNS knows.

use std::fs;
use std::io::{self, Read, Write};
use std::net::{Shutdown, TcpListener, TcpStream};
use std::path::Path;
use std::process::Command;
use std::sync::{Arc, Mutex};
use std::thread;
use std::time::Duration;

use anyhow::Result;
use sealops_testenv::{NameServer, OpenBaoServer, Peers, Process, free_port, with_etc};
use serde_json::json;

use super::Etc;
use crate::kubeseal_table::Live;
use crate::sandbox::Sandbox;
use crate::sops::world::{AGE_A, Outcome, Side, World, finish, is_encrypted, unbroken};

const READY: Duration = Duration::from_secs(30);
const PLAIN: &[u8] = b"a: 1\n";
/// Found as a pod finds them: with suffixes, one of them wrong.
const ZONE: &str = "\
vault.svc.test A 127.0.0.1
keys.svc.test A 127.0.0.1
api.svc.test A 127.0.0.1
proxy.svc.test A 127.0.0.1
";

struct Place {
    server: NameServer,
    etc: Etc,
}

impl Place {
    fn new() -> Self {
        let server = NameServer::start(ZONE, &[]).unwrap();
        let resolv_conf =
            format!("nameserver {}\nsearch shop.svc.test svc.test\noptions ndots:5\n", server.addresses()[0]);
        Self { server, etc: Etc::new("127.0.0.1 localhost\n", &resolv_conf, "") }
    }

    fn command(&self, program: &Path) -> Command {
        with_etc(program, self.etc.path())
    }

    fn sops(&self, world: &World, side: Side, line: &[&str]) -> Outcome {
        let mut command = self.command(side.program());
        world.environment(&mut command);
        command.args(line).env("VAULT_TOKEN", "root");
        finish(command, b"")
    }

    /// Does something, and returns it with the number of questions for it.
    fn counted<T>(&self, work: impl FnOnce() -> T) -> (T, usize) {
        let before = self.server.questions().unwrap().len();
        let result = work();
        (result, self.server.questions().unwrap().len() - before)
    }
}

#[test]
fn vault_is_found_by_its_name() {
    let place = Place::new();
    let bao = OpenBaoServer::start().unwrap();
    bao.put("sys/mounts/transit", &json!({ "type": "transit" })).unwrap();
    bao.put("transit/keys/k", &json!({})).unwrap();
    let port = bao.address().port();
    let run = |world: &World, side: Side, line: &[&str]| {
        let mut command = place.command(side.program());
        world.environment(&mut command);
        command.args(line).env("VAULT_TOKEN", bao.root_token());
        finish(command, b"")
    };
    let mut questions = Vec::new();
    for side in [Side::Theirs, Side::Ours] {
        let world = World::new();
        world.write("p.yaml", PLAIN);
        let key = format!("http://vault:{port}/v1/transit/keys/k");
        let (encrypted, count) =
            place.counted(|| run(&world, side, &["encrypt", "--hc-vault-transit", &key, "p.yaml"]).ok());
        questions.push(count);
        assert!(is_encrypted(&encrypted));
        world.write("e.yaml", &encrypted);
        assert_eq!(run(&world, Side::Ours, &["decrypt", "e.yaml"]).ok(), PLAIN);
        // The key moves to where nobody is.
        let moved =
            String::from_utf8(encrypted).unwrap().replace("http://vault:", "http://nowhere.svc.test:");
        world.write("e.yaml", moved);
        let failed = run(&world, side, &["decrypt", "e.yaml"]);
        assert_eq!(failed.code, 128);
        let wanted = format!("lookup nowhere.svc.test on {}:53: no such host", place.server.addresses()[0]);
        assert!(unbroken(&failed.err).contains(&wanted), "{side:?}: {}", failed.err);
    }
    // Both families of the name with each suffix, until one is found.
    assert_eq!(questions, [4, 4]);
}

#[test]
fn a_key_service_is_found_and_listens_by_its_name() {
    let place = Place::new();
    let world = World::new();
    let address = format!("keys:{}", free_port().unwrap());
    let mut command = place.command(Side::Ours.program());
    world.environment(&mut command);
    command.args(["keyservice", "--network", "tcp", "--address", &address]);
    let mut process = Process::spawn("keyservice", command, world.root()).unwrap();
    let reachable = address.replace("keys", "127.0.0.1");
    process.wait_until(READY, || TcpStream::connect(&reachable).is_ok()).unwrap();
    let keyless = World::new();
    fs::remove_file(keyless.root().join("home/keys.txt")).unwrap();
    keyless.write("p.yaml", PLAIN);
    let uri = format!("tcp://{address}");
    let service = ["--enable-local-keyservice=false", "--keyservice", &uri];
    let line = |rest: &[&'static str]| [&rest[..1], &service[..], &rest[1..]].concat();
    let encrypted = place.sops(&keyless, Side::Ours, &line(&["encrypt", "--age", AGE_A, "p.yaml"])).ok();
    keyless.write("e.yaml", &encrypted);
    for side in [Side::Ours, Side::Theirs] {
        assert_eq!(place.sops(&keyless, side, &line(&["decrypt", "e.yaml"])).ok(), PLAIN, "{side:?}");
    }
    let gone = uri.replace("keys", "gone");
    let failed = place.sops(
        &keyless,
        Side::Ours,
        &["decrypt", "--enable-local-keyservice=false", "--keyservice", &gone, "e.yaml"],
    );
    assert!(unbroken(&failed.err).contains("no such host"), "{}", failed.err);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_api_server_and_a_proxy_are_found_by_their_names() -> Result<()> {
    let live = Live::start().await?;
    tokio::task::block_in_place(|| api_server_by_name(&live))
}

fn api_server_by_name(live: &Live) -> Result<()> {
    let place = Place::new();
    let sandbox = Sandbox::new();
    for (name, content) in live.files()? {
        sandbox.write(&name, content);
    }
    let server = format!("https://api:{}", live.control_plane.port());
    let flags = [
        "--fetch-cert",
        "--server",
        &server,
        "--certificate-authority",
        "ca.pem",
        "--client-certificate",
        "admin.crt",
        "--client-key",
        "admin.key",
        "--tls-server-name",
        "127.0.0.1",
    ];
    let run = |program: &Path, more: &[&str]| {
        let mut command = place.command(program);
        command.current_dir(sandbox.path("")).env_clear().env("PATH", "/usr/bin:/bin").args(flags).args(more);
        finish(command, b"")
    };
    let theirs = Peers::locate()?.kubeseal()?.get_program().to_owned();
    let ours = sandbox.path("bin").join("kubeseal");
    let mut questions = Vec::new();
    for program in [Path::new(&theirs), &ours] {
        let (outcome, count) = place.counted(|| run(program, &[]));
        assert_eq!(String::from_utf8(outcome.ok())?.trim(), live.certificate.trim());
        questions.push(count);
    }
    assert_eq!(questions, [4, 4]);

    // The proxy looks up the server; the name of the proxy is ours to find.
    let proxy = Proxy::start()?;
    for program in [Path::new(&theirs), &ours] {
        let url = format!("http://us%40er:p%3Ass@proxy:{}", proxy.port);
        let outcome = run(program, &["--proxy-url", &url]);
        assert_eq!(String::from_utf8(outcome.ok())?.trim(), live.certificate.trim());
        let request = proxy.last();
        assert!(request.starts_with(&format!("CONNECT api:{} ", live.control_plane.port())), "{request}");
        let login = request.to_lowercase().contains("proxy-authorization: basic ");
        assert!(login && request.contains("dXNAZXI6cDpzcw=="), "{request}");
    }

    for program in [Path::new(&theirs), &ours] {
        let outcome = run(program, &["--server", "https://nowhere.svc.test:1"]);
        assert_eq!(outcome.code, 1);
        let wanted = format!("lookup nowhere.svc.test on {}:53: no such host", place.server.addresses()[0]);
        assert!(unbroken(&outcome.err).contains(&wanted), "{}", outcome.err);
    }
    Ok(())
}

/// A proxy that connects to the port at 127.0.0.1, whatever the name, and keeps the last request.
struct Proxy {
    port: u16,
    request: Arc<Mutex<String>>,
}

impl Proxy {
    fn start() -> Result<Self> {
        let listener = TcpListener::bind("127.0.0.1:0")?;
        let (port, request) = (listener.local_addr()?.port(), Arc::new(Mutex::default()));
        let kept = Arc::clone(&request);
        thread::spawn(move || {
            for client in listener.incoming().flatten() {
                let kept = Arc::clone(&kept);
                thread::spawn(move || drop(tunnel(client, &kept)));
            }
        });
        Ok(Self { port, request })
    }

    fn last(&self) -> String {
        std::mem::take(&mut *self.request.lock().unwrap())
    }
}

fn tunnel(mut client: TcpStream, kept: &Mutex<String>) -> io::Result<()> {
    let mut head = Vec::new();
    while !head.ends_with(b"\r\n\r\n") {
        let mut byte = [0];
        client.read_exact(&mut byte)?;
        head.push(byte[0]);
    }
    let head = String::from_utf8_lossy(&head).into_owned();
    let port = head.split_whitespace().nth(1).and_then(|to| to.rsplit_once(':')?.1.parse::<u16>().ok());
    *kept.lock().unwrap() = head;
    let mut server = TcpStream::connect(("127.0.0.1", port.unwrap_or(0)))?;
    client.write_all(b"HTTP/1.1 200 OK\r\n\r\n")?;
    let (mut from, mut to) = (client.try_clone()?, server.try_clone()?);
    let up = thread::spawn(move || {
        let _ = io::copy(&mut from, &mut to);
        let _ = to.shutdown(Shutdown::Write);
    });
    let _ = io::copy(&mut server, &mut client);
    let _ = client.shutdown(Shutdown::Both);
    let _ = up.join();
    Ok(())
}
