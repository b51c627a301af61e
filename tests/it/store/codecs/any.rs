//! Plans with any values.

use proptest::prelude::*;
use weir::allocation::{
    AGES, AgentId, AgentRate, AgentState, Basis, Belief, Binding, COURSES, Claim, Clock, Common,
    Course, Figures, FleetPlan, GroupName, GroupPlan, Hold, Kept, KeptService, OperationId,
    OperationPlan, Plan, PollState, Reason, SLOTS, ServiceId, ServicePlan, Serving, Source,
    Steered, Timestamp, Trim, Whole, Window,
};

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
        numbers in prop::collection::vec(any_number(), 20),
        windows_read in any::<u32>(),
        polled in any::<bool>(),
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
            peak, cost_per_trace]: [f64; 20] = numbers.try_into().expect("there are twenty");
        FleetPlan {
            budget, cost_per_trace, offered, expected_sampled, observed_offered, observed_sampled, level,
            completeness, covered, hold, unseen_reserve, unseen_sampled, default_probability, missing,
            trend, trend_before, forecast_offered, trim, lower_bound, lower_bound_cost, common, common_before,
            clock,
            unseen_before, peak, windows_read, polled,
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
        polls in prop::array::uniform4(0.0f32..1e30),
        (windows, stood) in any::<(u32, u32)>(),
        basis in prop::option::of(prop::sample::select(Basis::ALL.to_vec())),
        bases in prop::array::uniform5(prop::option::of(any::<i64>())),
    ) -> ServicePlan {
        let [default_probability, level, instances, lower_bound, peak] = numbers;
        let [heard, covered, agents_return, names_return, names_return_before] = parts;
        let [usual, variance, traffic, released] = polls;
        ServicePlan {
            polls: PollState { usual, variance, traffic, windows, released, stood },
            service: ServiceId(service),
            default_probability, level, instances, lower_bound, peak,
            group: None,
            heard, covered, agents_return, names_return, names_return_before,
            new_agents: new_agents.try_into().expect("one for each age"),
            bases: bases.map(|until| until.map(Timestamp)),
            basis,
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
    pub fn any_plan()(
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
        steered in prop::option::of((any::<bool>(), any::<i64>(), prop::array::uniform3(0.0f32..=1.0))),
    ) -> Plan {
        let count = groups.len();
        let steered = steered.map(|(freezes, since, [base, served, lower_bound])| {
            let kept = |place: usize| Kept { base, served: served / (1.0 + place as f32) };
            Steered {
                serving: if freezes { Serving::Freeze } else { Serving::Observe },
                since: Timestamp(since),
                default_probability: kept(7),
                services: (0..services.len())
                    .map(|place| KeptService { default_probability: kept(place), lower_bound })
                    .collect(),
                operations: (0..operations.len()).map(kept).collect(),
            }
        });
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
            steered,
        }
    }
}
