//! A fleet of SDKs and agents, without any waiting: who sees which requests and samples them.
//!
//! The caller decides about time: each call of [`Fleet::tick`] is a tick. Nothing here sends or
//! waits, so a run in real time and one in virtual time use the same fleet.

mod tally;

use rand::SeedableRng;
use rand::rngs::StdRng;
use rand_distr::{Binomial, Distribution};

use super::reference::ReferencePlan;
use super::strategy::ClientStrategy;
use super::traffic::Traffic;

pub use tally::{OperationTally, Sampled, ServiceTally, Tally};

/// What the fleet is made of.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct FleetShape {
    /// How many agents report; at least 1.
    pub agents: usize,
    /// The most SDK instances of one service; at least 1.
    pub instances_max: usize,
    /// Root requests in an average row of time that make a service run one more instance.
    pub requests_per_instance: f64,
    /// The probability that an SDK uses until it has its first strategy.
    pub initial_probability: f64,
    /// The seed of all random numbers.
    pub seed: u64,
}

impl Default for FleetShape {
    fn default() -> Self {
        Self {
            agents: 8,
            instances_max: 3,
            requests_per_instance: 200.0,
            initial_probability: 0.001,
            seed: 1,
        }
    }
}

/// One SDK instance: what it was served, and what it has counted since the agent last asked.
#[derive(Debug, Clone)]
struct Sdk {
    service: usize,
    agent: usize,
    told: Vec<f64>,
    told_by_reference: Vec<f64>,
    offered: Vec<u64>,
    sampled: Vec<u64>,
}

/// All SDKs and agents of the run.
#[derive(Debug)]
pub struct Fleet {
    /// The index in the traffic of each service's first operation.
    first_operation: Vec<usize>,
    /// The SDK instances, service by service, and where each service's instances begin.
    sdks: Vec<Sdk>,
    first_sdk: Vec<usize>,
    agents: usize,
    /// Requests of the current interval that have not arrived yet, operation by operation.
    coming: Vec<u64>,
    tally: Tally,
    arrivals: StdRng,
    coins: StdRng,
    reference_coins: StdRng,
}

impl Fleet {
    /// Creates the instances of every service, and assigns them to the agents in turn.
    #[must_use]
    pub fn new(traffic: &Traffic, shape: &FleetShape) -> Self {
        let agents = shape.agents.max(1);
        let mut sdks = Vec::new();
        let mut first_sdk = Vec::with_capacity(traffic.services().len() + 1);
        for (place, service) in traffic.services().iter().enumerate() {
            first_sdk.push(sdks.len());
            let wanted = 1 + (traffic.mean_per_row(place) / shape.requests_per_instance) as usize;
            let operations = service.operations.len();
            for _ in 0..wanted.clamp(1, shape.instances_max.max(1)) {
                sdks.push(Sdk {
                    service: place,
                    agent: sdks.len() % agents,
                    told: vec![shape.initial_probability; operations],
                    told_by_reference: vec![shape.initial_probability; operations],
                    offered: vec![0; operations],
                    sampled: vec![0; operations],
                });
            }
        }
        first_sdk.push(sdks.len());
        // Three streams: the server's strategies must not change the arrivals or the reference.
        let stream = |number: u64| StdRng::seed_from_u64(shape.seed.wrapping_mul(3) + number);
        Self {
            first_operation: traffic
                .services()
                .iter()
                .map(|service| service.operations.start)
                .collect(),
            sdks,
            first_sdk,
            agents,
            coming: vec![0; traffic.operations().len()],
            tally: Tally::default(),
            arrivals: stream(0),
            coins: stream(1),
            reference_coins: stream(2),
        }
    }

    /// How many SDK instances there are.
    #[must_use]
    pub fn sdks(&self) -> usize {
        self.sdks.len()
    }

    /// How many agents there are.
    #[must_use]
    pub fn agents(&self) -> usize {
        self.agents
    }

    /// The index in the traffic of an SDK's service.
    #[must_use]
    pub fn service_of(&self, sdk: usize) -> usize {
        self.sdks[sdk].service
    }

    /// Gives an SDK the strategy that the server returned.
    pub fn tell(&mut self, sdk: usize, strategy: &ClientStrategy, traffic: &Traffic) {
        let sdk = &mut self.sdks[sdk];
        let operations = traffic.services()[sdk.service].operations.clone();
        for (told, operation) in sdk.told.iter_mut().zip(&traffic.operations()[operations]) {
            *told = strategy.probability(operation.name.as_str());
        }
    }

    /// Gives an SDK the probabilities of the reference controller.
    pub fn tell_reference(&mut self, sdk: usize, plan: &ReferencePlan) {
        let sdk = &mut self.sdks[sdk];
        let first = self.first_operation[sdk.service];
        let count = sdk.told_by_reference.len();
        sdk.told_by_reference
            .copy_from_slice(&plan.probabilities[first..first + count]);
    }

    /// Begins an interval with these root requests of every operation.
    pub fn begin_interval(&mut self, counts: Vec<u64>) {
        debug_assert_eq!(counts.len(), self.coming.len());
        self.coming = counts;
    }

    /// Plays one tick. `ticks_left` ticks of the interval are left, including this one.
    ///
    /// Every request that is still to come arrives in this tick with probability `1/ticks_left`, at
    /// a random instance of its service. So arrivals are uniform over the interval, and all have
    /// arrived at its end. Returns how many arrived.
    pub fn tick(&mut self, ticks_left: u32) -> u64 {
        let before = self.tally.offered;
        for service in 0..self.first_operation.len() {
            let operations = self.sdks[self.first_sdk[service]].told.len();
            for local in 0..operations {
                let place = self.first_operation[service] + local;
                let arrived = draw(&mut self.arrivals, self.coming[place], share(ticks_left));
                self.coming[place] -= arrived;
                self.arrive(service, local, arrived);
            }
        }
        self.tally.offered - before
    }

    fn arrive(&mut self, service: usize, local: usize, arrived: u64) {
        let instances = self.first_sdk[service]..self.first_sdk[service + 1];
        let mut left = arrived;
        for place in instances.clone() {
            let others = (instances.end - place) as u32;
            let offered = draw(&mut self.arrivals, left, share(others));
            left -= offered;
            if offered == 0 {
                continue;
            }
            let sdk = &mut self.sdks[place];
            let sampled = draw(&mut self.coins, offered, sdk.told[local]);
            sdk.offered[local] += offered;
            sdk.sampled[local] += sampled;
            self.tally.offered += offered;
            self.tally.served.add(sampled, offered, sdk.told[local]);
            let probability = sdk.told_by_reference[local];
            let sampled = draw(&mut self.reference_coins, offered, probability);
            self.tally.reference.add(sampled, offered, probability);
        }
    }

    /// Ends the interval, and returns what the fleet did in it.
    pub fn end_interval(&mut self) -> Tally {
        std::mem::take(&mut self.tally)
    }

    /// Returns what an agent's SDKs have counted since the last call. Nothing is returned twice.
    pub fn take_report(&mut self, agent: usize) -> Vec<ServiceTally> {
        let mut services: Vec<ServiceTally> = Vec::new();
        for sdk in self.sdks.iter_mut().filter(|sdk| sdk.agent == agent) {
            if services
                .last()
                .is_none_or(|last| last.service != sdk.service)
            {
                services.push(ServiceTally {
                    service: sdk.service,
                    instances: 0,
                    operations: Vec::new(),
                });
            }
            let Some(tally) = services.last_mut() else {
                continue;
            };
            tally.instances += 1;
            let first = self.first_operation[sdk.service];
            let counts = sdk.offered.iter_mut().zip(&mut sdk.sampled).enumerate();
            for (local, (offered, sampled)) in counts.filter(|(_, (offered, _))| **offered > 0) {
                merge(
                    &mut tally.operations,
                    OperationTally {
                        operation: first + local,
                        offered: std::mem::take(offered),
                        sampled: std::mem::take(sampled),
                    },
                );
            }
        }
        services.retain(|tally| !tally.operations.is_empty());
        services
    }
}

/// Adds to the entry of the same operation, or creates one: two instances of a service may have the
/// same agent, and a report contains an operation once.
fn merge(operations: &mut Vec<OperationTally>, more: OperationTally) {
    let known = operations
        .iter_mut()
        .find(|known| known.operation == more.operation);
    match known {
        Some(known) => {
            known.offered += more.offered;
            known.sampled += more.sampled;
        }
        None => operations.push(more),
    }
}

/// One of `of` equal parts, as a probability.
fn share(of: u32) -> f64 {
    1.0 / f64::from(of.max(1))
}

/// How many of `trials` succeed.
fn draw(random: &mut StdRng, trials: u64, probability: f64) -> u64 {
    if trials == 0 || probability <= 0.0 {
        return 0;
    }
    if probability >= 1.0 {
        return trials;
    }
    Binomial::new(trials, probability)
        .expect("the probability lies between 0 and 1")
        .sample(random)
}

#[cfg(test)]
mod tests {
    use super::*;
    use weir_allocation::{OperationName, ServiceName};

    fn traffic() -> Traffic {
        let row = |service: &str, operation: &str, count: u32| {
            (
                ServiceName::parse(service).unwrap(),
                OperationName::parse(operation).unwrap(),
                vec![count],
            )
        };
        Traffic::new(
            vec!["0".into()],
            vec![
                row("big", "a", 5000),
                row("big", "b", 10),
                row("small", "c", 1),
            ],
        )
        .unwrap()
    }

    fn play(fleet: &mut Fleet, counts: &[u64]) -> Tally {
        fleet.begin_interval(counts.to_vec());
        for left in (1..=20).rev() {
            fleet.tick(left);
        }
        fleet.end_interval()
    }

    fn reported(fleet: &mut Fleet) -> Vec<(u64, u64)> {
        let mut totals = vec![(0, 0); 3];
        for agent in 0..fleet.agents() {
            for tally in fleet.take_report(agent).iter().flat_map(|s| &s.operations) {
                totals[tally.operation].0 += tally.offered;
                totals[tally.operation].1 += tally.sampled;
            }
        }
        totals
    }

    #[test]
    fn every_request_arrives_in_its_interval_and_is_reported_once() {
        let mut fleet = Fleet::new(&traffic(), &FleetShape::default());
        assert_eq!(
            fleet.sdks(),
            4,
            "three of the big service, one of the small"
        );
        let tally = play(&mut fleet, &[5000, 10, 1]);
        assert_eq!(tally.offered, 5011);
        let totals = reported(&mut fleet);
        let offered: Vec<u64> = totals.iter().map(|total| total.0).collect();
        assert_eq!(offered, [5000, 10, 1]);
        let sampled: u64 = totals.iter().map(|total| total.1).sum();
        assert_eq!(sampled, tally.served.count);
        assert!(reported(&mut fleet).iter().all(|&total| total == (0, 0)));
    }

    #[test]
    fn an_agent_with_two_instances_of_a_service_names_an_operation_once() {
        let shape = FleetShape {
            agents: 1,
            ..FleetShape::default()
        };
        let mut fleet = Fleet::new(&traffic(), &shape);
        play(&mut fleet, &[5000, 10, 1]);
        let report = fleet.take_report(0);
        assert_eq!(report.len(), 2);
        assert_eq!((report[0].instances, report[0].operations.len()), (3, 2));
    }

    #[test]
    fn an_sdk_samples_by_what_it_was_told_last() {
        let traffic = traffic();
        let shape = FleetShape {
            initial_probability: 0.0,
            ..FleetShape::default()
        };
        let mut fleet = Fleet::new(&traffic, &shape);
        assert_eq!(play(&mut fleet, &[5000, 10, 1]).served.count, 0);
        let strategy = ClientStrategy {
            default_probability: 1.0,
            operations: [("a".to_owned(), 0.1)].into(),
        };
        for sdk in 0..fleet.sdks() {
            fleet.tell(sdk, &strategy, &traffic);
        }
        let sampled = play(&mut fleet, &[5000, 10, 1]).served;
        assert!((sampled.expected - 511.0).abs() < 1e-6, "{sampled:?}");
        assert!((sampled.variance - 450.0).abs() < 1e-6, "{sampled:?}");
        let off = (sampled.count as f64 - sampled.expected).abs();
        assert!(off < 6.0 * sampled.variance.sqrt(), "{sampled:?}");
    }

    #[test]
    fn what_a_server_tells_changes_neither_arrivals_nor_reference() {
        let traffic = traffic();
        let plan = ReferencePlan {
            probabilities: vec![0.1, 0.5, 1.0],
        };
        let run = |probability: f64| {
            let mut fleet = Fleet::new(&traffic, &FleetShape::default());
            for sdk in 0..fleet.sdks() {
                fleet.tell_reference(sdk, &plan);
                let strategy = ClientStrategy {
                    default_probability: probability,
                    operations: [].into(),
                };
                fleet.tell(sdk, &strategy, &traffic);
            }
            play(&mut fleet, &[5000, 10, 1])
        };
        assert_eq!(run(0.0).reference, run(0.7).reference);
        assert_ne!(run(0.0).served, run(0.7).served);
    }
}
