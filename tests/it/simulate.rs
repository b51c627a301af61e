//! `weir simulate`: a recorded or made-up fleet against the engine, in virtual time.

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

    /// A file of whatever kind.
    fn file(text: &str) -> Self {
        let recorded = Self(tempfile::tempdir().unwrap());
        std::fs::write(recorded.path("traffic.csv"), text).unwrap();
        recorded
    }

    /// Plays with these flags and returns the intervals' columns.
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
    let settled = &columns["kept_traces_per_second"][5..];
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
}

#[test]
fn flags_that_make_no_sense_are_refused() {
    let recorded = Recorded::rows(1);
    for (flag, value) in [
        ("--agents", "0"),
        ("--intervals", "0"),
        ("--time-scale", "NaN"),
        ("--interval", "2h"),
        ("--grace", "11m"),
        ("--poll-interval", "1ms"),
        ("--report-interval", "2h"),
        ("--start-at", "t9"),
        ("--row-seconds", "0"),
        ("--row-seconds", "NaN"),
    ] {
        let error = simulate(&recorded.args(&[flag, value])).unwrap_err();
        assert!(error.to_string().starts_with(flag), "{error}");
    }
    for budget in ["--budget=NaN", "--budget=50,-1"] {
        let error = simulate(&recorded.args(&[budget])).unwrap_err();
        assert!(error.to_string().starts_with("--budget"), "{error}");
    }
    for missing in [
        &["--budget=50"] as &[&str],
        &["--synthetic=steady"],
        &["--synthetic=steady", "--budget=5", "--lose=4"],
        &["--synthetic=steady", "--budget=5", "--burst=x@1:1"],
        &["--synthetic=steady", "--budget=5", "--rename=2@1"],
        &["--synthetic=steady", "--budget=5", "--restart=1"],
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

/// Ten minutes of two operations in every format; 100 and 7 requests a minute.
fn formats() -> Vec<(&'static str, String)> {
    let minute = |minute: usize| format!("2024-05-01 23:{:02}", 50 + minute);
    let cells = |count: usize| vec![count.to_string(); 10].join(",");
    let numbers: Vec<String> = (1..=10).map(|minute| minute.to_string()).collect();
    let times: Vec<String> = (0..10).map(minute).collect();
    let azure = format!(
        "HashOwner,HashApp,HashFunction,Trigger,{}\no,a,f,http,{}\no,a,g,timer,{}\n",
        numbers.join(","),
        cells(100),
        cells(7)
    );
    let own = format!(
        "service,operation,{}\na,f,{}\na,g,{}\n",
        times.join(","),
        cells(100),
        cells(7)
    );
    let mut list = "timestamp,service,operation,count\n".to_owned();
    let mut table = "timestamp,f,g\n".to_owned();
    let mut series = "minute_gmt,requests\n".to_owned();
    let mut seconds = "second,requests\n".to_owned();
    for (number, time) in times.iter().enumerate() {
        list.push_str(&format!("{time},a,f,100\n{time},a,g,7\n"));
        table.push_str(&format!("{time}:00,100,7\n"));
        series.push_str(&format!("{time}:00,107\n"));
        // Two seconds of the minute, and the very last, so that the span is whole.
        let last = if number == 9 { 59 } else { 41 };
        seconds.push_str(&format!("{time}:00,100\n{time}:{last},7\n"));
    }
    vec![
        ("azure", azure),
        ("own", own),
        ("list", list),
        ("table", table),
        ("series", series),
        ("seconds", seconds),
    ]
}

#[test]
fn every_format_plays_the_same_traffic() {
    for (format, text) in formats() {
        let recorded = Recorded::file(&text);
        let columns = recorded.played(&[]);
        assert_eq!(columns["offered"], vec![107.0; 10], "{format}");
        // Twice the pace, half the intervals; half the interval, twice as many.
        let fast = recorded.played(&["--time-scale=2"]);
        assert_eq!(fast["offered"], vec![214.0; 5], "{format}");
        let fine = recorded.played(&["--interval=30s"]);
        assert_eq!(fine["offered"].len(), 20, "{format}");
        assert_eq!(fine["offered"].iter().sum::<f64>(), 1070.0, "{format}");
    }
}

#[test]
fn a_long_row_is_spread_over_its_intervals_in_whole_requests() {
    let text = "timestamp,a,b\n2015-02-26 21:42:53,104,3\n2015-02-26 21:47:53,99,0\n";
    let offered = &Recorded::file(text).played(&[])["offered"];
    assert_eq!(offered.len(), 10);
    assert_eq!(offered[..5].iter().sum::<f64>(), 107.0);
    assert_eq!(offered[5..].iter().sum::<f64>(), 99.0);
    assert!(
        offered
            .iter()
            .all(|count| count.fract() == 0.0 && *count > 18.0),
        "{offered:?}"
    );
}

#[test]
fn rows_without_times_last_as_long_as_asked() {
    let recorded = Recorded::file("service,operation,t0,t1\na,x,60,120\n");
    assert_eq!(recorded.played(&[])["offered"], [60.0, 120.0]);
    let spread = recorded.played(&["--row-seconds=120"]);
    assert_eq!(spread["offered"], [30.0, 30.0, 60.0, 60.0]);
}

#[test]
fn a_missing_minute_is_left_out_or_played_as_silence() {
    let recorded = Recorded::file("service,operation,10:00,10:01,10:03\na,x,5,6,7\n");
    assert_eq!(recorded.played(&[])["offered"], [5.0, 6.0, 7.0]);
    let silent = recorded.played(&["--gaps=zero"]);
    assert_eq!(silent["offered"], [5.0, 6.0, 0.0, 7.0]);
}

#[test]
fn hostile_files_are_refused_with_the_place() {
    let name = "n".repeat(5000);
    for (text, place) in [
        ("\0\0\0\0\n", ":1:1:"),
        ("service,operation,t0\na,b,18446744073709551616\n", ":2:3:"),
        ("service,operation,t0\na,b,-0\n", ":2:3:"),
        (
            "timestamp,a\n2024-01-01 00:00,1\n2024-02-30 00:00,1\n",
            ":3:1:",
        ),
        ("timestamp,service,operation,count\n1,a,b,∞\n", ":2:4:"),
        ("timestamp,requests\n0,1\n1,1\n99999999,1\n", ":4:1:"),
        (&format!("service,operation,t0\n{name},b,1\n"), ":2:1:"),
        (
            &format!("timestamp,{}\n", vec!["a"; 200_000].join(",")),
            ":1:",
        ),
        ("second,requests\n\"1,2\n", ":2:1:"),
    ] {
        let error = simulate(&Recorded::file(text).args(&[]))
            .unwrap_err()
            .to_string();
        assert!(error.contains(&format!("traffic.csv{place}")), "{error}");
        assert!(error.len() < 500, "{error}");
    }
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
            .zip(&columns["kept_traces_per_second"]);
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
    assert!(picture.contains("kept at 50") && picture.contains("kept at 200"));
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
    // The first interval of it nobody foresees.
    assert!(columns["error"][10] > 2.0, "{:?}", columns["error"]);
    assert!(columns["error"][17].abs() < 0.1, "{:?}", columns["error"]);
}

#[test]
fn lost_reports_raise_nothing_and_are_nothing_to_the_traffic() {
    let recorded = Recorded::rows(40);
    let calm = recorded.played(&[]);
    let lost = recorded.played(&["--lose=4:21:5"]);
    assert_eq!(calm["offered"], lost["offered"]);
    assert_ne!(calm["kept"], lost["kept"]);
    let errors = &lost["error"][20..];
    assert!(errors.iter().all(|error| *error < 0.15), "{errors:?}");
    // Without one report the plan stands.
    let deaf = recorded.played(&["--lose=8:21:5"]);
    assert!(deaf["error"][20..].iter().all(|error| error.abs() < 0.15));
}

#[test]
fn agents_that_start_anew_cost_no_budget() {
    let recorded = Recorded::rows(40);
    let calm = recorded.played(&[]);
    let anew = recorded.played(&["--restart=8@21"]);
    assert_ne!(calm["kept"][21..], anew["kept"][21..]);
    let errors = &anew["error"][20..];
    assert!(errors.iter().all(|error| error.abs() < 0.2), "{errors:?}");
}

#[test]
fn renamed_operations_are_told_the_default_until_the_next_plan() {
    let recorded = Recorded::rows(40);
    let calm = recorded.played(&[]);
    let renamed = recorded.played(&["--rename=0.5@21"]);
    assert_eq!(calm["offered"], renamed["offered"]);
    assert_eq!(calm["kept"][..20], renamed["kept"][..20]);
    assert_ne!(calm["kept"][20..], renamed["kept"][20..]);
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
        let kept = &recorded.played(&[&["--budget=2"], more].concat())["kept"];
        kept[20..].iter().sum::<f64>() / 40.0 / 60.0
    };
    // 100 operations at 0.01 traces/s each are half of the budget of 2; at 0.1 five times of it.
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
