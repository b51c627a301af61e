//! Policies and windows of all kinds, often absurd ones.

use proptest::prelude::*;
use weir::allocation::{
    AgentCount, AgentId, AgentReport, Bounds, Group, GroupName, OperationCount, OperationId,
    Policy, PollCount, Priority, ServiceCount, ServiceId, ServicePolicy, Timestamp, Whole, Window,
    WindowCounts,
};

use super::fleet::policy;

/// Numbers of all kinds, often absurd ones.
pub fn number() -> impl Strategy<Value = f64> {
    prop_oneof![
        any::<f64>(),
        0.0..1.0f64,
        0.0..1e4f64,
        Just(f64::NAN),
        Just(f64::INFINITY),
        Just(-1.0),
        Just(0.0),
    ]
}

fn big() -> impl Strategy<Value = u64> {
    prop_oneof![any::<u64>(), 0..10_000u64, Just(u64::MAX), Just(0)]
}

fn bounds() -> impl Strategy<Value = Bounds> {
    let values = prop::array::uniform5(number());
    (values, any::<u8>(), prop::option::of(number())).prop_map(|(values, priority, pin)| {
        let [weight, floor, probability_min, cap, probability_max] = values;
        Bounds {
            weight,
            floor,
            probability_min,
            cap,
            probability_max,
            priority: Priority::new(priority),
            pin,
        }
    })
}

fn whole() -> impl Strategy<Value = Whole> {
    let asked = (number(), number()).prop_map(|(floor, cap)| Whole { floor, cap });
    prop_oneof![Just(Whole::default()), asked]
}

fn group_name(number: u8) -> GroupName {
    GroupName::parse(&format!("group-{number}")).expect("is a name")
}

fn service() -> impl Strategy<Value = ServicePolicy> {
    // One more than there are: a policy may have a group that no service uses.
    let group = prop::option::of((0..4u8).prop_map(group_name));
    (group, whole(), bounds()).prop_map(|(group, whole, each)| ServicePolicy {
        group,
        whole,
        each,
        ..ServicePolicy::default()
    })
}

fn groups() -> impl Strategy<Value = Vec<Group>> {
    prop::collection::vec(whole(), 0..3).prop_map(|wholes| {
        let group = |(number, whole)| Group {
            name: group_name(number),
            whole,
        };
        (0..).zip(wholes).map(group).collect()
    })
}

pub fn any_policy() -> impl Strategy<Value = Policy> {
    let services = prop::collection::btree_map(0..6u32, service(), 0..4);
    let operations = prop::collection::btree_map(0..6u32, bounds(), 0..4);
    let numbers = prop::array::uniform7(number());
    (numbers, groups(), services, operations).prop_map(
        |(
            [budget, exponent, initial, reserve, floor, least, guaranteed],
            groups,
            services,
            operations,
        )| {
            Policy {
                weight_exponent: exponent,
                initial_probability: initial,
                unseen_reserve_max: reserve,
                floor,
                probability_min: least,
                lower_bound_reserve: guaranteed,
                groups,
                services: services
                    .into_iter()
                    .map(|(id, service)| (ServiceId(id), service))
                    .collect(),
                operations: operations
                    .into_iter()
                    .map(|(id, b)| (OperationId(id), b))
                    .collect(),
                ..policy(budget)
            }
        },
    )
}

/// Windows with operations with six ids, each in its own service or twice in one.
pub fn any_window() -> impl Strategy<Value = WindowCounts> {
    let operation = (0..6u32, big(), big()).prop_map(|(id, offered, sampled)| OperationCount {
        operation: OperationId(id),
        service: ServiceId(id / 3),
        overflow: id % 3 == 0,
        offered,
        sampled,
    });
    let service = (0..3u32, big()).prop_map(|(id, instance_milliseconds)| ServiceCount {
        service: ServiceId(id),
        instance_milliseconds,
    });
    (
        any_span(),
        prop::collection::vec(operation, 0..10),
        prop::collection::vec(service, 0..4),
        prop::collection::vec(any_report(), 0..8),
        prop::collection::vec(any_agent_count(), 0..6),
        prop::collection::vec(any_report(), 0..3),
        prop::option::of(prop::collection::vec(any_polls(), 0..4)),
    )
        .prop_map(
            |(window, operations, services, reports, agents, late, polls)| WindowCounts {
                window,
                operations,
                services,
                reports,
                agents,
                late,
                polls,
            },
        )
}

fn any_polls() -> impl Strategy<Value = PollCount> {
    (0..3u32, prop_oneof![any::<u32>(), 0..1000u32]).prop_map(|(id, polls)| PollCount {
        service: ServiceId(id),
        polls,
    })
}

fn any_span() -> impl Strategy<Value = Window> {
    let instant = || {
        prop_oneof![
            2 => any::<i64>(),
            4 => 0..100_000i64,
            1 => Just(i64::MIN),
            1 => Just(i64::MAX),
        ]
    };
    (instant(), instant()).prop_map(|(start, end)| Window {
        start: Timestamp(start),
        end: Timestamp(end),
    })
}

/// Reports of four agents, which may follow on each other.
fn any_report() -> impl Strategy<Value = AgentReport> {
    let sequence = prop_oneof![0..5u64, any::<u64>(), Just(u64::MAX), Just(u64::MAX - 1)];
    let epoch = prop_oneof![4 => 0..2u32, 1 => any::<u32>()];
    (0..4u64, epoch, sequence, any_span(), any::<bool>()).prop_map(
        |(agent, epoch, sequence, span, last)| AgentReport {
            agent: AgentId(agent),
            epoch,
            sequence,
            span,
            last,
            basis: Default::default(),
        },
    )
}

/// What agents counted, one of which has no report.
fn any_agent_count() -> impl Strategy<Value = AgentCount> {
    let service = prop::option::weighted(0.9, (0..3u32).prop_map(ServiceId));
    (0..5u64, service, big(), big()).prop_map(|(agent, service, offered, sampled)| AgentCount {
        agent: AgentId(agent),
        service,
        offered,
        sampled,
    })
}

/// The same counts in halves, and every report twice.
fn split(window: &WindowCounts) -> WindowCounts {
    let halves = |count: &OperationCount| {
        let half = OperationCount {
            offered: count.offered / 2,
            sampled: count.sampled / 2,
            ..*count
        };
        let rest = OperationCount {
            offered: count.offered - half.offered,
            sampled: count.sampled - half.sampled,
            ..*count
        };
        [half, rest]
    };
    let of_instances = |seen: &ServiceCount| {
        let half = seen.instance_milliseconds / 2;
        [half, seen.instance_milliseconds - half].map(|instance_milliseconds| ServiceCount {
            instance_milliseconds,
            ..*seen
        })
    };
    let of_agents = |count: &AgentCount| {
        let half = AgentCount {
            offered: count.offered / 2,
            sampled: count.sampled / 2,
            ..*count
        };
        let rest = AgentCount {
            offered: count.offered - half.offered,
            sampled: count.sampled - half.sampled,
            ..*count
        };
        [half, rest]
    };
    let of_polls = |seen: &PollCount| {
        let half = seen.polls / 2;
        [half, seen.polls - half].map(|polls| PollCount { polls, ..*seen })
    };
    // Reports of earlier releases have no sequence that tells them apart.
    let twice = |report: &AgentReport| vec![*report; 1 + usize::from(report.sequence < u64::MAX)];
    WindowCounts {
        window: window.window,
        operations: window.operations.iter().flat_map(halves).collect(),
        services: window.services.iter().flat_map(of_instances).collect(),
        reports: window.reports.iter().flat_map(twice).collect(),
        agents: window.agents.iter().flat_map(of_agents).collect(),
        late: window.late.iter().flat_map(twice).collect(),
        polls: window
            .polls
            .as_ref()
            .map(|all| all.iter().flat_map(of_polls).collect()),
    }
}

/// A window, and the same counts split and in another order.
pub fn shuffled() -> impl Strategy<Value = (WindowCounts, WindowCounts)> {
    any_window().prop_flat_map(|window| {
        let split = split(&window);
        let lists = (
            Just(split.operations).prop_shuffle(),
            Just(split.services).prop_shuffle(),
            Just(split.reports).prop_shuffle(),
            Just(split.agents).prop_shuffle(),
            Just(split.late).prop_shuffle(),
            Just(split.polls.clone().unwrap_or_default()).prop_shuffle(),
        );
        let shuffled = lists.prop_map(
            move |(operations, services, reports, agents, late, polls)| WindowCounts {
                window: split.window,
                operations,
                services,
                reports,
                agents,
                late,
                polls: split.polls.as_ref().map(|_| polls),
            },
        );
        (Just(window), shuffled)
    })
}
