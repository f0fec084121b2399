//! Links the command line so that it starts fast: most of a call that lasts a millisecond is the loader's work.
//!
//! - At a fixed address: a position-independent executable has its tables of pointers rewritten at every start. Stack,
//!   heap and libraries stay at random addresses; kubeseal and sops, as Go links them, are built the same way.
//! - With the compiler's library (stack unwinding) inside: each shared library costs its mappings and one more table in
//!   which every symbol is looked for.
//!
//! The controller is linked as usual.

use std::path::PathBuf;
use std::{env, fs};

fn main() {
    println!("cargo::rerun-if-changed=build.rs");
    let target = |part: &str| env::var(format!("CARGO_CFG_TARGET_{part}")).unwrap_or_default();
    if (target("OS").as_str(), target("ENV").as_str()) != ("linux", "gnu") {
        return;
    }
    println!("cargo::rustc-link-arg-bins=-no-pie");
    // A linker's script where the shared library is looked for first: it names the archive.
    let folder = PathBuf::from(env::var_os("OUT_DIR").expect("cargo sets OUT_DIR"));
    fs::write(folder.join("libgcc_s.so"), "INPUT(-lgcc_eh)\n").expect("OUT_DIR can be written");
    println!("cargo::rustc-link-search=native={}", folder.display());
}
