//! Which rule wins, and when.

use serde_json::json;

use super::*;
use crate::allocation::{Bounds, OperationId, Policy, ServiceId};
use crate::configuration::Known;
use crate::names::Names;

const NAMES: [(&str, &str); 7] = [
    ("checkout", "GET /health"),
    ("checkout", "POST /pay"),
    ("checkout", "GET /users/*"),
    ("stock", "GET /health"),
    ("stock", "sync"),
    ("stock", "__other__"),
    ("checkout", "tagged=vip"),
];

fn time(second: i64) -> DateTime<Utc> {
    DateTime::from_timestamp(second, 0).unwrap()
}

fn at(second: i64) -> Timestamp {
    Timestamp(second * 1000)
}

fn names() -> Names {
    Names::numbered(&NAMES)
}

/// A rule written at a second.
fn rule(selector: (&str, &str), set: serde_json::Value, second: i64) -> serde_json::Value {
    json!({ "service": selector.0, "operation": selector.1, "set": set, "owner": "ann",
        "reason": "a test", "expires": "never", "written_at": time(second) })
}

fn configuration(rules: serde_json::Value, services: serde_json::Value) -> Configuration {
    let document = json!({ "rules": rules, "services": services });
    let read: Configuration = serde_json::from_value(document).unwrap();
    read.check().unwrap();
    read
}

fn policy(configuration: &Configuration, second: i64) -> Policy {
    configuration.policy(1, &names(), at(second))
}

fn bounds(policy: &Policy, service: &str, operation: &str) -> Bounds {
    let names = names();
    let id = names.find(service, operation).unwrap();
    policy.bounds(names.find_service(service).unwrap(), id).0
}

#[test]
fn the_more_specific_rule_wins_then_the_newer() {
    let rules = json!({
        "all": rule(("*", "*"), json!({ "weight": 2.0, "cap_traces_per_second": 9.0 }), 9),
        "service": rule(("checkout", "*"), json!({ "weight": 3.0 }), 9),
        "pattern": rule(("*", "GET /h*"), json!({ "weight": 4.0 }), 9),
        "name": rule(("*", "GET /health"), json!({ "weight": 5.0 }), 1),
        "newer": rule(("*", "GET /health"), json!({ "weight": 6.0 }), 2),
        "both": rule(("stock", "GET /health"), json!({ "weight": 7.0 }), 0),
    });
    let policy = policy(&configuration(rules, json!({})), 10);
    let weight = |service, operation| bounds(&policy, service, operation).weight;
    assert_eq!(weight("checkout", "GET /health"), 6.0);
    assert_eq!(weight("stock", "GET /health"), 7.0);
    assert_eq!(weight("checkout", "POST /pay"), 3.0);
    assert_eq!(weight("stock", "sync"), 2.0);
    assert_eq!(
        weight("stock", "__other__"),
        2.0,
        "* means it, patterns do not"
    );
    // Each field comes from the first rule that sets it.
    assert_eq!(bounds(&policy, "stock", "GET /health").cap, 9.0);
}

#[test]
fn settings_have_their_place_among_rules() {
    let services = json!({
        "checkout": {
            "each": { "weight": 3.0, "priority": 1 },
            "operations": { "POST /pay": { "weight": 8.0 } },
        },
    });
    let rules = json!({
        "all": rule(("*", "*"), json!({ "weight": 2.0, "probability_max": 0.5 }), 9),
        "health": rule(("*", "GET /health"), json!({ "weight": 5.0 }), 9),
    });
    let policy = policy(&configuration(rules, services.clone()), 10);
    let pay = bounds(&policy, "checkout", "POST /pay");
    assert_eq!((pay.weight, pay.probability_max), (8.0, 0.5));
    let health = bounds(&policy, "checkout", "GET /health");
    assert_eq!((health.weight, health.priority.number()), (5.0, 1));
    assert_eq!(bounds(&policy, "checkout", "GET /users/*").weight, 3.0);

    let same = json!({ "pay": rule(("checkout", "POST /pay"), json!({ "weight": 9.0 }), 0) });
    let policy = self::policy(&configuration(same, services), 10);
    assert_eq!(bounds(&policy, "checkout", "POST /pay").weight, 9.0);
}

#[test]
fn a_fixed_probability_and_bounds_exclude_each_other() {
    let rules = json!({
        "boost": rule(("checkout", "*"), json!({ "probability": 1.0 }), 9),
        "quiet": rule(("*", "GET /health"), json!({ "probability_max": 0.01 }), 1),
        "least": rule(("*", "*"), json!({ "floor_traces_per_second": 5.0 }), 1),
        "most": rule(("stock", "sync"), json!({ "cap_traces_per_second": 2.0 }), 1),
    });
    let policy = policy(&configuration(rules, json!({})), 10);
    let health = bounds(&policy, "checkout", "GET /health");
    assert_eq!((health.pin, health.probability_max), (None, 0.01));
    let pay = bounds(&policy, "checkout", "POST /pay");
    assert_eq!((pay.pin, pay.floor), (Some(1.0), 0.0));
    let sync = bounds(&policy, "stock", "sync");
    assert_eq!((sync.floor, sync.cap), (0.0, 2.0));
}

#[test]
fn escaped_patterns_exclusion_and_coverage_are_set() {
    let coverage = json!({ "coverage": { "probability": 0.95, "within_seconds": 300.0 } });
    let rules = json!({
        "users": rule(("*", r"GET /users/\*"), json!({ "exclude": true }), 1),
        "covered": rule(("stock", "s?nc"), coverage, 1),
    });
    let policy = policy(&configuration(rules, json!({})), 10);
    assert_eq!(bounds(&policy, "checkout", "GET /users/*").pin, Some(0.0));
    assert!((bounds(&policy, "stock", "sync").floor - 0.009_986).abs() < 1e-6);
}

#[test]
fn a_rule_applies_from_its_start_until_it_expires() {
    let mut boost = rule(("checkout", "POST /pay"), json!({ "probability": 1.0 }), 0);
    boost["start"] = json!(time(10));
    boost["expires"] = json!(time(20));
    boost["extra_traces_per_second"] = json!(7.0);
    let with = configuration(json!({ "boost": boost }), json!({}));
    let without = configuration(json!({}), json!({}));
    let same = |second| policy(&with, second) == policy(&without, second);
    assert_eq!([9, 10, 19, 20].map(same), [true, false, false, true]);
    assert_eq!(policy(&with, 19).budget, without.budget.amount() + 7.0);
    let changes = |from, to| RuleChanges::between(&with.rules, at(from), at(to));
    assert_eq!(changes(9, 10).began, ["boost"]);
    assert_eq!(changes(19, 20).ran_out, ["boost"]);
    assert!(changes(10, 19).is_empty() && changes(20, 99).is_empty());
    let mut off = with.clone();
    off.rules.get_mut("boost").unwrap().enabled = false;
    assert_eq!(policy(&off, 15), policy(&without, 15));
}

#[test]
fn matches_are_counted_over_services() {
    let rules = json!({
        "health": rule(("*", "GET /he*"), json!({ "weight": 2.0 }), 1),
        "all": rule(("st*", "*"), json!({ "weight": 2.0 }), 1),
        "none": rule(("checkout", "sync"), json!({ "weight": 2.0 }), 1),
    });
    let configuration = configuration(rules, json!({}));
    let matches = Matches::of(&configuration.rules, &names());
    let count = |name: &str| {
        let matched = matches.matched(name).unwrap();
        (matched.operations, matched.services)
    };
    assert_eq!(
        ["health", "all", "none"].map(count),
        [(2, 2), (2, 1), (0, 0)]
    );
    let service = names().find_service("stock").unwrap();
    let explained = matches.explained((service, OperationId(4)), Layers::Nothing, at(5));
    let said: Vec<_> = explained
        .iter()
        .map(|of| (of.name, of.fields.clone()))
        .collect();
    assert_eq!(said, [("health", vec![Field::Weight]), ("all", vec![])]);
    let meant = matches.meaning(&["all"]);
    assert!(meant(service, OperationId(4)));
    assert!(!meant(ServiceId(1), OperationId(1)));
}

#[test]
fn a_rule_in_another_form_is_what_its_document_says() {
    let mut boost = rule(("checkout", "POST /pay"), json!({ "probability": 1.0 }), 5);
    boost["start"] = json!(time(10));
    boost["extra_traces_per_second"] = json!(7.0);
    let rules = json!({
        "boost": boost,
        "vip": vip(),
        "all": rule(("*", "*"), json!({ "weight": 2.0 }), 9),
        "service": rule(("checkout", "*"), json!({ "cap_traces_per_second": 3.0 }), 1),
    });
    let services = json!({ "checkout": { "operations": { "POST /pay": { "weight": 8.0 } } } });
    let held = configuration(rules, services);
    let matches = Matches::of(&held.rules, &names());
    // An operation may have a line of its own that says what its service's says.
    let means = |policy: &Policy| {
        let all = NAMES.map(|(service, operation)| bounds(policy, service, operation));
        (policy.budget, all)
    };
    for name in ["boost", "vip", "all", "service"] {
        let planned = |form: Rule| {
            let mut other = held.clone();
            other.rules.insert(name.into(), form.clone());
            let (matches, known) = (matches.with(&[(name, form)]), Known::default());
            let found = other.policy_with(&matches, 1, &names(), at(5), known);
            (means(&found), means(&policy(&other, 5)))
        };
        let (found, expected) = planned(held.rules[name].always_active());
        assert_eq!(found, expected, "{name} active");
        let mut without = held.clone();
        without.rules.remove(name);
        let (found, _) = planned(held.rules[name].turned_off());
        assert_eq!(found, means(&policy(&without, 5)), "{name} off");
        assert_ne!(found, expected, "{name} does something");
    }
}

#[test]
fn what_weir_sets_itself_stays_while_a_rule_stays() {
    let pin = json!({ "set": { "probability": 0.5 }, "owner": "ann", "reason": "a test" });
    let document = json!({ "rules": { "pin": pin } });
    let read = || serde_json::from_value::<Configuration>(document.clone()).unwrap();
    let mut first = read();
    assert!(first.check().is_err(), "no expiry yet");
    first.complete(&Configuration::default(), time(100));
    let written = first.rules["pin"].clone();
    assert_eq!(written.expires, Some(Expiry::At(time(100) + PIN_LASTS)));
    assert_eq!(written.written_at, Some(time(100)));
    let mut again = read();
    again.complete(&first, time(200));
    assert_eq!(again, first, "the same document says the same");
    let mut other = first.clone();
    other.rules.get_mut("pin").unwrap().reason = "another".into();
    other.complete(&first, time(300));
    assert_eq!(other.rules["pin"].written_at, Some(time(300)));
    // An older revision comes back with its own times.
    let mut back = first.clone();
    back.complete(&other, time(400));
    assert_eq!(back, first);
}

#[test]
fn a_document_without_rules_is_what_the_release_before_reads() {
    assert!(!Configuration::default().document().contains("rules"));
}

#[test]
fn what_is_wrong_is_named() {
    let fine = rule(("checkout", "*"), json!({ "weight": 2.0 }), 1);
    let said = |field: &str, value: serde_json::Value| {
        let mut wrong = fine.clone();
        wrong[field] = value;
        let document = json!({ "rules": { "a": wrong } });
        let read = serde_json::from_value::<Configuration>(document).unwrap();
        read.check().unwrap_err().to_string()
    };
    for (field, value, expected) in [
        ("service", json!("a\\b"), "rules.a.service has a \\"),
        (
            "operation",
            json!(""),
            "rules.a.operation must not be empty",
        ),
        ("owner", json!(" "), "rules.a.owner must not be empty"),
        (
            "reason",
            json!("x".repeat(1025)),
            "rules.a.reason must be at most 1024 bytes",
        ),
        ("set", json!({}), "rules.a.set must set something"),
        (
            "set",
            json!({ "weight": 0.0 }),
            "rules.a.set.weight must be between",
        ),
        (
            "set",
            json!({ "exclude": true, "probability": 1.0 }),
            "rules.a.set.probability must not",
        ),
        (
            "set",
            json!({ "coverage": { "probability": 1.0 } }),
            "rules.a.set.coverage.probability",
        ),
        (
            "extra_traces_per_second",
            json!(-1.0),
            "rules.a.extra_traces_per_second must be",
        ),
    ] {
        let problem = said(field, value);
        assert!(problem.starts_with(expected), "{problem}");
    }
    let named = json!({ "rules": { "a/b": fine } });
    let read = serde_json::from_value::<Configuration>(named).unwrap();
    assert!(
        read.check()
            .unwrap_err()
            .to_string()
            .starts_with("rules has a name")
    );
}

fn vip() -> serde_json::Value {
    json!({ "service": "check*", "attributes": { "test.actor": "*" },
        "set": { "cap_traces_per_second": 5.0 }, "owner": "ann", "reason": "a test",
        "start": time(20), "expires": time(40), "written_at": time(10) })
}

#[test]
fn tagged_requests_are_an_operation_of_their_own() {
    let rules = json!({
        "vip": vip(),
        "cut": rule(("*", "*"), json!({ "probability": 0.5 }), 99),
        "low": rule(("checkout", "*"), json!({ "probability_max": 0.1 }), 99),
    });
    let configuration = configuration(rules, json!({}));
    let tagged = bounds(&policy(&configuration, 30), "checkout", "tagged=vip");
    assert_eq!((tagged.pin, tagged.cap), (None, 5.0));
    assert_eq!((tagged.probability_min, tagged.probability_max), (1.0, 1.0));
    let other = bounds(&policy(&configuration, 30), "checkout", "POST /pay");
    assert_eq!((other.probability_min, other.probability_max), (0.0, 0.1));
    let matches = Matches::of(&configuration.rules, &names());
    assert!(matches.matched("vip").unwrap().is_something());
    for (second, active, changed) in [(15, false, 10), (20, true, 20), (40, false, 40)] {
        let rules = TaggedRules::of(&configuration, at(second));
        let found: Vec<&TaggedRule> = rules.iter().collect();
        assert_eq!((found.len(), found[0].active), (1, active), "{second}");
        assert_eq!(found[0].changed_at, at(changed), "{second}");
        assert!(found[0].is_for("checkout") && !found[0].is_for("stock"));
    }
}
