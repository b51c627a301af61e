//! Properties of every plan and of every body.

use std::collections::{BTreeMap, HashMap};

use serde_json::{Map, Value};
use weir::allocation::{
    AgentCount, AgentId, Hold, Inputs, OVERFLOW_SERVICE, OperationCount, OperationId, Plan,
    ServiceCount, ServiceId, Timestamp, WINDOWS_READ_MAX, Window, WindowCounts, next_plan,
};
use weir::configuration::Configuration;
use weir::names::{Names, OperationRow};
use weir::store::history_codec::{self, HistoryOperation};
use weir::store::{BucketCounts, WriteFormat, plan_codec};

use super::ledger::Published;
use super::{Outcome, ensure};

/// The relative error that rounding may cause.
const ROUNDING: f64 = 1e-9;

/// No unknown operation is served more.
const UNKNOWN_MAX: f64 = 0.5;

/// A body as an SDK reads it.
#[derive(Debug, Clone, PartialEq)]
pub struct Strategy {
    pub default: f64,
    pub listed: BTreeMap<String, f64>,
}

impl Strategy {
    pub fn probability(&self, operation: &str) -> f64 {
        self.listed.get(operation).copied().unwrap_or(self.default)
    }
}

/// Parses a body as strictly as the strictest of all clients.
pub fn strategy(body: &[u8]) -> Result<Strategy, String> {
    let read: Value = serde_json::from_slice(body).map_err(|error| error.to_string())?;
    let top = object(
        &read,
        &["strategyType", "probabilisticSampling", "operationSampling"],
    )?;
    ensure!(top["strategyType"] == "PROBABILISTIC", "{read}");
    let default = rate(&top["probabilisticSampling"])?;
    let sampling = object(
        &top["operationSampling"],
        &[
            "defaultSamplingProbability",
            "defaultLowerBoundTracesPerSecond",
            "perOperationStrategies",
            "defaultUpperBoundTracesPerSecond",
        ],
    )?;
    ensure!(
        probability(&sampling["defaultSamplingProbability"])? == default,
        "{read}"
    );
    ensure!(
        sampling["defaultLowerBoundTracesPerSecond"].as_f64() == Some(0.0),
        "{read}"
    );
    ensure!(
        sampling["defaultUpperBoundTracesPerSecond"].as_f64() == Some(0.0),
        "{read}"
    );
    ensure!(
        default <= UNKNOWN_MAX,
        "what is not known is served {default}"
    );
    let mut listed = BTreeMap::new();
    let operations = sampling["perOperationStrategies"].as_array();
    for operation in operations.ok_or("perOperationStrategies is no list")? {
        let entry = object(operation, &["operation", "probabilisticSampling"])?;
        let name = entry["operation"]
            .as_str()
            .ok_or("an operation without a name")?;
        ensure!(!name.is_empty() && name != "__other__", "{operation}");
        let twice = listed.insert(name.to_owned(), rate(&entry["probabilisticSampling"])?);
        ensure!(twice.is_none(), "{name} is listed twice");
    }
    Ok(Strategy { default, listed })
}

/// An object with these keys only.
fn object<'a>(value: &'a Value, keys: &[&str]) -> Result<&'a Map<String, Value>, String> {
    let object = value
        .as_object()
        .ok_or_else(|| format!("{value} is no object"))?;
    let known = keys.iter().all(|key| object.contains_key(*key)) && object.len() == keys.len();
    if known {
        Ok(object)
    } else {
        Err(format!("{value} has other fields than {keys:?}"))
    }
}

fn rate(value: &Value) -> Result<f64, String> {
    probability(&object(value, &["samplingRate"])?["samplingRate"])
}

fn probability(value: &Value) -> Result<f64, String> {
    let found = value.as_f64().filter(|rate| (0.0..=1.0).contains(rate));
    found.ok_or_else(|| format!("{value} is no probability"))
}

/// Checks a plan that was just published against its parent and its input.
pub fn plan(published: &Published, parent: &Plan, names: &Names) -> Result<Plan, String> {
    let stored = &published.plan;
    let plan = plan_codec::decode(&stored.body).map_err(|error| error.to_string())?;
    let header = (
        plan.number,
        plan.term,
        plan.configuration_revision,
        plan.window,
    );
    let stated = (
        stored.number,
        stored.term,
        stored.configuration_revision,
        stored.window,
    );
    ensure!(
        header == stated,
        "the body says {header:?}, the row {stated:?}"
    );
    ensure!(
        plan.number == parent.number + 1,
        "after {} came {}",
        parent.number,
        plan.number
    );
    ensure!(plan.term >= parent.term, "the term fell to {}", plan.term);
    ensure!(
        plan.term == published.lease_term,
        "term {} published while the lease had {}",
        plan.term,
        published.lease_term
    );
    numbers(&plan)?;
    holds(&plan, parent)?;
    again(published, &plan, parent, names)?;
    Ok(plan)
}

/// The figures: probabilities, and the expected cost.
fn numbers(plan: &Plan) -> Outcome {
    let defaults = plan
        .services
        .iter()
        .map(|service| service.default_probability);
    for default in defaults.chain([plan.fleet.default_probability]) {
        ensure!(
            (0.0..=UNKNOWN_MAX).contains(&default),
            "a default of {default}"
        );
    }
    for operation in &plan.operations {
        ensure!(
            (0.0..=1.0).contains(&operation.probability),
            "{operation:?}"
        );
        ensure!(
            operation.offered.is_finite() && operation.share.is_finite(),
            "{operation:?}"
        );
    }
    // A frozen plan leaves the probabilities unchanged, even if late reports say that it costs more.
    if plan.fleet.hold == Hold::Frozen {
        Ok(())
    } else {
        affords(plan)
    }
}

/// What is planned is within the budget.
fn affords(plan: &Plan) -> Outcome {
    let operations = plan.operations.iter();
    let cost: f64 = operations.map(|plan| plan.probability * plan.offered).sum();
    let most = plan.fleet.budget * plan.fleet.trim.factor * (1.0 + ROUNDING);
    ensure!(cost <= most, "{cost} traces/s are planned of {most}");
    Ok(())
}

/// Nothing rises by more than what could hide in what is not heard.
fn holds(plan: &Plan, parent: &Plan) -> Outcome {
    let knows = !parent.operations.is_empty();
    ensure!(
        plan.fleet.completeness > 1e-3 || !knows || plan.fleet.hold == Hold::Frozen,
        "nothing heard, and no hold"
    );
    // What operators ask for needs no reports: it takes effect, as far as the budget goes.
    if plan.configuration_revision != parent.configuration_revision {
        return affords(plan);
    }
    if !knows {
        return Ok(());
    }
    let held = plan.fleet.hold != Hold::None;
    let before: HashMap<OperationId, f64> = parent
        .operations
        .iter()
        .map(|operation| (operation.operation, operation.probability))
        .collect();
    for operation in &plan.operations {
        let default = parent.default_probability(operation.service);
        let served = before
            .get(&operation.operation)
            .filter(|_| !operation.overflow);
        // Without a hold, a new name may begin anywhere.
        let Some(served) = served.copied().or(held.then_some(default)) else {
            continue;
        };
        ensure!(
            operation.probability <= most(plan, operation.service, served),
            "raised from {served}: {operation:?}, {:?}",
            plan.service(operation.service)
        );
    }
    for service in plan.services.iter().filter(|_| held) {
        let served = parent.default_probability(service.service);
        ensure!(
            service.default_probability <= served,
            "the default of {:?} was raised from {served} to {} in a hold",
            service.service,
            service.default_probability
        );
    }
    Ok(())
}

/// The most that may follow on a probability in one interval.
fn most(plan: &Plan, service: ServiceId, served: f64) -> f64 {
    if plan.fleet.hold != Hold::None {
        return served;
    }
    let heard = plan.service(service).map_or(1.0, |of| f64::from(of.heard));
    // What was served nothing begins at an initial probability.
    let served = if served > 0.0 { served } else { UNKNOWN_MAX };
    served / (1.0 - heard) * (1.0 + 1e-6)
}

/// The plan is the same when it is computed again here, from what is stored.
fn again(published: &Published, plan: &Plan, parent: &Plan, names: &Names) -> Outcome {
    let revision = published
        .configuration
        .as_ref()
        .ok_or("no configuration was read")?;
    let policy = Configuration::read(revision)?.policy(revision.revision, names, plan.window.end);
    let windows = read(parent, plan.window);
    let windows = windows.map(|window| counts(window, &published.deltas, names));
    let windows: Vec<WindowCounts> = windows.collect();
    let current = windows.last().ok_or("no window was read")?;
    let listed = parent
        .operations
        .iter()
        .map(|operation| operation.operation);
    let retired: Vec<OperationId> = listed.filter(|id| names.row(*id).is_none()).collect();
    let inputs = Inputs {
        retired: &retired,
        ..Inputs::new(plan.term, &windows)
    };
    let again = next_plan(parent, &policy, inputs);
    ensure!(
        plan_codec::encode(&again, WriteFormat::Newest).unwrap() == published.plan.body,
        "computed again, plan {} is another:\n{again:?}\ninstead of\n{plan:?}",
        plan.number
    );
    let row = published
        .history
        .iter()
        .find(|row| row.window == plan.window);
    let row = row.ok_or("the plan came without its window's history")?;
    let history = history_codec::decode(&row.payload).map_err(|error| error.to_string())?;
    ensure!(
        counted(&history) == totals(current),
        "the window's history is {history:?}, counted were {:?}",
        current.operations
    );
    Ok(())
}

fn counted(history: &[HistoryOperation]) -> BTreeMap<OperationId, (u64, u64)> {
    let row = |row: &HistoryOperation| (row.operation, (row.offered, sampled(row)));
    history.iter().map(row).collect()
}

/// Agents say what they sampled, so it is always known.
fn sampled(row: &HistoryOperation) -> u64 {
    row.sampled.unwrap_or(u64::MAX)
}

fn totals(counts: &WindowCounts) -> BTreeMap<OperationId, (u64, u64)> {
    let row = |row: &OperationCount| (row.operation, (row.offered, row.sampled));
    counts.operations.iter().map(row).collect()
}

/// The windows that a plan is made from: the newest of those that may still change. All are of the same
/// length.
fn read(parent: &Plan, window: Window) -> impl Iterator<Item = Window> {
    let length = window.milliseconds();
    let from = parent.settled.min(window.start).max(Timestamp(0));
    let windows = (window.start.0 - from.0) / length + 1;
    let windows = windows.min(WINDOWS_READ_MAX as i64);
    (0..windows).rev().map(move |back| Window {
        start: Timestamp(window.start.0 - back * length),
        end: Timestamp(window.end.0 - back * length),
    })
}

/// A window's stored counts, added up in the simple way.
fn counts(window: Window, deltas: &[BucketCounts], names: &Names) -> WindowCounts {
    let mut operations: BTreeMap<(OperationId, ServiceId, bool), (u64, u64)> = BTreeMap::new();
    let mut services: BTreeMap<ServiceId, u64> = BTreeMap::new();
    let mut agents: BTreeMap<(AgentId, Option<ServiceId>), (u64, u64)> = BTreeMap::new();
    let (mut reports, mut late) = (Vec::new(), Vec::new());
    for delta in deltas.iter().filter(|delta| delta.bucket == window) {
        for count in &delta.operations {
            let row = names.row(count.operation).unwrap_or(OperationRow::OVERFLOW);
            let total = operations
                .entry((row.operation, row.service, row.overflow))
                .or_default();
            total.0 += count.offered;
            total.1 += count.sampled;
        }
        for seen in &delta.services {
            *services.entry(seen.service).or_insert(0) += seen.instance_milliseconds;
        }
        for heard in &delta.agents {
            let served = |id| id == OVERFLOW_SERVICE || names.service(id).is_some();
            if heard.service.is_none_or(served) {
                let total = agents.entry((heard.agent, heard.service)).or_default();
                total.0 += heard.offered;
                total.1 += heard.sampled;
            }
        }
        reports.extend_from_slice(&delta.reports);
        late.extend_from_slice(&delta.late);
    }
    let operation = |((operation, service, overflow), (offered, sampled))| OperationCount {
        operation,
        service,
        overflow,
        offered,
        sampled,
    };
    let agent = |((agent, service), (offered, sampled))| AgentCount {
        agent,
        service,
        offered,
        sampled,
    };
    let service = |(service, instance_milliseconds)| ServiceCount {
        service,
        instance_milliseconds,
    };
    WindowCounts {
        window,
        operations: operations.into_iter().map(operation).collect(),
        services: services.into_iter().map(service).collect(),
        reports,
        agents: agents.into_iter().map(agent).collect(),
        late,
        polls: None,
    }
}

/// The history of a settled window equals its counts. Names that were removed since are not
/// distinguished any more.
pub fn settled(
    window: Window,
    deltas: &[BucketCounts],
    names: &Names,
    history: &[HistoryOperation],
) -> Outcome {
    let mut told: BTreeMap<OperationId, (u64, u64)> = BTreeMap::new();
    for row in history {
        let known = names.row(row.operation).unwrap_or(OperationRow::OVERFLOW);
        let total = told.entry(known.operation).or_default();
        total.0 += row.offered;
        total.1 += sampled(row);
    }
    let wanted = totals(&counts(window, deltas, names));
    ensure!(
        told == wanted,
        "settled, the history of {window:?} is {told:?}, counted were {wanted:?}"
    );
    Ok(())
}
