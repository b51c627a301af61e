//! The stored formats of plans and history.

mod any;
mod size;

use std::collections::BTreeSet;

use proptest::prelude::*;
use weir::allocation::{
    AgentId, Binding, Clock, FleetPlan, OperationId, Plan, ServiceId, ServicePlan, Trim,
};
use weir::store::history_codec::{self, HistoryOperation};
use weir::store::{StoreError, WriteFormat, plan_codec};

use self::any::any_plan;
use super::corrupt_cell;

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
    plan.fleet.cost_per_trace = 0.0;
    plan.steered = None;
    plan.fleet.windows_read = 0;
    plan.fleet.polled = false;
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
        let mut operations = history(ids, seed);
        let bytes = history_codec::encode(&operations, format);
        if format == WriteFormat::Previous {
            // It cannot say that a count is not known.
            operations.iter_mut().for_each(|entry| entry.sampled = entry.sampled.or(Some(0)));
        }
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
        let offered = noise >> (noise % 64);
        let sampled = (noise.rotate_right(9) >> (noise % 61)).min(offered);
        HistoryOperation {
            operation: OperationId(id),
            offered,
            sampled: (noise % 5 > 0 || offered == u64::MAX).then_some(sampled),
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
        sampled: Some(2),
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
        sampled: Some(1),
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
