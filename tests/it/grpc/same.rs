//! gRPC, JSON and the file of all strategies say the same of every service of a plan.

use std::collections::BTreeMap;

use prost_reflect::{DynamicMessage, SerializeOptions};
use rand::rngs::StdRng;
use rand::{RngExt, SeedableRng};
use serde_json::{Value, json};

use super::descriptor::message;
use super::{DEADLINE, start};
use crate::support::app::{Agent, TestApp};
use crate::support::grpc::{POLL, Raw, framed};
use crate::support::process::eventually;

/// What names are made of: everything that JSON, URLs or protobuf might treat in its own way.
const LETTERS: [&str; 16] = [
    "a", "Z", "0", " ", "/", "{", "\"", "\\", "&", "+", "%", "é", "名", "🙂", "\u{200b}",
    "\u{2028}",
];

/// Names of 1 to 40 letters, all different.
fn names(random: &mut StdRng, number: usize) -> Vec<String> {
    let mut names = std::collections::BTreeSet::new();
    while names.len() < number {
        let letters = (0..random.random_range(1..=40))
            .map(|_| LETTERS[random.random_range(0..LETTERS.len())]);
        let name: String = letters.collect();
        // Names without these spaces around them are what agents report.
        names.insert(name.trim().to_owned());
    }
    names.into_iter().filter(|name| !name.is_empty()).collect()
}

/// A service's name with the offered rates of its operations.
type Fleet = Vec<(String, Vec<(String, f64)>)>;

fn fleet(seed: u64) -> Fleet {
    let mut random = StdRng::seed_from_u64(seed);
    let services = names(&mut random, 12);
    let mut operations = || {
        let number = random.random_range(0..30);
        let names = names(&mut random, number);
        names
            .into_iter()
            .map(|name| (name, random.random_range(1.0..5_000.0_f64)))
            .collect()
    };
    services
        .into_iter()
        .map(|service| (service, operations()))
        .collect()
}

/// Reports a fleet's traffic until the plan lists all of it.
async fn plan_of(app: &TestApp, fleet: &Fleet) {
    let expected: usize = fleet.iter().map(|(_, operations)| operations.len()).sum();
    let mut agent = Agent::new("a");
    eventually(DEADLINE, "a plan that lists everything", async || {
        let borrowed: Vec<(&str, Vec<(&str, f64)>)> = fleet
            .iter()
            .map(|(service, operations)| {
                let operations = operations.iter().map(|(name, rate)| (name.as_str(), *rate));
                (service.as_str(), operations.collect())
            })
            .collect();
        let rates: Vec<(&str, &[(&str, f64)])> =
            borrowed.iter().map(|(name, of)| (*name, &of[..])).collect();
        if let Some(report) = agent.next(&rates) {
            assert_eq!(app.report(&report).await.0, 200);
        }
        let (_, file) = app.get(format!("{}/strategies.json", app.sdk)).await;
        let listed = file["service_strategies"].as_array()?.iter();
        let listed = listed.map(|service| {
            service["operation_strategies"]
                .as_array()
                .map_or(0, Vec::len)
        });
        (listed.sum::<usize>() == expected).then_some(())
    })
    .await;
}

/// A poll over gRPC, read by the `.proto` file, with its plan's number.
async fn over_grpc(raw: &mut Raw, service: &str) -> (String, Value) {
    let asked = json!({ "serviceName": service });
    let parameters = message("jaeger.api_v2.SamplingStrategyParameters");
    let asked = DynamicMessage::deserialize(parameters, asked).expect("a request");
    let asked = prost::Message::encode_to_vec(&asked);
    let answer = raw.call(POLL, &[], framed(0, &asked)).await;
    assert_eq!((answer.code(), answer.body[0]), (Some(0), 0));
    let response = message("jaeger.api_v2.SamplingStrategyResponse");
    let read = DynamicMessage::decode(response, &answer.body[5..]).expect("an answer");
    let all = SerializeOptions::new().skip_default_fields(false);
    let json = read.serialize_with_options(serde_json::value::Serializer, &all);
    let number = answer.headers["weir-plan"].to_str().unwrap();
    (number.to_owned(), json.unwrap())
}

/// The path of a poll over HTTP.
fn poll_of(service: &str) -> String {
    let mut query = form_urlencoded::Serializer::new(String::new());
    let query = query.append_pair("service", service).finish();
    format!("/sampling?{query}")
}

/// What HTTP answers, with its plan's number.
async fn over_http(app: &TestApp, path: &str) -> (String, Value) {
    let asked = app.client.get(format!("{}{path}", app.sdk));
    let answer = asked.send().await.unwrap();
    let number = answer.headers()["weir-plan"].to_str().unwrap();
    (number.to_owned(), answer.json().await.unwrap())
}

/// Numbers in single precision, and no fields without a value: JSON's texts are shorter.
fn plain(value: Value) -> Value {
    match value {
        Value::Number(number) => json!(number.as_f64().unwrap() as f32),
        Value::Array(values) => values.into_iter().map(plain).collect(),
        Value::Object(fields) => fields
            .into_iter()
            .filter(|(_, value)| !value.is_null())
            .map(|(name, value)| (name, plain(value)))
            .collect(),
        other => other,
    }
}

/// A service's strategy as Jaeger makes it from the file.
fn of_file(file: &Value, service: &str) -> Value {
    let services = file["service_strategies"].as_array().unwrap();
    let found = services.iter().find(|entry| entry["service"] == service);
    let strategy = found.unwrap_or(&file["default_strategy"]);
    assert_eq!(strategy["type"], "probabilistic");
    let operations = strategy["operation_strategies"].as_array();
    let operations = operations.into_iter().flatten().map(|entry| {
        assert_eq!(entry["type"], "probabilistic");
        json!({
            "operation": entry["operation"],
            "probabilisticSampling": { "samplingRate": entry["param"] },
        })
    });
    json!({
        "strategyType": "PROBABILISTIC",
        "probabilisticSampling": { "samplingRate": strategy["param"] },
        "operationSampling": {
            "defaultSamplingProbability": strategy["param"],
            "defaultLowerBoundTracesPerSecond": 0.0,
            "perOperationStrategies": operations.collect::<Vec<_>>(),
            "defaultUpperBoundTracesPerSecond": 0,
        },
    })
}

#[tokio::test]
async fn all_of_them_say_the_same_of_every_service() {
    let (app, _directory) = start(&["--grace", "500ms"]).await;
    let fleet = fleet(7);
    plan_of(&app, &fleet).await;
    let mut raw = Raw::connect(app.grpc()).await;
    let known = fleet.iter().map(|(service, _)| service.as_str());
    for service in known.chain(["", "nobody", "__other__"]) {
        // A plan may come in between.
        let (http, grpc, file) = eventually(DEADLINE, "all at one plan", async || {
            let (first, http) = over_http(&app, &poll_of(service)).await;
            let (second, file) = over_http(&app, "/strategies.json").await;
            let (third, grpc) = over_grpc(&mut raw, service).await;
            (first == second && second == third).then_some((http, grpc, file))
        })
        .await;
        let http = plain(http);
        assert_eq!(plain(grpc), http, "{service:?}");
        assert_eq!(plain(of_file(&file, service)), http, "{service:?}");
    }
    let rates: BTreeMap<_, _> = fleet.into_iter().collect();
    assert!(
        rates.values().any(|operations| operations.len() > 20),
        "there is something to compare"
    );
    app.stop().await;
}
