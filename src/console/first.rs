//! The first run: steps that tick themselves, what to copy for each SDK, and the word to go. Nobody is steered before it.

use actix_web::HttpResponse;
use actix_web::web::Payload;
use maud::{Markup, html};
use serde::Deserialize;
use serde_json::{Value, json};

use super::call::{Answer, Asker, Call};
use super::form::{Change, Fields, saved};
use super::page::format::number;
use super::page::trouble::Trouble;
use super::page::{Frame, Screen, card, link};
use super::recipes::{RECIPES, of_id, snippet};

/// The screen.
pub const SCREEN: Screen = Screen {
    path: "/console/first-run",
    name: "First run",
};

#[derive(Debug, Deserialize)]
struct Plan {
    plan: u64,
    offered_per_second: f64,
    budget_traces_per_second: f64,
    expected_sampled_traces_per_second: f64,
    services: u64,
}

#[derive(Debug, Deserialize)]
struct Pollers {
    both: usize,
    only_polls: usize,
}

#[derive(Debug, Deserialize)]
struct Mode {
    mode: String,
}

/// How far the first run is.
struct Progress {
    plan: Option<Plan>,
    polling: usize,
    mode: String,
    /// The tag of the configuration.
    tag: String,
}

impl Progress {
    async fn read(asker: &Asker) -> Result<Self, Trouble> {
        let plan = match asker.ask::<Plan>(Call::get("/v1/plans/current")).await {
            Ok(plan) => Some(plan),
            Err(trouble) if trouble.is_missing() => None,
            Err(trouble) => return Err(trouble),
        };
        let polled = Call::get("/v1/pollers").query("limit", 1);
        let polled: Pollers = asker.ask(polled).await?;
        let mode: Answer<Mode> = asker.answer(Call::get("/v1/mode")).await?;
        Ok(Self {
            plan,
            polling: polled.both + polled.only_polls,
            mode: mode.of.mode,
            tag: mode.tag,
        })
    }

    fn observes(&self) -> bool {
        self.mode == "observe"
    }

    /// Each step: whether it is done, what it is, and what is seen of it.
    fn steps(&self) -> [(bool, &'static str, String); 5] {
        let counted = self.plan.as_ref().filter(|of| of.offered_per_second > 0.0);
        [
            (true, "Weir runs", "you are looking at it".into()),
            (
                counted.is_some(),
                "The first count arrives",
                counted.map_or_else(
                    || "let a service send its metrics: copy them below".into(),
                    |of| {
                        format!(
                            "{} requests/s of {} services",
                            number(of.offered_per_second),
                            of.services
                        )
                    },
                ),
            ),
            (
                self.plan.is_some() && counted.is_some(),
                "The first plan is made",
                counted.map_or_else(
                    || "it follows the first count within two intervals".into(),
                    |of| {
                        format!(
                            "plan {} would keep {} of {} traces/s",
                            of.plan,
                            number(of.expected_sampled_traces_per_second),
                            number(of.budget_traces_per_second)
                        )
                    },
                ),
            ),
            (
                self.polling > 0,
                "The first SDK polls",
                match self.polling {
                    0 => "point one service at Weir: copy its sampler below".into(),
                    some => format!("for {some} services"),
                },
            ),
            (
                !self.observes(),
                "You say go",
                match self.observes() {
                    true => "until then SDKs are served the initial probability".into(),
                    false => "plans are served".into(),
                },
            ),
        ]
    }
}

/// Shows the steps.
pub async fn show(asker: Asker) -> Result<HttpResponse, Trouble> {
    let fields = Fields::of_query(&asker.request);
    page(&asker, &fields, None).await
}

/// Serves the plans from now on.
pub async fn go(asker: Asker, payload: Payload) -> Result<HttpResponse, Trouble> {
    let fields = Fields::of_form(&asker.request, payload).await?;
    let put = Call::new("PUT", "/v1/mode").if_match(fields.text("seen"));
    let put = put.query_if("reason", fields.get("reason"));
    let put = put.body(json!({ "mode": "enforce" }));
    match asker.ask::<Value>(put).await {
        Ok(_) => Ok(saved(link(SCREEN.path, &[("saved", "go")]))),
        Err(trouble) => page(&asker, &fields, Some(trouble)).await,
    }
}

async fn page(
    asker: &Asker,
    fields: &Fields,
    trouble: Option<Trouble>,
) -> Result<HttpResponse, Trouble> {
    let progress = Progress::read(asker).await?;
    let recipe = of_id(fields.text("sdk"));
    let main = html! {
        h1 { "First run: count, look, then steer" }
        @if fields.get("saved").is_some() {
            p.saved role="status" { "Plans are served from the next one on. The way back is " code { "weir mode observe" } "." }
        }
        div id="live" { (card("steps", "Steps", &steps(&progress))) }
        (card("copy", "What to copy", &html! {
            ul.tabs { @for of in RECIPES {
                li { a href=(link(SCREEN.path, &[("sdk", of.id)]))
                    aria-current=[(of.id == recipe.id).then_some("true")] { (of.name) } }
            } }
            (snippet("Count: its metrics, and no sampler is touched", recipe.counts))
            (snippet("Follow: its sampler", recipe.follows))
            p.quiet { "weir stands for the host of this Weir." }
        }))
        @if progress.observes() {
            section.card aria-labelledby="go-title" id="go" {
                h2 id="go-title" { "Go" }
                (ready(&progress))
                (go_form(asker, &progress, fields, trouble.as_ref()).shown())
            }
        }
    };
    let frame = Frame::of(asker, SCREEN, "First run");
    Ok(frame.after(trouble.as_ref(), main))
}

fn steps(progress: &Progress) -> Markup {
    html! {
        ol.steps { @for (done, what, seen) in progress.steps() {
            li {
                @if done { span.good { "✓ " span.unseen { "Done: " } } } @else { span.quiet { "○ " span.unseen { "Not yet: " } } }
                strong { (what) } " " span.quiet { (seen) }
            }
        } }
    }
}

fn ready(progress: &Progress) -> Markup {
    let counted = progress
        .plan
        .as_ref()
        .is_some_and(|of| of.offered_per_second > 0.0);
    html! {
        @if counted {
            p { "Weir only observes. When you like what " a href="/console/services" { "each service would get" } ", let it serve its plans." }
        } @else {
            p.warn { "Nothing is counted yet: with plans served now, everything would get the initial probability." }
        }
    }
}

fn go_form<'a>(
    asker: &Asker,
    progress: &'a Progress,
    fields: &'a Fields,
    trouble: Option<&'a Trouble>,
) -> Change<'a> {
    Change {
        action: SCREEN.path,
        inputs: html! {},
        preview: None,
        trouble,
        seen: &progress.tag,
        reason: fields.text("reason"),
        save: "Serve the plans",
        may_save: asker.is_operator(),
    }
}
