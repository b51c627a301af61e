//! `docs/limits.md` matches the code, and limits that are allowed together fit together.

use std::path::Path;

use weir::allocation::LISTED_MAX;
use weir::configuration::{Configuration, GROUPS_MAX, OPERATIONS_MAX, SERVICES_MAX};
use weir::ingest::{ReportLimits, Weight};
use weir::protocols::jaeger::file;
use weir::protocols::otlp;
use weir::settings::{Settings, TimingSettings};

/// The first cells of the rows of a table: what is bounded, and the bound.
fn rows() -> Vec<(String, String)> {
    let page = Path::new(env!("CARGO_MANIFEST_DIR")).join("docs/limits.md");
    let text = std::fs::read_to_string(page).unwrap();
    text.lines()
        .filter_map(|line| {
            let mut cells = line.strip_prefix("| ")?.split(" | ");
            Some((cells.next()?.to_owned(), cells.next()?.to_owned()))
        })
        .collect()
}

/// A number in the page's format: 20,000.
fn written(number: usize) -> String {
    let digits = number.to_string();
    let mut text = String::new();
    for (at, digit) in digits.chars().enumerate() {
        if at > 0 && (digits.len() - at).is_multiple_of(3) {
            text.push(',');
        }
        text.push(digit);
    }
    text
}

fn mebibytes(bytes: usize) -> String {
    format!("{} MiB", bytes >> 20)
}

#[test]
fn the_page_states_the_bounds_of_the_code() {
    let rows = rows();
    let limits = Settings::defaults().limits;
    let hours = |of: std::time::Duration| format!("{} h", of.as_secs() / 3600);
    let settings = Settings::defaults();
    let names = Settings::SHARED.names;
    for (what, bound) in [
        (
            "open connections",
            written(settings.listeners.max_connections),
        ),
        (
            "open connections, gRPC",
            written(settings.listeners.grpc_max_connections),
        ),
        ("the file of all strategies", mebibytes(file::BYTES_MAX)),
        (
            "bytes, before and after decompression",
            mebibytes(limits.max_report_bytes),
        ),
        (
            "operations, and services, in one report",
            written(ReportLimits::OPERATIONS),
        ),
        (
            "data points in one export, of metrics that are counted; root spans in one export",
            written(otlp::POINTS_MAX),
        ),
        (
            "resources in one export, with such points or spans",
            written(otlp::SOURCES_MAX),
        ),
        (
            "requests that one root span stands for",
            written(Weight::MOST as usize),
        ),
        (
            "bytes of an export, before and after decompression",
            mebibytes(limits.max_report_bytes),
        ),
        ("age of a window", hours(TimingSettings::REPORT_AGE_MAX)),
        ("services", written(names.services as usize)),
        (
            "operations of a service",
            written(names.operations_per_service as usize),
        ),
        ("operations", written(names.operations as usize)),
        ("operations listed in a strategy", written(LISTED_MAX)),
        ("the configuration", mebibytes(Configuration::BYTES_MAX)),
        (
            "the configuration",
            format!("{} groups", written(GROUPS_MAX)),
        ),
        (
            "the configuration",
            format!("{} services", written(SERVICES_MAX)),
        ),
        (
            "the configuration",
            format!("{} operations", written(OPERATIONS_MAX)),
        ),
        (
            "its revisions",
            written(Configuration::REVISIONS.most as usize),
        ),
        (
            "its revisions",
            mebibytes(Configuration::REVISIONS.bytes as usize),
        ),
        ("history", hours(Settings::SHARED.history)),
        (
            "series of single services",
            limits.metrics_services.to_string(),
        ),
        (
            "connections to PostgreSQL",
            settings.database.database_connections.to_string(),
        ),
    ] {
        let stated = rows.iter().filter(|(label, _)| label == what);
        let stated: Vec<_> = stated.map(|(_, stated)| stated).collect();
        assert!(
            stated.iter().any(|stated| stated.contains(&bound)),
            "{what}: {bound}, not {stated:?}"
        );
    }
}
