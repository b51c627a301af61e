//! Polls over gRPC: `jaeger.api_v2.SamplingManager`.
//!
//! The answers are those of HTTP for the same service. A poll that cannot be read gets gRPC's own
//! status for what is wrong with it.

use hyper::body::Incoming;
use hyper::header::{AGE, HeaderName, HeaderValue, USER_AGENT};
use hyper::{Request, Response};
use prost::Message;
use tonic::Status;
use tonic::body::Body;

use super::protobuf::{METHOD, SERVICE, SamplingStrategyParameters};
use super::{PLAN_HEADER, PlanAge, Polls, Protobuf, STALE_HEADER};
use crate::access::Need;
use crate::grpc::{
    BODY_TIME_LIMIT, SMALL_REQUEST, Service, failed, in_time, message, method, ready, unary,
};
use crate::net::http2::Answering;
use crate::snapshot::PollClient;
use crate::telemetry::metrics::{PollOutcome, PollProtocol};

const PLAN: HeaderName = HeaderName::from_static(PLAN_HEADER);
const STALE: HeaderName = HeaderName::from_static(STALE_HEADER);

/// The service that Java's SDK, the Collector and Jaeger call.
pub struct SamplingManager {
    /// What answers.
    pub polls: Polls<Protobuf>,
}

impl Service for SamplingManager {
    fn name(&self) -> &'static str {
        SERVICE
    }

    fn need(&self) -> Need {
        Need::Nothing
    }

    fn call(&self, request: Request<Incoming>) -> Answering {
        if method(&request) != METHOD {
            return ready(failed(Status::unimplemented("there is no such method")));
        }
        let polls = self.polls.clone();
        Box::pin(async move {
            answer(&polls, request).await.unwrap_or_else(|status| {
                let about = &polls.about;
                about.count(PollProtocol::Grpc, PollOutcome::Malformed);
                failed(status)
            })
        })
    }
}

async fn answer(
    polls: &Polls<Protobuf>,
    request: Request<Incoming>,
) -> Result<Response<Body>, Status> {
    let packed = message::accepts_gzip(request.headers());
    let client = request.headers().get(USER_AGENT);
    let client = PollClient::over_grpc(client.map(HeaderValue::as_bytes));
    let message = in_time(BODY_TIME_LIMIT, message::read(request, SMALL_REQUEST)).await?;
    let asked = SamplingStrategyParameters::decode(message)
        .map_err(|_| Status::internal("the message is not a SamplingStrategyParameters"))?;
    Ok(polls.answer(
        PollProtocol::Grpc,
        client,
        &asked.service_name,
        |body, plan| {
            let framed = if packed { body.gzip() } else { body.plain() };
            let mut response = unary::answer(framed, packed);
            describe(&mut response, plan);
            response
        },
    ))
}

/// Says which plan an answer is from, as over HTTP.
fn describe(response: &mut Response<Body>, plan: PlanAge) {
    let headers = response.headers_mut();
    headers.insert(PLAN, HeaderValue::from(plan.number));
    if let Some((age, is_stale)) = plan.age {
        let is_stale = if is_stale { "true" } else { "false" };
        headers.insert(AGE, HeaderValue::from(age));
        headers.insert(STALE, HeaderValue::from_static(is_stale));
    }
}
