//! Tables `dictionary`, `dictionary_chain`, `service` and `operation`: names and their numbers.
//!
//! Adding or removing names locks the only row of `dictionary`. So numbers become visible in the
//! order in which they were assigned, and a reader may continue after the highest that it has read.
//! A trigger gives the row a new incarnation with each change, and adds it to the chain of all
//! earlier ones.

use super::audit;
use crate::allocation::{OperationId, OperationName, ServiceId, ServiceName};
use crate::store::backend::{Backend, Kind, Row, Transaction};
use crate::store::fault::{self, Fault};
use crate::store::naming::{self, Counters, Known, KnownService};
use crate::store::{
    DictionaryCursor, DictionaryEntry, DictionaryLimits, DictionaryPage, Incarnation,
    NewAuditEntry, Placement, Step,
};

/// The most entries of a page. Names have a greatest length, so this bounds the bytes too.
const PAGE: u32 = 5000;

/// The most bytes of the names of one entry.
const ENTRY_BYTES: usize = ServiceName::LONGEST + OperationName::LONGEST;

/// A page stays below 4 MiB.
const _: () = assert!(PAGE as usize * ENTRY_BYTES < 4 << 20);

const READ_STATE: &str = "\
-- dictionary: read state
select dictionary.incarnation, dictionary.generation, dictionary.next_operation_id,
    known.incarnation as known, included.incarnation as included,
    oldest.generation as oldest_generation, oldest.next_operation_id as oldest_next
from dictionary
cross join (
    select generation, next_operation_id from dictionary_chain
    order by generation, next_operation_id limit 1
) as oldest
left join dictionary_chain as known on known.incarnation = $1
left join dictionary_chain as included on included.incarnation = $2";

const READ_ENTRIES: &str = "\
-- dictionary: read entries
select operation.operation_id, operation.service_id, service.name as service_name,
    operation.name as operation_name
from operation
join service using (service_id)
where operation.operation_id >= $1
order by operation.operation_id
limit $2";

const IS_PAST: &str = "\
-- dictionary: is past
select incarnation from dictionary_chain where incarnation = $1";

const FORGET: &str = "\
-- dictionary: forget old states
delete from dictionary_chain
where (generation, next_operation_id) < (
    select generation, next_operation_id from dictionary_chain
    order by generation desc, next_operation_id desc
    limit 1 offset $1
)";

const WRITE_COUNTERS: &str = "\
-- dictionary: write counters
update dictionary
set next_service_id = $1, next_operation_id = $2, services = $3, operations = $4";

const NEW_GENERATION: &str = "\
-- dictionary: new generation
update dictionary
set generation = generation + 1, services = services - $1, operations = operations - $2";

/// The dictionary's state, as a reader finds it.
struct State {
    incarnation: Incarnation,
    generation: i64,
    next: OperationId,
    /// Whether the chain contains the state that the reader has read.
    known: bool,
    /// Whether the chain contains the state that the reader asks about.
    includes: bool,
    /// The generation and the next operation of the oldest state in the chain.
    oldest: (i64, i64),
}

impl State {
    fn of(row: &impl Row, including: Option<Incarnation>) -> Result<Self, Fault> {
        let next = row.integer("next_operation_id")?;
        Ok(Self {
            incarnation: Incarnation(row.id("incarnation")?),
            generation: row.integer("generation")?,
            next: OperationId(fault::number(next, || {
                "dictionary.next_operation_id".to_owned()
            })?),
            known: row.id_or_null("known")?.is_some(),
            includes: including.is_none() || row.id_or_null("included")?.is_some(),
            oldest: (
                row.integer("oldest_generation")?,
                row.integer("oldest_next")?,
            ),
        })
    }

    /// The position of a reader that has read the entries below a number.
    fn cursor(&self, next: OperationId) -> Result<DictionaryCursor, Fault> {
        Ok(DictionaryCursor {
            incarnation: self.incarnation,
            generation: fault::number(self.generation, || "dictionary.generation".to_owned())?,
            next,
        })
    }

    /// The relation of this state to the one that a reader has read.
    fn step(&self, at: Option<DictionaryCursor>) -> Step {
        let Some(at) = at else {
            return Step::Anew;
        };
        if self.known {
            let removed = u64::try_from(self.generation) != Ok(at.generation);
            return if removed { Step::Anew } else { Step::Forward };
        }
        // States that were cut off from the chain were in its past once.
        let oldest = (i128::from(self.oldest.0), self.oldest.1);
        let stands = (i128::from(at.generation), i64::from(at.next.0));
        if stands < oldest {
            Step::Anew
        } else {
            Step::Back
        }
    }
}

fn entry(row: &impl Row) -> Result<DictionaryEntry, Fault> {
    let id = row.integer("operation_id")?;
    let service = row.integer("service_id")?;
    let cell = |column: &str| format!("{column} of operation_id {id}");
    Ok(DictionaryEntry {
        service: ServiceId(fault::number(service, || cell("operation.service_id"))?),
        operation: OperationId(fault::number(id, || cell("operation.operation_id"))?),
        service_name: ServiceName::parse(row.text("service_name")?)
            .map_err(|error| Fault::corrupt(cell("service.name"), error))?,
        operation_name: OperationName::parse(row.text("operation_name")?)
            .map_err(|error| Fault::corrupt(cell("operation.name"), error))?,
    })
}

/// Reads a page of what a reader at `at` does not know; one small statement if there is nothing.
pub async fn read<B: Backend>(
    backend: &B,
    at: Option<DictionaryCursor>,
    including: Option<Incarnation>,
) -> Result<DictionaryPage, Fault> {
    let mut glance = backend.begin(Kind::Glance).await?;
    let state = read_state(&mut glance, at, including).await?;
    glance.commit().await?;
    let cursor = state.cursor(state.next)?;
    if at == Some(cursor) {
        return Ok(DictionaryPage {
            step: Step::Forward,
            cursor,
            includes: state.includes,
            entries: Vec::new(),
            more: false,
        });
    }
    let mut transaction = backend.begin(Kind::Read).await?;
    let page = read_page(&mut transaction, at, including).await?;
    transaction.commit().await?;
    Ok(page)
}

async fn read_state(
    transaction: &mut impl Transaction,
    at: Option<DictionaryCursor>,
    including: Option<Incarnation>,
) -> Result<State, Fault> {
    let values = [
        at.map(|at| at.incarnation.0).into(),
        including.map(|including| including.0).into(),
    ];
    let row = transaction.only_row(READ_STATE, &values).await?;
    State::of(&row, including)
}

async fn read_page(
    transaction: &mut impl Transaction,
    at: Option<DictionaryCursor>,
    including: Option<Incarnation>,
) -> Result<DictionaryPage, Fault> {
    let state = read_state(transaction, at, including).await?;
    let step = state.step(at);
    let from = at
        .filter(|_| step == Step::Forward)
        .map_or(0, |at| at.next.0);
    let values = [i64::from(from).into(), i64::from(PAGE).into()];
    let rows = transaction.rows(READ_ENTRIES, &values).await?;
    let entries: Vec<DictionaryEntry> = rows.iter().map(entry).collect::<Result<_, _>>()?;
    let last = entries.last().filter(|_| entries.len() == PAGE as usize);
    // Numbers that were removed may be between the last entry and the next new one.
    let next = match last {
        Some(last) => OperationId(last.operation.0.saturating_add(1)).min(state.next),
        None => state.next,
    };
    Ok(DictionaryPage {
        step,
        cursor: state.cursor(next)?,
        includes: state.includes,
        more: next != state.next,
        entries,
    })
}

/// Whether a state is the dictionary's current one or in its past.
pub async fn is_past(
    transaction: &mut impl Transaction,
    state: Incarnation,
) -> Result<bool, Fault> {
    let found = transaction.row(IS_PAST, &[state.0.into()]).await?;
    Ok(found.is_some())
}

/// Forgets all states except the newest.
pub async fn forget<B: Backend>(backend: &B, keep: u32) -> Result<(), Fault> {
    let skip = i64::from(keep.saturating_sub(1));
    let mut transaction = backend.begin(Kind::Write).await?;
    transaction.execute(FORGET, &[skip.into()]).await?;
    transaction.commit().await
}

fn counters(row: &impl Row) -> Result<Counters, Fault> {
    let cell = |column: &'static str| {
        let value = row.integer(column)?;
        fault::number(value, || format!("dictionary.{column}"))
    };
    Ok(Counters {
        next_service: cell("next_service_id")?,
        next_operation: cell("next_operation_id")?,
        services: cell("services")?,
        operations: cell("operations")?,
    })
}

/// Adds names as far as the limits allow.
pub async fn add<B: Backend>(
    backend: &B,
    names: &[(ServiceName, OperationName)],
    limits: DictionaryLimits,
) -> Result<Vec<Placement>, Fault> {
    let mut transaction = backend.begin(Kind::Brief).await?;
    let row = transaction
        .only_row(B::STATEMENTS.lock_dictionary, &[])
        .await?;
    let known = B::find_names(&mut transaction, names).await?;
    let additions = naming::additions(names, limits, counters(&row)?, &known);
    if !additions.is_empty() {
        B::write_names(&mut transaction, &additions).await?;
        let after = additions.counters;
        let values = [
            after.next_service,
            after.next_operation,
            after.services,
            after.operations,
        ];
        let values = values.map(|counter| i64::from(counter).into());
        transaction.execute(WRITE_COUNTERS, &values).await?;
    }
    transaction.commit().await?;
    Ok(additions.placements)
}

/// Removes operations, and services without remaining operations. What is recorded of it is written if anything was.
pub async fn remove<B: Backend>(
    backend: &B,
    under: Incarnation,
    operations: &[OperationId],
    record: Option<&NewAuditEntry>,
) -> Result<u64, Fault> {
    let mut transaction = backend.begin(Kind::Write).await?;
    transaction
        .only_row(B::STATEMENTS.lock_dictionary, &[])
        .await?;
    if !is_past(&mut transaction, under).await? {
        transaction.rollback().await?;
        return Ok(0);
    }
    let (services, gone) = B::delete_names(&mut transaction, operations).await?;
    if services > 0 || gone > 0 {
        let values = [services, gone].map(|gone| gone.cast_signed().into());
        transaction.execute(NEW_GENERATION, &values).await?;
        audit::insert(&mut transaction, record).await?;
    }
    transaction.commit().await?;
    Ok(gone)
}

/// Notes a service that was found by its name.
pub fn note_service(
    known: &mut Known,
    (service, name, operations): (i64, String, i64),
) -> Result<(), Fault> {
    let cell = |column: &str| format!("service.{column} of service_id {service}");
    let entry = KnownService {
        service: fault::number(service, || cell("service_id"))?,
        operations: fault::number(operations, || cell("operations"))?,
    };
    known.services.insert(name, entry);
    Ok(())
}

/// Notes an operation that was found by its service and name.
pub fn note_operation(known: &mut Known, (service, name): (i64, String)) -> Result<(), Fault> {
    let service = fault::number(service, || "operation.service_id".to_owned())?;
    known.operations.insert((service, name));
    Ok(())
}
