//! Which documents are accepted, and which are refused.

use serde_json::{Value, json};
use weir::allocation::{GroupName, OperationName, ServiceName};
use weir::configuration::{
    BoundsSettings, ClassSettings, ClassesSettings, Configuration, Cost, GROUPS_MAX, Governed,
    GroupSettings, OPERATIONS_MAX, SERVICES_MAX, ServiceSettings,
};

use super::{WHOLE, get, put, sent};
use crate::support::app::TestApp;

#[tokio::test]
async fn every_wrong_field_is_named_by_its_path() {
    let directory = tempfile::tempdir().unwrap();
    let app = TestApp::start(directory.path(), &[]).await;
    let each = |bounds: Value| json!({ "services": { "a.b": { "each": bounds } } });
    let one =
        |bounds: Value| json!({ "services": { "a": { "operations": { "POST /c": bounds } } } });
    let service = |settings: Value| json!({ "services": { "a": settings } });
    let long = "x".repeat(600);
    let many: serde_json::Map<String, Value> = (0..101)
        .map(|number| (format!("g{number}"), json!({})))
        .collect();
    for (body, field) in [
        (json!([]), ""),
        (json!({ "groups": { "b": [] } }), "groups.b"),
        (each(json!([])), "services.a.b.each"),
        (json!({ "made-up": 1 }), "made-up"),
        (
            json!({ "budget": { "traces_per_second": -1 } }),
            "budget.traces_per_second",
        ),
        (json!({ "budget": null }), "budget"),
        (
            json!({ "coverage": { "probability": 1 } }),
            "coverage.probability",
        ),
        (json!({ "probability_min": 2 }), "probability_min"),
        (json!({ "groups": { "": {} } }), "groups"),
        (json!({ "groups": { long.clone(): {} } }), "groups"),
        (json!({ "groups": { "a\u{7}": {} } }), "groups"),
        (json!({ "groups": many }), "groups"),
        (json!({ "groups": { "none": {} } }), "groups.none"),
        (
            json!({ "groups": { "b": { "weight": 1 } } }),
            "groups.b.weight",
        ),
        (
            json!({ "groups": { "b": { "cap_traces_per_second": null } } }),
            "groups.b.cap_traces_per_second",
        ),
        (
            json!({ "groups": { "b": { "floor_traces_per_second": 2, "cap_traces_per_second": 1 } } }),
            "groups.b.floor_traces_per_second",
        ),
        (json!({ "services": { "": {} } }), "services"),
        (service(json!({ "group": "nobody" })), "services.a.group"),
        (service(json!({ "group": 1 })), "services.a.group"),
        (
            service(json!({ "floor_traces_per_second": 1e12 })),
            "services.a.floor_traces_per_second",
        ),
        (
            service(json!({ "operations": { long: {} } })),
            "services.a.operations",
        ),
        (each(json!({ "weight": 0 })), "services.a.b.each.weight"),
        (
            one(json!({ "weight": 1e7 })),
            "services.a.operations.POST /c.weight",
        ),
        (
            one(json!({ "weight": "1" })),
            "services.a.operations.POST /c.weight",
        ),
        (
            one(json!({ "priority": 10 })),
            "services.a.operations.POST /c.priority",
        ),
        (
            one(json!({ "priority": 1.5 })),
            "services.a.operations.POST /c.priority",
        ),
        (
            one(json!({ "probability": -0.1 })),
            "services.a.operations.POST /c.probability",
        ),
        (
            one(json!({ "probability_min": 0.5, "probability_max": 0.4 })),
            "services.a.operations.POST /c.probability_min",
        ),
        (
            json!({ "services": { "__other__": { "operations": { "a": {} } } } }),
            "services.__other__.operations.a",
        ),
    ] {
        let answer = put(&app, "*", &body).await;
        assert_eq!(answer.status, 422, "{body}: {}", answer.body);
        let told = answer.body["field"].as_str().unwrap_or_default();
        assert_eq!(told, field, "{body}: {}", answer.body);
    }
    let twice = r#"{"services": {"a": {}, "a": {"group": "b"}}}"#;
    let request = app.client.put(format!("{}{WHOLE}", app.admin));
    let typed = request
        .header("If-Match", "*")
        .header("Content-Type", "application/json");
    let answer = sent(typed.body(twice)).await;
    let detail = answer.body["detail"].as_str().unwrap();
    assert!(
        answer.status == 422 && detail.starts_with("lists a name twice"),
        "{detail}"
    );
    assert_eq!(get(&app, WHOLE).await.revision(), Some("1"));

    // The entry for services without an entry of their own may have bounds like any other.
    let others = json!({ "services": {
        "__other__": { "each": { "probability_max": 0.001 } },
        "a": { "operations": { "__other__": { "cap_traces_per_second": 1 } } },
    } });
    assert_eq!(put(&app, "*", &others).await.status, 200);
    app.stop().await;
}

/// A name of the greatest length; every character of it is escaped in JSON.
fn longest(number: usize, length: usize) -> String {
    format!("{number:06}{}", "\"".repeat(length - 6))
}

#[test]
fn a_document_with_everything_that_is_allowed_fits() {
    let bounds: BoundsSettings = serde_json::from_value(json!({
        "weight": 0.123_456_789_012_345_67,
        "floor_traces_per_second": 0.123_456_789_012_345_67,
        "cap_traces_per_second": 123_456.789_012_345_67,
        "probability_min": 0.123_456_789_012_345_67,
        "probability_max": 0.923_456_789_012_345_6,
        "probability": 0.123_456_789_012_345_67,
        "priority": 9,
    }))
    .unwrap();
    let mut whole = Configuration::default();
    for number in 0..GROUPS_MAX {
        let name = longest(number, GroupName::LONGEST);
        whole.groups.insert(name, GroupSettings::default());
    }
    let cost = Cost {
        spans_per_trace: Some(12_345.678_901_234_567),
        bytes_per_span: Some(12_345.678_901_234_567),
        measured: false,
    };
    let class = ClassSettings {
        weight: Some(12_345.678_901_234_567),
        floor_traces_per_second: Some(0.123_456_789_012_345_67),
        cap_traces_per_second: Some(123_456.789_012_345_67),
        probability_min: Some(0.123_456_789_012_345_67),
    };
    let classes = ClassesSettings {
        error: class,
        slow: class,
        tagged: ClassSettings {
            cap_traces_per_second: None,
            ..class
        },
        rest: class,
    };
    let each = OPERATIONS_MAX / SERVICES_MAX;
    for number in 0..SERVICES_MAX {
        let operations = (0..each).map(|at| (longest(at, OperationName::LONGEST), bounds));
        let service = ServiceSettings {
            group: Some(longest(0, GroupName::LONGEST)),
            floor_traces_per_second: Some(0.123_456_789_012_345_67),
            cap_traces_per_second: Some(123_456.789_012_345_67),
            cost,
            governed: Some(Governed::Tail),
            slow_ms: Some(3_600_000),
            classes,
            each: bounds,
            operations: operations.collect(),
        };
        let name = longest(number, ServiceName::LONGEST);
        whole.services.insert(name, service);
    }
    whole.check().unwrap();
    let bytes = whole.document().len();
    assert!(bytes <= Configuration::BYTES_MAX, "{bytes}");
    assert!(
        bytes > Configuration::BYTES_MAX / 2,
        "{bytes}: what is it for?"
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn twenty_thousand_overrides_with_long_names_are_taken_and_come_back() {
    let directory = tempfile::tempdir().unwrap();
    let app = TestApp::start(directory.path(), &[]).await;
    let name = |number: usize| format!("{number:06}{}", "x".repeat(OperationName::LONGEST - 6));
    let bounds = json!({ "weight": 2.0 });
    let operations = (0..OPERATIONS_MAX).map(|number| (name(number), bounds.clone()));
    let operations = Value::Object(operations.collect());
    let document = json!({
        "budget": { "traces_per_second": 20 },
        "services": { "shop": { "operations": operations } },
    });
    let written = put(&app, "*", &document).await;
    assert_eq!(written.status, 200, "{}", written.body["detail"]);
    let read = get(&app, WHOLE).await.body;
    let found = read["services"]["shop"]["operations"].as_object().unwrap();
    assert_eq!(found.len(), OPERATIONS_MAX);
    app.stop().await;
}
