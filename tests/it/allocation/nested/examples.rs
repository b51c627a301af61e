//! Examples of groups with bounds of their own.

use weir::allocation::nested::Node;
use weir::allocation::solve::{Entry, Priority, solve, solve_nested};

fn asks(demand: f64, floor: f64, priority: u8) -> Entry {
    Entry {
        demand,
        floor,
        priority: Priority::new(priority),
        ..Entry::default()
    }
}

#[test]
fn floors_that_do_not_fit_go_by_priority() {
    let entries = [
        asks(100.0, 30.0, 9),
        asks(100.0, 40.0, 5),
        asks(100.0, 20.0, 5),
        asks(100.0, 50.0, 0),
    ];
    let solution = solve(&entries, 60.0);
    assert_eq!(solution.shares, [30.0, 20.0, 10.0, 0.0]);
    assert_eq!(solution.missing, 80.0);
}

#[test]
fn what_a_group_does_not_use_is_lent_and_taken_back() {
    let nodes = [
        Node::default(),
        Node {
            floor: 60.0,
            ..Node::default()
        },
    ];
    let of = |in_group: f64| {
        let entries = [asks(in_group, 0.0, 5), asks(1000.0, 0.0, 5)];
        solve_nested(&entries, &[1, 0], &nodes, 100.0).shares
    };
    assert_eq!(of(1000.0), [60.0, 40.0]);
    assert_eq!(of(10.0), [10.0, 90.0]);
    assert_eq!(of(1000.0), [60.0, 40.0]);
}

#[test]
fn a_cap_inside_a_cap_leaves_the_rest_to_its_siblings() {
    let capped = |parent, cap| Node {
        parent,
        cap,
        ..Node::default()
    };
    let nodes = [Node::default(), capped(0, 50.0), capped(1, 10.0)];
    let entries = [asks(1e3, 0.0, 5), asks(1e3, 0.0, 5), asks(1e3, 0.0, 5)];
    let solution = solve_nested(&entries, &[2, 1, 0], &nodes, 100.0);
    assert_eq!(solution.shares, [10.0, 40.0, 50.0]);
    assert_eq!(solution.nodes[2].most, 10.0);
    assert_eq!(solution.level, 50.0);
}

#[test]
fn floors_under_a_cap_that_is_too_small_shrink_and_are_reported() {
    let nodes = [
        Node::default(),
        Node {
            cap: 10.0,
            ..Node::default()
        },
    ];
    let entries = [
        asks(100.0, 20.0, 5),
        asks(100.0, 20.0, 5),
        asks(1e3, 0.0, 5),
    ];
    let solution = solve_nested(&entries, &[1, 1, 0], &nodes, 100.0);
    assert_eq!(solution.shares, [5.0, 5.0, 90.0]);
    assert_eq!(solution.nodes[1].missing, 30.0);
    assert_eq!(
        solution.missing, 0.0,
        "the fleet's budget holds all that is left"
    );
}
