//! What waits for a backend, bounded in bytes. What is being sent counts until it is taken or lost.

use std::collections::VecDeque;
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use bytes::Bytes;
use tokio::sync::Notify;
use tokio::time::Instant;

use crate::otlp::json::Signal;

/// The most bytes of a batch of several bodies; one alone may be longer. Readers of gRPC take 4 MiB by default.
const BATCH_BYTES: usize = 1 << 20;

/// Bodies of other signals that are passed over for a batch.
const PASSED_OVER_MAX: usize = 64;

/// A body for a backend: a request of its signal, which can be joined with others by putting them one after the
/// other.
#[derive(Debug, Clone)]
pub struct Body {
    /// What it is about.
    pub signal: Signal,
    /// A request in protobuf.
    pub bytes: Bytes,
    /// How many spans it has.
    pub spans: usize,
}

/// The queue of a backend.
#[derive(Debug)]
pub(super) struct Queue {
    most: usize,
    waiting: Mutex<Waiting>,
    came: Notify,
}

#[derive(Debug, Default)]
struct Waiting {
    bodies: VecDeque<(Instant, Body)>,
    /// Bytes of these, and of those that are being sent.
    bytes: usize,
    /// Bytes of these alone.
    unsent: usize,
    /// Whether nothing waits for others to come any more.
    is_ending: bool,
}

impl Queue {
    pub fn new(most: usize) -> Self {
        Self {
            most,
            waiting: Mutex::default(),
            came: Notify::new(),
        }
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, Waiting> {
        // Nothing in the critical sections panics half-way.
        self.waiting.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// How full it is, from 0 to 1.
    pub fn filled(&self) -> f64 {
        self.bytes() as f64 / self.most as f64
    }

    pub fn bytes(&self) -> usize {
        self.lock().bytes
    }

    /// Whether there is room for this many bytes.
    pub fn has_room(&self, bytes: usize) -> bool {
        self.bytes() + bytes <= self.most
    }

    /// Adds a body if there is room.
    pub fn push(&self, body: Body) -> Result<(), Body> {
        let mut waiting = self.lock();
        if waiting.bytes + body.bytes.len() > self.most {
            return Err(body);
        }
        waiting.bytes += body.bytes.len();
        waiting.unsent += body.bytes.len();
        waiting.bodies.push_back((Instant::now(), body));
        drop(waiting);
        self.came.notify_one();
        Ok(())
    }

    /// Says that bodies were taken or lost.
    pub fn done(&self, bytes: usize) {
        self.lock().bytes -= bytes;
    }

    /// Batches are sent at once from now on.
    pub fn end(&self) {
        self.lock().is_ending = true;
        self.came.notify_waiters();
        self.came.notify_one();
    }

    /// Takes everything that waits.
    pub fn rest(&self) -> Vec<Body> {
        let mut waiting = self.lock();
        waiting.bytes -= std::mem::take(&mut waiting.unsent);
        waiting.bodies.drain(..).map(|(_, body)| body).collect()
    }

    /// The next batch: bodies of one signal, once they are enough or the first one has waited for `delay`. None at
    /// the end.
    pub async fn batch(&self, delay: Duration) -> Option<Vec<Body>> {
        loop {
            let came = self.came.notified();
            let wait = {
                let mut waiting = self.lock();
                match waiting.due(delay) {
                    Some(Ok(())) => {
                        let batch = waiting.take();
                        if !waiting.bodies.is_empty() {
                            self.came.notify_one();
                        }
                        return Some(batch);
                    }
                    Some(Err(until)) => Some(until),
                    None if waiting.is_ending => {
                        self.came.notify_one();
                        return None;
                    }
                    None => None,
                }
            };
            match wait {
                Some(until) => {
                    let _ = tokio::time::timeout_at(until, came).await;
                }
                None => came.await,
            }
        }
    }
}

impl Waiting {
    /// Whether the first batch is due, or when it will be; none if nothing waits.
    fn due(&self, delay: Duration) -> Option<Result<(), Instant>> {
        let (came, _) = self.bodies.front()?;
        let until = *came + delay;
        if self.is_ending || self.unsent >= BATCH_BYTES || until <= Instant::now() {
            return Some(Ok(()));
        }
        Some(Err(until))
    }

    fn take(&mut self) -> Vec<Body> {
        let mut batch: Vec<Body> = Vec::new();
        let mut bytes = 0;
        let mut rest = Vec::new();
        while rest.len() < PASSED_OVER_MAX
            && let Some((came, body)) = self.bodies.pop_front()
        {
            let is_same = batch
                .first()
                .is_none_or(|first| first.signal == body.signal);
            let fits = batch.is_empty() || bytes + body.bytes.len() <= BATCH_BYTES;
            if is_same && fits {
                bytes += body.bytes.len();
                batch.push(body);
            } else {
                rest.push((came, body));
                if is_same {
                    break;
                }
            }
        }
        for passed_over in rest.into_iter().rev() {
            self.bodies.push_front(passed_over);
        }
        self.unsent -= bytes;
        batch
    }
}
