//! One rule: what it matches and costs, and turns it off or on.

use actix_web::HttpResponse;
use actix_web::web::{Path, Payload};
use maud::{Markup, html};
use serde_json::Value;

use super::{Rule, SCREEN};
use crate::console::call::{Answer, Asker, Call};
use crate::console::effect::{figure, operation_link};
use crate::console::form::{Change, Fields, saved};
use crate::console::page::format::number;
use crate::console::page::trouble::Trouble;
use crate::console::page::{Frame, card, link};

/// Shows the rule.
pub async fn show(asker: Asker, id: Path<String>) -> Result<HttpResponse, Trouble> {
    page(&asker, &id, &Fields::of_query(&asker.request), None).await
}

/// Turns it off or on.
pub async fn save(
    asker: Asker,
    id: Path<String>,
    payload: Payload,
) -> Result<HttpResponse, Trouble> {
    let fields = Fields::of_form(&asker.request, payload).await?;
    match turn(&asker, &id, &fields).await {
        Ok(()) => Ok(saved(link(SCREEN.path, &[("saved", "rule")]))),
        Err(trouble) => page(&asker, &id, &fields, Some(trouble)).await,
    }
}

fn asked(id: &str) -> Call {
    Call::get("/v1/rules/{id}").at("id", id)
}

async fn turn(asker: &Asker, id: &str, fields: &Fields) -> Result<(), Trouble> {
    let enabled = match fields.text("enabled") {
        "true" => true,
        "false" => false,
        _ => return Err(Trouble::wrong("enabled", "must be true or false")),
    };
    let mut rule: Value = asker.ask(asked(id)).await?;
    rule["enabled"] = enabled.into();
    let put = Call::new("PUT", "/v1/rules/{id}").at("id", id).body(rule);
    let put = put.if_match(fields.text("seen"));
    let put = put.query_if("reason", fields.get("reason"));
    asker.ask::<Value>(put).await.map(drop)
}

async fn page(
    asker: &Asker,
    id: &str,
    fields: &Fields,
    trouble: Option<Trouble>,
) -> Result<HttpResponse, Trouble> {
    let Answer { of: rule, tag } = asker.answer::<Rule>(asked(id)).await?;
    let path = rule.path();
    let form = Change {
        action: &path,
        inputs: html! {
            input type="hidden" name="enabled" value=(!rule.enabled);
            p { @if rule.enabled { "It is on." } @else { "It is off." } }
        },
        preview: None,
        trouble: trouble.as_ref(),
        seen: &tag,
        reason: fields.text("reason"),
        save: if rule.enabled {
            "Turn it off"
        } else {
            "Turn it on"
        },
        may_save: asker.is_operator(),
    };
    let main = html! {
        nav.crumbs aria-label="Where this is" { a href=(SCREEN.path) { "Rules" } }
        h1 { "Rule " (rule.id) }
        p { (rule.shown_state()) " · " (rule.subject()) " · " (rule.sets()) }
        p { "“" (rule.reason) "” — " (rule.owner) ", until " (rule.until(asker.console.clock.now())) }
        (card("does", "What it does, with the traffic of now", &rule.consequence()))
        (card("matched", "What it matches", &rule.examples()))
        (form.shown())
    };
    let frame = Frame::of(asker, SCREEN, &format!("Rule {id}"));
    Ok(frame.after(trouble.as_ref(), main))
}

impl Rule {
    fn consequence(&self) -> Markup {
        html! {
            @match &self.effect {
                None => p.quiet { "It is not known." },
                Some(effect) => {
                    @let share = effect.share_traces_per_second;
                    dl.figures {
                        (figure("What it matches keeps", &format!("{} → {} traces/s", number(share.before), number(share.after)),
                            "without it → with it"))
                        div { dt { "It costs the others" } dd { strong id="cost" { (effect.cost()) } } }
                    }
                    (effect.givers())
                }
            }
        }
    }

    fn examples(&self) -> Markup {
        html! {
            p { (self.matched()) }
            @if !self.matches.examples.is_empty() {
                ul { @for of in &self.matches.examples {
                    li { (operation_link(&of.service, &of.operation)) " of " (of.service) }
                } }
            }
        }
    }
}
