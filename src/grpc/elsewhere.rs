//! The answer to gRPC and HTTP/2 clients that come to the listener for HTTP/1.1.
//!
//! A client that only sees its connection closed logs something like `FRAME_SIZE_ERROR`, which
//! nobody understands. gRPC clients log the text of a status.

use std::net::SocketAddr;

use hyper::body::Incoming;
use hyper::{Request, Response};
use tonic::Status;
use tonic::body::Body;

use super::{failed, is_grpc, problem, ready, too_many};
use crate::http::problem::Problem;
use crate::net::http2::{Answering, Calls};

/// The most connections of a worker. They are here by mistake, and take several times the memory of
/// those of HTTP/1.1. More of them get an error of HTTP/1.1.
const CONNECTIONS_MAX: usize = 50;

/// Says to every request where it belongs.
pub struct Elsewhere {
    where_to: String,
}

impl Elsewhere {
    /// Answers with this text.
    #[must_use]
    pub fn new(where_to: String) -> Self {
        Self { where_to }
    }
}

impl Calls for Elsewhere {
    fn answer(&self, request: Request<Incoming>, _: Option<SocketAddr>) -> Answering {
        ready(if is_grpc(&request) {
            failed(Status::unimplemented(&self.where_to))
        } else {
            problem(&Problem::Misdirected(self.where_to.clone()))
        })
    }

    fn refuse(&self) -> Response<Body> {
        too_many()
    }

    fn connections_max(&self) -> usize {
        CONNECTIONS_MAX
    }
}
