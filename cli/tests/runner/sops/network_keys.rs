//! What holds for every kind of key that a server has: the operations both ways, groups, and faults on the way.

use std::fs;

use sealops_testenv::FaultProxy;

use super::fixtures::PGP;
use super::world::{AGE_A, AGE_B, BOTH, Outcome, Side, World, unbroken};

/// Runs a side's program in the folder, with the credentials of the server; its editor writes `four` for `three`.
pub(super) type Run<'a> = &'a dyn Fn(Side, &[&str]) -> Outcome;

/// A key as it is named.
pub(super) struct Key<'a> {
    /// The flag and its value, and further flags.
    pub(super) flags: &'a [&'a str],
    /// An entry of a creation rule.
    pub(super) rule: String,
    /// What stands in a file that has such a key, and in no other.
    pub(super) mark: &'a str,
}

/// encrypt, set, edit, rotate, and updatekeys to another key and back: whoever writes, the other reads. `encrypted` looks at
/// `a.yaml` when it was just encrypted.
pub(super) fn operations_both_ways(world: &World, key: &Key<'_>, run: Run<'_>, encrypted: &dyn Fn()) {
    let text = || String::from_utf8(world.read("a.yaml")).unwrap();
    for (writer, reader) in BOTH {
        let write = |line: &[&str]| run(writer, line).ok();
        let read = |expected: &str| {
            let out = run(reader, &["decrypt", "a.yaml"]).ok();
            assert_eq!(String::from_utf8(out).unwrap(), expected, "{writer:?} wrote with {:?}", key.flags);
        };
        world.write("a.yaml", "a: one\n");
        write(&[&["encrypt", "-i"], key.flags, &["a.yaml"]].concat());
        assert!(text().contains(key.mark), "{}", text());
        encrypted();
        read("a: one\n");
        write(&["set", "a.yaml", "[\"a\"]", "\"three\""]);
        read("a: three\n");
        write(&["edit", "a.yaml"]);
        read("a: four\n");
        write(&["rotate", "-i", "a.yaml"]);
        read("a: four\n");
        world.write(".sops.yaml", format!("creation_rules:\n    - age: {AGE_A}\n"));
        write(&["updatekeys", "-y", "a.yaml"]);
        assert!(!text().contains(key.mark), "{}", text());
        world.write(".sops.yaml", format!("creation_rules:\n    - {}\n", key.rule));
        write(&["updatekeys", "-y", "a.yaml"]);
        assert!(text().contains(key.mark) && !text().contains(AGE_A), "{}", text());
        fs::remove_file(world.path(".sops.yaml")).unwrap();
        read("a: four\n");
    }
}

/// Two of age, PGP and the key open a file. `group` is the key in a list of groups; `locked_out` decrypts `a.yaml` where the
/// server lets nobody in; `asked` counts the calls for keys. The folder needs the keyring of PGP.
pub(super) fn two_of_three(
    world: &World,
    group: &str,
    run: Run<'_>,
    locked_out: &dyn Fn(Side) -> Outcome,
    asked: &dyn Fn() -> usize,
) {
    let rule = |age: &str| {
        let text = format!(
            "creation_rules:\n    - shamir_threshold: 2\n      key_groups:\n        - age: [{age}]\n        - pgp: [{PGP}]\n\
             \x20       - {group}\n"
        );
        world.write(".sops.yaml", text);
        world.write("a.yaml", "a: one\n");
    };
    for (writer, reader) in BOTH {
        // AGE_B's identity is not here: PGP and the server have to do.
        for age in [AGE_A, AGE_B] {
            rule(age);
            run(writer, &["encrypt", "-i", "a.yaml"]).ok();
            assert_eq!(run(reader, &["decrypt", "a.yaml"]).ok(), b"a: one\n");
            run(writer, &["rotate", "-i", "a.yaml"]).ok();
            assert_eq!(run(reader, &["decrypt", "a.yaml"]).ok(), b"a: one\n");
        }
        // Neither AGE_B's identity nor the server: one part of two.
        let refused = locked_out(reader);
        assert_eq!(refused.code, 128, "{}", refused.err);
        let failed = |group| refused.err.contains(&format!("Group {group}: FAILED"));
        assert!(failed(0) && failed(2), "{}", refused.err);
    }
    // Enough without the network: nobody is asked.
    rule(AGE_A);
    run(Side::Theirs, &["encrypt", "-i", "a.yaml"]).ok();
    let before = asked();
    run(Side::Ours, &["decrypt", "a.yaml"]).ok();
    assert_eq!(asked(), before);
}

/// A folder with `p.yaml`, which holds `PLAIN`, and `e.yaml`, which is the same encrypted; and a fault on the way to the key.
pub(super) trait Faulty {
    const PLAIN: &'static [u8];

    fn world(&self) -> &World;
    fn proxy(&self) -> &FaultProxy;
    /// The flag for the key, and the key.
    fn key(&self) -> (&'static str, String);
    fn run(&self, line: &[&str]) -> Outcome;

    /// Both operations succeed in spite of the fault.
    fn passes(&self, name: &str) {
        let decrypted = self.run(&["decrypt", "e.yaml"]);
        assert_eq!((decrypted.code, decrypted.out.as_slice()), (0, Self::PLAIN), "{name}: {}", decrypted.err);
        self.run(&["rotate", "-i", "e.yaml"]).ok();
        self.proxy().clear();
        assert_eq!(self.run(&["decrypt", "e.yaml"]).ok(), Self::PLAIN, "{name}");
    }

    /// Both operations fail, with these words for the key, and leave the files as they were.
    fn fails(&self, name: &str, words: &str) {
        let (flag, key) = self.key();
        let before = self.world().files();
        let rotated = self.run(&["rotate", "-i", "e.yaml"]);
        let said = unbroken(&rotated.err);
        assert_eq!(rotated.code, 128, "{name}, {key}: {said}");
        assert!(said.contains(words) && said.contains(&key), "{name}, {key}: {said}");
        let encrypted = self.run(&["encrypt", "-i", flag, &key, "p.yaml"]);
        assert_eq!(encrypted.code, 1, "{name}, {key}: {}", encrypted.err);
        assert!(encrypted.err.contains("Could not generate data key"), "{name}, {key}: {}", encrypted.err);
        assert_eq!(self.world().files(), before, "{name}, {key}");
    }
}

/// Returns the value of the first line of a file that has this name.
pub(super) fn field(world: &World, file: &str, name: &str) -> String {
    let text = String::from_utf8(world.read(file)).unwrap();
    let start = format!("{name}: ");
    let mut values =
        text.lines().filter_map(|line| line.trim_start_matches([' ', '-']).strip_prefix(start.as_str()));
    values.next().unwrap_or_else(|| panic!("no {name} in {text}")).trim_matches('"').to_owned()
}
