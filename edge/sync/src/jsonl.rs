//! Lines of a bulk result: parted, counted, and the parents whose children Shopify may have cut.

use std::borrow::Cow;
use std::collections::hash_map::DefaultHasher;
use std::collections::{BTreeMap, BTreeSet};
use std::hash::{Hash, Hasher};

use serde::{Deserialize, Serialize};
use weir_edge_shared::lines::Lines;

/// Most children of one connection that a bulk result has for a parent, as measured; a parent with so many may have more.
pub const CUT_AT: u8 = 100;

/// Most bytes of lines in one call of `weir.ingest_bulk`: text, its quoted copy and the answer exist at once in 128 MB.
pub const CHUNK_BYTES: usize = 1_000_000;

/// What of a line says where it belongs. Everything else is the extension's.
#[derive(Debug, Deserialize)]
struct Head<'a> {
    #[serde(borrow, default)]
    id: Option<Cow<'a, str>>,
    #[serde(borrow, default, rename = "__typename")]
    typename: Option<Cow<'a, str>>,
    #[serde(borrow, default, rename = "__parentId")]
    parent_id: Option<Cow<'a, str>>,
}

/// A connection that may have more children than the bulk result has.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub struct Cut {
    /// Gid of the order or product.
    pub root: String,
    /// The connection of it that is to be read again.
    pub connection: String,
}

/// The connection that a node of type `typename` is in, and whether its parent is itself a child.
fn connection_of(typename: &str) -> Option<(&'static str, bool)> {
    Some(match typename {
        "LineItem" => ("lineItems", false),
        "ShippingLine" => ("shippingLines", false),
        "Return" => ("returns", false),
        "ProductVariant" => ("variants", false),
        "ReturnLineItem" | "UnverifiedReturnLineItem" => ("returns", true),
        other if other.ends_with("Agreement") => ("agreements", false),
        other if other.ends_with("Sale") => ("agreements", true),
        _ => return None,
    })
}

/// Most counters of children, a byte each: 16 MiB of the 128 MB that a Worker has, however large the result is.
pub const MAX_COUNTERS: usize = 1 << 24;

/// Fewest of them.
const MIN_COUNTERS: usize = 1 << 12;

/// Counts a result while it passes by: lines, bytes, children of each parent. Lines may come in any order and any pieces.
#[derive(Debug)]
pub struct Scan {
    /// Lines so far, a last one without a line feed included once [`Scan::finish`] was called.
    pub lines: u64,
    /// Bytes so far.
    pub bytes: u64,
    partial: Vec<u8>,
    // By a hash of parent and connection: the ids of a million parents would not fit in a Worker. Parents that share a counter
    // only have a connection read again.
    children: Box<[u8]>,
    cut: BTreeSet<Cut>,
    nested: BTreeMap<String, &'static str>,
}

impl Scan {
    /// A scan of a result of `line_count` lines, as far as it is known.
    #[must_use]
    pub fn of(line_count: u64) -> Self {
        let wanted = usize::try_from(line_count).unwrap_or(MAX_COUNTERS).min(MAX_COUNTERS);
        let counters = wanted.next_power_of_two().max(MIN_COUNTERS);
        Self {
            lines: 0,
            bytes: 0,
            partial: Vec::new(),
            children: vec![0; counters].into_boxed_slice(),
            cut: BTreeSet::new(),
            nested: BTreeMap::new(),
        }
    }

    /// Takes the next piece.
    pub fn feed(&mut self, piece: &[u8]) {
        self.bytes += piece.len() as u64;
        let mut rest = piece;
        while let Some(end) = rest.iter().position(|byte| *byte == b'\n') {
            if self.partial.is_empty() {
                self.line(&rest[..end]);
            } else {
                let mut line = std::mem::take(&mut self.partial);
                line.extend_from_slice(&rest[..end]);
                self.line(&line);
            }
            rest = &rest[end + 1..];
        }
        self.partial.extend_from_slice(rest);
    }

    /// Takes what is left when the last line has no line feed.
    pub fn finish(&mut self) {
        let line = std::mem::take(&mut self.partial);
        self.line(&line);
    }

    fn line(&mut self, line: &[u8]) {
        if line.iter().all(u8::is_ascii_whitespace) {
            return;
        }
        self.lines += 1;
        // What is no JSON is refused, with its reason, where it is parsed whole.
        let Ok(head) = serde_json::from_slice::<Head>(line) else {
            return;
        };
        let (Some(parent), Some(typename)) = (head.parent_id, head.typename) else {
            return;
        };
        let Some((connection, nested)) = connection_of(&typename) else {
            return;
        };
        let mut hasher = DefaultHasher::new();
        (&*parent, connection).hash(&mut hasher);
        // The table's length is a power of two.
        let place = hasher.finish() as usize & (self.children.len() - 1);
        let Some(count) = self.children.get_mut(place) else {
            return;
        };
        *count = count.saturating_add(1);
        if *count < CUT_AT {
            return;
        }
        if nested {
            self.nested.insert(parent.into_owned(), connection);
        } else {
            self.cut.insert(Cut {
                root: parent.into_owned(),
                connection: connection.to_owned(),
            });
        }
    }

    /// The connections that may be cut, and those whose root is still to be found: of a parent that is itself a child only
    /// its own line says whose.
    #[must_use]
    pub fn cuts(self) -> (BTreeSet<Cut>, Roots) {
        let roots = Roots {
            wanted: self.nested,
            lines: Lines::default(),
            found: BTreeSet::new(),
        };
        (self.cut, roots)
    }
}

/// Finds the roots of parents that are children, on a second pass.
#[derive(Debug)]
pub struct Roots {
    wanted: BTreeMap<String, &'static str>,
    lines: Lines,
    found: BTreeSet<Cut>,
}

impl Roots {
    /// Whether there is anything to be found.
    #[must_use]
    pub fn is_needed(&self) -> bool {
        !self.wanted.is_empty()
    }

    /// Takes the next piece; an empty one ends the result.
    pub fn feed(&mut self, piece: &[u8]) {
        for line in self.lines.whole(piece).split(|byte| *byte == b'\n') {
            let Ok(head) = serde_json::from_slice::<Head>(line) else {
                continue;
            };
            let connection = head.id.and_then(|id| self.wanted.get(&*id));
            if let (Some(connection), Some(root)) = (connection, head.parent_id) {
                self.found.insert(Cut {
                    root: root.into_owned(),
                    connection: (*connection).to_owned(),
                });
            }
        }
    }

    /// What was found.
    #[must_use]
    pub fn found(self) -> BTreeSet<Cut> {
        self.found
    }
}

/// Lines for one call, and those that cannot even be sent.
#[derive(Debug, Default, PartialEq, Eq)]
pub struct Chunk {
    /// Whole lines, each with its line feed.
    pub text: String,
    /// How many lines `text` has.
    pub lines: i64,
    /// Lines that are not text (invalid UTF-8, a raw NUL), as far as they are readable.
    pub unsendable: Vec<String>,
}

/// Parts the whole lines of `part`, which begins at a line, into chunks of at most [`CHUNK_BYTES`] or one line. Returns how
/// many bytes were used: what follows the last line feed belongs to the next part, unless this is the `last`.
#[must_use]
pub fn chunks(part: &[u8], last: bool) -> (Vec<Chunk>, usize) {
    let used = match part.iter().rposition(|byte| *byte == b'\n') {
        _ if last => part.len(),
        Some(end) => end + 1,
        None => 0,
    };
    let mut chunks: Vec<Chunk> = Vec::new();
    for line in part[..used].split(|byte| *byte == b'\n') {
        if line.iter().all(u8::is_ascii_whitespace) {
            continue;
        }
        if chunks
            .last()
            .is_none_or(|chunk| chunk.text.len() + line.len() >= CHUNK_BYTES)
        {
            chunks.push(Chunk::default());
        }
        let Some(chunk) = chunks.last_mut() else { continue };
        match std::str::from_utf8(line) {
            Ok(text) if !text.contains('\0') => {
                chunk.text.push_str(text);
                chunk.text.push('\n');
                chunk.lines += 1;
            }
            _ => chunk
                .unsendable
                .push(String::from_utf8_lossy(line).replace('\0', "\u{fffd}")),
        }
    }
    (chunks, used)
}

#[cfg(test)]
#[path = "jsonl/tests.rs"]
mod tests;
