//! Takes the exports of sources, which send the values of streams.
//!
//! Any replica may get the next export of a source. So what was counted of its streams, its state, is in
//! the database, and changes in the transaction that stores the counts. A replica that took the
//! difference from a state that has moved on is told so, reads the state again and takes the difference
//! once more.

use std::sync::Arc;

use futures_util::StreamExt;
use futures_util::stream::FuturesUnordered;
use uuid::Uuid;

use super::precedence::{self, Standing, basis_label};
use super::report::{Number, ReportBuilder, ReportedClass};
use super::states::SourceKey;
use super::streams::{
    self, Counts, FinalCounts, Instants, Said, SourceState, Taken, Unit, Unreadable,
};
use super::{Acknowledged, Ingest, IngestError, Pending, SourceExport, in_time};
use crate::allocation::{AgentCount, AgentName, Basis, Timestamp, Window};
use crate::names::{FinalCount, agent_id};
use crate::store::{self, Admission, NextState, ResolvedReport, StoreError};
use crate::telemetry::logging::chain;
use crate::telemetry::metrics::CountBasis;
use crate::telemetry::seldom::log_seldom;

/// Sources of one body that wait for the database at a time. More would take more memory.
const SOURCES_AT_ONCE: usize = 64;

/// How often a state is read again, because another replica has moved it on, before the export is
/// refused.
const ATTEMPTS: usize = 8;

/// Counts of one export: names times buckets. A window that would have more is cut at its start, and
/// its counts are spread over the rest.
const COUNTS: usize = 200_000;
/// Buckets of one export.
const BUCKETS: usize = 1440;

/// What became of the points of a body.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Exported {
    /// Points whose requests are not counted.
    pub rejected: u64,
    /// Why points are not counted; none if all are.
    pub said: Option<String>,
}

/// A source and what is stored of it.
struct Source {
    key: SourceKey,
    stored: Option<store::SourceState>,
}

impl Ingest {
    /// Counts what is new in a body's exports, and returns when all of it is durable.
    ///
    /// # Errors
    /// After any error, nothing may be acknowledged. What was counted is not counted again when the body
    /// is sent again.
    pub async fn export(
        &self,
        mut exports: Vec<SourceExport<'_>>,
    ) -> Result<Exported, IngestError> {
        self.weigh(&mut exports);
        let mut sources = self.sources(&exports).await?;
        let said = match (&exports[..], sources.pop()) {
            // Mostly a body is of one process.
            ([export], Some(source)) => self.export_one(export, source).await?,
            (_, last) => {
                self.export_all(&exports, sources.into_iter().chain(last))
                    .await?
            }
        };
        said.count(&self.metrics);
        Ok(Exported {
            rejected: said.rejected(),
            said: (!said.is_empty()).then(|| said.in_words(unit(&exports))),
        })
    }

    /// Counts the exports of several sources, some at a time.
    async fn export_all(
        &self,
        exports: &[SourceExport<'_>],
        sources: impl Iterator<Item = Source>,
    ) -> Result<Said, IngestError> {
        let mut waiting = exports.iter().zip(sources);
        let mut running = FuturesUnordered::new();
        let mut said = Said::default();
        loop {
            let room = SOURCES_AT_ONCE - running.len();
            let next = waiting.by_ref().take(room);
            running.extend(next.map(|(export, source)| self.export_one(export, source)));
            match running.next().await {
                Some(of_one) => said.add(of_one?),
                None => return Ok(said),
            }
        }
    }

    /// The sources of exports, with their states: those that are remembered, and the others from the
    /// database.
    async fn sources(&self, exports: &[SourceExport<'_>]) -> Result<Vec<Source>, IngestError> {
        let mut sources: Vec<Source> = exports
            .iter()
            .map(|export| {
                let key = key(export);
                let stored = self.states.take(&key);
                Source { key, stored }
            })
            .collect();
        let unknown: Vec<SourceKey> = sources
            .iter()
            .filter(|source| source.stored.is_none())
            .map(|source| source.key.clone())
            .collect();
        if unknown.is_empty() {
            return Ok(sources);
        }
        let read = in_time(self.read(&unknown)).await?;
        let missing = sources.iter_mut().filter(|source| source.stored.is_none());
        for (source, stored) in missing.zip(read) {
            source.stored = stored;
        }
        Ok(sources)
    }

    async fn read(
        &self,
        keys: &[SourceKey],
    ) -> Result<Vec<Option<store::SourceState>>, IngestError> {
        let read = self.store.source_states(keys).await;
        read.map_err(|error| IngestError::Store(Arc::new(error)))
    }

    /// Takes the differences of one source from its state, until that is the one which is stored.
    async fn export_one(
        &self,
        export: &SourceExport<'_>,
        source: Source,
    ) -> Result<Said, IngestError> {
        let Source { key, mut stored } = source;
        let instants = self.instants();
        for _ in 0..ATTEMPTS {
            let state = state(&key, stored.as_ref(), instants)?;
            if self.is_left_out_again(export, &state, instants) {
                stored
                    .into_iter()
                    .for_each(|stored| self.states.put(key.clone(), stored));
                return Ok(Said::default());
            }
            let number = stored.as_ref().map_or(0, |stored| stored.number);
            let mut taken = streams::take(state, export, instants);
            let bytes = streams::encode(&mut taken.next, instants.now_ns);
            // A state has one encoding.
            let is_as_before =
                |stored: &mut store::SourceState| stored.bytes.as_ref() == Some(&bytes);
            if let Some(same) = stored.take_if(is_as_before) {
                self.states.put(key, same);
                return Ok(taken.said);
            }
            if stored.is_none() && taken.next == SourceState::default() {
                return Ok(taken.said);
            }
            let next = store::SourceState {
                number: number + 1,
                bytes: Some(bytes),
            };
            if self.store_next(export, &key, &taken, &next).await? == Acknowledged::Counted {
                self.name(&export.service, &taken.final_names);
                self.observed.counted(&export.service, taken.spans);
                if taken.said.rejected() > 0 {
                    let reason = taken.said.in_words(unit(std::slice::from_ref(export)));
                    self.refused(key.0.as_str(), &reason);
                }
                self.states.put(key, next);
                return Ok(taken.said);
            }
            self.metrics.source_states_overtaken.inc();
            stored = in_time(self.read(std::slice::from_ref(&key)))
                .await?
                .pop()
                .flatten();
        }
        Err(IngestError::Unsettled)
    }

    /// Whether these are spans that are left out, of a source that was heard within an interval. Nothing is
    /// stored for them: processes that send metrics mostly send spans, too, and far more often. If such spans
    /// come again, they are counted once at most.
    fn is_left_out_again(
        &self,
        export: &SourceExport<'_>,
        state: &SourceState,
        instants: Instants,
    ) -> bool {
        let ends = export.points.iter().map(|point| point.time_ns);
        let heard_until_ns = state.counted_until_ns.saturating_add(instants.interval_ns);
        let is_left_out = export.is_of_spans()
            && ends
                .max()
                .is_some_and(|newest_ns| newest_ns < heard_until_ns)
            && self.standing(&export.service, Basis::Spans) == Standing::LeftOut;
        if is_left_out {
            let left_out = self.metrics.source_requests_left_out.of(CountBasis::Spans);
            left_out.inc_by(export.requests_of_spans());
        }
        is_left_out
    }

    /// Counts the final names of what is stored now.
    fn name(&self, service: &str, names: &FinalCounts<'_>) {
        let names = names.iter().map(|(name, requests)| FinalCount {
            at_start: name.0,
            at_end: name.1,
            requests: *requests,
        });
        let names: Vec<FinalCount<'_>> = names.collect();
        self.dictionary.final_names().count(service, &names);
    }

    /// Stores the next state of a source together with what it counted.
    async fn store_next(
        &self,
        export: &SourceExport<'_>,
        (agent, epoch): &SourceKey,
        taken: &Taken<'_>,
        next: &store::SourceState,
    ) -> Result<Acknowledged, IngestError> {
        let state = NextState {
            bytes: next.bytes.clone().unwrap_or_default(),
            heard: self.clock.timestamp(),
        };
        let Some(counts) = &taken.counts else {
            let report = ResolvedReport {
                agent: agent.clone(),
                epoch: *epoch,
                sequence: next.number,
                names: self.dictionary.names().incarnation(),
                buckets: Vec::new(),
                state: Some(state),
            };
            return self.commit_silent(report).await;
        };
        let pending = self.counted(export, (agent, *epoch), counts, next.number);
        let mut pending = pending.await?;
        pending.named.report.state = Some(state);
        Ok(self.commit(pending).await?.acknowledged)
    }

    /// The report of what an export counts, ready to be committed.
    async fn counted(
        &self,
        export: &SourceExport<'_>,
        (agent, epoch): (&AgentName, Uuid),
        counts: &Counts<'_>,
        number: u64,
    ) -> Result<Pending, IngestError> {
        let window = bounded(counts, self.limits.bucket.as_millis() as i64);
        let basis = precedence::basis(counts);
        let source = (agent.clone(), epoch);
        let mut builder = ReportBuilder::of_source(source, number, window, basis);
        let Standing::Counts { probability } = self.standing(&export.service, basis) else {
            let offered = counts.entries.iter().map(|entry| entry.offered);
            let offered = offered.fold(0, u64::saturating_add);
            let left_out = &self.metrics.source_requests_left_out;
            left_out.of(basis_label(basis)).inc_by(offered);
            return self.left_out(export, builder).await;
        };
        builder.service(export.service.clone(), Number::Whole(1));
        builder.expect(counts.entries.len());
        for entry in counts.entries.iter().filter(|entry| entry.offered > 0) {
            let offered = match basis {
                Basis::Calls => precedence::offered(entry.offered, probability),
                _ => entry.offered,
            };
            let numbers = (Number::Whole(offered), Number::Whole(entry.sampled));
            builder.operation(entry.name.clone(), ReportedClass::None, numbers);
        }
        self.resolve(builder.finish()).await
    }

    /// A report that counts nothing. It says that the source is there, and of which service.
    async fn left_out(
        &self,
        export: &SourceExport<'_>,
        builder: ReportBuilder<'_>,
    ) -> Result<Pending, IngestError> {
        let mut pending = self.resolve(builder.finish()).await?;
        let service = pending.named.names.find_service(&export.service);
        let report = &mut pending.named.report;
        let newest = report.buckets.iter_mut().rfind(|of| !of.reports.is_empty());
        if let (Some(service), Some(bucket)) = (service, newest) {
            bucket.agents.push(AgentCount {
                agent: agent_id(&report.agent),
                service: Some(service),
                offered: 0,
                sampled: 0,
            });
        }
        Ok(pending)
    }

    /// Commits a state without counts.
    async fn commit_silent(&self, mut report: ResolvedReport) -> Result<Acknowledged, IngestError> {
        for _ in 0..super::ATTEMPTS {
            report = match self.committer.commit(report).await? {
                super::Committed::Admitted(Admission::Counted) => return Ok(Acknowledged::Counted),
                super::Committed::Admitted(_) => return Ok(Acknowledged::Duplicate),
                super::Committed::OtherNames(report) => report,
            };
            let left = self.dictionary.leave(report.names).await;
            left.map_err(|error| IngestError::Store(Arc::new(error)))?;
            report.names = self.dictionary.names().incarnation();
        }
        Err(IngestError::Unsettled)
    }

    fn instants(&self) -> Instants {
        let now_ns = nanoseconds(self.clock.timestamp());
        let age_ns = u64::try_from(self.limits.age.as_nanos()).unwrap_or(u64::MAX);
        Instants {
            now_ns,
            oldest_ns: now_ns.saturating_sub(age_ns),
            interval_ns: u64::try_from(self.limits.bucket.as_nanos()).unwrap_or(u64::MAX),
        }
    }
}

/// What exports are made of. Those of one body are all of the same.
fn unit(exports: &[SourceExport<'_>]) -> Unit {
    match exports.iter().any(SourceExport::is_of_spans) {
        true => Unit::Spans,
        false => Unit::Points,
    }
}

fn nanoseconds(at: Timestamp) -> u64 {
    at.0.max(0).cast_unsigned().saturating_mul(1_000_000)
}

/// The key of a source. A name that no agent can have is replaced by the digest.
fn key(export: &SourceExport<'_>) -> SourceKey {
    let name = AgentName::parse(&export.agent);
    let name = name.or_else(|_| AgentName::parse(&export.key.to_string()));
    (name.expect("a digest is a name"), export.key)
}

/// The state that is stored. If it is lost or damaged, streams begin with a baseline.
///
/// # Errors
/// If a newer release wrote it. A replica of that release takes the export when it is sent again.
fn state(
    (agent, epoch): &SourceKey,
    stored: Option<&store::SourceState>,
    instants: Instants,
) -> Result<SourceState, IngestError> {
    let Some(stored) = stored else {
        return Ok(SourceState::default());
    };
    let damaged = |epoch: &Uuid| {
        log_seldom!(
            warn,
            agent = agent.as_str(),
            epoch = %epoch,
            "what was counted of a source is lost: its streams are counted from now on"
        );
        SourceState::lost(instants.now_ns)
    };
    match stored.bytes.as_deref().map(streams::decode) {
        Some(Ok(state)) => Ok(state),
        None | Some(Err(Unreadable::Damaged)) => Ok(damaged(epoch)),
        Some(Err(Unreadable::Newer(found))) => {
            let error = StoreError::NewerFormat {
                what: format!("mark.state of agent {}", agent.as_str()),
                found: u32::from(found),
                known: u32::from(Unreadable::KNOWN),
            };
            log_seldom!(
                warn,
                error = chain(&error),
                "an export cannot be counted here"
            );
            Err(IngestError::Store(Arc::new(error)))
        }
    }
}

/// A window that is short enough for its counts.
fn bounded(counts: &Counts<'_>, bucket_milliseconds: i64) -> Window {
    let buckets = (COUNTS / (counts.entries.len() + 1)).min(BUCKETS) as i64;
    let longest = buckets.saturating_mul(bucket_milliseconds);
    let Window { start, end } = counts.window;
    Window {
        start: Timestamp(start.0.max(end.0.saturating_sub(longest))),
        end,
    }
}
