//! States that were lost, damaged, or written by a newer release.

use sqlx::{AssertSqlSafe, Connection, PgConnection};
use weir::ingest::IngestError;

use super::{Replica, SECOND, collection, now_ns};
use crate::support::postgres::TestDatabase;

/// After the database went back in time, the states that a replica remembers are of another past.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_the_database_lost_is_counted_again() {
    let database = TestDatabase::create().await;
    let replica = Replica::start(&database).await;
    let mut connection = PgConnection::connect(database.url()).await.unwrap();
    let mut run = async |statements: &str| {
        let statements = AssertSqlSafe(statements.to_owned());
        sqlx::raw_sql(statements)
            .execute(&mut connection)
            .await
            .unwrap();
    };
    let began_ns = now_ns() - 60 * SECOND;
    replica.export(&collection(1, began_ns)).await.unwrap();
    run("create table kept_mark as select * from mark; create table kept_delta as select * from delta")
        .await;
    for number in 2..5 {
        replica.export(&collection(number, began_ns)).await.unwrap();
    }
    run(
        "begin; delete from mark; delete from delta; insert into mark select * from kept_mark;
        insert into delta select * from kept_delta; commit",
    )
    .await;
    replica.export(&collection(5, began_ns)).await.unwrap();
    let all: u64 = replica.counted().await.values().map(|of| of.0).sum();
    assert_eq!(all, 40 * 5);
}

/// Nobody knows what was counted of a damaged state. One of a newer release is left to its replicas.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_state_that_cannot_be_read_counts_nothing_twice() {
    let database = TestDatabase::create().await;
    let began_ns = now_ns() - 60 * SECOND;
    let first = Replica::start(&database).await;
    first.export(&collection(3, began_ns)).await.unwrap();
    let mut connection = PgConnection::connect(database.url()).await.unwrap();
    let mut tamper = async |state: &str| {
        let statement = AssertSqlSafe(format!("update mark set state = {state}"));
        sqlx::raw_sql(statement)
            .execute(&mut connection)
            .await
            .unwrap();
    };
    tamper("'\\x63'").await;
    let second = Replica::start(&database).await;
    let refused = second.export(&collection(4, began_ns)).await;
    assert!(matches!(refused, Err(IngestError::Store(_))), "{refused:?}");
    for (damage, number) in [("'\\x01ff'", 5), ("null", 7)] {
        tamper(damage).await;
        let replica = Replica::start(&database).await;
        let said = replica.export(&collection(number, began_ns)).await.unwrap();
        assert_eq!(said.rejected, 0);
        let said = said.said.expect("says that streams start again");
        assert!(said.contains("4 points the first of streams"), "{said}");
        replica
            .export(&collection(number + 1, began_ns))
            .await
            .unwrap();
    }
    let all: u64 = first.counted().await.values().map(|of| of.0).sum();
    assert_eq!(all, 40 * (3 + 1 + 1));
}
