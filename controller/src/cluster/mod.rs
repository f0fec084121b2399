//! The cluster side of the controller: work queue, leader election, metrics, HTTP servers, logs and events.

pub mod events;
pub mod http;
pub mod leader;
pub mod log;
pub mod metrics;
pub mod queue;
