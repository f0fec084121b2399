//! Integration tests of the template engine: Go itself and OpenSSL judge.
#![allow(missing_docs, unreachable_pub, clippy::unwrap_used, clippy::print_stdout)]

mod cases;
mod crypto;
mod crypto_cases;
mod differential;
mod generator;
mod golden;
mod limits;
mod mutation;
mod openssl;
mod support;
