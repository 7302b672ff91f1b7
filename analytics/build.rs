//! `include_dir!` (src/cli/db/script.rs) does not tell cargo which files it read: without this a `weir` that is up to date
//! for cargo would install SQL of before an edit.

fn main() {
    println!("cargo:rerun-if-changed=build.rs");
    println!("cargo:rerun-if-changed=../sql/postgres");
    run_path();
}

/// Where a binary looks for libduckdb: beside itself, as `make install` lays it, then where it was linked from. So `weir` runs in
/// any terminal, without `LD_LIBRARY_PATH`.
fn run_path() {
    println!("cargo:rerun-if-env-changed=DUCKDB_LIB_DIR");
    let is_linux = std::env::var("CARGO_CFG_TARGET_OS").is_ok_and(|os| os == "linux");
    if !is_linux {
        return;
    }
    println!("cargo:rustc-link-arg-bins=-Wl,-rpath,$ORIGIN/../lib");
    if let Ok(folder) = std::env::var("DUCKDB_LIB_DIR") {
        println!("cargo:rustc-link-arg-bins=-Wl,-rpath,{folder}");
    }
}
