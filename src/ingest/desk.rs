//! Gives the answers of a group to all who wait for them on one thread, and wakes that thread once.
//!
//! To wake a task of another thread takes a call to the system; to wake one of the same thread takes none. So whoever
//! committed a group leaves its answers at the desk of the thread that waits for them, and answers one that waits.
//! That one hands out the others when it goes on, or when it is dropped.

use std::mem;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use tokio::sync::oneshot;

use super::commit::{CommitError, Committed};

/// What became of a report.
pub(super) type Said = Result<Committed, CommitError>;

/// One that waits, and what it will hear.
type Answer = (oneshot::Sender<Said>, Said);

thread_local! {
    static HERE: Arc<Desk> = Arc::default();
}

/// The answers for those who wait on a thread, until they are handed out.
#[derive(Default)]
pub(super) struct Desk(Mutex<Vec<Answer>>);

impl Desk {
    fn answers(&self) -> MutexGuard<'_, Vec<Answer>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn leave(&self, mut answers: Vec<Answer>) {
        // Those who have gone hand out nothing. If all have, nobody is left to be answered.
        while let Some((waits, said)) = answers.pop() {
            self.answers().append(&mut answers);
            if waits.send(said).is_ok() {
                return;
            }
            answers = mem::take(&mut *self.answers());
        }
    }

    fn hand_out(&self) {
        for (waits, said) in mem::take(&mut *self.answers()) {
            // If the agent has disconnected, it will send the report again.
            let _ = waits.send(said);
        }
    }
}

/// Somebody who waits for an answer on this thread. It must live longer than the receiver of the answer: whoever was
/// answered hands out what was left for the others.
pub(super) struct Waiter(Arc<Desk>);

impl Waiter {
    pub fn here() -> Self {
        Self(HERE.with(Arc::clone))
    }

    /// Where the answer is to be left.
    pub fn desk(&self) -> Arc<Desk> {
        Arc::clone(&self.0)
    }
}

impl Drop for Waiter {
    fn drop(&mut self) {
        self.0.hand_out();
    }
}

/// Answers, by the desks at which they will be left.
#[derive(Default)]
pub(super) struct Answers(Vec<(Arc<Desk>, Vec<Answer>)>);

impl Answers {
    pub fn add(&mut self, desk: Arc<Desk>, waits: oneshot::Sender<Said>, said: Said) {
        match self.0.iter_mut().find(|(of, _)| Arc::ptr_eq(of, &desk)) {
            Some((_, answers)) => answers.push((waits, said)),
            None => self.0.push((desk, vec![(waits, said)])),
        }
    }

    pub fn leave(self) {
        for (desk, answers) in self.0 {
            desk.leave(answers);
        }
    }
}

#[cfg(test)]
mod tests {
    use tokio::sync::oneshot::Receiver;

    use super::*;

    fn waiting(answers: &mut Answers) -> (Waiter, Receiver<Said>) {
        let waiter = Waiter::here();
        let (waits, hears) = oneshot::channel();
        answers.add(waiter.desk(), waits, Err(CommitError::Stopping));
        (waiter, hears)
    }

    #[test]
    fn one_is_woken_and_hands_out_the_others() {
        let mut answers = Answers::default();
        let (first, mut first_hears) = waiting(&mut answers);
        let (last, mut last_hears) = waiting(&mut answers);
        answers.leave();
        assert!(last_hears.try_recv().is_ok());
        assert!(first_hears.try_recv().is_err(), "nobody handed it out yet");
        drop(last);
        assert!(first_hears.try_recv().is_ok());
        drop(first);
    }

    #[test]
    fn those_who_have_gone_keep_nothing_from_others() {
        let mut answers = Answers::default();
        let (_first, mut hears) = waiting(&mut answers);
        for _ in 0..3 {
            // The order in which a future drops them.
            let (waiter, hears) = waiting(&mut answers);
            drop(hears);
            drop(waiter);
        }
        answers.leave();
        assert!(hears.try_recv().is_ok());
    }

    #[test]
    fn one_that_goes_after_it_was_answered_hands_out() {
        let mut answers = Answers::default();
        let (_first, mut first_hears) = waiting(&mut answers);
        let (last, last_hears) = waiting(&mut answers);
        answers.leave();
        drop(last_hears);
        drop(last);
        assert!(first_hears.try_recv().is_ok());
    }
}
