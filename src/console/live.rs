//! Tells open pages that there is a new plan: server-sent events, one for each plan.
//!
//! A stream ends by itself before the listener's time limit for an answer would cut it, and when the process begins to
//! stop; the browser then asks again, here or of another replica. There are few streams at once: a page without one is
//! right when it is loaded, and asks again later.

use std::sync::Arc;
use std::time::Duration;

use actix_web::HttpResponse;
use actix_web::http::header::{CACHE_CONTROL, CONTENT_TYPE, RETRY_AFTER};
use actix_web::web::{Bytes, Data};
use futures_util::stream;
use tokio::sync::{OwnedSemaphorePermit, Semaphore, watch};
use tokio::time::Instant;

use super::Console;
use crate::health::Stopping;
use crate::snapshot::{Audience, Snapshot};

/// Streams at once: open pages.
pub const STREAMS_MAX: usize = 100;

/// How long a stream lasts. The listener gives an answer 60 s.
const LASTS: Duration = Duration::from_secs(45);

/// After how many milliseconds a browser asks again when a stream has ended.
const AGAIN: &str = "retry: 2000\n\n";

/// The plans as they come.
pub struct Live {
    plan: watch::Sender<u64>,
    streams: Arc<Semaphore>,
    stopping: Stopping,
}

impl Live {
    /// Begins with the plan that is served.
    #[must_use]
    pub fn begin(plan: u64, stopping: Stopping) -> Self {
        Self {
            plan: watch::Sender::new(plan),
            streams: Arc::new(Semaphore::new(STREAMS_MAX)),
            stopping,
        }
    }
}

impl Audience for Live {
    fn take(&self, snapshot: &Arc<Snapshot>) {
        self.plan.send_replace(snapshot.plan().number);
    }

    fn bytes(&self) -> usize {
        0
    }
}

/// One page's stream.
struct Stream {
    plans: watch::Receiver<u64>,
    stopping: Stopping,
    ends: Instant,
    first: bool,
    _place: OwnedSemaphorePermit,
}

impl Stream {
    /// The next event; none at the end.
    async fn next(&mut self) -> Option<Bytes> {
        if self.first {
            self.first = false;
            let plan = *self.plans.borrow_and_update();
            return Some(Bytes::from(format!("{AGAIN}{}", event(plan))));
        }
        tokio::select! {
            changed = self.plans.changed() => changed.ok()?,
            () = self.stopping.begun() => return None,
            () = tokio::time::sleep_until(self.ends) => return None,
        }
        let plan = *self.plans.borrow_and_update();
        Some(Bytes::from(event(plan)))
    }
}

fn event(plan: u64) -> String {
    format!("event: plan\ndata: {plan}\n\n")
}

/// Sends the number of each plan.
pub async fn follow(console: Data<Console>) -> HttpResponse {
    let live = &console.live;
    let place = Arc::clone(&live.streams).try_acquire_owned();
    let (Ok(place), false) = (place, live.stopping.has_begun()) else {
        return HttpResponse::ServiceUnavailable()
            .insert_header((RETRY_AFTER, "10"))
            .insert_header((CONTENT_TYPE, "text/plain; charset=utf-8"))
            .body("too many pages are open; this one is not kept up to date by itself\n");
    };
    let stream = Stream {
        plans: live.plan.subscribe(),
        stopping: live.stopping.clone(),
        ends: Instant::now() + LASTS,
        first: true,
        _place: place,
    };
    let events = stream::unfold(stream, |mut stream| async {
        let event = stream.next().await?;
        Some((Ok::<_, actix_web::Error>(event), stream))
    });
    HttpResponse::Ok()
        .insert_header((CONTENT_TYPE, "text/event-stream"))
        .insert_header((CACHE_CONTROL, "no-store"))
        .streaming(events)
}
