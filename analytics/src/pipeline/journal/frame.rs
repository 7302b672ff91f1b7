//! A frame of a segment: the rows of one request.
//!
//! ```text
//! payload length (u32 LE) | row count (u32 LE) | CRC-32 of the payload (u32 LE) | payload
//! ```
//!
//! The payload is the request's body, a JSON array, if all of its rows were accepted; else a line of JSON for each that was.
//! A large one is a zstd frame of that: the disk is the slowest part of the way, and JSON shrinks some seventeen times at
//! 800 MB/s (events of one kind with random ids, measured). Its first bytes tell which: no JSON begins like zstd's magic number.

use std::cell::RefCell;
use std::fs::File;
use std::io::{BufReader, Read};
use std::os::unix::fs::FileExt;
use std::path::Path;

use zstd::bulk::{Compressor, Decompressor};

use crate::{Error, Result};

pub(super) const HEADER: usize = 12;
/// Below it a payload stays as it is: nothing is won beside the sync.
const COMPRESSED_FROM_BYTES: usize = 4 * 1024;
const ZSTD_LEVEL: i32 = 1;
/// RFC 8878.
const ZSTD_MAGIC: [u8; 4] = [0x28, 0xb5, 0x2f, 0xfd];
/// No payload is larger: a request has 5 MB at most, and a line of JSON for each of its rows is not eight times that.
const MAX_PAYLOAD_BYTES: usize = 64 * 1024 * 1024;

/// Rows on their way to the disk.
#[derive(Debug)]
pub struct Frame {
    pub(super) header: [u8; HEADER],
    pub(super) payload: Vec<u8>,
}

impl Frame {
    /// `rows` rows as JSON. Takes about a microsecond a row: not for the threads that serve.
    ///
    /// # Errors
    /// [`Error::TooLarge`] above 64 MiB, which no request reaches.
    pub fn new(rows: u32, json: Vec<u8>) -> Result<Self> {
        if json.len() > MAX_PAYLOAD_BYTES {
            return Err(Error::TooLarge(MAX_PAYLOAD_BYTES));
        }
        let payload = if json.len() < COMPRESSED_FROM_BYTES {
            json
        } else {
            compressed(&json)?
        };
        let length = u32::try_from(payload.len()).map_err(|_| Error::TooLarge(MAX_PAYLOAD_BYTES))?;
        let mut header = [0; HEADER];
        header[..4].copy_from_slice(&length.to_le_bytes());
        header[4..8].copy_from_slice(&rows.to_le_bytes());
        header[8..].copy_from_slice(&crc32fast::hash(&payload).to_le_bytes());
        Ok(Self { header, payload })
    }

    pub(super) fn bytes(&self) -> u64 {
        (HEADER + self.payload.len()) as u64
    }
}

fn compressed(json: &[u8]) -> std::io::Result<Vec<u8>> {
    thread_local! {
        // Making one clears a megabyte.
        static COMPRESSOR: RefCell<Option<Compressor<'static>>> = const { RefCell::new(None) };
    }
    COMPRESSOR.with_borrow_mut(|compressor| match compressor {
        Some(compressor) => compressor.compress(json),
        None => compressor.insert(Compressor::new(ZSTD_LEVEL)?).compress(json),
    })
}

/// Length, row count and checksum of a header.
fn fields(header: &[u8; HEADER]) -> (usize, u32, u32) {
    let number = |at: usize| u32::from_le_bytes([header[at], header[at + 1], header[at + 2], header[at + 3]]);
    (number(0) as usize, number(4), number(8))
}

/// The JSON of a payload that is whole.
fn json(payload: Vec<u8>) -> std::io::Result<Vec<u8>> {
    if payload.starts_with(&ZSTD_MAGIC) {
        return Decompressor::new()?.decompress(&payload, MAX_PAYLOAD_BYTES);
    }
    Ok(payload)
}

/// The JSON of the frame at `offset`, of which so much is known that it was acknowledged.
pub(in crate::pipeline) fn json_at(file: &File, offset: u64) -> std::io::Result<Vec<u8>> {
    let mut header = [0; HEADER];
    file.read_exact_at(&mut header, offset)?;
    let (length, _, checksum) = fields(&header);
    let mut payload = vec![0; length];
    file.read_exact_at(&mut payload, offset + HEADER as u64)?;
    if crc32fast::hash(&payload) != checksum {
        let reason = format!("the frame at byte {offset} is damaged");
        return Err(std::io::Error::new(std::io::ErrorKind::InvalidData, reason));
    }
    json(payload)
}

/// The whole frames of a segment, one after another. What follows the last one was written by a crash and never
/// acknowledged.
#[derive(Debug)]
pub struct Frames {
    file: BufReader<File>,
    rest: u64,
    damaged: usize,
}

impl Frames {
    pub(super) fn open(path: &Path) -> std::io::Result<Self> {
        let file = File::open(path)?;
        Ok(Self {
            rest: file.metadata()?.len(),
            file: BufReader::new(file),
            damaged: 0,
        })
    }

    /// Bytes behind the frames read so far; after the last one, those of a frame cut off.
    pub(in crate::pipeline) fn rest(&self) -> u64 {
        self.rest
    }

    /// Frames passed over because they do not say any more what was written, though one behind them does.
    pub(in crate::pipeline) fn damaged(&self) -> usize {
        self.damaged
    }

    /// The next frame's row count and JSON.
    ///
    /// # Errors
    /// If the file cannot be read.
    pub fn next_frame(&mut self) -> std::io::Result<Option<(u32, Vec<u8>)>> {
        let before = self.rest;
        // A crash cuts off the last frames; one that a whole one follows was damaged later.
        for damaged in 0..2 {
            match self.read()? {
                Some(frame) if frame.is_whole => {
                    self.damaged += damaged;
                    return Ok(Some((frame.rows, json(frame.payload)?)));
                }
                Some(_) => {}
                None => break,
            }
        }
        self.rest = before;
        Ok(None)
    }

    /// What stands where a frame is expected; none if the file ends within it.
    fn read(&mut self) -> std::io::Result<Option<Found>> {
        let mut header = [0; HEADER];
        if self.rest < HEADER as u64 {
            return Ok(None);
        }
        self.file.read_exact(&mut header)?;
        let (length, rows, checksum) = fields(&header);
        let bytes = (HEADER + length) as u64;
        // A file grown by the file system but not written reads as zeros.
        if length == 0 || self.rest < bytes {
            return Ok(None);
        }
        let mut payload = vec![0; length];
        self.file.read_exact(&mut payload)?;
        self.rest -= bytes;
        Ok(Some(Found {
            rows,
            is_whole: crc32fast::hash(&payload) == checksum,
            payload,
        }))
    }
}

/// A frame as the file has it.
struct Found {
    rows: u32,
    payload: Vec<u8>,
    is_whole: bool,
}

#[cfg(test)]
mod tests {
    use super::*;

    fn bytes_of(rows: u32, json: &[u8]) -> Vec<u8> {
        let frame = Frame::new(rows, json.to_vec()).unwrap();
        [frame.header.as_slice(), &frame.payload].concat()
    }

    /// Row counts and JSON of the whole frames, and the bytes behind them.
    fn read(bytes: &[u8]) -> (Vec<(u32, Vec<u8>)>, u64) {
        let file = tempfile::NamedTempFile::new().unwrap();
        std::fs::write(file.path(), bytes).unwrap();
        let mut frames = Frames::open(file.path()).unwrap();
        let mut found = Vec::new();
        while let Some(frame) = frames.next_frame().unwrap() {
            found.push(frame);
        }
        (found, frames.rest())
    }

    #[test]
    fn a_torn_or_damaged_tail_ends_the_segment() {
        let mut bytes = bytes_of(2, b"{}\n{}\n");
        let whole = bytes.len();
        bytes.extend(bytes_of(1, b"{\"a\":1}\n"));
        for end in whole..bytes.len() {
            let expected = vec![(2, b"{}\n{}\n".to_vec())];
            assert_eq!(read(&bytes[..end]), (expected, (end - whole) as u64));
        }
        let last = bytes.len() - 2;
        bytes[last] ^= 1;
        assert_eq!(read(&bytes).0.len(), 1);
        assert_eq!(read(&[0; 64]).0.len(), 0);
    }

    #[test]
    fn a_damaged_frame_costs_no_whole_one_behind_it() {
        let frames = [bytes_of(1, b"[1]"), bytes_of(2, b"[2, 2]"), bytes_of(3, b"[3, 3, 3]")];
        let third = vec![(3, b"[3, 3, 3]".to_vec())];
        let mut bytes = frames.concat();
        bytes[HEADER] ^= 1;
        assert_eq!(
            read(&bytes),
            ([vec![(2, b"[2, 2]".to_vec())], third.clone()].concat(), 0)
        );
        // Two in a row: the length of the second tells nothing of what follows the first.
        bytes[frames[0].len() + HEADER] ^= 1;
        assert_eq!(read(&bytes), (Vec::new(), bytes.len() as u64));
    }

    #[test]
    fn large_payloads_are_compressed_and_come_back_whole() {
        let small = b"[{\"a\":1}]".to_vec();
        let large = format!("[{}1]", "1234,".repeat(10_000)).into_bytes();
        let bytes = [bytes_of(1, &small), bytes_of(10_001, &large)].concat();
        assert!(bytes.len() < large.len() / 10);
        assert_eq!(read(&bytes), (vec![(1, small.clone()), (10_001, large.clone())], 0));

        let file = tempfile::NamedTempFile::new().unwrap();
        std::fs::write(file.path(), &bytes).unwrap();
        let file = File::open(file.path()).unwrap();
        let second = (HEADER + small.len()) as u64;
        assert_eq!(json_at(&file, 0).unwrap(), small);
        assert_eq!(json_at(&file, second).unwrap(), large);
        assert!(json_at(&file, second + 1).is_err());
    }
}
