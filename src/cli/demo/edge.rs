//! `weir demo --edge`: a server and an edge in one process, traces of which it is known what they are, and a verdict on
//! what was kept.

use std::ops::RangeInclusive;
use std::process::ExitCode;
use std::time::Duration;

use clap::builder::Resettable;
use clap::{Args, Command, FromArgMatches};
use serde_json::{Value, json};
use tokio::time::{Instant, MissedTickBehavior};
use tokio_util::sync::CancellationToken;
use weir_edge::{Edge, Failure};
use weir_terminal::{BAD, BOLD, GOOD, Table, number, outln, percent};

use super::{DemoArgs, EmbeddedSettings, EmbeddedWeir, StartError, TemporaryDirectory, start};
use crate::allocation::Class;
use crate::cli::replay::{ReplayError, refused};
use crate::cli::say;
use crate::cli::shown::json_document;
use crate::clock::{Clock, SystemClock};
use crate::simulate::Client;
use crate::simulate::client::{ClientError, EdgeClient};
use crate::simulate::tail::{Counted, Rates, SERVICE, SLOW_MS, Seen, TailVerdict, Traces};
use crate::telemetry::logging::chain;

/// How often traces come.
const STEP: Duration = Duration::from_millis(100);

/// Until an edge decides.
const IN_EFFECT_WITHIN: Duration = Duration::from_secs(60);

/// The budgets that can be demonstrated: with less, too few errors come to judge; with more, this takes a machine.
const BUDGETS: RangeInclusive<f64> = 20.0..=500.0;

/// Intervals in which the plan learns what the service's traffic is.
const WARM_UP: u32 = 5;

/// The fewest intervals that each half is judged by.
const JUDGED_MIN: u32 = 5;

/// The part of the budget that errors may take.
const ERRORS: f64 = 0.05;

/// The part of the budget that tagged requests may take.
const TAGGED: f64 = 0.1;

/// Why there was no demonstration.
#[derive(Debug, thiserror::Error)]
enum NoVerdict {
    #[error(transparent)]
    Flag(ReplayError),
    #[error("cannot make a directory for the database: {0}")]
    Directory(#[source] std::io::Error),
    #[error("the server failed: {}", chain(&**.0))]
    Server(StartError),
    #[error("the edge failed: {}", chain(.0))]
    Edge(Failure),
    #[error("the {0} stopped early")]
    Ended(&'static str),
    #[error(transparent)]
    Client(#[from] ClientError),
    #[error(
        "the edge did not decide within {}",
        humantime::format_duration(IN_EFFECT_WITHIN)
    )]
    NotInEffect,
    #[error("it was stopped before there was a verdict")]
    Stopped,
}

/// Runs it. Exit status as [`super::run`].
pub(super) async fn run(args: &DemoArgs, stop: &CancellationToken) -> ExitCode {
    match demonstrate(args, stop).await {
        Ok(verdict) => ExitCode::from(u8::from(!verdict.is_good())),
        Err(error) => {
            say(&format!("weir: {error}"));
            ExitCode::from(2)
        }
    }
}

/// Starts both, plays against them, and stops them.
async fn demonstrate(args: &DemoArgs, stop: &CancellationToken) -> Result<TailVerdict, NoVerdict> {
    let judged = args.judged()?;
    let directory = TemporaryDirectory::new().map_err(NoVerdict::Directory)?;
    let settings = EmbeddedSettings {
        interval: args.interval,
        // An edge reports once a second at most.
        grace: (args.interval / 6).max(Duration::from_secs(1)),
        data_dir: directory.path.clone(),
    };
    let (stop_server, stop_edge) = (CancellationToken::new(), CancellationToken::new());
    let started = start(settings, stop_server.clone()).await;
    let mut weir = started.map_err(NoVerdict::Server)?;
    let client = Client::new(&weir.sdk_url, &weir.admin_url)?;
    let edge = build(&weir).await.map_err(NoVerdict::Edge)?;
    let at = edge.addresses();
    let otlp = format!("http://{}", at.http);
    let edge_client = EdgeClient::new(&client, &otlp, &format!("http://{}", at.admin))?;
    args.tell(&weir, &otlp, &format!("http://{}/metrics", at.admin));
    let running = edge.run(stop_edge.clone());
    tokio::pin!(running);
    let played = Playing {
        args,
        client,
        edge: edge_client,
        traces: Traces::new(args.seed),
    };
    let verdict = tokio::select! {
        verdict = played.play(judged, stop) => verdict,
        ended = &mut running => Err(ended.map_or_else(NoVerdict::Edge, |()| NoVerdict::Ended("edge"))),
        ended = &mut weir.running => {
            Err(ended.map_or_else(NoVerdict::Server, |()| NoVerdict::Ended("server")))
        }
    }?;
    // The edge first: it has counts to report.
    stop_edge.cancel();
    let ending = async {
        let edge = running.await;
        stop_server.cancel();
        edge
    };
    let (edge, server) = tokio::join!(ending, weir.running);
    edge.map_err(NoVerdict::Edge)?;
    server.map_err(NoVerdict::Server)?;
    Ok(verdict)
}

/// An edge on free ports that follows this Weir. What it keeps goes to Weir, too, which takes it and keeps nothing.
async fn build(weir: &EmbeddedWeir) -> Result<Edge, Failure> {
    let sdk = weir.sdk_url.as_str();
    let listeners = ["--grpc-listen", "--http-listen", "--admin-listen"];
    let mut flags = vec![
        "edge",
        "--weir",
        sdk,
        "--backend",
        sdk,
        "--name",
        "demo-edge",
    ];
    flags.extend(listeners.into_iter().flat_map(|flag| [flag, "127.0.0.1:0"]));
    flags.extend(["--memory", "64MiB", "--report-interval", "1s"]);
    flags.extend(["--decision-delay", "200ms"]);
    // The environment is that of other edges.
    let command = weir_edge::Settings::augment_args(Command::new("edge"));
    let command = command.mut_args(|flag| flag.env(Resettable::Reset));
    let matches = command.get_matches_from(flags);
    let settings = weir_edge::Settings::from_arg_matches(&matches);
    Edge::build(settings.expect("these flags are an edge's")).await
}

impl DemoArgs {
    /// How many intervals each half lasts.
    fn judged(&self) -> Result<u32, NoVerdict> {
        if !BUDGETS.contains(&self.budget) {
            let (least, most) = (BUDGETS.start(), BUDGETS.end());
            let problem = format!("must be between {least} and {most} with --edge");
            return Err(NoVerdict::Flag(refused("budget", self.budget, problem)));
        }
        let intervals = (self.seconds as f64 / self.interval.as_secs_f64()) as u32;
        let judged = intervals.saturating_sub(WARM_UP) / 2;
        if judged >= JUDGED_MIN {
            return Ok(judged);
        }
        let fewest = WARM_UP + 2 * JUDGED_MIN;
        let interval = humantime::format_duration(self.interval);
        let problem = format!("must be {fewest} intervals of {interval} at least with --edge");
        Err(NoVerdict::Flag(refused("seconds", self.seconds, problem)))
    }

    fn tell(&self, weir: &EmbeddedWeir, otlp: &str, metrics: &str) {
        let admin = &weir.admin_url;
        say("A Weir and an edge run for this, and you can look at them meanwhile:");
        for (what, address) in [
            ("its console", format!("{admin}/")),
            (
                "what the plan says",
                format!("{admin}/v1/services/{SERVICE}"),
            ),
            ("where spans go", otlp.to_owned()),
            ("the edge's metrics", metrics.to_owned()),
            ("in another terminal", format!("weir top --url {admin}")),
        ] {
            say(&format!("  {what:<20} {address}"));
        }
    }

    /// What is set: errors and tagged requests whole, up to a cap each.
    fn document(&self) -> Value {
        let errors = json!({"cap_traces_per_second": ERRORS * self.budget});
        json!({
            "budget": {"traces_per_second": self.budget},
            "services": {SERVICE: {"governed": "tail", "slow_ms": SLOW_MS, "classes": {"error": errors}}},
            "rules": {"test-actors": {
                "service": SERVICE, "attributes": {"test.actor": "*"},
                "set": {"cap_traces_per_second": TAGGED * self.budget},
                "owner": "weir demo", "reason": "a demonstration", "expires": "never", "expect": "later",
            }},
        })
    }

    fn print(&self, verdict: &TailVerdict) {
        let findings = verdict.findings();
        if !self.shown.for_people() {
            json_document(&json!({
                "budget_traces_per_second": verdict.budget, "good": verdict.is_good(),
                "calm": by_class(&verdict.calm), "storm": by_class(&verdict.storm),
                "findings": findings,
            }));
            return;
        }
        let mut table = Table::new(&["of checkout", ">traces/s", ">kept/s", ">kept"]);
        rows(&mut table, "calm", &verdict.calm);
        rows(&mut table, "errors come 100 times as often", &verdict.storm);
        table.print();
        outln!();
        for finding in &findings {
            let (style, word) = if finding.is_good {
                (GOOD, "yes")
            } else {
                (BAD, "NO ")
            };
            outln!("{style}{word}{style:#}  {}", finding.said);
        }
        let said = if verdict.is_good() {
            "The edge kept what matters whole, and the budget."
        } else {
            "The edge missed what is marked with NO. A busy machine is one reason: run it again."
        };
        outln!("\n{BOLD}{said}{BOLD:#}");
    }
}

/// What came and was kept, for programs.
fn by_class(seen: &Seen) -> Value {
    let of = |class: Class| {
        let (came, kept) = (seen.came[class as usize], seen.kept[class as usize]);
        let figures = json!({"offered_per_second": came, "kept_traces_per_second": kept});
        (class.name().to_owned(), figures)
    };
    Value::Object(Class::ALL.map(of).into_iter().collect())
}

/// A row for each class.
fn rows(table: &mut Table, when: &str, seen: &Seen) {
    table.between(when.to_owned());
    let names = [
        (Class::Error, "errors"),
        (Class::Slow, "slow: over 500 ms"),
        (Class::Tagged, "tagged: test.actor is there"),
        (Class::Rest, "the rest"),
    ];
    for (class, name) in names {
        let (came, kept) = (seen.came[class as usize], seen.kept[class as usize]);
        let part = percent(seen.part(class));
        table.row([format!("  {name}"), number(came), number(kept), part]);
    }
    let (came, kept) = seen.together();
    let part = percent(kept / came.max(f64::MIN_POSITIVE));
    table.styled(
        BOLD,
        ["  together".into(), number(came), number(kept), part],
    );
}

/// A service that sends its traces.
struct Playing<'a> {
    args: &'a DemoArgs,
    client: Client,
    edge: EdgeClient,
    traces: Traces,
}

impl Playing<'_> {
    async fn play(
        mut self,
        judged: u32,
        stop: &CancellationToken,
    ) -> Result<TailVerdict, NoVerdict> {
        let budget = self.args.budget;
        let (calm, storm) = (Rates::calm(budget), Rates::storm(budget));
        self.client.configure(&self.args.document()).await?;
        say("The service is set to be decided about when its traces have ended.");
        let until = Instant::now() + IN_EFFECT_WITHIN;
        while self.client.tail(SERVICE).await?.as_deref() != Some("in_effect") {
            if Instant::now() >= until {
                return Err(NoVerdict::NotInEffect);
            }
            self.send(&calm, 10 * STEP, stop).await?;
        }
        say("The edge decides: a calm while …");
        self.send(&calm, WARM_UP * self.args.interval, stop).await?;
        let calm = self.watch(&calm, judged, stop).await?;
        say("… and now errors come 100 times as often.");
        let stormy = self.watch(&storm, judged, stop).await?;
        let verdict = TailVerdict {
            budget,
            error_cap: ERRORS * budget,
            calm,
            storm: stormy,
        };
        self.args.print(&verdict);
        if self.args.keep {
            say("Weir, the edge and the service go on until Ctrl-C (--keep).");
            let again = Rates::calm(budget);
            while self.send(&again, self.args.interval, stop).await.is_ok() {}
        }
        Ok(verdict)
    }

    /// Sends for some intervals, and says what was kept.
    async fn watch(
        &mut self,
        rates: &Rates,
        intervals: u32,
        stop: &CancellationToken,
    ) -> Result<Seen, NoVerdict> {
        let (before, began): (Counted, Instant) = (self.edge.counted().await?, Instant::now());
        self.send(rates, intervals * self.args.interval, stop)
            .await?;
        let after = self.edge.counted().await?;
        Ok(after.since(&before, began.elapsed().as_secs_f64()))
    }

    /// Sends what comes in a time, as it comes.
    async fn send(
        &mut self,
        rates: &Rates,
        time: Duration,
        stop: &CancellationToken,
    ) -> Result<(), NoVerdict> {
        let mut ticks = tokio::time::interval(STEP);
        // What was missed is sent later.
        ticks.set_missed_tick_behavior(MissedTickBehavior::Burst);
        ticks.tick().await;
        for _ in 0..time.as_millis() / STEP.as_millis() {
            let ticked = stop.run_until_cancelled(ticks.tick()).await;
            ticked.ok_or(NoVerdict::Stopped)?;
            let now = SystemClock.now();
            let export = self.traces.export(rates, STEP.as_secs_f64(), now);
            self.edge.send(&export).await?;
        }
        Ok(())
    }
}
