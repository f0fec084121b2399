//! What is logged, where, and in which form.
//!
//! * Lines look like those of Go's slog, which upstream writes: `time=… level=INFO msg="…" key=value`, or JSON.
//! * INFO and below go to stdout and the rest to stderr, as upstream's `--log-info-stdout` (default true) has it.
//! * Foreign crates are capped at WARN whatever the level, and `kube_client` at ERROR: at WARN it prints response
//!   bodies that do not parse as JSON, and a body may be a Secret.

mod slog;

use std::io;
use std::str::FromStr;

use tracing::level_filters::LevelFilter;
use tracing::{Level, Subscriber};
use tracing_subscriber::Layer as _;
use tracing_subscriber::filter::Targets;
use tracing_subscriber::fmt::MakeWriter;
use tracing_subscriber::fmt::writer::{BoxMakeWriter, MakeWriterExt as _};
use tracing_subscriber::layer::SubscriberExt as _;
use tracing_subscriber::util::SubscriberInitExt as _;

use self::slog::Slog;

/// How the process logs.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct LogOptions {
    /// Least important level that is logged.
    pub threshold: Threshold,
    /// Form of a line.
    pub format: LogFormat,
    /// Where INFO goes.
    pub info: InfoStream,
}

/// Least important level that is logged, parsed from the slog level names of `--log-level`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Threshold(LevelFilter);

/// Form of a log line, `--log-format`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum LogFormat {
    /// For people.
    #[default]
    Text,
    /// One JSON object per line.
    Json,
}

/// Where INFO goes, `--log-info-stdout`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum InfoStream {
    /// INFO and DEBUG to stdout, the rest to stderr.
    #[default]
    Stdout,
    /// All levels to stderr.
    Stderr,
}

/// Why a log flag or the initialisation was refused.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum LogError {
    /// Another subscriber is in place.
    #[error("logging is already initialised")]
    AlreadyInitialised,
    /// `--log-format` is neither `text` nor `json`.
    #[error("unknown log format, use text or json")]
    Format,
    /// `--log-level` is not a slog level name.
    #[error("unknown log level, use DEBUG, INFO, WARN or ERROR")]
    Level,
}

/// Installs the process-wide logger.
///
/// # Errors
///
/// [`LogError::AlreadyInitialised`] when there is one.
pub fn init(options: LogOptions) -> Result<(), LogError> {
    let writer = match options.info {
        InfoStream::Stdout => BoxMakeWriter::new(
            io::stdout.with_filter(|metadata| *metadata.level() >= Level::INFO).or_else(io::stderr),
        ),
        InfoStream::Stderr => BoxMakeWriter::new(io::stderr),
    };
    subscriber(options, writer).try_init().map_err(|_| LogError::AlreadyInitialised)
}

fn subscriber<W>(options: LogOptions, writer: W) -> Box<dyn Subscriber + Send + Sync>
where
    W: for<'a> MakeWriter<'a> + Send + Sync + 'static,
{
    let lines = tracing_subscriber::fmt::layer()
        .with_ansi(false)
        .with_writer(writer)
        .event_format(Slog(options.format));
    Box::new(tracing_subscriber::registry().with(lines.with_filter(filter(options.threshold))))
}

/// Caps the levels by target: our crates at the threshold, the others lower.
fn filter(Threshold(threshold): Threshold) -> Targets {
    Targets::new()
        .with_default(threshold.min(FOREIGN_CAP))
        .with_target(OWN_TARGETS, threshold)
        .with_target(KUBE_CLIENT, threshold.min(KUBE_CLIENT_CAP))
}

impl Default for Threshold {
    fn default() -> Self {
        Self(LevelFilter::INFO)
    }
}

/// Parses a name of Go's slog, in any case, with an optional offset: `INFO`, `warn`, `ERROR-2`.
impl FromStr for Threshold {
    type Err = LogError;

    fn from_str(text: &str) -> Result<Self, LogError> {
        let (name, offset) = text.split_at(text.find(['+', '-']).unwrap_or(text.len()));
        let base = match name.to_ascii_uppercase().as_str() {
            "DEBUG" => -4,
            "INFO" => 0,
            "WARN" => 4,
            "ERROR" => 8,
            _ => return Err(LogError::Level),
        };
        let offset: i32 = if offset.is_empty() { 0 } else { offset.parse().map_err(|_| LogError::Level)? };
        // The levels that slog would still print, in its numbers.
        Ok(Self(match offset.saturating_add(base) {
            ..=-5 => LevelFilter::TRACE,
            -4 => LevelFilter::DEBUG,
            -3..=0 => LevelFilter::INFO,
            1..=4 => LevelFilter::WARN,
            5..=8 => LevelFilter::ERROR,
            9.. => LevelFilter::OFF,
        }))
    }
}

impl FromStr for LogFormat {
    type Err = LogError;

    fn from_str(text: &str) -> Result<Self, LogError> {
        match text {
            "text" => Ok(Self::Text),
            "json" => Ok(Self::Json),
            _ => Err(LogError::Format),
        }
    }
}

/// Prefix of the targets of all our crates.
const OWN_TARGETS: &str = "sealops";
const FOREIGN_CAP: LevelFilter = LevelFilter::WARN;
const KUBE_CLIENT: &str = "kube_client";
const KUBE_CLIENT_CAP: LevelFilter = LevelFilter::ERROR;

#[cfg(test)]
mod tests {
    use std::sync::{Arc, Mutex};

    use tracing::{debug, error, info, trace, warn};

    use super::*;

    #[derive(Clone, Default)]
    struct Captured(Arc<Mutex<Vec<u8>>>);

    impl io::Write for Captured {
        fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
            self.0.lock().unwrap().extend_from_slice(bytes);
            Ok(bytes.len())
        }

        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }

    fn capture(threshold: &str, format: LogFormat, log: impl FnOnce()) -> String {
        let captured = Captured::default();
        let options =
            LogOptions { threshold: threshold.parse().unwrap(), format, info: InfoStream::default() };
        let writer = captured.clone();
        tracing::subscriber::with_default(subscriber(options, move || writer.clone()), log);
        let bytes = captured.0.lock().unwrap().clone();
        String::from_utf8(bytes).unwrap()
    }

    fn log_everywhere() {
        trace!(target: "sealops_controller::cluster", "own-trace");
        debug!(target: "sealops_controller::cluster", "own-debug");
        info!(target: "sealops", "own-info");
        for_foreign();
        warn!(target: "kube_client::client", "body-warn");
        error!(target: "kube_client::client", "kube-error");
    }

    fn for_foreign() {
        debug!(target: "hyper::proto", "hyper-debug");
        info!(target: "kube_runtime::watcher", "runtime-info");
        info!(target: "rustls", "rustls-info");
        warn!(target: "kube_runtime::watcher", "runtime-warn");
        warn!(target: "tower::buffer", "tower-warn");
    }

    #[test]
    fn caps_foreign_crates_whatever_the_level() {
        let text = capture("DEBUG-4", LogFormat::Text, log_everywhere);
        for shown in ["own-trace", "own-debug", "own-info", "runtime-warn", "tower-warn", "kube-error"] {
            assert!(text.contains(shown), "{shown} in {text}");
        }
        for hidden in ["hyper-debug", "runtime-info", "rustls-info", "body-warn"] {
            assert!(!text.contains(hidden), "{hidden} in {text}");
        }
    }

    #[test]
    fn threshold_applies_to_all() {
        let text = capture("ERROR", LogFormat::Text, log_everywhere);
        assert_eq!(text.lines().count(), 1);
        assert!(text.contains("kube-error"));
        assert_eq!(capture("ERROR+1", LogFormat::Text, log_everywhere), "");
    }

    #[test]
    fn text_has_no_escape_codes_and_json_is_flat() {
        let log = || info!(target: "sealops", namespace = "a", "unsealed");
        assert!(!capture("INFO", LogFormat::Text, log).contains('\u{1b}'));
        let line = capture("INFO", LogFormat::Json, log);
        let json: serde_json::Value = serde_json::from_str(&line).unwrap();
        assert_eq!(json["msg"], "unsealed");
        assert_eq!((json["namespace"].as_str(), json["level"].as_str()), (Some("a"), Some("INFO")));
    }

    #[test]
    fn parses_slog_levels() {
        let parsed = |text: &str| text.parse::<Threshold>().ok().map(|threshold| threshold.0);
        assert_eq!(parsed("INFO"), Some(LevelFilter::INFO));
        assert_eq!(parsed("info"), Some(LevelFilter::INFO));
        assert_eq!(parsed("Error-4"), Some(LevelFilter::WARN));
        assert_eq!(parsed("INFO+1"), Some(LevelFilter::WARN));
        for bad in ["", "TRACE", "INFO+", "INFO-x", "5", "INFO 1"] {
            assert_eq!(parsed(bad), None, "{bad}");
        }
        assert!("yaml".parse::<LogFormat>().is_err());
    }
}
