//! Adds a rule: what it would match and cost, why, and save.

use actix_web::HttpResponse;
use actix_web::web::Payload;
use chrono::{DateTime, SecondsFormat, TimeDelta, Utc};
use maud::{Markup, html};
use serde_json::{Value, json};

use super::{Rule, SCREEN};
use crate::console::call::{Answer, Asker, Call};
use crate::console::effect::figure;
use crate::console::form::{Change, Fields, Input, outcome, saved};
use crate::console::page::format::number;
use crate::console::page::trouble::Trouble;
use crate::console::page::{Frame, link};

const PATH: &str = "/console/rules/add";

/// What a rule may set here, as the API calls it and as people do. The rest is for files and the command line.
const SETS: [(&str, &str); 5] = [
    ("probability_max", "keep at most this part (0 to 1)"),
    ("probability", "keep exactly this part (0 to 1)"),
    ("floor_traces_per_second", "keep at least, traces/s"),
    ("cap_traces_per_second", "keep at most, traces/s"),
    ("weight", "weight (1 is usual)"),
];

/// The longest that a rule lasts, in hours, if it ends at all: ten years.
const HOURS_MAX: f64 = 87_600.0;

/// Shows the form, and what the rule would do.
pub async fn show(asker: Asker) -> Result<HttpResponse, Trouble> {
    let fields = Fields::of_query(&asker.request);
    page(&asker, &fields, None).await
}

/// Adds it.
pub async fn save(asker: Asker, payload: Payload) -> Result<HttpResponse, Trouble> {
    let fields = Fields::of_form(&asker.request, payload).await?;
    let added = match call(&asker, &fields, fields.text("reason")) {
        Ok(call) => asker.ask::<Value>(call.if_match(fields.text("seen"))).await,
        Err(trouble) => Err(trouble),
    };
    match added {
        Ok(_) => Ok(saved(link(SCREEN.path, &[("saved", "rule")]))),
        Err(trouble) => page(&asker, &fields, Some(trouble)).await,
    }
}

fn call(asker: &Asker, fields: &Fields, reason: &str) -> Result<Call, Trouble> {
    let id = fields.get("id");
    let id = id.ok_or_else(|| Trouble::wrong("id", "give the rule a name, like quiet-health"))?;
    let set = fields.text("set");
    let known = SETS.iter().any(|(name, _)| *name == set);
    let value = fields.number("value")?;
    let value = value.filter(|_| known);
    let value = value.ok_or_else(|| Trouble::wrong("value", "say what is set, and to what"))?;
    let rule = json!({
        "id": id,
        "service": fields.get("service").unwrap_or("*"),
        "operation": fields.get("operation").unwrap_or("*"),
        "set": { set: value },
        "owner": fields.get("owner").unwrap_or(asker.caller().name()),
        "reason": reason,
        "expires": expires(fields, asker.console.clock.now())?,
        "expect": fields.get("later").map(|_| "later"),
    });
    let mut rule = rule;
    if let Some(given) = rule.as_object_mut() {
        given.retain(|_, value| !value.is_null());
    }
    Ok(Call::new("POST", "/v1/rules").body(rule))
}

/// When it runs out.
fn expires(fields: &Fields, now: DateTime<Utc>) -> Result<String, Trouble> {
    let Some(hours) = fields.number("hours")? else {
        return Ok("never".into());
    };
    if !(0.01..=HOURS_MAX).contains(&hours) {
        let detail = "must be hours from now, or empty for a rule that does not run out";
        return Err(Trouble::wrong("hours", detail));
    }
    let end = now + TimeDelta::seconds((hours * 3600.0) as i64);
    Ok(end.to_rfc3339_opts(SecondsFormat::Secs, true))
}

/// What it would match and cost; none if nothing was said yet, or its reader may not add it.
async fn preview(asker: &Asker, fields: &Fields) -> Result<Option<Markup>, Trouble> {
    if !fields.has("id") || !asker.is_operator() {
        return Ok(None);
    }
    let reason = fields.get("reason").unwrap_or("a preview");
    let dry = call(asker, fields, reason)?.query("dry_run", "true");
    let rule: Rule = asker.ask(dry).await?;
    let share = rule.effect.as_ref().map(|it| it.share_traces_per_second);
    Ok(Some(html! {
        dl.figures {
            div { dt { "It matches" } dd { strong { (rule.matched()) } } }
            @if let Some(share) = share {
                (figure("They keep", &format!("{} → {} traces/s", number(share.before), number(share.after)),
                    "without it → with it"))
            }
            @if let Some(effect) = &rule.effect {
                div { dt { "It costs the others" } dd { strong { (effect.cost()) } } }
            }
        }
        @if let Some(effect) = &rule.effect { (effect.givers()) }
    }))
}

async fn page(
    asker: &Asker,
    fields: &Fields,
    trouble: Option<Trouble>,
) -> Result<HttpResponse, Trouble> {
    let held: Answer<Value> = asker.answer(Call::get("/v1/budget")).await?;
    let (preview, trouble) = outcome(trouble, preview(asker, fields).await);
    let form = Change {
        action: PATH,
        inputs: inputs(asker, fields),
        preview,
        trouble: trouble.as_ref(),
        seen: &held.tag,
        reason: fields.text("reason"),
        save: "Add the rule",
        may_save: asker.is_operator(),
    };
    let main = html! {
        nav.crumbs aria-label="Where this is" { a href=(SCREEN.path) { "Rules" } }
        h1 { "Add a rule" }
        p { "A rule changes how some operations are sampled. It has an owner and a reason, and says when it ends." }
        (form.shown())
    };
    let frame = Frame::of(asker, SCREEN, "Add a rule");
    Ok(frame.after(trouble.as_ref(), main))
}

fn inputs(asker: &Asker, fields: &Fields) -> Markup {
    let owner = asker.caller().name().to_owned();
    let input = |name, label, otherwise: &str, hint, is_number| {
        let value = match fields.has(name) {
            true => fields.text(name),
            false => otherwise,
        };
        let input = Input {
            name,
            label,
            value,
            hint,
            is_number,
        };
        input.shown()
    };
    let set = fields.text("set");
    html! {
        (input("id", "Name", "", "Letters, digits, hyphens, dots and underscores.", false))
        (input("service", "Service", "*", "A name, or a pattern with * and ?.", false))
        (input("operation", "Operation", "*", "A name, or a pattern, like GET /health*.", false))
        div.field {
            label for="in-set" { "Sets" }
            select id="in-set" name="set" {
                @for (name, label) in SETS {
                    option value=(name) selected[name == set] { (label) }
                }
            }
        }
        (input("value", "To", "", "A number.", true))
        (input("hours", "For hours", "24", "Then it ends by itself. Empty: it does not.", true))
        (input("owner", "Owner", &owner, "Who answers questions about it.", false))
        div.field {
            label { input type="checkbox" name="later" value="true" checked[fields.get("later").is_some()];
                " Nobody has reported these operations yet" }
        }
    }
}
