//! B6 F07: whatever the watches show (twice, late, in another order, from a stale cache), only right writes are made.

mod api_server;

use std::time::Duration;

use serde_json::{Value, json};
use tokio::time::sleep;

use self::api_server::{ApiServer, Kind, sealed_secret, start};

/// Longer than every back-off and pause that these tests meet.
const SETTLE: Duration = Duration::from_secs(90);

async fn settle() {
    sleep(SETTLE).await;
}

/// A server with one object, a driver that has made its Secret, and the writes so far: one.
async fn running(delete_targets: bool) -> ApiServer {
    let server = ApiServer::default();
    server.put(Kind::Sealed, sealed_secret("web", "u-1", "one"));
    server.show_all();
    start(&server, delete_targets);
    settle().await;
    assert_eq!(server.take_writes(), ["POST web"]);
    assert_eq!(server.value("web").as_deref(), Some("one"));
    server
}

#[tokio::test(start_paused = true)]
async fn f07_repeated_and_late_events_write_nothing() {
    let server = running(false).await;
    let sealed = server.get(Kind::Sealed, "web").unwrap();
    for _ in 0..5 {
        server.show(Kind::Sealed, "MODIFIED", &sealed);
        server.show(Kind::Sealed, "ADDED", &sealed);
        sleep(Duration::from_secs(1)).await;
    }
    // The Secret of our own write is seen 30 s late, and more than once.
    sleep(Duration::from_secs(30)).await;
    let secret = server.get(Kind::Secret, "web").unwrap();
    for _ in 0..3 {
        server.show(Kind::Secret, "ADDED", &secret);
        server.show(Kind::Secret, "MODIFIED", &secret);
    }
    settle().await;
    assert_eq!(server.take_writes(), [""; 0]);
}

#[tokio::test(start_paused = true)]
async fn f07_events_of_both_kinds_in_any_order() {
    let server = ApiServer::default();
    server.show_all();
    start(&server, false);
    sleep(Duration::from_secs(1)).await;
    // Somebody else (a leader before us) has made object and Secret; the Secret is shown first.
    server.put(Kind::Sealed, sealed_secret("web", "u-1", "one"));
    server.put_target("web", "u-1", "one");
    server.show(Kind::Secret, "ADDED", &server.get(Kind::Secret, "web").unwrap());
    sleep(Duration::from_secs(30)).await;
    server.show(Kind::Sealed, "ADDED", &server.get(Kind::Sealed, "web").unwrap());
    settle().await;
    assert_eq!(server.take_writes(), [""; 0]);
    // A change, of which the watch shows the old state last.
    let old = server.get(Kind::Sealed, "web").unwrap();
    server.put(Kind::Sealed, sealed_secret("web", "u-1", "two"));
    server.show(Kind::Sealed, "MODIFIED", &server.get(Kind::Sealed, "web").unwrap());
    server.show(Kind::Sealed, "MODIFIED", &old);
    settle().await;
    assert_eq!(server.take_writes(), ["PUT web"]);
    assert_eq!(server.value("web").as_deref(), Some("two"), "the truth, not what was shown last");
    // The Secret goes, and the watch shows it as there once more.
    let gone = server.get(Kind::Secret, "web").unwrap();
    server.remove(Kind::Secret, "web");
    server.show(Kind::Secret, "DELETED", &gone);
    server.show(Kind::Secret, "MODIFIED", &gone);
    settle().await;
    assert_eq!(server.take_writes(), ["POST web"]);
}

#[tokio::test(start_paused = true)]
async fn f07_a_stale_list_deletes_and_overwrites_nothing() {
    let server = running(true).await;
    // The watches start over on a server that is behind: neither object is there yet.
    server.expire(&[], &[]);
    settle().await;
    assert_eq!(server.take_writes(), [""; 0]);
    assert_eq!(server.value("web").as_deref(), Some("one"));
    // The same with the object only, and with the Secret only.
    let (sealed, secret) =
        (server.get(Kind::Sealed, "web").unwrap(), server.get(Kind::Secret, "web").unwrap());
    server.expire(std::slice::from_ref(&sealed), &[]);
    settle().await;
    server.expire(&[], std::slice::from_ref(&secret));
    settle().await;
    server.expire(&[sealed], &[secret]);
    settle().await;
    assert_eq!(server.take_writes(), [""; 0]);
}

#[tokio::test(start_paused = true)]
async fn f07_a_late_deletion_spares_what_came_after() {
    let server = running(true).await;
    let old = server.get(Kind::Sealed, "web").unwrap();
    // Deleted and made again; the Secret belongs to the new one. Only the old one's end is shown, 30 s late.
    server.put(Kind::Sealed, sealed_secret("web", "u-2", "two"));
    server.put_target("web", "u-2", "two");
    sleep(Duration::from_secs(30)).await;
    server.show(Kind::Sealed, "DELETED", &old);
    settle().await;
    assert_eq!(server.take_writes(), [""; 0]);
    assert_eq!(server.value("web").as_deref(), Some("two"));
    // The object goes while somebody else has taken the Secret over.
    let new = server.get(Kind::Sealed, "web").unwrap();
    server.show(Kind::Sealed, "ADDED", &new);
    settle().await;
    server.take_writes();
    server.remove(Kind::Sealed, "web");
    server.put_target("web", "a stranger", "theirs");
    server.show(Kind::Sealed, "DELETED", &new);
    settle().await;
    assert_eq!(server.take_writes(), [""; 0]);
    assert_eq!(server.value("web").as_deref(), Some("theirs"));
}

/// The counter-test: an end that is true takes the Secret along, once, however often it is shown.
#[tokio::test(start_paused = true)]
async fn f07_a_true_deletion_deletes_once() {
    let server = running(true).await;
    let old = server.get(Kind::Sealed, "web").unwrap();
    server.remove(Kind::Sealed, "web");
    for _ in 0..3 {
        server.show(Kind::Sealed, "DELETED", &old);
        sleep(Duration::from_secs(5)).await;
    }
    settle().await;
    assert_eq!(server.take_writes(), ["DELETE web"]);
    let preconditions: Value = server.last_body()["preconditions"].clone();
    assert!(
        preconditions["uid"].is_string() && preconditions["resourceVersion"].is_string(),
        "{preconditions}"
    );
    assert_ne!(preconditions, json!({}));
}
