//! The history of one operation: offered, sampled and served, window by window. That of a whole service is in
//! `series`.
//!
//! A window's history is one stored row for the whole fleet. Rows are read one at a time, on
//! another thread than the one that answers probes. Only the part of a row that contains the
//! operation is read and decoded. The number of windows and the time of one answer are bounded; a
//! longer history is returned in pages.

use std::ops::Range;
use std::sync::Arc;
use std::time::Duration;

use actix_web::HttpResponse;
use actix_web::web::{Data, Path, Query};
use chrono::{DateTime, TimeDelta, Utc};
use serde::{Deserialize, Serialize};
use tokio::sync::mpsc;
use tokio::time::Instant;
use tokio_util::task::AbortOnDropHandle;

use super::classes::class_named;
use super::services::number_between;
use super::{Admin, series};
use crate::allocation::{Class, OperationId, Timestamp};
use crate::clock::date;
use crate::http::problem::Problem;
use crate::store::{HistoryRow, history_codec};
use crate::telemetry::logging::chain;
use crate::telemetry::seldom::log_seldom;

/// Windows read for one answer by default: 25 hours of the default interval.
const WINDOWS: usize = 1500;

/// The most windows read for one answer: enough to draw a day with as many points.
const WINDOWS_MAX: usize = 2000;

/// Windows that are read where an operation is explained, and how long that may take.
const RECENT: usize = 20;
const RECENT_LIMIT: Duration = Duration::from_secs(2);

/// How long one answer may take. After that, what was found so far is returned.
const TIME_LIMIT: Duration = Duration::from_secs(5);

/// Rows that may wait to be decoded. Rows of a large fleet that an older release wrote take
/// megabytes.
const ROWS_AHEAD: usize = 2;

/// Which operation's history is asked for, and which time.
#[derive(Deserialize)]
pub(super) struct Wanted {
    operation: Option<String>,
    start: Option<String>,
    end: Option<String>,
    after: Option<String>,
    limit: Option<String>,
    step: Option<String>,
    points: Option<String>,
    by: Option<String>,
    class: Option<String>,
}

#[derive(Serialize)]
struct History {
    service: String,
    operation: String,
    /// Null for an operation without classes.
    class: Option<&'static str>,
    points: Vec<Point>,
    unreadable_windows: usize,
    next: Option<DateTime<Utc>>,
}

/// A window of an operation.
#[derive(Serialize)]
pub(super) struct Point {
    window_start: DateTime<Utc>,
    window_seconds: f64,
    offered: u64,
    sampled: Option<u64>,
    probability: Option<f32>,
}

/// Returns the history of a service, or of an operation, oldest first; the last hour by default.
pub(super) async fn show(
    service: Path<String>,
    wanted: Query<Wanted>,
    admin: Data<Admin>,
) -> Result<HttpResponse, Problem> {
    let service = service.into_inner();
    let wanted = wanted.into_inner();
    let Some(operation) = wanted.operation.clone() else {
        let wanted = wanted.of_service()?;
        let document = series::service(&admin, service, &wanted).await?;
        return Ok(HttpResponse::Ok().json(document));
    };
    let not_with = [
        ("step", &wanted.step),
        ("points", &wanted.points),
        ("by", &wanted.by),
    ];
    refuse(
        &not_with,
        "is for the history of a service; that of an operation comes by windows",
    )?;
    let limit = wanted.limit.as_deref();
    let limit = number_between("limit", limit, WINDOWS, 1..=WINDOWS_MAX)?;
    let starts = wanted.starts(admin.clock.now())?;
    let class = wanted.class.as_deref().map(class_named).transpose()?;
    let entry = class.map_or_else(|| operation.clone(), |class| class.entry(&operation));
    let found = admin.dictionary.names().find(&service, &entry);
    let id = found.ok_or_else(|| unknown(&admin, &service, (&operation, class)))?;
    let reading = page(Admin::clone(&admin), id, starts, limit);
    // Dropping this handle aborts the reading: a client that disconnects ends it.
    let reading = AbortOnDropHandle::new(admin.reads.spawn(reading));
    let page = reading.await.map_err(|error| {
        log_seldom!(error, error = chain(&error), "history could not be read");
        Problem::Internal
    })??;
    // The rows hold numbers. If the database went back in time, this one may be another operation's.
    admin.dictionary.refresh().await?;
    if admin.dictionary.names().find(&service, &entry) != Some(id) {
        return Err(late("the names in the database have changed; ask again"));
    }
    Ok(HttpResponse::Ok().json(History {
        service,
        operation,
        class: class.map(Class::name),
        points: page.points,
        unreadable_windows: page.unreadable_windows,
        next: page.last.filter(|_| page.more).map(date),
    }))
}

/// Says which classes an operation has instead of the one that was asked for.
fn unknown(admin: &Admin, service: &str, (operation, class): (&str, Option<Class>)) -> Problem {
    let names = admin.dictionary.names();
    let is_known = |class: &Class| names.find(service, &class.entry(operation)).is_some();
    let classes: Vec<&str> = Class::ALL
        .into_iter()
        .filter(is_known)
        .map(Class::name)
        .collect();
    let asked = class.map_or_else(String::new, |class| format!(" with class {class}"));
    let has = match &classes[..] {
        [] => String::new(),
        classes => format!("; it has class={}", classes.join(" or class=")),
    };
    Problem::NotFound(format!(
        "no operation {operation:?} of service {service:?}{asked} is known{has}"
    ))
}

/// An operation's last windows, oldest first; none if they cannot be read in time.
pub(super) async fn recent(admin: &Admin, operation: OperationId) -> Option<Vec<Point>> {
    let now = admin.clock.timestamp();
    let back = RECENT as i64 * admin.interval.as_millis() as i64;
    let starts = Timestamp(now.0.saturating_sub(back))..now;
    let reading = page(admin.clone(), operation, starts, RECENT);
    let reading = AbortOnDropHandle::new(admin.reads.spawn(reading));
    let read = tokio::time::timeout(RECENT_LIMIT, reading).await;
    Some(read.ok()?.ok()?.ok()?.points)
}

/// Refuses parameters that do not go with the others.
fn refuse(given: &[(&str, &Option<String>)], detail: &str) -> Result<(), Problem> {
    let given = given.iter().find(|(_, value)| value.is_some());
    given.map_or(Ok(()), |(field, _)| {
        Err(Problem::Malformed {
            field: (*field).into(),
            detail: detail.into(),
        })
    })
}

impl Wanted {
    /// What is asked for of a service.
    fn of_service(self) -> Result<series::Wanted, Problem> {
        let not_with = [
            ("after", &self.after),
            ("limit", &self.limit),
            ("class", &self.class),
        ];
        refuse(&not_with, "is for the history of an operation; name one")?;
        Ok(series::Wanted {
            start: self.start,
            end: self.end,
            step: self.step,
            points: self.points,
            by: self.by,
        })
    }

    /// The range of the starts of the windows that are asked for.
    fn starts(&self, now: DateTime<Utc>) -> Result<Range<Timestamp>, Problem> {
        let end = instant("end", self.end.as_deref())?.unwrap_or(now);
        let hour_before = end.checked_sub_signed(TimeDelta::hours(1)).unwrap_or(end);
        let start = instant("start", self.start.as_deref())?.unwrap_or(hour_before);
        if start > end {
            return Err(Problem::Malformed {
                field: "start".into(),
                detail: "must not be after end".into(),
            });
        }
        let mut first = start.timestamp_millis();
        if let Some(after) = instant("after", self.after.as_deref())? {
            first = first.max(after.timestamp_millis().saturating_add(1));
        }
        Ok(Timestamp(first)..Timestamp(end.timestamp_millis()))
    }
}

pub(super) fn instant(field: &str, given: Option<&str>) -> Result<Option<DateTime<Utc>>, Problem> {
    let parse = |given: &str| {
        given.parse().map_err(|_| Problem::Malformed {
            field: field.into(),
            detail: "must be a date like 2026-11-20T09:00:00Z".into(),
        })
    };
    given.map(parse).transpose()
}

/// What was found of an operation in the windows that were read.
#[derive(Default)]
struct Page {
    points: Vec<Point>,
    unreadable_windows: usize,
    looked_at: usize,
    /// The last window that was read.
    last: Option<Timestamp>,
    /// Whether there may be more windows after it.
    more: bool,
}

/// Reads one page.
async fn page(
    admin: Admin,
    operation: OperationId,
    starts: Range<Timestamp>,
    limit: usize,
) -> Result<Page, Problem> {
    let deadline = Instant::now() + TIME_LIMIT;
    let turn = Arc::clone(&admin.histories).acquire_owned();
    let Ok(Ok(turn)) = tokio::time::timeout_at(deadline, turn).await else {
        return Err(late("too many requests read history"));
    };
    let (rows, read) = mpsc::channel(ROWS_AHEAD);
    let finding = tokio::task::spawn_blocking(move || {
        let _turn = turn;
        found(read, operation, limit)
    });
    // Asks for one more than is returned, to know whether there are more.
    let asked = u32::try_from(limit).unwrap_or(u32::MAX).saturating_add(1);
    let store = &admin.store;
    let reading = store.stream_history(starts, asked, Some(operation), rows);
    let read = tokio::time::timeout_at(deadline, reading).await;
    let mut page = finding.await.map_err(|error| {
        log_seldom!(error, error = chain(&error), "history could not be decoded");
        Problem::Internal
    })?;
    match read {
        Ok(read) => read?,
        Err(_) if page.looked_at == 0 => return Err(late("history could not be read in time")),
        Err(_) => page.more = true,
    }
    Ok(page)
}

pub(super) fn late(detail: &'static str) -> Problem {
    Problem::Unavailable {
        detail,
        retry_after_seconds: 2,
    }
}

/// Looks for an operation in rows as they arrive, in at most `limit` of them.
fn found(mut rows: mpsc::Receiver<HistoryRow>, operation: OperationId, limit: usize) -> Page {
    let mut page = Page::default();
    while let Some(row) = rows.blocking_recv() {
        if page.looked_at == limit {
            page.more = true;
            break;
        }
        page.looked_at += 1;
        page.last = Some(row.window.start);
        match history_codec::find(&row.payload, operation) {
            Ok(Some(held)) => page.points.push(Point {
                window_start: date(row.window.start),
                window_seconds: row.window.seconds(),
                offered: held.offered,
                sampled: held.sampled,
                probability: held.probability,
            }),
            Ok(None) => {}
            Err(error) => {
                page.unreadable_windows += 1;
                log_seldom!(
                    error,
                    error = chain(&error),
                    window_start_ms = row.window.start.0,
                    "a window's history cannot be read"
                );
            }
        }
    }
    page
}
