//! Says in one log line what a plan changes and why.

use std::cmp::Ordering;
use std::collections::HashSet;
use std::fmt;
use std::time::Duration;

use itertools::{EitherOrBoth, Itertools};

use super::plan_summary::{hold_label, serving_label};
use crate::allocation::{
    AgentId, Claim, Hold, OperationId, OperationPlan, Plan, ServiceId, Serving,
};
use crate::names::{Names, NamesOfAgents};
use crate::telemetry::metrics::Label;

/// A change of the offered rate by less than this part is not given as a reason.
const NOTABLE: f64 = 0.01;

/// The counts held apart that are named in the log with each plan.
const CLAIMS_NAMED: usize = 5;

/// The rules that are named in the log with a plan.
const RULES_NAMED: usize = 5;

/// How a plan's probabilities differ from those of the plan before.
#[derive(Debug, Default, PartialEq)]
pub struct PlanChanges {
    raised: usize,
    cut: usize,
    new: usize,
    gone: usize,
    /// The change that moves the most traces per second, with the probabilities before and after.
    largest: Option<(OperationId, f64, f64)>,
}

impl PlanChanges {
    /// Compares two plans.
    #[must_use]
    pub fn between(before: &Plan, plan: &Plan) -> Self {
        let mut changes = Self::default();
        let mut most = 0.0;
        let both = before
            .operations
            .iter()
            .merge_join_by(&plan.operations, |before, after| {
                before.operation.cmp(&after.operation)
            });
        for operation in both {
            match operation {
                EitherOrBoth::Left(_) => changes.gone += 1,
                EitherOrBoth::Right(_) => changes.new += 1,
                EitherOrBoth::Both(before, after) => changes.add(before, after, &mut most),
            }
        }
        changes
    }

    /// Adds an operation that is in both plans. `most` is what the largest change moves so far.
    fn add(&mut self, before: &OperationPlan, after: &OperationPlan, most: &mut f64) {
        let (from, to) = (before.probability, after.probability);
        match to.total_cmp(&from) {
            Ordering::Greater => self.raised += 1,
            Ordering::Less => self.cut += 1,
            Ordering::Equal => {}
        }
        let moved = (to - from).abs() * after.offered;
        if moved > *most {
            *most = moved;
            self.largest = Some((after.operation, from, to));
        }
    }

    /// How many probabilities changed, including those of new operations.
    #[must_use]
    pub fn count(&self) -> usize {
        self.raised + self.cut + self.new
    }
}

/// Logs that a plan was published, with its figures and its changes.
///
/// `rules` are sentences about rules that began or ran out.
pub fn log(
    before: &Plan,
    plan: &Plan,
    changes: &PlanChanges,
    names: &Names,
    rules: Vec<String>,
    took: Duration,
) {
    let fleet = &plan.fleet;
    let because = reasons(rules, before, plan, changes);
    tracing::info!(
        plan = plan.number,
        term = plan.term,
        configuration_revision = plan.configuration_revision,
        operations = plan.operations.len(),
        raised = changes.raised,
        cut = changes.cut,
        new = changes.new,
        gone = changes.gone,
        largest = Largest(changes, names).to_string(),
        because = because.join("; "),
        budget_traces_per_second = fleet.budget,
        observed_sampled_traces_per_second = fleet.observed_sampled,
        expected_sampled_traces_per_second = fleet.expected_sampled,
        offered_per_second = fleet.offered,
        completeness = fleet.completeness,
        hold = hold_label(fleet.hold).value(),
        serving = serving_label(plan.serving()).value(),
        took_milliseconds = took.as_millis() as u64,
        "published a plan"
    );
}

/// Says which rules began and which ran out. Only some are named.
#[must_use]
pub fn rules_changed(began: &[String], ran_out: &[String]) -> Vec<String> {
    let said = [(began, "began"), (ran_out, "ran out")].map(|(rules, what)| {
        let named = rules.iter().take(RULES_NAMED);
        let named: Vec<String> = named.map(|name| format!("{name:?}")).collect();
        let rest = match rules.len().saturating_sub(RULES_NAMED) {
            0 => String::new(),
            more => format!(" and {more} more"),
        };
        let noun = if rules.len() == 1 { "rule" } else { "rules" };
        (!rules.is_empty()).then(|| format!("{noun} {}{rest} {what}", named.join(", ")))
    });
    said.into_iter().flatten().collect()
}

/// Logs the counts that a plan holds apart and the plan before did not. A sender can make up many, so
/// only some are named.
pub fn log_claims(before: &Plan, plan: &Plan, names: &Names, agents: &NamesOfAgents) {
    let known = |claim: &Claim| (claim.agent, claim.service);
    let was: HashSet<_> = before.claims.iter().map(known).collect();
    let new = plan.claims.iter();
    let new: Vec<&Claim> = new.filter(|claim| !was.contains(&known(claim))).collect();
    for claim in new.iter().take(CLAIMS_NAMED) {
        tracing::warn!(
            plan = plan.number,
            agent = agent_name(claim.agent, agents),
            service = service_name(claim.service, names),
            offered = claim.offered,
            "holding a count apart: it is out of all proportion to what the agent reported before, \
             to the other agents of the service, and to what was sampled"
        );
    }
    if new.len() > CLAIMS_NAMED {
        tracing::warn!(
            plan = plan.number,
            counts = new.len() - CLAIMS_NAMED,
            "holding more counts apart"
        );
    }
}

fn agent_name(agent: AgentId, names: &NamesOfAgents) -> String {
    match names.get(&agent) {
        Some(name) => name.to_string(),
        None => format!("agent {:016x}", agent.0),
    }
}

fn service_name(service: ServiceId, names: &Names) -> String {
    match names.service(service) {
        Some(name) => name.to_string(),
        None => format!("service {}", service.0),
    }
}

/// The change that moves the most traces per second, with its names.
struct Largest<'a>(&'a PlanChanges, &'a Names);

impl fmt::Display for Largest<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Some((operation, from, to)) = self.0.largest else {
            return f.write_str("none");
        };
        match self.1.name(operation) {
            Some(name) => write!(f, "{} {}", name.service, name.operation)?,
            None => write!(f, "operation {}", operation.0)?,
        }
        write!(f, " {from:.3e} to {to:.3e}")
    }
}

/// What a plan says that is served otherwise than the one before.
fn turned(serving: Serving) -> &'static str {
    match serving {
        Serving::Plan => "what the plan decides is served again",
        Serving::Freeze => "what is served is frozen",
        Serving::Observe => "the plan is only shown: the initial probability is served",
    }
}

/// Why the plan differs from the one before; never empty. What rules did comes first.
fn reasons(rules: Vec<String>, before: &Plan, plan: &Plan, changes: &PlanChanges) -> Vec<String> {
    let (was, is) = (&before.fleet, &plan.fleet);
    let mut reasons = rules;
    if plan.configuration_revision != before.configuration_revision {
        reasons.push(if was.budget == is.budget {
            format!("configuration revision {}", plan.configuration_revision)
        } else {
            format!(
                "the budget went from {} to {} traces/s",
                was.budget, is.budget
            )
        });
    }
    if before.serving() != plan.serving() {
        reasons.push(turned(plan.serving()).into());
    }
    match is.hold {
        Hold::None => {}
        Hold::CutsOnly => reasons.push(format!(
            "some counts cannot be read (completeness {:.2}), nothing is raised",
            is.completeness
        )),
        Hold::Frozen => reasons.push("no agent is heard, nothing else changes".into()),
    }
    if is.missing > 0.0 {
        reasons.push(format!(
            "floors and pins exceed the budget by {:.3} traces/s",
            is.missing
        ));
    }
    if changes.new + changes.gone > 0 {
        reasons.push(format!(
            "{} operations are new, {} gone",
            changes.new, changes.gone
        ));
    }
    let moved = is.offered / was.offered - 1.0;
    if moved.is_finite() && moved.abs() >= NOTABLE {
        let how = if moved > 0.0 { "rose" } else { "fell" };
        reasons.push(format!(
            "offered traffic {how} by {:.1} %",
            100.0 * moved.abs()
        ));
    }
    if reasons.is_empty() {
        reasons.push("traffic changed only by noise".into());
    }
    reasons
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::allocation::{Belief, Binding, FleetPlan, Reason};

    fn plan(revision: u64, fleet: FleetPlan, operations: &[(u32, f64)]) -> Plan {
        let operation = |&(id, probability): &(u32, f64)| OperationPlan {
            operation: OperationId(id),
            service: ServiceId(1),
            overflow: false,
            offered: f64::from(id),
            belief: Belief::default(),
            belief_before: None,
            share: 0.0,
            probability,
            turned: 0,
            binding: Binding::Level,
            reason: Reason::UNKNOWN,
            silent_windows: 0,
            silent_before: 0,
            window_offered: 0,
            window_sampled: 0,
        };
        Plan {
            configuration_revision: revision,
            fleet,
            operations: operations.iter().map(operation).collect(),
            ..Plan::default()
        }
    }

    #[test]
    fn a_change_is_counted_by_its_direction() {
        let fleet = FleetPlan::default();
        let before = plan(1, fleet, &[(1, 0.5), (2, 0.5), (3, 0.5), (9, 0.1)]);
        let after = plan(1, fleet, &[(0, 0.5), (2, 0.7), (3, 0.2), (9, 0.1)]);
        let changes = PlanChanges::between(&before, &after);
        let expected = PlanChanges {
            raised: 1,
            cut: 1,
            new: 1,
            gone: 1,
            largest: Some((OperationId(3), 0.5, 0.2)),
        };
        assert_eq!(changes, expected);
        assert_eq!(changes.count(), 3);
        let same = PlanChanges::between(&before, &before);
        assert_eq!(same, PlanChanges::default());
    }

    #[test]
    fn rules_that_changed_are_named() {
        let rules = |names: &[&str]| {
            names
                .iter()
                .map(|name| (*name).to_owned())
                .collect::<Vec<_>>()
        };
        let said = rules_changed(&rules(&["a"]), &rules(&["b", "c", "d", "e", "f", "g", "h"]));
        let many = r#"rules "b", "c", "d", "e", "f" and 2 more ran out"#;
        assert_eq!(said, [r#"rule "a" began"#, many]);
        assert_eq!(rules_changed(&[], &[]), Vec::<String>::new());
    }

    #[test]
    fn the_reasons_are_named() {
        let fleet = |budget, offered, hold| FleetPlan {
            budget,
            offered,
            hold,
            completeness: 0.6,
            ..FleetPlan::default()
        };
        let before = plan(1, fleet(10.0, 100.0, Hold::None), &[(1, 0.1)]);
        let said = |revision, budget, offered, hold| {
            let after = plan(revision, fleet(budget, offered, hold), &[(1, 0.2)]);
            let changes = PlanChanges::between(&before, &after);
            reasons(Vec::new(), &before, &after, &changes).join("; ")
        };
        assert_eq!(
            said(2, 20.0, 130.0, Hold::CutsOnly),
            "the budget went from 10 to 20 traces/s; some counts cannot be read (completeness \
             0.60), nothing is raised; offered traffic rose by 30.0 %"
        );
        assert_eq!(said(2, 10.0, 99.9, Hold::None), "configuration revision 2");
        assert_eq!(
            said(1, 10.0, 99.9, Hold::None),
            "traffic changed only by noise"
        );
    }
}
