//! The places for a listener's connections. When a new connection comes and all are taken, an idle
//! one is closed.
//!
//! A listener that stops accepting at its limit would lock everybody out while its connections are
//! idle, and SDKs connect again for every poll. So one connection more than the limit is always
//! accepted, and the one that has been idle for longest is closed for it. A connection with a
//! request in progress keeps its place. If all have one, new connections wait until a time limit
//! ends one of them.
//!
//! A client that shakes hands (TLS) has a place, too, and costs the listener more than it costs the
//! client. So handshakes have a part of the places. When it is full, a new one replaces the oldest,
//! and none takes the place of a client that has been answered.

use std::cell::{Cell, RefCell};
use std::future::poll_fn;
use std::rc::Rc;
use std::task::{Context, Poll, Waker};

use crate::telemetry::metrics::{Counter, Gauge};

/// One in this many places may be that of a handshake. An honest one takes milliseconds.
const HANDSHAKES_PART: usize = 4;

/// The places of one worker. All of its connections are on its thread.
pub(super) struct Places {
    most: usize,
    taken: RefCell<Vec<Rc<State>>>,
    /// How often a connection became idle. This gives an order without reading the clock.
    idled: Cell<u64>,
    /// The places of handshakes.
    handshakes: Cell<usize>,
    /// The places that were lost and are not given up yet: their tasks have still to run.
    leaving: Cell<usize>,
    open: Gauge,
    evicted: Counter,
}

/// The place of one connection. It is freed on drop.
pub(super) struct Place {
    places: Rc<Places>,
    state: Rc<State>,
}

struct State {
    /// Its index in the list.
    index: Cell<usize>,
    /// The value of `idled` when it became idle; none while a request is in progress.
    idle_since: Cell<Option<u64>>,
    /// Whether its client shakes hands.
    shaking: Cell<bool>,
    evicted: Cell<bool>,
    /// The task to wake when the place is lost.
    waiting: RefCell<Option<Waker>>,
}

impl Places {
    /// Places for `most` connections. `open` counts open connections, `evicted` those closed for
    /// others.
    pub fn new(most: usize, open: Gauge, evicted: Counter) -> Rc<Self> {
        Rc::new(Self {
            most,
            taken: RefCell::default(),
            idled: Cell::new(0),
            handshakes: Cell::new(0),
            leaving: Cell::new(0),
            open,
            evicted,
        })
    }

    /// Takes a place; if all are taken, that of the connection that has been idle for longest.
    pub fn take(self: &Rc<Self>) -> Place {
        let mut taken = self.taken.borrow_mut();
        if self.is_full(&taken) {
            self.evict(&taken, |_| true);
        }
        self.place(&mut taken, false)
    }

    /// The same for a client that shakes hands first, until [`Place::shaken`]. If too many do, it
    /// takes the place of the one that has been at it for longest.
    pub fn take_for_handshake(self: &Rc<Self>) -> Place {
        let mut taken = self.taken.borrow_mut();
        if self.handshakes.get() >= (self.most / HANDSHAKES_PART).max(1) {
            self.evict(&taken, |state| state.shaking.get());
        } else if self.is_full(&taken) {
            self.evict(&taken, |_| true);
        }
        self.handshakes.set(self.handshakes.get() + 1);
        self.place(&mut taken, true)
    }

    fn place(self: &Rc<Self>, taken: &mut Vec<Rc<State>>, shaking: bool) -> Place {
        let state = Rc::new(State {
            index: Cell::new(taken.len()),
            idle_since: Cell::new(Some(self.next())),
            shaking: Cell::new(shaking),
            evicted: Cell::new(false),
            waiting: RefCell::default(),
        });
        taken.push(Rc::clone(&state));
        self.open.inc();
        Place {
            places: Rc::clone(self),
            state,
        }
    }

    /// Whether another connection needs the place of one that is here to stay. Those that are leaving
    /// have lost theirs already.
    fn is_full(&self, taken: &[Rc<State>]) -> bool {
        taken.len() - self.leaving.get() >= self.most
    }

    fn next(&self) -> u64 {
        self.idled.set(self.idled.get() + 1);
        self.idled.get()
    }

    /// Closes the one of these that has been idle for longest. Searches all of them. Only a client that
    /// comes to a full listener pays for this, not every poll.
    fn evict(&self, taken: &[Rc<State>], these: impl Fn(&State) -> bool) {
        let idle = taken
            .iter()
            .filter(|state| !state.evicted.get() && these(state));
        let idle = idle.filter_map(|state| Some((state.idle_since.get()?, state)));
        if let Some((_, state)) = idle.min_by_key(|(since, _)| *since) {
            state.evicted.set(true);
            self.leaving.set(self.leaving.get() + 1);
            self.has_shaken(state);
            self.evicted.inc();
            if let Some(waker) = state.waiting.take() {
                waker.wake();
            }
        }
    }

    fn has_shaken(&self, state: &State) {
        if state.shaking.replace(false) {
            self.handshakes.set(self.handshakes.get() - 1);
        }
    }
}

impl Place {
    /// Notes that the handshake is over, and the first request has not begun.
    pub fn shaken(&self) {
        self.places.has_shaken(&self.state);
        self.idle();
    }

    /// Returns when the place is given to another connection.
    pub async fn lost(&self) {
        poll_fn(|context| match self.is_lost(context) {
            true => Poll::Ready(()),
            false => Poll::Pending,
        })
        .await;
    }

    /// Notes that bytes of a request have arrived.
    pub fn busy(&self) {
        self.state.idle_since.set(None);
    }

    /// Notes that an answer was sent and the next request has not begun.
    pub fn idle(&self) {
        self.state.idle_since.set(Some(self.places.next()));
    }

    /// Whether the place was given to another connection. If not, the task is woken when it is.
    pub fn is_lost(&self, context: &Context<'_>) -> bool {
        if self.state.evicted.get() {
            return true;
        }
        let mut waiting = self.state.waiting.borrow_mut();
        match &mut *waiting {
            Some(waker) => waker.clone_from(context.waker()),
            none => *none = Some(context.waker().clone()),
        }
        false
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        self.places.open.dec();
        self.places.has_shaken(&self.state);
        if self.state.evicted.get() {
            self.places.leaving.set(self.places.leaving.get() - 1);
        }
        let mut taken = self.places.taken.borrow_mut();
        let index = self.state.index.get();
        taken.swap_remove(index);
        if let Some(moved) = taken.get(index) {
            moved.index.set(index);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn places(most: usize) -> (Rc<Places>, Counter, Gauge) {
        let metrics = crate::telemetry::metrics::Metrics::new();
        let (open, evicted) = (
            metrics.sdk_connections.clone(),
            metrics.sdk_connections_evicted.clone(),
        );
        let places = Places::new(most, open.clone(), evicted.clone());
        (places, evicted, open)
    }

    fn lost(place: &Place) -> bool {
        place.is_lost(&Context::from_waker(Waker::noop()))
    }

    #[test]
    fn the_one_idle_for_longest_goes_and_who_is_busy_stays() {
        let (places, evicted, open) = places(3);
        let [first, busy, last] = [places.take(), places.take(), places.take()];
        busy.busy();
        first.busy();
        first.idle();
        let newcomer = places.take();
        let all = [&first, &busy, &last, &newcomer].map(lost);
        assert_eq!(all, [false, false, true, false]);
        assert_eq!((evicted.get(), open.get()), (1, 4.0));

        drop(last);
        let another = places.take();
        let all = [&first, &busy, &newcomer, &another].map(lost);
        assert_eq!(all, [true, false, false, false]);
        drop((first, busy, newcomer, another));
        assert_eq!(open.get(), 0.0);
    }

    #[test]
    fn handshakes_replace_each_other_and_nobody_else() {
        let (places, evicted, _) = places(8);
        let answered = places.take_for_handshake();
        answered.shaken();
        let [first, second] = [(); 2].map(|()| places.take_for_handshake());
        let third = places.take_for_handshake();
        let all = [&answered, &first, &second, &third].map(lost);
        assert_eq!(all, [false, true, false, false]);
        // Those that have ended, in whatever way, leave room for others.
        drop((first, second));
        let fourth = places.take_for_handshake();
        third.shaken();
        let fifth = places.take_for_handshake();
        let all = [&answered, &third, &fourth, &fifth].map(lost);
        assert_eq!((all, evicted.get()), ([false; 4], 1));
    }

    #[test]
    fn a_crowd_that_is_leaving_costs_nobody_else_a_place() {
        let (places, evicted, _) = places(8);
        let answered = places.take_for_handshake();
        answered.shaken();
        let mut crowd: Vec<_> = (0..20).map(|_| places.take_for_handshake()).collect();
        // The newest ends by itself, while those that lost their places have not ended yet.
        drop(crowd.pop());
        let next = places.take_for_handshake();
        assert_eq!((lost(&answered), lost(&next)), (false, false));
        assert_eq!(evicted.get(), 18);
        // The same for connections without a handshake.
        let plain = places.take();
        assert_eq!((lost(&answered), lost(&plain)), (false, false));
        drop(crowd);
        let rest: Vec<_> = (0..5).map(|_| places.take()).collect();
        assert!(!lost(&answered) && !rest.iter().any(lost));
        let last = places.take();
        assert_eq!((lost(&answered), lost(&last)), (true, false));
    }

    #[test]
    fn where_all_are_busy_nobody_goes() {
        let (places, evicted, _) = places(2);
        let held = [places.take(), places.take()];
        held.iter().for_each(Place::busy);
        let newcomer = places.take();
        assert!(!held.iter().any(lost) && !lost(&newcomer));
        assert_eq!(evicted.get(), 0);
    }
}
