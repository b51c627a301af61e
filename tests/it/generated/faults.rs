//! Faults between one replica and the database.

use std::sync::atomic::{AtomicBool, AtomicU32, Ordering};
use std::sync::{Arc, Mutex};

use tokio::sync::watch;
use weir::store::{Cause, StoreError};

use super::operations::Point;

/// The faults between one replica and the database.
pub struct Faults {
    pub cut: AtomicBool,
    /// How many of the next writes are done, but not answered.
    pub unheard: AtomicU32,
    /// How many calls have failed.
    pub failed: AtomicU32,
    /// The call that panics, as a bug would make it.
    pub panic_in: Mutex<Option<&'static str>>,
    /// Whether the replica cannot read the current plan, as if a newer Weir had written it.
    pub unreadable: AtomicBool,
    stop_at: Mutex<Option<Point>>,
    stopped: watch::Sender<bool>,
}

impl Faults {
    pub fn none() -> Arc<Self> {
        Arc::new(Self {
            cut: AtomicBool::new(false),
            unheard: AtomicU32::new(0),
            failed: AtomicU32::new(0),
            panic_in: Mutex::default(),
            unreadable: AtomicBool::new(false),
            stop_at: Mutex::default(),
            stopped: watch::channel(false).0,
        })
    }

    /// Stops the next task that reaches this point.
    pub fn stop_at(&self, point: Option<Point>) {
        *self.stop_at.lock().unwrap() = point;
    }

    /// Lets a task that stopped there continue.
    pub fn go_on(&self) {
        self.stopped.send_replace(false);
    }

    /// Returns once a task has stopped there.
    pub async fn someone_stops(&self) {
        let waited = self
            .stopped
            .subscribe()
            .wait_for(|stopped| *stopped)
            .await
            .is_ok();
        assert!(waited, "the sender lives");
    }

    pub async fn come_to(&self, point: Point) {
        let stops = self.stop_at.lock().unwrap().take_if(|at| *at == point);
        if stops.is_some() {
            self.stopped.send_replace(true);
            let gone_on = self
                .stopped
                .subscribe()
                .wait_for(|stopped| !*stopped)
                .await
                .is_ok();
            assert!(gone_on, "the sender lives");
        }
    }

    pub fn may_panic(&self, call: &'static str) {
        let panics = *self.panic_in.lock().unwrap() == Some(call);
        assert!(!panics, "{call} panics, as asked");
    }

    pub fn may_not_read(&self) -> Result<(), StoreError> {
        if !self.unreadable.load(Ordering::Relaxed) {
            return Ok(());
        }
        Err(StoreError::NewerFormat {
            what: "plan_body.body".into(),
            found: 200,
            known: 6,
        })
    }

    pub fn unavailable(&self) -> StoreError {
        self.failed.fetch_add(1, Ordering::Relaxed);
        StoreError::Unavailable {
            during: "a simulated outage",
            source: Cause::of("left out by the test"),
        }
    }
}
