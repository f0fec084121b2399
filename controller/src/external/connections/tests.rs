use std::sync::atomic::{AtomicUsize, Ordering};

use sealops_crds::secret_store::{FakeProvider, SecretStoreSpec};
use sealops_providers::{
    Find, ProviderErrorKind, RemoteKey, RemoteSecret, RemoteValue, SecretsReader, StoreCheck,
};
use tokio::time::Instant;

use super::login::Live;
use super::*;
use crate::external::credentials::Used;
use crate::external::direct::DirectStores;
use crate::external::store::Freshness;
use crate::external::test_world::World;

#[derive(Default)]
struct Counts {
    calls: AtomicUsize,
    news: AtomicUsize,
}

impl Observer for Counts {
    fn called(&self, _: &str, _: &'static str, _: bool) {
        self.calls.fetch_add(1, Ordering::Relaxed);
    }
    fn breaker(&self, _: &StoreKey, _: bool) {
        self.news.fetch_add(1, Ordering::Relaxed);
    }
}

/// A provider whose answers are the test's.
struct Remote {
    calls: Arc<AtomicUsize>,
    answer: Arc<Mutex<Result<String, ProviderErrorKind>>>,
}

impl SecretsReader for Remote {
    fn get<'a>(&'a self, remote: &'a RemoteKey) -> BoxFuture<'a, Result<RemoteSecret, ProviderError>> {
        Box::pin(async move {
            self.calls.fetch_add(1, Ordering::Relaxed);
            tokio::time::sleep(Duration::from_millis(20)).await;
            let answer = lock(&self.answer).clone();
            let error = |kind| ProviderError {
                backend: "remote".into(),
                operation: "get",
                target: remote.key.clone(),
                kind,
            };
            let value = RemoteValue::Bytes(format!("{}{}", answer.map_err(error)?, remote.key).into());
            Ok(RemoteSecret { value, version: None })
        })
    }
}

impl StoreCheck for Remote {
    fn validate<'a>(&'a self) -> BoxFuture<'a, Result<Validation, ProviderError>> {
        Box::pin(async { Ok(Validation::Ready) })
    }
}

fn store(name: &str, provider: Provider) -> StoreObject {
    StoreObject {
        key: StoreKey { namespace: Some("n".into()), name: name.into() },
        uid: "u".into(),
        generation: 1,
        spec: SecretStoreSpec { provider: Some(provider), ..SecretStoreSpec::default() },
        ready: None,
    }
}

fn fake(name: &str) -> StoreObject {
    store(name, Provider::Fake(FakeProvider::default()))
}

fn connections() -> (Connections, Arc<Counts>) {
    let counts = Arc::new(Counts::default());
    let observer = Arc::clone(&counts) as Arc<dyn Observer>;
    (Connections::new(StoreRules::default(), StoreEnvironment::default(), observer), counts)
}

/// A handle on a login with the test's provider.
fn handle(all: &Connections, answer: Result<&str, ProviderErrorKind>) -> (Handle, Remote) {
    let remote =
        || Remote { calls: Arc::default(), answer: Arc::new(Mutex::new(answer.clone().map(str::to_owned))) };
    let shown = remote();
    let reader = Remote { calls: Arc::clone(&shown.calls), answer: Arc::clone(&shown.answer) };
    let connection = StoreConnection { reader: Some(Box::new(reader)), writer: None, check: None };
    let live = Arc::new(Live::new(connection, Used::default(), Arc::default()));
    (Handle { slot: all.slot(&fake("remote")), live }, shown)
}

fn key(number: usize) -> RemoteKey {
    RemoteKey { key: format!("key-{number}"), version: None }
}

/// The goal of the whole: 1,000 objects, 100 keys, an hour's interval, over a day.
#[tokio::test(start_paused = true)]
async fn a_thousand_objects_over_a_hundred_keys_ask_for_each_key_once_an_interval() {
    let (all, _) = connections();
    let (handle, remote) = handle(&all, Ok("v-"));
    let hour = Duration::from_secs(3600);
    let fresh = Freshness { max_age: hour.mul_f64(0.9) };
    let mut total = 0;
    for _ in 0..24 {
        let before = remote.calls.load(Ordering::Relaxed);
        // Each object at its own time of the hour.
        for number in 0..1000_usize {
            let object = (number * 7) % 1000;
            handle.get(&key(object % 100), None, fresh).await.unwrap();
            tokio::time::advance(hour / 1000 - Duration::from_millis(20).min(hour / 1000)).await;
        }
        total += remote.calls.load(Ordering::Relaxed) - before;
    }
    assert!(total >= 24 * 90, "{total}: every interval reads again");
    assert!(total <= 24 * 110, "{total} calls for 24 x 100 keys");
    // All at once, as after a start.
    let before = remote.calls.load(Ordering::Relaxed);
    let keys: Vec<RemoteKey> = (0..1000).map(|number| key(1000 + number % 100)).collect();
    let all = futures::future::join_all(keys.iter().map(|key| handle.get(key, None, fresh))).await;
    assert!(all.iter().all(Result::is_ok));
    assert_eq!(remote.calls.load(Ordering::Relaxed) - before, 100);
}

#[tokio::test(start_paused = true)]
async fn a_store_that_is_down_is_asked_ever_less() {
    let (all, counts) = connections();
    let down = ProviderErrorKind::Unavailable("down".into());
    let (handle, remote) = handle(&all, Err(down));
    let calls = || remote.calls.load(Ordering::Relaxed);
    // A hundred objects try each second for ten minutes.
    for _ in 0..600 {
        let keys: Vec<RemoteKey> = (0..100).map(key).collect();
        let asked = keys.iter().map(|key| handle.get(key, None, Freshness::NOW));
        assert!(futures::future::join_all(asked).await.iter().all(Result::is_err));
        tokio::time::advance(Duration::from_secs(1)).await;
    }
    assert!(calls() < 40, "{} calls in ten minutes", calls());
    assert!(all.left_alone(&handle.slot.key).is_some());
    let told = counts.news.load(Ordering::Relaxed);
    assert!(told >= 1);
    *lock(&remote.answer) = Ok("back-".into());
    tokio::time::advance(Duration::from_secs(301)).await;
    handle.get(&key(1), None, Freshness::NOW).await.unwrap();
    assert_eq!(all.left_alone(&handle.slot.key), None, "recovered within the longest wait");
}

#[tokio::test(start_paused = true)]
async fn no_more_than_so_many_calls_at_a_time() {
    let (all, _) = connections();
    let (handle, remote) = handle(&all, Ok("v-"));
    let keys: Vec<RemoteKey> = (0..100).map(key).collect();
    let started = Instant::now();
    futures::future::join_all(keys.iter().map(|key| handle.get(key, None, Freshness::NOW))).await;
    assert_eq!(remote.calls.load(Ordering::Relaxed), 100);
    let rounds = 100_u32.div_ceil(u32::try_from(MAX_CALLS).unwrap());
    assert!(started.elapsed() >= Duration::from_millis(20) * rounds, "{:?}", started.elapsed());
}

#[tokio::test(start_paused = true)]
async fn one_login_until_the_store_or_what_it_was_made_from_changes() {
    let (all, _) = connections();
    let world = World::default();
    let kubernetes = |generation| StoreObject {
        generation,
        ..store(
            "k",
            serde_json::from_value(serde_json::json!({ "kubernetes": {
            "server": { "url": "https://127.0.0.1:1" },
            "auth": { "token": { "bearerToken": { "name": "t", "key": "token" } } },
        } }))
            .unwrap(),
        )
    };
    let environment = StoreEnvironment { network: true, ..StoreEnvironment::default() };
    let all = Connections { environment, ..all };
    let live = async |generation| {
        let store = kubernetes(generation);
        let (live, _) = all.slot(&store).login(&all, &store, "n", &world, false).await;
        live
    };
    let Err(error) = live(1).await else { panic!("there is no Secret") };
    assert!(error.to_string().contains("secrets \"t\" not found"), "{error}");
    world.put("n", "t", "one");
    let first = live(1).await.ok().unwrap();
    for _ in 0..100 {
        assert!(Arc::ptr_eq(&first, &live(1).await.ok().unwrap()));
        tokio::time::advance(Duration::from_secs(60)).await;
    }
    world.put("n", "t", "two");
    tokio::time::advance(LOOK).await;
    let second = live(1).await.ok().unwrap();
    assert!(!Arc::ptr_eq(&first, &second), "another token, another login");
    assert!(!Arc::ptr_eq(&first.reads, &second.reads), "and nothing of what the old one read");
    world.put("n", "t", "three");
    let changed = Referenced { kind: "Secret", namespace: "n".into(), name: "t".into() };
    assert_eq!(all.users_of(&changed), [kubernetes(1).key]);
    all.look_again(&changed);
    let third = live(1).await.ok().unwrap();
    assert!(!Arc::ptr_eq(&second, &third), "at once, where the change is seen");
    assert!(!Arc::ptr_eq(&third, &live(2).await.ok().unwrap()), "another spec, another login");
}

/// T24: what one namespace reads with its own credentials is never given to another.
#[tokio::test(start_paused = true)]
async fn users_with_credentials_of_their_own_share_nothing() {
    let (all, _) = connections();
    let environment = StoreEnvironment { network: true, ..StoreEnvironment::default() };
    let all = Connections { environment, ..all };
    let world = World::default();
    world.put("a", "t", "of a");
    world.put("b", "t", "of b");
    let mut referent = store(
        "k",
        serde_json::from_value(serde_json::json!({ "kubernetes": {
        "server": { "url": "https://127.0.0.1:1" },
        "auth": { "token": { "bearerToken": { "name": "t", "key": "token" } } },
    } }))
        .unwrap(),
    );
    referent.key.namespace = None;
    let login = async |user: &str| all.slot(&referent).login(&all, &referent, user, &world, false).await.0;
    let users = futures::future::join_all((0..50).map(|n| login(if n % 2 == 0 { "a" } else { "b" }))).await;
    let users: Vec<Arc<Live>> = users.into_iter().map(|live| live.ok().unwrap()).collect();
    for (number, live) in users.iter().enumerate() {
        let other = &users[(number + 1) % users.len()];
        assert!(!Arc::ptr_eq(live, other) && !Arc::ptr_eq(&live.reads, &other.reads));
        assert!(live.used.per_user);
        let namespace = if number % 2 == 0 { "a" } else { "b" };
        assert!(live.used.versions.keys().all(|used| used.namespace == namespace));
    }
    let later: Vec<Arc<Live>> = vec![login("a").await.ok().unwrap(), login("b").await.ok().unwrap()];
    assert!(
        Arc::ptr_eq(&later[0], &users[users.len() - 2]) && Arc::ptr_eq(&later[1], &users[users.len() - 1])
    );
    // The check of the store cannot speak for its users.
    let (checked, _) = all.check(&referent, &world).await;
    assert_eq!(checked.result, Ok(Validation::Unknown));
    // With a namespace in the reference all share one.
    let mut shared = referent.clone();
    shared.key.name = "shared".into();
    shared.spec.provider = Some(
        serde_json::from_value(serde_json::json!({ "kubernetes": {
        "server": { "url": "https://127.0.0.1:1" },
        "auth": { "token": { "bearerToken": { "name": "t", "key": "token", "namespace": "a" } } },
    } }))
        .unwrap(),
    );
    let login = async |user: &str| all.slot(&shared).login(&all, &shared, user, &world, false).await.0;
    let (one, other) = (login("x").await.ok().unwrap(), login("y").await.ok().unwrap());
    assert!(Arc::ptr_eq(&one, &other));
}

#[tokio::test(start_paused = true)]
async fn a_refused_login_is_not_used_again() {
    let (all, _) = connections();
    let world = World::default();
    let store = fake("refused");
    let slot = all.slot(&store);
    let refused = ProviderErrorKind::Unauthenticated("gone".into());
    let (mut own, _) = handle(&all, Err(refused));
    own.slot = Arc::clone(&slot);
    *slot.cell("n").1.lock().await = Some(Arc::clone(&own.live));
    assert!(own.get(&key(1), None, Freshness::NOW).await.is_err());
    let (again, _) = slot.login(&all, &store, "n", &world, false).await;
    assert!(!Arc::ptr_eq(&again.ok().unwrap(), &own.live));
}

#[tokio::test]
async fn a_folder_opens_what_holds_its_own_values() {
    let stores = DirectStores::default();
    let provider =
        serde_json::from_value(serde_json::json!({ "fake": { "data": [{ "key": "k", "value": "v" }] } }));
    let opened = stores.open(&store("f", provider.unwrap()), "n", &World::default()).await.ok().unwrap();
    let remote = RemoteKey { key: "k".into(), version: None };
    let found = opened.get(&remote, None, Freshness::NOW).await.unwrap();
    assert!(matches!(&found.value, RemoteValue::Bytes(value) if value.expose() == b"v"));
    let all = Find { name: Some(".".into()), ..Find::default() };
    assert_eq!(opened.find(&all, Freshness::NOW).await.unwrap().len(), 1);
    let webhook = serde_json::from_value(serde_json::json!({ "webhook": { "url": "http://h" } })).unwrap();
    let Err(error) = stores.open(&store("w", webhook), "n", &World::default()).await else {
        panic!("no network")
    };
    assert!(error.to_string().contains("not connected to here"), "{error}");
}
