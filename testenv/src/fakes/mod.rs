//! Servers of clouds that cannot be had here, written from their public descriptions. One is worth something only as
//! long as the vendor's own client and the real sops pass the same list of cases against it as ours
//! (`cli/tests/runner/sops`).

mod aws_credentials;
mod azure;
mod client_certificate;
mod google;
mod https;
mod huawei;
mod rsa_key;

pub use aws_credentials::AwsCredentials;
pub use azure::FakeAzure;
pub use google::{GoogleCloud, Scope};
pub use huawei::FakeHuawei;
