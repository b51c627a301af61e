//! The cost of a plan from a thousand operations to a million: time, memory, disk.

use sqlx::sqlite::SqliteConnectOptions;
use sqlx::{Connection, SqliteConnection};

use crate::cycle::Cycle;
use crate::process::WeirProcess;
use crate::table::seconds;
use crate::{plot, table};

const SERVICES: [usize; 4] = [10, 100, 1_000, 10_000];

/// The cost at one size.
pub struct Size {
    pub cycle: Cycle,
    pub disk: Disk,
}

/// Bytes stored per operation and window, by how long they are kept.
pub struct Disk {
    /// Until no report can change the window: two hours at most.
    pub deltas: f64,
    /// An hour.
    pub body: f64,
    /// A day.
    pub history: f64,
}

/// Measures all sizes; draws them into `file` if one is given.
pub async fn run(file: Option<&str>) {
    let mut sizes = Vec::new();
    for services in SERVICES {
        sizes.push(measure(services).await);
    }
    println!();
    println!("| operations | a plan | phases | peak memory | history | plan | reports |");
    println!("|---|---|---|---|---|---|---|");
    for Size { cycle, disk } in &sizes {
        println!(
            "| {} | {} | {} | {:.0} MiB | {:.1} B | {:.1} B | {:.1} B |",
            cycle.operations,
            seconds(cycle.seconds()),
            cycle.phases(),
            cycle.peak_memory_mib,
            disk.history,
            disk.body,
            disk.deltas,
        );
    }
    println!();
    table::head();
    if let Some(largest) = sizes.last() {
        largest.cycle.print("SQLite");
    }
    if let Some(file) = file {
        std::fs::write(file, plot::svg(&sizes).unwrap()).unwrap();
    }
}

async fn measure(services: usize) -> Size {
    let directory = tempfile::tempdir().unwrap();
    let command = WeirProcess::command().flag("--data-dir", directory.path());
    let (cycle, weir) = Cycle::measure(command, services).await;
    assert!(weir.terminate().await.success());
    let disk = Disk::read(&directory.path().join("weir.db"), cycle.operations).await;
    Size { cycle, disk }
}

impl Disk {
    async fn read(file: &std::path::Path, operations: usize) -> Self {
        let options = SqliteConnectOptions::new().filename(file).read_only(true);
        let mut connection = SqliteConnection::connect_with(&options).await.unwrap();
        // The widest window is a complete one.
        let mut widest = async |rows: &'static str| {
            let bytes: i64 = sqlx::query_scalar(rows)
                .fetch_one(&mut connection)
                .await
                .unwrap();
            bytes as f64 / operations as f64
        };
        Self {
            deltas: widest(
                "select max(bytes) from
                (select sum(length(payload)) as bytes from delta group by bucket_start_ms)",
            )
            .await,
            body: widest("select max(length(body)) from plan_body").await,
            history: widest("select max(length(payload)) from history").await,
        }
    }
}
