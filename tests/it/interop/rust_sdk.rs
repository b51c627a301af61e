//! The Jaeger remote sampler of OpenTelemetry's SDK for Rust, inside the test.

use std::time::Duration;

use async_trait::async_trait;
use opentelemetry::Context;
use opentelemetry::trace::{SpanKind, TraceId};
use opentelemetry_http::{Bytes, HttpClient, HttpError, Request, Response};
use opentelemetry_sdk::runtime::Tokio;
use opentelemetry_sdk::trace::{Sampler, SamplingDecision, ShouldSample};
use rand::rngs::StdRng;
use rand::{RngExt, SeedableRng};

use super::decisions::{DECISIONS, OPERATIONS, SERVICE, Served, Unlisted};
use crate::support::client::http_client;

#[tokio::test(flavor = "multi_thread")]
async fn rust_sdk_samples_at_the_rates_served() {
    let served = Served::start().await;
    let sampler =
        Sampler::jaeger_remote(Tokio, Transport(http_client()), Sampler::AlwaysOff, SERVICE)
            .with_endpoint(format!("{}/sampling", served.process.sdk_url()))
            .with_update_interval(Duration::from_millis(50))
            .build()
            .unwrap();
    let mut random = StdRng::seed_from_u64(20_261_120);
    served
        .is_followed(Unlisted::Follows, async || {
            OPERATIONS
                .map(|operation| {
                    let sampled = count_sampled(&sampler, operation, &mut random);
                    (operation.to_owned(), sampled)
                })
                .into()
        })
        .await;
}

fn count_sampled(sampler: &Sampler, operation: &str, random: &mut StdRng) -> u64 {
    let root = Context::new();
    let decide = |trace: u128| {
        let trace = TraceId::from(trace);
        sampler
            .should_sample(Some(&root), trace, operation, &SpanKind::Server, &[], &[])
            .decision
    };
    (0..DECISIONS)
        .filter(|_| decide(random.random()) == SamplingDecision::RecordAndSample)
        .count() as u64
}

/// The SDK's transport.
#[derive(Debug)]
struct Transport(reqwest::Client);

#[async_trait]
impl HttpClient for Transport {
    async fn send_bytes(&self, request: Request<Bytes>) -> Result<Response<Bytes>, HttpError> {
        let answer = self.0.execute(request.try_into()?).await?;
        let mut response = Response::builder().status(answer.status());
        for (name, value) in answer.headers() {
            response = response.header(name, value);
        }
        Ok(response.body(answer.bytes().await?)?)
    }
}
