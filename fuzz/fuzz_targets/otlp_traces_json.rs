#![no_main]

use libfuzzer_sys::fuzz_target;
use weir::protocols::otlp::Encoding;

fuzz_target!(|body: &[u8]| weir_fuzz::otlp_traces(Encoding::Json, body));
