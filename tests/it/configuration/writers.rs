//! Many who write at once, on two replicas: nobody's change is lost, and none is written twice.

use std::collections::BTreeSet;

use futures_util::future::join_all;
use serde_json::{Value, json};

use super::{DEADLINE, WHOLE};
use crate::support::postgres::TestDatabase;
use crate::support::process::{WeirProcess, eventually};

const WRITERS: usize = 50;

/// Reads the configuration, adds this writer's group to it and writes it over what was read, until it is
/// written. Returns the revision that it became.
async fn add(client: &reqwest::Client, admin: &str, writer: usize) -> u64 {
    let url = format!("{admin}{WHOLE}");
    let group = format!("writer-{writer}");
    eventually(DEADLINE, &group, async || {
        let read = client.get(&url).send().await.unwrap();
        let tag = read.headers()["etag"].to_str().unwrap().to_owned();
        let mut document: Value = read.json().await.unwrap();
        document["groups"][&group] = json!({ "cap_traces_per_second": 1 + writer });
        let request = client.put(&url).header("If-Match", tag);
        let written = request.json(&document).send().await.unwrap();
        match written.status().as_u16() {
            200 => Some(revision(&written)),
            412 => None,
            other => panic!("{other}: {}", written.text().await.unwrap()),
        }
    })
    .await
}

fn revision(answer: &reqwest::Response) -> u64 {
    let tag = answer.headers()["etag"].to_str().unwrap();
    let (revision, _) = tag.trim_matches('"').split_once('-').unwrap();
    revision.parse().unwrap()
}

#[tokio::test(flavor = "multi_thread")]
async fn fifty_writers_on_two_replicas_lose_nothing() {
    let database = TestDatabase::create().await;
    let command = WeirProcess::command().flag("--database-url", database.url());
    let replicas = [command.start().await, command.start().await];
    let client = reqwest::Client::new();
    let admins = replicas.each_ref().map(WeirProcess::admin_url);
    let writers = (0..WRITERS).map(|writer| add(&client, admins[writer % admins.len()], writer));
    let revisions: BTreeSet<u64> = join_all(writers).await.into_iter().collect();
    let after_the_first = 2..=u64::try_from(WRITERS).unwrap() + 1;
    assert!(
        revisions.iter().copied().eq(after_the_first),
        "each write is a revision of its own, without gaps: {revisions:?}"
    );
    for admin in admins {
        let read = client.get(format!("{admin}{WHOLE}")).send().await.unwrap();
        let document: Value = read.json().await.unwrap();
        let groups = document["groups"].as_object().unwrap();
        assert_eq!(groups.len(), WRITERS);
        for writer in 0..WRITERS {
            let cap = groups[&format!("writer-{writer}")]["cap_traces_per_second"].as_f64();
            assert_eq!(cap, Some((1 + writer) as f64));
        }
    }
}
