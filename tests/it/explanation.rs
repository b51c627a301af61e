//! The explanations of operations' probabilities.

use serde_json::{Value, json};
use weir::allocation::{
    Belief, Binding, FleetPlan, GroupName, GroupPlan, Hold, OperationId, OperationPlan, Plan,
    Reason, ServiceId, ServicePlan, Source, Whole,
};
use weir::view::explanation::{ReasonDocument, explain};

/// An operation with 12.3 requests/s, of which 0.25 are sampled.
fn operation(binding: Binding, source: Source, bound: f32, target: f32) -> OperationPlan {
    OperationPlan {
        operation: OperationId(1),
        service: ServiceId(1),
        overflow: false,
        offered: 12.3,
        belief: Belief {
            rate: 12.3,
            presence: 1.0,
            stay: 1.0,
            wake: 1.0,
            ..Belief::default()
        },
        belief_before: None,
        share: 0.25,
        probability: 0.0203,
        turned: 0,
        binding,
        reason: Reason {
            bound,
            source,
            weight: 1.0,
            target,
        },
        silent_windows: 0,
        silent_before: 0,
        window_offered: 738,
        window_sampled: 15,
    }
}

fn plan() -> Plan {
    Plan {
        fleet: FleetPlan {
            level: 0.25,
            ..FleetPlan::default()
        },
        services: vec![ServicePlan {
            service: ServiceId(1),
            default_probability: 0.1,
            level: 0.25,
            ..ServicePlan::default()
        }],
        ..Plan::default()
    }
}

#[test]
fn who_shares_at_a_level_is_told_which_and_what_for() {
    let mut level = operation(Binding::Level, Source::Fleet, 0.25, 0.0203);
    let text = "shares at the fleet's level of 0.25 traces/s with weight 1: 0.25 of 12.3 \
                requests/s is 0.0203";
    assert_eq!(explain(&plan(), &level), text);
    level.probability = 0.022;
    level.reason.source = Source::Group;
    let moved = "shares at its group's level of 0.25 traces/s with weight 1: 0.25 of 12.3 \
                 requests/s is 0.022, not 0.0203, to make up for others that did not change";
    assert_eq!(explain(&plan(), &level), moved);
}

#[test]
fn a_floor_is_kept_or_says_what_is_in_its_way() {
    let kept = operation(Binding::Floor, Source::Service, 0.25, 0.0203);
    let text = "its floor of 0.25 traces/s (set for its service) is above its level: 0.25 of \
                12.3 requests/s is 0.0203";
    assert_eq!(explain(&plan(), &kept), text);
    let short = operation(Binding::Floor, Source::Operation, 2.0, 0.0203);
    let begin = "its floor of 2 traces/s (set for the operation) does not fit, it gets 0.25: ";
    let because = |plan: &Plan| {
        let text = explain(plan, &short);
        text.strip_prefix(begin).map(str::to_owned).unwrap_or(text)
    };
    let mut plan = plan();
    assert_eq!(because(&plan), "its service's cap is less");
    plan.fleet.missing = 5.0;
    let fleet = "the budget is 5 traces/s short of all floors and pins";
    assert_eq!(because(&plan), fleet);
    plan.services[0].group = Some(0);
    plan.groups.push(GroupPlan {
        name: GroupName::parse("batch").unwrap(),
        whole: Whole::default(),
        offered: 12.3,
        sampled: 0.25,
        level: 0.0,
        missing: 1.75,
    });
    let group = "the floors in group \"batch\" are 1.75 traces/s more than the group's cap";
    assert_eq!(because(&plan), group);
}

#[test]
fn every_other_binding_says_its_numbers() {
    let told = |binding, source, bound, target| {
        explain(&plan(), &operation(binding, source, bound, target))
    };
    let cap = told(Binding::Cap, Source::Operation, 0.0203, 0.0203);
    assert_eq!(
        cap,
        "its cap (set for the operation) allows 0.0203 of 12.3 requests/s"
    );
    let mut overflow = operation(Binding::Cap, Source::Fleet, 0.0203, 0.0203);
    overflow.overflow = true;
    let unknown = explain(&plan(), &overflow);
    assert!(unknown.contains("they are served 0.0203 at most"));
    let unlisted = told(Binding::Cap, Source::Fleet, 0.0203, 0.0203);
    assert_eq!(
        unlisted,
        "is served its service's default, 0.0203: a strategy lists 7500 operations, and its \
         service has that many busier ones"
    );
    let pin = told(Binding::Pin, Source::Service, 0.0203, 0.0203);
    assert_eq!(pin, "is fixed at 0.0203 (set for its service)");
    let scaled = told(Binding::Pin, Source::Service, 0.5, 0.5);
    assert_eq!(
        scaled,
        "is fixed at 0.5 (set for its service), but gets 0.0203: the pins exceed the budget"
    );
    let raise = told(Binding::RaiseLimit, Source::Fleet, 0.0203, 0.4);
    assert_eq!(
        raise,
        "is at 0.0203 on its way to 0.4: what agents that are missing may still count limits the \
         raise"
    );
    let peak = told(Binding::Peak, Source::Fleet, 0.0203, 0.4);
    assert_eq!(
        peak,
        "is at 0.0203 on its way to 0.4: traffic was much higher lately, and may come back at once"
    );
    let stays = told(Binding::Deadband, Source::Fleet, 0.021, 0.0203);
    assert_eq!(stays, "stays at 0.021, because that is close to 0.0203");
}

#[test]
fn who_keeps_everything_is_told_why() {
    let mut whole = operation(Binding::ProbabilityOne, Source::Fleet, 1.0, 1.0);
    let mut plan = plan();
    let because = |plan: &Plan, whole: &OperationPlan| {
        let text = explain(plan, whole);
        let (begin, because) = text.split_once(": ").unwrap();
        assert_eq!(begin, "keeps all of its 12.3 requests/s");
        because.to_owned()
    };
    assert_eq!(because(&plan, &whole), "its floor asks for no less");
    whole.reason.weight = 100.0;
    let level = "the fleet's level of 0.25 traces/s with weight 100 is no less";
    assert_eq!(because(&plan, &whole), level);
    plan.services[0].level = f64::INFINITY;
    assert_eq!(because(&plan, &whole), "the budget has room for everything");
}

#[test]
fn who_is_held_is_told_for_want_of_what() {
    let mut held = operation(Binding::Hold, Source::Fleet, 0.0203, 0.04);
    held.silent_windows = 3;
    let mut plan = plan();
    let silent = "stays at 0.0203 on its way to 0.04: it was not reported for 3 windows, and \
                  silence raises nothing";
    assert_eq!(explain(&plan, &held), silent);
    held.silent_windows = 0;
    let unheard = "stays at 0.0203 on its way to 0.04: no agent of its service is heard, and \
                   silence raises nothing";
    assert_eq!(explain(&plan, &held), unheard);
    plan.fleet.hold = Hold::CutsOnly;
    assert!(explain(&plan, &held).ends_with("some counts cannot be read, so nothing rises"));
    plan.fleet.hold = Hold::Frozen;
    let frozen = "stays at 0.0203: no agent is heard, so nothing changes";
    assert_eq!(explain(&plan, &held), frozen);
}

#[test]
fn missing_agents_and_late_counts_are_told_beside_the_reason() {
    let stays = operation(Binding::Deadband, Source::Fleet, 0.021, 0.0203);
    let mut plan = plan();
    let mut told = |heard, covered| {
        (plan.services[0].heard, plan.services[0].covered) = (heard, covered);
        let text = explain(&plan, &stays);
        let (_, beside) = text.split_once("close to 0.0203").unwrap();
        beside.to_owned()
    };
    assert_eq!(told(1.0, 0.96), "");
    let late = ". 25 % of its service's counts of the newest window come later, by the habit of \
                their agents";
    assert_eq!(told(1.0, 0.75), late);
    let missing = ". Agents that report 37.5 % of its service's traffic are missing; their traffic \
                   is assumed to go on";
    assert_eq!(told(0.625, 0.625), missing);
    assert_eq!(told(0.625, 0.375), missing.to_owned() + late);
}

#[test]
fn the_bound_has_the_unit_of_what_decided() {
    let plan = plan();
    let document = |binding| {
        let decided = operation(binding, Source::Fleet, 0.25, 0.5);
        serde_json::to_value(ReasonDocument::of(&plan, &decided)).unwrap()
    };
    let level = json!({
        "binding": "level", "source": "fleet", "bound_traces_per_second": 0.25,
        "bound_probability": null, "weight": 1.0, "level_traces_per_second": 0.25,
        "target_probability": 0.5,
        "explanation": explain(&plan, &operation(Binding::Level, Source::Fleet, 0.25, 0.5)),
    });
    assert_eq!(document(Binding::Level), level);
    for (binding, is_rate) in [
        (Binding::Floor, true),
        (Binding::Cap, false),
        (Binding::Pin, false),
        (Binding::ProbabilityOne, false),
        (Binding::RaiseLimit, false),
        (Binding::Deadband, false),
        (Binding::Hold, false),
    ] {
        let document = document(binding);
        let (rate, probability) = if is_rate {
            (json!(0.25), Value::Null)
        } else {
            (Value::Null, json!(0.25))
        };
        assert_eq!(document["bound_traces_per_second"], rate, "{binding:?}");
        assert_eq!(document["bound_probability"], probability, "{binding:?}");
    }
}
