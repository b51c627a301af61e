//! Commands for what holds for the whole fleet for a time.

use serde_json::json;

use super::{Operator, with_a_plan};

const WHO: [&str; 4] = ["--owner", "ann", "--reason", "a release"];

#[tokio::test(flavor = "multi_thread")]
async fn freezes_and_emergencies_begin_are_shown_and_end() {
    let directory = tempfile::tempdir().unwrap();
    let app = with_a_plan(directory.path()).await;
    let operator = Operator::of(&app.admin);
    let said = async |arguments: &[&str], expected: &str| {
        let ended = operator.run(arguments).await;
        assert_eq!(ended.status, 0, "{arguments:?}: {}", ended.err);
        assert!(ended.out.contains(expected), "{arguments:?}: {}", ended.out);
    };
    said(&["freeze"], "There is no freeze.").await;
    said(
        &[&["freeze", "--for", "4h"], &WHO[..]].concat(),
        "Frozen by ann, until 20",
    )
    .await;
    said(&["freeze"], "Frozen by ann").await;
    said(&["freeze", "end"], "The freeze is ended").await;
    let never = [&["freeze", "--never-expires"], &WHO[..]].concat();
    said(&never, "until never: a release.").await;
    said(&["freeze", "end"], "The freeze is ended").await;
    let nothing = operator.run(&["freeze", "end"]).await;
    assert!(
        nothing.status == 1 && nothing.err.contains("there is no freeze"),
        "{}",
        nothing.err
    );

    said(&["emergency"], "There is no emergency").await;
    let cut = [&["emergency", "0.1", "--for", "30m"], &WHO[..]].concat();
    said(&cut, "everything that is served × 0.1, until 20").await;
    let (_, shown) = app.admin_get("/v1/emergency").await;
    assert_eq!(shown["emergency"]["factor"], 0.1);
    said(&["emergency", "end"], "The emergency is ended").await;
    let anonymous = operator.run(&["emergency", "0.1"]).await;
    assert_eq!(anonymous.status, 2, "{}", anonymous.out);

    said(&["mode"], "Mode: enforce.").await;
    let unchanged = "Mode: enforce.\nSDKs are served what the present plan decides.\n";
    let shown = operator.run(&["mode"]).await;
    assert_eq!(shown.out, unchanged);
    said(&["mode", "observe"], "The next plan changes that.").await;
    said(&["mode", "enforce"], "Mode: enforce.").await;
    app.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_budget_is_set_in_spans_once_their_cost_is_known() {
    let directory = tempfile::tempdir().unwrap();
    let app = with_a_plan(directory.path()).await;
    let operator = Operator::of(&app.admin);
    let spans = ["budget", "500", "--unit", "spans_per_second", "--yes"];
    let unknown = operator.run(&spans).await;
    assert!(
        unknown.status == 2 && unknown.err.contains("cost.spans_per_trace is not known"),
        "{}",
        unknown.err
    );
    let file = operator.file("weir.yaml", "cost:\n  spans_per_trace: 10\n");
    let applied = operator
        .run(&["apply", "-f", super::shown_path(&file), "--yes"])
        .await;
    assert_eq!(applied.status, 0, "{}", applied.err);
    let set = operator.run(&spans).await;
    assert_eq!(set.status, 0, "{}", set.err);
    let (_, configuration) = app.admin_get("/v1/configuration").await;
    assert_eq!(
        configuration["budget"],
        json!({ "spans_per_second": 500.0 })
    );
    let shown = operator.run(&["budget"]).await;
    let expected = "Budget: 500 spans/s, which is 50 traces/s, 131 M traces a month.";
    assert!(shown.out.contains(expected), "{}", shown.out);
    app.stop().await;
}
