//! Templates against Go itself and OpenSSL.
#![allow(missing_docs, unreachable_pub, clippy::unwrap_used)]

mod crypto;
mod crypto_cases;
mod openssl;
