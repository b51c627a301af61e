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
        args(&[&["--traffic", &file, "--budget=50"], more].concat())
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
    ] {
        let error = simulate(&recorded.args(&[flag, value])).unwrap_err();
        assert!(error.to_string().starts_with(flag), "{error}");
    }
    assert!(Command::try_parse_from(["simulate", "--budget=50"]).is_err());
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
