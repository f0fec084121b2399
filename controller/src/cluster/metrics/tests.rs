use super::*;

fn controller_lines(metrics: &Metrics) -> Vec<String> {
    let text = metrics.render();
    text.lines().filter(|line| !line.contains("process_")).map(str::to_owned).collect()
}

#[test]
fn a_fresh_process_shows_what_upstream_shows() {
    let metrics = Metrics::new("v1.2.3", ObjectLabels::Publish);
    assert_eq!(
        controller_lines(&metrics),
        [
            "# HELP sealed_secrets_controller_build_info Build information.",
            "# TYPE sealed_secrets_controller_build_info gauge",
            "sealed_secrets_controller_build_info{revision=\"v1.2.3\"} 0",
            "# HELP sealed_secrets_controller_unseal_requests_total Total number of sealed secret unseal requests",
            "# TYPE sealed_secrets_controller_unseal_requests_total counter",
            "sealed_secrets_controller_unseal_requests_total 0",
        ]
    );
}

#[test]
fn names_types_and_labels_are_upstreams() {
    let metrics = Metrics::new("v", ObjectLabels::Publish);
    metrics.unseal_request();
    metrics.unseal_request();
    metrics.unseal_error(UnsealErrorReason::Unmanaged, "team");
    metrics.condition("team", "db", "Synced", "shop", ConditionValue::False);
    metrics.http_request("/v1/cert.pem", 200, "GET", 0.3);
    metrics.http_request("/v1/cert.pem", 200, "GET", 30.0);
    metrics.http_request("/v1/cert.pem", 200, "EVIL-7", 0.001);
    let lines = controller_lines(&metrics);
    for expected in [
        "sealed_secrets_controller_unseal_requests_total 2",
        "# TYPE sealed_secrets_controller_unseal_errors_total counter",
        "sealed_secrets_controller_unseal_errors_total{namespace=\"team\",reason=\"unmanaged\"} 1",
        "# TYPE sealed_secrets_controller_condition_info gauge",
        "sealed_secrets_controller_condition_info{condition=\"Synced\",name=\"db\",namespace=\"team\",ss_app_kubernetes_io_instance=\"shop\"} -1",
        "sealed_secrets_controller_http_requests_total{code=\"200\",method=\"get\",path=\"/v1/cert.pem\"} 2",
        "sealed_secrets_controller_http_requests_total{code=\"200\",method=\"unknown\",path=\"/v1/cert.pem\"} 1",
        "# TYPE sealed_secrets_controller_http_request_duration_seconds histogram",
        "sealed_secrets_controller_http_request_duration_seconds_bucket{method=\"get\",path=\"/v1/cert.pem\",le=\"0.25\"} 0",
        "sealed_secrets_controller_http_request_duration_seconds_bucket{method=\"get\",path=\"/v1/cert.pem\",le=\"0.5\"} 1",
        "sealed_secrets_controller_http_request_duration_seconds_bucket{method=\"get\",path=\"/v1/cert.pem\",le=\"10\"} 1",
        "sealed_secrets_controller_http_request_duration_seconds_bucket{method=\"get\",path=\"/v1/cert.pem\",le=\"+Inf\"} 2",
        "sealed_secrets_controller_http_request_duration_seconds_sum{method=\"get\",path=\"/v1/cert.pem\"} 30.3",
        "sealed_secrets_controller_http_request_duration_seconds_count{method=\"get\",path=\"/v1/cert.pem\"} 2",
    ] {
        assert!(lines.iter().any(|line| line == expected), "{expected} in {lines:#?}");
    }
}

#[test]
fn every_error_reason_has_upstreams_word() {
    use UnsealErrorReason::{Fetch, Status, Unmanaged, Unseal, Update};
    let words = [Fetch, Unseal, Unmanaged, Update, Status].map(UnsealErrorReason::as_str);
    assert_eq!(words, ["fetch", "unseal", "unmanaged", "update", "status"]);
}

#[test]
fn conditions_are_replaced_removed_and_omitted() {
    let metrics = Metrics::new("v", ObjectLabels::Publish);
    let shown = |metrics: &Metrics| {
        controller_lines(metrics).iter().filter(|line| line.contains("condition_info{")).count()
    };
    metrics.condition("a", "x", "Synced", "", ConditionValue::True);
    metrics.condition("a", "x", "Synced", "renamed", ConditionValue::Unknown);
    metrics.condition("a", "x", "Other", "renamed", ConditionValue::True);
    metrics.condition("a", "xy", "Synced", "", ConditionValue::True);
    assert_eq!(shown(&metrics), 3);
    metrics.remove_condition("a", "x");
    metrics.remove_condition("a", "absent");
    assert_eq!(shown(&metrics), 1);
    metrics.remove_condition("a", "xy");
    assert!(!metrics.render().contains("condition_info"), "an empty family is left out");

    let metrics = Metrics::new("v", ObjectLabels::Omit);
    metrics.condition("a", "x", "Synced", "", ConditionValue::True);
    assert_eq!(shown(&metrics), 0);
}

#[test]
fn label_values_are_escaped() {
    let metrics = Metrics::new("a\"b\\c\nd", ObjectLabels::Publish);
    assert!(metrics.render().contains(r#"build_info{revision="a\"b\\c\nd"} 0"#));
}

#[test]
fn numbers_are_in_the_text_format() {
    let registry = Registry::default();
    const VALUE: Gauge<0> = Gauge::new("value", "A \\ b\nc", []);
    for (value, text) in [
        (f64::INFINITY, "+Inf"),
        (f64::NEG_INFINITY, "-Inf"),
        (f64::NAN, "NaN"),
        (1.5e9, "1500000000"),
        (0.25, "0.25"),
    ] {
        registry.set(&VALUE, [], value);
        assert_eq!(
            registry.render(),
            format!("# HELP value A \\\\ b\\nc\n# TYPE value gauge\nvalue {text}\n")
        );
    }
}

#[test]
fn ours_and_the_process_are_there() {
    let metrics = Metrics::new("v", ObjectLabels::Publish);
    metrics.reconcile("SealedSecret", ReconcileResult::Written);
    metrics.queue_length("SealedSecret", 3);
    metrics.leader(true);
    metrics.rsa_operations(2);
    let text = metrics.render();
    for expected in [
        "sealops_reconcile_total{kind=\"SealedSecret\",result=\"written\"} 1\n",
        "sealops_queue_length{kind=\"SealedSecret\"} 3\n",
        "sealops_leader 1\n",
        "sealops_rsa_operations_total 2\n",
        "# TYPE process_cpu_seconds_total counter\n",
        "# TYPE process_resident_memory_bytes gauge\n",
        "# TYPE process_start_time_seconds gauge\n",
        "# TYPE process_open_fds gauge\n",
    ] {
        assert!(text.contains(expected), "{expected}");
    }
    let value = |name: &str| -> f64 {
        let line = text.lines().find_map(|line| line.strip_prefix(name)).expect(name);
        line.trim().parse().expect(name)
    };
    assert!(value("process_resident_memory_bytes ") > 1e5);
    assert!(value("process_open_fds ") >= 3.0);
    let age = jiff::Timestamp::now().as_second() as f64 - value("process_start_time_seconds ");
    assert!((-2.0..3600.0).contains(&age), "{age}");
    let names: Vec<_> = text.lines().filter(|line| line.starts_with("# TYPE")).collect();
    assert!(names.is_sorted());
}
