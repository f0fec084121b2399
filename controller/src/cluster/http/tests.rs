use std::net::SocketAddr;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::watch;
use tokio::task::JoinHandle;
use tokio::time::{Instant, sleep, timeout};

use super::*;
use crate::cluster::metrics::ObjectLabels;

struct Running {
    address: SocketAddr,
    metrics: Arc<Metrics>,
    stop: watch::Sender<bool>,
    task: JoinHandle<()>,
}

const SHORT: Duration = Duration::from_millis(150);

fn small() -> Limits {
    Limits { body_bytes: 1000, headers: SHORT, request: SHORT, grace: SHORT, ..Limits::default() }
}

async fn start(router: Router, limits: Limits) -> Running {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let metrics = Arc::new(Metrics::new("v", ObjectLabels::Publish));
    let (stop, stopped) = watch::channel(false);
    let task = tokio::spawn(serve(listener, router, Some(metrics.clone()), limits, stopped));
    Running { address, metrics, stop, task }
}

fn echo() -> Router {
    Router::new()
        .route("/echo", Route::new(|request| async { respond(200, "x/y", request.into_body()) }).with_body())
        .route(
            "/slow",
            Route::new(|_| async {
                sleep(SHORT / 2).await;
                text(200, "slow\n")
            }),
        )
        .route("/stuck", Route::new(|_| std::future::pending()).measured())
}

impl Running {
    async fn connect(&self, bytes: &[u8]) -> TcpStream {
        let mut stream = TcpStream::connect(self.address).await.unwrap();
        stream.write_all(bytes).await.unwrap();
        stream
    }

    async fn send(&self, request: &[u8]) -> String {
        read(&mut self.connect(request).await).await
    }

    async fn get(&self, path: &str) -> String {
        self.send(format!("GET {path} HTTP/1.1\r\nHost: h\r\nConnection: close\r\n\r\n").as_bytes()).await
    }
}

/// Reads to the end; a reset counts as one.
async fn read(stream: &mut TcpStream) -> String {
    let mut bytes = Vec::new();
    let _ =
        timeout(Duration::from_secs(10), stream.read_to_end(&mut bytes)).await.expect("the server closes");
    String::from_utf8(bytes).unwrap()
}

fn assert_answer(answer: &str, code: u16, content_type: &str, body: &str) {
    let (head, rest) = answer.split_once("\r\n\r\n").expect(answer);
    assert!(head.starts_with(&format!("HTTP/1.1 {code} ")), "{head}");
    assert!(head.contains(&format!("content-type: {content_type}\r\n")), "{head}");
    assert_eq!(rest, body);
}

const PLAIN: &str = "text/plain; charset=utf-8";

#[tokio::test]
async fn main_server_answers_like_upstream() {
    let ready = Arc::new(AtomicBool::new(false));
    let flag = ready.clone();
    let flag2 = ready.clone();
    let certificate = move || flag2.load(Ordering::SeqCst).then(|| "-----BEGIN".to_owned());
    let server =
        start(main_routes(move || flag.load(Ordering::SeqCst), certificate), Limits::default()).await;
    assert_answer(&server.get("/healthz").await, 200, PLAIN, "ok\n");
    assert_answer(&server.get("/readyz").await, 503, PLAIN, "not ready\n");
    assert_answer(&server.get("/v1/cert.pem").await, 500, PLAIN, "cannot get certificate\n");
    ready.store(true, Ordering::SeqCst);
    assert_answer(&server.get("/readyz?verbose").await, 200, PLAIN, "ok\n");
    assert_answer(&server.get("/v1/cert.pem").await, 200, "application/x-pem-file", "-----BEGIN");
    for unknown in ["/", "/v1/cert.pem/", "/metrics", "/v1/../healthz"] {
        assert_answer(&server.get(unknown).await, 404, PLAIN, "404 page not found\n");
    }
    let head = server.send(b"HEAD /healthz HTTP/1.1\r\nHost: h\r\nConnection: close\r\n\r\n").await;
    assert!(head.starts_with("HTTP/1.1 200 ") && head.ends_with("\r\n\r\n"), "{head}");

    let metrics = server.metrics.render();
    assert!(metrics.contains(r#"http_requests_total{code="200",method="get",path="/v1/cert.pem"} 1"#));
    assert!(metrics.contains(r#"http_requests_total{code="500",method="get",path="/v1/cert.pem"} 1"#));
    assert_eq!(metrics.matches("http_requests_total{").count(), 2, "no probes, no unknown paths");
}

#[tokio::test]
async fn metrics_server_serves_the_text_format() {
    let metrics = Arc::new(Metrics::new("v9", ObjectLabels::Publish));
    let server = start(metrics_routes(metrics), Limits::default()).await;
    let answer = server.get("/metrics").await;
    assert!(answer.contains("content-type: text/plain; version=0.0.4; charset=utf-8\r\n"));
    assert!(answer.contains("sealed_secrets_controller_build_info{revision=\"v9\"} 0\n"));
    assert_answer(&server.get("/healthz").await, 404, PLAIN, "404 page not found\n");
}

fn post(length: &str, body: &str) -> Vec<u8> {
    format!("POST /echo HTTP/1.1\r\nHost: h\r\nConnection: close\r\n{length}\r\n\r\n{body}").into_bytes()
}

#[tokio::test]
async fn bodies_are_read_up_to_the_limit() {
    let server = start(echo(), small()).await;
    let full = "x".repeat(1000);
    assert_answer(&server.send(&post("Content-Length: 1000", &full)).await, 200, "x/y", &full);
    // Refused by the header alone: no byte of the body is sent, nor waited for.
    let answer = server.send(&post("Content-Length: 1001", "")).await;
    assert_answer(&answer, 413, PLAIN, "request body too large\n");
    let chunked = format!("3E9\r\n{full}x\r\n0\r\n\r\n");
    let answer = server.send(&post("Transfer-Encoding: chunked", &chunked)).await;
    assert_answer(&answer, 413, PLAIN, "request body too large\n");
}

#[tokio::test]
async fn a_route_without_body_does_not_wait_for_one() {
    let server = start(main_routes(|| true, || None), Limits::default()).await;
    let answer = server.send(b"POST /healthz HTTP/1.1\r\nHost: h\r\nContent-Length: 9999999\r\n\r\n").await;
    assert_answer(&answer, 200, PLAIN, "ok\n");
}

#[tokio::test]
async fn slow_headers_and_idle_connections_are_closed() {
    let server = start(echo(), small()).await;
    for beginning in ["", "GET /healthz HTTP/1.1\r\nHos", "GET /nope HTTP/1.1\r\nHost: h\r\n\r\n"] {
        let begin = Instant::now();
        server.send(beginning.as_bytes()).await;
        assert!(
            (SHORT..Duration::from_secs(5)).contains(&begin.elapsed()),
            "{beginning:?} {:?}",
            begin.elapsed()
        );
    }
    let huge = format!("GET /echo HTTP/1.1\r\nX: {}\r\n\r\n", "x".repeat(20_000));
    assert!(server.send(huge.as_bytes()).await.starts_with("HTTP/1.1 431 "));
}

#[tokio::test]
async fn a_request_has_a_total_time() {
    let server = start(echo(), small()).await;
    let answer = server.get("/stuck").await;
    assert_answer(&answer, 503, PLAIN, "request timed out\n");
    assert!(server.metrics.render().contains(r#"{code="503",method="get",path="/stuck"} 1"#));
    // A body that trickles in.
    let answer = server.send(&post("Content-Length: 500", "x")).await;
    assert_answer(&answer, 503, PLAIN, "request timed out\n");
}

#[tokio::test]
async fn connections_are_limited_and_age() {
    let limits =
        Limits { connections: 1, connection_age: SHORT, headers: Duration::from_secs(60), ..small() };
    let server = start(echo(), limits).await;
    let _idle = server.connect(b"").await;
    let begin = Instant::now();
    assert_answer(&server.get("/nope").await, 404, PLAIN, "404 page not found\n");
    assert!(begin.elapsed() >= SHORT / 2, "served only after the first was closed");
}

#[tokio::test]
async fn shutdown_finishes_requests_and_refuses_new_ones() {
    let server = start(echo(), small()).await;
    let mut slow = server.connect(b"GET /slow HTTP/1.1\r\nHost: h\r\n\r\n").await;
    let mut idle = server.connect(b"").await;
    sleep(SHORT / 5).await;
    server.stop.send_replace(true);
    assert_answer(&read(&mut slow).await, 200, PLAIN, "slow\n");
    assert_eq!(read(&mut idle).await, "");
    timeout(Duration::from_secs(5), server.task).await.expect("ends").unwrap();
    assert!(TcpStream::connect(server.address).await.is_err());
}
