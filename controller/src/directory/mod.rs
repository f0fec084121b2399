//! Offline mode: manifests in, Secrets out, by the same reconcilers as in a cluster.
//!
//! ```text
//!   folder ──load──► Directory ──render──► Rendered { secrets, problems }
//!                      (an ObjectReader over the parsed manifests; nothing is written here)
//! ```

mod load;
mod reader;
mod render;

pub use load::{Directory, DirectoryError, MAX_DEPTH, MAX_FILE_BYTES, MAX_FILES, Manifest, files};
pub use render::{Problem, RenderOptions, Rendered, RenderedSecret, render};
