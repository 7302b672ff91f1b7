use proptest::prelude::*;

use super::*;

fn child(typename: &str, id: &str, parent: &str) -> String {
    // As Shopify writes gids.
    format!(r#"{{"__typename":"{typename}","id":"gid:\/\/shopify\/{id}","__parentId":"gid:\/\/shopify\/{parent}"}}"#)
}

fn scanned(text: &str, piece_bytes: usize) -> Scan {
    let mut scan = Scan::of(text.lines().count() as u64);
    text.as_bytes().chunks(piece_bytes).for_each(|piece| scan.feed(piece));
    scan.finish();
    scan
}

#[test]
fn a_parent_with_a_hundred_children_may_have_more() {
    let lines = |count: usize| {
        (0..count)
            .map(|n| child("LineItem", &format!("LineItem/{n}"), "Order/1") + "\n")
            .collect::<String>()
    };
    let other = child("ShippingLine", "ShippingLine/1", "Order/1");
    assert!(scanned(&(lines(99) + &other), 7).cuts().0.is_empty());
    let (cut, roots) = scanned(&(lines(100) + &other), 7).cuts();
    let expected = Cut {
        root: "gid://shopify/Order/1".into(),
        connection: "lineItems".into(),
    };
    assert_eq!(cut.into_iter().collect::<Vec<_>>(), [expected]);
    assert!(!roots.is_needed());
}

#[test]
fn counters_have_a_bound_whatever_the_result_has() {
    for (lines, counters) in [(0, 1 << 12), (5_000, 1 << 13), (u64::MAX, MAX_COUNTERS)] {
        assert_eq!(Scan::of(lines).children.len(), counters);
    }
    // More parents than counters: a counter that several share stays at its limit and loses no parent that is cut.
    let mut scan = Scan::of(1);
    let line = |parent: usize, n: usize| {
        child(
            "LineItem",
            &format!("LineItem/{parent}-{n}"),
            &format!("Order/{parent}"),
        ) + "\n"
    };
    for parent in 0..8_000 {
        (0..30).for_each(|n| scan.feed(line(parent, n).as_bytes()));
    }
    (0..300).for_each(|n| scan.feed(line(9_999, n).as_bytes()));
    assert_eq!(scan.children.len(), 1 << 12);
    let (cut, _) = scan.cuts();
    assert!(cut.iter().any(|cut| cut.root == "gid://shopify/Order/9999"));
}

#[test]
fn the_order_of_a_cut_agreement_is_found_wherever_its_line_stands() {
    let mut text: String = (0..100)
        .map(|n| {
            let typename = if n % 2 == 0 { "ProductSale" } else { "ShippingLineSale" };
            child(typename, &format!("Sale/{n}"), "SalesAgreement/5") + "\n"
        })
        .collect();
    text += &child("OrderAgreement", "SalesAgreement/5", "Order/9");
    let (cut, mut roots) = scanned(&text, 50).cuts();
    assert!(cut.is_empty() && roots.is_needed());
    text.as_bytes().chunks(11).for_each(|piece| roots.feed(piece));
    roots.feed(b"");
    let expected = Cut {
        root: "gid://shopify/Order/9".into(),
        connection: "agreements".into(),
    };
    assert_eq!(roots.found().into_iter().collect::<Vec<_>>(), [expected]);
}

#[test]
fn a_line_that_is_no_text_is_kept_apart() {
    let (chunks, used) = chunks(b"{\"id\":1}\n\xff\n{\"a\":\"\0\"}\n\n{\"id\":2}", true);
    assert_eq!(used, 30);
    assert_eq!(
        (chunks[0].text.as_str(), chunks[0].lines),
        ("{\"id\":1}\n{\"id\":2}\n", 2)
    );
    assert_eq!(chunks[0].unsendable.len(), 2);
}

#[test]
fn a_part_without_a_line_end_uses_nothing() {
    assert_eq!(chunks(b"{\"id\":", false), (vec![], 0));
}

proptest! {
    #[test]
    fn parts_and_chunks_lose_no_line_and_no_order(lengths in prop::collection::vec(0usize..400_000, 0..20), part_bytes in 400_002usize..2_000_000, end in any::<bool>()) {
        let lines: Vec<String> = lengths.iter().enumerate().map(|(n, length)| format!("{n}{}", "x".repeat(*length))).collect();
        let mut text = lines.join("\n");
        if end && !text.is_empty() { text.push('\n'); }
        let (mut offset, mut back) = (0, Vec::new());
        while offset < text.len() {
            let to = (offset + part_bytes).min(text.len());
            let (chunks, used) = chunks(&text.as_bytes()[offset..to], to == text.len());
            prop_assert!(used > 0);
            for chunk in &chunks {
                prop_assert!(chunk.text.len() <= CHUNK_BYTES + 1 || chunk.lines == 1);
                prop_assert_eq!(chunk.lines as usize, chunk.text.lines().count());
                back.extend(chunk.text.lines().map(str::to_owned));
            }
            offset += used;
        }
        prop_assert_eq!(&back, &lines);
        let scan = scanned(&text, 1000);
        prop_assert_eq!((scan.lines, scan.bytes), (lines.len() as u64, text.len() as u64));
    }
}
