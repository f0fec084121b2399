//! Offline mode: manifests in, Secrets out, by the same reconcilers as in a cluster.
//!
//! ```text
//!   folder ──load──► Directory ──render──► Rendered { secrets, problems }
//!                      (an ObjectReader over the parsed manifests; nothing is written here)
//! ```

mod check;
mod load;
mod reader;
mod render;
mod session;

pub use check::{CheckOptions, Checked, Finding, Progress, Severity, check};
pub use load::{Directory, DirectoryError, MAX_DEPTH, MAX_FILE_BYTES, MAX_FILES, Manifest, files};
pub use render::{Problem, RenderOptions, Rendered, RenderedSecret, render};
