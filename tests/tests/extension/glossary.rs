//! GLOSSARY.md shows what the database and the streams say of themselves.

use weir_tests::glossary::{generate, splice};

use super::shop;

#[tokio::test]
async fn the_glossary_has_not_drifted() {
    let (database, _edge) = shop().await;
    let file = weir_tests::workspace_root().unwrap().join("GLOSSARY.md");
    let document = std::fs::read_to_string(file).unwrap();
    let wanted = splice(&document, &generate(&database).await.unwrap()).unwrap();
    let missing = wanted.lines().find(|line| !document.lines().any(|have| have == *line));
    assert!(
        document == wanted,
        "GLOSSARY.md has drifted, first at {missing:?}; run `. scripts/env.sh && cargo run -p weir-tests --bin glossary`"
    );
    assert!(splice("no marks", "").is_err());
}
