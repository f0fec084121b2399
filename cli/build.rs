//! Links the command line so that it starts fast and runs anywhere: most of a call that lasts a millisecond is the loader's
//! work.
//!
//! - Without shared libraries, where their archives are installed: there is nothing to load, and no C library that has to be
//!   there, as in containers. kubeseal and sops are built the same way. What glibc cannot do in such a program is to ask the
//!   name service, whose plug-ins belong to another libc: hosts are looked up by `sealops_providers::names`, and users
//!   by `accounts`.
//! - At a fixed address: a position-independent executable has its tables of pointers rewritten at every start. Stack and
//!   heap stay at random addresses.
//! - Releases with the functions of short calls side by side, in the order of `start-order.txt`: the kernel maps code in
//!   pieces of 64 KiB as it is run, and these functions would lie in a hundred of them.
//!
//! The controller is linked as usual.

use std::path::{Path, PathBuf};
use std::process::Command;
use std::{env, fs};

fn main() {
    println!("cargo::rerun-if-changed=build.rs");
    println!("cargo::rerun-if-env-changed=SEALOPS_LINK_MAP");
    let target = |part: &str| env::var(format!("CARGO_CFG_TARGET_{part}")).unwrap_or_default();
    if (target("OS").as_str(), target("ENV").as_str()) != ("linux", "gnu") {
        return;
    }
    println!("cargo::rustc-link-arg-bins=-no-pie");
    let folder = PathBuf::from(env::var_os("OUT_DIR").expect("cargo sets OUT_DIR"));
    // Linker's scripts in the place of shared libraries: they name the archives. Tests are linked as usual.
    let script = |library: &str, text: &str| {
        fs::write(folder.join(format!("lib{library}.so")), format!("INPUT({text})\n"))
            .expect("OUT_DIR can be written");
    };
    println!("cargo::rustc-link-arg-bins=-L{}", folder.display());
    // Stack unwinding.
    script("gcc_s", "-lgcc_eh");
    if let (Some(c), Some(m)) = (archive("c"), archive("m")) {
        script("c", &c);
        script("m", &m);
        println!("cargo::rustc-link-arg-bins=-static");
    }
    if env::var("OPT_LEVEL").is_ok_and(|level| level == "3") {
        order(&folder.join("start-order.ld"));
    }
    // For `make start-order`, which wants to know where the functions are.
    if let Ok(map) = env::var("SEALOPS_LINK_MAP") {
        println!("cargo::rustc-link-arg-bins=-Wl,-Map={map}");
    }
}

/// Returns where the linker finds a library's archive. Some systems have those of the C library in a package of their own.
fn archive(library: &str) -> Option<String> {
    let linker = env::var_os("RUSTC_LINKER").unwrap_or_else(|| "cc".into());
    let out = Command::new(linker).arg(format!("-print-file-name=lib{library}.a")).output().ok()?;
    let path = String::from_utf8(out.stdout).ok()?.trim().to_owned();
    Path::new(&path).is_absolute().then_some(path)
}

/// Writes a linker's script that puts the functions of the list before all others. A line has a crate, which rustc's object
/// files have in their names, and the pattern of a symbol; or it is an archive's member, `ARCHIVE:MEMBER`. One that names
/// nothing is no error: the list grows old with the code, and costs time then, nothing else.
fn order(script: &Path) {
    const LIST: &str = "start-order.txt";
    println!("cargo::rerun-if-changed={LIST}");
    let list = fs::read_to_string(LIST).expect("start-order.txt can be read");
    let section = |line: &str| match line.split_once(' ') {
        Some(("*", symbol)) => format!("    *(.text.{symbol})\n"),
        Some((origin, symbol)) => format!("    *.{origin}.*(.text.{symbol})\n"),
        None => format!("    *{line}(.text)\n"),
    };
    let sections: String = list.lines().map(section).collect();
    let text = format!("SECTIONS\n{{\n  .text.start :\n  {{\n{sections}  }}\n}}\nINSERT BEFORE .text;\n");
    fs::write(script, text).expect("OUT_DIR can be written");
    println!("cargo::rustc-link-arg-bins=-Wl,-T,{}", script.display());
}
