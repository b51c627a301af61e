//! The conversation with the edge behind one address.

use std::net::SocketAddr;
use std::time::Duration;

use bytes::Bytes;
use http_body_util::{BodyExt, Full, Limited};
use hyper::header::AUTHORIZATION;
use hyper::{Method, Request, StatusCode};
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

use super::{MESSAGE_MAX, PATH, Peers, Seen};
use crate::core::peers::message::{Answer, Message};
use crate::send::{Http, words};

/// How often there is a message, if something is to be said or waited for; more seldom if there are many edges.
const EACH: Duration = Duration::from_millis(100);

/// With this many edges, and again for as many more, messages are as much more seldom.
const EDGES: usize = 20;

/// How often there is one otherwise.
const GREET: Duration = Duration::from_secs(1);

/// How long an answer may take.
const TIME_LIMIT: Duration = Duration::from_secs(2);

/// An edge that has not answered for this long has gone.
const GONE: Duration = Duration::from_secs(1);

/// A line of the log about an edge that cannot be spoken to each so often at most.
const SAY_EACH: Duration = Duration::from_secs(30);

/// How a conversation goes.
struct Conversation {
    address: SocketAddr,
    http: Http,
    heard: Instant,
    greeted: Option<Instant>,
    said: Option<Instant>,
}

impl Peers {
    /// Speaks to the edge behind an address until told to end.
    pub(super) async fn converse(&self, address: SocketAddr, http: Http, ended: CancellationToken) {
        let mut conversation = Conversation {
            address,
            http,
            heard: Instant::now(),
            greeted: None,
            said: None,
        };
        let talking = async {
            loop {
                self.turn(&mut conversation).await;
                tokio::time::sleep(self.pause()).await;
            }
        };
        let _ = ended.run_until_cancelled(talking).await;
        self.note(address, None);
    }

    fn pause(&self) -> Duration {
        let edges = self.view().seen.len();
        EACH * (1 + edges / EDGES) as u32
    }

    /// Says what there is to say.
    async fn turn(&self, conversation: &mut Conversation) {
        let address = conversation.address;
        let (known, is_second) = {
            let view = self.view();
            let known = match view.seen.get(&address) {
                Some(Seen::There(id)) => Some(*id),
                _ => None,
            };
            (known, known.is_some_and(|id| view.is_second(address, id)))
        };
        let known = known.filter(|_| !is_second);
        let message = known.and_then(|id| self.engine.message_for_peer(id));
        let is_due = conversation.greeted.is_none_or(|at| at.elapsed() >= GREET);
        let message = match message {
            Some(message) => message,
            None if is_due => self.engine.greeting(),
            None => return,
        };
        conversation.greeted = Some(Instant::now());
        match self.say(conversation, &message).await {
            Ok(answer) => {
                conversation.heard = Instant::now();
                self.count("answered");
                self.note_leaving(answer.head);
                let is_own = answer.head.sender == self.engine.edge_id();
                self.note(
                    address,
                    Some(if is_own {
                        Seen::Own
                    } else {
                        Seen::There(answer.head.sender)
                    }),
                );
                if !is_own {
                    self.engine.hear_peer(&answer);
                }
            }
            Err(why) => {
                self.count("failed");
                if let Some(id) = known {
                    self.engine.not_sent_to_peer(id, message);
                }
                if conversation.heard.elapsed() >= GONE {
                    self.note(address, None);
                    conversation.complain(&why);
                }
            }
        }
    }

    fn count(&self, outcome: &str) {
        let messages = &self.engine.metrics.peer_messages;
        messages.with_label_values(&[outcome]).inc();
    }

    async fn say(&self, to: &Conversation, message: &Message) -> Result<Answer, String> {
        let mut request = Request::new(Full::new(Bytes::from(message.encode())));
        *request.method_mut() = Method::POST;
        let uri = format!("{}://{}{PATH}", self.scheme, to.address);
        *request.uri_mut() = uri.parse().map_err(|_| "it is no address".to_owned())?;
        request
            .headers_mut()
            .insert(AUTHORIZATION, self.secret.header());
        let answered = async {
            let response = to.http.request(request).await;
            let (head, body) = response.map_err(|error| words(&error))?.into_parts();
            let body = Limited::new(body, MESSAGE_MAX).collect().await;
            let body = body.map_err(|error| error.to_string())?.to_bytes();
            match head.status {
                StatusCode::OK => Answer::decode(&body).map_err(|wrong| wrong.to_string()),
                status => Err(format!("status {}: {}", status.as_u16(), first_line(&body))),
            }
        };
        let answered = tokio::time::timeout(TIME_LIMIT, answered).await;
        answered.unwrap_or_else(|_| Err("no answer in time".into()))
    }
}

impl Conversation {
    fn complain(&mut self, why: &str) {
        if self.said.is_none_or(|said| said.elapsed() >= SAY_EACH) {
            self.said = Some(Instant::now());
            tracing::warn!(address = %self.address, why, "an edge of --peers does not answer");
        }
    }
}

/// The first line of an answer, cut.
fn first_line(body: &[u8]) -> String {
    let text = String::from_utf8_lossy(&body[..body.len().min(200)]).into_owned();
    text.lines().next().unwrap_or_default().into()
}
