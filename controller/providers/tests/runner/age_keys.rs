use std::path::Path;
use std::process::Command;
use std::time::Duration;

use crate::run_peer::run_peer;
use anyhow::Result;
use sealops_crypto::sops::{KeyPart, MasterKey};
use sealops_formats::Plaintext;
use sealops_providers::local::LocalKeys;

use super::{Answers, age_constant, local_keys, local_keys_asking};

const PEER: Duration = Duration::from_secs(60);

fn part() -> KeyPart {
    KeyPart::new(Plaintext::from(b"0123456789abcdef0123456789abcdef".as_slice()))
}

fn age(recipient: &str) -> MasterKey {
    MasterKey::Age { recipient: recipient.to_owned() }
}

fn opens(keys: &LocalKeys, recipient: &str, wrapped: &str) -> Result<(), String> {
    let opened = keys.unwrap(&age(recipient), wrapped)?;
    assert_eq!(opened.plaintext().expose(), part().plaintext().expose());
    Ok(())
}

/// Every place where SOPS looks, alone.
#[test]
fn identities_are_found_in_every_place() -> Result<()> {
    let (recipient, identity) = (age_constant("mockRecipient")?, age_constant("mockIdentity")?);
    let other = age_constant("mockOtherIdentity")?;
    let wrapped = local_keys(&[]).wrap(&age(&recipient), &part()).unwrap();
    assert!(wrapped.starts_with("-----BEGIN AGE ENCRYPTED FILE-----\n") && wrapped.ends_with("-----\n"));
    let home = tempfile::tempdir()?;
    let file = home.path().join("keys.txt");
    std::fs::write(&file, format!("# a comment\n\n{other}\n{identity}\n"))?;
    let (file, at_home) = (file.to_str().unwrap(), home.path().to_str().unwrap());
    let config = home.path().join("config");
    std::fs::create_dir_all(config.join("sops/age"))?;
    std::fs::copy(file, config.join("sops/age/keys.txt"))?;
    let several = format!("{other} {identity}");
    let command = format!("sh -c 'test \"$SOPS_AGE_RECIPIENT\" = {recipient} && cat {file}'");
    for variables in [
        [("SOPS_AGE_KEY", several.as_str()), ("HOME", "/nonexistent")],
        [("SOPS_AGE_KEY_FILE", file), ("HOME", "/nonexistent")],
        [("SOPS_AGE_KEY_CMD", &command), ("HOME", "/nonexistent")],
        [("XDG_CONFIG_HOME", config.to_str().unwrap()), ("HOME", at_home)],
    ] {
        opens(&local_keys(&variables), &recipient, &wrapped)
            .unwrap_or_else(|error| panic!("{variables:?}: {error}"));
    }
    Ok(())
}

/// The words are those that sops prints; scripts and people search for them.
#[test]
fn what_was_looked_for_is_told() -> Result<()> {
    let (recipient, other) = (age_constant("mockRecipient")?, age_constant("mockOtherIdentity")?);
    let wrapped = local_keys(&[]).wrap(&age(&recipient), &part()).unwrap();
    let fail = |variables: &[(&str, &str)]| opens(&local_keys(variables), &recipient, &wrapped).unwrap_err();
    assert_eq!(
        fail(&[("HOME", "/h")]),
        "failed to load age identities. Did not find keys in locations 'SOPS_AGE_SSH_PRIVATE_KEY_FILE', \
         'SOPS_AGE_SSH_PRIVATE_KEY_CMD', '/h/.ssh/id_ed25519', '/h/.ssh/id_rsa', 'SOPS_AGE_KEY', 'SOPS_AGE_KEY_FILE', \
         'SOPS_AGE_KEY_CMD', and '/h/.config/sops/age/keys.txt'."
    );
    let wrong = fail(&[("HOME", "/h"), ("SOPS_AGE_KEY", &other)]);
    assert!(
        wrong.starts_with(
            "failed to create reader for decrypting sops data key with age: identity did not match any of the \
             recipients: incorrect identity for recipient block. Did not find keys in locations "
        ),
        "{wrong}"
    );
    let broken = fail(&[("HOME", "/h"), ("SOPS_AGE_KEY", "nonsense")]);
    assert!(broken.contains(". Errors while loading age identities: failed to parse 'SOPS_AGE_KEY' age identities: unknown identity type"));
    assert!(!broken.contains("nonsense"));
    let missing = fail(&[("HOME", "/h"), ("SOPS_AGE_KEY_FILE", "/nonexistent/key")]);
    assert!(missing.contains("failed to open SOPS_AGE_KEY_FILE file: open /nonexistent/key"), "{missing}");
    Ok(())
}

#[test]
fn post_quantum_keys_work() -> Result<()> {
    // The recipient of this identity is not written down anywhere: age vectors give an encrypted file instead, and a
    // round trip needs the public key, which the peer test takes from sops.
    let identity = age_constant("mockHybridIdentity")?;
    assert!(sealops_crypto::age::HybridIdentity::parse(&identity).is_some());
    assert!(sealops_crypto::age::HybridIdentity::parse(&identity.to_lowercase()).is_none());
    assert!(sealops_crypto::age::HybridIdentity::parse(&identity.replace("JPD", "JPP")).is_none());
    Ok(())
}

#[test]
fn ssh_keys_work_with_and_without_a_passphrase() -> Result<()> {
    let (recipient, identity) = (age_constant("mockSshRecipient")?, age_constant("mockSshIdentity")?);
    let home = tempfile::tempdir()?;
    let path = home.path().join("key");
    std::fs::write(&path, &identity)?;
    let file = path.to_str().unwrap();
    let wrapped = local_keys(&[]).wrap(&age(&recipient), &part()).unwrap();
    opens(&local_keys(&[("SOPS_AGE_SSH_PRIVATE_KEY_FILE", file)]), &recipient, &wrapped).unwrap();
    let command = format!("cat {file}");
    opens(&local_keys(&[("SOPS_AGE_SSH_PRIVATE_KEY_CMD", &command)]), &recipient, &wrapped).unwrap();
    // What sops wrote for it.
    let theirs = local_keys(&[("SOPS_AGE_SSH_PRIVATE_KEY_FILE", file)])
        .unwrap(&age(&recipient), &age_constant("mockEncryptedSshKey")?)
        .unwrap();
    assert_eq!(theirs.plaintext().expose(), age_constant("mockEncryptedKeyPlain")?.as_bytes());
    Ok(())
}

/// The passphrase is asked for once, and not at all when another identity fits.
#[test]
fn encrypted_identity_files_ask_once() -> Result<()> {
    let (recipient, encrypted) = (age_constant("mockRecipient")?, age_constant("mockEncryptedIdentity")?);
    let wrapped = age_constant("mockEncryptedKey")?;
    let home = tempfile::tempdir()?;
    let path = home.path().join("keys.age");
    std::fs::write(&path, &encrypted)?;
    let variables = [("SOPS_AGE_KEY_FILE", path.to_str().unwrap())];
    let answers = Answers::new("passphrase");
    let keys = local_keys_asking(&variables, answers.clone());
    for _ in 0..2 {
        let part = keys.unwrap(&age(&recipient), &wrapped).unwrap();
        assert_eq!(part.plaintext().expose(), b"data");
    }
    assert_eq!(answers.asked(), 1);
    let wrong = Answers::new("wrong");
    let error = local_keys_asking(&variables, wrong).unwrap(&age(&recipient), &wrapped).unwrap_err();
    assert!(error.contains("incorrect passphrase"), "{error}");
    let identity = age_constant("mockIdentity")?;
    let unasked = Answers::new("");
    let both = [variables[0], ("SOPS_AGE_KEY", identity.as_str())];
    local_keys_asking(&both, unasked.clone()).unwrap(&age(&recipient), &wrapped).unwrap();
    assert_eq!(unasked.asked(), 0);
    Ok(())
}

/// gpg-agent knows the passphrase: nobody is asked, and a wrong one is forgotten.
#[test]
fn the_agent_is_asked_first() -> Result<()> {
    let (recipient, encrypted) = (age_constant("mockRecipient")?, age_constant("mockEncryptedIdentity")?);
    let wrapped = age_constant("mockEncryptedKey")?;
    let home = tempfile::Builder::new().prefix("a").tempdir_in("/tmp")?;
    let folder = home.path().join(".gnupg");
    std::fs::create_dir(&folder)?;
    std::fs::set_permissions(&folder, std::os::unix::fs::PermissionsExt::from_mode(0o700))?;
    std::fs::write(folder.join("gpg-agent.conf"), "allow-preset-passphrase\n")?;
    let path = home.path().join("keys.age");
    std::fs::write(&path, &encrypted)?;
    let cache_id = sealops_crypto::age::passphrase_cache_id(&Plaintext::from(encrypted.as_str()));
    let run = |program: &str, arguments: &[&str], input: &str| -> Result<String> {
        let mut command = Command::new(program);
        command.args(arguments).env("GNUPGHOME", &folder).env_remove("XDG_RUNTIME_DIR");
        let output = run_peer(command, input.as_bytes(), PEER)?;
        anyhow::ensure!(output.status.success(), "{program}: {}", output.stderr);
        Ok(String::from_utf8(output.stdout)?)
    };
    run("gpgconf", &["--launch", "gpg-agent"], "")?;
    let socket = run("gpgconf", &["--list-dirs", "agent-socket"], "")?;
    let variables = [
        ("SOPS_AGE_KEY_FILE", path.to_str().unwrap()),
        ("HOME", home.path().to_str().unwrap()),
        ("GPG_AGENT_INFO", socket.trim()),
    ];
    let preset = |passphrase: &str| {
        let libexec = run("gpgconf", &["--list-dirs", "libexecdir"], "")?;
        let program = format!("{}/gpg-preset-passphrase", libexec.trim());
        run(&program, &["--preset", &cache_id], passphrase)
    };
    let answers = Answers::new("never");
    preset("passphrase")?;
    local_keys_asking(&variables, answers.clone()).unwrap(&age(&recipient), &wrapped).unwrap();
    preset("wrong")?;
    assert!(local_keys_asking(&variables, answers.clone()).unwrap(&age(&recipient), &wrapped).is_err());
    assert_eq!(answers.asked(), 0);
    let cached = run("gpg-connect-agent", &[], &format!("GET_PASSPHRASE --no-ask {cache_id} X X X\n"))?;
    assert!(cached.starts_with("ERR"), "{cached}");
    run("gpgconf", &["--kill", "gpg-agent"], "")?;
    Ok(())
}

#[test]
fn the_age_program_reads_ours_and_we_read_its() -> Result<()> {
    let (recipient, identity) = (age_constant("mockRecipient")?, age_constant("mockIdentity")?);
    let folder = tempfile::tempdir()?;
    let file = folder.path().join("key");
    std::fs::write(&file, &identity)?;
    let ours = local_keys(&[]).wrap(&age(&recipient), &part()).unwrap();
    let mut decrypt = Command::new("age");
    decrypt.args(["--decrypt", "--identity"]).arg(&file);
    assert_eq!(run_peer(decrypt, ours.as_bytes(), PEER)?.stdout, part().plaintext().expose());
    let mut encrypt = Command::new("age");
    encrypt.args(["--encrypt", "--armor", "--recipient", &recipient]);
    let theirs = run_peer(encrypt, part().plaintext().expose(), PEER)?.text()?;
    opens(&local_keys(&[("SOPS_AGE_KEY", &identity)]), &recipient, &theirs).unwrap();
    Ok(())
}

/// B7 69, 70: recipients with a wrong prefix, checksum or case, and plugins whose names are paths.
#[test]
fn bad_input_69_70_of_recipients() -> Result<()> {
    let recipient = age_constant("mockRecipient")?;
    let check = |text: &str| LocalKeys::check(&age(text));
    assert_eq!(check(&recipient), Ok(()));
    for broken in [
        recipient.replace("age1l", "age1m"),
        format!("{}x", &recipient[..recipient.len() - 1]),
        format!("{}{}", &recipient[..20], recipient[20..].to_uppercase()),
        "age1".to_owned(),
        "age1pq1qqqq".to_owned(),
        "ssh-ed25519 AAAA".to_owned(),
        "nonsense".to_owned(),
        String::new(),
        "age1../../x1qqqq".to_owned(),
        "age1a/b1qqqq".to_owned(),
    ] {
        assert!(check(&broken).is_err(), "{broken}");
    }
    let missing = local_keys(&[]).wrap(&age("age1nosuchplugin1qqqqqqqqqq"), &part()).unwrap_err();
    assert!(missing.contains("plugin"), "{missing}");
    assert!(!Path::new("x").exists());
    Ok(())
}
