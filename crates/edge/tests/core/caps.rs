//! Caps that edges hold between two plans.

use super::*;

fn following(plan: &str, operations_max: usize) -> Core {
    let limits = Limits {
        ring_bytes: 64 << 20,
        table_bytes: 16 << 20,
        operations_max,
        ..LIMITS
    };
    let plan = Arc::new(Plan::parse(plan.as_bytes()).unwrap());
    Core::new(limits, Told::default(), plan)
}

fn root(name: &str, trace: u64) -> Span {
    Span {
        name: name.into(),
        ..span(trace, 0)
    }
}

/// Kept roots by their names.
fn kept(core: &mut Core) -> BTreeMap<String, usize> {
    let mut kept = BTreeMap::new();
    for span in taken(core) {
        *kept.entry(span.name).or_default() += 1;
    }
    kept
}

#[test]
fn an_operation_keeps_its_cap_in_a_storm_and_the_others_all_that_they_are_due() {
    let mut core = following(
        r#"{"plan": 1,
        "default": {"governed": "tail", "probabilities": {"error": 1, "slow": 1, "tagged": 1, "rest": 1}},
        "services": [{"service": "shop", "governed": "tail", "caps": {"rest": 40},
            "operations": [{"operation": "storm", "cap_traces_per_second": 10}, {"operation": "calm"}]}]}"#,
        100,
    );
    let mut trace = 0;
    for ms in 0..30_000_u64 {
        let mut sent = Vec::new();
        let mut send = |each_ms: u64, span: fn(u64) -> Span| {
            if ms % each_ms == 0 {
                trace += 1;
                sent.push(span(trace));
            }
        };
        // 15 traces/s of one operation, and 500 of another one, with 5 errors.
        send(66, |trace| root("calm", trace));
        send(2, |trace| root("storm", trace));
        send(200, |trace| failed(root("storm", trace)));
        if !sent.is_empty() {
            push(&mut core, "shop", sent, ms);
        }
        core.advance(ms, 1_000);
        // The first seconds of a burst keep more.
        if ms == 10_000 {
            taken(&mut core);
        }
    }
    let kept = taken(&mut core);
    let of = |name: &str, is_error: bool| {
        let is_it = |span: &&Span| span.name == name && span.status.is_some() == is_error;
        kept.iter().filter(is_it).count()
    };
    // 20 seconds.
    assert!((298..=304).contains(&of("calm", false)), "{kept:?}");
    assert!((99..=101).contains(&of("storm", true)));
    let rest = of("storm", false) as f64;
    // The errors leave 5 of the 10 traces/s. Five deviations of what chance keeps.
    assert!((rest - 100.0).abs() < 50.0, "{rest}");
}

#[test]
fn many_operations_have_a_cap_each() {
    let names: Vec<String> = (0..10_000).map(|number| format!("GET /{number}")).collect();
    let operations = names.iter();
    let operations = operations
        .map(|name| format!(r#"{{"operation": "{name}", "cap_traces_per_second": 1}}"#))
        .collect::<Vec<_>>()
        .join(",");
    let mut core = following(
        &format!(
            r#"{{"plan": 1,
            "default": {{"governed": "tail", "probabilities": {{"error": 1, "slow": 1, "tagged": 1, "rest": 1}}}},
            "services": [{{"service": "shop", "governed": "tail", "operations": [{operations}]}}]}}"#
        ),
        10_000,
    );
    for (number, name) in names.iter().enumerate() {
        let traces = number as u64 * 2..number as u64 * 2 + 2;
        push(
            &mut core,
            "shop",
            traces.map(|trace| root(name, trace)).collect(),
            0,
        );
    }
    while core.advance(5_000, 1_000) {}
    let kept = kept(&mut core);
    // Each has ten traces in ten seconds, so none of them is over its cap.
    assert_eq!(kept.len(), names.len());
    assert!(kept.values().all(|kept| *kept == 2));
}

#[test]
fn the_first_tagged_request_of_each_of_many_services_is_kept() {
    let services = 5_000;
    let mut core = following(
        r#"{"plan": 1,
        "default": {"governed": "tail", "probabilities": {"error": 0, "slow": 0, "tagged": 1, "rest": 0}},
        "tagged": [{"name": "actors", "attributes": {"test.actor": "*"}, "cap_traces_per_second": 1}]}"#,
        20_000,
    );
    for service in 0..services {
        let tagged = Span {
            attributes: vec![text("test.actor", "x")],
            ..span(service, 0)
        };
        push(&mut core, &format!("service-{service}"), vec![tagged], 0);
    }
    while core.advance(5_000, 1_000) {}
    assert_eq!(taken(&mut core).len() as u64, services);
}
