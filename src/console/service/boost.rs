//! Boosts a service or an operation for some minutes: all of its traces, what others give for it, why, and go.

use actix_web::HttpResponse;
use actix_web::web::{Path, Payload};
use maud::{Markup, html};
use serde::Deserialize;
use serde_json::{Value, json};

use super::crumbs;
use crate::console::call::{Answer, Asker, Call};
use crate::console::effect::{Pair, figure, operation_link};
use crate::console::form::{Change, Fields, Input, outcome, saved};
use crate::console::page::format::{change, number};
use crate::console::page::trouble::Trouble;
use crate::console::page::{Frame, link, service_link, service_path};
use crate::console::services::SCREEN;

/// For how many minutes, if the form does not say it.
const MINUTES: f64 = 20.0;

/// Every operation of the service.
const ALL: &str = "*";

/// What a boost does, as the API says it.
#[derive(Debug, Deserialize)]
struct Boosted {
    effect: Option<Consequence>,
}

#[derive(Debug, Deserialize)]
struct Consequence {
    share_traces_per_second: Pair,
    taken_traces_per_second: f64,
    under_fair_floor: usize,
    taken_from: Vec<Taken>,
}

#[derive(Debug, Deserialize)]
struct Taken {
    service: String,
    operation: String,
    share_traces_per_second: Pair,
}

/// Shows the form, and what it would do.
pub async fn show(asker: Asker, service: Path<String>) -> Result<HttpResponse, Trouble> {
    let fields = Fields::of_query(&asker.request);
    page(&asker, &service, &fields, None).await
}

/// Begins the boost.
pub async fn save(
    asker: Asker,
    service: Path<String>,
    payload: Payload,
) -> Result<HttpResponse, Trouble> {
    let fields = Fields::of_form(&asker.request, payload).await?;
    let boost = call(&asker, &service, &fields, fields.text("reason"));
    let begun = match boost {
        Ok(boost) => {
            let force = fields.get("force").map(|_| "true");
            let boost = boost.query_if("force", force);
            asker
                .ask::<Value>(boost.if_match(fields.text("seen")))
                .await
        }
        Err(trouble) => Err(trouble),
    };
    match begun {
        Ok(_) => {
            let to = link(&service_path(&service), &[("saved", "boost")]);
            Ok(saved(to))
        }
        Err(trouble) => page(&asker, &service, &fields, Some(trouble)).await,
    }
}

/// A name as a pattern that means nothing else.
fn literal(name: &str) -> String {
    let mut pattern = String::with_capacity(name.len());
    for of in name.chars() {
        if matches!(of, '*' | '?' | '\\') {
            pattern.push('\\');
        }
        pattern.push(of);
    }
    pattern
}

fn call(asker: &Asker, service: &str, fields: &Fields, reason: &str) -> Result<Call, Trouble> {
    let minutes = fields.number("minutes")?.unwrap_or(MINUTES);
    let seconds = (minutes * 60.0).round();
    if !(1.0..=604_800.0).contains(&seconds) {
        return Err(Trouble::wrong("minutes", "must be at most a week"));
    }
    let operation = fields.get("operation");
    let mut boost = json!({
        "service": literal(service),
        "operation": operation.map_or_else(|| ALL.to_owned(), literal),
        "for_seconds": seconds as u64,
        "probability": fields.number("probability")?.unwrap_or(100.0) / 100.0,
        "owner": fields.get("owner").unwrap_or(asker.caller().name()),
        "reason": reason,
    });
    if let Some(extra) = fields.number("extra_traces_per_second")? {
        boost["extra_traces_per_second"] = extra.into();
    }
    Ok(Call::new("POST", "/v1/boosts").body(boost))
}

async fn preview(asker: &Asker, service: &str, fields: &Fields) -> Result<Option<Markup>, Trouble> {
    if !asker.is_operator() {
        return Ok(None);
    }
    let reason = fields.get("reason").unwrap_or("a preview");
    // What it takes from others is shown, however much that is; only saving needs to be told.
    let boost = call(asker, service, fields, reason)?.query("force", "true");
    let boost = boost.query("dry_run", "true");
    let boosted: Boosted = asker.ask(boost).await?;
    Ok(boosted.effect.map(|effect| effect.shown()))
}

async fn page(
    asker: &Asker,
    service: &str,
    fields: &Fields,
    trouble: Option<Trouble>,
) -> Result<HttpResponse, Trouble> {
    let held: Answer<Value> = asker.answer(Call::get("/v1/budget")).await?;
    let (preview, trouble) = outcome(trouble, preview(asker, service, fields).await);
    let action = format!("{}/boost", service_path(service));
    let form = Change {
        action: &action,
        inputs: inputs(asker, fields),
        preview,
        trouble: trouble.as_ref(),
        seen: &held.tag,
        reason: fields.text("reason"),
        save: "Begin the boost",
        may_save: asker.is_operator(),
    };
    let what = fields.get("operation");
    let main = html! {
        (crumbs(service, what.or(Some(""))))
        h1 { "Boost " @if let Some(operation) = what { (operation) " of " } (service) }
        p { "Keeps more of its traces for some minutes. The budget stays, so others give; when the time is over, all is as before." }
        (form.shown())
    };
    let frame = Frame::of(asker, SCREEN, &format!("Boost {service}"));
    Ok(frame.after(trouble.as_ref(), main))
}

fn inputs(asker: &Asker, fields: &Fields) -> Markup {
    let owner = asker.caller().name().to_owned();
    let input = |name, label, value: &str, hint, is_number| {
        let value = fields.get(name).unwrap_or(value);
        let input = Input {
            name,
            label,
            value,
            hint,
            is_number,
        };
        input.shown()
    };
    html! {
        @if let Some(operation) = fields.get("operation") {
            input type="hidden" name="operation" value=(operation);
        }
        (input("minutes", "Minutes", "20", "Then it ends by itself.", true))
        (input("probability", "Kept, in %", "100", "Of its requests, meanwhile.", true))
        (input("extra_traces_per_second", "Extra budget", "", "Traces/s that are added to the budget meanwhile, so that others give less. Empty: none.", true))
        (input("owner", "Owner", &owner, "Who answers questions about it.", false))
        div.field {
            label { input type="checkbox" name="force" value="true" aria-label="Even if others keep less than half"
                checked[fields.get("force").is_some()]; " Even if others keep less than half of their share" }
        }
    }
}

impl Consequence {
    fn shown(&self) -> Markup {
        let share = self.share_traces_per_second;
        html! {
            dl.figures {
                (figure("It keeps", &format!("{} → {} traces/s", number(share.before), number(share.after)), &change(share.before, share.after)))
                (figure("Others give", &format!("{} traces/s", number(self.taken_traces_per_second)),
                    &match self.under_fair_floor { 0 => "each keeps at least half of its share".to_owned(),
                        some => format!("{some} operations keep less than half of their share") }))
            }
            @if !self.taken_from.is_empty() {
                div.scroll tabindex="0" role="group" aria-label="Those that give most" { table {
                    caption { "Those that give most" }
                    thead { tr {
                        th scope="col" { "Operation" }
                        th scope="col" { "Service" }
                        th.figure scope="col" { "Kept/s before" }
                        th.figure scope="col" { "After" }
                        th.figure scope="col" { "Change" }
                    } }
                    tbody { @for of in &self.taken_from {
                        @let share = of.share_traces_per_second;
                        tr {
                            th scope="row" { (operation_link(&of.service, &of.operation)) }
                            td { (service_link(&of.service)) }
                            td.figure { (number(share.before)) }
                            td.figure { (number(share.after)) }
                            td.figure { (change(share.before, share.after)) }
                        }
                    } }
                } }
            }
        }
    }
}
