//! Work on threads where it does not delay polls: one thread that does a piece after the other, or any.
//!
//! For work that needs much memory and comes again and again: each plan is computed, and encoded in each
//! format. glibc gives every thread an arena of its own, and what is freed stays in the arena that it came
//! from. With a new thread for each piece of work, the arenas of all of them kept three times of what was in
//! use.

use std::panic::{self, AssertUnwindSafe};
use std::sync::mpsc;
use std::thread;

use tokio::sync::oneshot;
use tokio::task::JoinHandle;

type Work = Box<dyn FnOnce() + Send>;

/// A thread. It ends when this is dropped, after the work that it was given.
pub struct Worker(mpsc::Sender<Work>);

impl Worker {
    /// Starts the thread.
    ///
    /// # Panics
    /// If the system has no room for it.
    #[must_use]
    pub fn start(name: &str) -> Self {
        let (give, work) = mpsc::channel::<Work>();
        thread::Builder::new()
            .name(name.to_owned())
            .spawn(move || work.into_iter().for_each(|work| work()))
            .expect("the system has room for a thread");
        Self(give)
    }

    /// Does work on the thread. It is done to its end, even if nobody waits for it any more. A panic in it is
    /// passed on to whoever waits.
    pub async fn run<T: Send + 'static>(&self, work: impl FnOnce() -> T + Send + 'static) -> T {
        let (done, outcome) = oneshot::channel();
        self.give(work, move |outcome| drop(done.send(outcome)));
        passed_on(outcome.await.expect(ANSWERS))
    }

    /// Begins work on the thread; see [`Begun::wait`].
    pub fn begin<T: Send + 'static>(&self, work: impl FnOnce() -> T + Send + 'static) -> Begun<T> {
        let (done, outcome) = mpsc::sync_channel(1);
        self.give(work, move |outcome| drop(done.send(outcome)));
        Begun(outcome)
    }

    fn give<T: Send + 'static>(
        &self,
        work: impl FnOnce() -> T + Send + 'static,
        done: impl FnOnce(thread::Result<T>) + Send + 'static,
    ) {
        // Nothing of the work is used after a panic: it is passed on.
        let work = move || done(panic::catch_unwind(AssertUnwindSafe(work)));
        self.0.send(Box::new(work)).expect(ANSWERS);
    }
}

/// Runs work that keeps a core busy or that waits for the system, on a thread where it does not delay polls. A panic
/// in it is passed on to whoever waits.
pub async fn blocking<T: Send + 'static>(work: impl FnOnce() -> T + Send + 'static) -> T {
    ended(tokio::task::spawn_blocking(work)).await
}

/// What a task did. A panic in it is passed on to whoever waits.
pub async fn ended<T>(task: JoinHandle<T>) -> T {
    match task.await {
        Ok(done) => done,
        Err(error) => match error.try_into_panic() {
            Ok(panic) => panic::resume_unwind(panic),
            // It was left out because the process stops, and so does whoever waits.
            Err(_) => std::future::pending().await,
        },
    }
}

const ANSWERS: &str = "the thread lasts as long as its worker, and no work ends it";

/// Work that was begun.
pub struct Begun<T>(mpsc::Receiver<thread::Result<T>>);

impl<T> Begun<T> {
    /// Waits until the work is done. A panic in it is passed on.
    #[must_use]
    pub fn wait(self) -> T {
        passed_on(self.0.recv().expect(ANSWERS))
    }
}

fn passed_on<T>(outcome: thread::Result<T>) -> T {
    outcome.unwrap_or_else(|panic| panic::resume_unwind(panic))
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use tokio::sync::Mutex;

    use super::*;

    #[tokio::test]
    async fn work_that_was_given_up_keeps_its_lock() {
        let worker = Arc::new(Worker::start("test"));
        let lock = Arc::new(Mutex::new(()));
        let (finish, finished) = mpsc::channel::<()>();
        let (begin, begun) = oneshot::channel::<()>();
        let held = Arc::clone(&lock).lock_owned().await;
        let by = Arc::clone(&worker);
        let work = tokio::spawn(async move {
            by.run(move || {
                let _held = held;
                let _ = begin.send(());
                let _ = finished.recv();
            })
            .await;
        });
        begun.await.unwrap();
        work.abort();
        assert!(work.await.unwrap_err().is_cancelled());
        assert!(lock.try_lock().is_err(), "the work goes on");
        drop(finish);
        drop(lock.lock().await);
    }

    #[test]
    fn a_panic_is_passed_on_and_ends_nothing_else() {
        let worker = Worker::start("test");
        let begun = worker.begin(|| panic!("of the work"));
        let panic = panic::catch_unwind(AssertUnwindSafe(|| begun.wait())).unwrap_err();
        assert_eq!(panic.downcast_ref(), Some(&"of the work"));
        assert_eq!(worker.begin(|| 7).wait(), 7);
    }
}
