//! Encodes the final names of some services as bytes.
//!
//! Version 1: the byte 1; a zstd frame of the services, each with its name and its final names. Names repeat each
//! other, so a name takes about a third of its length.

use super::frame::{unwrap, wrap};
use super::varint::Damage;
use super::{FinalName, ServiceFinalNames};

const VERSION: u8 = 1;

/// The most that is unpacked. A replica holds less than that of all services.
const LARGEST: u64 = 16 << 20;

/// A service, and of each final name: the name at start, the name at end, the requests.
type Columns = (String, Vec<(String, String, u64)>);

/// Encodes final names.
pub(super) fn encode(services: &[&ServiceFinalNames]) -> Vec<u8> {
    let of_name = |of: &FinalName| (of.at_start.clone(), of.at_end.clone(), of.requests);
    let columns = services.iter().map(|of| {
        let names = of.names.iter().map(of_name).collect();
        (of.service.clone(), names)
    });
    let columns: Vec<Columns> = columns.collect();
    let content = postcard::to_stdvec(&columns).expect("numbers and text are serialized");
    wrap(VERSION, &content)
}

/// Decodes final names.
pub(super) fn decode(bytes: &[u8]) -> Result<Vec<ServiceFinalNames>, Damage> {
    let content = unwrap(VERSION, bytes, LARGEST)?;
    let columns: Vec<Columns> = postcard::from_bytes(&content).map_err(|_| Damage::Malformed)?;
    let of_name = |(at_start, at_end, requests)| FinalName {
        at_start,
        at_end,
        requests,
    };
    let services = columns
        .into_iter()
        .map(|(service, names)| ServiceFinalNames {
            service,
            names: names.into_iter().map(of_name).collect(),
        });
    Ok(services.collect())
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn any_service() -> impl Strategy<Value = ServiceFinalNames> {
        let name = (".{0,8}", ".{0,20}", any::<u64>());
        let name = name.prop_map(|(at_start, at_end, requests)| FinalName {
            at_start,
            at_end,
            requests,
        });
        let names = prop::collection::vec(name, 0..5);
        (".{0,8}", names).prop_map(|(service, names)| ServiceFinalNames { service, names })
    }

    proptest! {
        #[test]
        fn names_come_back(services in prop::collection::vec(any_service(), 0..5)) {
            let given: Vec<&ServiceFinalNames> = services.iter().collect();
            prop_assert_eq!(decode(&encode(&given)), Ok(services));
        }

        #[test]
        fn any_bytes_are_read_or_refused(bytes in prop::collection::vec(any::<u8>(), 0..40)) {
            let _ = decode(&bytes);
            let _ = decode(&wrap(VERSION, &bytes));
        }
    }

    #[test]
    fn a_name_takes_about_ten_bytes() {
        let name = |number: u64| FinalName {
            at_start: "GET".into(),
            at_end: format!(
                "GET /api/v1/part-{}/{{id}}/view-{}",
                number % 14,
                number / 14
            ),
            // Anything up to ten million.
            requests: number.wrapping_mul(0x9E37_79B9_7F4A_7C15) >> 41,
        };
        let service = ServiceFinalNames {
            service: "checkout".into(),
            names: (0..200).map(name).collect(),
        };
        let bytes = encode(&[&service]).len();
        assert!(bytes <= 15 * 200, "{bytes}");
    }

    #[test]
    fn a_newer_version_is_told_from_damage() {
        let newer = Damage::NewerVersion { found: 2, known: 1 };
        assert_eq!(decode(&[2, 0]), Err(newer));
        assert_eq!(decode(&[1, 0]), Err(Damage::Malformed));
    }
}
