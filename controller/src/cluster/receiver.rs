//! The receiver of notices (off unless it has a key): a store says that values have changed, and what reads them is
//! refreshed at once. What a notice is: [`crate::external::notice`].
//!
//! It makes objects due and nothing else: no value comes in, and none goes out. Whoever has no key cannot do more than send
//! requests, within the limits below; a notice counts once.

use std::collections::HashMap;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use aws_lc_rs::hmac;
use hyper::Method;
use jiff::Timestamp;
use sealops_formats::Plaintext;
use tokio::sync::watch;
use tokio::task::JoinHandle;
use tokio::time::Instant;
use tracing::{info, warn};

use super::http::{Clients, Limiter, Limits, Request, Response, Route, Router, respond, serve, text};
use super::leader::Leadership;
use super::lock;
use super::metrics::{Counter, Metrics};
use super::run::bind;
use crate::external::notice::{
    HUB_SIGNATURE_HEADER, MIN_KEY_BYTES, Notice, NoticeProblem, SIGNATURE_HEADER, Signed, TIMESTAMP_HEADER,
    TOLERANCE, Tag,
};

/// Path of the notices.
pub const PATH: &str = "/v1/refresh";
/// Bytes of a notice.
const MAX_NOTICE_BYTES: usize = 64 << 10;
/// Bytes of a file with a key.
const MAX_KEY_BYTES: u64 = 4 << 10;
/// For reading and answering a notice.
const NOTICE_TIMEOUT: Duration = Duration::from_secs(10);
/// Notices a second of one client.
const RATE: u32 = 5;
/// Notices beyond that at once.
const BURST: u32 = 20;
/// Notices that are remembered, so that none counts twice: more than the rate lets through while they are young.
const MAX_REMEMBERED: usize = 16_384;
const NOTICES: Counter<1> = Counter::new(
    "sealops_refresh_notices_total",
    "Notices of changed values by result (accepted, unsigned, untimely, replayed, malformed, not_leading, full).",
    ["result"],
);
const REFRESHED: Counter<0> =
    Counter::new("sealops_refresh_objects_total", "ExternalSecrets that notices made due.", []);

/// What the receiver is told.
#[derive(Debug, Clone, Default)]
pub struct ReceiverOptions {
    /// Addresses: the first that can be had. None where it is off.
    pub listen: Vec<SocketAddr>,
    /// Files with keys; each of them may sign. Read at each notice, so that a mounted Secret is followed.
    pub keys: Vec<PathBuf>,
}

/// Makes objects due, and returns how many.
pub(super) type Refresh = Box<dyn Fn(&Notice) -> usize + Send + Sync>;

struct Receiver {
    keys: Vec<PathBuf>,
    leadership: Leadership,
    refresh: Refresh,
    metrics: Arc<Metrics>,
    /// Tags of the notices that were followed, and when they are forgotten.
    followed: Mutex<HashMap<Tag, i64>>,
}

/// Serves notices until `stop`. `None` where the receiver is off.
///
/// # Errors
/// Returns that there is no key, or that the address cannot be had.
pub(super) async fn receive(
    options: &ReceiverOptions,
    leadership: Leadership,
    refresh: Refresh,
    metrics: &Arc<Metrics>,
    stop: watch::Receiver<bool>,
) -> Result<Option<JoinHandle<()>>, String> {
    if options.listen.is_empty() {
        return Ok(None);
    }
    read_keys(&options.keys)?;
    let listener = bind(&options.listen).await?;
    let receiver = Arc::new(Receiver {
        keys: options.keys.clone(),
        leadership,
        refresh,
        metrics: Arc::clone(metrics),
        followed: Mutex::default(),
    });
    let limiter = Limiter::new(RATE, BURST).ok_or("the rate of notices is none")?;
    let clients = Clients::default();
    let route = Route::new(move |request| {
        let receiver = Arc::clone(&receiver);
        async move { receiver.answer(&request) }
    });
    let route = route
        .with_body()
        .measured()
        .limited(move |request| limiter.admit(clients.of(request), PATH, Instant::now()));
    let limits = Limits {
        body: NOTICE_TIMEOUT,
        request: NOTICE_TIMEOUT,
        body_bytes: MAX_NOTICE_BYTES,
        ..Limits::default()
    };
    let router = Router::new().route(PATH, route);
    Ok(Some(tokio::spawn(serve(listener, router, Some(Arc::clone(metrics)), limits, stop))))
}

/// Reads the keys: a file's bytes without a line end.
fn read_keys(files: &[PathBuf]) -> Result<Vec<hmac::Key>, String> {
    if files.is_empty() {
        return Err("notices need a key that signs them: name its file".to_owned());
    }
    let read = |path: &PathBuf| {
        let problem = |what: String| format!("{}: {what}", path.display());
        let size = std::fs::metadata(path).map_err(|error| problem(error.to_string()))?.len();
        if size > MAX_KEY_BYTES {
            return Err(problem(format!("a key has {MAX_KEY_BYTES} bytes at most")));
        }
        let bytes = Plaintext::from(std::fs::read(path).map_err(|error| problem(error.to_string()))?);
        let key = bytes.expose().trim_ascii_end();
        if key.len() < MIN_KEY_BYTES {
            return Err(problem(format!("a key has {MIN_KEY_BYTES} bytes at least")));
        }
        Ok(hmac::Key::new(hmac::HMAC_SHA256, key))
    };
    files.iter().map(read).collect()
}

impl Receiver {
    fn answer(&self, request: &Request) -> Response {
        let (result, response) = self.follow(request);
        self.metrics.registry().add(&NOTICES, [result], 1.0);
        response
    }

    fn follow(&self, request: &Request) -> (&'static str, Response) {
        if *request.method() != Method::POST {
            return ("malformed", text(405, "send a notice by POST\n"));
        }
        let keys = match read_keys(&self.keys) {
            Ok(keys) => keys,
            Err(problem) => {
                warn!(problem, "notices cannot be checked");
                return ("unsigned", text(503, "notices cannot be checked now\n"));
            }
        };
        let header = |name: &str| request.headers().get(name).and_then(|value| value.to_str().ok());
        let signed = Signed {
            timestamp: header(TIMESTAMP_HEADER),
            signature: header(SIGNATURE_HEADER),
            hub_signature: header(HUB_SIGNATURE_HEADER),
        };
        let now = Timestamp::now().as_second();
        let (notice, tag) = match Notice::read(&keys, signed, request.body(), now) {
            Ok(read) => read,
            Err(problem) => return refused(problem),
        };
        if !self.leadership.is_leader() {
            return ("not_leading", text(503, "this replica does not lead; send it again\n"));
        }
        match self.remember(tag, now) {
            Remembered::New => {}
            Remembered::Before => return ("replayed", text(409, "this notice came before\n")),
            Remembered::Full => return ("full", text(503, "too many notices; send it later\n")),
        }
        let count = (self.refresh)(&notice);
        self.metrics.registry().add(&REFRESHED, [], count as f64);
        info!(objects = count, "a store says that values have changed");
        ("accepted", respond(202, "application/json", format!("{{\"refreshed\":{count}}}\n")))
    }

    /// A notice is remembered for as long as its time would be right.
    fn remember(&self, tag: Tag, now: i64) -> Remembered {
        let mut followed = lock(&self.followed);
        if followed.len() >= MAX_REMEMBERED {
            followed.retain(|_, until| *until > now);
        }
        if followed.contains_key(&tag) {
            return Remembered::Before;
        }
        if followed.len() >= MAX_REMEMBERED {
            return Remembered::Full;
        }
        // Its time may be ahead of ours by the tolerance.
        followed.insert(tag, now.saturating_add(2 * TOLERANCE + 1));
        Remembered::New
    }
}

enum Remembered {
    New,
    Before,
    Full,
}

fn refused(problem: NoticeProblem) -> (&'static str, Response) {
    let (result, code) = match problem {
        NoticeProblem::Unsigned => ("unsigned", 401),
        NoticeProblem::Untimely => ("untimely", 401),
        NoticeProblem::Malformed | NoticeProblem::Boundless => ("malformed", 400),
    };
    (result, respond(code, "text/plain; charset=utf-8", format!("{problem}\n")))
}
