//! TLS, and what is shown of the password: nothing.

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};

use sealops_testenv::{Pki, Postgres};

use super::{Etc, encrypted};
use crate::sops::world::{Outcome, Side, World};

struct Files(tempfile::TempDir);

impl Files {
    fn write(&self, name: &str, text: &str) -> PathBuf {
        let path = self.0.path().join(name);
        fs::write(&path, text).unwrap();
        fs::set_permissions(&path, fs::Permissions::from_mode(0o600)).unwrap();
        path
    }
}

/// What a connection string comes to: both sides alike.
fn both(world: &World, string: &str, variables: &[(&str, &str)]) -> [Outcome; 2] {
    let etc = Etc::new(&[string]);
    [Side::Theirs, Side::Ours]
        .map(|side| etc.run_program(world, side.program(), &["decrypt", "e.yaml"], &[], variables))
}

#[test]
fn tls_as_lib_pq_has_it() {
    let (right, wrong) = (Pki::generate().unwrap(), Pki::generate().unwrap());
    let server = Postgres::start_with_tls(&right.server(&["localhost"]).unwrap(), &right.ca_pem()).unwrap();
    server.sql("CREATE ROLE certified LOGIN; GRANT INSERT ON audit_event TO certified; GRANT USAGE ON audit_event_id_seq TO certified").unwrap();
    let other =
        Postgres::start_with_tls(&right.server(&["elsewhere.example"]).unwrap(), &right.ca_pem()).unwrap();
    let expired =
        Postgres::start_with_tls(&right.expired_server(&["localhost"]).unwrap(), &right.ca_pem()).unwrap();
    let files = Files(tempfile::tempdir().unwrap());
    let (ca, strange) = (files.write("ca.crt", &right.ca_pem()), files.write("strange.crt", &wrong.ca_pem()));
    let client = right.client("certified", &[]).unwrap();
    let (certificate, key) =
        (files.write("c.crt", &client.certificate_pem), files.write("c.key", &client.key_pem));
    let loose = files.write("loose.key", &client.key_pem);
    fs::set_permissions(&loose, fs::Permissions::from_mode(0o644)).unwrap();
    let none = files.write("none.crt", "");
    let world = World::new();
    encrypted(&world);
    let at = |server: &Postgres| server.connection_string().replace("127.0.0.1", "localhost");
    let shown = |path: &Path| path.display().to_string();
    let (ca, strange, none) = (shown(&ca), shown(&strange), shown(&none));
    let (certificate, key, loose) = (shown(&certificate), shown(&key), shown(&loose));
    let by_certificate = format!(
        "host=localhost port={} dbname=postgres user=certified sslcert='{certificate}'",
        server.port()
    );
    let (name, authority) = ("is for another host", "no authority of sslrootcert has signed");
    for (string, problem) in [
        (at(&server), None),
        (format!("{}?sslmode=require", at(&server)), None),
        (format!("{}?sslmode=require", at(&other)), None),
        (format!("{}?sslmode=require", at(&expired)), None),
        (format!("{}?sslmode=disable", at(&server)), None),
        (format!("{}?sslmode=verify-ca&sslrootcert={ca}", at(&server)), None),
        (format!("{}?sslmode=verify-ca&sslrootcert={ca}", at(&other)), None),
        (format!("{}?sslmode=verify-full&sslrootcert={ca}", at(&server)), None),
        (
            format!("{}?sslmode=verify-full&sslrootcert={ca}", at(&server)).replace("localhost", "127.0.0.1"),
            Some(name),
        ),
        (format!("{}?sslmode=verify-full&sslrootcert={ca}", at(&other)), Some(name)),
        (format!("{}?sslmode=verify-full&sslrootcert={ca}", at(&expired)), Some("has expired")),
        (format!("{}?sslmode=verify-ca&sslrootcert={ca}", at(&expired)), Some("has expired")),
        (format!("{}?sslmode=verify-full&sslrootcert={strange}", at(&server)), Some(authority)),
        (format!("{}?sslmode=verify-ca&sslrootcert={strange}", at(&server)), Some(authority)),
        (format!("{}?sslmode=verify-full", at(&server)), Some(authority)),
        // Authorities that are named are asked, also where it does not say so.
        (format!("{}?sslmode=require&sslrootcert={strange}", at(&server)), Some(authority)),
        (format!("{}?sslrootcert={none}", at(&server)), Some("sslrootcert has no certificate")),
        (
            format!("{}?sslmode=verify-ca&sslrootcert=/nosuch", at(&server)),
            Some("sslrootcert cannot be read"),
        ),
        (format!("{by_certificate} sslkey='{key}'"), None),
        (format!("{by_certificate} sslkey='{key}' sslmode=verify-full sslrootcert={ca}"), None),
        (format!("{by_certificate} sslkey='{loose}'"), Some("others may read the file of sslkey")),
        (format!("{by_certificate} sslkey=/nosuch"), Some("sslkey cannot be read")),
    ] {
        let [theirs, ours] = both(&world, &string, &[]);
        let code = i32::from(problem.is_some());
        assert_eq!((theirs.code, ours.code), (code, code), "{string}\n{}\n{}", theirs.err, ours.err);
        assert!(problem.is_none_or(|problem| ours.err.contains(problem)), "{string}\n{}", ours.err);
        assert!(!ours.err.contains("hunter2"), "{}", ours.err);
        assert!(ours.out.is_empty() == problem.is_some());
    }
    // Whoever says no word about TLS had it.
    let log = {
        let mut server = server;
        server.process().log().unwrap()
    };
    assert!(log.contains("user=sops database=postgres SSL enabled (protocol=TLSv1.3"), "{log}");
}

#[test]
fn strings_and_variables_as_lib_pq_has_them() {
    let server = Postgres::start().unwrap();
    let (port, password) = (server.port().to_string(), server.password());
    let socket = server.socket_folder().display().to_string();
    let world = World::new();
    encrypted(&world);
    let tcp = format!("host=127.0.0.1 port={port}");
    let variables = [
        ("PGHOST", "127.0.0.1"),
        ("PGPORT", &port),
        ("PGUSER", "sops"),
        ("PGPASSWORD", password),
        ("PGDATABASE", "postgres"),
        ("PGSSLMODE", "disable"),
        ("PGAPPNAME", "from variables"),
    ];
    for (string, variables) in [
        (format!("{tcp} user=sops password='{password}' dbname=postgres sslmode=disable"), &[][..]),
        (format!("{tcp} user = sops password = {password} database=postgres sslmode=disable"), &[]),
        (format!("host={socket} port={port} user=sops password={password} dbname=postgres"), &[]),
        (format!("postgres://sops:{password}@/postgres?host={socket}&port={port}"), &[]),
        (
            format!(
                "postgresql://sops:{}@localhost:{port}/postgres?sslmode=disable",
                password.replace('-', "%2d")
            ),
            &[],
        ),
        (
            format!(
                "host=nosuch.example hostaddr=127.0.0.1 port={port} user=sops password={password} dbname=postgres sslmode=disable"
            ),
            &[],
        ),
        (String::new(), &variables),
        (format!("{tcp} application_name=mine"), &variables),
        (
            format!(
                "{tcp} search_path='public, x' statement_timeout=5000 connect_timeout=9 client_encoding=UTF8"
            ),
            &variables,
        ),
    ] {
        let [theirs, ours] = both(&world, &string, variables);
        assert_eq!((theirs.code, ours.code), (0, 0), "{string}\n{}\n{}", theirs.err, ours.err);
        let events = server.take_events().unwrap();
        assert!(events.len() == 2 && events[0] == events[1], "{string} {events:?}");
    }
}

/// The password is in no output, whatever is asked for, and in no file and no argument.
#[test]
fn the_password_is_never_shown() {
    let server = Postgres::start().unwrap();
    let world = World::new();
    encrypted(&world);
    world.write("p.yaml", "a: one\n");
    let right = format!("{}?sslmode=disable", server.connection_string());
    for string in [
        right.clone(),
        right.replace("postgres:", "postgress:"),
        right.replace("5f2c", "5f2c wrong"),
        right.replace("5f2c", "5f2c/x"),
        right.replace("5f2c", "5f2c?x=y"),
        right.replace("5f2c", "5f2c@x@"),
        right.replace("5f2c", "5f2c#"),
        right.replace("5f2c", "5f2c%"),
        right.replace("127.0.0.1", "[::1"),
        format!(
            "host=127.0.0.1 port={} user=sops dbname=postgres sslmode=disable password=a b-{}",
            server.port(),
            server.password()
        ),
        format!("password={0} {0}={0}", server.password()),
        format!("host={0} password={0}", server.password()),
        format!("{right}&{0}={0}", server.password()),
    ] {
        let etc = Etc::new(&[&string]);
        for line in [
            &["--verbose", "decrypt", "e.yaml"][..],
            &["decrypt", "--verbose", "e.yaml"],
            &["encrypt", "--age", crate::sops::world::AGE_A, "p.yaml"],
            &["exec-env", "e.yaml", "env; cat /proc/$PPID/cmdline"],
        ] {
            let loud = [("RUST_LOG", "trace"), ("RUST_BACKTRACE", "1"), ("SOPS_LOG", "debug")];
            let run = etc.run_program(&world, Side::Ours.program(), line, &[], &loud);
            let out = String::from_utf8_lossy(&run.out);
            for part in ["hunter2", "5f2c"] {
                assert!(!run.err.contains(part) && !out.contains(part), "{line:?} {} {out}", run.err);
            }
            let kept = world.files().into_iter().chain(world.temporary());
            for (name, (_, content)) in kept {
                assert!(!String::from_utf8_lossy(&content).contains("hunter2"), "{name}");
            }
        }
    }
}
