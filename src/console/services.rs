//! Who spends it? All services, sorted, searched and by group; a service's floor, cap and group are set from here.

pub mod settings;

use actix_web::HttpResponse;
use maud::{Markup, html};
use serde::Deserialize;
use serde_json::{Map, Value};

use super::call::{Asker, Call};
use super::form::Fields;
use super::page::format::{number, percent};
use super::page::plots::{bar, sparkline};
use super::page::trouble::Trouble;
use super::page::{Frame, Screen, link, service_link, service_path};

/// The screen.
pub const SCREEN: Screen = Screen {
    path: "/console/services",
    name: "Services",
};

/// Rows of a page.
const ROWS: usize = 50;

/// What rows are sorted by: its name in the API, and the title of its column.
const SORTS: [(&str, &str); 5] = [
    ("name", "Service"),
    ("offered", "Offered/s"),
    ("kept", "Kept/s"),
    ("probability", "Kept %"),
    ("missing", "Missing/s"),
];

#[derive(Debug, Deserialize)]
struct Services {
    services: Vec<Service>,
    found: usize,
    next: Option<String>,
}

#[derive(Debug, Deserialize)]
struct Service {
    service: String,
    operations: usize,
    offered_per_second: f64,
    share_traces_per_second: f64,
    part_of_budget: f64,
    missing_traces_per_second: f64,
    default_probability: f64,
    group: Option<String>,
    applies_strategy: Option<bool>,
    sparkline: Option<Sparkline>,
}

#[derive(Debug, Deserialize)]
struct Sparkline {
    observed_sampled_traces_per_second: Vec<Option<f64>>,
}

#[derive(Debug, Default, Deserialize)]
struct Groups {
    #[serde(default)]
    groups: Map<String, Value>,
}

/// Which services are shown.
struct Wanted {
    sort: &'static str,
    search: String,
    group: String,
    after: String,
}

impl Wanted {
    fn of(fields: &Fields) -> Self {
        let given = fields.text("sort");
        let sort = SORTS.iter().find(|(name, _)| *name == given);
        Self {
            sort: sort.map_or("kept", |(name, _)| *name),
            search: fields.text("search").to_owned(),
            group: fields.text("group").to_owned(),
            after: fields.text("after").to_owned(),
        }
    }

    fn call(&self, sparkline: &'static str) -> Call {
        let given = |value: &str| Some(value.to_owned()).filter(|value| !value.is_empty());
        Call::get("/v1/services")
            .query("sort", self.sort)
            .query("limit", ROWS)
            .query_if("search", given(&self.search))
            .query_if("group", given(&self.group))
            .query_if("after", given(&self.after))
            .query("sparkline", sparkline)
    }

    /// The same services in another order, or on another page.
    fn link(&self, sort: &str, after: &str) -> String {
        let all = [
            ("sort", sort),
            ("search", &*self.search),
            ("group", &*self.group),
            ("after", after),
        ];
        let given: Vec<_> = all
            .into_iter()
            .filter(|(_, value)| !value.is_empty())
            .collect();
        link(SCREEN.path, &given)
    }
}

/// Shows the list.
pub async fn show(asker: Asker) -> Result<HttpResponse, Trouble> {
    let fields = Fields::of_query(&asker.request);
    let wanted = Wanted::of(&fields);
    let length = asker.console.sparkline();
    let listed: Result<Services, Trouble> = asker.ask(wanted.call(length)).await;
    let groups: Groups = asker
        .ask(Call::get("/v1/configuration"))
        .await
        .unwrap_or_default();
    let body = match &listed {
        Ok(listed) => table(&wanted, listed, length),
        Err(trouble) => trouble.sentence(),
    };
    let main = html! {
        h1 { "Services: who spends it?" }
        @if fields.get("saved").is_some() {
            p.saved role="status" { "Saved. The next plan applies it, and SDKs with their next poll." }
        }
        (filters(&wanted, &groups))
        div id="panel" aria-live="polite" {}
        div id="live" { section.card { (body) } }
    };
    Ok(Frame::of(&asker, SCREEN, "Services").ok(main))
}

fn filters(wanted: &Wanted, groups: &Groups) -> Markup {
    let names = groups.groups.keys().map(String::as_str).chain(["none"]);
    html! {
        form.filters method="get" action=(SCREEN.path) role="search" {
            input type="hidden" name="sort" value=(wanted.sort);
            div {
                label for="search" { "Name" }
                input id="search" name="search" type="search" value=(wanted.search) maxlength="256";
            }
            @if !groups.groups.is_empty() {
                div {
                    label for="group" { "Group" }
                    select id="group" name="group" {
                        option value="" { "all" }
                        @for name in names {
                            option value=(name) selected[name == wanted.group] { (name) }
                        }
                    }
                }
            }
            button type="submit" { "Show" }
        }
    }
}

fn table(wanted: &Wanted, listed: &Services, length: &str) -> Markup {
    html! {
        div.scroll tabindex="0" role="group" aria-label="Services" { table {
            caption { (listed.found) " services"
                @if !wanted.search.is_empty() { " with “" (wanted.search) "”" }
                @if !wanted.group.is_empty() { " in group " (wanted.group) } }
            thead { tr {
                @for (sort, title) in SORTS {
                    (head(wanted, sort, title))
                    @if sort == "kept" { th scope="col" { "Part of the budget" } }
                }
                th scope="col" { (length) }
                th scope="col" { span.unseen { "Settings" } }
            } }
            tbody { @for service in &listed.services { (service.row()) } }
        } }
        @if listed.services.is_empty() { p.quiet { "No service is shown by this." } }
        p.pages {
            @if !wanted.after.is_empty() { a href=(wanted.link(wanted.sort, "")) { "First page" } }
            @if let Some(next) = &listed.next { a href=(wanted.link(wanted.sort, next)) rel="next" { "Next " (ROWS) } }
        }
    }
}

fn head(wanted: &Wanted, sort: &str, title: &str) -> Markup {
    let is_sorted = sort == wanted.sort;
    // What is least comes first by name and by probability.
    let order = if ["name", "probability"].contains(&sort) {
        "ascending"
    } else {
        "descending"
    };
    html! {
        th scope="col" .figure[sort != "name"] aria-sort=[is_sorted.then_some(order)] {
            a href=(wanted.link(sort, "")) aria-current=[is_sorted.then_some("true")] {
                (title)
                @if is_sorted { span aria-hidden="true" { @if order == "ascending" { " ↑" } @else { " ↓" } } }
            }
        }
    }
}

impl Service {
    fn part(&self) -> f64 {
        match self.offered_per_second > 0.0 {
            true => (self.share_traces_per_second / self.offered_per_second).min(1.0),
            false => self.default_probability,
        }
    }

    fn row(&self) -> Markup {
        let settings = format!("{}/settings", service_path(&self.service));
        let line = self.sparkline.as_ref();
        let line = line.map(|of| sparkline(&of.observed_sampled_traces_per_second, "Kept lately"));
        html! {
            tr {
                th scope="row" {
                    (service_link(&self.service)) " "
                    span.quiet title="operations" { (self.operations) }
                    @if let Some(group) = &self.group { " " span.tag { (group) } }
                    @if self.applies_strategy == Some(false) { " " span.tag.bad { "does not apply" } }
                }
                td.figure { (number(self.offered_per_second)) }
                td.figure { (number(self.share_traces_per_second)) }
                td { (bar(self.part_of_budget)) }
                td.figure { (percent(self.part())) }
                td.figure {
                    @if self.missing_traces_per_second > 0.0 {
                        span.warn { (number(self.missing_traces_per_second)) }
                    } @else { "0" }
                }
                td { @if let Some(line) = line { (line) } @else { "–" } }
                td { a href=(settings) hx-get=(settings) hx-target="#panel" hx-select="#settings"
                    aria-label=(format!("set… floor, cap and group of {}", self.service)) { "set…" } }
            }
        }
    }
}
