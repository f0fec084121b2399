//! Links the command line so that it starts fast: most of a call that lasts a millisecond is the loader's work.
//!
//! - At a fixed address: a position-independent executable has its tables of pointers rewritten at every start. Stack,
//!   heap and libraries stay at random addresses; kubeseal and sops, as Go links them, are built the same way.
//! - With the compiler's library (stack unwinding) inside: each shared library costs its mappings and one more table in
//!   which every symbol is looked for.
//! - Releases with the functions of short calls side by side, in the order of `start-order.txt`: the kernel maps code in
//!   pieces of 64 KiB as it is run, and these functions would lie in a hundred of them.
//!
//! The controller is linked as usual.

use std::path::{Path, PathBuf};
use std::{env, fs};

fn main() {
    println!("cargo::rerun-if-changed=build.rs");
    println!("cargo::rerun-if-env-changed=SEALOPS_LINK_MAP");
    let target = |part: &str| env::var(format!("CARGO_CFG_TARGET_{part}")).unwrap_or_default();
    if (target("OS").as_str(), target("ENV").as_str()) != ("linux", "gnu") {
        return;
    }
    println!("cargo::rustc-link-arg-bins=-no-pie");
    // A linker's script where the shared library is looked for first: it names the archive.
    let folder = PathBuf::from(env::var_os("OUT_DIR").expect("cargo sets OUT_DIR"));
    fs::write(folder.join("libgcc_s.so"), "INPUT(-lgcc_eh)\n").expect("OUT_DIR can be written");
    println!("cargo::rustc-link-search=native={}", folder.display());
    if env::var("OPT_LEVEL").is_ok_and(|level| level == "3") {
        order(&folder.join("start-order.ld"));
    }
    // For `make start-order`, which wants to know where the functions are.
    if let Ok(map) = env::var("SEALOPS_LINK_MAP") {
        println!("cargo::rustc-link-arg-bins=-Wl,-Map={map}");
    }
}

/// Writes a linker's script that puts the functions of the list before all others. A line has a crate, which rustc's object
/// files have in their names, and the pattern of a symbol. One that names nothing is no error: the list grows old with the
/// code, and costs time then, nothing else.
fn order(script: &Path) {
    const LIST: &str = "start-order.txt";
    println!("cargo::rerun-if-changed={LIST}");
    let list = fs::read_to_string(LIST).expect("start-order.txt can be read");
    let section = |line: &str| match line.split_once(' ') {
        Some(("*", symbol)) => format!("    *(.text.{symbol})\n"),
        Some((origin, symbol)) => format!("    *.{origin}.*(.text.{symbol})\n"),
        None => String::new(),
    };
    let sections: String = list.lines().map(section).collect();
    let text = format!("SECTIONS\n{{\n  .text.start :\n  {{\n{sections}  }}\n}}\nINSERT BEFORE .text;\n");
    fs::write(script, text).expect("OUT_DIR can be written");
    println!("cargo::rustc-link-arg-bins=-Wl,-T,{}", script.display());
}
