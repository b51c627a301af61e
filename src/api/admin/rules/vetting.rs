//! What must hold for what is new or changed: all replicas can read it, and rules match something and leave others
//! their fair floor.

use super::effect::{effect, refusal};
use super::{Force, working};
use crate::api::admin::Admin;
use crate::api::admin::unknown_names::meant;
use crate::configuration::{Configuration, Matched, Rule, RuleState};
use crate::http::problem::Problem;
use crate::store::WriteFormat;

/// Checks the rules that differ from those of the newest revision. Returns the configuration as it came.
pub(in crate::api::admin) async fn vet(
    admin: &Admin,
    held: &Configuration,
    configuration: Configuration,
    force: Force,
) -> Result<Configuration, Problem> {
    let Differing { rules, aimed, pins } = Differing::between(admin, held, &configuration);
    let what = match configuration.newer_beside_rules(held) {
        _ if rules > 0 => Some("rules"),
        newer => newer,
    };
    let Some(what) = what else {
        return Ok(configuration);
    };
    if admin.store.write_format().await? == WriteFormat::Previous {
        return Err(Problem::Conflict(format!(
            "replicas of the release before cannot read {what}: finish the upgrade with \
             --write-format newest first"
        )));
    }
    if force == Force::Restore || aimed.is_empty() && (pins.is_empty() || force == Force::Yes) {
        return Ok(configuration);
    }
    let vetted = working(admin, move |admin| {
        matches_something(admin, &configuration, &aimed)?;
        if force == Force::No && !pins.is_empty() {
            leaves_enough(admin, &configuration, &pins)?;
        }
        Ok(configuration)
    });
    vetted.await?
}

/// The rules that are not like those of the newest revision.
#[derive(Default)]
struct Differing {
    rules: usize,
    /// Those that are aimed at other operations, and must match one that is known.
    aimed: Vec<String>,
    /// Those that fix a probability, and now act in another way.
    pins: Vec<String>,
}

impl Differing {
    fn between(admin: &Admin, held: &Configuration, next: &Configuration) -> Self {
        let now = admin.clock.timestamp();
        let mut differing = Self::default();
        for (id, rule) in &next.rules {
            let before = held.rules.get(id);
            if before == Some(rule) {
                continue;
            }
            differing.rules += 1;
            let like = |is: fn(&Rule, &Rule) -> bool| before.is_some_and(|held| is(held, rule));
            let was_expected = before.is_some_and(|held| held.expect.is_some());
            if rule.expect.is_none() && (was_expected || !like(Rule::means_like)) {
                differing.aimed.push(id.clone());
            }
            let comes = matches!(rule.state(now), RuleState::Active | RuleState::Waiting);
            if rule.is_pin() && comes && !like(Rule::acts_like) {
                differing.pins.push(id.clone());
            }
        }
        differing
    }
}

fn matches_something(
    admin: &Admin,
    configuration: &Configuration,
    aimed: &[String],
) -> Result<(), Problem> {
    let names = admin.dictionary.names();
    let matches = admin.matches.of(configuration, &names);
    for id in aimed {
        let Some(rule) = configuration.rules.get(id) else {
            continue;
        };
        if matches.matched(id).is_some_and(Matched::is_something) {
            continue;
        }
        let (field, meant) = meant(rule, &names);
        let meant = meant.map_or_else(String::new, |name| format!("; did you mean {name}?"));
        let end = if meant.is_empty() { "." } else { "" };
        let what = if rule.is_tagged() {
            "services"
        } else {
            "operations"
        };
        return Err(Problem::Invalid {
            field: format!("rules.{id}.{field}"),
            detail: format!(
                "matches 0 {what}{meant}{end} If they are reported later, add \"expect\": \"later\""
            ),
        });
    }
    Ok(())
}

fn leaves_enough(
    admin: &Admin,
    configuration: &Configuration,
    pins: &[String],
) -> Result<(), Problem> {
    let ids: Vec<&str> = pins.iter().map(String::as_str).collect();
    let effect = effect(admin, configuration, &ids);
    if effect.under_fair_floor == 0 {
        return Ok(());
    }
    let first = ids.first().copied().unwrap_or_default();
    Err(Problem::Invalid {
        field: format!("rules.{first}.set.probability"),
        detail: refusal(&effect),
    })
}
