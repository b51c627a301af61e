//! Files of many teams that are applied at the same time.

use std::path::PathBuf;

use futures_util::future::join_all;
use serde_json::Value;

use super::origins::part;
use super::{Operator, shown_path};
use crate::support::postgres::TestDatabase;
use crate::support::process::WeirProcess;

#[tokio::test(flavor = "multi_thread")]
async fn pipelines_of_many_teams_at_the_same_time_lose_nothing() {
    const TEAMS: usize = 8;
    const ROUNDS: u32 = 3;
    let database = TestDatabase::create().await;
    let command = WeirProcess::command().flag("--database-url", database.url());
    let replicas = [command.start().await, command.start().await];
    let teams: Vec<(Operator, PathBuf, String)> = (0..TEAMS)
        .map(|team| {
            let operator = Operator::of(replicas[team % replicas.len()].admin_url());
            let file = operator.file("weir.yaml", "");
            (operator, file, format!("team{team}"))
        })
        .collect();
    for round in 1..=ROUNDS {
        let runs = teams.iter().map(|(operator, file, team)| async move {
            // One service stays, one comes with each round, and that of the round before goes.
            let name = format!("of-{round}");
            let services = [("always", round), (name.as_str(), round)];
            operator.file("weir.yaml", &part(team, &services, ""));
            operator
                .run(&["apply", "-f", shown_path(file), "--yes"])
                .await
        });
        for ended in join_all(runs).await {
            assert_eq!(ended.status, 0, "{}{}", ended.out, ended.err);
        }
        for replica in &replicas {
            let url = format!("{}/v1/configuration", replica.admin_url());
            let running: Value = reqwest::get(url).await.unwrap().json().await.unwrap();
            let services = running["services"].as_object().unwrap();
            assert_eq!(services.len(), 2 * TEAMS, "{services:?}");
            for (_, _, team) in &teams {
                for name in [format!("{team}-always"), format!("{team}-of-{round}")] {
                    assert_eq!(
                        services[&name]["cap_traces_per_second"],
                        f64::from(round),
                        "{name}"
                    );
                }
            }
        }
    }
}
