//! Migrations are compiled in, and a macro does not watch a folder.
fn main() {
    println!("cargo:rerun-if-changed=../migrations");
}
