//! `weir simulate`: a recorded or synthetic fleet against the engine, in virtual time.

mod exports;
mod formats;

use std::collections::HashMap;
use std::path::{Path, PathBuf};

use clap::Parser;
use weir::cli::replay::Conclusion;
use weir::cli::simulate::{SimulateArgs, simulate};

#[derive(Parser)]
struct Command {
    #[command(flatten)]
    args: SimulateArgs,
}

fn args(given: &[&str]) -> SimulateArgs {
    Command::parse_from([&["simulate"], given].concat()).args
}

/// Twelve operations of four services, from busy to rare, and where the results go.
struct Recorded(tempfile::TempDir);

impl Recorded {
    fn rows(rows: usize) -> Self {
        let recorded = Self(tempfile::tempdir().unwrap());
        let mut text = "service,operation".to_owned();
        (0..rows).for_each(|row| text.push_str(&format!(",t{row}")));
        for operation in 0..12 {
            text.push_str(&format!("\nservice {},GET /{operation}", operation % 4));
            for row in 0..rows {
                let count = (60_000 >> operation) + (row * operation) % 3;
                text.push_str(&format!(",{count}"));
            }
        }
        std::fs::write(recorded.path("traffic.csv"), text + "\n").unwrap();
        recorded
    }

    fn path(&self, name: &str) -> PathBuf {
        self.0.path().join(name)
    }

    fn args(&self, more: &[&str]) -> SimulateArgs {
        let file = self.path("traffic.csv").display().to_string();
        let chosen = more.iter().any(|flag| flag.starts_with("--budget="));
        let budget: &[&str] = if chosen { &[] } else { &["--budget=50"] };
        args(&[&["--traffic", &file], budget, more].concat())
    }

    /// Writes this text as the traffic file.
    fn file(text: &str) -> Self {
        let recorded = Self(tempfile::tempdir().unwrap());
        std::fs::write(recorded.path("traffic.csv"), text).unwrap();
        recorded
    }

    /// Runs a simulation with these flags and returns the columns of the intervals' file.
    fn played(&self, more: &[&str]) -> HashMap<String, Vec<f64>> {
        let mut args = self.args(more);
        args.csv = Some(self.path("run.csv"));
        simulate(&args).unwrap();
        columns(&self.path("run.csv"))
    }
}

/// The columns of an intervals' file.
fn columns(file: &Path) -> HashMap<String, Vec<f64>> {
    let mut reader = csv::Reader::from_path(file).unwrap();
    let names = reader.headers().unwrap().clone();
    let mut columns: HashMap<String, Vec<f64>> = HashMap::new();
    for record in reader.records() {
        for (name, cell) in names.iter().zip(&record.unwrap()) {
            let cell = cell.parse().unwrap_or(f64::NAN);
            columns.entry(name.to_owned()).or_default().push(cell);
        }
    }
    columns
}

#[test]
fn a_recorded_file_is_played_judged_drawn_and_written_down() {
    let recorded = Recorded::rows(60);
    let mut args = recorded.args(&["--start-at=t10", "--intervals=40"]);
    args.plot = Some(recorded.path("run.svg"));
    args.csv = Some(recorded.path("run.csv"));
    assert_eq!(simulate(&args).unwrap(), Conclusion::Passed);

    let columns = columns(&recorded.path("run.csv"));
    assert_eq!(columns["interval"].len(), 40);
    assert!(columns["seconds"].iter().all(|seconds| *seconds == 60.0));
    assert!(columns["offered"][0] > 119_000.0);
    let settled = &columns["sampled_traces_per_second"][5..];
    let mean = settled.iter().sum::<f64>() / settled.len() as f64;
    assert!((mean - 50.0).abs() < 0.5, "{mean}");
    let picture = std::fs::read_to_string(recorded.path("run.svg")).unwrap();
    assert!(picture.contains("<svg") && picture.contains("virtual time"));
}

#[test]
fn the_same_seed_gives_the_same_run() {
    let recorded = Recorded::rows(20);
    let run = |seed: &str, file: &str| {
        let mut args = recorded.args(&["--seed", seed]);
        args.csv = Some(recorded.path(file));
        simulate(&args).unwrap();
        std::fs::read(recorded.path(file)).unwrap()
    };
    let first = run("1", "a.csv");
    assert_eq!(first, run("1", "b.csv"));
    assert_ne!(first, run("2", "c.csv"));
}

/// Errors of a service are kept whole up to their cap, also where a storm comes that no plan has foreseen.
#[test]
fn classes_of_a_file_get_what_they_get_in_a_server() {
    let mut text = "service,operation,class".to_owned();
    (0..60).for_each(|row| text.push_str(&format!(",t{row}")));
    for (operation, class, count, storm) in [
        ("x", "error", 60, 6000),
        ("x", "rest", 60_000, 60_000),
        ("y", "tagged", 120, 120),
        ("y", "rest", 60_000, 60_000),
        ("z", "", 60_000, 60_000),
    ] {
        text.push_str(&format!("\nshop-{operation},GET /{operation},{class}"));
        (0..60).for_each(|row| {
            let count = if row >= 40 { storm } else { count };
            text.push_str(&format!(",{count}"));
        });
    }
    let recorded = Recorded::file(&(text + "\n"));
    let columns = recorded.played(&[]);
    let sampled = &columns["sampled_traces_per_second"];
    // The budget is 50, so errors of a service may have 2.5: a storm of 100 a second takes no more.
    assert!(
        sampled[20..].iter().all(|rate| (45.0..55.0).contains(rate)),
        "{sampled:?}"
    );

    let output = std::process::Command::new(env!("CARGO_BIN_EXE_weir"))
        .args(["simulate", "--budget=50", "--output=json", "--traffic"])
        .arg(recorded.path("traffic.csv"))
        .output()
        .unwrap();
    let told: serde_json::Value = serde_json::from_slice(&output.stdout).unwrap();
    let of = |class: serde_json::Value, figure: &str| -> f64 {
        let mut classes = told["classes"].as_array().unwrap().iter();
        let found = classes.find(|of| of["class"] == class).unwrap();
        match &found[figure] {
            serde_json::Value::Array(each) => each[0].as_f64().unwrap(),
            figure => figure.as_f64().unwrap(),
        }
    };
    let kept = |class: &str| of(class.into(), "sampled_traces_per_second");
    assert!(
        kept("tagged") > 0.99 * of("tagged".into(), "offered_per_second"),
        "{told}"
    );
    assert!((1.0..=2.6).contains(&kept("error")), "{told}");
    assert!(kept("rest") > 10.0 && of(serde_json::Value::Null, "offered_per_second") > 900.0);
}

#[test]
fn a_replay_of_classes_is_refused_with_the_way_out() {
    let recorded = Recorded::file("service,operation,class,t0\na,x,error,1\n");
    let output = std::process::Command::new(env!("CARGO_BIN_EXE_weir"))
        .args(["replay", "--budget=50", "--interval=60s", "--traffic"])
        .arg(recorded.path("traffic.csv"))
        .output()
        .unwrap();
    let said = String::from_utf8(output.stderr).unwrap();
    assert!(
        !output.status.success() && said.contains("use weir simulate"),
        "{said}"
    );
}

#[test]
fn too_short_a_run_has_no_verdict() {
    let conclusion = simulate(&Recorded::rows(4).args(&[])).unwrap();
    assert_eq!(conclusion, Conclusion::Undecided);
}

#[test]
fn a_file_that_is_no_traffic_is_named_with_line_and_column() {
    let recorded = Recorded::rows(1);
    let text = "service,operation,t0,t1\na,x,1,2\na,y,3,many\n";
    std::fs::write(recorded.path("traffic.csv"), text).unwrap();
    let error = simulate(&recorded.args(&[])).unwrap_err().to_string();
    assert!(error.contains("traffic.csv:3:4"), "{error}");
    assert!(error.contains("many"), "{error}");
    std::fs::write(
        recorded.path("traffic.csv"),
        "service,operation,class,t0\na,x,bad,1\n",
    )
    .unwrap();
    let error = simulate(&recorded.args(&[])).unwrap_err().to_string();
    assert!(
        error.contains("traffic.csv:2:3") && error.contains("slow, tagged or rest"),
        "{error}"
    );
}

#[test]
fn flags_that_make_no_sense_are_refused() {
    let recorded = Recorded::rows(1);
    let refused = |flags: &[&str]| {
        let given = [&["simulate", "--synthetic=steady"], flags].concat();
        let parsed = Command::try_parse_from(given);
        parsed.map(|_| ()).unwrap_err().to_string()
    };
    for (flag, value, range) in [
        ("--agents", "0", "must be between 1 and 10000"),
        ("--intervals", "0", "must be between 1 and 2000000"),
        ("--time-scale", "NaN", "must be between 0.001 and 1000"),
        ("--interval", "2h", "must be between 100ms and 1h"),
        ("--poll-interval", "1ms", "must be between 10ms and 1h"),
        ("--report-interval", "2h", "must be between 10ms and 1h"),
        ("--row-seconds", "0", "must be between 0.001 and 604800"),
        ("--row-seconds", "NaN", "must be between 0.001 and 604800"),
        ("--budget", "NaN", "must be a number above 0"),
        ("--budget", "50,-1", "must be a number above 0"),
    ] {
        let budget: &[&str] = if flag == "--budget" {
            &[]
        } else {
            &["--budget=50"]
        };
        let given = format!("{flag}={value}");
        let said = refused(&[budget, &[given.as_str()]].concat());
        assert!(said.contains(flag) && said.contains(range), "{said}");
    }
    // Flags that contradict another flag or do not fit the traffic are refused.
    for (flag, value) in [("--grace", "11m"), ("--start-at", "t9")] {
        let error = simulate(&recorded.args(&[flag, value])).unwrap_err();
        assert!(error.to_string().starts_with(flag), "{error}");
    }
    let budgets = format!("--budget={}", ["50"; 21].join(","));
    let error = simulate(&recorded.args(&[&budgets])).unwrap_err();
    assert!(error.to_string().starts_with("--budget"), "{error}");
    for missing in [
        &["--budget=50"] as &[&str],
        &["--synthetic=steady"],
        &["--synthetic=steady", "--budget=5", "--lose=4"],
        &["--synthetic=steady", "--budget=5", "--burst=x@1:1"],
        &["--synthetic=steady", "--budget=5", "--rename=2@1"],
        &["--synthetic=steady", "--budget=5", "--restart=1"],
        &["--synthetic=steady", "--budget=5", "--late=soon"],
        &["--synthetic=steady", "--budget=5", "--late=90s-30s"],
        &["--synthetic=steady", "--budget=5", "--late=0:30s"],
        &["--synthetic=steady", "--budget=5", "--busy=0"],
        &["--synthetic=steady", "--budget=5", "--end=4@61:gone"],
        &["--synthetic=steady", "--budget=5", "--claim=1"],
        &["--synthetic=steady", "--budget=5", "--mint=10"],
        &["--synthetic=steady", "--budget=5", "--fade=61:10"],
        &["--synthetic=steady", "--budget=5", "--change-budget=0@1"],
    ] {
        assert!(Command::try_parse_from([&["simulate"], missing].concat()).is_err());
    }
}

#[test]
fn a_made_up_scenario_needs_no_file() {
    let directory = tempfile::tempdir().unwrap();
    let mut args = args(&["--synthetic=loss", "--budget=500", "--intervals=70"]);
    args.csv = Some(directory.path().join("run.csv"));
    assert_ne!(simulate(&args).unwrap(), Conclusion::Undecided);
    let errors = &columns(&directory.path().join("run.csv"))["error"];
    // From interval 61 on half the agents are silent.
    assert!(
        errors[60..].iter().all(|error| error.abs() < 0.2),
        "{errors:?}"
    );
}

#[test]
fn several_budgets_are_played_drawn_and_written_together() {
    let recorded = Recorded::rows(40);
    let mut args = recorded.args(&["--budget=50,100", "--budget=200"]);
    args.plot = Some(recorded.path("run.svg"));
    args.csv = Some(recorded.path("run.csv"));
    assert_eq!(simulate(&args).unwrap(), Conclusion::Passed);
    let columns = columns(&recorded.path("run.csv"));
    let kept = |budget: f64| {
        let all = columns["budget_traces_per_second"]
            .iter()
            .zip(&columns["sampled_traces_per_second"]);
        let of: Vec<f64> = all
            .filter(|(of, _)| **of == budget)
            .map(|(_, kept)| *kept)
            .collect();
        assert_eq!(of.len(), 40);
        of[5..].iter().sum::<f64>() / 35.0
    };
    for budget in [50.0, 100.0, 200.0] {
        assert!(
            (kept(budget) / budget - 1.0).abs() < 0.03,
            "{budget}: {}",
            kept(budget)
        );
    }
    let picture = std::fs::read_to_string(recorded.path("run.svg")).unwrap();
    assert!(picture.contains("sampled at 50") && picture.contains("sampled at 200"));
}

#[test]
fn a_burst_multiplies_what_is_offered() {
    let columns = Recorded::rows(30).played(&["--burst=5@11:2"]);
    let offered = &columns["offered"];
    assert!((offered[10] / offered[9] - 5.0).abs() < 0.01, "{offered:?}");
    assert!(
        (offered[11] / offered[12] - 5.0).abs() < 0.01,
        "{offered:?}"
    );
    // The first interval after the change cannot be foreseen.
    assert!(columns["error"][10] > 2.0, "{:?}", columns["error"]);
    assert!(columns["error"][17].abs() < 0.1, "{:?}", columns["error"]);
}

#[test]
fn lost_reports_raise_nothing_and_are_nothing_to_the_traffic() {
    let recorded = Recorded::rows(40);
    let calm = recorded.played(&[]);
    let lost = recorded.played(&["--lose=4:21:5"]);
    assert_eq!(calm["offered"], lost["offered"]);
    assert_ne!(calm["sampled"], lost["sampled"]);
    let errors = &lost["error"][20..];
    assert!(errors.iter().all(|error| *error < 0.15), "{errors:?}");
    // Without any reports the plan stays in force.
    let deaf = recorded.played(&["--lose=8:21:5"]);
    assert!(deaf["error"][20..].iter().all(|error| error.abs() < 0.15));
}

#[test]
fn agents_that_start_anew_cost_no_budget() {
    let recorded = Recorded::rows(40);
    let calm = recorded.played(&[]);
    let anew = recorded.played(&["--restart=8@21"]);
    assert_ne!(calm["sampled"][21..], anew["sampled"][21..]);
    let errors = &anew["error"][20..];
    assert!(errors.iter().all(|error| error.abs() < 0.2), "{errors:?}");
}

/// The mean error of some intervals.
fn mean(errors: &[f64]) -> f64 {
    errors.iter().sum::<f64>() / errors.len() as f64
}

#[test]
fn late_idle_and_short_lived_agents_cost_no_budget() {
    let recorded = Recorded::rows(40);
    let calm = recorded.played(&[]);
    for agents in [
        &["--late=75s"] as &[&str],
        &["--late=2:30s", "--late=4:0s-180s"],
        &["--report-interval=60s", "--late=30s"],
        &["--own-services", "--late=1:75s"],
        &["--live-for=1"],
    ] {
        let played = recorded.played(agents);
        assert_eq!(calm["offered"], played["offered"], "{agents:?}");
        assert_ne!(calm["sampled"], played["sampled"], "{agents:?}");
        let error = mean(&played["error"][10..]);
        assert!(error.abs() < 0.05, "{agents:?}: {error}");
    }
}

#[test]
fn agents_may_queue_end_and_claim() {
    let recorded = Recorded::rows(50);
    let calm = recorded.played(&[]);
    for faults in [
        "--queue=4:21:10",
        "--end=4@21:last:moved",
        "--claim=1000000000000@21:5",
    ] {
        let played = recorded.played(&[faults]);
        assert_eq!(calm["offered"], played["offered"], "{faults}");
        let error = mean(&played["error"][40..]);
        assert!(error.abs() < 0.05, "{faults}: {error}");
    }
    let queued = recorded.played(&["--queue=4:21:10"]);
    assert_ne!(calm["sampled"], queued["sampled"]);
    let ended = recorded.played(&["--end=4@21:last"]);
    let part = ended["offered"][30] / calm["offered"][30];
    assert!((part - 0.5).abs() < 0.01, "{part}");
    assert!(mean(&ended["error"][40..]).abs() < 0.05);
}

#[test]
fn traffic_may_fade_and_names_be_used_once() {
    let recorded = Recorded::rows(50);
    let calm = recorded.played(&[]);
    let faded = recorded.played(&["--fade=11:3:2:service 1"]);
    let part = |interval: usize| faded["offered"][interval] / calm["offered"][interval];
    assert_eq!(part(9), 1.0);
    assert!(part(10) < 0.95 && part(14) < part(10), "{}", part(14));
    assert_eq!(part(15), 1.0);
    let minted = recorded.played(&["--mint=10@0.01:11:20"]);
    let more = minted["offered"][15] / calm["offered"][15];
    assert!((more - 1.01).abs() < 0.001, "{more}");
    assert_eq!(minted["offered"][30], calm["offered"][30]);
    assert!(mean(&minted["error"][15..]).abs() < 0.05);
}

#[test]
fn a_changed_budget_is_what_errors_are_measured_by() {
    let recorded = Recorded::rows(50);
    let changed = recorded.played(&["--change-budget=10@21"]);
    let budgets = &changed["budget_traces_per_second"];
    assert_eq!((budgets[20], budgets[21]), (50.0, 500.0));
    // SDKs poll for an interval until all of them have the plan.
    assert!(mean(&changed["error"][24..]).abs() < 0.05);
    let kept = mean(&changed["sampled_traces_per_second"][24..]);
    assert!((kept / 500.0 - 1.0).abs() < 0.05, "{kept}");
}

#[test]
fn renamed_operations_are_told_the_default_until_the_next_plan() {
    let recorded = Recorded::rows(40);
    let calm = recorded.played(&[]);
    let renamed = recorded.played(&["--rename=0.5@21"]);
    assert_eq!(calm["offered"], renamed["offered"]);
    assert_eq!(calm["sampled"][..20], renamed["sampled"][..20]);
    assert_ne!(calm["sampled"][20..], renamed["sampled"][20..]);
    assert!(renamed["error"][30..].iter().all(|error| error.abs() < 0.2));
}

#[test]
fn sdks_that_poll_late_apply_old_plans() {
    let columns = Recorded::rows(40).played(&["--poll-interval=5m", "--burst=3@21:20"]);
    let errors = &columns["error"];
    // Five intervals go by until the last has polled.
    assert!(errors[22] > 0.5 && errors[24] > 0.05, "{errors:?}");
    assert!(
        errors[28..].iter().all(|error| error.abs() < 0.1),
        "{errors:?}"
    );
}

#[test]
fn a_coverage_floor_lifts_the_rare_and_takes_it_from_the_rest() {
    let mut text = "service,operation".to_owned();
    (0..60).for_each(|row| text.push_str(&format!(",t{row}")));
    for operation in 0..100 {
        text.push_str(&format!("\na,GET /{operation}"));
        let count = if operation < 50 { 6000 } else { 60 };
        (0..60).for_each(|_| text.push_str(&format!(",{count}")));
    }
    let recorded = Recorded::file(&text);
    let kept = |more: &[&str]| {
        let kept = &recorded.played(&[&["--budget=2"], more].concat())["sampled"];
        kept[20..].iter().sum::<f64>() / 40.0 / 60.0
    };
    // 100 operations at 0.01 traces/s each need half of the budget of 2; at 0.1 each, five times
    // the budget.
    assert!((kept(&["--coverage=0.95@5m"]) - 2.0).abs() < 0.1);
    assert!(
        (kept(&["--coverage=0.95@30s"]) - 2.0).abs() < 0.1,
        "floors never overspend"
    );
    let error = Command::try_parse_from([
        "simulate",
        "--synthetic=steady",
        "--budget=5",
        "--coverage=1@5m",
    ]);
    assert!(error.is_err());
}
