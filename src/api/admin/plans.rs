//! Plans, as operators see them: the current one, those before it, and what moved between two of them.

use actix_web::Responder;
use actix_web::web::{Data, Json, Query, block};
use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::Admin;
use super::preview::Compared;
use super::services::number_between;
use crate::allocation::Plan;
use crate::http::problem::Problem;
use crate::store::{StoreError, plan_codec};
use crate::view::plan_summary::{PlanSummary, WindowDocument};

/// Plans on one page by default, and at most.
const PAGE: usize = 100;
const PAGE_MAX: usize = 1000;

/// How many services and operations of a comparison are listed by default, and at most.
const LISTED: usize = 20;
const LISTED_MAX: usize = 1000;

#[derive(Serialize)]
struct Document {
    #[serde(flatten)]
    summary: PlanSummary,
    published_at: DateTime<Utc>,
    age_seconds: f64,
    stale: bool,
}

/// The plan that this replica serves.
pub(super) async fn current(admin: Data<Admin>) -> Result<impl Responder, Problem> {
    let snapshot = admin.served.snapshot();
    let age = snapshot.age_seconds(admin.clock.now());
    let (Some(published_at), Some(age_seconds)) = (snapshot.published_at(), age) else {
        return Err(Problem::NotFound("no plan has been published yet".into()));
    };
    Ok(Json(Document {
        summary: PlanSummary::from(snapshot.plan()),
        published_at,
        age_seconds,
        stale: age_seconds > admin.stale_after_seconds,
    }))
}

/// Where a page of plans begins, and how long it is.
#[derive(Deserialize)]
pub(super) struct Page {
    limit: Option<String>,
    before: Option<String>,
}

#[derive(Serialize)]
struct Plans {
    plans: Vec<Listed>,
    next: Option<u64>,
}

/// A plan of the list. Its figures are as it was stored, so those of a release that knew fewer are missing.
#[derive(Serialize)]
struct Listed {
    plan: u64,
    published_at: DateTime<Utc>,
    window: WindowDocument,
    configuration_revision: u64,
    summary: Option<Value>,
}

/// Lists the plans, newest first.
pub(super) async fn list(page: Query<Page>, admin: Data<Admin>) -> Result<impl Responder, Problem> {
    let limit = number_between("limit", page.limit.as_deref(), PAGE, 1..=PAGE_MAX)?;
    let before = page.before.as_deref();
    let before = before.map(|before| number("before", before)).transpose()?;
    let asked = u32::try_from(limit).unwrap_or(u32::MAX).saturating_add(1);
    let mut rows = admin.store.plans(before, asked).await?;
    let more = rows.len() > limit;
    rows.truncate(limit);
    let next = rows.last().filter(|_| more).map(|row| row.number);
    let plans = rows.into_iter().map(|row| Listed {
        plan: row.number,
        published_at: row.published_at,
        window: row.window.into(),
        configuration_revision: row.configuration_revision,
        summary: serde_json::from_str(&row.summary).ok(),
    });
    Ok(Json(Plans {
        plans: plans.collect(),
        next,
    }))
}

fn number(field: &str, given: &str) -> Result<u64, Problem> {
    let number = given.parse::<i64>().ok();
    let number = number.and_then(|number| u64::try_from(number).ok());
    number.ok_or_else(|| Problem::Malformed {
        field: field.into(),
        detail: "must be the number of a plan".into(),
    })
}

/// A stored plan that somebody names.
pub(super) async fn stored_plan(admin: &Admin, field: &str, given: &str) -> Result<Plan, Problem> {
    let number = number(field, given)?;
    let stored = admin.store.plan(number).await?.ok_or_else(|| {
        Problem::NotFound(format!(
            "plan {number} is not stored whole: whole plans are kept for about an hour, and GET /v1/plans lists the \
             figures of older ones"
        ))
    })?;
    // Its numbers must mean what they meant when it was read.
    let names = admin.dictionary.names_of(&[stored.names]).await?;
    if names.is_none() {
        return Err(Problem::Unavailable {
            detail: "the names in the database have changed; ask again",
            retry_after_seconds: 2,
        });
    }
    let decoded = block(move || plan_codec::decode(&stored.body)).await;
    let decoded = decoded.map_err(|_| Problem::Internal)?;
    decoded.map_err(|error: StoreError| match error {
        StoreError::NewerFormat { .. } => {
            Problem::NotFound(format!("this Weir cannot read plan {number}: {error}"))
        }
        error => Problem::from(error),
    })
}

/// Which plans are compared.
#[derive(Deserialize)]
pub(super) struct Both {
    from: Option<String>,
    to: Option<String>,
    limit: Option<String>,
}

#[derive(Serialize)]
struct Comparison {
    from: Side,
    to: Side,
    #[serde(flatten)]
    compared: Compared,
}

/// One of the two plans.
#[derive(Serialize)]
struct Side {
    plan: u64,
    window: WindowDocument,
    configuration_revision: u64,
    operations: usize,
}

impl From<&Plan> for Side {
    fn from(plan: &Plan) -> Self {
        Self {
            plan: plan.number,
            window: plan.window.into(),
            configuration_revision: plan.configuration_revision,
            operations: plan.operations.len(),
        }
    }
}

/// Compares two plans: by default the current one with the one before.
pub(super) async fn compare(
    both: Query<Both>,
    admin: Data<Admin>,
) -> Result<impl Responder, Problem> {
    let limit = both.limit.as_deref();
    let limit = number_between("limit", limit, LISTED, 1..=LISTED_MAX)?;
    let to = match both.to.as_deref() {
        Some(to) => stored_plan(&admin, "to", to).await?,
        None => {
            let current = admin.served.load().plan().number.to_string();
            stored_plan(&admin, "to", &current).await?
        }
    };
    let from = match both.from.as_deref() {
        Some(from) => stored_plan(&admin, "from", from).await?,
        None => {
            let before = admin.store.plans(Some(to.number), 1).await?.pop();
            let before = before.map_or(0, |before| before.number).to_string();
            stored_plan(&admin, "from", &before).await?
        }
    };
    let names = admin.dictionary.names();
    let compared = block(move || Comparison {
        from: Side::from(&from),
        to: Side::from(&to),
        compared: Compared::between(&from, &to, &names, (limit, limit)),
    });
    compared.await.map(Json).map_err(|_| Problem::Internal)
}
