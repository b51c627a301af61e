//! Sentry's dynamic sampling: projects, then transactions, brought near equal counts.

use std::collections::VecDeque;

use ::weir_simulate::Traffic;

use super::{Controller, INITIAL_PROBABILITY, Observed, Setting};

/// How far a transaction's count is brought from its even part to the ideal.
const INTENSITY: f64 = 0.8;
/// The largest transactions of a project that get rates of their own.
const EXPLICIT: usize = 30;
const EVERY_SECONDS: f64 = 600.0;
const VOLUME_SECONDS: f64 = 3600.0;
const RECENT_SECONDS: f64 = 300.0;
const FACTOR_MIN: f64 = 0.1;
const FACTOR_MAX: f64 = 10.0;

/// One organisation's rates.
///
/// # Source
/// getsentry/sentry, `src/sentry/dynamic_sampling`: `models/full_rebalancing.py` at c7c2d49,
/// `models/projects_rebalancing.py` at 010208f, `models/transactions_rebalancing.py` at 4b9d5b3,
/// `tasks/constants.py` and `tasks/recalibrate_orgs.py` at 025fac7; the options
/// `prioritise_transactions.rebalance_intensity` (0.8) and `num_explicit_large_transactions` (30).
/// Every ten minutes, projects are rebalanced wholly and each one's 30 largest transactions by
/// 0.8, over the volume of the last hour; the rest of a project shares one rate; everything is
/// multiplied by a factor that brings the rate of the last five minutes to the target, given up
/// outside 0.1 to 10.
///
/// Transplanted: a project is a service and a transaction an operation. Sentry's target is a rate
/// and not a throughput: it is the budget over what was offered in the newest five minutes.
pub struct Sentry<'a> {
    traffic: &'a Traffic,
    budget: f64,
    /// The last hour of counts, the newest first.
    counts: VecDeque<Vec<u64>>,
    /// Offered requests and sampled traces of the last five minutes, newest first.
    recent: VecDeque<(u64, u64)>,
    since: f64,
    factor: f64,
    /// Whether the served rates are its own.
    balanced: bool,
    rates: Vec<f64>,
}

impl<'a> Sentry<'a> {
    pub fn new(setting: &Setting<'a>) -> Self {
        Self {
            traffic: setting.traffic,
            budget: setting.budget,
            counts: VecDeque::new(),
            recent: VecDeque::new(),
            since: 0.0,
            factor: 1.0,
            balanced: false,
            rates: vec![INITIAL_PROBABILITY; setting.traffic.operations().len()],
        }
    }

    fn remember(&mut self, observed: &Observed<'_>) {
        let kept = |seconds: f64| (seconds / observed.seconds).round().max(1.0) as usize;
        self.counts.push_front(observed.offered());
        self.counts.truncate(kept(VOLUME_SECONDS));
        let operations = &observed.heard().operations;
        let offered = operations.iter().map(|count| count.offered).sum();
        let sampled = operations.iter().map(|count| count.sampled).sum();
        self.recent.push_front((offered, sampled));
        self.recent.truncate(kept(RECENT_SECONDS));
    }

    /// Rates for all operations that sample the part `target` of everything.
    fn rebalance(&self, target: f64) -> Vec<f64> {
        let mut volumes = vec![0.0; self.rates.len()];
        for counts in &self.counts {
            for (volume, &count) in volumes.iter_mut().zip(counts) {
                *volume += count as f64;
            }
        }
        let services = self.traffic.services();
        let projects: Vec<f64> = services
            .iter()
            .map(|service| volumes[service.operations.clone()].iter().sum())
            .collect();
        let of_projects = rebalanced(&projects, target, 1.0, None).0;
        let mut rates = vec![target; self.rates.len()];
        for (service, rate) in services.iter().zip(of_projects) {
            let volumes = &volumes[service.operations.clone()];
            let own = &mut rates[service.operations.clone()];
            own.copy_from_slice(&transactions(volumes, rate.unwrap_or(target)));
        }
        rates
    }
}

/// Rates that bring the counts of the classes with volume close to each other, and what they
/// sample.
///
/// Small classes come first; what they cannot take goes to the larger ones.
fn rebalanced(
    volumes: &[f64],
    rate: f64,
    intensity: f64,
    least: Option<f64>,
) -> (Vec<Option<f64>>, f64) {
    let mut order: Vec<usize> = (0..volumes.len()).filter(|&i| volumes[i] > 0.0).collect();
    order.sort_by(|a, b| volumes[*a].total_cmp(&volumes[*b]));
    let total: f64 = volumes.iter().sum();
    let mut classes = order.len() as f64;
    let mut ideal = total * rate / classes;
    let mut least = least.unwrap_or(total * rate);
    let mut used = 0.0;
    let mut rates = vec![None; volumes.len()];
    for place in order {
        let volume = volumes[place];
        if ideal * classes < least {
            ideal = least / classes;
        }
        let even = volume * rate;
        let kept = (even + (ideal - even) * intensity).min(volume);
        rates[place] = Some(kept / volume);
        least -= kept;
        used += kept;
        classes -= 1.0;
    }
    (rates, used)
}

/// Rates for a project's operations that sample the part `rate` of it.
fn transactions(volumes: &[f64], rate: f64) -> Vec<f64> {
    let mut order: Vec<usize> = (0..volumes.len()).filter(|&i| volumes[i] > 0.0).collect();
    if order.is_empty() {
        return vec![rate; volumes.len()];
    }
    order.sort_by(|a, b| volumes[*b].total_cmp(&volumes[*a]));
    let classes = order.len() as f64;
    let explicit = order.len().min(EXPLICIT);
    let mut large = vec![0.0; volumes.len()];
    for &place in &order[..explicit] {
        large[place] = volumes[place];
    }
    let total: f64 = volumes.iter().sum();
    let named: f64 = large.iter().sum();
    let rest = total - named;
    let budget = total * rate;
    let named_budget = budget / classes * explicit as f64;
    let rest_budget = budget - named_budget;
    let (rates, others) = if explicit == order.len() {
        (rebalanced(&large, rate, INTENSITY, None).0, rate)
    } else if rest < rest_budget {
        let of_named = (budget - rest) / named;
        (rebalanced(&large, of_named, INTENSITY, None).0, 1.0)
    } else if named < named_budget {
        let all = |volume: &f64| (*volume > 0.0).then_some(1.0);
        (large.iter().map(all).collect(), (budget - named) / rest)
    } else {
        let of_named = named_budget / named;
        let (rates, used) = rebalanced(&large, of_named, INTENSITY, Some(budget - rest));
        (rates, (budget - used) / rest)
    };
    rates
        .into_iter()
        .map(|own| own.unwrap_or(others).clamp(0.0, 1.0))
        .collect()
}

impl Controller for Sentry<'_> {
    fn next(&mut self, observed: &Observed<'_>) -> Vec<f64> {
        self.remember(observed);
        self.since += observed.seconds;
        let (offered, kept) = self.recent.iter().fold((0, 0), |sum, interval| {
            (sum.0 + interval.0, sum.1 + interval.1)
        });
        if self.since >= EVERY_SECONDS && offered > 0 {
            self.since = 0.0;
            let seconds = self.recent.len() as f64 * observed.seconds;
            let target = (self.budget * seconds / offered as f64).min(1.0);
            if kept > 0 && self.balanced {
                let effective = kept as f64 / offered as f64;
                let factor = self.factor * target / effective;
                let sane = (FACTOR_MIN..=FACTOR_MAX).contains(&factor);
                self.factor = if sane { factor } else { 1.0 };
            }
            self.rates = self.rebalance(target);
            self.balanced = true;
        }
        let factor = self.factor;
        self.rates
            .iter()
            .map(|rate| (rate * factor).min(1.0))
            .collect()
    }
}
