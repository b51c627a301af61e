//! Rolls the configuration back to an older revision: what that does, why, and go.

use actix_web::HttpResponse;
use actix_web::web::Payload;
use maud::{Markup, html};
use serde_json::{Value, json};

use super::SCREEN;
use crate::console::call::{Answer, Asker, Call};
use crate::console::effect::Effect;
use crate::console::form::{Change, Fields, Input, outcome, saved};
use crate::console::page::trouble::Trouble;
use crate::console::page::{Frame, link};

const PATH: &str = "/console/rollback";

/// Shows what it would do.
pub async fn show(asker: Asker) -> Result<HttpResponse, Trouble> {
    let fields = Fields::of_query(&asker.request);
    page(&asker, &fields, None).await
}

/// Rolls back.
pub async fn save(asker: Asker, payload: Payload) -> Result<HttpResponse, Trouble> {
    let fields = Fields::of_form(&asker.request, payload).await?;
    match write(&asker, &fields).await {
        Ok(()) => {
            let to = link(SCREEN.path, &[("saved", "rollback")]);
            Ok(saved(to))
        }
        Err(trouble) => page(&asker, &fields, Some(trouble)).await,
    }
}

fn revision(fields: &Fields) -> Result<u64, Trouble> {
    let given = fields.text("revision").parse().ok();
    given.ok_or_else(|| Trouble::wrong("revision", "must be the number of a revision"))
}

async fn write(asker: &Asker, fields: &Fields) -> Result<(), Trouble> {
    let back = Call::new("POST", "/v1/configuration/rollback")
        .if_match(fields.text("seen"))
        .query_if("reason", fields.get("reason"))
        .body(json!({ "revision": revision(fields)? }));
    asker.ask::<Value>(back).await.map(drop)
}

async fn effect(asker: &Asker, fields: &Fields) -> Result<Option<Effect>, Trouble> {
    if !fields.has("revision") {
        return Ok(None);
    }
    let older = Call::get("/v1/configuration/revisions/{revision}");
    let older: Value = asker
        .ask(older.at("revision", &revision(fields)?.to_string()))
        .await?;
    let preview = Call::new("POST", "/v1/configuration/preview").query("limit", 8);
    asker.ask(preview.body(older)).await.map(Some)
}

async fn page(
    asker: &Asker,
    fields: &Fields,
    trouble: Option<Trouble>,
) -> Result<HttpResponse, Trouble> {
    let held: Answer<Value> = asker.answer(Call::get("/v1/budget")).await?;
    let (preview, trouble) = outcome(trouble, effect(asker, fields).await);
    let form = Change {
        action: PATH,
        inputs: inputs(fields),
        preview: preview.map(|effect| effect.shown()),
        trouble: trouble.as_ref(),
        seen: &held.tag,
        reason: fields.text("reason"),
        save: "Roll back",
        may_save: asker.is_operator(),
    };
    let main = html! {
        nav.crumbs aria-label="Where this is" { a href=(SCREEN.path) { "Changes" } }
        h1 { "Roll back" }
        p { "Writes an older revision again, as the newest one. What was changed since is undone; it can be rolled back, too." }
        (form.shown())
    };
    let frame = Frame::of(asker, SCREEN, "Roll back");
    Ok(frame.after(trouble.as_ref(), main))
}

fn inputs(fields: &Fields) -> Markup {
    let input = Input {
        name: "revision",
        label: "Revision",
        value: fields.text("revision"),
        hint: "The number of the revision that comes back.",
        is_number: true,
    };
    input.shown()
}
