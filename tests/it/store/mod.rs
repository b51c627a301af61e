//! The conformance suite: what every backend guarantees, tested on each.
//!
//! A test is an async function over a [`Fixture`]; the list at the end of this file runs it on
//! both backends. A function that is missing there is dead code, which the linter reports.

mod audit;
mod codecs;
mod configuration;
mod dictionary;
mod final_names;
mod fleet;
mod history;
mod incarnation;
mod lease;
mod maintenance;
mod observations;
mod pages;
mod pgbouncer;
mod plans;
mod polls;
mod postgres_alone;
mod postgres_connections;
mod postgres_durable;
mod postgres_migrations;
pub mod postgres_schema;
mod postgres_tls;
mod reports;
mod series;
mod sources;
mod sqlite_alone;
mod tokens;

use std::sync::Arc;

use chrono::{DateTime, Utc};
use sqlx::sqlite::SqliteConnectOptions;
use sqlx::{AssertSqlSafe, ConnectOptions, Connection, PgConnection};
use weir::allocation::{Timestamp, Window};
use weir::store::postgres::PostgresStore;
use weir::store::sqlite::SqliteStore;
use weir::store::{Store, StoreError};

use crate::support::postgres::TestDatabase;

/// 2026-11-20T09:00:00Z, in milliseconds since the Unix epoch.
const NINE: i64 = 1_795_165_200_000;

/// An empty database, and as many handles on it as there are replicas in the test.
enum Fixture {
    Postgres(TestDatabase),
    Sqlite(tempfile::TempDir),
}

impl Fixture {
    async fn postgres() -> Self {
        Self::Postgres(TestDatabase::create().await)
    }

    fn sqlite() -> Self {
        Self::Sqlite(tempfile::tempdir().unwrap())
    }

    /// Opens a further handle, as another replica would.
    async fn open(&self) -> Arc<dyn Store> {
        self.try_open().await.unwrap()
    }

    async fn try_open(&self) -> Result<Arc<dyn Store>, StoreError> {
        Ok(match self {
            Self::Postgres(database) => Arc::new(PostgresStore::connect(database.url(), 4).await?),
            Self::Sqlite(folder) => {
                Arc::new(SqliteStore::open(&folder.path().join("weir.db")).await?)
            }
        })
    }

    /// Runs SQL directly, bypassing the store.
    async fn tamper(&self, statement: &str) {
        let statement = AssertSqlSafe(statement.to_owned());
        match self {
            Self::Postgres(database) => {
                let mut connection = PgConnection::connect(database.url()).await.unwrap();
                sqlx::raw_sql(statement)
                    .execute(&mut connection)
                    .await
                    .unwrap();
            }
            Self::Sqlite(folder) => {
                let options = SqliteConnectOptions::new().filename(folder.path().join("weir.db"));
                let mut connection = options.connect().await.unwrap();
                sqlx::raw_sql(statement)
                    .execute(&mut connection)
                    .await
                    .unwrap();
            }
        }
    }
}

/// Every table that is not a partition, referenced tables first.
const TABLES: [&str; 21] = [
    "service",
    "operation",
    "dictionary",
    "dictionary_chain",
    "mark",
    "delta",
    "lease",
    "plan_head",
    "plan",
    "plan_body",
    "configuration",
    "history",
    "settlement",
    "polls",
    "final_names",
    "token",
    "audit",
    "replica",
    "series_window",
    "series",
    "series_mark",
];

impl Fixture {
    /// Copies the whole database, for [`Fixture::go_back`].
    async fn remember(&self) {
        let copy = |table| format!("create table kept_{table} as select * from {table};");
        self.tamper(&TABLES.map(copy).concat()).await;
    }

    /// Restores that copy while handles are open, as a failover to a lagging standby or a restore
    /// would.
    async fn go_back(&self) {
        let delete = TABLES.map(|table| format!("delete from {table};"));
        let put = TABLES.map(|table| format!("insert into {table} select * from kept_{table};"));
        let delete: String = delete.into_iter().rev().collect();
        self.tamper(&format!("begin;{delete}{}commit;", put.concat()))
            .await;
    }
}

/// The ten-second window that is this many windows after [`NINE`].
fn window(number: i64) -> Window {
    Window {
        start: Timestamp(NINE + number * 10_000),
        end: Timestamp(NINE + (number + 1) * 10_000),
    }
}

/// The instant this many milliseconds after [`NINE`].
fn instant(milliseconds: i64) -> DateTime<Utc> {
    DateTime::from_timestamp_millis(NINE + milliseconds).unwrap()
}

/// The name of the corrupt value in the error; panics on any other error.
fn corrupt_cell<T: std::fmt::Debug>(outcome: Result<T, StoreError>) -> String {
    match outcome {
        Err(StoreError::Corrupt { what, .. }) => what,
        other => panic!("expected a corrupt cell, got {other:?}"),
    }
}

macro_rules! on_both_backends {
    ($($family:ident { $($test:ident)+ })+) => {
        mod on_postgres {$(
            mod $family {$(
                #[tokio::test(flavor = "multi_thread", worker_threads = 2)]
                async fn $test() {
                    let fixture = crate::store::Fixture::postgres().await;
                    crate::store::$family::$test(&fixture).await;
                }
            )+}
        )+}
        mod on_sqlite {$(
            mod $family {$(
                #[tokio::test(flavor = "multi_thread", worker_threads = 2)]
                async fn $test() {
                    let fixture = crate::store::Fixture::sqlite();
                    crate::store::$family::$test(&fixture).await;
                }
            )+}
        )+}
    };
}

on_both_backends! {
    reports {
        a_report_counts_once
        answers_stand_in_the_batchs_order
        late_sequences_count_once_and_far_ones_never
        epochs_and_agents_are_told_apart
        a_report_sent_to_two_replicas_at_once_counts_once
        overlapping_batches_of_two_replicas_lose_nothing
        deltas_are_read_by_their_buckets_start
        extremes_come_back
        counts_are_written_in_the_chosen_format
        agents_are_named_in_pages
        the_largest_sequences_are_remembered
        an_empty_report_counts_and_adds_nothing
        a_corrupt_delta_is_named
        a_caller_who_leaves_halfway_harms_nothing
        a_closed_store_is_unavailable
    }
    sources {
        a_state_counts_only_if_it_follows_the_stored_one
        sources_and_agents_are_committed_together
        of_two_replicas_one_moves_the_state
        a_state_goes_back_with_its_counts
        a_state_goes_with_its_mark
    }
    dictionary {
        it_starts_with_the_overflow_entry
        numbers_rise_and_a_cursor_follows
        a_service_brings_its_overflow_entry
        limits_hold
        services_come_before_operations
        known_names_are_passed_over
        two_replicas_add_and_a_reader_misses_nothing
        limits_hold_between_replicas
        removing_starts_a_new_generation
        removing_nothing_changes_nothing
        room_is_given_back
        overflow_entries_go_only_with_their_service
        a_corrupt_name_is_named
    }
    fleet {
        the_first_to_write_decides
        a_change_is_seen_by_all
        a_corrupt_interval_is_named
    }
    incarnation {
        every_change_is_another_state
        a_reader_of_another_past_reads_everything_again
        a_reader_of_the_past_reads_on
        a_reader_further_back_than_is_remembered_reads_everything_again
        a_replica_of_the_release_before_changes_it_too
        names_without_room_are_told_from_the_others
        numbers_of_another_past_are_not_removed
        numbers_of_another_past_are_not_counted
        numbers_from_before_a_removal_are_not_counted
        counts_come_with_the_state_of_their_names
        a_plan_of_another_past_is_refused
        a_plan_from_before_new_names_is_not
        a_plan_comes_with_the_state_of_its_names
        history_of_another_past_is_refused
    }
    pages {
        many_names_come_in_pages
    }
    lease {
        the_first_holds_it_and_renews_it
        another_waits_until_it_expires
        a_lease_given_back_is_free_at_once
        only_the_holder_gives_it_back
        one_of_many_gets_it
        leases_of_other_names_are_apart
    }
    plans {
        there_is_none_at_first
        a_plan_comes_back_whole
        each_plan_follows_its_parent
        another_parent_is_stale
        a_plan_without_the_lease_is_stale
        a_leader_that_lost_its_lease_is_fenced
        of_two_publications_at_once_one_holds
        a_refused_plan_leaves_nothing_behind
        a_plan_brings_its_history
        a_missing_plan_is_named
        a_number_may_skip_those_that_cannot_be_read
        the_newest_plan_of_a_known_format_is_found
        a_number_published_anew_is_another_plan
        a_lease_is_fenced_by_its_holder_too
        a_plan_of_the_release_before_has_an_identity_too
    }
    polls {
        they_come_back_by_window_and_replica
        a_row_written_again_is_replaced
        of_earlier_windows_only_who_counted_is_read
        numbers_of_another_past_are_left_out
        they_come_with_the_state_of_their_names
        a_corrupt_row_is_named
        old_ones_go
    }
    final_names {
        they_come_back_by_service_and_window
        a_window_written_again_is_replaced
        a_corrupt_row_is_named
        old_ones_go
    }
    observations {
        each_kind_comes_back_by_window_and_replica
        a_window_written_again_is_replaced
        a_corrupt_row_is_named
        old_ones_go
    }
    history {
        rows_come_back_oldest_first
        a_correction_replaces_its_window
        a_window_given_twice_is_written_once
        one_operation_is_read_alone
        rows_wait_for_their_reader
        where_settling_stopped_is_remembered_with_what_was_settled
        history_is_settled_only_from_where_it_stands
        formats_are_written_as_the_operator_says
        a_schema_for_newer_programs_is_refused
    }
    series {
        steps_come_back_whole_or_by_service
        a_step_takes_the_place_of_all_that_there_was
        history_is_summed_only_from_where_it_stands
        old_steps_are_deleted_by_their_length
        plans_are_found_by_their_windows
    }
    configuration {
        reading_writes_nothing
        the_first_is_written_on_demand
        a_write_names_the_revision_it_comes_from
        of_many_writers_one_succeeds
        of_many_that_create_the_first_all_see_one
        every_revision_can_be_read_again
        only_the_newest_revisions_stay
        revisions_stay_as_far_as_their_documents_fit
    }
    audit {
        an_entry_is_written_with_its_change_or_not_at_all
        entries_are_filtered_and_paged
        an_effect_is_filled_in_once_by_whoever_leads
        old_entries_are_deleted
        replicas_come_and_go
    }
    tokens {
        they_come_back_oldest_first
        sessions_are_bounded_by_themselves_and_for_each_person
        a_session_that_has_ended_goes_when_another_begins
        a_revoked_token_stays_revoked
        every_change_changes_the_mark
        there_are_never_too_many
        those_that_are_long_gone_go
        a_corrupt_row_is_named
    }
    maintenance {
        it_runs_on_an_empty_store_and_again
        what_is_old_goes_and_the_rest_stays
        the_current_plan_stays_whatever_its_age
        old_marks_go
        it_disturbs_no_writer
    }
}
