//! Changes the budget: a figure, what it would do, why, and save.

use actix_web::HttpResponse;
use actix_web::web::Payload;
use maud::{Markup, html};
use serde::Deserialize;
use serde_json::{Value, json};

use super::call::{Answer, Asker, Call};
use super::effect::Effect;
use super::form::{Change, Fields, Input, outcome, saved};
use super::overview::SCREEN;
use super::page::format::{a_month, number};
use super::page::trouble::Trouble;
use super::page::{Frame, link};

const PATH: &str = "/console/budget";

/// The units of a budget, as the API names them.
const UNITS: [(&str, &str); 3] = [
    ("traces_per_second", "traces per second"),
    ("spans_per_second", "spans per second"),
    ("gigabytes_per_month", "gigabytes a month"),
];

/// The budget, as the API says it.
#[derive(Debug, Clone, Deserialize)]
pub struct Budget {
    /// In traces, at what a trace costs now.
    pub traces_per_second: f64,
    spans_per_second: Option<f64>,
    gigabytes_per_month: Option<f64>,
}

impl Budget {
    /// The budget as it is configured, if that is not in traces.
    #[must_use]
    pub fn in_other_units(&self) -> Option<String> {
        let spans = self
            .spans_per_second
            .map(|of| format!("{} spans/s", number(of)));
        spans.or_else(|| {
            self.gigabytes_per_month
                .map(|of| format!("{} GB a month", number(of)))
        })
    }

    /// Its amount and unit.
    fn configured(&self) -> (f64, &'static str) {
        match (self.spans_per_second, self.gigabytes_per_month) {
            (Some(spans), _) => (spans, UNITS[1].0),
            (_, Some(gigabytes)) => (gigabytes, UNITS[2].0),
            _ => (self.traces_per_second, UNITS[0].0),
        }
    }
}

/// What the form says: an amount and its unit.
struct Wanted {
    amount: Option<f64>,
    unit: &'static str,
}

impl Wanted {
    fn of(fields: &Fields, held: &Budget) -> Result<Self, Trouble> {
        let given = fields.get("unit").unwrap_or(held.configured().1);
        let unit = UNITS.iter().find(|(name, _)| *name == given);
        let unit = unit.map(|(name, _)| *name);
        let unit =
            unit.ok_or_else(|| Trouble::wrong("unit", "is none of the units of a budget"))?;
        Ok(Self {
            amount: fields.number("amount")?,
            unit,
        })
    }

    fn document(&self) -> Option<Value> {
        self.amount.map(|amount| json!({ self.unit: amount }))
    }
}

/// Shows the form, and the preview of what it says.
pub async fn show(asker: Asker) -> Result<HttpResponse, Trouble> {
    let fields = Fields::of_query(&asker.request);
    page(&asker, &fields, None).await
}

/// Saves what the form says.
pub async fn save(asker: Asker, payload: Payload) -> Result<HttpResponse, Trouble> {
    let fields = Fields::of_form(&asker.request, payload).await?;
    match write(&asker, &fields).await {
        Ok(()) => {
            let place = link("/", &[("saved", "budget")]);
            Ok(saved(place))
        }
        Err(trouble) => page(&asker, &fields, Some(trouble)).await,
    }
}

async fn write(asker: &Asker, fields: &Fields) -> Result<(), Trouble> {
    let held: Budget = asker.ask(Call::get("/v1/budget")).await?;
    let wanted = Wanted::of(fields, &held)?.document();
    let wanted = wanted.ok_or_else(|| Trouble::wrong("amount", "say how much"))?;
    let put = Call::new("PUT", "/v1/budget").if_match(fields.text("seen"));
    let put = put.query_if("reason", fields.get("reason")).body(wanted);
    asker.ask::<Value>(put).await.map(drop)
}

async fn page(
    asker: &Asker,
    fields: &Fields,
    trouble: Option<Trouble>,
) -> Result<HttpResponse, Trouble> {
    let held: Answer<Budget> = asker.answer(Call::get("/v1/budget")).await?;
    let (preview, trouble) = outcome(trouble, effect(asker, fields, &held.of).await);
    let form = Change {
        action: PATH,
        inputs: inputs(fields, &held.of),
        preview: preview.map(|effect| effect.shown()),
        trouble: trouble.as_ref(),
        seen: &held.tag,
        reason: fields.text("reason"),
        save: "Save the budget",
        may_save: asker.is_operator(),
    };
    let traces = held.of.traces_per_second;
    let main = html! {
        h1 { "The budget" }
        p { "The whole fleet may keep " strong { (number(traces)) " traces/s" } ", ≈ " (a_month(traces)) " a month"
            @if let Some(said) = held.of.in_other_units() { " (" (said) ")" } "." }
        (form.shown())
    };
    let frame = Frame::of(asker, SCREEN, "The budget");
    Ok(frame.after(trouble.as_ref(), main))
}

/// The effect of what the form says; none if it says nothing.
async fn effect(asker: &Asker, fields: &Fields, held: &Budget) -> Result<Option<Effect>, Trouble> {
    let Some(wanted) = Wanted::of(fields, held)?.document() else {
        return Ok(None);
    };
    let mut document: Value = asker.ask(Call::get("/v1/configuration")).await?;
    let whole = document.as_object_mut().ok_or_else(Trouble::internal)?;
    whole.insert("budget".into(), wanted);
    let preview = Call::new("POST", "/v1/configuration/preview").query("limit", 8);
    asker.ask(preview.body(document)).await.map(Some)
}

fn inputs(fields: &Fields, held: &Budget) -> Markup {
    let (amount, unit) = held.configured();
    let amount = amount.to_string();
    let chosen = fields.get("unit").unwrap_or(unit);
    let input = Input {
        name: "amount",
        label: "Budget",
        value: fields.get("amount").unwrap_or(&amount),
        hint: "What the whole fleet may keep.",
        is_number: true,
    };
    html! {
        (input.shown())
        div.field {
            label for="in-unit" { "Unit" }
            select id="in-unit" name="unit" {
                @for (name, shown) in UNITS {
                    option value=(name) selected[name == chosen] { (shown) }
                }
            }
        }
    }
}
