//! One-dimensional arrays of PostgreSQL, written in its own format (`src/include/utils/array.h`): header, bitmap of what is
//! not null, and the values one after another, each at a multiple of its alignment. Element by element, through
//! `accumArrayResult`, every text would be copied three times.

use std::mem::MaybeUninit;

use pgrx::datum::DatumWithOid;
use pgrx::pg_sys;

/// 2000-01-01 in microseconds since 1970: PostgreSQL counts from there.
const POSTGRES_EPOCH_MICROSECONDS: i64 = 946_684_800_000_000;

/// `ArrayType`: length word, number of dimensions, offset of the values where some are null, type of the elements.
const FIXED_HEADER_BYTES: usize = 16;
/// With the size and the lower bound of the only dimension.
const HEADER_BYTES: usize = FIXED_HEADER_BYTES + 8;
/// The word before a value of varying length, and the multiple at which it stands in an array (typalign `i`).
const LENGTH_WORD_BYTES: usize = 4;
const VARLENA_ALIGNMENT: usize = 4;
/// MAXALIGN on all platforms that PostgreSQL supports with 64 bits.
const MAX_ALIGNMENT: usize = 8;

/// The length word of a value that is neither compressed nor short (`SET_VARSIZE_4B` of varatt.h); `bytes` counts itself.
pub fn length_word(bytes: usize) -> [u8; 4] {
    let bytes = bytes as u32;
    let word = if cfg!(target_endian = "little") {
        bytes << 2
    } else {
        bytes
    };
    word.to_ne_bytes()
}

/// An array that is being written.
pub struct Array {
    count: usize,
    has_null: bool,
    /// A bit for each element, the lowest first: whether it is not null.
    present: Vec<u8>,
    values: Vec<u8>,
}

impl Array {
    fn with_capacity(count: usize, bytes: usize) -> Self {
        Self {
            count: 0,
            has_null: false,
            present: Vec::with_capacity(count.div_ceil(8)),
            values: Vec::with_capacity(bytes),
        }
    }

    fn push(&mut self, value: Option<impl FnOnce(&mut Vec<u8>)>) {
        if self.count.is_multiple_of(8) {
            self.present.push(0);
        }
        match value {
            Some(write) => {
                self.present[self.count / 8] |= 1 << (self.count % 8);
                write(&mut self.values);
            }
            None => self.has_null = true,
        }
        self.count += 1;
    }

    /// `bigint[]`
    pub fn of_ints(values: impl ExactSizeIterator<Item = Option<i64>>) -> DatumWithOid<'static> {
        Self::of_words(values.map(|value| value.map(i64::to_ne_bytes))).finish(pg_sys::INT8OID, pg_sys::INT8ARRAYOID)
    }

    /// `timestamptz[]` from microseconds since 1970.
    pub fn of_times(values: impl ExactSizeIterator<Item = Option<i64>>) -> DatumWithOid<'static> {
        let since_2000 = |at: i64| at.saturating_sub(POSTGRES_EPOCH_MICROSECONDS).to_ne_bytes();
        Self::of_words(values.map(|value| value.map(since_2000)))
            .finish(pg_sys::TIMESTAMPTZOID, pg_sys::TIMESTAMPTZARRAYOID)
    }

    /// `float8[]`
    pub fn of_floats(values: impl ExactSizeIterator<Item = Option<f64>>) -> DatumWithOid<'static> {
        Self::of_words(values.map(|value| value.map(f64::to_ne_bytes)))
            .finish(pg_sys::FLOAT8OID, pg_sys::FLOAT8ARRAYOID)
    }

    /// `boolean[]`
    pub fn of_flags(values: impl ExactSizeIterator<Item = Option<bool>>) -> DatumWithOid<'static> {
        let mut array = Self::with_capacity(values.len(), values.len());
        for value in values {
            array.push(value.map(|value| move |out: &mut Vec<u8>| out.push(u8::from(value))));
        }
        array.finish(pg_sys::BOOLOID, pg_sys::BOOLARRAYOID)
    }

    /// `text[]`
    pub fn of_texts<'t>(values: impl Iterator<Item = Option<&'t str>> + Clone) -> DatumWithOid<'static> {
        let values = values.map(|value| value.map(str::as_bytes));
        Self::of_bytes(values, pg_sys::TEXTOID, pg_sys::TEXTARRAYOID)
    }

    /// `json[]`, which is kept as its text.
    pub fn of_json<'t>(values: impl Iterator<Item = Option<&'t str>> + Clone) -> DatumWithOid<'static> {
        let values = values.map(|value| value.map(str::as_bytes));
        Self::of_bytes(values, pg_sys::JSONOID, pg_sys::JSONARRAYOID)
    }

    /// `jsonb[]` of bodies that [`crate::jsonb`] has encoded.
    pub fn of_jsonb<'t>(values: impl Iterator<Item = Option<&'t [u8]>> + Clone) -> DatumWithOid<'static> {
        Self::of_bytes(values, pg_sys::JSONBOID, pg_sys::JSONBARRAYOID)
    }

    fn of_words(values: impl ExactSizeIterator<Item = Option<[u8; 8]>>) -> Self {
        let mut array = Self::with_capacity(values.len(), 8 * values.len());
        for value in values {
            array.push(value.map(|word| move |out: &mut Vec<u8>| out.extend_from_slice(&word)));
        }
        array
    }

    /// Values of varying length: a length word and the bytes, from a multiple of four bytes on. Bodies are megabytes: their
    /// size is added up first, and they are copied once, to where PostgreSQL reads them.
    fn of_bytes<'t>(
        values: impl Iterator<Item = Option<&'t [u8]>> + Clone,
        element: pg_sys::Oid,
        array: pg_sys::Oid,
    ) -> DatumWithOid<'static> {
        let size = |value: &[u8]| (LENGTH_WORD_BYTES + value.len()).next_multiple_of(VARLENA_ALIGNMENT);
        let (mut shape, mut bytes) = (Self::with_capacity(0, 0), 0);
        for value in values.clone() {
            shape.push(value.map(|value| {
                bytes += size(value);
                |_: &mut Vec<u8>| ()
            }));
        }
        shape.place(bytes, element, array, |mut out| {
            for value in values.flatten() {
                let (place, rest) = out.split_at_mut(size(value));
                let (word, text) = place.split_at_mut(LENGTH_WORD_BYTES);
                let (text, blanks) = text.split_at_mut(value.len());
                word.write_copy_of_slice(&length_word(LENGTH_WORD_BYTES + value.len()));
                text.write_copy_of_slice(value);
                blanks.fill(MaybeUninit::new(0));
                out = rest;
            }
            out
        })
    }

    /// Hands the array to PostgreSQL, in the memory of the running call.
    fn finish(self, element: pg_sys::Oid, array: pg_sys::Oid) -> DatumWithOid<'static> {
        self.place(self.values.len(), element, array, |out| {
            let (place, rest) = out.split_at_mut(self.values.len());
            place.write_copy_of_slice(&self.values);
            rest
        })
    }

    /// The array with `values_bytes` of values, which `write` fills; it returns what it has left.
    fn place(
        &self,
        values_bytes: usize,
        element: pg_sys::Oid,
        array: pg_sys::Oid,
        write: impl for<'o> FnOnce(&'o mut [MaybeUninit<u8>]) -> &'o mut [MaybeUninit<u8>],
    ) -> DatumWithOid<'static> {
        let (mut header, mut offset) = (Vec::with_capacity(HEADER_BYTES + self.present.len() + MAX_ALIGNMENT), 0);
        header.extend_from_slice(&[0; FIXED_HEADER_BYTES]);
        if self.count > 0 {
            header.extend_from_slice(&(self.count as i32).to_ne_bytes());
            header.extend_from_slice(&1_i32.to_ne_bytes());
        }
        if self.has_null {
            header.extend_from_slice(&self.present);
        }
        header.resize(header.len().next_multiple_of(MAX_ALIGNMENT), 0);
        if self.has_null {
            offset = header.len() as i32;
        }
        let dimensions = i32::from(self.count > 0);
        let bytes = header.len() + values_bytes;
        header[..4].copy_from_slice(&length_word(bytes));
        header[4..8].copy_from_slice(&dimensions.to_ne_bytes());
        header[8..12].copy_from_slice(&offset.to_ne_bytes());
        header[12..16].copy_from_slice(&element.to_u32().to_ne_bytes());
        // SAFETY: palloc returns `bytes` bytes or raises an error, at a multiple of MAX_ALIGNMENT, which nobody else knows of.
        let (place, out) = unsafe {
            let place = pg_sys::palloc(bytes).cast::<MaybeUninit<u8>>();
            (place, std::slice::from_raw_parts_mut(place, bytes))
        };
        let (start, values) = out.split_at_mut(header.len());
        start.write_copy_of_slice(&header);
        assert!(write(values).is_empty(), "values of an array are as long as they were");
        // SAFETY: all bytes are written; the datum is an array of `element`, as `array` says.
        unsafe { DatumWithOid::new(pg_sys::Datum::from(place), array) }
    }
}
