//! What can happen to a fleet, as values. A printed list of them is the source of a reproduction.

use proptest::prelude::*;

/// One event. Numbers of replicas, agents, operations and services are taken modulo how many there
/// are.
#[derive(Debug, Clone, PartialEq)]
pub enum Op {
    /// A window passes: agents report it, and the replicas' jobs run, in this order.
    Tick { order: u8 },

    /// An operation has this many requests a second from now on.
    Rate { operation: u8, per_second: f64 },
    /// A new operation appears.
    Appear { service: u8, per_second: f64 },
    /// An operation gets no more requests.
    Disappear { operation: u8 },
    /// A deploy gives an operation another name.
    Rename { operation: u8 },
    /// An operation gets a thousand times as many requests.
    Explode { operation: u8 },
    /// A service names its operations by something unbounded: this many names, once each.
    Names { service: u8, count: u8 },

    /// An agent's next report is lost.
    Lose { agent: u8 },
    /// An agent's next report is delayed by this many windows; later ones are not.
    Delay { agent: u8, windows: u8 },
    /// An agent sends its next report to two replicas at once.
    Twice { agent: u8 },
    /// An agent sends its last acknowledged reports again, this many.
    Again { agent: u8, last: u8, to: u8 },
    /// An agent reports to another replica from now on.
    ReportTo { agent: u8, replica: u8 },
    /// An agent restarts and loses what was not acknowledged.
    RestartAgent { agent: u8 },
    /// An agent restarts under another name, as a pod does.
    ReplaceAgent { agent: u8 },
    /// An agent says with its next report that it is the last one, and stops. Its traffic goes to the others.
    EndAgent { agent: u8 },
    /// An agent stops. Its traffic goes to the others, or continues without being reported.
    StopAgent { agent: u8, moves: bool },
    /// A stopped agent starts again.
    StartAgent { agent: u8 },
    /// An agent reports this often from now on: 60 is once a window.
    Every { agent: u8, seconds: u8 },
    /// An agent's clock is wrong by this many seconds.
    AgentClock { agent: u8, seconds: i32 },

    /// An operator changes the budget.
    Budget { traces_per_second: f64 },
    /// An operator asks for coverage.
    Coverage {
        probability: f64,
        within_seconds: f64,
    },

    /// A replica gives the lease back.
    GiveUpLease { replica: u8 },
    /// A replica stops in the middle of its next computation, like a process in a debugger.
    Freeze { replica: u8, at: Point },
    /// It continues.
    Thaw { replica: u8 },
    /// A replica ends, in order or not, and starts again.
    Restart { replica: u8, in_order: bool },
    /// A replica cannot reach the database.
    Cut { replica: u8 },
    /// It can reach it again.
    Mend { replica: u8 },
    /// The next writes of a replica are done, this many, but it gets no answer.
    Unheard { replica: u8, writes: u8 },
    /// Nobody can reach the database.
    DatabaseAway,
    /// All replicas can reach it again.
    DatabaseBack,

    /// The clock of a replica's machine is set wrong by this many seconds.
    MachineClock { replica: u8, seconds: i32 },
    /// The clock of the database is.
    DatabaseClock { seconds: i32 },
    /// All clocks are, as if everything ran on one machine.
    Clocks { seconds: i32 },

    /// A replica's maintenance jobs run.
    Tidy { replica: u8 },
}

/// Where a replica stops.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Point {
    /// Before it reads counts.
    Read,
    /// With a computed plan, before it is published.
    Publish,
}

fn rate() -> impl Strategy<Value = f64> {
    prop_oneof![
        1 => Just(0.01),
        6 => prop::sample::select(vec![0.2, 1.0, 3.0, 10.0, 50.0, 200.0, 1000.0, 10_000.0]),
    ]
}

fn off() -> impl Strategy<Value = i32> {
    prop::sample::select(vec![
        -86_400, -7_200, -3_600, -300, -61, -30, -5, -2, 0, 0, 2, 5, 30, 61, 300, 3_600, 7_200,
        86_400,
    ])
}

fn traffic() -> impl Strategy<Value = Op> {
    prop_oneof![
        (any::<u8>(), rate()).prop_map(|(operation, per_second)| Op::Rate {
            operation,
            per_second
        }),
        (any::<u8>(), rate()).prop_map(|(service, per_second)| Op::Appear {
            service,
            per_second
        }),
        any::<u8>().prop_map(|operation| Op::Disappear { operation }),
        any::<u8>().prop_map(|operation| Op::Rename { operation }),
        any::<u8>().prop_map(|operation| Op::Explode { operation }),
        (any::<u8>(), 1..60u8).prop_map(|(service, count)| Op::Names { service, count }),
    ]
}

fn reports() -> impl Strategy<Value = Op> {
    let every = prop::sample::select(vec![10, 20, 30, 60, 120, 180]);
    let last = prop_oneof![4 => 1..7u8, 1 => 60..80u8];
    prop_oneof![
        3 => (0..3u8).prop_map(|agent| Op::Lose { agent }),
        3 => (0..3u8, 1..9u8).prop_map(|(agent, windows)| Op::Delay { agent, windows }),
        2 => (0..3u8).prop_map(|agent| Op::Twice { agent }),
        4 => (0..3u8, last, 0..3u8).prop_map(|(agent, last, to)| Op::Again { agent, last, to }),
        2 => (0..3u8, 0..3u8).prop_map(|(agent, replica)| Op::ReportTo { agent, replica }),
        1 => (0..3u8).prop_map(|agent| Op::RestartAgent { agent }),
        2 => (0..3u8).prop_map(|agent| Op::ReplaceAgent { agent }),
        2 => (0..3u8).prop_map(|agent| Op::EndAgent { agent }),
        2 => (0..3u8, any::<bool>()).prop_map(|(agent, moves)| Op::StopAgent { agent, moves }),
        2 => (0..3u8).prop_map(|agent| Op::StartAgent { agent }),
        2 => (0..3u8, every).prop_map(|(agent, seconds)| Op::Every { agent, seconds }),
        1 => (0..3u8, off()).prop_map(|(agent, seconds)| Op::AgentClock { agent, seconds }),
    ]
}

fn configuration() -> impl Strategy<Value = Op> {
    let budget = prop_oneof![
        Just(0.0),
        prop::sample::select(vec![0.5, 5.0, 20.0, 100.0, 1e4, 1e9])
    ];
    let probability = prop::sample::select(vec![0.0, 0.5, 0.95, 0.9999]);
    let within = prop::sample::select(vec![1.0, 60.0, 300.0, 86_400.0]);
    prop_oneof![
        2 => budget.prop_map(|traces_per_second| Op::Budget { traces_per_second }),
        1 => (probability, within).prop_map(|(probability, within_seconds)| Op::Coverage {
            probability,
            within_seconds,
        }),
    ]
}

fn replicas() -> impl Strategy<Value = Op> {
    let at = prop_oneof![Just(Point::Read), Just(Point::Publish)];
    prop_oneof![
        2 => (0..3u8).prop_map(|replica| Op::GiveUpLease { replica }),
        3 => (0..3u8, at).prop_map(|(replica, at)| Op::Freeze { replica, at }),
        3 => (0..3u8).prop_map(|replica| Op::Thaw { replica }),
        2 => (0..3u8, any::<bool>())
            .prop_map(|(replica, in_order)| Op::Restart { replica, in_order }),
        2 => (0..3u8).prop_map(|replica| Op::Cut { replica }),
        3 => (0..3u8).prop_map(|replica| Op::Mend { replica }),
        2 => (0..3u8, 1..4u8).prop_map(|(replica, writes)| Op::Unheard { replica, writes }),
        1 => Just(Op::DatabaseAway),
        2 => Just(Op::DatabaseBack),
        1 => (0..3u8, off()).prop_map(|(replica, seconds)| Op::MachineClock { replica, seconds }),
        1 => off().prop_map(|seconds| Op::DatabaseClock { seconds }),
        1 => off().prop_map(|seconds| Op::Clocks { seconds }),
        2 => (0..3u8).prop_map(|replica| Op::Tidy { replica }),
    ]
}

fn any_op() -> impl Strategy<Value = Op> {
    prop_oneof![
        10 => (0..6u8).prop_map(|order| Op::Tick { order }),
        3 => traffic(),
        4 => reports(),
        1 => configuration(),
        4 => replicas(),
    ]
}

/// Events in the life of a fleet of two or three replicas.
pub fn any_course() -> impl Strategy<Value = (usize, Vec<Op>)> {
    (2..4usize, prop::collection::vec(any_op(), 1..50))
}
