//! Real servers and peers for the tests of sealops.
//!
//! Nothing here is a mock, but for the clouds of `fakes`, which the vendors' own clients judge. [`ControlPlane`] is etcd, kube-apiserver and kube-controller-manager with an audit log;
//! [`SealedSecretsController`], [`Peers`], [`OpenBao`], [`Moto`] and [`Postgres`] are the programs that sealops must work with.
//! `testenv/build-parts.sh` builds them once from pinned versions.
//!
//! ```text
//!   test ──► ControlPlane ──► etcd, kube-apiserver, kube-controller-manager     (own folder, own ports)
//!        ──► SealedSecretsController, OpenBao, Moto, Postgres                   (killed with their value)
//!        ──► run_peer(kubeseal | sops, stdin, timeout)                          (never hangs a test)
//! ```
//!
//! A part that is missing or does not start is an error that says what to do; no test is ever skipped. Every wait has
//! a deadline, stretched by `SEALOPS_TEST_DEADLINE_FACTOR`, and ends at once when the process awaited has exited.
//! Ports below the ephemeral range keep two test binaries apart; addresses other than loopback need
//! `testenv/in-namespace.sh`.
//!
//! The environment: `SEALOPS_TEST_PARTS` (a file of `NAME=PATH` lines, instead of running `build-parts.sh`),
//! `SEALOPS_TEST_DEADLINE_FACTOR` (a number), `SEALOPS_CACHE` (where parts are built; read by the scripts).
//!
//! Starting is a blocking call for the plain servers (they are used by tests without a runtime too) and `async` for
//! everything that talks to the API server.
#![forbid(unsafe_code)]

mod audit;
mod control_plane;
mod external_secrets;
mod fakes;
mod fault_proxy;
mod gjson_oracle;
mod http_probe;
mod kubeconfig;
mod link_local;
mod manifests;
mod moto;
mod mounts;
mod name_server;
mod openbao;
mod openbao_server;
mod parts;
mod peers;
mod pki;
mod ports;
mod postgres;
mod process;
mod recorder;
mod run_peer;
mod sealed_secrets;
mod service_proxy;
mod template_oracle;

pub use audit::{AuditEntry, AuditLog, AuditMark};
pub use control_plane::{ControlPlane, ControlPlaneOptions};
pub use external_secrets::ExternalSecretsOperator;
pub use fakes::{AwsCredentials, FakeAzure, FakeHuawei};
pub use fakes::{GoogleCloud, Scope};
pub use fault_proxy::{Call, Canned, Fault, FaultProxy, Turns};
pub use gjson_oracle::{GjsonAnswer, ask_gjson};
pub use http_probe::{HttpAnswer, http_call, http_get};
pub use link_local::LinkLocal;
pub use moto::Moto;
pub use mounts::{with_etc, with_mounts};
pub use name_server::{GoLookup, NameServer, lookup_by_go};
pub use openbao::OpenBao;
pub use openbao_server::{OpenBaoRequest, OpenBaoServer};
pub use parts::Parts;
pub use peers::Peers;
pub use pki::{Identity, Pki};
pub use ports::{free_port, pod_address};
pub use postgres::Postgres;
pub use process::{Process, eventually, stretched};
pub use recorder::Recorder;
pub use run_peer::{PeerOutput, run_peer};
pub use sealed_secrets::SealedSecretsController;
pub use service_proxy::expose_through_service_proxy;
pub use template_oracle::{TemplateCase, TemplateSet, evaluate_with_go, function_names_of_go};
