#![no_main]

use libfuzzer_sys::fuzz_target;

fuzz_target!(|body: &[u8]| weir_fuzz::edge::json(body));
