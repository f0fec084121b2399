//! One list of cases for Huawei's own SDK, the real sops, and ours, in this order: what the first two do not pass says
//! that the fake is wrong.

use std::path::Path;

use sealops_testenv::{FakeHuawei, Parts};

use super::super::network_keys::field;
use super::super::world::{Side, World, finish, unbroken};
use super::Cloud;

/// Who speaks to KMS.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Client {
    /// huaweicloud-sdk-go-v3, of the version that sops has.
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
    variables: &'a [(&'a str, &'a str)],
}

impl<'a> Caller<'a> {
    fn new(cloud: &'a Cloud, client: Client, variables: &'a [(&'a str, &'a str)]) -> Self {
        Self { client, cloud, world: World::new(), variables }
    }

    fn run(&self, program: &Path, line: &[&str]) -> Result<Vec<u8>, String> {
        let mut command = self.cloud.command(&self.world, program);
        command.args(line).envs(self.variables.iter().copied());
        let outcome = finish(command, &[]);
        if outcome.code == 0 { Ok(outcome.out) } else { Err(unbroken(&outcome.err)) }
    }

    fn vendor(&self, line: &[&str]) -> Result<String, String> {
        let out = self.run(Parts::locate().unwrap().path("huawei-go").unwrap(), line)?;
        Ok(String::from_utf8(out).unwrap().trim().to_owned())
    }

    fn seal(&self, key: &str) -> Result<Sealed, String> {
        let Client::Sops(side) = self.client else {
            return Ok(Sealed { text: self.vendor(&["seal", key])?, file: None });
        };
        self.world.write("a.yaml", "a: one\n");
        self.run(side.program(), &["encrypt", "-i", "--hckms", key, "a.yaml"])?;
        let file = String::from_utf8(self.world.read("a.yaml")).unwrap();
        Ok(Sealed { text: field(&self.world, "a.yaml", "enc"), file: Some(file) })
    }

    fn open(&self, key: &str, sealed: &Sealed) -> Result<(), String> {
        let (Client::Sops(side), Some(file)) = (self.client, &sealed.file) else {
            return self.vendor(&["open", key, &sealed.text]).map(drop);
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
    let fake = &cloud.fake;
    let name = format!("key-{}", fake.calls().len());
    for name in [&name, &format!("{name}-off"), &format!("{name}-shut")] {
        fake.add_key(name);
    }
    fake.disable(&format!("{name}-off"));
    fake.forbid(&format!("{name}-shut"));
    let key = format!("{}:{name}", FakeHuawei::REGION);
    let elsewhere = format!("{}:{name}", FakeHuawei::OTHER_REGION);
    // To encrypt is the first.
    let mut cases = 1;
    let mut case = |what: &str, result: Result<(), String>| {
        cases += 1;
        result.unwrap_or_else(|error| panic!("{client:?}: {what}: {error}"));
    };
    let caller = Caller::new(cloud, client, &[]);

    let sealed = caller.seal(&key);
    let sealed = sealed.unwrap_or_else(|error| panic!("{client:?}: encrypt: {error}"));
    case("decrypt", caller.open(&key, &sealed));
    // Whoever encrypted, Huawei's own SDK decrypts.
    case(
        "the SDK decrypts",
        Caller::new(cloud, Client::Vendor, &[]).vendor(&["open", &key, &sealed.text]).map(drop),
    );
    case("a region with an IAM of its own", caller.seal(&elsewhere).map(drop));
    let own = format!("GET iam.{}.myhuaweicloud.com /v3/projects", FakeHuawei::OTHER_REGION);
    assert!(fake.count(&own) > 0 && fake.count("GET iam.myhuaweicloud.com /v3/projects") > 0, "{client:?}");

    fake.reset_calls();
    let given = [("HUAWEICLOUD_SDK_PROJECT_ID", FakeHuawei::PROJECT)];
    case("a project that is given", Caller::new(cloud, client, &given).open(&key, &sealed));
    assert_eq!(fake.count("/v3/projects"), 0, "{client:?}: a project that is given is not asked for");

    let mut refused = |what: &str, result: Result<(), String>, words: &str| {
        cases += 1;
        let error = result.err().unwrap_or_else(|| panic!("{client:?}: {what} is taken"));
        let flat = error.replace([' ', '\n', '|'], "");
        assert!(flat.contains(&words.replace(' ', "")), "{client:?}: {what}: {error}");
    };
    refused("a changed ciphertext", caller.open(&key, &changed(&sealed)), "KMS.0401");
    let swapped = Sealed {
        file: sealed.file.as_ref().map(|file| file.replace(FakeHuawei::REGION, FakeHuawei::OTHER_REGION)),
        text: sealed.text.clone(),
    };
    refused("a key of another project", caller.open(&elsewhere, &swapped), "KMS.0401");
    refused("a key that is not there", caller.seal("eu-west-101:nosuch").map(drop), "KMS.0205");
    refused("a key that is disabled", caller.seal(&format!("{key}-off")).map(drop), "KMS.0209");
    refused("a key that is forbidden", caller.seal(&format!("{key}-shut")).map(drop), "KMS.0306");
    for (what, variable) in [
        ("a wrong secret", ("HUAWEICLOUD_SDK_SK", "wrong")),
        ("an access key that nobody has", ("HUAWEICLOUD_SDK_AK", "NOBODY")),
        ("a wrong project", ("HUAWEICLOUD_SDK_PROJECT_ID", FakeHuawei::OTHER_PROJECT)),
        ("a token that is not the key's", ("HUAWEICLOUD_SDK_SECURITY_TOKEN", "token")),
    ] {
        let variables = [variable];
        refused(what, Caller::new(cloud, client, &variables).open(&key, &sealed), "APIGW.0301");
    }
    fake.set_projects(FakeHuawei::REGION, &[]);
    refused("no project", caller.open(&key, &sealed), "failed to get project id of region 'eu-west-101'");
    fake.set_projects(FakeHuawei::REGION, &[FakeHuawei::PROJECT, FakeHuawei::OTHER_PROJECT]);
    refused("two projects", caller.open(&key, &sealed), "multiple project ids found");
    fake.set_projects(FakeHuawei::REGION, &[FakeHuawei::PROJECT]);

    fake.reset_calls();
    refused(
        "an unknown region",
        caller.seal("mars-1:k").map(drop),
        "region id 'mars-1' is not in the following",
    );
    assert_eq!(fake.calls(), Vec::<String>::new(), "{client:?}: nobody is asked for an unknown region");
    cases
}

#[test]
fn the_vendors_sdk_and_sops_pass_the_list_that_ours_passes() {
    let cloud = Cloud::start();
    let clients = [Client::Vendor, Client::Sops(Side::Theirs), Client::Sops(Side::Ours)];
    let counts = clients.map(|client| {
        let cases = passes(&cloud, client);
        println!("Huawei Cloud KMS: {client:?} passes {cases} cases");
        cases
    });
    assert_eq!(counts, [17; 3]);
}
