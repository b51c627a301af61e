//! `grpc.health.v1`: whether the process answers calls.
//!
//! `Watch` is not answered, as the protocol allows: a stream for each client would never end.
//! Clients take that as "do not watch", and go on.

use std::pin::Pin;
use std::sync::Arc;

use futures_util::stream::Stream;
use tonic::{Request, Response, Status};
use tonic_health::pb::health_check_response::ServingStatus;
use tonic_health::pb::health_server::{Health, HealthServer};
use tonic_health::pb::{HealthCheckRequest, HealthCheckResponse};

use super::{Generated, SMALL_REQUEST, Service};
use crate::health::Stopping;

pub use tonic_health::pb::FILE_DESCRIPTOR_SET as DESCRIPTOR;

/// The health of these services and, as the protocol says, of the whole process under the empty
/// name.
#[must_use]
pub fn service(stopping: Stopping, services: Vec<&'static str>) -> Arc<dyn Service> {
    let checks = HealthServer::new(Checks { stopping, services });
    Arc::new(Generated(checks.max_decoding_message_size(SMALL_REQUEST)))
}

struct Checks {
    stopping: Stopping,
    services: Vec<&'static str>,
}

type Watched = Pin<Box<dyn Stream<Item = Result<HealthCheckResponse, Status>> + Send>>;

#[tonic::async_trait]
impl Health for Checks {
    async fn check(
        &self,
        request: Request<HealthCheckRequest>,
    ) -> Result<Response<HealthCheckResponse>, Status> {
        let service = &request.get_ref().service;
        if !service.is_empty() && !self.services.contains(&service.as_str()) {
            return Err(Status::not_found("there is no such service"));
        }
        let status = if self.stopping.has_begun() {
            ServingStatus::NotServing
        } else {
            ServingStatus::Serving
        };
        Ok(Response::new(HealthCheckResponse {
            status: status.into(),
        }))
    }

    type WatchStream = Watched;

    async fn watch(&self, _: Request<HealthCheckRequest>) -> Result<Response<Watched>, Status> {
        Err(Status::unimplemented("ask with Check"))
    }
}
