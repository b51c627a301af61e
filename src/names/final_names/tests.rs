//! Which final names stay when there are too many.

use futures_util::FutureExt;

use super::*;

fn counter() -> (FinalNames, Arc<Metrics>) {
    let metrics = Arc::new(Metrics::new());
    (FinalNames::new(Arc::clone(&metrics)), metrics)
}

fn count(names: &FinalNames, service: &str, at_end: &str, requests: u64) {
    let of = FinalCount {
        at_start: "GET",
        at_end,
        requests,
    };
    names.count(service, &[of]);
}

/// The final names of a service in what was taken.
fn of<'t>(taken: &'t [ServiceFinalNames], service: &str) -> BTreeMap<&'t str, u64> {
    let of = taken.iter().find(|of| of.service == service);
    let names = of.into_iter().flat_map(|of| &of.names);
    names
        .map(|name| {
            assert_eq!(name.at_start, "GET");
            (name.at_end.as_str(), name.requests)
        })
        .collect()
}

#[test]
fn names_with_ids_do_not_push_out_those_that_were_there_before() {
    let (names, metrics) = counter();
    let routes: Vec<String> = (0..50).map(|route| format!("GET /route/{route}")).collect();
    for window in 0..3_u64 {
        let ids = (0..5000).map(|id| format!("GET /user/{window}-{id}"));
        for (id, name) in ids.enumerate() {
            count(&names, "shop", &name, 2);
            if id % 600 == 0 {
                names.make_room();
            }
            // Routes come last in the window, and with fewer requests each, but for the first window.
            if window == 0 && id < routes.len() {
                count(&names, "shop", &routes[id], 3);
            }
        }
        names.make_room();
        if window > 0 {
            routes
                .iter()
                .for_each(|route| count(&names, "shop", route, 1));
        }
        let taken = names.take();
        let taken = of(&taken, "shop");
        assert!(taken.len() <= OF_SERVICE + 1, "{}", taken.len());
        for route in &routes {
            assert!(taken.contains_key(route.as_str()), "{route} in {window}");
        }
        let routed = if window == 0 { 150 } else { 50 };
        assert_eq!(
            taken.values().sum::<u64>(),
            10_000 + routed,
            "all are counted"
        );
    }
    let folded = metrics.final_names_folded.get();
    assert!((20_000..30_000).contains(&folded), "{folded}");
    assert_eq!(metrics.final_names.get(), 0.0, "all are taken");
}

/// Threads that answer polls count.
#[test]
fn counting_leaves_it_to_others_to_compare_names_and_does_not_wait_for_them() {
    let (names, metrics) = counter();
    assert_eq!(names.crowded().now_or_never(), None);
    let requests = |id: u64| 1 + id % 7;
    for id in 0..2000 {
        count(&names, "shop", &format!("GET /{id}"), requests(id));
        count(&names, "small", "GET /", 1);
    }
    let held = names.counted().services["shop"].names;
    assert_eq!(held, COUNTED_OF_SERVICE + 1, "and __other__");
    assert_eq!(
        metrics.final_names_folded.get(),
        (800..2000).map(requests).sum::<u64>()
    );
    assert_eq!(names.crowded().now_or_never(), Some(()));
    // While room is being made, no lock is held and names are counted.
    let (taken, before) = names.counted().take_out("shop");
    count(&names, "shop", "GET /7", 1000);
    count(&names, "shop", "GET /new", 2000);
    let (kept, folded) = taken.expect("it is large").shrunk("shop", &before);
    assert!(folded > 0);
    names.counted().put_back("shop".into(), kept);
    // The busiest of before with __other__, those of meanwhile, and that of the small service.
    assert_eq!(names.counted().names, OF_SERVICE + 2 + 1);
    let taken = names.take();
    let shop = of(&taken, "shop");
    assert_eq!(shop["GET /new"], 2000);
    let all = (0..2000).map(requests).sum::<u64>() + 3000;
    assert_eq!(shop.values().sum::<u64>(), all, "all are counted");
    assert_eq!(names.counted().bytes, 0);
}

#[test]
fn all_services_together_are_bounded() {
    let (names, metrics) = counter();
    for service in 0..1000 {
        for route in 0..100 {
            count(
                &names,
                &format!("service-{service}"),
                &format!("GET /{route}"),
                1,
            );
        }
    }
    assert!(names.counted().names <= ALL);
    let taken = names.take();
    let (mut written, mut requests) = (0, 0);
    for service in &taken {
        written += service.names.len();
        requests += service.names.iter().map(|of| of.requests).sum::<u64>();
    }
    assert!(written <= ALL, "{written}");
    assert_eq!(
        requests, ALL as u64,
        "the services that came first are whole"
    );
    assert_eq!(metrics.final_names_folded.get(), 50_000);
    // The next window begins with an empty table.
    count(&names, "late", "GET /", 1);
    assert_eq!(of(&names.take(), "late"), [("GET /", 1)].into());
}

#[test]
fn long_names_are_bounded_by_their_bytes() {
    let (names, _) = counter();
    for service in 0..100 {
        for route in 0..200 {
            let name = format!("GET /{service}/{route}/{}", "x".repeat(450));
            count(&names, &format!("{service}"), &name, 1);
        }
    }
    assert!(names.counted().bytes <= BYTES);
}

#[test]
fn a_name_that_is_not_valid_is_folded() {
    let (names, metrics) = counter();
    count(&names, "shop", "GET /\u{7}", 2);
    count(&names, "shop", &"x".repeat(600), 3);
    count(&names, "", "GET /", 4);
    let not_valid = FinalCount {
        at_start: "",
        at_end: "GET /",
        requests: 5,
    };
    names.count("shop", &[not_valid]);
    let taken = names.take();
    assert_eq!(taken.len(), 1);
    assert_eq!(of(&taken, "shop"), [(OVERFLOW_NAME, 5)].into());
    assert_eq!(metrics.final_names_folded.get(), 10);
}

fn heard(names: &[(&str, &str, u64)]) -> Heard {
    let mut heard = Heard::default();
    let name = |(at_start, at_end, requests): &(&str, &str, u64)| FinalName {
        at_start: (*at_start).into(),
        at_end: (*at_end).into(),
        requests: *requests,
    };
    heard.add(names.iter().map(name).collect());
    heard
}

#[test]
fn windows_and_replicas_add_up() {
    let mut sums = heard(&[
        ("GET", "GET /a", 1),
        ("GET", "GET /b", 2),
        ("GET", "__other__", 9),
    ]);
    sums.add(vec![FinalName {
        at_start: "GET".into(),
        at_end: "GET /a".into(),
        requests: 3,
    }]);
    let expected = vec![("GET /a", 4), ("GET /b", 2), ("__other__", 9)];
    assert_eq!(sums.under("GET"), Some(expected));
    assert_eq!(sums.under("POST"), None);
    let many: Vec<String> = (0..300).map(|id| format!("GET /{id}")).collect();
    let many: Vec<_> = many.iter().map(|end| ("GET", end.as_str(), 1)).collect();
    let named = heard(&many);
    let named = named.under("GET").unwrap();
    assert_eq!(named.len(), OF_SERVICE + 1);
    assert_eq!(named.iter().map(|(_, requests)| requests).sum::<u64>(), 300);
}

#[test]
fn what_samplers_are_asked_with_instead_of_a_final_name() {
    let sums = heard(&[
        ("GET", "GET /hot", 1),
        ("POST", "POST", 1),
        ("job", "other job", 1),
    ]);
    assert_eq!(sums.asked_instead_of("GET /hot"), Some("GET"));
    assert_eq!(
        sums.asked_instead_of("GET /cold"),
        Some("GET"),
        "it has the form"
    );
    assert_eq!(sums.asked_instead_of("other job"), Some("job"));
    assert_eq!(
        sums.asked_instead_of("GET"),
        None,
        "it is asked with itself"
    );
    assert_eq!(sums.asked_instead_of("GETAWAY /x"), None);
    assert_eq!(
        sums.asked_instead_of("POST /cart"),
        None,
        "no final name of POST is known"
    );
    assert_eq!(sums.under("POST"), None, "it has no other name");
}
