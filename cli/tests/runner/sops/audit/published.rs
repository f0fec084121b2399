//! What publishing records.

use sealops_testenv::{Moto, OpenBao, Postgres, http_call};

use super::{Etc, encrypted};
use crate::sops::world::{AGE_A, AGE_C, Side, World};

#[test]
fn publishing_records_what_it_opens() {
    let (server, moto, bao) = (Postgres::start().unwrap(), Moto::start().unwrap(), OpenBao::start().unwrap());
    let signed = (
        "Authorization",
        "AWS4-HMAC-SHA256 Credential=x/20260101/us-east-1/s3/aws4_request, SignedHeaders=host, Signature=0",
    );
    assert_eq!(http_call(moto.address(), "PUT", "/bucket", &[signed], b"").unwrap().status, 200);
    let etc = Etc::new(&[&format!("{}?sslmode=disable", server.connection_string())]);
    let world = World::new();
    let text = encrypted(&world);
    for name in ["as-it-is.yaml", "anew.yaml", "values.yaml"] {
        world.write(name, &text);
    }
    let vault = bao.url();
    world.write(
        ".sops.yaml",
        format!(
            "destination_rules:\n  - s3_bucket: bucket\n    path_regex: as-it-is\n  - s3_bucket: bucket\n    path_regex: anew\n    \
             recreation_rule:\n      age: {AGE_C}\n  - vault_path: x/\n    vault_address: {vault}\n    path_regex: values\n\
             creation_rules:\n  - age: {AGE_A}\n"
        ),
    );
    let moto = moto.url();
    let variables = [
        ("AWS_ENDPOINT_URL", moto.as_str()),
        ("AWS_ACCESS_KEY_ID", "x"),
        ("AWS_SECRET_ACCESS_KEY", "y"),
        ("AWS_REGION", "us-east-1"),
        ("VAULT_ADDR", vault.as_str()),
        ("VAULT_TOKEN", OpenBao::ROOT_TOKEN),
    ];
    for (name, actions) in
        [("as-it-is.yaml", &[][..]), ("anew.yaml", &["decrypt", "encrypt"]), ("values.yaml", &["decrypt"])]
    {
        let path = world.path(name).display().to_string();
        for side in [Side::Theirs, Side::Ours] {
            let run = etc.run_program(&world, side.program(), &["publish", "-y", name], &[], &variables);
            assert_eq!(run.code, 0, "{side:?} {name} {}", run.err);
            let events = server.take_events().unwrap();
            let found: Vec<&str> = events.iter().map(|(action, ..)| action.as_str()).collect();
            assert_eq!(found, actions, "{side:?} {name}");
            assert!(events.iter().all(|(_, _, file)| *file == path), "{events:?}");
        }
    }
}
