use std::collections::HashMap;
use std::sync::atomic::{AtomicUsize, Ordering};

use tokio::time::{advance, timeout};

use super::*;

fn queue() -> Queue<String> {
    Queue::with_random(|key: &String| key.split('/').next().unwrap_or_default().to_owned(), || 0.5)
}

fn key(text: &str) -> String {
    text.to_owned()
}

async fn take(queue: &Queue<String>) -> Item<String> {
    timeout(Duration::from_millis(1), queue.next()).await.expect("a key is ready").expect("open")
}

async fn assert_nothing(queue: &Queue<String>) {
    assert!(timeout(Duration::from_millis(1), queue.next()).await.is_err());
}

#[tokio::test(start_paused = true)]
async fn serves_lanes_in_order_and_each_key_once() {
    let queue = queue();
    queue.add(key("a/resync"), Lane::Resync);
    queue.add(key("a/drift"), Lane::Drift);
    queue.add(key("a/new"), Lane::New);
    queue.add(key("a/new"), Lane::Resync);
    assert_eq!(queue.len(), 3);
    for (expected, lane) in [("a/new", Lane::New), ("a/drift", Lane::Drift), ("a/resync", Lane::Resync)] {
        let item = take(&queue).await;
        assert_eq!((item.key.as_str(), item.lane), (expected, lane));
    }
    assert_nothing(&queue).await;
    assert!(queue.is_idle());
}

#[tokio::test(start_paused = true)]
async fn moves_a_waiting_key_to_a_better_lane() {
    let queue = queue();
    queue.add(key("a/1"), Lane::Resync);
    queue.add(key("a/2"), Lane::Drift);
    queue.add(key("a/1"), Lane::New);
    assert_eq!(queue.len(), 2);
    assert_eq!(take(&queue).await.key, "a/1");
    assert_eq!(take(&queue).await.key, "a/2");
    assert_nothing(&queue).await;
    queue.add(key("a/1"), Lane::Resync);
    assert_eq!(take(&queue).await.lane, Lane::Resync);
    assert_nothing(&queue).await;
}

#[tokio::test(start_paused = true)]
async fn gives_a_key_to_one_worker_and_again_when_dirty() {
    let queue = queue();
    queue.add(key("a/1"), Lane::New);
    let first = take(&queue).await;
    queue.add(key("a/1"), Lane::Resync);
    queue.add(key("a/1"), Lane::Drift);
    assert_nothing(&queue).await;
    assert!(!queue.is_idle());
    drop(first);
    let second = take(&queue).await;
    assert_eq!(second.lane, Lane::Drift);
    drop(second);
    assert_nothing(&queue).await;
    assert!(queue.is_idle());
}

#[tokio::test(start_paused = true)]
async fn a_panicking_worker_releases_its_key() {
    let queue = queue();
    queue.add(key("a/1"), Lane::New);
    let item = take(&queue).await;
    let worker = tokio::spawn(async move {
        let _item = item;
        panic!("worker");
    });
    assert!(worker.await.is_err());
    assert!(queue.is_idle());
    queue.add(key("a/1"), Lane::New);
    take(&queue).await;
}

#[tokio::test(start_paused = true)]
async fn the_earlier_delay_wins_and_an_immediate_add_cancels_it() {
    let queue = queue();
    queue.add_after(key("a/1"), Lane::Resync, Duration::from_secs(10));
    queue.add_after(key("a/1"), Lane::Resync, Duration::from_secs(60));
    queue.add_after(key("a/2"), Lane::Resync, Duration::from_secs(60));
    queue.add_after(key("a/2"), Lane::Drift, Duration::from_secs(5));
    assert_eq!((queue.len(), queue.delayed_len()), (0, 2));
    let start = Instant::now();
    let item = queue.next().await.expect("open");
    assert_eq!((item.key.as_str(), item.lane, start.elapsed().as_secs()), ("a/2", Lane::Drift, 5));
    assert_eq!(queue.next().await.expect("open").key, "a/1");
    assert_eq!(start.elapsed().as_secs(), 10);

    queue.add_after(key("a/3"), Lane::Resync, Duration::from_secs(10));
    queue.add(key("a/3"), Lane::New);
    drop(take(&queue).await);
    assert_eq!(queue.delayed_len(), 0);
    advance(Duration::from_secs(100)).await;
    assert_nothing(&queue).await;
}

#[tokio::test(start_paused = true)]
async fn a_delayed_add_of_a_ready_or_dirty_key_is_dropped() {
    let queue = queue();
    queue.add(key("a/1"), Lane::New);
    queue.add_after(key("a/1"), Lane::Resync, Duration::from_secs(1));
    let item = take(&queue).await;
    queue.add(key("a/1"), Lane::New);
    queue.add_after(key("a/1"), Lane::Resync, Duration::from_secs(1));
    drop(item);
    drop(take(&queue).await);
    advance(Duration::from_secs(2)).await;
    assert_nothing(&queue).await;
}

#[tokio::test(start_paused = true)]
async fn an_earlier_delay_reaches_a_worker_that_already_sleeps() {
    let queue = queue();
    queue.add_after(key("a/late"), Lane::New, Duration::from_secs(100));
    let start = Instant::now();
    let worker = tokio::spawn({
        let queue = queue.clone();
        async move { queue.next().await.map(|item| item.key) }
    });
    tokio::task::yield_now().await;
    queue.add_after(key("a/soon"), Lane::New, Duration::from_secs(3));
    assert_eq!(worker.await.expect("no panic").as_deref(), Some("a/soon"));
    assert_eq!(start.elapsed().as_secs(), 3);
}

#[tokio::test(start_paused = true)]
async fn a_key_that_falls_due_in_progress_waits_for_its_worker() {
    let queue = queue();
    queue.add(key("a/1"), Lane::New);
    let item = take(&queue).await;
    queue.add_after(key("a/1"), Lane::Drift, Duration::from_secs(1));
    advance(Duration::from_secs(5)).await;
    assert_nothing(&queue).await;
    drop(item);
    assert_eq!(take(&queue).await.lane, Lane::Drift);
}

#[test]
fn backoff_doubles_up_to_the_cap_and_jitters() {
    let millis = |failures, random| backoff(failures, random).as_millis();
    assert_eq!([1, 2, 3, 4].map(|n| millis(n, 0.5)), [200, 400, 800, 1600]);
    assert_eq!([12, 1000, u32::MAX].map(|n| millis(n, 0.5)), [300_000; 3]);
    assert_eq!((millis(1, 0.0), millis(1, 1.0)), (160, 240));
    assert_eq!((millis(99, 0.0), millis(99, 1.0)), (240_000, 360_000));
    for _ in 0..100 {
        assert!((0.0..1.0).contains(&random_fraction()));
    }
}

#[tokio::test(start_paused = true)]
async fn failures_back_off_for_ever_until_forgotten() {
    let queue = queue();
    queue.add(key("a/1"), Lane::New);
    let start = Instant::now();
    for _ in 0..40 {
        let item = queue.next().await.expect("never gives up");
        queue.failed(item.key.clone());
    }
    // 0.2 + 0.4 + … + 204.8 s, then 300 s each.
    assert_eq!(start.elapsed().as_secs(), 409 + 28 * 300);
    queue.forget(&key("a/1"));
    drop(queue.next().await);
    assert_eq!(queue.failed(key("a/1")), BACKOFF_BASE);
    assert_eq!(
        queue.failed_not_before(key("a/2"), Duration::from_secs(30)),
        Duration::from_secs(30),
        "Retry-After is obeyed"
    );
}

#[tokio::test(start_paused = true)]
async fn a_big_namespace_does_not_delay_others() {
    let queue = queue();
    for n in 0..5000 {
        queue.add(format!("big/{n:04}"), Lane::New);
    }
    queue.add(key("small/1"), Lane::New);
    queue.add(key("small/2"), Lane::New);
    let mut order = Vec::new();
    for _ in 0..5 {
        order.push(take(&queue).await.key);
    }
    assert_eq!(order, ["big/0000", "small/1", "big/0001", "small/2", "big/0002"]);
}

#[tokio::test(start_paused = true)]
async fn an_emptied_group_gets_one_turn_only() {
    let queue = queue();
    for _ in 0..3 {
        queue.add(key("a/1"), Lane::Resync);
        queue.add(key("a/1"), Lane::New);
        drop(take(&queue).await);
    }
    queue.add(key("a/1"), Lane::Resync);
    queue.add(key("a/2"), Lane::Resync);
    queue.add(key("b/1"), Lane::Resync);
    assert_eq!(take(&queue).await.key, "a/1");
    assert_eq!(take(&queue).await.key, "b/1");
    assert_eq!(take(&queue).await.key, "a/2");
}

#[tokio::test(start_paused = true)]
async fn shutdown_hands_out_what_is_ready_then_ends_every_worker() {
    let queue = queue();
    queue.add(key("a/1"), Lane::New);
    queue.add(key("a/2"), Lane::New);
    queue.add_after(key("a/3"), Lane::New, Duration::from_secs(1));
    let first = take(&queue).await;
    queue.add(key("a/1"), Lane::Drift);
    queue.shut_down(Drain::Finish);
    queue.add(key("a/4"), Lane::New);
    assert_eq!(take(&queue).await.key, "a/2");
    let waiting = tokio::spawn({
        let queue = queue.clone();
        async move { queue.next().await.map(|item| item.key) }
    });
    tokio::task::yield_now().await;
    assert!(!waiting.is_finished(), "a dirty key is still to come");
    drop(first);
    assert_eq!(waiting.await.expect("no panic").as_deref(), Some("a/1"));
    assert!(queue.next().await.is_none());
    queue.idle().await;
}

#[tokio::test(start_paused = true)]
async fn discarding_shutdown_wakes_all_sleepers_and_idle_waits_for_the_rest() {
    let queue = queue();
    queue.add(key("a/1"), Lane::New);
    let item = take(&queue).await;
    queue.add(key("a/1"), Lane::New);
    let sleepers: Vec<_> = (0..4)
        .map(|_| {
            let queue = queue.clone();
            tokio::spawn(async move { queue.next().await.is_none() })
        })
        .collect();
    tokio::task::yield_now().await;
    queue.shut_down(Drain::Discard);
    for sleeper in sleepers {
        assert!(sleeper.await.expect("no panic"));
    }
    assert!(timeout(Duration::from_secs(1), queue.idle()).await.is_err());
    drop(item);
    timeout(Duration::from_secs(1), queue.idle()).await.expect("idle");
}

#[tokio::test(start_paused = true)]
async fn a_cancelled_wait_loses_no_key() {
    let queue = queue();
    let lost = tokio::spawn({
        let queue = queue.clone();
        async move { queue.next().await.map(|item| item.key) }
    });
    let waiting = tokio::spawn({
        let queue = queue.clone();
        async move { queue.next().await.map(|item| item.key) }
    });
    tokio::task::yield_now().await;
    // Wakes the first sleeper, which is cancelled before it runs: the second must be woken instead.
    queue.add(key("a/1"), Lane::New);
    lost.abort();
    let found = timeout(Duration::from_secs(1), waiting).await.expect("woken").expect("no panic");
    assert_eq!(found.as_deref(), Some("a/1"));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn many_workers_never_share_a_key_and_see_every_change() {
    const KEYS: usize = 50;
    let queue = queue();
    let running: Arc<Mutex<HashMap<String, usize>>> = Arc::default();
    let done = Arc::new(AtomicUsize::new(0));
    let workers: Vec<_> = (0..8)
        .map(|_| {
            let (queue, running, done) = (queue.clone(), running.clone(), done.clone());
            tokio::spawn(async move {
                while let Some(item) = queue.next().await {
                    let clashes =
                        *running.lock().unwrap().entry(item.key.clone()).and_modify(|n| *n += 1).or_insert(1);
                    assert_eq!(clashes, 1);
                    tokio::task::yield_now().await;
                    running.lock().unwrap().remove(&item.key);
                    done.fetch_add(1, Ordering::Relaxed);
                }
            })
        })
        .collect();
    for round in 0..200 {
        for n in 0..KEYS {
            queue.add(format!("{}/{n}", n % 7), if round % 2 == 0 { Lane::New } else { Lane::Resync });
        }
        tokio::task::yield_now().await;
    }
    queue.shut_down(Drain::Finish);
    for worker in workers {
        worker.await.expect("no clash");
    }
    assert!(queue.is_idle());
    assert!(done.load(Ordering::Relaxed) >= KEYS);
}
