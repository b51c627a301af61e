//! The stored formats of plans and history.

mod size;

use std::collections::BTreeSet;

use proptest::prelude::*;
use weir::allocation::{
    AGES, AgentId, AgentRate, AgentState, Belief, Binding, COURSES, Claim, Clock, Common, Course,
    Figures, FleetPlan, GroupName, GroupPlan, Hold, OperationId, OperationPlan, Plan, Reason,
    SLOTS, ServiceId, ServicePlan, Source, Timestamp, Trim, Whole, Window,
};
use weir::store::history_codec::{self, HistoryOperation};
use weir::store::{StoreError, WriteFormat, plan_codec};

use super::corrupt_cell;

fn any_number() -> impl Strategy<Value = f64> {
    // Every bit pattern but NaN, which compares unequal to itself.
    prop_oneof![
        4 => any::<u64>().prop_map(f64::from_bits).prop_filter("a number", |f| !f.is_nan()),
        1 => Just(f64::INFINITY),
        1 => Just(-0.0),
        2 => 0.0..1.0,
    ]
}

fn any_binding() -> impl Strategy<Value = Binding> {
    prop::sample::select(vec![
        Binding::Level,
        Binding::Floor,
        Binding::Cap,
        Binding::Pin,
        Binding::ProbabilityOne,
        Binding::RaiseLimit,
        Binding::Deadband,
        Binding::Peak,
        Binding::Hold,
    ])
}

prop_compose! {
    fn any_common()(numbers in prop::collection::vec(any_number(), 2 + 5 * COURSES)) -> Common {
        let course = |at: usize| {
            let of = &numbers[2 + 5 * at..];
            Course { level: of[0], slope: of[1], variance: of[2], later: of[3], error: of[4] }
        };
        Common {
            windows: numbers[0],
            sampling: numbers[1],
            courses: std::array::from_fn(course),
        }
    }
}

prop_compose! {
    fn any_fleet()(
        numbers in prop::collection::vec(any_number(), 19),
        windows_read in any::<u32>(),
        hold in prop::sample::select(vec![Hold::None, Hold::CutsOnly, Hold::Frozen]),
        trim in (prop::array::uniform6(any_number()), any::<u32>()),
        common in any_common(),
        common_before in any_common(),
        clock in any_clock(),
    ) -> FleetPlan {
        let ([factor, balance, owed, sampled, due, compliance], rest_windows) = trim;
        let trim = Trim { factor, rest_windows, balance, owed, sampled, due, compliance };
        let [budget, offered, expected_sampled, observed_offered, observed_sampled, level,
            completeness, covered, unseen_reserve, unseen_sampled, default_probability, missing,
            trend, trend_before, forecast_offered, lower_bound, lower_bound_cost, unseen_before,
            peak]: [f64; 19] = numbers.try_into().expect("there are nineteen");
        FleetPlan {
            budget, offered, expected_sampled, observed_offered, observed_sampled, level,
            completeness, covered, hold, unseen_reserve, unseen_sampled, default_probability, missing,
            trend, trend_before, forecast_offered, trim, lower_bound, lower_bound_cost, common, common_before,
            clock,
            unseen_before, peak, windows_read,
        }
    }
}

prop_compose! {
    fn any_clock()(
        milliseconds in any::<i64>(),
        numbers in prop::array::uniform5(any_number()),
        learned in prop::collection::vec(-1.0f32..=10.0, 0..=SLOTS),
    ) -> Clock {
        let [windows, usual, scatter, error_with, error_without] = numbers;
        let mut slots = [0.0; SLOTS];
        slots[..learned.len()].copy_from_slice(&learned);
        Clock { milliseconds, windows, usual, scatter, error_with, error_without, slots }
    }
}

prop_compose! {
    fn any_belief()(
        rate in 0.0..1e300,
        numbers in prop::array::uniform6(0.0f32..=1.0),
        (gap, since, once, fell) in any::<(u16, u16, bool, bool)>(),
    ) -> Belief {
        let [variance, presence, stay, wake, regular, peak] = numbers;
        Belief { rate, variance, presence, stay, wake, gap, since, regular, peak, once, fell }
    }
}

prop_compose! {
    fn any_reason()(
        numbers in prop::array::uniform3(0.0f32..=1e30),
        source in prop::sample::select(vec![Source::Fleet, Source::Group, Source::Service, Source::Operation]),
    ) -> Reason {
        let [bound, weight, target] = numbers;
        Reason { bound, source, weight, target }
    }
}

prop_compose! {
    fn any_group()(numbers in prop::array::uniform6(any_number()), name in "[a-z]{1,64}") -> GroupPlan {
        let [floor, cap, offered, sampled, level, missing] = numbers;
        let name = GroupName::parse(&name).expect("is a name");
        GroupPlan { name, whole: Whole { floor, cap }, offered, sampled, level, missing }
    }
}

prop_compose! {
    fn any_operation()(
        ids in any::<(u32, u32, bool)>(),
        numbers in prop::array::uniform3(any_number()),
        belief in any_belief(),
        belief_before in prop::option::of(any_belief()),
        binding in any_binding(),
        reason in any_reason(),
        counts in any::<(u32, u64, u64, u32)>(),
        turned in any::<i8>(),
    ) -> OperationPlan {
        let [offered, share, probability] = numbers;
        OperationPlan {
            operation: OperationId(ids.0),
            service: ServiceId(ids.1),
            overflow: ids.2,
            offered, belief, belief_before, share, probability, turned, binding, reason,
            silent_windows: counts.0,
            window_offered: counts.1,
            window_sampled: counts.2,
            silent_before: counts.3 >> 1,
        }
    }
}

prop_compose! {
    fn any_service()(
        service in any::<u32>(),
        numbers in prop::array::uniform5(any_number()),
        parts in prop::array::uniform5(0.0f32..=1.0),
        new_agents in prop::collection::vec(0.0f32..1e30, AGES),
    ) -> ServicePlan {
        let [default_probability, level, instances, lower_bound, peak] = numbers;
        let [heard, covered, agents_return, names_return, names_return_before] = parts;
        ServicePlan {
            service: ServiceId(service),
            default_probability, level, instances, lower_bound, peak,
            group: None,
            heard, covered, agents_return, names_return, names_return_before,
            new_agents: new_agents.try_into().expect("one for each age"),
        }
    }
}

prop_compose! {
    fn any_agent()(
        (agent, epoch, sequence) in any::<(u64, u32, u64)>(),
        times in prop::array::uniform3(any::<i64>()),
        numbers in prop::array::uniform4(0.0f32..16.0),
        (returned, ended, missing_windows, claims) in any::<(bool, bool, u32, u32)>(),
    ) -> AgentState {
        let [until, since, heard_until] = times.map(Timestamp);
        let [habit, soonest, idle, pause] = numbers;
        AgentState {
            agent: AgentId(agent),
            epoch, sequence, until, since, heard_until, habit, soonest, idle, pause, returned, ended,
            missing_windows, claims,
        }
    }
}

prop_compose! {
    fn any_rate()(
        agent in any::<u64>(),
        service in prop::option::of(any::<u32>()),
        (rate, replaces) in (0.0f32..1e30, 0.0f32..=1.0),
    ) -> AgentRate {
        AgentRate { agent: AgentId(agent), service: service.map(ServiceId), rate, replaces }
    }
}

fn any_claim() -> impl Strategy<Value = Claim> {
    any::<(u64, u32, u64)>().prop_map(|(agent, service, offered)| Claim {
        agent: AgentId(agent),
        service: ServiceId(service),
        offered,
    })
}

prop_compose! {
    fn any_plan()(
        head in any::<(u64, u64, u64, i64, i64)>(),
        settled in any::<i64>(),
        fleet in any_fleet(),
        figures in prop::array::uniform4(any_number()),
        groups in prop::collection::vec(any_group(), 0..4),
        services in prop::collection::vec(any_service(), 0..10),
        operations in prop::collection::vec(any_operation(), 0..20),
        agents in prop::collection::vec(any_agent(), 0..10),
        rates in prop::collection::vec(any_rate(), 0..10),
        claims in prop::collection::vec(any_claim(), 0..4),
    ) -> Plan {
        let count = groups.len();
        Plan {
            number: head.0,
            term: head.1,
            configuration_revision: head.2,
            window: Window { start: Timestamp(head.3), end: Timestamp(head.4) },
            fleet,
            figures: Figures {
                due_sampled: figures[0],
                coverage: figures[1],
                fairness: figures[2],
                changed: figures[3],
            },
            groups,
            services: services.into_iter().map(|service| ServicePlan {
                group: (service.service.0 as usize % (count + 1)).checked_sub(1),
                ..service
            }).collect(),
            operations,
            settled: Timestamp(settled),
            agents,
            rates,
            claims,
        }
    }
}

/// What is left of a plan in the formats of release 0.1.0.
fn as_in_0_1_0(mut plan: Plan) -> Plan {
    plan.settled = plan.window.start;
    plan.agents.clear();
    plan.rates.clear();
    plan.claims.clear();
    plan.fleet.unseen_before = plan.fleet.unseen_sampled;
    plan.fleet.peak = 0.0;
    plan.fleet.clock = Clock::default();
    plan.fleet.trim = Trim {
        factor: plan.fleet.trim.factor,
        rest_windows: plan.fleet.trim.rest_windows,
        balance: plan.fleet.trim.factor,
        ..Trim::default()
    };
    plan.fleet.windows_read = 0;
    for service in &mut plan.services {
        *service = ServicePlan {
            service: service.service,
            default_probability: service.default_probability,
            level: service.level,
            instances: service.instances,
            lower_bound: service.lower_bound,
            group: service.group,
            ..ServicePlan::default()
        };
    }
    for operation in &mut plan.operations {
        if operation.binding == Binding::Peak {
            operation.binding = Binding::RaiseLimit;
        }
        operation.silent_before = operation.silent_windows.saturating_sub(1);
        operation.turned = 0;
        let beliefs = [
            Some(&mut operation.belief),
            operation.belief_before.as_mut(),
        ];
        for belief in beliefs.into_iter().flatten() {
            (belief.peak, belief.once, belief.fell) = (0.0, false, false);
        }
    }
    plan
}

proptest! {
    #[test]
    fn a_plan_comes_back_bit_for_bit(plan in any_plan()) {
        let bytes = plan_codec::encode(&plan, WriteFormat::Newest).unwrap();
        let decoded = plan_codec::decode(&bytes).unwrap();
        // Encoding again distinguishes 0 from -0, which compare equal.
        prop_assert_eq!(plan_codec::encode(&decoded, WriteFormat::Newest).unwrap(), bytes);
        prop_assert_eq!(decoded, plan);
    }

    /// Release 0.1.0 knows who reports, how much, and for how long it has been silent.
    #[test]
    fn the_previous_format_keeps_less_of_what_is_known_of_agents(plan in any_plan()) {
        let body = plan_codec::encode(&plan, WriteFormat::Previous).unwrap();
        let decoded = plan_codec::decode(&body).unwrap();
        let known = |plan: &Plan| -> BTreeSet<(AgentId, u32)> {
            plan.agents.iter().map(|row| (row.agent, row.missing_windows)).collect()
        };
        prop_assert!(known(&decoded).is_subset(&known(&plan)));
        prop_assert!(decoded.agents.is_sorted_by(|one, other| one.agent < other.agent));
        prop_assert!(decoded.rates.iter().all(|rate| rate.rate > 0.0 && rate.service.is_none()));
        let without = Plan { agents: Vec::new(), rates: Vec::new(), ..decoded };
        prop_assert_eq!(without, as_in_0_1_0(plan));
    }

    #[test]
    fn a_damaged_plan_is_refused_or_another(
        plan in any_plan(),
        format in any_format(),
        at in any::<prop::sample::Index>(),
    ) {
        let mut bytes = plan_codec::encode(&plan, format).unwrap();
        let cut = at.index(bytes.len());
        prop_assert!(plan_codec::decode(&bytes[..cut]).is_err());
        bytes[cut] ^= 0x55;
        if let Err(error) = plan_codec::decode(&bytes) {
            prop_assert!(error.is_unreadable(), "{:?}", error);
        }
    }

    #[test]
    fn history_comes_back(
        ids in prop::collection::btree_set(any::<u32>(), 0..50),
        seed in any::<u64>(),
        format in any_format(),
    ) {
        let operations = history(ids, seed);
        let bytes = history_codec::encode(&operations, format);
        prop_assert_eq!(history_codec::decode(&bytes).unwrap(), operations.as_slice());
        for entry in &operations {
            let found = history_codec::find(&bytes, entry.operation).unwrap();
            prop_assert_eq!(found, Some(*entry));
        }
        for cut in 0..bytes.len() {
            prop_assert!(history_codec::decode(&bytes[..cut]).is_err());
        }
    }
}

fn any_format() -> impl Strategy<Value = WriteFormat> {
    prop::sample::select(vec![WriteFormat::Previous, WriteFormat::Newest])
}

fn history(ids: BTreeSet<u32>, seed: u64) -> Vec<HistoryOperation> {
    let entry = |(at, id): (u64, u32)| {
        let noise = seed
            .wrapping_mul(at.wrapping_add(0x9e37_79b9_7f4a_7c15))
            .rotate_left(17);
        HistoryOperation {
            operation: OperationId(id),
            offered: noise >> (noise % 64),
            sampled: noise.rotate_right(9) >> (noise % 61),
            probability: (noise % 3 > 0).then_some((noise % 1000) as f32 / 1000.0),
        }
    };
    (0..).zip(ids).map(entry).collect()
}

#[test]
fn history_is_sorted_by_its_codec() {
    let entry = |id| HistoryOperation {
        operation: OperationId(id),
        offered: 3,
        sampled: 2,
        probability: Some(0.5),
    };
    for format in [WriteFormat::Previous, WriteFormat::Newest] {
        let bytes = history_codec::encode(&[entry(7), entry(2)], format);
        assert_eq!(history_codec::decode(&bytes).unwrap(), [entry(2), entry(7)]);
    }
}

/// Bytes as they were first written in each version; they must stay readable.
#[test]
fn first_bytes_stay_readable() {
    let plan = Plan {
        number: 7,
        fleet: FleetPlan {
            level: f64::INFINITY,
            ..FleetPlan::default()
        },
        ..Plan::default()
    };
    let first = "0228b52ffd20a2dd0000980700f07f0001ac0201000000000000f83f010202000ba66104b0";
    let decoded = plan_codec::decode(&bytes(first)).unwrap();
    let agent = (decoded.agents[0].agent, decoded.agents[0].missing_windows);
    assert_eq!(agent, (AgentId(300), 2));
    assert_eq!(
        (decoded.rates[0].service, decoded.rates[0].rate),
        (None, 1.5)
    );
    let without = Plan {
        agents: Vec::new(),
        rates: Vec::new(),
        ..decoded
    };
    assert_eq!(without, plan);
    let plan = Plan {
        number: 8,
        fleet: FleetPlan {
            level: 0.5,
            trim: Trim {
                factor: 1.1,
                rest_windows: 2,
                balance: 1.1,
                ..Trim::default()
            },
            ..FleetPlan::default()
        },
        services: vec![ServicePlan {
            service: ServiceId(4),
            default_probability: 0.25,
            level: 0.5,
            ..ServicePlan::default()
        }],
        ..Plan::default()
    };
    let fourth = "0428b52ffd20d1850100f80800e03f0001040100d0f03ff03f9a9999999999f13fcdccccccccccec3f020\
        600806018f0159e812b17408711c002";
    assert_eq!(plan_codec::decode(&bytes(fourth)).unwrap(), plan);
    let plan = Plan {
        number: 9,
        fleet: FleetPlan {
            lower_bound: 0.01,
            lower_bound_cost: 3.0,
            ..FleetPlan::default()
        },
        services: vec![ServicePlan {
            service: ServiceId(4),
            default_probability: 0.25,
            level: 0.5,
            instances: 12.0,
            lower_bound: 0.01,
            ..ServicePlan::default()
        }],
        ..Plan::default()
    };
    let fifth = "0528b52ffd605f024503000403090001040100d03f00f0f03ff03f000000010000e03f017b14ae47e17a8\
        408400128400114400092cb7f48bf7d4d1440170073030220d01d581400040019bb4b51919360461b8b37\
        d8258000c0307aca01f00069406bb01270602051299705c40121e7146001";
    assert_eq!(plan_codec::decode(&bytes(fifth)).unwrap(), plan);
    let history = [HistoryOperation {
        operation: OperationId(300),
        offered: 1000,
        sampled: 1,
        probability: Some(0.25),
    }];
    let first = "0128b52ffd200a51000001ac02e807010000803e";
    assert_eq!(history_codec::decode(&bytes(first)).unwrap(), history);
}

fn bytes(hex: &str) -> Vec<u8> {
    let byte = |at| u8::from_str_radix(&hex[at..at + 2], 16).unwrap();
    (0..hex.len()).step_by(2).map(byte).collect()
}

#[test]
fn a_newer_format_is_told_from_damage() {
    let said = |error: StoreError| error.to_string();
    let newer = [9, 1, 2, 3];
    assert_eq!(
        said(plan_codec::decode(&newer).unwrap_err()),
        "plan_body.body has format 9, and this Weir reads up to format 6"
    );
    for outcome in [
        history_codec::decode(&newer).map(drop),
        history_codec::find(&newer, OperationId(1)).map(drop),
    ] {
        let known = "history.payload has format 9, and this Weir reads up to format 2";
        assert_eq!(said(outcome.unwrap_err()), known);
    }
    // Format 0 was never written.
    for none in [&[0, 1, 2, 3][..], &[]] {
        assert_eq!(corrupt_cell(plan_codec::decode(none)), "plan_body.body");
        assert_eq!(corrupt_cell(history_codec::decode(none)), "history.payload");
    }
}

/// Release 0.1.0 reads these formats, so they are written until an operator chooses others.
#[test]
fn the_previous_formats_are_those_of_the_release_before() {
    let plan = plan_codec::encode(&Plan::default(), WriteFormat::Previous).unwrap();
    assert_eq!(plan[0], 5);
    assert_eq!(history_codec::encode(&[], WriteFormat::Previous)[0], 1);
}

/// A payload that unpacks to far more than the program ever writes is rejected before it is
/// unpacked whole.
#[test]
fn a_bomb_is_defused() {
    let zeros = vec![0; 300 << 20];
    let mut bomb = vec![1];
    bomb.extend(zstd::bulk::compress(&zeros, 1).unwrap());
    assert!(bomb.len() < 1 << 20);
    assert_eq!(corrupt_cell(plan_codec::decode(&bomb)), "plan_body.body");
    assert_eq!(
        corrupt_cell(history_codec::decode(&bomb)),
        "history.payload"
    );
}
