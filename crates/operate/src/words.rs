//! Fields of answers as people read them.

use serde_json::Value;

pub use weir_terminal::{a_month, change, number, percent, printable};

/// A field that is a number; 0 if it is not there.
pub fn field(value: &Value, name: &str) -> f64 {
    value.get(name).and_then(Value::as_f64).unwrap_or(0.0)
}

/// A field that is a text, made printable; empty if it is not there.
pub fn text(value: &Value, name: &str) -> String {
    value
        .get(name)
        .and_then(Value::as_str)
        .map(printable)
        .unwrap_or_default()
}
