#![no_main]

libfuzzer_sys::fuzz_target!(|input: &[u8]| sealops_template::fuzzing::run(input));
