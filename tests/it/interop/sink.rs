//! Where the traces of a fleet end: takes OTLP over HTTP, remembers the root spans and, if told so, passes
//! the exports on as they are.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex};

use actix_web::http::StatusCode;
use actix_web::{App, HttpResponse, HttpServer, dev::ServerHandle, web};
use prost::Message;

/// The root spans that arrived: the beginning of each, by the ids of its trace and itself, so that
/// a repeated export adds nothing.
type Roots = BTreeMap<(Vec<u8>, Vec<u8>), Root>;

/// The first span of a trace.
#[derive(Debug, Clone)]
pub struct Root {
    pub service: String,
    pub start_ns: u64,
    /// Not one of a client, such as a sampler's poll.
    pub is_of_a_server: bool,
}

/// A running sink. It ends when dropped.
pub struct Sink {
    url: String,
    roots: Arc<Mutex<Roots>>,
    server: ServerHandle,
}

impl Sink {
    /// Starts it on a free port.
    pub fn start() -> Self {
        Self::start_with("127.0.0.1:0", Next::default())
    }

    /// Starts it where another one has ended. None while that has not.
    pub fn start_again_at(url: &str) -> Option<Self> {
        let address = url.trim_start_matches("http://");
        drop(std::net::TcpListener::bind(address).ok()?);
        Some(Self::start_with(address, Next::default()))
    }

    /// Starts it in front of a receiver of OTLP (a URL without a path), which gets every export and answers it.
    pub fn start_before(receiver: &str) -> Self {
        let next = Next {
            http: reqwest::Client::new(),
            url: Some(format!("{receiver}/v1/traces")),
        };
        Self::start_with("127.0.0.1:0", next)
    }

    fn start_with(address: &str, next: Next) -> Self {
        let roots = Arc::<Mutex<Roots>>::default();
        let shared = web::Data::from(Arc::clone(&roots));
        let next = web::Data::new(next);
        let server = HttpServer::new(move || {
            App::new()
                .app_data(shared.clone())
                .app_data(next.clone())
                .app_data(web::PayloadConfig::new(64 << 20))
                .route("/v1/traces", web::post().to(take))
        })
        .workers(1)
        .disable_signals()
        .bind(address)
        .expect("a free port");
        let url = format!("http://{}", server.addrs()[0]);
        let server = server.run();
        let handle = server.handle();
        tokio::spawn(server);
        Self {
            url,
            roots,
            server: handle,
        }
    }

    /// Where OTLP is sent to, without a slash at the end.
    pub fn url(&self) -> &str {
        &self.url
    }

    /// Counts the root spans so far, also after the end.
    pub fn counter(&self) -> impl Fn() -> usize + use<> {
        let roots = Arc::clone(&self.roots);
        move || roots.lock().expect("no holder panics").len()
    }

    /// The root spans so far.
    pub fn roots(&self) -> Vec<Root> {
        let roots = self.roots.lock().expect("no holder panics");
        roots.values().cloned().collect()
    }
}

impl Drop for Sink {
    fn drop(&mut self) {
        // Ordered before the first wait; nobody needs to see the end.
        drop(self.server.stop(false));
    }
}

/// Who gets the exports afterwards, if somebody does.
#[derive(Default)]
struct Next {
    http: reqwest::Client,
    url: Option<String>,
}

impl Next {
    /// Passes an export on. Returns the status of the answer.
    async fn pass(&self, body: web::Bytes) -> StatusCode {
        let Some(url) = &self.url else {
            return StatusCode::OK;
        };
        let request = self.http.post(url).body(body);
        let answer = request.header("Content-Type", PROTOBUF).send().await;
        // Without an answer the sender tries again, as it would by itself.
        let status = answer.map_or(503, |answer| answer.status().as_u16());
        StatusCode::from_u16(status).expect("it came as a status")
    }
}

const PROTOBUF: &str = "application/x-protobuf";

async fn take(
    body: web::Bytes,
    roots: web::Data<Mutex<Roots>>,
    next: web::Data<Next>,
) -> HttpResponse {
    let Ok(export) = Export::decode(body.clone()) else {
        return HttpResponse::BadRequest().finish();
    };
    remember(export, &mut roots.lock().expect("no holder panics"));
    HttpResponse::build(next.pass(body).await)
        .content_type(PROTOBUF)
        .finish()
}

/// Adds the root spans of an export.
fn remember(export: Export, roots: &mut Roots) {
    for of_resource in export.resources {
        let service = of_resource.service();
        for span in of_resource.scopes.into_iter().flat_map(|scope| scope.spans) {
            if span.parent_span_id.is_empty() {
                let root = Root {
                    service: service.clone(),
                    start_ns: span.start_time_unix_nano,
                    is_of_a_server: span.kind == SERVER,
                };
                roots.insert((span.trace_id, span.span_id), root);
            }
        }
    }
}

/// What is read of `opentelemetry.proto.collector.trace.v1.ExportTraceServiceRequest` (OTLP 1.9).
#[derive(Clone, PartialEq, Message)]
struct Export {
    #[prost(message, repeated, tag = "1")]
    resources: Vec<OfResource>,
}

#[derive(Clone, PartialEq, Message)]
struct OfResource {
    #[prost(message, optional, tag = "1")]
    resource: Option<Resource>,
    #[prost(message, repeated, tag = "2")]
    scopes: Vec<OfScope>,
}

impl OfResource {
    fn service(&self) -> String {
        let attributes = self
            .resource
            .iter()
            .flat_map(|resource| &resource.attributes);
        attributes
            .filter(|attribute| attribute.key == "service.name")
            .find_map(|attribute| Some(attribute.value.as_ref()?.string.clone()))
            .unwrap_or_default()
    }
}

#[derive(Clone, PartialEq, Message)]
struct Resource {
    #[prost(message, repeated, tag = "1")]
    attributes: Vec<Attribute>,
}

#[derive(Clone, PartialEq, Message)]
struct Attribute {
    #[prost(string, tag = "1")]
    key: String,
    #[prost(message, optional, tag = "2")]
    value: Option<Text>,
}

/// A value, if it is a string.
#[derive(Clone, PartialEq, Message)]
struct Text {
    #[prost(string, tag = "1")]
    string: String,
}

#[derive(Clone, PartialEq, Message)]
struct OfScope {
    #[prost(message, repeated, tag = "2")]
    spans: Vec<Span>,
}

/// `SPAN_KIND_SERVER`.
const SERVER: i32 = 2;

#[derive(Clone, PartialEq, Message)]
struct Span {
    #[prost(bytes = "vec", tag = "1")]
    trace_id: Vec<u8>,
    #[prost(bytes = "vec", tag = "2")]
    span_id: Vec<u8>,
    #[prost(bytes = "vec", tag = "4")]
    parent_span_id: Vec<u8>,
    #[prost(int32, tag = "6")]
    kind: i32,
    #[prost(fixed64, tag = "7")]
    start_time_unix_nano: u64,
}
