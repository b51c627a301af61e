//! Boosts: one call for "trace all of this for some minutes". A boost is a rule with a fixed probability.

use std::collections::BTreeMap;

use actix_web::web::{Data, Payload, Query};
use actix_web::{HttpRequest, HttpResponse};
use chrono::{SubsecRound, TimeDelta};
use serde::Deserialize;
use uuid::Uuid;

use super::{Forced, add, wrong_id};
use crate::api::admin::Admin;
use crate::api::admin::configuration::{self, BYTES, Condition};
use crate::configuration::{Expiry, Rule, RuleEffect, is_name};
use crate::http::body::read_json;
use crate::http::problem::Problem;
use crate::store::AuditAction;

/// The longest boost: a week. What is needed for longer is a rule.
const SECONDS_MAX: u32 = 7 * 24 * 3600;

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Boost {
    id: Option<String>,
    service: String,
    #[serde(default = "Boost::all")]
    operation: String,
    #[serde(default = "Boost::everything")]
    probability: f64,
    for_seconds: u32,
    #[serde(default)]
    extra_traces_per_second: Option<f64>,
    owner: String,
    reason: String,
}

impl Boost {
    fn all() -> String {
        "*".into()
    }

    fn everything() -> f64 {
        1.0
    }
}

/// Raises the probability of some operations for some time.
pub(in crate::api::admin) async fn boost(
    request: HttpRequest,
    forced: Query<Forced>,
    payload: Payload,
    admin: Data<Admin>,
) -> Result<HttpResponse, Problem> {
    let force = forced.force()?;
    let condition = Condition::if_given(&request)?.doing(AuditAction::BoostAdded);
    let boost: Boost = configuration::parse(&read_json(&request, payload, BYTES).await?)?;
    if !(1..=SECONDS_MAX).contains(&boost.for_seconds) {
        return Err(Problem::Invalid {
            field: "for_seconds".into(),
            detail: format!("must be between 1 and {SECONDS_MAX}"),
        });
    }
    let now = admin.clock.now().trunc_subsecs(3);
    let end = now + TimeDelta::seconds(boost.for_seconds.into());
    let rule = Rule {
        service: boost.service,
        operation: boost.operation,
        attributes: BTreeMap::new(),
        set: RuleEffect {
            probability: Some(boost.probability),
            ..RuleEffect::default()
        },
        extra_traces_per_second: boost.extra_traces_per_second,
        owner: boost.owner,
        reason: boost.reason,
        start: None,
        expires: Some(Expiry::At(end)),
        enabled: true,
        expect: None,
        written_at: None,
    };
    if boost.id.as_ref().is_some_and(|id| !is_name(id)) {
        return Err(wrong_id());
    }
    let id = boost.id.unwrap_or_else(|| {
        let unique = Uuid::new_v4().simple().to_string();
        format!("boost-{}", &unique[..12])
    });
    let added = add(&admin, condition, force, id, rule).await;
    // A boost says its probability itself.
    added.map_err(|problem| match problem {
        Problem::Invalid { field, detail } => Problem::Invalid {
            field: field.trim_start_matches("set.").to_owned(),
            detail,
        },
        other => other,
    })
}
