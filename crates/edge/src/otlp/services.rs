//! Leaves out what some services have sent, without decoding the rest.

use super::Read;
use super::walk::service_name;
use super::wire::Fields;

/// An `ExportMetricsServiceRequest` without what services send for which `is_left_out` is true. It may be empty.
///
/// # Errors
/// The body is not protobuf.
pub fn without(body: &[u8], is_left_out: impl Fn(&[u8]) -> bool) -> Read<Vec<u8>> {
    let mut left = Vec::with_capacity(body.len());
    for field in Fields::of(body) {
        let field = field?;
        if field.number == 1 && is_left_out(service(field.value.bytes()?)?) {
            continue;
        }
        left.extend_from_slice(field.raw);
    }
    Ok(left)
}

/// The service of a `ResourceMetrics`, empty if it does not say it.
fn service(message: &[u8]) -> Read<&[u8]> {
    let mut name = &b""[..];
    for field in Fields::of(message) {
        let field = field?;
        if field.number == 1 {
            name = service_name(field.value.bytes()?)?.unwrap_or(name);
        }
    }
    Ok(name)
}
