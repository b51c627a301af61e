//! Invalid values from outside: they are refused with their place, or lead to a valid plan.

mod parameters;

use std::io::Write;
use std::time::Duration;

use chrono::DateTime;
use proptest::prelude::*;
use serde_json::Value;
use weir::allocation::solve::{Entry, solve};
use weir::allocation::{
    AgentCount, AgentId, AgentReport, Inputs, OperationCount, OperationId, Plan, ServiceId,
    Timestamp, Window, WindowCounts, next_plan,
};
use weir::api::reports::parse;
use weir::configuration::Configuration;
use weir::http::problem::Problem;
use weir::ingest::{Report, ReportBuilder, ReportLimits};
use weir::names::Names;
use weir::simulate::recording::read_traffic;
use weir::store::ConfigurationRevision;

const LIMITS: ReportLimits = ReportLimits {
    bucket: Duration::from_secs(60),
    age: Duration::from_secs(3600),
};

fn read(body: &[u8]) -> Result<Report<'_>, Problem> {
    let now = "2026-11-20T09:00:10Z".parse().unwrap();
    parse(body, |head| ReportBuilder::new(head, LIMITS, now))
}

/// A number, or something else in its place.
fn written() -> impl Strategy<Value = String> {
    const ODD: &[&str] = &[
        "NaN",
        "Infinity",
        "-Infinity",
        "nan",
        "inf",
        "1e400",
        "-1e400",
        "1e-400",
        "-0",
        "-0.0",
        "-1",
        "1.5",
        "0",
        "1",
        "null",
        "true",
        "\"\"",
        "\"1\"",
        "[]",
        "{}",
        "0x10",
        "+1",
        "1_000",
        "",
        "18446744073709551615",
        "18446744073709551616",
        "9223372036854775808",
        "1e18",
        "1e308",
        "4.9e-324",
        "99999999999999999999999999999999999999",
        "٣",
        "½",
    ];
    prop_oneof![
        3 => prop::sample::select(ODD).prop_map(str::to_owned),
        1 => any::<f64>().prop_map(|number| number.to_string()),
        1 => any::<i64>().prop_map(|number| number.to_string()),
        1 => "[ -~]{0,12}",
    ]
}

/// A report in which one number or instant is replaced.
fn report(field: usize, value: &str) -> String {
    let sound = ["42", "\"2026-11-20T09:00:00Z\"", "10", "3", "1200", "12"];
    let at = |place: usize| if place == field { value } else { sound[place] };
    format!(
        r#"{{"agent":"a","epoch":"0f4e2c70-31f0-4a4e-9d40-4a8ff7b9a001","sequence":{},
        "window_start":{},"window_seconds":{},"services":[{{"service":"s","instances":{},
        "operations":[{{"operation":"o","offered":{},"sampled":{}}}]}}]}}"#,
        at(0),
        at(1),
        at(2),
        at(3),
        at(4),
        at(5),
    )
}

fn revision(document: String) -> ConfigurationRevision {
    ConfigurationRevision {
        revision: 1,
        document,
        written_at: DateTime::UNIX_EPOCH,
        written_by: None,
    }
}

fn document(field: usize, value: &str) -> String {
    let sound = ["10", "0.95", "300", "0.001", "0.05", "0"];
    let at = |place: usize| if place == field { value } else { sound[place] };
    format!(
        r#"{{"budget":{{"traces_per_second":{}}},"coverage":{{"probability":{},"within_seconds":{}}},
        "initial_probability":{},"unseen_reserve_max":{},"weight_exponent":{}}}"#,
        at(0),
        at(1),
        at(2),
        at(3),
        at(4),
        at(5),
    )
}

fn window(operations: Vec<OperationCount>) -> WindowCounts {
    let window = Window {
        start: Timestamp(0),
        end: Timestamp(60_000),
    };
    WindowCounts {
        window,
        operations,
        reports: vec![AgentReport {
            agent: AgentId(1),
            epoch: 1,
            sequence: 1,
            span: window,
            last: false,
            basis: Default::default(),
        }],
        agents: vec![AgentCount {
            agent: AgentId(1),
            service: Some(ServiceId(1)),
            offered: 1,
            sampled: 0,
        }],
        ..WindowCounts::default()
    }
}

fn count(operation: u32, offered: u64) -> OperationCount {
    OperationCount {
        operation: OperationId(operation),
        service: ServiceId(1),
        overflow: false,
        offered,
        sampled: 0,
    }
}

/// Every probability a plan serves.
fn probabilities(plan: &Plan) -> impl Iterator<Item = f64> {
    let listed = plan.operations.iter().map(|plan| plan.probability);
    let defaults = plan.services.iter().map(|plan| plan.default_probability);
    listed
        .chain(defaults)
        .chain([plan.fleet.default_probability])
}

proptest! {
    #[test]
    fn a_report_is_taken_within_its_limits_or_its_wrong_field_is_named(
        field in 0..6usize, value in written(),
    ) {
        let body = report(field, &value);
        match read(body.as_bytes()) {
            Ok(report) => {
                let operations: Vec<_> = report.operations().collect();
                prop_assert!(operations.len() + report.amendments.ignored.total() as usize == 1);
                for operation in operations {
                    prop_assert!(operation.sampled <= operation.offered);
                    prop_assert!(operation.offered <= ReportLimits::COUNT);
                }
                prop_assert!((0.001..=300.0).contains(&report.window.seconds()));
                prop_assert!(i64::try_from(report.sequence).is_ok());
            }
            Err(Problem::Malformed { detail, .. }) => {
                prop_assert!(serde_json::from_str::<Value>(&body).is_err(), "{detail}");
            }
            Err(Problem::Invalid { field: named, .. }) => {
                let head = ["sequence", "window_start", "window_seconds"];
                // A window that is valid by its length may still end in the future.
                let longer = field == 2 && named == "window_start";
                // A value that is not JSON by itself may add a field, and that one is named.
                let alone = serde_json::from_str::<Value>(&value).is_ok();
                prop_assert!(
                    head.get(field) == Some(&&*named) || longer || !alone,
                    "{value}: {named}"
                );
            }
            Err(other) => return Err(TestCaseError::fail(other.to_string())),
        }
    }

    #[test]
    fn a_configuration_is_refused_or_gives_a_plan(field in 0..6usize, value in written()) {
        let read = Configuration::read(&revision(document(field, &value)));
        if let Ok(configuration) = read {
            let policy = configuration.policy(1, &Names::default(), Timestamp::default());
            let counted = [window(vec![count(1, 60_000), count(2, 1)])];
            let plan = next_plan(&Plan::genesis(&policy), &policy, Inputs::new(1, &counted));
            prop_assert!(probabilities(&plan).all(|p| (0.0..=1.0).contains(&p)));
            prop_assert!(plan.fleet.expected_sampled <= policy.budget * (1.0 + 1e-9));
        }
    }

    #[test]
    fn a_traffic_file_is_read_or_its_wrong_cell_is_named(value in written(), row in 0..3usize) {
        let value = value.replace([',', '"', '\n', '\r'], "");
        let rows: Vec<String> = (0..3)
            .map(|line| format!("s,o{line},1,{}", if line == row { &value } else { "7" }))
            .collect();
        let mut file = tempfile::NamedTempFile::new().unwrap();
        write!(file, "service,operation,t0,t1\n{}\n", rows.join("\n")).unwrap();
        let sound = value.trim().parse::<u64>().is_ok_and(|count| count <= 1_000_000_000);
        match read_traffic(file.path()) {
            Ok(traffic) => prop_assert_eq!(traffic.labels().len(), 2),
            Err(error) => {
                let place = format!(":{}:4:", row + 2);
                prop_assert!(!sound && error.to_string().contains(&place), "{value:?}: {error}");
            }
        }
    }

    #[test]
    fn a_damaged_export_is_read_or_refused(
        export in 0..4usize,
        cuts in prop::collection::vec((any::<prop::sample::Index>(), 0..4usize, written()), 1..4),
    ) {
        let mut bytes = [
            "Time;\"{service_name=\"\"a\"\", span_name=\"\"b\"\"}\";c\n2021-03-01 11:00:00+01;1,5;NaN\n",
            "sep=,\n\"Series\",\"Time\",\"Value\"\n\"{job=\"\"a\"\",route=\"\"/\"\"}\",1614596400.5,\"3,000\"\n",
            "ts,ServiceName,SpanName,calls_total\nMar 1, 2021 @ 11:00:00.000 UTC,a,b,1e3\n",
            r#"{"data":{"resultType":"matrix","result":[{"metric":{"job":"a"},"values":[[1614596400,"1"]]}]}}"#,
        ][export].as_bytes().to_vec();
        for (place, length, text) in cuts {
            let from = place.index(bytes.len() + 1);
            let to = (from + length).min(bytes.len());
            bytes.splice(from..to, text.into_bytes());
        }
        let mut file = tempfile::NamedTempFile::new().unwrap();
        file.write_all(&bytes).unwrap();
        if let Ok(traffic) = read_traffic(file.path()) {
            prop_assert!(traffic.rows() > 0 && !traffic.operations().is_empty());
        }
    }

    #[test]
    fn bytes_of_any_kind_are_no_traffic_file(bytes in prop::collection::vec(any::<u8>(), 0..200)) {
        let mut file = tempfile::NamedTempFile::new().unwrap();
        file.write_all(&bytes).unwrap();
        prop_assert!(read_traffic(file.path()).is_err());
        prop_assert!(read(&bytes).is_err());
    }
}

#[test]
fn a_million_times_one_name_is_one_operation() {
    let policy = Configuration::default().policy(1, &Names::default(), Timestamp::default());
    let counted = [window(vec![count(7, 60); 1_000_000])];
    let plan = next_plan(&Plan::genesis(&policy), &policy, Inputs::new(1, &counted));
    let [operation] = plan.operations[..] else {
        panic!("{} operations", plan.operations.len());
    };
    assert_eq!(operation.window_offered, 60_000_000);
    assert_eq!(operation.share, Configuration::INITIAL_BUDGET);
}

#[test]
fn the_largest_counts_there_are_add_up_to_a_plan() {
    let policy = Configuration::default().policy(1, &Names::default(), Timestamp::default());
    let counted = [window(vec![count(7, u64::MAX); 1000])];
    let plan = next_plan(&Plan::genesis(&policy), &policy, Inputs::new(1, &counted));
    assert!(probabilities(&plan).all(|p| (0.0..1e-10).contains(&p)));
}

#[test]
fn nobody_and_a_million_alike_are_shared_among() {
    let nobody = solve(&[], 10.0);
    assert_eq!((nobody.level, nobody.missing), (f64::INFINITY, 0.0));
    assert!(nobody.shares.is_empty());
    let alike = Entry {
        demand: 1.0,
        ..Entry::default()
    };
    let solution = solve(&vec![alike; 1_000_000], 10.0);
    assert!(solution.shares.iter().all(|share| *share == 1e-5));
    let alone = solve(&[alike], 10.0);
    assert_eq!(alone.shares, [1.0]);
}
