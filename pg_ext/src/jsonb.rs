//! Writes PostgreSQL's binary `jsonb` from a body that is already parsed.
//!
//! As text it would be parsed a second time, into a tree of PostgreSQL's own, sorted, and written out: a third of the CPU of
//! a batch. The format is that of `src/include/utils/jsonb.h` and `convertToJsonb` in `jsonb_util.c`; it is on every disk
//! and has not changed since 9.4. A test compares the bytes with those of `jsonb_in`.
//!
//! A container is, from a multiple of four bytes on:
//! - a word: the number of its items or pairs, and its kind;
//! - a word for each item, or for each key and then for each value: the kind, and the length of its content - for every
//!   32nd, counted over keys and values, the end of its content instead, from the first content on;
//! - the contents in the same sequence. Blanks before an aligned content (a number, a container) count as part of it.
//!
//! Keys are sorted by length, then by bytes, each once ([`weir_domain::shopify::json::key_order`]). Numbers are in the format
//! of [`numeric`]. All words are in the machine's byte order.

mod numeric;

use std::borrow::Cow;
use std::ffi::CString;

use pgrx::pg_sys;
use weir_domain::shopify::json::{kept, Json, Members};

use crate::report;

const ARRAY: u32 = 0x4000_0000;
const OBJECT: u32 = 0x2000_0000;

const STRING: u32 = 0x0000_0000;
const NUMERIC: u32 = 0x1000_0000;
const FALSE: u32 = 0x2000_0000;
const TRUE: u32 = 0x3000_0000;
const NULL: u32 = 0x4000_0000;
const CONTAINER: u32 = 0x5000_0000;
const KIND_MASK: u32 = 0x7000_0000;
const HAS_OFFSET: u32 = 0x8000_0000;

/// Longest content in bytes: JENTRY_OFFLENMASK of jsonb.h.
const MAX_LENGTH: usize = 0x0FFF_FFFF;
/// Every how many entries an offset stands instead of a length: JB_OFFSET_STRIDE of jsonb.h.
const OFFSET_STRIDE: usize = 32;
/// Bytes of a number or of the word before any container.
const WORD: usize = 4;

/// The body of a stored value, without the length word that every value of PostgreSQL begins with; personal data is left
/// out. Raises an error where PostgreSQL would: 256 MB of one body.
pub fn encode(members: &Members<'_>) -> Vec<u8> {
    let mut writer = Writer {
        // What is left out and what the format adds about even out.
        out: Vec::with_capacity(8 * 1024),
        open: Vec::new(),
    };
    writer.object(members);
    writer.out
}

/// The same from kept JSON text, in which nothing is left to be left out. What the reader of bodies does not take, such as a
/// number that the SQL-only install has written out, PostgreSQL reads itself.
pub fn encode_text(text: &str) -> Vec<u8> {
    match Json::parse(text) {
        Ok(Json::Object(members)) => encode(&members),
        _ => read_by_postgres(text),
    }
}

fn read_by_postgres(text: &str) -> Vec<u8> {
    let Ok(text) = CString::new(text) else {
        report::internal("a kept body is not readable", "It holds U+0000.")
    };
    // SAFETY: jsonb_in takes a C string, which outlives the call, and returns a jsonb or raises an error. A value that it has
    // just made is neither compressed nor short, so that its bytes are behind one length word.
    unsafe {
        let argument = pg_sys::Datum::from(text.as_ptr());
        match pgrx::direct_function_call_as_datum(pg_sys::jsonb_in, &[Some(argument)]) {
            Some(datum) => pgrx::varlena_to_byte_slice(datum.cast_mut_ptr()).to_vec(),
            None => report::internal("a kept body is not readable", "jsonb_in returned null."),
        }
    }
}

struct Writer<'m, 'a> {
    out: Vec<u8>,
    /// Members of the objects that are being written, the innermost last: those that are kept.
    open: Vec<&'m (Cow<'a, str>, Json<'a>)>,
}

/// Entries of a container whose contents are being written.
struct Entries {
    /// Where the next entry goes.
    at: usize,
    count: usize,
    total: usize,
}

impl<'m, 'a> Writer<'m, 'a> {
    /// Writes a value and returns its entry.
    fn value(&mut self, value: &'m Json<'a>) -> u32 {
        match value {
            Json::Null => NULL,
            Json::Bool(false) => FALSE,
            Json::Bool(true) => TRUE,
            Json::String(text) => self.string(text),
            Json::Number(text) => {
                let start = self.out.len();
                self.align();
                numeric::write(text, &mut self.out);
                NUMERIC | length(self.out.len() - start)
            }
            Json::Array(items) => self.array(items),
            Json::Object(members) => self.object(members),
        }
    }

    fn string(&mut self, text: &str) -> u32 {
        self.out.extend_from_slice(text.as_bytes());
        STRING | length(text.len())
    }

    fn array(&mut self, items: &'m [Json<'a>]) -> u32 {
        let start = self.out.len();
        let mut entries = self.begin(ARRAY, items.len(), items.len());
        for item in items {
            let entry = self.value(item);
            self.enter(&mut entries, entry);
        }
        CONTAINER | length(self.out.len() - start)
    }

    fn object(&mut self, members: &'m Members<'a>) -> u32 {
        let start = self.out.len();
        let first = self.open.len();
        self.open.extend(kept(members));
        let end = self.open.len();
        let mut entries = self.begin(OBJECT, end - first, 2 * (end - first));
        for index in first..end {
            let (key, _) = self.open[index];
            let entry = self.string(key);
            self.enter(&mut entries, entry);
        }
        for index in first..end {
            let (_, value) = self.open[index];
            let entry = self.value(value);
            self.enter(&mut entries, entry);
        }
        self.open.truncate(first);
        CONTAINER | length(self.out.len() - start)
    }

    fn begin(&mut self, kind: u32, count: usize, entries: usize) -> Entries {
        self.align();
        self.out.extend_from_slice(&(kind | length(count)).to_ne_bytes());
        let at = self.out.len();
        self.out.resize(at + WORD * entries, 0);
        Entries { at, count: 0, total: 0 }
    }

    fn enter(&mut self, entries: &mut Entries, mut entry: u32) {
        entries.total += (entry & !KIND_MASK) as usize;
        if entries.count.is_multiple_of(OFFSET_STRIDE) {
            entry = (entry & KIND_MASK) | length(entries.total) | HAS_OFFSET;
        }
        self.out[entries.at..entries.at + WORD].copy_from_slice(&entry.to_ne_bytes());
        entries.at += WORD;
        entries.count += 1;
    }

    /// The value begins behind a length word, so that the alignment is that of the whole.
    fn align(&mut self) {
        let aligned = self.out.len().next_multiple_of(WORD);
        self.out.resize(aligned, 0);
    }
}

fn length(bytes: usize) -> u32 {
    if bytes > MAX_LENGTH {
        report::invalid_argument(
            "a body is too large to be kept",
            "A part of it is longer than 256 MB, which is what jsonb holds.",
            "Shopify sends no such body; take the delivery out of the batch.",
        );
    }
    bytes as u32
}
