//! The largest encoded size of an operation and of a service.

use weir::allocation::{
    AgentId, AgentRate, AgentState, Basis, Belief, Binding, Kept, KeptService, OperationId,
    OperationPlan, Plan, PollState, Reason, ServiceId, ServicePlan, Serving, Steered, Timestamp,
};
use weir::store::history_codec::{self, HistoryOperation};
use weir::store::{WriteFormat, plan_codec};

/// The size of a document without its compression.
fn unpacked(bytes: &[u8]) -> u64 {
    zstd::decode_all(&bytes[1..]).unwrap().len() as u64
}

/// An operation each of whose numbers takes as many bytes as it can.
const WIDEST: OperationPlan = OperationPlan {
    operation: OperationId(u32::MAX),
    service: ServiceId(u32::MAX),
    overflow: true,
    offered: 1.0,
    belief: WIDEST_BELIEF,
    belief_before: Some(WIDEST_BELIEF),
    share: 1.0,
    probability: 1.0,
    turned: i8::MIN,
    binding: Binding::Deadband,
    reason: Reason::UNKNOWN,
    silent_windows: u32::MAX,
    silent_before: u32::MAX,
    window_offered: u64::MAX,
    window_sampled: u64::MAX,
};

const WIDEST_BELIEF: Belief = Belief {
    rate: 1.0,
    variance: 1.0,
    presence: 1.0,
    stay: 1.0,
    wake: 1.0,
    gap: u16::MAX,
    since: u16::MAX,
    regular: 1.0,
    peak: 1.0,
    once: true,
    fell: true,
};

const WIDEST_AGENT: AgentState = AgentState {
    agent: AgentId(0),
    epoch: u32::MAX,
    sequence: u64::MAX,
    until: Timestamp(i64::MIN),
    since: Timestamp(i64::MIN),
    heard_until: Timestamp(i64::MIN),
    habit: 1.0,
    soonest: 1.0,
    idle: 1.0,
    pause: 1.0,
    returned: true,
    ended: true,
    missing_windows: u32::MAX,
    claims: u32::MAX,
};

/// Its id is far from those beside it, because ids are stored as differences.
fn far(at: u64) -> AgentId {
    AgentId(if at.is_multiple_of(2) { 1 << 63 } else { 0 })
}

fn widest_agent(at: u64) -> AgentState {
    AgentState {
        agent: far(at),
        ..WIDEST_AGENT
    }
}

fn widest_rate(at: u64) -> AgentRate {
    AgentRate {
        agent: far(at),
        service: Some(ServiceId(u32::MAX)),
        rate: 1.0,
        replaces: 1.0,
    }
}

/// The limits on names follow from these sizes.
#[test]
fn nothing_takes_more_bytes_than_is_reckoned_with() {
    const MANY: u64 = 1000;
    let size = |services: u64, operations: u64, agents: u64, rates: u64| {
        let service = ServicePlan {
            service: ServiceId(u32::MAX),
            polls: PollState {
                windows: u32::MAX,
                stood: u32::MAX - 1,
                ..PollState::default()
            },
            bases: [Some(Timestamp(i64::MIN)); Basis::ALL.len()],
            basis: Some(Basis::Calls),
            ..ServicePlan::default()
        };
        let kept = Kept {
            base: 1.0,
            served: 1.0,
        };
        let steered = Steered {
            serving: Serving::Observe,
            since: Timestamp(i64::MIN),
            default_probability: kept,
            services: vec![
                KeptService {
                    default_probability: kept,
                    lower_bound: 1.0,
                };
                services as usize
            ],
            operations: vec![kept; operations as usize],
        };
        let plan = Plan {
            steered: Some(steered),
            services: vec![service; services as usize],
            operations: vec![WIDEST; operations as usize],
            agents: (0..agents).map(widest_agent).collect(),
            rates: (0..rates).map(widest_rate).collect(),
            ..Plan::default()
        };
        unpacked(&plan_codec::encode(&plan, WriteFormat::Newest).unwrap())
    };
    let none = size(0, 0, 0, 0);
    let operations = (size(0, MANY, 0, 0) - none) / MANY;
    assert_eq!(operations, plan_codec::OPERATION_BYTES);
    let services = (size(MANY, 0, 0, 0) - none) / MANY;
    assert!(services <= plan_codec::SERVICE_BYTES, "{services}");
    let agents = (size(0, 0, MANY, 0) - none) / MANY;
    assert_eq!(agents, plan_codec::AGENT_BYTES);
    let rates = (size(0, 0, 0, MANY) - none) / MANY;
    assert_eq!(rates, plan_codec::RATE_BYTES);

    let history = |count: u32| {
        let operations = (1..=count).map(|number| HistoryOperation {
            operation: OperationId(number * 1_000_000),
            offered: u64::MAX,
            sampled: Some(u64::MAX),
            probability: Some(0.5),
        });
        let operations: Vec<_> = operations.collect();
        unpacked(&history_codec::encode(&operations, WriteFormat::Previous))
    };
    let each = (history(1000) - history(0)) / 1000;
    assert!(each <= history_codec::OPERATION_BYTES, "{each}");
}
