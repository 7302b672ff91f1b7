//! Strings of JSON, eight bytes at a time: a delivery's body is a string of 8 KB in which every quote is escaped.

/// Bytes looked at together.
const STEP: usize = 8;

/// The byte in every place of a word.
const fn everywhere(byte: u8) -> u64 {
    u64::from_le_bytes([byte; STEP])
}

/// Where the first byte of `word` is that is no plain text: a quote, a backslash or a control character; `STEP` where all
/// are plain. The lowest byte is the first.
fn plain_bytes(word: u64) -> usize {
    // The high bit of a byte that is less than `limit` (at most 0x80). A borrow may mark bytes above one that is less, never
    // below: the lowest mark is right.
    let below = |word: u64, limit: u8| word.wrapping_sub(everywhere(limit)) & !word & everywhere(0x80);
    let marks = below(word, b' ') | below(word ^ everywhere(b'"'), 1) | below(word ^ everywhere(b'\\'), 1);
    marks.trailing_zeros() as usize / STEP
}

fn is_plain(byte: u8) -> bool {
    byte >= b' ' && byte != b'"' && byte != b'\\'
}

fn word_at(bytes: &[u8], at: usize) -> Option<[u8; STEP]> {
    bytes.get(at..)?.first_chunk().copied()
}

/// Where the plain text from `at` on ends: at a quote, a backslash, a control character, or the end of all.
pub(super) fn plain_end(bytes: &[u8], mut at: usize) -> usize {
    while let Some(word) = word_at(bytes, at) {
        let plain = plain_bytes(u64::from_le_bytes(word));
        at += plain;
        if plain < STEP {
            return at;
        }
    }
    let rest = bytes.get(at..).unwrap_or_default();
    at + rest.iter().position(|byte| !is_plain(*byte)).unwrap_or(rest.len())
}

/// Decodes the string whose content begins at `at` into `out`; returns where it ends, behind its closing quote. `None` when
/// it is no string of JSON.
pub(super) fn decode(bytes: &[u8], mut at: usize, out: &mut Vec<u8>) -> Option<usize> {
    // Written like an array, since most parts between two escapes are shorter than it takes to append them.
    let mut length = 0;
    loop {
        // Room for what is plain and for a character after it.
        if out.len() < length + 2 * STEP {
            out.resize((2 * out.len()).max(1024), 0);
        }
        let byte = match word_at(bytes, at) {
            Some(word) => {
                out[length..length + STEP].copy_from_slice(&word);
                let plain = plain_bytes(u64::from_le_bytes(word));
                length += plain;
                at += plain;
                if plain == STEP {
                    continue;
                }
                bytes[at]
            }
            None => *bytes.get(at)?,
        };
        at += 1;
        match byte {
            b'"' => {
                out.truncate(length);
                return Some(at);
            }
            b'\\' => {
                let (character, end) = escape(bytes, at)?;
                at = end;
                length += character.encode_utf8(&mut out[length..]).len();
            }
            byte if byte < b' ' => return None,
            byte => {
                out[length] = byte;
                length += 1;
            }
        }
    }
}

/// The character that an escape stands for, and where it ends; `at` is behind the backslash.
fn escape(bytes: &[u8], at: usize) -> Option<(char, usize)> {
    let plain = match bytes.get(at)? {
        b'"' => '"',
        b'\\' => '\\',
        b'/' => '/',
        b'n' => '\n',
        b'r' => '\r',
        b't' => '\t',
        b'b' => '\u{8}',
        b'f' => '\u{c}',
        b'u' => return unicode_escape(bytes, at + 1),
        _ => return None,
    };
    Some((plain, at + 1))
}

/// `at` is behind the `u`. A character beyond U+FFFF is two escapes, a pair of surrogates; half a pair is no character.
fn unicode_escape(bytes: &[u8], at: usize) -> Option<(char, usize)> {
    let high = code_unit(bytes, at)?;
    if !(0xD800..0xDC00).contains(&high) {
        return Some((char::from_u32(high)?, at + 4));
    }
    let low = match bytes.get(at + 4..at + 6)? {
        b"\\u" => code_unit(bytes, at + 6)?,
        _ => return None,
    };
    if !(0xDC00..0xE000).contains(&low) {
        return None;
    }
    let code = 0x1_0000 + ((high - 0xD800) << 10) + (low - 0xDC00);
    Some((char::from_u32(code)?, at + 10))
}

fn code_unit(bytes: &[u8], at: usize) -> Option<u32> {
    bytes
        .get(at..at + 4)?
        .iter()
        .try_fold(0, |code, digit| Some(code << 4 | char::from(*digit).to_digit(16)?))
}
