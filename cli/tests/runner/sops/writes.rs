//! How a file is replaced: B6 F34 (what a power cut leaves), F35 (somebody else writes it meanwhile), F40 (file systems that
//! cannot do everything).

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::process::{Command, Stdio};
use std::thread;

use super::world::{AGE_A, AGE_C, Outcome, Side, World, finish};

const VERBS: [(&str, &[&str]); 6] = [
    ("encrypt -i", &["encrypt", "-i", "--age", AGE_A, "plain.yaml"]),
    ("decrypt -i", &["decrypt", "-i", "file.yaml"]),
    ("set", &["set", "file.yaml", "[\"a\"]", "\"new\""]),
    ("rotate -i", &["rotate", "-i", "file.yaml"]),
    ("updatekeys", &["updatekeys", "-y", "file.yaml"]),
    ("edit", &["edit", "file.yaml"]),
];

fn prepare(world: &World) {
    world.reset();
    world.write("plain.yaml", "a: one\n");
    world.write("file.yaml", "a: one\n");
    world.run(Side::Ours, &["encrypt", "-i", "--age", AGE_A, "file.yaml"], &[]).ok();
    world.write(".sops.yaml", format!("creation_rules:\n    - age: {AGE_A},{AGE_C}\n"));
}

/// Runs a command under strace; returns what it did and the calls, one a line.
fn traced(world: &World, arguments: &[&str], options: &[&str]) -> (Outcome, Vec<String>) {
    let log = world.root().join("log");
    let mut command = Command::new("strace");
    world.environment(&mut command);
    command.args(["-f", "-y", "-qq", "--signal=none", "-o"]).arg(&log).args(options);
    command.arg(Side::Ours.program()).args(arguments);
    command.env("EDITOR", "sed -i s/one/edited/").stdin(Stdio::null());
    let run = finish(command, &[]);
    let text = fs::read_to_string(log).unwrap();
    // Without the thread's number.
    let calls =
        text.lines().map(|line| line.split_once(' ').map_or(line, |(_, call)| call.trim()).to_owned());
    (run, calls.collect())
}

/// F34: data that is not synced is lost in a power cut, and so is a name whose folder is not. So: the new file is synced, then
/// renamed, then its folder is synced, and nothing is written to the new file behind its sync.
#[test]
fn f34_the_new_file_is_on_the_disk_before_it_has_the_name() {
    let world = World::new();
    for (verb, arguments) in VERBS {
        prepare(&world);
        let (run, calls) = traced(&world, arguments, &["-e", "trace=write,fsync,fdatasync,/rename"]);
        assert_eq!(run.code, 0, "{verb}: {}", run.err);
        let all = calls.join("\n");
        let renames: Vec<usize> = (0..calls.len()).filter(|at| calls[*at].starts_with("rename")).collect();
        let ours: Vec<usize> = renames.into_iter().filter(|at| calls[*at].contains(".sealops-")).collect();
        let [rename] = ours[..] else { panic!("{verb}: one rename\n{all}") };
        let quoted: Vec<&str> = calls[rename].split('"').collect();
        let temporary = quoted[1];
        let target = quoted[3];
        assert!(target.ends_with("/file.yaml") || target.ends_with("/plain.yaml"), "{verb}: {target}");
        let on = |call: &str, path: &str| call.contains(&format!("<{path}>"));
        let synced = calls.iter().position(|call| call.starts_with("fsync(") && on(call, temporary));
        let written = calls.iter().rposition(|call| call.starts_with("write(") && on(call, temporary));
        let folder = target.rsplit_once('/').unwrap().0;
        let named = calls.iter().rposition(|call| call.starts_with("fsync(") && on(call, folder));
        assert!(
            written < synced && synced < Some(rename) && Some(rename) < named && written.is_some(),
            "{verb}: {written:?} < {synced:?} < {rename} < {named:?}\n{all}"
        );
    }
}

/// F40: no fsync here, and none of folders.
#[test]
fn f40_without_fsync_the_file_is_replaced_all_the_same() {
    let world = World::new();
    for error in ["EINVAL", "ENOSYS", "EOPNOTSUPP"] {
        for when in ["1", "2", "1+"] {
            prepare(&world);
            let before = world.read("file.yaml");
            let fault = format!("inject=fsync:error={error}:when={when}");
            let (run, calls) =
                traced(&world, &["rotate", "-i", "file.yaml"], &["-e", "trace=fsync", "-e", &fault]);
            assert_eq!(run.code, 0, "{fault}: {}", run.err);
            assert!(calls.iter().any(|call| call.contains("(INJECTED)")), "{fault}: {calls:?}");
            assert_ne!(world.read("file.yaml"), before);
            world.run(Side::Ours, &["decrypt", "file.yaml"], &[]).ok();
        }
    }
    // A disk that fails is told.
    prepare(&world);
    let before = world.read("file.yaml");
    let fault = "inject=fsync:error=EIO:when=1";
    let (run, _) = traced(&world, &["rotate", "-i", "file.yaml"], &["-e", "trace=fsync", "-e", fault]);
    assert_eq!((run.code, world.read("file.yaml")), (3, before), "{}", run.err);
}

/// F40: where nothing can be renamed the file stays as it is, and nothing beside it.
#[test]
fn f40_without_rename_the_file_stays() {
    let world = World::new();
    for error in ["ENOSYS", "EXDEV", "EPERM", "EINVAL"] {
        prepare(&world);
        let before = world.files();
        let fault = format!("inject=/rename:error={error}");
        let (run, _) = traced(&world, &["rotate", "-i", "file.yaml"], &["-e", "trace=/rename", "-e", &fault]);
        assert_eq!(run.code, 3, "{fault}: {}", run.err);
        assert_eq!(world.files(), before, "{fault}");
    }
}

/// F40: a new file is made without replacing one that came meanwhile; without the call for it, or links, by looking first.
#[test]
fn f40_a_new_file_without_renameat2_and_links() {
    let world = World::new();
    for fault in ["inject=renameat2:error=EINVAL", "inject=renameat2,link,linkat:error=EPERM"] {
        prepare(&world);
        let (run, calls) =
            traced(&world, &["edit", "new.yaml"], &["-e", "trace=renameat2,link,linkat", "-e", fault]);
        // The sample that the editor shows has no "one": it is replaced whole.
        assert_eq!(run.code, 200, "{}", run.err);
        assert!(calls.is_empty());
        let script = world.path("write.sh");
        fs::write(&script, "#!/bin/sh\necho 'a: new' > \"$1\"\n").unwrap();
        fs::set_permissions(&script, fs::Permissions::from_mode(0o755)).unwrap();
        let mut command = Command::new("strace");
        world.environment(&mut command);
        command.args(["-f", "-qq", "-o", "/dev/null", "-e", "trace=renameat2,link,linkat", "-e", fault]);
        command
            .arg(Side::Ours.program())
            .args(["edit", "new.yaml"])
            .env("EDITOR", &script)
            .stdin(Stdio::null());
        let run = finish(command, &[]);
        assert_eq!(run.code, 0, "{fault}: {}", run.err);
        assert_eq!(world.run(Side::Ours, &["decrypt", "new.yaml"], &[]).ok(), b"a: new\n");
    }
}

fn with_editor(world: &World, arguments: &[&str], script: &str) -> Outcome {
    let path = world.root().join("editor.sh");
    fs::write(&path, format!("#!/bin/sh\n{script}\n")).unwrap();
    fs::set_permissions(&path, fs::Permissions::from_mode(0o755)).unwrap();
    let mut command = world.command(Side::Ours);
    command.args(arguments).env("EDITOR", &path).env("OURS", Side::Ours.program()).stdin(Stdio::null());
    finish(command, &[])
}

/// F35: the file changes while the editor is open, in every way in which files change. The edit is not lost, and neither is the
/// other change.
#[test]
fn f35_a_file_that_changed_meanwhile_is_not_overwritten() {
    let world = World::new();
    for (what, meanwhile) in [
        ("another of ours", "\"$OURS\" set file.yaml '[\"b\"]' '\"theirs\"'"),
        ("replaced, as git does", "\"$OURS\" rotate file.yaml > other && mv other file.yaml"),
        ("written in place", "\"$OURS\" rotate file.yaml > other && cat other > file.yaml && rm other"),
        ("removed", "rm file.yaml"),
    ] {
        prepare(&world);
        let script = format!(
            "{meanwhile} || exit 9\nsed -i s/one/mine/ \"$1\"\ncp file.yaml ../theirs 2>/dev/null || true"
        );
        let run = with_editor(&world, &["edit", "file.yaml"], &script);
        assert_eq!(run.code, 3, "{what}: {}", run.err);
        assert!(run.err.contains("changed meanwhile"), "{what}: {}", run.err);
        match fs::read(world.root().join("theirs")) {
            Ok(theirs) if what != "removed" => assert_eq!(world.read("file.yaml"), theirs, "{what}"),
            _ => assert!(!world.path("file.yaml").exists(), "{what}"),
        }
        let rescued = world.files().into_keys().find(|name| name.ends_with(".rescued")).expect(what);
        assert_eq!(world.run(Side::Ours, &["decrypt", &rescued], &[]).ok(), b"a: mine\n", "{what}");
    }
}

#[test]
fn f35_a_new_file_does_not_replace_one_that_came_meanwhile() {
    let world = World::new();
    prepare(&world);
    let run =
        with_editor(&world, &["edit", "new.yaml"], "echo 'a: mine' > \"$1\"; echo 'b: theirs' > new.yaml");
    assert_eq!(run.code, 3, "{}", run.err);
    assert_eq!(world.read("new.yaml"), b"b: theirs\n");
}

/// F35: many processes change one file at the same time: each change that is reported as done is there.
#[test]
fn f35_concurrent_changes_lose_nothing() {
    const EACH: usize = 12;
    let world = World::new();
    prepare(&world);
    let (world_ref, mut conflicts) = (&world, 0);
    thread::scope(|scope| {
        let workers: Vec<_> = (0..3)
            .map(|worker| {
                scope.spawn(move || {
                    let mut conflicts = 0;
                    for number in 0..EACH {
                        let place = format!("[\"w{worker}n{number}\"]");
                        loop {
                            let run = world_ref.run(Side::Ours, &["set", "file.yaml", &place, "1"], &[]);
                            match run.code {
                                0 => break,
                                3 if run.err.contains("changed meanwhile") => conflicts += 1,
                                code => panic!("exit code {code}: {}", run.err),
                            }
                        }
                    }
                    conflicts
                })
            })
            .collect();
        conflicts = workers.into_iter().map(|worker| worker.join().unwrap()).sum::<usize>();
    });
    let text = String::from_utf8(world.run(Side::Ours, &["decrypt", "file.yaml"], &[]).ok()).unwrap();
    println!("{} changes by three processes at once, {conflicts} conflicts", 3 * EACH);
    assert_eq!(text.lines().filter(|line| line.starts_with('w')).count(), 3 * EACH, "{text}");
    assert!(conflicts > 0, "they did not even meet");
}
