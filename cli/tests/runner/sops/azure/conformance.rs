//! One list of cases for Azure's own library, the real sops, and ours, in this order: what the first two do not pass says
//! that the fake is wrong.

use std::path::Path;

use sealops_testenv::{FakeAzure, Parts};

use super::super::network_keys::field;
use super::super::world::{Side, World, finish};
use super::Cloud;

pub(super) const SCRIPT: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/../testenv/python/azure_judge.py");

/// Who speaks to the vault.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Client {
    /// The packages azure-keyvault-keys and azure-identity.
    Vendor,
    Sops(Side),
}

/// A wrapped data key, in a file where sops made it.
struct Sealed {
    text: String,
    file: Option<String>,
}

/// A client in an environment.
struct Caller<'a> {
    client: Client,
    cloud: &'a Cloud,
    world: World,
    variables: Vec<(&'static str, &'static str)>,
}

impl Caller<'_> {
    fn run(&self, program: &Path, line: &[&str]) -> Result<Vec<u8>, String> {
        let mut command = self.cloud.command(&self.world, program);
        command.args(line).envs(self.variables.iter().copied());
        let outcome = finish(command, &[]);
        if outcome.code == 0 { Ok(outcome.out) } else { Err(outcome.err) }
    }

    fn vendor(&self, line: &[&str]) -> Result<String, String> {
        let python = Parts::locate().unwrap().path("azure-python").unwrap();
        let out = self.run(python, &[&[SCRIPT], line].concat())?;
        Ok(String::from_utf8(out).unwrap().trim().to_owned())
    }

    fn newest(&self, url: &str) -> Result<String, String> {
        match self.client {
            Client::Vendor => self.vendor(&["version", url]),
            Client::Sops(_) => {
                self.seal(url)?;
                Ok(field(&self.world, "a.yaml", "version"))
            }
        }
    }

    fn seal(&self, url: &str) -> Result<Sealed, String> {
        let Client::Sops(side) = self.client else {
            return Ok(Sealed { text: self.vendor(&["seal", url])?, file: None });
        };
        self.world.write("a.yaml", "a: one\n");
        self.run(side.program(), &["encrypt", "-i", "--azure-kv", url, "a.yaml"])?;
        let file = String::from_utf8(self.world.read("a.yaml")).unwrap();
        Ok(Sealed { text: field(&self.world, "a.yaml", "enc"), file: Some(file) })
    }

    fn open(&self, url: &str, sealed: &Sealed) -> Result<(), String> {
        let (Client::Sops(side), Some(file)) = (self.client, &sealed.file) else {
            return self.vendor(&["open", url, &sealed.text]).map(drop);
        };
        self.world.write("a.yaml", file);
        let out = self.run(side.program(), &["decrypt", "a.yaml"])?;
        if out == b"a: one\n" { Ok(()) } else { Err("another text".to_owned()) }
    }
}

/// Another text of the same length.
fn changed(sealed: &Sealed) -> Sealed {
    let mut text = sealed.text.clone();
    let other = if text[40..].starts_with('A') { "B" } else { "A" };
    text.replace_range(40..41, other);
    Sealed { file: sealed.file.as_ref().map(|file| file.replace(&sealed.text, &text)), text }
}

/// The list. Returns how many cases it has.
fn passes(cloud: &Cloud, client: Client) -> usize {
    let caller = Caller { client, cloud, world: World::new(), variables: Vec::new() };
    let name = format!("c{}", cloud.fake.calls().len());
    let key = format!("{}/keys/{name}", cloud.fake.vault());
    let first = cloud.fake.add_version(&name).unwrap();
    let with = |version: &str| format!("{key}/{version}");
    assert_eq!(caller.newest(&key).unwrap(), first, "{client:?}: the newest version");
    let old = caller.seal(&with(&first)).unwrap_or_else(|error| panic!("{client:?}: encrypt: {error}"));
    caller.open(&with(&first), &old).unwrap_or_else(|error| panic!("{client:?}: decrypt: {error}"));
    let second = cloud.fake.add_version(&name).unwrap();
    assert_eq!(caller.newest(&key).unwrap(), second, "{client:?}: the newest version of two");
    caller.open(&with(&first), &old).unwrap_or_else(|error| panic!("{client:?}: an old version: {error}"));
    // Whoever encrypted, Azure's own library decrypts.
    let vendor = Caller { client: Client::Vendor, cloud, world: World::new(), variables: Vec::new() };
    vendor.vendor(&["open", &with(&first), &old.text]).unwrap_or_else(|error| panic!("{client:?}: {error}"));
    let refused = |what: &str, result: Result<(), String>, words: &str| {
        let error = result.err().unwrap_or_else(|| panic!("{client:?}: {what} is taken"));
        assert!(error.replace([' ', '\n', '|'], "").contains(words), "{client:?}: {what}: {error}");
    };
    refused("a changed ciphertext", caller.open(&with(&first), &changed(&old)), "BadParameter");
    let missing = format!("{}/keys/nosuch", cloud.fake.vault());
    refused("a key that is not there", caller.seal(&missing).map(drop), "KeyNotFound");
    let wrong = with("ffffffffffffffffffffffffffffffff");
    refused("a version that is not there", caller.seal(&wrong).map(drop), "KeyNotFound");
    // A resource that the vault is not of gets no token.
    cloud.fake.ask_for(Some("https://vault.azure.cn"));
    let before = cloud.fake.count("/oauth2/v2.0/token");
    let other = caller.seal(&with(&second)).map(drop);
    cloud.fake.ask_for(None);
    assert!(other.is_err(), "{client:?}: a token for another resource");
    assert_eq!(cloud.fake.count("/oauth2/v2.0/token"), before, "{client:?}: a token for another resource");
    let wrong_secret =
        Caller { client, cloud, world: World::new(), variables: vec![("AZURE_CLIENT_SECRET", "wrong")] };
    refused("a wrong secret", wrong_secret.seal(&with(&second)).map(drop), "AADSTS7000215");
    11
}

#[test]
fn the_vendors_library_and_sops_pass_the_list_that_ours_passes() {
    let cloud = Cloud::start();
    for client in [Client::Vendor, Client::Sops(Side::Theirs), Client::Sops(Side::Ours)] {
        println!("Azure Key Vault: {client:?} passes {} cases", passes(&cloud, client));
    }
    assert!(cloud.fake.count(FakeAzure::TENANT) > 0);
}
