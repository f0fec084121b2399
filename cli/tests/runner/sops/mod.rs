//! The command of SOPS, judged by the real sops 3.13.3.

mod age_keys;
mod audit;
mod aws_machine;
mod azure;
mod bad_input;
mod canary;
mod differential;
mod editing;
mod faults;
mod fixtures;
mod google;
mod huawei;
mod key_service;
mod kill_points;
mod kms;
mod many_files;
mod mfa;
mod network_keys;
mod publish;
mod table;
mod users;
mod vault;
mod verbs;
pub(crate) mod world;
mod writes;
