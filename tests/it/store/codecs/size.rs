//! The largest encoded size of an operation and of a service.

use weir::allocation::{
    Belief, Binding, OperationId, OperationPlan, Plan, Reason, ServiceId, ServicePlan,
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
    binding: Binding::Deadband,
    reason: Reason::UNKNOWN,
    silent_windows: u32::MAX,
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
};

/// The limits on names follow from these sizes.
#[test]
fn nothing_takes_more_bytes_than_is_reckoned_with() {
    const MANY: u64 = 1000;
    let size = |services: u64, operations: u64| {
        let service = ServicePlan {
            service: ServiceId(u32::MAX),
            ..ServicePlan::default()
        };
        let plan = Plan {
            services: vec![service; services as usize],
            operations: vec![WIDEST; operations as usize],
            ..Plan::default()
        };
        unpacked(&plan_codec::encode(&plan, WriteFormat::Newest).unwrap())
    };
    let none = size(0, 0);
    let operations = (size(0, MANY) - none) / MANY;
    assert_eq!(operations, plan_codec::OPERATION_BYTES);
    let services = (size(MANY, 0) - none) / MANY;
    assert!(services <= plan_codec::SERVICE_BYTES, "{services}");

    let history = |count: u32| {
        let operations = (1..=count).map(|number| HistoryOperation {
            operation: OperationId(number * 1_000_000),
            offered: u64::MAX,
            sampled: u64::MAX,
            probability: Some(0.5),
        });
        let operations: Vec<_> = operations.collect();
        unpacked(&history_codec::encode(&operations, WriteFormat::Previous))
    };
    let each = (history(1000) - history(0)) / 1000;
    assert!(each <= history_codec::OPERATION_BYTES, "{each}");
}
