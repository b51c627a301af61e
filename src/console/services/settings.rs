//! Sets the floor, the cap and the group of a service, from its row or on a page of its own.

use actix_web::HttpResponse;
use actix_web::web::{Path, Payload};
use maud::{Markup, html};
use serde_json::{Value, json};

use super::SCREEN;
use crate::console::call::{Answer, Asker, Call};
use crate::console::effect::Effect;
use crate::console::form::{Change, Fields, Input, outcome, saved};
use crate::console::page::trouble::Trouble;
use crate::console::page::{Frame, link, service_path};

const FLOOR: &str = "floor_traces_per_second";
const CAP: &str = "cap_traces_per_second";
const GROUP: &str = "group";

/// Shows the form, and the preview of what it says.
pub async fn show(asker: Asker, service: Path<String>) -> Result<HttpResponse, Trouble> {
    let fields = Fields::of_query(&asker.request);
    page(&asker, &service, &fields, None).await
}

/// Saves what the form says.
pub async fn save(
    asker: Asker,
    service: Path<String>,
    payload: Payload,
) -> Result<HttpResponse, Trouble> {
    let fields = Fields::of_form(&asker.request, payload).await?;
    match write(&asker, &service, &fields).await {
        Ok(()) => {
            let to = link(
                SCREEN.path,
                &[("search", &**service), ("saved", "settings")],
            );
            Ok(saved(to))
        }
        Err(trouble) => page(&asker, &service, &fields, Some(trouble)).await,
    }
}

/// The configuration with what the form says. A field that is empty takes the setting away.
fn with(mut document: Value, service: &str, fields: &Fields) -> Result<Value, Trouble> {
    let all = document.get_mut("services").and_then(Value::as_object_mut);
    let all = all.ok_or_else(Trouble::internal)?;
    let held = all.remove(service).filter(Value::is_object);
    let mut settings = held.unwrap_or_else(|| json!({}));
    for name in [FLOOR, CAP] {
        settings[name] = fields.number(name)?.map_or(Value::Null, Value::from);
    }
    settings[GROUP] = fields.get(GROUP).map_or(Value::Null, Value::from);
    if let Some(settings) = settings.as_object_mut() {
        settings.retain(|_, value| !value.is_null());
    }
    if settings != json!({}) {
        all.insert(service.to_owned(), settings);
    }
    Ok(document)
}

async fn write(asker: &Asker, service: &str, fields: &Fields) -> Result<(), Trouble> {
    let document: Value = asker.ask(Call::get("/v1/configuration")).await?;
    let wanted = with(document, service, fields)?;
    let put = Call::new("PUT", "/v1/configuration").if_match(fields.text("seen"));
    let put = put.query_if("reason", fields.get("reason")).body(wanted);
    asker.ask::<Value>(put).await.map(drop)
}

async fn page(
    asker: &Asker,
    service: &str,
    fields: &Fields,
    trouble: Option<Trouble>,
) -> Result<HttpResponse, Trouble> {
    let held: Answer<Value> = asker.answer(Call::get("/v1/configuration")).await?;
    let (preview, trouble) = outcome(trouble, effect(asker, service, fields, &held.of).await);
    let action = format!("{}/settings", service_path(service));
    let form = Change {
        action: &action,
        inputs: inputs(service, fields, &held.of),
        preview: preview.map(|effect| effect.shown()),
        trouble: trouble.as_ref(),
        seen: &held.tag,
        reason: fields.text("reason"),
        save: "Save",
        may_save: asker.is_operator(),
    };
    let main = html! {
        h1 { "Settings of " (service) }
        section id="settings" aria-label=(format!("Settings of {service}")) {
            p { strong { (service) } ": the least and the most that the whole service is given, and its group." }
            (form.shown())
        }
    };
    let frame = Frame::of(asker, SCREEN, &format!("Settings of {service}"));
    Ok(frame.after(trouble.as_ref(), main))
}

/// The effect of what the form says; none if nothing was said yet.
async fn effect(
    asker: &Asker,
    service: &str,
    fields: &Fields,
    held: &Value,
) -> Result<Option<Effect>, Trouble> {
    if !fields.has(FLOOR) {
        return Ok(None);
    }
    let wanted = with(held.clone(), service, fields)?;
    let preview = Call::new("POST", "/v1/configuration/preview").query("limit", 8);
    asker.ask(preview.body(wanted)).await.map(Some)
}

fn inputs(service: &str, fields: &Fields, held: &Value) -> Markup {
    let settings = &held["services"][service];
    let value = |name: &str| match fields.has(name) {
        true => fields.text(name).to_owned(),
        false => match &settings[name] {
            Value::Null => String::new(),
            Value::String(text) => text.clone(),
            other => other.to_string(),
        },
    };
    let amount = |name, label, hint| {
        let value = value(name);
        let input = Input {
            name,
            label,
            value: &value,
            hint,
            is_number: true,
        };
        input.shown()
    };
    let chosen = value(GROUP);
    let groups = held["groups"].as_object();
    html! {
        (amount(FLOOR, "Floor", "Traces/s that it is given at least, if it has as many. Empty: none."))
        (amount(CAP, "Cap", "Traces/s that it is given at most. Empty: none."))
        div.field {
            label for="in-group" { "Group" }
            select id="in-group" name=(GROUP) {
                option value="" { "none" }
                @for name in groups.into_iter().flat_map(|groups| groups.keys()) {
                    option value=(name) selected[*name == chosen] { (name) }
                }
            }
            p.hint { "Groups have a floor and a cap of their own." }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_empty_is_taken_away_and_the_rest_stays() {
        let document = json!({"budget": 1, "services": {
            "a": {"cap_traces_per_second": 3.0, "each": {"weight": 2.0}}, "b": {"group": "x"}}});
        let fields = Fields::parse("floor_traces_per_second=1.5&cap_traces_per_second=&group=");
        let changed = with(document.clone(), "a", &fields).unwrap();
        let a = json!({"each": {"weight": 2.0}, "floor_traces_per_second": 1.5});
        assert_eq!(changed["services"], json!({"a": a, "b": {"group": "x"}}));
        let empty = Fields::parse("floor_traces_per_second=&group=");
        let changed = with(document, "b", &empty).unwrap();
        assert_eq!(changed["services"].as_object().unwrap().len(), 1);
        let new = with(json!({"services": {}}), "c", &fields).unwrap();
        assert_eq!(
            new["services"]["c"],
            json!({"floor_traces_per_second": 1.5})
        );
    }
}
