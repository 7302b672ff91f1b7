//! PostgreSQL's binary `numeric`, as `set_var_from_str` and `make_result` of `src/backend/utils/adt/numeric.c` write it.
//!
//! A length word, a header of 16 bits (sign, scale, weight) or of 32 where those do not fit, and the digits to base 10,000
//! without zeros at either end. The scale is the number of decimals that were written.

use crate::store::length_word;

/// Decimal digits of a digit to base 10,000.
const DEC_DIGITS: i64 = 4;

const SHORT: u16 = 0x8000;
const SHORT_NEGATIVE: u16 = 0x2000;
const SHORT_SCALE_SHIFT: u16 = 7;
const SHORT_MAX_SCALE: i64 = 63;
const SHORT_WEIGHT_SIGN: u16 = 0x0040;
const SHORT_WEIGHT_MASK: u16 = 0x003F;
const SHORT_WEIGHTS: std::ops::RangeInclusive<i64> = -64..=63;
const LONG_NEGATIVE: u16 = 0x4000;

/// Bytes of the length word and of the two headers.
const LENGTH_BYTES: usize = 4;
const SHORT_HEADER_BYTES: usize = LENGTH_BYTES + 2;
const LONG_HEADER_BYTES: usize = LENGTH_BYTES + 4;

/// Appends a JSON number. The reader of bodies admits at most 100 bytes and exponents up to 300, so that scale and weight
/// are far inside those of `numeric`.
pub fn write(text: &str, out: &mut Vec<u8>) {
    let (negative, digits) = match text.strip_prefix('-') {
        Some(digits) => (true, digits),
        None => (false, text),
    };
    let (digits, exponent) = match digits.split_once(['e', 'E']) {
        Some((digits, exponent)) => (digits, exponent.parse::<i64>().unwrap_or(0)),
        None => (digits, 0),
    };
    let (whole, fraction) = digits.split_once('.').unwrap_or((digits, ""));
    let scale = (fraction.len() as i64 - exponent).max(0);
    // Of the first decimal digit, in powers of ten and then of 10,000.
    let decimal_weight = whole.len() as i64 - 1 + exponent;
    let weight = decimal_weight.div_euclid(DEC_DIGITS);
    // Zeros before the first decimal digit that fill its digit to base 10,000.
    let skipped = (weight + 1) * DEC_DIGITS - (decimal_weight + 1);
    let start = out.len();
    out.extend_from_slice(&[0; SHORT_HEADER_BYTES]);
    let (count, weight) = write_digits(whole.bytes().chain(fraction.bytes()), skipped, weight, out);
    let negative = negative && count > 0;
    if scale <= SHORT_MAX_SCALE && SHORT_WEIGHTS.contains(&weight) {
        let sign = if negative { SHORT_NEGATIVE } else { 0 };
        let weight_sign = if weight < 0 { SHORT_WEIGHT_SIGN } else { 0 };
        let header =
            SHORT | sign | (scale as u16) << SHORT_SCALE_SHIFT | weight_sign | (weight as u16 & SHORT_WEIGHT_MASK);
        out[start + LENGTH_BYTES..start + SHORT_HEADER_BYTES].copy_from_slice(&header.to_ne_bytes());
    } else {
        let sign = if negative { LONG_NEGATIVE } else { 0 };
        let header = (sign | scale as u16).to_ne_bytes();
        out[start + LENGTH_BYTES..start + SHORT_HEADER_BYTES].copy_from_slice(&header);
        let weight = (weight as i16).to_ne_bytes();
        out.splice(start + SHORT_HEADER_BYTES..start + SHORT_HEADER_BYTES, weight);
        debug_assert_eq!(out.len() - start, LONG_HEADER_BYTES + 2 * count);
    }
    let length = length_word(out.len() - start);
    out[start..start + LENGTH_BYTES].copy_from_slice(&length);
}

/// Appends decimal digits as digits to base 10,000, without zeros at either end; returns how many and the weight of the
/// first, 0 for none.
fn write_digits(decimals: impl Iterator<Item = u8>, skipped: i64, mut weight: i64, out: &mut Vec<u8>) -> (usize, i64) {
    let first = out.len();
    let (mut digit, mut filled, mut end) = (0_u16, skipped, first);
    let mut push = |digit: u16, out: &mut Vec<u8>| {
        if digit == 0 && out.len() == first {
            weight -= 1; // A zero at the front.
            return;
        }
        out.extend_from_slice(&digit.to_ne_bytes());
        if digit != 0 {
            end = out.len();
        }
    };
    for decimal in decimals {
        digit = digit * 10 + u16::from(decimal - b'0');
        filled += 1;
        if filled == DEC_DIGITS {
            push(digit, out);
            (digit, filled) = (0, 0);
        }
    }
    if filled > 0 {
        for _ in filled..DEC_DIGITS {
            digit *= 10;
        }
        push(digit, out);
    }
    out.truncate(end);
    let count = (end - first) / 2;
    (count, if count == 0 { 0 } else { weight })
}
