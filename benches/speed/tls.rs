//! Polls over TLS, beside the same polls without it: on a connection that is kept, and each with a
//! handshake.
//!
//! One process serves both, and its time on a core for a poll is compared, so it does not matter how
//! much of the machine wrk takes.

use crate::cores;
use crate::cycle::Told;
use crate::fleet::{Fleet, PER_SERVICE};
use crate::process::WeirProcess;
use crate::support::tls::{Authority, Secret, Valid};
use crate::table::{Row, thousands};
use crate::{median, wrk};

const SERVICES: usize = 1_000;
const ROUNDS: usize = 7;
const SECONDS: u32 = 2;

/// One service, on connections that are kept.
const KEPT: &str = r#"
request = function()
    return wrk.format("GET", "/sampling?service=service-77")
end
"#;

/// The same, each on a connection of its own.
const NEW_CONNECTIONS: &str = r#"
request = function()
    return wrk.format("GET", "/sampling?service=service-77", {["Connection"] = "close"})
end
"#;

pub async fn run() {
    let authority = Authority::new("bench");
    let secret = Secret::of(&authority.server(Valid::NOW));
    let client = reqwest::Client::new();
    let directory = tempfile::tempdir().unwrap();
    let command = WeirProcess::command()
        .flag("--data-dir", directory.path())
        .flag("--tls-cert", secret.file("tls.crt"))
        .flag("--tls-key", secret.file("tls.key"))
        // It answers polls over HTTP/1.1 as the SDK listener does.
        .flag("--tls-listeners", "grpc");
    let mut fleet = Fleet::new(SERVICES);
    let weir = command.clone().flag("--interval", fleet.interval_text());
    let weir = weir.start().await;
    let mut told = Told::default();
    while told.operations < fleet.operations() as f64 {
        told = Told::next(&weir, &client, &mut fleet, &told).await;
    }
    assert!(weir.terminate().await.success());
    // With an hour to the next plan, what is measured is polls alone.
    let weir = command
        .flag("--interval", "1h")
        .environment("WEIR_CHANGE_FLEET_SETTINGS", "true")
        .start()
        .await;
    let plain = weir.sdk_url();
    let encrypted = weir.grpc_url().replace("http://", "https://");
    let body = client.get(format!("{plain}/sampling?service=service-77"));
    let body = body.send().await.unwrap().bytes().await.unwrap();
    let listed = body.windows(11).filter(|at| at == b"\"operation\"").count();
    assert_eq!(listed, PER_SERVICE, "the plan is served");
    let of = |url: &str, script| {
        let before = cores::seconds_of(weir.id());
        let load = wrk::run(url, script, 32, SECONDS);
        let spent = cores::seconds_of(weir.id()) - before;
        load.requests_per_second * f64::from(SECONDS) / spent
    };
    let rounds: Vec<[f64; 4]> = (0..ROUNDS)
        .map(|_| {
            [
                of(plain, KEPT),
                of(&encrypted, KEPT),
                of(plain, NEW_CONNECTIONS),
                of(&encrypted, NEW_CONNECTIONS),
            ]
        })
        .collect();
    print(&rounds, body.len());
}

fn print(rounds: &[[f64; 4]], bytes: usize) {
    let of = |figure: &dyn Fn(&[f64; 4]) -> f64| median(rounds.iter().map(figure).collect());
    let row = |what: String, ours: usize, plain: usize, beside: &str| {
        Row::new(what, thousands(of(&|round| round[ours])) + "/s", "")
            .beside(
                format!("{}/s, {beside}", thousands(of(&|round| round[plain]))),
                of(&|round| round[ours] / round[plain]),
            )
            .print();
    };
    row(
        format!("polls over TLS of {bytes} bytes, on kept connections, per core"),
        1,
        0,
        "without TLS",
    );
    row(
        "— each with a handshake in full".into(),
        3,
        2,
        "on connections of their own",
    );
}
