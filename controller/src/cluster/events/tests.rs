use std::convert::Infallible;
use std::sync::{Arc, Mutex};

use http_body_util::BodyExt as _;
use hyper::{Method, Request, Response};
use kube::client::Body;
use serde_json::{Value, json};
use tokio::task::JoinHandle;
use tokio::time::advance;

use super::*;

type Calls = Arc<Mutex<Vec<(Method, String, Value)>>>;

/// An API server that answers every call with `status` and remembers it.
fn api_server(status: impl Fn(&Method) -> u16 + Send + Clone + 'static) -> (Client, Calls) {
    let calls = Calls::default();
    let seen = calls.clone();
    let service = tower::service_fn(move |request: Request<Body>| {
        let (seen, status) = (seen.clone(), status.clone());
        async move {
            let (parts, body) = request.into_parts();
            let body = body.collect().await.unwrap().to_bytes();
            let code = status(&parts.method);
            let json: Value = serde_json::from_slice(&body).unwrap();
            seen.lock().unwrap().push((parts.method, parts.uri.path().to_owned(), json));
            let answer = if code < 300 {
                json!({"metadata": {"name": "e"}, "involvedObject": {}})
            } else {
                json!({"kind": "Status", "status": "Failure", "code": code, "reason": "NotFound", "message": ""})
            };
            let body = Body::from(serde_json::to_vec(&answer).unwrap());
            Ok::<_, Infallible>(Response::builder().status(code).body(body).unwrap())
        }
    });
    (Client::new(service, "default"), calls)
}

fn object() -> ObjectReference {
    ObjectReference {
        api_version: Some("bitnami.com/v1alpha1".into()),
        kind: Some("SealedSecret".into()),
        namespace: Some("team".into()),
        name: Some("db".into()),
        uid: Some("u-1".into()),
        resource_version: Some("7".into()),
        ..ObjectReference::default()
    }
}

fn start(client: Client) -> (Recorder, JoinHandle<()>) {
    let (recorder, writer) = Recorder::new(client, "sealed-secrets", "pod-0");
    (recorder, tokio::spawn(writer.run()))
}

async fn written(calls: &Calls, count: usize) {
    for _ in 0..1000 {
        if calls.lock().unwrap().len() >= count {
            return;
        }
        tokio::task::yield_now().await;
    }
    panic!("{count} calls expected, got {:?}", calls.lock().unwrap());
}

#[tokio::test(start_paused = true)]
async fn counts_a_repetition_up_within_the_window() {
    let (client, calls) = api_server(|_| 200);
    let (recorder, writer) = start(client);
    recorder.record(&object(), EventKind::Normal, "Unsealed", "SealedSecret unsealed successfully");
    recorder.record(&object(), EventKind::Normal, "Unsealed", "SealedSecret unsealed successfully");
    recorder.record(&object(), EventKind::Warning, "ErrUnsealFailed", "Failed to unseal: x");
    written(&calls, 3).await;
    advance(AGGREGATION_WINDOW).await;
    recorder.record(&object(), EventKind::Normal, "Unsealed", "SealedSecret unsealed successfully");
    drop(recorder);
    writer.await.unwrap();

    let calls = calls.lock().unwrap();
    let methods: Vec<_> = calls.iter().map(|call| call.0.as_str()).collect();
    assert_eq!(methods, ["POST", "PATCH", "POST", "POST"]);
    let (_, path, first) = &calls[0];
    assert_eq!(path, "/api/v1/namespaces/team/events");
    assert_eq!(first["involvedObject"]["uid"], "u-1");
    assert_eq!(first["involvedObject"]["resourceVersion"], "7");
    assert_eq!(
        (&first["type"], &first["reason"], &first["count"]),
        (&json!("Normal"), &json!("Unsealed"), &json!(1))
    );
    assert_eq!(first["source"]["component"], "sealed-secrets");
    let (_, path, patch) = &calls[1];
    assert_eq!(
        *path,
        format!("/api/v1/namespaces/team/events/{}", first["metadata"]["name"].as_str().unwrap())
    );
    assert_eq!(patch["count"], 2);
    assert_eq!(patch.as_object().unwrap().len(), 2);
}

#[tokio::test(start_paused = true)]
async fn writes_a_new_event_when_the_earlier_one_is_gone() {
    let (client, calls) = api_server(|method| if *method == Method::PATCH { 404 } else { 201 });
    let (recorder, writer) = start(client);
    for _ in 0..2 {
        recorder.record(&object(), EventKind::Normal, "Unsealed", "ok");
    }
    drop(recorder);
    writer.await.unwrap();
    let methods: Vec<_> = calls.lock().unwrap().iter().map(|call| call.0.to_string()).collect();
    assert_eq!(methods, ["POST", "PATCH", "POST"]);
}

#[tokio::test(start_paused = true)]
async fn a_refusing_server_and_a_full_channel_harm_nobody() {
    let (client, calls) = api_server(|_| 403);
    let (recorder, writer) = Recorder::new(client, "sealed-secrets", "pod-0");
    for _ in 0..MAX_WAITING + 10 {
        recorder.record(&object(), EventKind::Normal, "Unsealed", "ok");
    }
    drop(recorder);
    writer.run().await;
    assert_eq!(calls.lock().unwrap().len(), MAX_WAITING);
}

#[tokio::test(start_paused = true)]
async fn memory_is_bounded_and_forgets_the_oldest() {
    let mut memory = Memory::default();
    for key in 0..MAX_REMEMBERED as u64 {
        memory.remember(key, String::new(), Instant::now());
        advance(Duration::from_millis(1)).await;
    }
    memory.remember(u64::MAX, String::new(), Instant::now());
    assert_eq!(memory.events.len(), MAX_REMEMBERED);
    assert!(memory.again(0, Instant::now()).is_none());
    assert!(memory.again(1, Instant::now()).is_some());
    advance(AGGREGATION_WINDOW).await;
    memory.remember(0, String::new(), Instant::now());
    assert_eq!(memory.events.len(), 1);
}

#[tokio::test]
async fn event_names_and_messages_fit_the_api() {
    let (client, calls) = api_server(|_| 201);
    let (recorder, writer) = start(client);
    let long = ObjectReference { name: Some("n".repeat(253)), ..object() };
    recorder.record(&long, EventKind::Warning, "ErrUnsealFailed", &"é".repeat(600));
    recorder.record(&long, EventKind::Warning, "ErrUnsealFailed", &format!("x{}", "é".repeat(600)));
    drop(recorder);
    writer.await.unwrap();
    let calls = calls.lock().unwrap();
    assert_eq!(calls[0].2["message"].as_str().unwrap().len(), 1024);
    assert_eq!(calls[1].2["message"].as_str().unwrap().len(), 1023);
    assert!(calls[0].2["metadata"]["name"].as_str().unwrap().len() <= 253);
}
