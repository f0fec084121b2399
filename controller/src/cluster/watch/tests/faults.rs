//! An API server that misbehaves, and a clock that does not wait for it.

use std::convert::Infallible;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use ::http::{Request, Response};
use bytes::Bytes;
use futures::StreamExt;
use futures::stream::{self, BoxStream};
use http_body_util::StreamBody;
use hyper::body::Frame;
use kube::Client;
use kube::client::Body;
use serde_json::{Value, json};
use tokio::time::{Instant, sleep, timeout};

use crate::cluster::watch::{Namespaces, Seen, secrets};

/// What the server does with a request.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Answer {
    /// A list of one object; for a watch an event about another, and silence.
    Good,
    /// The event that the version is too old, and the end.
    ExpiredEvent,
    /// The same as a status line.
    ExpiredStatus,
    /// A watch that ends at once.
    Closed,
    /// A watch that ends after an event.
    Cut,
    /// 500.
    Broken,
    /// Nothing, not even a head.
    NoHead,
    /// A head, and then nothing.
    NoBody,
}

type Rule = fn(is_watch: bool, number: usize) -> Answer;
type Requests = Arc<Mutex<Vec<(bool, Instant)>>>;
type Answered = StreamBody<BoxStream<'static, Result<Frame<Bytes>, Infallible>>>;

fn text(value: &Value) -> BoxStream<'static, Result<Frame<Bytes>, Infallible>> {
    stream::iter([Ok(Frame::data(Bytes::from(format!("{value}\n"))))]).boxed()
}

fn object(name: &str, version: &str) -> Value {
    json!({
        "apiVersion": "meta.k8s.io/v1", "kind": "PartialObjectMetadata",
        "metadata": { "namespace": "shop", "name": name, "uid": name, "resourceVersion": version },
    })
}

fn expired() -> Value {
    json!({ "kind": "Status", "apiVersion": "v1", "metadata": {}, "status": "Failure", "reason": "Expired",
            "message": "too old", "code": 410 })
}

fn body(is_watch: bool, answer: Answer) -> (u16, Answered) {
    let nothing = || stream::pending().boxed();
    let (code, stream) = match answer {
        Answer::Good if is_watch => {
            let event = json!({ "type": "ADDED", "object": object("late", "7") });
            (200, text(&event).chain(nothing()).boxed())
        }
        Answer::Good => {
            let list = json!({ "apiVersion": "meta.k8s.io/v1", "kind": "PartialObjectMetadataList",
                               "metadata": { "resourceVersion": "5" }, "items": [object("listed", "3")] });
            (200, text(&list))
        }
        Answer::ExpiredEvent => (200, text(&json!({ "type": "ERROR", "object": expired() }))),
        Answer::ExpiredStatus => (410, text(&expired())),
        Answer::Closed => (200, stream::empty().boxed()),
        Answer::Cut => (200, text(&json!({ "type": "ADDED", "object": object("early", "6") }))),
        Answer::Broken => {
            (500, text(&json!({ "kind": "Status", "status": "Failure", "message": "", "code": 500 })))
        }
        Answer::NoHead | Answer::NoBody => (200, nothing()),
    };
    (code, StreamBody::new(stream))
}

fn server(rule: Rule) -> (Client, Requests) {
    let requests = Requests::default();
    let seen = Arc::clone(&requests);
    let service = tower::service_fn(move |request: Request<Body>| {
        let is_watch = request.uri().query().unwrap_or_default().contains("watch=");
        let number = {
            let mut seen = seen.lock().unwrap();
            seen.push((is_watch, Instant::now()));
            seen.iter().filter(|(watch, _)| *watch == is_watch).count()
        };
        let answer = rule(is_watch, number);
        async move {
            if answer == Answer::NoHead {
                std::future::pending::<()>().await;
            }
            let (code, body) = body(is_watch, answer);
            Ok::<_, Infallible>(Response::builder().status(code).body(body).unwrap())
        }
    });
    (Client::new(service, "default"), requests)
}

/// Watches until an object is seen; returns how long that took.
async fn until(client: &Client, name: &str, longest: Duration) -> Duration {
    let start = Instant::now();
    let mut watch = secrets(client, &Namespaces::All, None);
    let wait = async {
        while let Some(seen) = watch.next().await {
            if matches!(&seen, Seen::Applied(key, _) if key.name == name) {
                return;
            }
        }
        panic!("the watch ended");
    };
    timeout(longest, wait).await.unwrap_or_else(|_| panic!("{name} was not seen within {longest:?}"));
    start.elapsed()
}

/// Starts of the requests of a kind within a time, in seconds since the first.
async fn starts(rule: Rule, is_watch: bool, time: Duration) -> Vec<f64> {
    let (client, requests) = server(rule);
    let mut watch = secrets(&client, &Namespaces::All, None);
    let task = tokio::spawn(async move { while watch.next().await.is_some() {} });
    sleep(time).await;
    task.abort();
    let requests = requests.lock().unwrap();
    let of_kind: Vec<Instant> =
        requests.iter().filter(|(watch, _)| *watch == is_watch).map(|(_, start)| *start).collect();
    of_kind.iter().map(|start| (*start - of_kind[0]).as_secs_f64()).collect()
}

const HOUR: Duration = Duration::from_secs(3600);

fn assert_backs_off(starts: &[f64], what: &str) {
    let pauses: Vec<f64> = starts.windows(2).map(|pair| pair[1] - pair[0]).collect();
    assert!((80..130).contains(&starts.len()), "{what}: {} requests an hour: {pauses:?}", starts.len());
    assert!(
        starts.iter().take_while(|start| **start < 5.0).count() >= 3,
        "{what}: soon at first: {pauses:?}"
    );
    for pause in &pauses[6..] {
        assert!((30.0..=36.5).contains(pause), "{what}: {pauses:?}");
    }
}

/// B6 F05: a watch that always expires lists once in 30 s after the first few times, and goes on as soon as it can.
#[tokio::test(start_paused = true)]
async fn f05_a_watch_that_always_expires_does_not_storm() {
    let expires: [(&str, Rule); 3] = [
        ("event", |is_watch, _| if is_watch { Answer::ExpiredEvent } else { Answer::Good }),
        ("status", |is_watch, _| if is_watch { Answer::ExpiredStatus } else { Answer::Good }),
        ("lists fail", |_, _| Answer::Broken),
    ];
    for (what, rule) in expires {
        assert_backs_off(&starts(rule, false, HOUR).await, what);
    }
    let (client, _) = server(|is_watch, number| match (is_watch, number) {
        (true, ..20) => Answer::ExpiredEvent,
        _ => Answer::Good,
    });
    until(&client, "late", Duration::from_secs(20 * 36)).await;
}

/// B6 F05: nor does one that is closed, or refused, as soon as it is open.
#[tokio::test(start_paused = true)]
async fn f05_a_watch_that_ends_at_once_does_not_storm() {
    let ends: [(&str, Rule); 2] = [
        ("closed", |is_watch, _| if is_watch { Answer::Closed } else { Answer::Good }),
        ("refused", |is_watch, _| if is_watch { Answer::Broken } else { Answer::Good }),
    ];
    for (what, rule) in ends {
        assert_backs_off(&starts(rule, true, HOUR).await, what);
        assert_eq!(starts(rule, false, HOUR).await.len(), 1, "{what}: the list is still good");
    }
}

/// B6 F29: a server that cannot keep up closes watches in the middle of a burst. What comes next is seen soon all the same.
#[tokio::test(start_paused = true)]
async fn f29_a_watch_that_is_cut_again_and_again_goes_on_soon() {
    let rule: Rule = |is_watch, number| match (is_watch, number) {
        (true, ..50) => Answer::Cut,
        _ => Answer::Good,
    };
    let watches = starts(rule, true, Duration::from_secs(55)).await;
    let longest = watches.windows(2).map(|pair| pair[1] - pair[0]).fold(0.0, f64::max);
    assert!(longest <= 1.3, "{watches:?}");
    assert_eq!(starts(rule, false, HOUR).await.len(), 1, "the list is still good");
}

/// B6 F06: wherever the server falls silent, five minutes later there is a new request.
#[tokio::test(start_paused = true)]
async fn f06_a_silent_server_is_asked_again_within_five_minutes() {
    let silent: [(&str, Rule); 4] = [
        (
            "list, no head",
            |is_watch, number| if !is_watch && number == 1 { Answer::NoHead } else { Answer::Good },
        ),
        (
            "list, no body",
            |is_watch, number| if !is_watch && number == 1 { Answer::NoBody } else { Answer::Good },
        ),
        (
            "watch, no head",
            |is_watch, number| if is_watch && number == 1 { Answer::NoHead } else { Answer::Good },
        ),
        (
            "watch, no body",
            |is_watch, number| if is_watch && number == 1 { Answer::NoBody } else { Answer::Good },
        ),
    ];
    for (what, rule) in silent {
        let (client, _) = server(rule);
        let took = until(&client, "late", Duration::from_secs(300)).await;
        println!("{what}: seen after {} s", took.as_secs());
    }
}

/// B6 F06: a quiet but live watch is not taken for a dead one before its own end.
#[tokio::test(start_paused = true)]
async fn f06_a_quiet_watch_is_renewed_not_listed_again() {
    let lists = starts(|_, _| Answer::Good, false, HOUR).await;
    let watches = starts(|_, _| Answer::Good, true, HOUR).await;
    assert_eq!(lists.len(), 1);
    assert!((12..=13).contains(&watches.len()), "{watches:?}");
}
