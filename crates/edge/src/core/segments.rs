//! The bytes of held spans: a ring of segments of equal size.
//!
//! A record is a header and a span. Its header says to which trace it belongs, where the record before it of that trace is,
//! and where its resource and scope are. These are in the same segment, once for all spans that share them, so a
//! segment depends on no other.

use std::collections::VecDeque;
use std::hash::BuildHasher;

use hashbrown::DefaultHashBuilder;
use hashbrown::HashMap;

use crate::otlp::Context;

/// The bytes in front of a span.
const HEADER: usize = 24;

/// The owner of a record that is a resource and a scope.
const CONTEXT: u32 = u32::MAX;

/// Where a record is. Segments are numbered as they begin.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Place {
    pub segment: u32,
    offset: u32,
}

impl Place {
    pub const NONE: Self = Self {
        segment: u32::MAX,
        offset: u32::MAX,
    };
}

/// Whose a record is: an entry of the table of traces, and which of those that were there one after the other.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Owner {
    pub slot: u32,
    pub generation: u32,
}

/// A span with what is around it.
#[derive(Debug, Clone, Copy)]
pub(super) struct Record<'a> {
    /// The record of the same trace before it.
    pub previous: Place,
    /// Its resource and scope, for [`Segments::context`].
    pub context: Place,
    /// The span.
    pub raw: &'a [u8],
}

#[derive(Default)]
struct Segment {
    /// Without capacity once nobody needs it.
    bytes: Vec<u8>,
    /// Traces that have records in it.
    traces: u32,
}

/// The ring.
pub(super) struct Segments {
    bytes_each: usize,
    most: usize,
    /// The number of the first one.
    first: u32,
    /// The last one is being written.
    all: VecDeque<Segment>,
    /// Buffers for further ones.
    free: Vec<Vec<u8>>,
    /// Those of `all` that have a buffer.
    used: usize,
    /// The resources and scopes in the last one, by the hash of their bytes.
    contexts: HashMap<u64, u32>,
    hasher: DefaultHashBuilder,
}

impl Segments {
    pub fn new(bytes_each: usize, most: usize) -> Self {
        Self {
            bytes_each,
            most,
            first: 0,
            all: VecDeque::new(),
            free: Vec::new(),
            used: 0,
            contexts: HashMap::new(),
            hasher: DefaultHashBuilder::default(),
        }
    }

    /// Bytes of all buffers.
    pub fn allocated(&self) -> usize {
        (self.used + self.free.len()) * self.bytes_each
    }

    /// How much of it is in use, from 0 to 1.
    pub fn filled(&self) -> f64 {
        self.used as f64 / self.most as f64
    }

    /// Whether a resource and a scope leave room for a span beside them.
    pub fn fits(&self, context: &Context<'_>) -> bool {
        context_length(context) <= self.bytes_each / 4
    }

    /// The longest span that fits beside them.
    pub fn longest(bytes_each: usize) -> usize {
        bytes_each / 2
    }

    /// Copies a span. None if a segment has to become free first. `at` remembers where its resource and scope are.
    pub fn append(
        &mut self,
        owner: Owner,
        previous: Place,
        context: &Context<'_>,
        at: &mut Place,
        raw: &[u8],
    ) -> Option<Place> {
        let room = 2 * HEADER + 8 + context_length(context) + raw.len();
        let has_room = |last: &Segment| {
            last.bytes.capacity() > 0 && last.bytes.len() + room <= self.bytes_each
        };
        if !self.all.back().is_some_and(has_room) {
            self.begin()?;
        }
        let segment = self.newest();
        if at.segment != segment {
            *at = self.put_context(context);
        }
        let place = self.put(owner, previous, at.offset, raw.len());
        self.bytes().extend_from_slice(raw);
        if previous.segment != segment {
            self.all.back_mut().expect("it was begun").traces += 1;
        }
        Some(place)
    }

    fn bytes(&mut self) -> &mut Vec<u8> {
        &mut self.all.back_mut().expect("it was begun").bytes
    }

    fn newest(&self) -> u32 {
        self.first.wrapping_add(self.all.len() as u32 - 1)
    }

    fn begin(&mut self) -> Option<()> {
        // The last one may hold nothing any more.
        self.tidy_last();
        if self.used >= self.most {
            return None;
        }
        let each = self.bytes_each;
        let bytes = self.free.pop().unwrap_or_else(|| Vec::with_capacity(each));
        self.used += 1;
        self.contexts.clear();
        self.all.push_back(Segment { bytes, traces: 0 });
        self.trim();
        Some(())
    }

    fn tidy_last(&mut self) {
        if self.all.back().is_some_and(|last| last.traces == 0) {
            self.free_at(self.all.len() - 1);
            self.contexts.clear();
        }
    }

    fn free_at(&mut self, index: usize) {
        let mut bytes = std::mem::take(&mut self.all[index].bytes);
        if bytes.capacity() > 0 {
            bytes.clear();
            self.used -= 1;
            self.free.push(bytes);
        }
    }

    /// Forgets the first ones that are free.
    fn trim(&mut self) {
        while self.all.len() > 1 && self.all[0].bytes.capacity() == 0 {
            self.all.pop_front();
            self.first = self.first.wrapping_add(1);
        }
    }

    fn put(&mut self, owner: Owner, previous: Place, context: u32, length: usize) -> Place {
        let segment = self.newest();
        let bytes = self.bytes();
        let offset = bytes.len() as u32;
        for number in [
            previous.segment,
            previous.offset,
            owner.slot,
            owner.generation,
            context,
            length as u32,
        ] {
            bytes.extend_from_slice(&number.to_le_bytes());
        }
        Place { segment, offset }
    }

    fn put_context(&mut self, context: &Context<'_>) -> Place {
        let hash = self.hasher.hash_one((&context.resource, &context.scope));
        let segment = self.newest();
        if let Some(offset) = self.contexts.get(&hash) {
            let place = Place {
                segment,
                offset: *offset,
            };
            if self.is_same(place, context) {
                return place;
            }
        }
        let owner = Owner {
            slot: CONTEXT,
            generation: 0,
        };
        let length = 8 + context_length(context);
        let place = self.put(owner, Place::NONE, 0, length);
        let bytes = self.bytes();
        for parts in [&context.resource, &context.scope] {
            bytes.extend_from_slice(&(sum(parts) as u32).to_le_bytes());
        }
        for part in context.resource.iter().chain(&context.scope) {
            bytes.extend_from_slice(part);
        }
        self.contexts.insert(hash, place.offset);
        place
    }

    fn is_same(&self, place: Place, context: &Context<'_>) -> bool {
        let (resource, scope) = self.context(place);
        is_joined(resource, &context.resource) && is_joined(scope, &context.scope)
    }

    fn at(&self, place: Place) -> &[u8] {
        let index = place.segment.wrapping_sub(self.first) as usize;
        &self.all[index].bytes[place.offset as usize..]
    }

    /// The record at a place.
    pub fn record(&self, place: Place) -> Record<'_> {
        let header = Header::read(self.at(place));
        Record {
            previous: header.previous,
            context: Place {
                segment: place.segment,
                offset: header.context,
            },
            raw: &self.at(place)[HEADER..][..header.length],
        }
    }

    /// The fields of the resource and of the scope.
    pub fn context(&self, place: Place) -> (&[u8], &[u8]) {
        let bytes = &self.at(place)[HEADER..];
        let length = |at: usize| number(bytes, at) as usize;
        let (resource, scope) = (length(0), length(4));
        (&bytes[8..][..resource], &bytes[8 + resource..][..scope])
    }

    /// Says that a trace has no records in a segment any more.
    pub fn release(&mut self, segment: u32) {
        let index = segment.wrapping_sub(self.first) as usize;
        let is_last = index + 1 == self.all.len();
        let released = &mut self.all[index];
        released.traces -= 1;
        // The last one may still be written to.
        if released.traces == 0 && !is_last {
            self.free_at(index);
            self.trim();
        }
    }

    /// The owners of the records in the oldest segment that is in use, gone ones among them.
    pub fn oldest(&self) -> Vec<Owner> {
        let mut owners = Vec::new();
        let Some(oldest) = self.all.iter().find(|segment| segment.traces > 0) else {
            return owners;
        };
        let mut rest = &oldest.bytes[..];
        while !rest.is_empty() {
            let header = Header::read(rest);
            if header.owner.slot != CONTEXT && owners.last() != Some(&header.owner) {
                owners.push(header.owner);
            }
            rest = &rest[HEADER + header.length..];
        }
        owners
    }
}

struct Header {
    previous: Place,
    owner: Owner,
    context: u32,
    length: usize,
}

impl Header {
    fn read(bytes: &[u8]) -> Self {
        Self {
            previous: Place {
                segment: number(bytes, 0),
                offset: number(bytes, 4),
            },
            owner: Owner {
                slot: number(bytes, 8),
                generation: number(bytes, 12),
            },
            context: number(bytes, 16),
            length: number(bytes, 20) as usize,
        }
    }
}

fn number(bytes: &[u8], at: usize) -> u32 {
    let four = bytes[at..]
        .first_chunk()
        .expect("a header was written whole");
    u32::from_le_bytes(*four)
}

fn sum(parts: &[&[u8]]) -> usize {
    parts.iter().map(|part| part.len()).sum()
}

fn context_length(context: &Context<'_>) -> usize {
    sum(&context.resource) + sum(&context.scope)
}

/// Whether the parts one after the other are these bytes.
fn is_joined(mut bytes: &[u8], parts: &[&[u8]]) -> bool {
    parts.iter().all(|part| match bytes.strip_prefix(*part) {
        Some(rest) => {
            bytes = rest;
            true
        }
        None => false,
    }) && bytes.is_empty()
}
