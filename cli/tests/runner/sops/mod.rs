//! The command of SOPS, judged by the real sops 3.13.3.

mod bad_input;
mod canary;
mod differential;
mod fixtures;
mod key_service;
mod kill_points;
mod kms;
mod table;
mod verbs;
mod world;
