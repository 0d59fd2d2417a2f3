#![no_main]
libfuzzer_sys::fuzz_target!(|data: &[u8]| notify_fuzz::service::link(data));
