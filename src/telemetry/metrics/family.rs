//! Kinds of metrics, and how a family of series is registered with all its labels.

use std::marker::PhantomData;

use prometheus::core::Collector;
use prometheus::{
    GaugeVec, HistogramOpts, HistogramVec, IntCounterVec, Opts, Registry, Result as Registered,
};

use super::labels::Labels;

/// Only increases, in whole numbers.
pub type Counter = prometheus::IntCounter;
/// Increases and decreases.
pub type Gauge = prometheus::Gauge;
/// Counts observations by size.
pub type Histogram = prometheus::Histogram;

/// The label of all services without series of their own. A service with this very name is counted
/// among them.
pub const OTHER_SERVICES: &str = "other";

/// The label of rules for tagged requests that are not active any more. No rule can have this name.
const OTHER_RULES: &str = "other rules";

/// The label of ungrouped services. No group may have this name.
pub const NO_GROUP: &str = "none";

/// The specification of a metric in the code.
pub(super) struct Spec {
    pub name: &'static str,
    pub help: &'static str,
    /// Upper bounds, for histograms.
    pub buckets: &'static [f64],
}

/// Names are constants in the code, and a test registers them all.
const VALID: &str = "metric names are valid and differ from each other";

/// A family that a registry stores under one name.
pub(super) trait Family: Sized {
    fn register(registry: &Registry, spec: Spec) -> Self;
}

/// One series of a family.
pub trait Series: Sized {
    /// The family's type in the registry.
    type Vec: Collector + Clone + 'static;

    /// A family with these labels.
    #[doc(hidden)]
    fn family(options: Opts, buckets: &[f64], labels: &[&str]) -> Registered<Self::Vec>;

    /// The series with these values.
    #[doc(hidden)]
    fn series(family: &Self::Vec, values: &[&str]) -> Self;
}

impl Series for Counter {
    type Vec = IntCounterVec;

    fn family(options: Opts, _: &[f64], labels: &[&str]) -> Registered<Self::Vec> {
        IntCounterVec::new(options, labels)
    }

    fn series(family: &Self::Vec, values: &[&str]) -> Self {
        family.with_label_values(values)
    }
}

impl Series for Gauge {
    type Vec = GaugeVec;

    fn family(options: Opts, _: &[f64], labels: &[&str]) -> Registered<Self::Vec> {
        GaugeVec::new(options, labels)
    }

    fn series(family: &Self::Vec, values: &[&str]) -> Self {
        family.with_label_values(values)
    }
}

impl Series for Histogram {
    type Vec = HistogramVec;

    fn family(options: Opts, buckets: &[f64], labels: &[&str]) -> Registered<Self::Vec> {
        HistogramVec::new(HistogramOpts::from(options).buckets(buckets.into()), labels)
    }

    fn series(family: &Self::Vec, values: &[&str]) -> Self {
        family.with_label_values(values)
    }
}

fn registered<S: Series>(registry: &Registry, spec: &Spec, labels: &[&str]) -> S::Vec {
    let options = Opts::new(spec.name, spec.help);
    let family = S::family(options, spec.buckets, labels).expect(VALID);
    registry.register(Box::new(family.clone())).expect(VALID);
    family
}

impl<S: Series> Family for S {
    fn register(registry: &Registry, spec: Spec) -> Self {
        S::series(&registered::<S>(registry, &spec, &[]), &[])
    }
}

/// A family whose labels are all known in advance. Each series is an element of a slice.
pub struct By<L, S> {
    series: Box<[S]>,
    labels: PhantomData<fn(L)>,
}

impl<L: Labels, S> By<L, S> {
    /// The series with these labels.
    pub fn of(&self, labels: L) -> &S {
        &self.series[labels.index()]
    }
}

impl<L: Labels, S: Series> Family for By<L, S> {
    fn register(registry: &Registry, spec: Spec) -> Self {
        let family = registered::<S>(registry, &spec, &L::names());
        let all = L::all().into_iter();
        Self {
            series: all
                .map(|labels| S::series(&family, &labels.values()))
                .collect(),
            labels: PhantomData,
        }
    }
}

/// A gauge for each of a few services, and one for all others.
pub struct ByService(GaugeVec);

impl ByService {
    /// Sets the series of these services and of the others. Series of other services are removed.
    pub fn set<'a>(&self, services: impl Iterator<Item = (&'a str, f64)>, others: f64) {
        set_named(&self.0, services, OTHER_SERVICES, others);
    }
}

impl Family for ByService {
    fn register(registry: &Registry, spec: Spec) -> Self {
        let family = Self(registered::<Gauge>(registry, &spec, &["service"]));
        family.set(std::iter::empty(), 0.0);
        family
    }
}

/// A gauge for each group of services, and one for ungrouped services. There are few groups.
pub struct ByGroup(GaugeVec);

impl ByGroup {
    /// Sets the series of these groups and of ungrouped services. Series of other groups are
    /// removed.
    pub fn set<'a>(&self, groups: impl Iterator<Item = (&'a str, f64)>, none: f64) {
        set_named(&self.0, groups, NO_GROUP, none);
    }
}

impl Family for ByGroup {
    fn register(registry: &Registry, spec: Spec) -> Self {
        let family = Self(registered::<Gauge>(registry, &spec, &["group"]));
        family.set(std::iter::empty(), 0.0);
        family
    }
}

/// A gauge for each active rule for tagged requests, and one for all others. There are few.
pub struct ByRule(GaugeVec);

impl ByRule {
    /// Sets the series of these rules and of the others. Series of other rules are removed.
    pub fn set<'a>(&self, rules: impl Iterator<Item = (&'a str, f64)>, others: f64) {
        set_named(&self.0, rules, OTHER_RULES, others);
    }
}

impl Family for ByRule {
    fn register(registry: &Registry, spec: Spec) -> Self {
        let family = Self(registered::<Gauge>(registry, &spec, &["rule"]));
        family.set(std::iter::empty(), 0.0);
        family
    }
}

fn set_named<'a>(
    family: &GaugeVec,
    named: impl Iterator<Item = (&'a str, f64)>,
    rest: &str,
    others: f64,
) {
    family.reset();
    for (name, value) in named {
        family.with_label_values(&[name]).set(value);
    }
    family.with_label_values(&[rest]).set(others);
}
