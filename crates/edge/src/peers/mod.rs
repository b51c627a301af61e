//! Speaks to the other edges: finds them, tells them of traces that they own, and answers what they tell.
//!
//! What is said and done is in [`core::peers`](crate::core::peers). Here are sockets, names and time: who is there
//! ([`lookup`]), one conversation with each ([`exchange`]), and who may speak ([`secret`]).

mod exchange;
mod lookup;
mod secret;

use std::collections::{HashMap, HashSet};
use std::net::SocketAddr;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use hyper::body::Incoming;
use hyper::header::AUTHORIZATION;
use hyper::{Method, Request, StatusCode};

use self::secret::Secret;
pub use self::secret::WrongSecret;
use crate::core::peers::Edge;
use crate::core::peers::message::{Head, Message, RECORDS_MAX};
use crate::engine::Engine;
use crate::receive::{Answer, Room, read};
use crate::send::Http;
use crate::settings::Settings;
use crate::tls::Clients;

/// Where edges speak to each other.
const PATH: &str = "/v1/peer";

/// The longest message: all of its records, each with a name of its own.
const MESSAGE_MAX: usize = RECORDS_MAX * 512;

/// What all messages that are being read may take.
const ROOM: usize = 4 * MESSAGE_MAX;

/// What is known of an address.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Seen {
    /// It is this edge.
    Own,
    /// Another edge answers.
    There(u64),
}

#[derive(Default)]
struct View {
    seen: HashMap<SocketAddr, Seen>,
    /// Edges that have said that they stop.
    leaving: HashSet<u64>,
}

/// The other edges.
pub(crate) struct Peers {
    engine: Arc<Engine>,
    secret: Secret,
    /// By the name of `--peers`.
    clients: HashMap<String, Http>,
    scheme: &'static str,
    room: Room,
    view: Mutex<View>,
}

impl Peers {
    /// The others of the settings; none if there are none.
    pub fn new(
        settings: &Settings,
        engine: &Arc<Engine>,
        clients: &Clients,
    ) -> Result<Option<Arc<Self>>, WrongSecret> {
        if settings.peers.is_empty() {
            return Ok(None);
        }
        let client = |name: &String| {
            let host = name.rsplit_once(':').map_or(&**name, |(host, _)| host);
            let http = clients.of_host(host);
            (name.clone(), http.unwrap_or_else(|| clients.http.clone()))
        };
        let has_tls = settings.tls_cert.is_some();
        Ok(Some(Arc::new(Self {
            engine: Arc::clone(engine),
            secret: Secret::read(settings.peer_secret_file.as_deref())?,
            clients: settings.peers.iter().map(client).collect(),
            scheme: if has_tls { "https" } else { "http" },
            room: Room::new(ROOM),
            view: Mutex::default(),
        })))
    }

    fn view(&self) -> MutexGuard<'_, View> {
        // Nothing in the critical sections panics half-way.
        self.view.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Answers an edge.
    pub async fn answer(&self, request: Request<Incoming>) -> Answer {
        if request.uri().path() != PATH {
            return Answer::text(StatusCode::NOT_FOUND, "edges speak to each other here");
        }
        if request.method() != Method::POST {
            return Answer::not_post();
        }
        let said = request.headers().get(AUTHORIZATION);
        if !self.secret.is(said.map(|said| said.as_bytes())) {
            return Answer::text(
                StatusCode::UNAUTHORIZED,
                "the secret is another one: give all edges the same --peer-secret-file",
            );
        }
        let body = match read(&self.room, request.into_body(), MESSAGE_MAX).await {
            Ok(body) => body,
            Err(refused) => return Answer::text(refused.status(), &refused.to_string()),
        };
        let message = match Message::decode(&body.bytes) {
            Ok(message) => message,
            Err(wrong) => return Answer::text(StatusCode::BAD_REQUEST, &wrong.to_string()),
        };
        self.note_leaving(message.head);
        match self.engine.answer_peer(&message) {
            Some(answer) => Answer::bytes(answer.encode()),
            None => Answer::text(StatusCode::SERVICE_UNAVAILABLE, "there are too many edges"),
        }
    }

    /// Notes what is behind an address, and makes the change known.
    fn note(&self, address: SocketAddr, seen: Option<Seen>) {
        let mut view = self.view();
        let before = match seen {
            Some(seen) => view.seen.insert(address, seen),
            None => view.seen.remove(&address),
        };
        if before == seen {
            return;
        }
        let edges = view.edges();
        drop(view);
        tracing::info!(%address, edges = edges.len() + 1, "{}", match seen {
            Some(Seen::Own) => "this edge is among its peers",
            Some(Seen::There(_)) => "an edge has joined",
            None => "an edge has gone",
        });
        self.engine.meet(edges);
    }

    fn note_leaving(&self, head: Head) {
        if !head.is_leaving {
            return;
        }
        let mut view = self.view();
        if view.leaving.len() >= crate::core::peers::PEERS_MAX {
            view.leaving.clear();
        }
        if view.leaving.insert(head.sender) {
            let edges = view.edges();
            drop(view);
            self.engine.meet(edges);
        }
    }
}

impl View {
    /// The other edges that are there.
    fn edges(&self) -> Vec<Edge> {
        let there = self.seen.values().filter_map(|seen| match seen {
            Seen::Own => None,
            Seen::There(id) => Some(Edge {
                id: *id,
                is_leaving: self.leaving.contains(id),
            }),
        });
        there.collect()
    }

    /// Whether another address leads to the same edge, and comes before this one.
    fn is_second(&self, address: SocketAddr, id: u64) -> bool {
        let mut all = self.seen.iter();
        all.any(|(other, seen)| *seen == Seen::There(id) && *other < address)
    }
}
