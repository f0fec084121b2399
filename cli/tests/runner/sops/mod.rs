//! The command of SOPS, judged by the real sops 3.13.3.

mod age_keys;
mod bad_input;
mod canary;
mod differential;
mod editing;
mod fixtures;
mod key_service;
mod kill_points;
mod many_files;
mod kms;
mod table;
mod users;
mod verbs;
mod world;
mod writes;
