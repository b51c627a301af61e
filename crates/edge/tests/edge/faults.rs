//! When a backend or Weir is away or refuses, and when the edge stops.

use super::*;

#[tokio::test(flavor = "multi_thread")]
async fn one_body_that_a_backend_refuses_costs_no_other() {
    let refuses = |request: &Recorded| {
        let is_bad = request.body.windows(3).any(|three| three == b"bad");
        status(if is_bad { 400 } else { 200 })
    };
    let mut head = plan(7, 0.0);
    head["services"] = json!([]);
    let (weir, backend) = (
        Server::start(weir(head)).await,
        Server::start(refuses).await,
    );
    let edge = following(&weir, &backend, &["--batch-delay", "1s"]).await;
    for trace in 0..20 {
        let name = if trace == 7 { "bad" } else { "good" };
        edge.traces(bytes(
            "shop",
            vec![Span {
                name: name.into(),
                ..span(trace, 0)
            }],
        ))
        .await;
    }
    edge.until_metric("weir_edge_spans_sent_total", &[], |sent| sent == 19.0)
        .await;
    edge.until_metric("weir_edge_spans_lost_total", &["refused"], |lost| {
        lost == 1.0
    })
    .await;
    edge.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_backend_that_comes_back_gets_what_waited_and_one_that_does_not_is_counted() {
    let gone = Server::start(|_| status(200)).await;
    gone.stop();
    let (address, url) = (gone.address, gone.url());
    let flags = [
        "--backend",
        &url,
        "--initial-probability",
        "1",
        "--retry-for",
        "30s",
    ];
    let edge = Running::start(&flags).await;
    edge.traces(bytes("shop", vec![span(1, 0)])).await;
    edge.until_metric("weir_edge_batches_total", &["later"], |later| later >= 1.0)
        .await;
    let back = until("the port", || {
        std::net::TcpListener::bind(address).ok().map(drop)
    });
    back.await;
    let back = Server::at(address, |_| status(200)).await;
    edge.until_metric("weir_edge_spans_sent_total", &[], |sent| sent == 1.0)
        .await;
    back.stop();
    edge.stop().await;
    let flags = [
        "--backend",
        &url,
        "--initial-probability",
        "1",
        "--retry-for",
        "0s",
    ];
    let edge = Running::start(&flags).await;
    edge.traces(bytes("shop", vec![span(1, 0)])).await;
    edge.until_metric("weir_edge_spans_lost_total", &["retries"], |lost| {
        lost == 1.0
    })
    .await;
    assert_eq!(edge.metric("weir_edge_queue_bytes", &[]).await, 0.0);
    edge.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn the_last_plan_stays_while_weir_is_away_and_across_a_restart() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("plan.json");
    let file = file.to_str().unwrap();
    let (weir_one, backend) = (
        Server::start(weir(plan(7, 0.0))).await,
        Server::start(|_| status(200)).await,
    );
    let edge = following(&weir_one, &backend, &["--plan-file", file]).await;
    weir_one.answer(weir(plan(8, 1.0)));
    edge.until_metric("weir_edge_plan", &[], |plan| plan == 8.0)
        .await;
    // A plan that is wrong, and none at all, change nothing.
    weir_one.answer(weir(json!({"plan": 9})));
    edge.until_metric("weir_edge_plan_requests_total", &["wrong"], |wrong| {
        wrong >= 1.0
    })
    .await;
    weir_one.stop();
    edge.until_metric("weir_edge_plan_requests_total", &["no_answer"], |gone| {
        gone >= 1.0
    })
    .await;
    assert_eq!(edge.metric("weir_edge_plan", &[]).await, 8.0);
    edge.traces(bytes("shop", vec![span(1, 0)])).await;
    edge.until_metric("weir_edge_spans_sent_total", &[], |sent| sent == 1.0)
        .await;
    // Its last counts cannot be reported: no longer than this is tried.
    drop(edge);
    let (gone, url) = (weir_one.url(), backend.url());
    let edge = Running::start(&["--weir", &gone, "--backend", &url, "--plan-file", file]).await;
    assert_eq!(edge.metric("weir_edge_plan", &[]).await, 8.0);
}

#[tokio::test(flavor = "multi_thread")]
async fn counts_wait_for_weir_and_count_once() {
    let (weir, backend) = (
        Server::start(weir(plan(7, 0.0))).await,
        Server::start(|_| status(200)).await,
    );
    let edge = following(&weir, &backend, &[]).await;
    let answers = Arc::new(AtomicU64::new(0));
    weir.answer({
        let answers = Arc::clone(&answers);
        move |request| match request.path.as_str() {
            "/v1/reports" if answers.fetch_add(1, Ordering::Relaxed) < 2 => status(503),
            "/v1/reports" => status(200),
            _ => status(304),
        }
    });
    edge.traces(bytes("shop", (0..10).map(|trace| span(trace, 0)).collect()))
        .await;
    let acknowledged = |request: &Recorded| {
        let report: Value = serde_json::from_slice(&request.body).unwrap();
        (report["sequence"].as_u64().unwrap(), report)
    };
    edge.until_metric("weir_edge_reports_total", &["later"], |later| later == 2.0)
        .await;
    let all: BTreeMap<u64, Value> = until("the counts", || {
        // The same sequence says the same.
        let all: BTreeMap<u64, Value> = weir
            .at_path("/v1/reports")
            .iter()
            .map(acknowledged)
            .collect();
        let text = serde_json::to_string(&all).unwrap();
        (answers.load(Ordering::Relaxed) > 2 && text.contains("\"offered\":10")).then_some(all)
    })
    .await;
    let epochs: Vec<&Value> = all.values().map(|report| &report["epoch"]).collect();
    assert!(epochs.windows(2).all(|pair| pair[0] == pair[1]));
    edge.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_stop_decides_and_sends_what_is_held() {
    let backend = Server::start(|_| status(200)).await;
    let url = backend.url();
    let flags = [
        "--backend",
        &url,
        "--initial-probability",
        "1",
        "--trace-timeout",
        "5m",
        "--batch-delay",
        "10s",
    ];
    let edge = Running::start(&flags).await;
    // There is no root: it would wait.
    edge.traces(bytes("shop", vec![span(1, 1), span(1, 2)]))
        .await;
    assert_eq!(edge.get("/readyz").await.0, 200);
    edge.stop().await;
    assert_eq!(taken_spans(&backend).len(), 2);
}
