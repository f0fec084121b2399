//! What both are asked to do, one after the other.

use sealops_testenv::with_etc;

use super::Etc;
use crate::sops::world::{AGE_A, AGE_B, Outcome, Side, World, finish};

/// What is run: a name, the arguments, and what differs from a run in the working folder without input.
pub(super) struct Operation {
    pub(super) line: &'static [&'static str],
    stdin: Stdin,
    variables: &'static [(&'static str, &'static str)],
    /// Folder below the working one, as the shell calls it.
    folder: &'static str,
}

#[derive(Clone, Copy)]
enum Stdin {
    Nothing,
    Plain,
    Encrypted,
}

const fn op(line: &'static [&'static str]) -> Operation {
    Operation { line, stdin: Stdin::Nothing, variables: &[], folder: "" }
}

const fn with(
    line: &'static [&'static str],
    variables: &'static [(&'static str, &'static str)],
) -> Operation {
    Operation { variables, ..op(line) }
}

const fn of(stdin: Stdin, line: &'static [&'static str]) -> Operation {
    Operation { stdin, ..op(line) }
}

const fn within(folder: &'static str, line: &'static [&'static str]) -> Operation {
    Operation { folder, ..op(line) }
}

const EDIT: &[(&str, &str)] = &[("EDITOR", "sed -i s/one/edited/")];
const NO_KEY: &[(&str, &str)] = &[("SOPS_AGE_KEY_FILE", "/dev/null"), ("HOME", "/nonexistent")];

/// `e.yaml` is encrypted, `p.yaml` is plain, `link.yaml` leads to `e.yaml`, `bad.yaml` has a wrong MAC, `cut.yaml` a value
/// that does not decrypt, `here` leads to the folder `d`, and `.sops.yaml` names the keys A and C.
pub(super) const OPERATIONS: &[Operation] = &[
    op(&["decrypt", "e.yaml"]),
    op(&["decrypt", "-i", "e.yaml"]),
    op(&["decrypt", "--output", "out.yaml", "e.yaml"]),
    op(&["decrypt", "--extract", "[\"a\"]", "e.yaml"]),
    op(&["decrypt", "--extract", "[\"nosuch\"]", "e.yaml"]),
    op(&["decrypt", "--extract", "a", "e.yaml"]),
    op(&["decrypt", "--filename-override", "other.yaml", "e.yaml"]),
    op(&["decrypt", "./d/../e.yaml"]),
    op(&["decrypt", "link.yaml"]),
    op(&["decrypt", "e.yaml", "p.yaml"]),
    op(&["decrypt", "p.yaml"]),
    op(&["decrypt", "nosuch.yaml"]),
    op(&["decrypt", "bad.yaml"]),
    op(&["decrypt", "--ignore-mac", "bad.yaml"]),
    op(&["decrypt", "cut.yaml"]),
    op(&["decrypt", "--output-type", "dotenv", "e.yaml"]),
    of(Stdin::Encrypted, &["decrypt", "--input-type", "yaml", "--output-type", "yaml"]),
    of(Stdin::Encrypted, &["decrypt", "--filename-override", "other.yaml"]),
    with(&["decrypt", "e.yaml"], NO_KEY),
    within("d", &["decrypt", "../e.yaml"]),
    within("here", &["decrypt", "inner.yaml"]),
    within("here", &["decrypt", "../e.yaml"]),
    op(&["-d", "e.yaml"]),
    op(&["-d", "-i", "e.yaml"]),
    op(&["encrypt", "p.yaml"]),
    op(&["encrypt", "-i", "p.yaml"]),
    op(&["encrypt", "--filename-override", "other.yaml", "p.yaml"]),
    op(&["encrypt", "e.yaml"]),
    op(&["encrypt", "broken.yaml"]),
    op(&["encrypt", "nosuch.yaml"]),
    op(&["encrypt", "--age", "age1nosuch", "p.yaml"]),
    op(&["encrypt", "--output-type", "ini", "deep.yaml"]),
    of(Stdin::Plain, &["encrypt", "--filename-override", "other.yaml"]),
    op(&["-e", "p.yaml"]),
    op(&["-e", "-i", "p.yaml"]),
    op(&["rotate", "e.yaml"]),
    op(&["rotate", "-i", "e.yaml"]),
    op(&["rotate", "-i", "--add-age", AGE_B, "e.yaml"]),
    op(&["rotate", "-i", "--rm-age", AGE_A, "e.yaml"]),
    op(&["rotate", "-i", "bad.yaml"]),
    op(&["rotate", "-i", "p.yaml"]),
    with(&["rotate", "-i", "e.yaml"], NO_KEY),
    op(&["-r", "-i", "e.yaml"]),
    op(&["set", "e.yaml", "[\"a\"]", "\"new\""]),
    op(&["set", "--idempotent", "e.yaml", "[\"a\"]", "\"one\""]),
    op(&["set", "e.yaml", "[\"a\"]", "no json"]),
    op(&["set", "e.yaml", "a", "1"]),
    op(&["set", "bad.yaml", "[\"a\"]", "1"]),
    op(&["set", "e.yaml", "[\"sops\"]", "1"]),
    op(&["--set", "[\"a\"] 1", "e.yaml"]),
    op(&["unset", "e.yaml", "[\"a\"]"]),
    op(&["unset", "e.yaml", "[\"nosuch\"]"]),
    op(&["unset", "--idempotent", "e.yaml", "[\"nosuch\"]"]),
    with(&["edit", "e.yaml"], EDIT),
    with(&["edit", "-s", "e.yaml"], EDIT),
    with(&["edit", "e.yaml"], &[("EDITOR", "true")]),
    with(&["edit", "e.yaml"], &[("EDITOR", "false")]),
    with(&["edit", "new.yaml"], &[("EDITOR", "sed -i s/Welcome/Hello/")]),
    with(&["edit", "bad.yaml"], EDIT),
    with(&["e.yaml"], EDIT),
    op(&["exec-env", "e.yaml", "true"]),
    op(&["exec-env", "./e.yaml", "exit 7"]),
    op(&["exec-env", "--same-process", "e.yaml", "true"]),
    op(&["exec-env", "deep.enc.yaml", "true"]),
    op(&["exec-file", "e.yaml", "cat {}"]),
    op(&["exec-file", "--no-fifo", "d/../e.yaml", "cat {}"]),
    op(&["updatekeys", "-y", "e.yaml"]),
    op(&["updatekeys", "-y", "e.yaml", "d/inner.yaml"]),
    of(Stdin::Plain, &["updatekeys", "e.yaml"]),
    op(&["groups", "add", "-i", "-f", "e.yaml", "--age", AGE_B]),
    op(&["groups", "delete", "-i", "-f", "e.yaml", "0"]),
    op(&["filestatus", "e.yaml"]),
    op(&["filestatus", "p.yaml"]),
    op(&["--help"]),
];

/// Operations whose exit codes differ on purpose, with theirs, ours and the reason; the rows are the same.
pub(super) const DIFFERENT: &[(&[&str], [i32; 2], &str)] = &[
    (
        &["encrypt", "--output-type", "ini", "deep.yaml"],
        [0, 4],
        "INI has no place for it: theirs writes Go's text for a map",
    ),
    (&["groups", "delete", "-i", "-f", "e.yaml", "0"], [0, 1], "theirs leaves a file that nobody can open"),
];

impl Operation {
    pub(super) fn run(&self, world: &World, etc: &Etc, side: Side, encrypted: &[u8]) -> Outcome {
        let mut command = with_etc(side.program(), etc.0.path());
        world.environment(&mut command);
        let folder = world.path(self.folder);
        command.current_dir(&folder).env("PWD", &folder).args(self.line).envs(self.variables.iter().copied());
        let plain: &[u8] = b"a: one\nb: two\n";
        finish(
            command,
            match self.stdin {
                Stdin::Nothing => b"",
                Stdin::Plain => plain,
                Stdin::Encrypted => encrypted,
            },
        )
    }
}
