//! From the start of the process until it is ready, with many operations stored.

use std::time::Instant;

use crate::cycle::Cycle;
use crate::median;
use crate::postgres::TestDatabase;
use crate::process::{WeirCommand, WeirProcess, eventually};
use crate::table::{Row, seconds};

const SERVICES: usize = 1_000;
const STARTS: usize = 5;

pub async fn run() {
    let directory = tempfile::tempdir().unwrap();
    let on_sqlite = WeirProcess::command().flag("--data-dir", directory.path());
    measure("SQLite", on_sqlite).await;
    let database = TestDatabase::create().await;
    let on_postgres = WeirProcess::command().flag("--database-url", database.url());
    measure("PostgreSQL", on_postgres).await;
}

async fn measure(database: &str, command: WeirCommand) {
    let (cycle, weir) = Cycle::measure(command.clone(), SERVICES).await;
    assert!(weir.terminate().await.success());
    let client = reqwest::Client::new();
    let mut took = Vec::new();
    for _ in 0..STARTS {
        let began = Instant::now();
        let weir = command.start().await;
        let url = format!("{}/readyz", weir.admin_url());
        eventually(crate::DEADLINE, "ready", async || {
            let answer = client.get(&url).send().await.ok()?;
            answer.status().is_success().then_some(())
        })
        .await;
        took.push(began.elapsed().as_secs_f64());
        let url = format!("{}/sampling?service=service-7", weir.sdk_url());
        let body = client.get(url).send().await.unwrap().text().await.unwrap();
        assert!(body.contains("GET /path/99"), "the stored plan is served");
        assert!(weir.terminate().await.success());
    }
    let what = format!("start with {} operations, {database}", cycle.operations);
    Row::new(what, seconds(median(took)), "≤ 2 s").print();
}
