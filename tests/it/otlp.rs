//! OTLP: what is read of exports, in both encodings and over both protocols.

mod hostile;
mod left_out;
mod messages;
mod read;
mod recorded;
