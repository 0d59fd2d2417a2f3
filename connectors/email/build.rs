//! A connector is never unloaded: thread-local destructors would run in unmapped code (reference/rust-stack.md 3a).
fn main() {
    println!("cargo::rustc-cdylib-link-arg=-Wl,-z,nodelete");
    println!("cargo::rerun-if-changed=build.rs");
}
