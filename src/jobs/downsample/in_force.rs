//! What was in force in each window: the budget, the groups and their caps.

use std::collections::{BTreeMap, HashMap};
use std::ops::Range;
use std::sync::Arc;

use serde::Deserialize;

use crate::allocation::{Timestamp, Window};
use crate::configuration::Configuration;
use crate::jobs::JobContext;
use crate::store::{PlanRow, StoreError};

/// How far back the plan is looked for that was in force in the first window. A window is an hour long at most.
const BACK_MILLISECONDS: i64 = 2 * 3_600_000;

/// The most revisions of the configuration that are read for a range of windows.
const REVISIONS_MAX: usize = 50;

/// The plans of a range of windows.
#[derive(Default)]
pub(super) struct InForce(Vec<Planned>);

/// What of a plan is needed here.
pub(super) struct Planned {
    window: Window,
    /// The budget, in traces per second; none if that was not stored.
    pub budget: Option<f64>,
    /// The cap of each group, in traces per second; none where it has none.
    pub caps: BTreeMap<String, Option<f64>>,
    groups: Arc<Groups>,
}

/// The group of each service, by names.
type Groups = HashMap<String, String>;

/// The figures of a plan that are read.
#[derive(Deserialize)]
struct Figures {
    budget_traces_per_second: Option<f64>,
    #[serde(default)]
    groups: Vec<GroupFigures>,
}

#[derive(Deserialize)]
struct GroupFigures {
    group: String,
    cap_traces_per_second: Option<f64>,
}

impl Planned {
    /// The group of a service.
    pub fn group(&self, service: &str) -> Option<&str> {
        self.groups.get(service).map(String::as_str)
    }
}

impl InForce {
    /// Reads what was in force in windows that start in a range.
    pub async fn read(shared: &JobContext, starts: Range<Timestamp>) -> Result<Self, StoreError> {
        let from = Timestamp(starts.start.0.saturating_sub(BACK_MILLISECONDS));
        let rows = shared.store.plans_of(from..starts.end).await?;
        let mut read = HashMap::new();
        let mut plans = Vec::with_capacity(rows.len());
        for row in rows {
            plans.push(planned(shared, row, &mut read).await?);
        }
        Ok(Self(plans))
    }

    /// The plan that SDKs were served in a window: the one that answers the window before. The first plan
    /// of all answers its own.
    pub fn at(&self, window: Window) -> Option<&Planned> {
        let before = self
            .0
            .partition_point(|plan| plan.window.end <= window.start);
        let place = before.saturating_sub(1);
        self.0
            .get(place)
            .filter(|plan| plan.window.start <= window.start)
    }
}

async fn planned(
    shared: &JobContext,
    row: PlanRow,
    read: &mut HashMap<u64, Arc<Groups>>,
) -> Result<Planned, StoreError> {
    let figures: Option<Figures> = serde_json::from_str(&row.summary).ok();
    let (budget, caps) = figures.map_or_else(Default::default, |figures| {
        let caps = figures.groups.into_iter();
        let caps = caps.map(|of| (of.group, of.cap_traces_per_second));
        (figures.budget_traces_per_second, caps.collect())
    });
    let caps: BTreeMap<_, _> = caps;
    let groups = match caps.is_empty() {
        true => Arc::default(),
        false => groups(shared, row.configuration_revision, read).await?,
    };
    Ok(Planned {
        window: row.window,
        budget: budget.filter(|budget| budget.is_finite() && *budget >= 0.0),
        caps,
        groups,
    })
}

/// The groups of a revision of the configuration; none if it cannot be read any more.
async fn groups(
    shared: &JobContext,
    revision: u64,
    read: &mut HashMap<u64, Arc<Groups>>,
) -> Result<Arc<Groups>, StoreError> {
    if let Some(known) = read.get(&revision) {
        return Ok(Arc::clone(known));
    }
    if read.len() >= REVISIONS_MAX {
        let newest = read.iter().max_by_key(|(revision, _)| **revision);
        return Ok(newest.map_or_else(Arc::default, |(_, known)| Arc::clone(known)));
    }
    let stored = shared.store.configuration_revision(revision).await?;
    let configuration = stored.and_then(|stored| Configuration::read(&stored).ok());
    let services = configuration.map_or_else(Default::default, |of| of.services);
    let groups: Groups = services
        .into_iter()
        .filter_map(|(service, settings)| Some((service, settings.group?)))
        .collect();
    let groups = Arc::new(groups);
    read.insert(revision, Arc::clone(&groups));
    Ok(groups)
}
