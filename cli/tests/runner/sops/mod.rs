//! The command of SOPS, judged by the real sops 3.13.3.

mod fixtures;
mod table;
mod world;
