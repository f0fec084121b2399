//! A client for one watch that neither storms the API server nor waits for it for ever.
//!
//! kube's watcher starts over at once when a watch is refused or expired, and its back-off begins anew with every list
//! that succeeds: a watch that always expires would list without end. It also waits for an answer without a bound.
//! Here every list and every watch request waits for its turn, and a request that stays without an answer fails.
//!
//! A watch that has shown something is not one of a series: an API server that cannot keep up closes watches in the
//! middle of a burst, and what it has not sent waits for the next one.

use std::borrow::Cow;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use ::http::{Request, Response, StatusCode, Uri};
use bytes::Bytes;
use http_body_util::BodyExt;
use http_body_util::combinators::UnsyncBoxBody;
use kube::Client;
use kube::client::Body;
use tokio::time::{Instant, sleep_until, timeout};

use crate::cluster::lock;

/// First and longest pause between the starts of two requests of the same kind.
const FIRST_PAUSE: Duration = Duration::from_secs(1);
const LONGEST_PAUSE: Duration = Duration::from_secs(30);
/// Part of a pause that is added at random, so that replicas do not come all at once.
const JITTER: f64 = 0.2;
/// A request that went well for this long ends the series of pauses.
const CALM: Duration = Duration::from_secs(120);
/// Longest wait for the head of an answer, and for all of one page of a list.
const ANSWER_TIMEOUT: Duration = Duration::from_secs(60);

/// Objects of a page of a list after the first one, at least and at most, and the bytes that one is meant to have.
const SHORTEST_PAGE: usize = 25;
const LONGEST_PAGE: usize = 500;
const PAGE_BYTES: usize = 1 << 20;

/// What a watch sends instead of a status line where its version is too old.
const EXPIRED: &[u8] = b"{\"type\":\"ERROR\",\"object\":{\"kind\":\"Status\",\"apiVersion\":\"v1\",\"metadata\":{},\"status\":\"Failure\",\"message\":\"the watch is too old\",\"reason\":\"Expired\",\"code\":410}}\n";

/// How an event begins that ends the watch.
const ERROR: &[u8] = b"{\"type\":\"ERROR\"";

/// Starts of requests of one kind.
#[derive(Debug, Default)]
struct Starts {
    last: Option<Instant>,
    in_a_row: u32,
}

impl Starts {
    /// Returns when the next request may start, and counts it as started then. `random` lies in 0 to 1.
    fn next(&mut self, now: Instant, random: f64) -> Instant {
        let start = match self.last {
            Some(last) if now.saturating_duration_since(last) < CALM => {
                let pause = FIRST_PAUSE.saturating_mul(1 << self.in_a_row.min(16)).min(LONGEST_PAUSE);
                self.in_a_row += 1;
                now.max(last + pause.mul_f64(1.0 + JITTER * random))
            }
            _ => {
                self.in_a_row = 0;
                now
            }
        };
        self.last = Some(start);
        start
    }

    /// The last request was of use.
    fn went_well(&mut self) {
        self.in_a_row = 0;
    }
}

#[derive(Debug, Default)]
struct Pace {
    lists: Starts,
    watches: Starts,
    /// Objects of the next page of a list; `None` is as it is asked for.
    page: Option<usize>,
}

impl Pace {
    /// Takes in what a page came to: the next one is as long as bytes of its kind allow.
    fn page_came(&mut self, objects: usize, bytes: usize) {
        let room = (PAGE_BYTES * objects).checked_div(bytes).unwrap_or(0);
        self.page = Some(room.clamp(SHORTEST_PAGE, LONGEST_PAGE));
    }
}

/// Wraps a client for one watch.
pub(super) fn paced(client: &Client) -> Client {
    let namespace = client.default_namespace().to_owned();
    let (client, pace) = (client.clone(), Arc::new(Mutex::new(Pace::default())));
    let service = tower::service_fn(move |request: Request<Body>| {
        let (client, pace) = (client.clone(), Arc::clone(&pace));
        async move { send(&client, &pace, request).await }
    });
    Client::new(service, namespace)
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Kind {
    /// The first page of a list.
    List,
    /// A later page, which waits for nothing and has the length that suits.
    Page,
    Watch,
}

impl Kind {
    fn of(request: &Request<Body>) -> Self {
        let query = request.uri().query().unwrap_or_default();
        let has = |name: &str| query.split('&').any(|pair| pair.split('=').next() == Some(name));
        match (has("watch"), has("continue")) {
            (true, _) => Self::Watch,
            (false, true) => Self::Page,
            (false, false) => Self::List,
        }
    }
}

type BoxError = Box<dyn std::error::Error + Send + Sync>;
/// Body of an answer.
type Answer = UnsyncBoxBody<Bytes, BoxError>;

fn boxed<B>(body: B) -> Answer
where
    B: hyper::body::Body<Data = Bytes> + Send + 'static,
    B::Error: Into<BoxError>,
{
    body.map_err(Into::into).boxed_unsync()
}

async fn send(
    client: &Client,
    pace: &Arc<Mutex<Pace>>,
    mut request: Request<Body>,
) -> Result<Response<Answer>, BoxError> {
    let kind = Kind::of(&request);
    let start = {
        let (now, random) = (Instant::now(), random());
        let mut pace = lock(pace);
        match kind {
            Kind::List => pace.lists.next(now, random),
            Kind::Watch => pace.watches.next(now, random),
            Kind::Page => {
                if let Some(uri) = pace.page.and_then(|page| with_limit(request.uri(), page)) {
                    *request.uri_mut() = uri;
                }
                now
            }
        }
    };
    let limit = limit_of(request.uri());
    sleep_until(start).await;
    let answer = timeout(ANSWER_TIMEOUT, async {
        let answer = client.send(request).await?;
        if kind == Kind::Watch {
            return Ok(answer);
        }
        let (head, body) = answer.into_parts();
        let body = body.collect().await?.to_bytes();
        if let Some(limit) = limit {
            lock(pace).page_came(limit, body.len());
        }
        Ok::<_, kube::Error>(Response::from_parts(head, Body::from(body)))
    })
    .await
    .map_err(|_| format!("no answer within {} s", ANSWER_TIMEOUT.as_secs()))??;
    if kind == Kind::Watch && answer.status() == StatusCode::GONE {
        // kube starts over after an event of this kind only.
        return Ok(Response::new(boxed(Body::from(EXPIRED.to_vec()))));
    }
    let counts = kind == Kind::Watch && answer.status().is_success();
    let pace = Arc::clone(pace);
    Ok(answer.map(|body| {
        boxed(body.map_frame(move |frame| {
            if counts && frame.data_ref().is_some_and(|data| !data.is_empty() && !data.starts_with(ERROR)) {
                lock(&pace).watches.went_well();
            }
            frame
        }))
    }))
}

fn limit_of(uri: &Uri) -> Option<usize> {
    uri.query()?.split('&').find_map(|pair| pair.strip_prefix("limit="))?.parse().ok()
}

fn with_limit(uri: &Uri, limit: usize) -> Option<Uri> {
    let pairs = uri.query()?.split('&');
    let pairs = pairs.map(|pair| match pair.starts_with("limit=") {
        true => Cow::Owned(format!("limit={limit}")),
        false => Cow::Borrowed(pair),
    });
    let text = format!("{}?{}", uri.path(), pairs.collect::<Vec<_>>().join("&"));
    let mut parts = uri.clone().into_parts();
    parts.path_and_query = Some(text.parse().ok()?);
    Uri::from_parts(parts).ok()
}

fn random() -> f64 {
    let mut bytes = [0; 2];
    // Without randomness pauses are as long as can be.
    getrandom::fill(&mut bytes).map_or(1.0, |()| f64::from(u16::from_le_bytes(bytes)) / f64::from(u16::MAX))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test(start_paused = true)]
    async fn pauses_grow_to_the_longest_and_end_with_a_calm_time() {
        let mut starts = Starts::default();
        let mut now = Instant::now();
        let pauses: Vec<u64> = (0..8)
            .map(|_| {
                let start = starts.next(now, 0.0);
                let pause = start - now;
                now = start;
                pause.as_secs()
            })
            .collect();
        assert_eq!(pauses, [0, 1, 2, 4, 8, 16, 30, 30]);
        assert_eq!(starts.next(now, 1.0) - now, LONGEST_PAUSE.mul_f64(1.2));
        now += LONGEST_PAUSE.mul_f64(1.2) + CALM;
        assert_eq!(starts.next(now, 0.0), now);
        assert_eq!(starts.next(now, 0.0) - now, FIRST_PAUSE);
    }

    #[test]
    fn pages_are_as_long_as_their_bytes_allow() {
        let mut pace = Pace::default();
        let mut next = |objects, bytes| {
            pace.page_came(objects, bytes);
            let uri: Uri = "/api/v1/secrets?limit=100&labelSelector=a%3Db&continue=x".parse().unwrap();
            with_limit(&uri, pace.page.unwrap()).unwrap().to_string()
        };
        assert_eq!(next(100, 100 << 10), "/api/v1/secrets?limit=500&labelSelector=a%3Db&continue=x");
        assert!(next(100, 500 << 10).contains("?limit=204&"));
        assert!(next(100, 100 << 20).contains("?limit=25&"));
        assert!(next(100, 0).contains("?limit=25&"));
    }

    #[test]
    fn tells_lists_pages_and_watches_apart() {
        for (uri, kind) in [
            ("/api/v1/secrets?limit=100", Kind::List),
            ("/api/v1/secrets?limit=100&continue=x", Kind::Page),
            ("/api/v1/secrets?watch=true&resourceVersion=1", Kind::Watch),
            ("/api/v1/secrets", Kind::List),
        ] {
            let request = Request::builder().uri(uri).body(Body::empty()).unwrap();
            assert_eq!(Kind::of(&request), kind, "{uri}");
        }
    }
}
