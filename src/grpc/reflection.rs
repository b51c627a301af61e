//! Server reflection, v1 and v1alpha: tools such as grpcurl ask a listener for its services.

use std::sync::Arc;

use tonic_reflection::pb::{v1, v1alpha};
use tonic_reflection::server::Builder;

use super::{Generated, SMALL_REQUEST, Service};

/// Both versions of the reflection service, over these descriptors and their own.
///
/// # Panics
/// If a descriptor is damaged. They are part of the program, and every start of the listener reads
/// them.
#[must_use]
pub fn services(descriptors: &[&[u8]]) -> [Arc<dyn Service>; 2] {
    let own = [v1::FILE_DESCRIPTOR_SET, v1alpha::FILE_DESCRIPTOR_SET];
    let builder = || {
        let all = descriptors.iter().copied().chain(own);
        all.fold(
            Builder::configure().include_reflection_service(false),
            Builder::register_encoded_file_descriptor_set,
        )
    };
    let sound = "the descriptors are part of the program";
    let newer = builder().build_v1().expect(sound);
    let older = builder().build_v1alpha().expect(sound);
    [
        Arc::new(Generated(newer.max_decoding_message_size(SMALL_REQUEST))),
        Arc::new(Generated(older.max_decoding_message_size(SMALL_REQUEST))),
    ]
}
