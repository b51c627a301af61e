//! Reads the steps of a range, from coarse ones where all windows are in them to windows where they are not yet.
//!
//! Rows are read one at a time, on another thread than the one that answers probes; the time of an answer is bounded.

use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;
use std::time::Duration;

use tokio::sync::mpsc;
use tokio::time::Instant;
use tokio_util::task::AbortOnDropHandle;

use super::super::Admin;
use super::super::history::late;
use super::asked::Steps;
use crate::allocation::{Class, ServiceId, Timestamp};
use crate::http::problem::Problem;
use crate::names::Names;
use crate::store::{
    Covered, SeriesAsked, SeriesBlock, SeriesKey, SeriesOf, SeriesPart, SeriesRow, SeriesStep,
    StoreError, Sums, series_codec,
};
use crate::telemetry::logging::chain;
use crate::telemetry::seldom::log_seldom;

/// How long one answer may take.
const TIME_LIMIT: Duration = Duration::from_secs(5);

/// Rows that may wait to be decoded.
const ROWS_AHEAD: usize = 8;

const DAY: i64 = 24 * 3_600_000;

/// All requests, and those of each class.
const BY_CLASS: [Option<Class>; 5] = [
    None,
    Some(Class::Error),
    Some(Class::Slow),
    Some(Class::Tagged),
    Some(Class::Rest),
];

/// Whose steps are asked for.
#[derive(Debug, Clone)]
pub(super) enum Whose {
    Fleet,
    Group(String),
    Services(Vec<String>),
    /// All services.
    Everyone,
}

/// What else is asked for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum By {
    Nothing,
    /// What each class had, of one service, a group or the fleet.
    Class,
}

/// The steps that were found.
pub(super) struct Found {
    pub steps: Steps,
    pub covered: Vec<Covered>,
    /// Of each that was asked for, in the order given. None of one that is in no step.
    pub sums: Vec<Option<Vec<Sums>>>,
    /// Of each class of the one that was asked for, if it was asked for by class.
    pub classes: BTreeMap<Class, Vec<Sums>>,
    /// Windows and rows that could not be read.
    pub unreadable: u64,
    /// All windows that start before this are settled.
    pub settled_until: Option<Timestamp>,
}

/// Reads steps.
pub(super) async fn read(
    admin: &Admin,
    whose: Whose,
    (steps, by): (Steps, By),
) -> Result<Found, Problem> {
    let numbers = Numbers::of(&admin.dictionary.names(), &whose);
    let reading = answer(admin.clone(), whose.clone(), numbers.clone(), (steps, by));
    // Dropping this handle aborts the reading: a client that disconnects ends it.
    let reading = AbortOnDropHandle::new(admin.reads.spawn(reading));
    let found = reading.await.map_err(|error| {
        log_seldom!(error, error = chain(&error), "series could not be read");
        Problem::Internal
    })??;
    // Rows of windows hold numbers. If the database went back in time, they may be other services'.
    admin.dictionary.refresh().await?;
    if Numbers::of(&admin.dictionary.names(), &whose).differs(&numbers) {
        return Err(late("the names in the database have changed; ask again"));
    }
    Ok(found)
}

/// The numbers of the services that are asked for.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Numbers(Vec<Option<ServiceId>>);

impl Numbers {
    fn of(names: &Names, whose: &Whose) -> Self {
        let Whose::Services(services) = whose else {
            return Self(Vec::new());
        };
        let services = services.iter();
        Self(services.map(|of| names.find_service(of)).collect())
    }

    /// Whether a number that was read by means another service now.
    fn differs(&self, read_by: &Self) -> bool {
        let mut both = self.0.iter().zip(&read_by.0);
        both.any(|(now, then)| then.is_some() && now.is_some() && now != then)
    }
}

async fn answer(
    admin: Admin,
    whose: Whose,
    numbers: Numbers,
    (steps, by): (Steps, By),
) -> Result<Found, Problem> {
    let gathering = Gathering::new(&whose, &numbers, steps);
    let deadline = Instant::now() + TIME_LIMIT;
    let asked = (whose, numbers, steps, by);
    let all = |rows| gathering.all(rows);
    let (mut found, until) = gather(&admin, asked, deadline, all).await?;
    found.settled_until = until;
    Ok(found)
}

/// Reads the rows of all services, and of the fleet for what was counted of each step. Numbers in rows of windows are
/// those of the dictionary at that time.
pub(in crate::api::admin) async fn every_service<T: Send + 'static>(
    admin: &Admin,
    steps: Steps,
    deadline: Instant,
    gathering: impl FnOnce(mpsc::Receiver<SeriesRow>) -> T + Send + 'static,
) -> Result<T, Problem> {
    let asked = (Whose::Everyone, Numbers(Vec::new()), steps, By::Nothing);
    let (gathered, _) = gather(admin, asked, deadline, gathering).await?;
    Ok(gathered)
}

/// Reads rows, which another thread gathers. Also returns up to where history is settled.
async fn gather<T: Send + 'static>(
    admin: &Admin,
    (whose, numbers, steps, by): (Whose, Numbers, Steps, By),
    deadline: Instant,
    gathering: impl FnOnce(mpsc::Receiver<SeriesRow>) -> T + Send + 'static,
) -> Result<(T, Option<Timestamp>), Problem> {
    let turn = Arc::clone(&admin.histories).acquire_owned();
    let Ok(Ok(turn)) = tokio::time::timeout_at(deadline, turn).await else {
        return Err(late("too many requests read history"));
    };
    let until = admin.store.series_mark().await?.until;
    let asked = asked(&whose, &numbers, (steps, by), until);
    let (rows, read) = mpsc::channel(ROWS_AHEAD);
    let gathered = tokio::task::spawn_blocking(move || {
        let _turn = turn;
        gathering(read)
    });
    let reading = async move {
        for asked in asked {
            admin.store.stream_series(asked, rows.clone()).await?;
        }
        Ok::<_, StoreError>(())
    };
    let outcome = tokio::time::timeout_at(deadline, reading).await;
    let gathered = gathered.await.map_err(|error| {
        log_seldom!(error, error = chain(&error), "series could not be decoded");
        Problem::Internal
    })?;
    outcome.map_err(|_| late("history could not be read in time"))??;
    Ok((gathered, until))
}

/// What is read: coarse steps as far as all windows are in them, then finer ones.
fn asked(
    whose: &Whose,
    numbers: &Numbers,
    (steps, by): (Steps, By),
    until: Option<Timestamp>,
) -> Vec<SeriesAsked> {
    let classes: &[Option<Class>] = match by {
        By::Nothing => &[None],
        By::Class => &BY_CLASS,
    };
    // A day is written with the hour that follows it.
    let settled = until.unwrap_or(Timestamp(i64::MIN));
    let day = Timestamp(
        settled
            .0
            .saturating_sub(1)
            .div_euclid(DAY)
            .saturating_mul(DAY),
    );
    let finer: &[(SeriesStep, Timestamp)] = match steps.base {
        SeriesStep::Window => &[],
        SeriesStep::TenMinutes => &[(SeriesStep::TenMinutes, settled)],
        SeriesStep::Hour => &[(SeriesStep::Hour, day), (SeriesStep::TenMinutes, settled)],
        SeriesStep::Day => &[(SeriesStep::Day, day), (SeriesStep::TenMinutes, settled)],
    };
    let mut asked = Vec::new();
    let mut from = steps.origin;
    for (step, until) in finer
        .iter()
        .copied()
        .chain([(SeriesStep::Window, steps.end())])
    {
        let until = until.min(steps.end());
        if from >= until {
            continue;
        }
        // A row may begin before the range.
        let row = step.row_milliseconds().max(1);
        let first = Timestamp(from.0.div_euclid(row).saturating_mul(row));
        let of = parts(whose, numbers, step);
        asked.extend(classes.iter().map(|&class| SeriesAsked {
            step,
            from: first,
            until,
            of,
            class,
        }));
        from = until;
    }
    asked
}

/// Which parts are read.
fn parts(whose: &Whose, numbers: &Numbers, step: SeriesStep) -> SeriesOf {
    match whose {
        Whose::Services(services) => match (&services[..], &numbers.0[..], step) {
            ([_], [Some(number)], SeriesStep::Window) => {
                SeriesOf::Service(SeriesKey::Number(*number).hash())
            }
            // It has no number any more, so it is in no window.
            ([], ..) | ([_], [None], SeriesStep::Window) => SeriesOf::Fleet,
            ([name], ..) => SeriesOf::Service(SeriesKey::Name(name.clone()).hash()),
            _ => SeriesOf::Services,
        },
        Whose::Everyone => SeriesOf::Services,
        Whose::Fleet | Whose::Group(_) => SeriesOf::Fleet,
    }
}

/// What a row has; none if it cannot be read.
pub(in crate::api::admin) fn block(row: &SeriesRow) -> Option<SeriesBlock> {
    let decoded = series_codec::decode(&row.payload);
    let logged = decoded.inspect_err(|error| {
        log_seldom!(
            error,
            error = chain(error),
            start_ms = row.window.start.0,
            "sums of history cannot be read"
        );
    });
    logged.ok()
}

/// Sums rows as they come.
struct Gathering {
    steps: Steps,
    /// The place of each key that is asked for in the rows of services.
    services: HashMap<SeriesKey, usize>,
    /// The key that is asked for in the rows of the fleet.
    fleet: Option<SeriesKey>,
    found: Found,
}

impl Gathering {
    fn new(whose: &Whose, numbers: &Numbers, steps: Steps) -> Self {
        let mut services = HashMap::new();
        let (mut fleet, mut asked) = (None, 1);
        match whose {
            Whose::Fleet => fleet = Some(SeriesKey::Name(String::new())),
            Whose::Group(group) => fleet = Some(SeriesKey::Name(group.clone())),
            Whose::Everyone => {}
            Whose::Services(names) => {
                asked = names.len();
                for (place, (name, number)) in names.iter().zip(&numbers.0).enumerate() {
                    services.insert(SeriesKey::Name(name.clone()), place);
                    if let Some(number) = number {
                        services.insert(SeriesKey::Number(*number), place);
                    }
                }
            }
        }
        Self {
            steps,
            services,
            fleet,
            found: Found {
                steps,
                covered: vec![Covered::default(); steps.count],
                sums: vec![None; asked],
                classes: BTreeMap::new(),
                unreadable: 0,
                settled_until: None,
            },
        }
    }

    fn all(mut self, mut rows: mpsc::Receiver<SeriesRow>) -> Found {
        while let Some(row) = rows.blocking_recv() {
            self.add(&row);
        }
        let unreadable = self.found.covered.iter().map(|covered| covered.unreadable);
        self.found.unreadable += unreadable.sum::<u64>();
        self.found
    }

    fn add(&mut self, row: &SeriesRow) {
        let Some(block) = block(row) else {
            self.found.unreadable += 1;
            return;
        };
        let length = row.step.milliseconds();
        let at = |step: usize| Timestamp(row.window.start.0.saturating_add(length * step as i64));
        for (step, covered) in block.covered.iter().enumerate() {
            if let Some(place) = self.steps.place(at(step)) {
                self.found.covered[place].add(covered);
            }
        }
        let Ok(class) = row.part.class() else { return };
        for (key, sums) in &block.entries {
            let of = match row.part.all() {
                SeriesPart::FLEET => (self.fleet.as_ref() == Some(key)).then_some(0),
                _ => self.services.get(key).copied(),
            };
            let Some(of) = of else { continue };
            let none = || vec![Sums::default(); self.steps.count];
            let all = match class {
                None => self.found.sums[of].get_or_insert_with(none),
                Some(class) => self.found.classes.entry(class).or_insert_with(none),
            };
            for (step, sums) in sums.iter().enumerate() {
                if let Some(place) = self.steps.place(at(step)) {
                    all[place].add(sums);
                }
            }
        }
    }
}
