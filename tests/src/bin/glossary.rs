//! Writes the generated part of GLOSSARY.md anew from a migrated database and the stream schemas.

use weir_tests::postgres::Cluster;
use weir_tests::{failed, glossary, workspace_root, Result};

#[tokio::main]
async fn main() {
    if let Err(error) = write().await {
        eprintln!("the glossary was not written: {error}");
        std::process::exit(1);
    }
}

async fn write() -> Result<()> {
    let file = workspace_root()?.join("GLOSSARY.md");
    let document = std::fs::read_to_string(&file).map_err(|error| failed(format!("{}: {error}", file.display())))?;
    let cluster = Cluster::start().await?;
    let generated = glossary::generate(&cluster.database().await?).await?;
    std::fs::write(&file, glossary::splice(&document, &generated)?)?;
    println!("wrote {}", file.display());
    Ok(())
}
