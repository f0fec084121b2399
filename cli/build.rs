//! Links the command line at a fixed address.
//!
//! A position-independent executable has its tables of pointers rewritten at every start: for a call that lasts a
//! millisecond that is most of the work. Stack, heap and libraries stay at random addresses;
//! kubeseal and sops, as Go links them, are built the same way. The controller is not.

fn main() {
    println!("cargo::rerun-if-changed=build.rs");
    let target = |part: &str| std::env::var(format!("CARGO_CFG_TARGET_{part}")).unwrap_or_default();
    if (target("OS").as_str(), target("ENV").as_str()) == ("linux", "gnu") {
        println!("cargo::rustc-link-arg-bins=-no-pie");
    }
}
