//! The rules for Prometheus. Each alert fires in a real Prometheus when its fault happens to a real
//! Weir, and clears when the fault is gone. promtool plays the ones that take too long or are rare.

mod database;
mod fleet;
mod own;
mod process;
mod rules;
mod traffic;
mod world;

use std::collections::BTreeSet;
use std::path::Path;
use std::process::Command;
use std::sync::Arc;

use tokio::task::JoinSet;

use world::World;

/// The alerts whose faults are caused by the tests of this module.
const WITH_A_FAULT: [&str; 38] = [
    "WeirBudgetMissed",
    "WeirProbabilitiesNotApplied",
    "WeirEmergency",
    "WeirFloorsInfeasible",
    "WeirGroupFloorsInfeasible",
    "WeirAgentsMissing",
    "WeirAgentsReleased",
    "WeirAgentsLate",
    "WeirClaimsHeldApart",
    "WeirNamesMinted",
    "WeirStrategyNotApplied",
    "WeirTailWaiting",
    "WeirOverflow",
    "WeirDown",
    "WeirNoLeader",
    "WeirPlanStale",
    "WeirPlanUnreadable",
    "WeirJobFailing",
    "WeirJobStuck",
    "WeirLeaseGivenUp",
    "WeirTaskEnded",
    "WeirClockOffset",
    "WeirClockStepped",
    "WeirMemoryHigh",
    "WeirCertificateEnds",
    "WeirTlsFilesRefused",
    "WeirTokensRefused",
    "WeirOidcKeysUnread",
    "WeirIngestFailing",
    "WeirReportsRejected",
    "WeirReportEntriesIgnored",
    "WeirConnectionsExhausted",
    "WeirDatabaseUnavailable",
    "WeirDatabaseUnsound",
    "WeirDatabaseSlow",
    "WeirDatabaseCorrupt",
    "WeirDatabaseWentBack",
    "WeirDiskFull",
];

const RUNBOOKS: &str = include_str!("../../docs/operations.md");

/// Runs faults at the same time, each on its own Weir: most of the time they wait.
macro_rules! at_once {
    ($($fault:path),+ $(,)?) => {{
        let world = Arc::new(World::start().await);
        let mut faults = JoinSet::new();
        $( faults.spawn($fault(Arc::clone(&world))); )+
        while let Some(ended) = faults.join_next().await {
            ended.unwrap();
        }
        world.assert_sound().await;
    }};
}

#[tokio::test(flavor = "multi_thread")]
async fn alerts_about_the_fleet_fire_and_clear() {
    at_once!(
        fleet::disobedience,
        fleet::greedy_floors,
        fleet::greedy_floors_in_a_group,
        fleet::silence,
        fleet::silence_of_agents_and_sdks,
        fleet::late_agents,
        fleet::wild_claims,
        fleet::minted_names,
        fleet::strategy_not_applied,
        fleet::emergency,
        fleet::tail_without_an_edge,
        fleet::too_many_names,
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn alerts_about_the_database_fire_and_clear() {
    at_once!(
        database::outage,
        database::slowness,
        database::corruption,
        database::lost_key,
        database::step_back,
        database::unreadable_configuration,
        database::unreadable_plan,
        database::lock,
        database::full_disk,
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn alerts_about_a_process_fire_and_clear() {
    at_once!(
        process::frozen,
        process::wrong_clock,
        process::huge_bodies,
        process::hostile_reports,
        process::absurd_counts,
        process::idle_connections,
        process::panics,
        process::certificates,
        process::revoked_token,
        process::provider_away,
    );
}

/// Runs promtool in the rules' folder. Fails with its output.
fn promtool(arguments: &[&str]) {
    let said = Command::new("promtool")
        .args(arguments)
        .current_dir(rules::folder())
        .output()
        .expect("promtool is installed: `make setup` does it");
    let text = [said.stdout, said.stderr].concat();
    assert!(said.status.success(), "{}", String::from_utf8_lossy(&text));
}

/// The files with promtool's tests, from the rules' folder.
fn played() -> Vec<String> {
    let folder = std::fs::read_dir(rules::folder().join("tests")).unwrap();
    let mut files: Vec<String> = folder
        .map(|entry| format!("tests/{}", entry.unwrap().file_name().to_str().unwrap()))
        .collect();
    files.sort();
    files
}

#[test]
fn promtool_takes_the_configuration_and_the_rules() {
    promtool(&["check", "config", "prometheus.yml"]);
    let rules = ["recording.rules.yaml", "alerts.rules.yaml"];
    promtool(&[&["check", "rules", "--lint-fatal"], &rules[..]].concat());
}

#[test]
fn alerts_fire_and_stay_silent_when_promtool_plays_their_stories() {
    let files = played();
    let mut arguments = vec!["test", "rules"];
    arguments.extend(files.iter().map(String::as_str));
    promtool(&arguments);
}

/// The alerts that promtool's tests expect to fire, or to stay silent.
fn expected(firing: bool) -> BTreeSet<String> {
    let mut names = BTreeSet::new();
    for file in played() {
        let stories = rules::document(Path::new(&file));
        for story in stories["tests"].as_array().unwrap() {
            for look in story["alert_rule_test"].as_array().into_iter().flatten() {
                let alerts = look["exp_alerts"].as_array();
                if alerts.is_some_and(|alerts| !alerts.is_empty()) == firing {
                    names.insert(look["alertname"].as_str().unwrap().to_owned());
                }
            }
        }
    }
    names
}

#[test]
fn every_alert_is_played_firing_and_silent_and_has_a_fault() {
    let alerts = rules::names();
    assert_eq!(expected(true), alerts);
    assert_eq!(expected(false), alerts);
    let with_a_fault: BTreeSet<String> = WITH_A_FAULT.map(String::from).into();
    assert_eq!(with_a_fault, alerts);
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/it/alerts");
    let modules = ["fleet.rs", "database.rs", "process.rs"];
    let faults: String = modules
        .map(|file| std::fs::read_to_string(folder.join(file)).unwrap())
        .concat();
    for alert in alerts {
        assert!(faults.contains(&format!("\"{alert}\"")), "{alert}");
    }
}

#[test]
fn every_alert_says_how_bad_it_is_and_where_to_read_on() {
    for alert in rules::alerts() {
        let name = alert["alert"].as_str().unwrap();
        let severity = alert["labels"]["severity"].as_str();
        assert!(matches!(severity, Some("page" | "warn")), "{name}");
        let annotations = &alert["annotations"];
        for text in ["summary", "description"] {
            assert!(annotations[text].is_string(), "{name} has a {text}");
        }
        let anchor = format!("docs/operations.md#{}", name.to_lowercase());
        assert_eq!(annotations["runbook_url"], anchor, "{name}");
        let section = format!("\n### {name}\n");
        assert_eq!(RUNBOOKS.matches(&section).count(), 1, "{name}'s section");
    }
    let sections = RUNBOOKS.lines().filter(|line| line.starts_with("### Weir"));
    assert_eq!(sections.count(), rules::names().len(), "one for each");
}
