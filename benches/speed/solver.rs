//! The time of sharing the budget alone, from a thousand operations to a million.
//!
//! Operations have weights and some of them floors and caps, and so have services and groups: the budget
//! is shared by the fleet alone, by the fleet and its services, and by the fleet, groups and services. Time is that of this thread on a core, the least
//! of several runs: other programs on the machine only ever add to it. It is compared with sorting the
//! levels at which the operations' floors and caps begin and end, which the textbook's solution does
//! first, and alone.

use std::fs;
use std::hint::black_box;

use rand::rngs::StdRng;
use rand::{RngExt, SeedableRng};
use weir::allocation::Priority;
use weir::allocation::nested::Node;
use weir::allocation::solve::{Entry, Solution, solve, solve_nested};

use crate::cores::seconds_here;
use crate::table::{Row, seconds};

const SIZES: [usize; 4] = [1_000, 10_000, 100_000, 1_000_000];
const OPERATIONS_PER_SERVICE: usize = 100;
const GROUPS: usize = 10;
/// Traces a second and operation.
const BUDGET: f64 = 0.05;

/// Who shares what.
struct Fleet {
    entries: Vec<Entry>,
    homes: Vec<u32>,
    nodes: Vec<Node>,
    budget: f64,
}

impl Fleet {
    fn new(operations: usize, groups: usize) -> Self {
        let mut random = StdRng::seed_from_u64(operations as u64);
        let services = operations / OPERATIONS_PER_SERVICE;
        let entry = |rank: usize, random: &mut StdRng| Entry {
            demand: 1e5 / (rank as f64).powf(1.1) + random.random::<f64>(),
            weight: 0.5 + random.random::<f64>(),
            floor: if random.random_bool(0.3) { 1e-3 } else { 0.0 },
            cap: if random.random_bool(0.3) {
                0.2
            } else {
                f64::INFINITY
            },
            priority: Priority::new((rank % 10) as u8),
        };
        let node = |parent, of: f64, random: &mut StdRng| Node {
            parent,
            floor: if random.random_bool(0.3) { of } else { 0.0 },
            cap: if random.random_bool(0.3) {
                of
            } else {
                f64::INFINITY
            },
        };
        let budget = BUDGET * operations as f64;
        let mut nodes = vec![Node::default()];
        nodes.extend((0..groups).map(|_| node(0, budget / groups as f64, &mut random)));
        for service in 0..services {
            let group = if groups > 0 { 1 + service % groups } else { 0 };
            nodes.push(node(group as u32, budget / services as f64, &mut random));
        }
        let home = |rank: usize| (1 + groups + rank * 7919 % services) as u32;
        Self {
            entries: (1..=operations)
                .map(|rank| entry(rank, &mut random))
                .collect(),
            homes: (1..=operations).map(home).collect(),
            nodes,
            budget,
        }
    }

    fn flat(&self) -> Solution {
        solve(&self.entries, self.budget)
    }

    fn nested(&self) -> Solution {
        solve_nested(&self.entries, &self.homes, &self.nodes, self.budget)
    }

    /// The levels at which shares begin and cease to rise, sorted.
    fn breakpoints(&self) -> Vec<f64> {
        let of = |entry: &Entry| {
            let cap = entry.cap.min(entry.demand);
            [entry.floor / entry.weight, cap / entry.weight]
        };
        let mut levels: Vec<f64> = self.entries.iter().flat_map(of).collect();
        levels.sort_unstable_by(f64::total_cmp);
        levels
    }
}

/// The results for one size.
struct Size {
    operations: usize,
    flat: f64,
    /// The fleet and its services.
    two: f64,
    /// Groups between them.
    three: f64,
    sort: f64,
    /// How far off the budget the two solutions are, relative to it.
    error: f64,
    peak_mib: f64,
}

/// Measures all sizes.
pub fn run() {
    let sizes: Vec<Size> = SIZES.into_iter().map(measure).collect();
    println!();
    println!(
        "| operations | one level | two levels | an operation | three levels | sorting alone | budget error | memory above the input |"
    );
    println!("|---|---|---|---|---|---|---|---|");
    for size in &sizes {
        println!(
            "| {} | {} | {} | {:.0} ns | {} | {} | {:.0e} | {:.1} MiB |",
            size.operations,
            milliseconds(size.flat),
            milliseconds(size.two),
            size.two / size.operations as f64 * 1e9,
            milliseconds(size.three),
            milliseconds(size.sort),
            size.error,
            size.peak_mib,
        );
    }
    println!();
    crate::table::head();
    if let Some(largest) = sizes.last() {
        Row::new(
            "solver: 1 M operations, weights, floors and caps on two levels",
            seconds(largest.two),
            "≤ 100 ms",
        )
        .beside(
            format!("sorting alone {}", seconds(largest.sort)),
            largest.two / largest.sort,
        )
        .print();
    }
}

fn measure(operations: usize) -> Size {
    let (fleet, grouped) = (Fleet::new(operations, 0), Fleet::new(operations, GROUPS));
    // The least of ten milliseconds' worth of runs, and of five at least.
    let runs = (200_000 / operations).max(5);
    let before = resident_mib();
    let nested = fleet.nested();
    let peak_mib = (peak_mib() - before).max(0.0);
    Size {
        operations,
        flat: least(runs, || fleet.flat()),
        two: least(runs, || fleet.nested()),
        three: least(runs, || grouped.nested()),
        sort: least(runs, || fleet.breakpoints()),
        error: [fleet.flat(), nested, grouped.nested()]
            .iter()
            .map(|solution| off(solution, fleet.budget))
            .fold(0.0, f64::max),
        peak_mib,
    }
}

fn off(solution: &Solution, budget: f64) -> f64 {
    let mut shares = solution.shares.clone();
    // Summed from the smallest on, so that the sum is at least as precise as the result it checks.
    shares.sort_unstable_by(f64::total_cmp);
    (shares.iter().sum::<f64>() / budget - 1.0).abs()
}

fn milliseconds(seconds: f64) -> String {
    format!("{:.2} ms", seconds * 1e3)
}

/// The least time on a core over several runs.
fn least<T>(runs: usize, mut what: impl FnMut() -> T) -> f64 {
    let mut least = f64::INFINITY;
    for _ in 0..runs {
        let before = seconds_here();
        black_box(what());
        least = least.min(seconds_here() - before);
    }
    least
}

/// The memory in use, after which the peak counts anew.
fn resident_mib() -> f64 {
    fs::write("/proc/self/clear_refs", "5").unwrap();
    memory("VmRSS:")
}

fn peak_mib() -> f64 {
    memory("VmHWM:")
}

fn memory(name: &str) -> f64 {
    let status = fs::read_to_string("/proc/self/status").unwrap();
    let line = status.lines().find(|line| line.starts_with(name)).unwrap();
    line.split_whitespace()
        .nth(1)
        .unwrap()
        .parse::<f64>()
        .unwrap()
        / 1024.0
}
