//! SIGKILL, a full disk, a read-only one, a broken one: at every system call that touches files, one after the other
//! (strace's fault injection). The input is whole or the output is, and no plaintext is left on a disk.

use std::collections::BTreeMap;
use std::fs;
use std::process::{Command, Stdio};
use std::sync::Mutex;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::thread;

use super::world::{AGE_A, AGE_C, Side, World, finish, identity};

const CANARY: &str = "CANARY-51d8a0c2";

/// Calls at which the process is killed.
const KILLED: [&str; 10] =
    ["openat", "read", "write", "close", "fsync", "rename", "renameat", "fchmod", "statx", "unlink"];
/// Calls that fail, and how.
const FAILING: [(&str, &[&str]); 5] = [
    ("openat", &["ENOSPC", "EROFS", "EIO"]),
    ("write", &["ENOSPC", "EIO"]),
    ("fsync", &["ENOSPC", "EIO"]),
    ("rename", &["ENOSPC", "EROFS", "EIO"]),
    ("renameat", &["ENOSPC", "EROFS", "EIO"]),
];

/// Fewest points of all commands together.
const FEWEST: usize = 100;

struct Scene {
    name: &'static str,
    arguments: &'static [&'static str],
    /// Whether the file is plain before.
    plain: bool,
}

const SCENES: [Scene; 5] = [
    Scene { name: "encrypt -i", arguments: &["encrypt", "-i", "--age", AGE_A, "file.yaml"], plain: true },
    Scene {
        name: "set",
        arguments: &["set", "--value-file", "file.yaml", "[\"a\"]", "value.json"],
        plain: false,
    },
    Scene { name: "rotate -i", arguments: &["rotate", "-i", "file.yaml"], plain: false },
    Scene { name: "updatekeys", arguments: &["updatekeys", "-y", "file.yaml"], plain: false },
    Scene { name: "edit", arguments: &["edit", "file.yaml"], plain: false },
];

#[test]
fn a_file_is_whole_wherever_a_command_ends() {
    let mut points = Vec::new();
    for (index, scene) in SCENES.iter().enumerate() {
        for (call, count) in calls(scene) {
            let kills = KILLED.contains(&call.as_str()).then(|| "signal=KILL".to_owned());
            let errors =
                FAILING.iter().filter(|(name, _)| *name == call).flat_map(|(_, errors)| errors.iter());
            let faults: Vec<String> =
                kills.into_iter().chain(errors.map(|error| format!("error={error}"))).collect();
            for number in 1..=count {
                points.extend(faults.iter().map(|fault| (index, format!("{call}:{fault}:when={number}"))));
            }
        }
    }
    assert!(points.len() >= FEWEST, "only {} points", points.len());
    let next = AtomicUsize::new(0);
    let counts: Mutex<BTreeMap<&str, [usize; 3]>> = Mutex::default();
    let problems: Vec<String> = thread::scope(|scope| {
        let workers: Vec<_> = (0..2)
            .map(|_| {
                scope.spawn(|| {
                    let world = World::new();
                    let mut problems = Vec::new();
                    while let Some((index, fault)) = points.get(next.fetch_add(1, Ordering::Relaxed)) {
                        let scene = &SCENES[*index];
                        match run(&world, scene, fault) {
                            Ok(changed) => {
                                let mut counts = counts.lock().unwrap();
                                let count = counts.entry(scene.name).or_default();
                                count[0] += 1;
                                count[1 + usize::from(changed)] += 1;
                            }
                            Err(problem) => problems.push(format!("{} at {fault}: {problem}", scene.name)),
                        }
                    }
                    problems
                })
            })
            .collect();
        workers.into_iter().flat_map(|worker| worker.join().unwrap()).collect()
    });
    for (scene, [all, before, after]) in counts.into_inner().unwrap() {
        println!("{scene}: {all} kill points, the file as before {before} times, as after {after} times");
    }
    println!("sops kill points: {}, {} problems", points.len(), problems.len());
    assert!(problems.is_empty(), "{}", problems.join("\n"));
}

/// Sets the scene: the file, what the command needs, and the file's bytes.
fn prepare(world: &World, scene: &Scene) -> Vec<u8> {
    world.reset();
    let plain = format!("a: {CANARY}\nb:\n    - {CANARY}-2\n");
    world.write("file.yaml", &plain);
    world.write("value.json", "\"new\"");
    fs::create_dir_all(world.root().join("run")).unwrap();
    if !scene.plain {
        // Encrypted once; the same bytes serve every point.
        static ENCRYPTED: Mutex<Option<Vec<u8>>> = Mutex::new(None);
        let mut encrypted = ENCRYPTED.lock().unwrap();
        let text = encrypted.get_or_insert_with(|| {
            world.run(Side::Ours, &["encrypt", "--age", AGE_A, "file.yaml"], &[]).ok()
        });
        world.write("file.yaml", text);
    }
    world.write(".sops.yaml", format!("creation_rules:\n    - age: {AGE_A},{AGE_C}\n"));
    world.read("file.yaml")
}

fn command(world: &World, scene: &Scene, strace: &[String]) -> Command {
    let mut command = Command::new("strace");
    command.args(["-qq", "--signal=none"]).args(strace).arg(Side::Ours.program()).args(scene.arguments);
    world.environment(&mut command);
    command
        .env("EDITOR", "sed -i s/CANARY-5/edited-CANARY-5/")
        .env("XDG_RUNTIME_DIR", world.root().join("run"))
        .stdin(Stdio::null());
    command
}

/// Counts the calls of a run without faults.
fn calls(scene: &Scene) -> BTreeMap<String, usize> {
    let world = World::new();
    prepare(&world, scene);
    let log = world.root().join("log");
    let arguments = ["-e".to_owned(), "trace=all".to_owned(), "-o".to_owned(), log.display().to_string()];
    finish(command(&world, scene, &arguments), &[]).ok();
    let mut counts = BTreeMap::new();
    for line in fs::read_to_string(log).unwrap().lines() {
        let name = line.split('(').next().unwrap_or_default();
        *counts.entry(name.to_owned()).or_default() += 1;
    }
    let wanted =
        |name: &String| KILLED.contains(&name.as_str()) || FAILING.iter().any(|(call, _)| call == name);
    counts.retain(|name, _| wanted(name));
    assert!(
        (counts.contains_key("rename") || counts.contains_key("renameat")) && counts.contains_key("fsync"),
        "{counts:?}"
    );
    counts
}

/// Runs into one fault; returns whether the file is the new one.
fn run(world: &World, scene: &Scene, fault: &str) -> Result<bool, String> {
    let before = prepare(world, scene);
    let call = fault.split(':').next().unwrap_or_default();
    let arguments = [
        "-o".to_owned(),
        "/dev/null".to_owned(),
        "-e".to_owned(),
        format!("trace={call}"),
        "-e".to_owned(),
        format!("inject={fault}"),
    ];
    finish(command(world, scene, &arguments), &[]);
    let after = world.files().remove("file.yaml").map(|(_, bytes)| bytes).ok_or("the file is gone")?;
    let changed = after != before;
    if changed {
        let mut check = world.command(Side::Ours);
        check.args(["decrypt", "file.yaml"]).env("SOPS_AGE_KEY", identity("a"));
        let opened = finish(check, &[]);
        if opened.code != 0 {
            return Err(format!("the file is neither the old one nor a new one: {}", opened.err));
        }
    }
    let leaves = world.files().into_iter().chain(world.temporary());
    for (name, (_, content)) in leaves {
        let own = name == "file.yaml" && scene.plain && !changed;
        let leaked = content.windows(CANARY.len()).any(|window| window == CANARY.as_bytes());
        if leaked && !own {
            return Err(format!("{name} holds plaintext"));
        }
    }
    let _ = fs::remove_dir_all(world.root().join("run"));
    Ok(changed)
}
