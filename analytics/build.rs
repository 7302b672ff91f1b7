//! `include_dir!` (src/cli/db/script.rs) does not tell cargo which files it read: without this a `weir` that is up to date
//! for cargo would install SQL of before an edit.

fn main() {
    println!("cargo:rerun-if-changed=build.rs");
    println!("cargo:rerun-if-changed=../sql/postgres");
}
