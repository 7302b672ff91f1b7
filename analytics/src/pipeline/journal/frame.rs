//! A frame of a segment: the rows of one request.
//!
//! ```text
//! payload length (u32 LE) | row count (u32 LE) | CRC-32 of the payload (u32 LE) | payload
//! ```
//!
//! The payload is the request's body, a JSON array, if all of its rows were accepted; else a line of JSON for each that was.
//! A large one is a zstd frame of that: the disk is the slowest part of the way, and JSON shrinks some seventeen times at
//! 800 MB/s (events of one kind with random ids, measured). Its first bytes tell which: no JSON begins like zstd's magic number.

use std::cell::{Cell, RefCell};
use std::fs::File;
use std::os::unix::fs::FileExt;
use std::path::Path;

use zstd::bulk::{Compressor, Decompressor};
use zstd::zstd_safe::compress_bound;

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

    /// As it is on the disk.
    #[cfg(test)]
    pub(in crate::pipeline) fn to_bytes(&self) -> Vec<u8> {
        [self.header.as_slice(), &self.payload].concat()
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

/// The JSON of the frame of so many bytes at `offset`, which was acknowledged: anything else than all of it is an error, also
/// zeros, whose length and checksum fit each other.
pub(in crate::pipeline) fn json_at(file: &impl ReadAt, offset: u64, bytes: u64) -> std::io::Result<Vec<u8>> {
    let mut header = [0; HEADER];
    file.read_exact_at(&mut header, offset)?;
    let (length, _, checksum) = fields(&header);
    let damaged = || {
        let reason = format!("the frame at byte {offset} is damaged");
        std::io::Error::new(std::io::ErrorKind::InvalidData, reason)
    };
    if (HEADER + length) as u64 != bytes {
        return Err(damaged());
    }
    let mut payload = vec![0; length];
    file.read_exact_at(&mut payload, offset + HEADER as u64)?;
    if crc32fast::hash(&payload) != checksum {
        return Err(damaged());
    }
    json(payload)
}

/// A file, or in tests one of a disk that fails.
pub trait ReadAt {
    /// All of these bytes.
    ///
    /// # Errors
    /// If they are not there or cannot be read.
    fn read_exact_at(&self, bytes: &mut [u8], offset: u64) -> std::io::Result<()>;
}

impl ReadAt for File {
    fn read_exact_at(&self, bytes: &mut [u8], offset: u64) -> std::io::Result<()> {
        FileExt::read_exact_at(self, bytes, offset)
    }
}

/// So much of a file is read at a time by Linux, and lost where one sector of it is.
const PAGE_BYTES: u64 = 4 * 1024;

/// A file of which some bytes may not be readable any more.
#[derive(Debug)]
struct Disk<F> {
    file: F,
    /// Whether there were such.
    has_failed: Cell<bool>,
}

impl<F: ReadAt> Disk<F> {
    fn new(file: F) -> Self {
        Self {
            file,
            has_failed: Cell::new(false),
        }
    }

    /// Bytes of the file. Those that the disk cannot read are zeros, in which there is no frame: an error would come again
    /// for good, and hold up the frames behind them.
    fn read_at(&self, bytes: &mut [u8], offset: u64) {
        if self.file.read_exact_at(bytes, offset).is_ok() {
            return;
        }
        let mut from = 0;
        while from < bytes.len() {
            let place = offset + from as u64;
            let to = bytes.len().min(from + (PAGE_BYTES - place % PAGE_BYTES) as usize);
            if self.file.read_exact_at(&mut bytes[from..to], place).is_err() {
                bytes[from..to].fill(0);
                self.has_failed.set(true);
            }
            from = to;
        }
    }

    /// What the header of the frame at `offset` says, see [`fields`].
    fn header_at(&self, offset: u64) -> (usize, u32, u32) {
        let mut header = [0; HEADER];
        self.read_at(&mut header, offset);
        fields(&header)
    }

    /// The payload of so many bytes of the frame at `offset`, if it has that checksum.
    fn payload_at(&self, offset: u64, length: usize, checksum: u32) -> Option<Vec<u8>> {
        let mut payload = vec![0; length];
        self.read_at(&mut payload, offset + HEADER as u64);
        (crc32fast::hash(&payload) == checksum).then_some(payload)
    }

    /// Whether the frame at `offset`, which lies within the file, has its checksum.
    fn is_whole(&self, offset: u64) -> bool {
        let (length, _, checksum) = self.header_at(offset);
        self.payload_at(offset, length, checksum).is_some()
    }
}

/// Whether bytes that begin here may be a frame, of which `rest` bytes are left in the file at most. Their checksum, which
/// costs more, decides.
fn may_be_frame(bytes: &[u8], rest: u64) -> bool {
    let Some((header, payload)) = bytes.split_first_chunk() else {
        return false;
    };
    let (length, rows, _) = fields(header);
    length != 0 && rows != 0 && (HEADER + length) as u64 <= rest && may_be_payload(payload, length)
}

/// Whether a payload of this length may begin so; of one that a crash cut off there may be a single byte.
fn may_be_payload(start: &[u8], length: usize) -> bool {
    let told = start.len().min(ZSTD_MAGIC.len());
    if told > 0 && start[..told] == ZSTD_MAGIC[..told] {
        return length <= compress_bound(MAX_PAYLOAD_BYTES);
    }
    length < COMPRESSED_FROM_BYTES && matches!(start.first(), Some(b'[' | b'{' | b' ' | b'\t' | b'\r' | b'\n'))
}

/// Bytes of a segment that are searched at a time for a frame.
const SEARCHED_BYTES: usize = 64 * 1024;
/// So many bytes tell whether they may begin a frame.
const TELLING_BYTES: usize = HEADER + ZSTD_MAGIC.len();

/// What the disk has changed or lost in a segment.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(in crate::pipeline) struct Damage {
    /// Frames that are whole but for their length.
    pub mended: usize,
    /// Places between whole frames, or before the first one, where nothing can be read.
    pub places: usize,
    /// Bytes there.
    pub bytes: u64,
}

/// The whole frames of a segment, one after another.
#[derive(Debug)]
pub struct Frames<F = File> {
    disk: Disk<F>,
    /// Where the next frame begins.
    at: u64,
    end: u64,
    damage: Damage,
}

impl Frames {
    /// Of the first `bytes` of a file.
    pub(super) fn open(path: &Path, bytes: u64) -> std::io::Result<Self> {
        let file = File::open(path)?;
        let end = file.metadata()?.len().min(bytes);
        Ok(Self::of(file, end))
    }
}

impl<F: ReadAt> Frames<F> {
    /// Of the first `end` bytes.
    pub(in crate::pipeline) fn of(file: F, end: u64) -> Self {
        Self {
            disk: Disk::new(file),
            at: 0,
            end,
            damage: Damage::default(),
        }
    }

    /// Whether the disk refused to read any bytes so far, which may be other than what it reads another time.
    pub(in crate::pipeline) fn has_disk_failed(&self) -> bool {
        self.disk.has_failed.get()
    }

    /// Bytes behind the frames read so far; after the last one, those in which no frame was found.
    pub(in crate::pipeline) fn rest(&self) -> u64 {
        self.end - self.at
    }

    /// What of the frames read so far, and before them, does not say any more what was written.
    pub(in crate::pipeline) fn damage(&self) -> Damage {
        self.damage
    }

    /// Bytes of rows that may have been acknowledged, after the last frame.
    pub(in crate::pipeline) fn lost(&self) -> u64 {
        let is_rest_lost = self.rest() > 0 && !self.is_cut_off();
        self.damage.bytes + if is_rest_lost { self.rest() } else { 0 }
    }

    /// Whether the rest is what a crash leaves of a frame that it interrupts: its beginning. Such a one was never
    /// acknowledged; of any other rest nobody can tell.
    pub(in crate::pipeline) fn is_cut_off(&self) -> bool {
        let mut bytes = [0; TELLING_BYTES];
        let told = self.rest().min(TELLING_BYTES as u64) as usize;
        self.disk.read_at(&mut bytes[..told], self.at);
        let Some((header, payload)) = bytes[..told].split_first_chunk() else {
            return true;
        };
        let (length, rows, _) = fields(header);
        let begins = payload.is_empty() || may_be_payload(payload, length);
        rows != 0 && self.rest() < (HEADER + length) as u64 && begins
    }

    /// The next frame's row count and JSON.
    ///
    /// # Errors
    /// If a whole frame is none of ours.
    pub fn next_frame(&mut self) -> std::io::Result<Option<(u32, Vec<u8>)>> {
        if let Some(frame) = self.read()? {
            return Ok(Some(frame));
        }
        // A crash cuts off the last frame. One that a whole one follows, or whose checksum is right whatever its length
        // says, was damaged later.
        let next = self.search();
        let ended = next.unwrap_or(self.end);
        if let Some(frame) = self.reaching(ended)? {
            self.damage.mended += 1;
            self.at = ended;
            return Ok(Some(frame));
        }
        let Some(next) = next else { return Ok(None) };
        self.damage.places += 1;
        self.damage.bytes += next - self.at;
        self.at = next;
        self.read()
    }

    /// The frame that stands here, if it is whole.
    fn read(&mut self) -> std::io::Result<Option<(u32, Vec<u8>)>> {
        if self.rest() < HEADER as u64 {
            return Ok(None);
        }
        let (length, rows, checksum) = self.disk.header_at(self.at);
        let bytes = (HEADER + length) as u64;
        // A file grown by the file system but not written reads as zeros.
        if length == 0 || length > compress_bound(MAX_PAYLOAD_BYTES) || self.rest() < bytes {
            return Ok(None);
        }
        let Some(payload) = self.disk.payload_at(self.at, length, checksum) else {
            return Ok(None);
        };
        self.at += bytes;
        Ok(Some((rows, json(payload)?)))
    }

    /// Where the first whole frame begins behind what stands here.
    fn search(&self) -> Option<u64> {
        let mut chunk = vec![0; SEARCHED_BYTES + TELLING_BYTES];
        let mut from = self.at + 1;
        while from + (HEADER as u64) < self.end {
            let read = (self.end - from).min(chunk.len() as u64) as usize;
            self.disk.read_at(&mut chunk[..read], from);
            for place in 0..read.min(SEARCHED_BYTES) {
                let offset = from + place as u64;
                let told = read.min(place + TELLING_BYTES);
                if may_be_frame(&chunk[place..told], self.end - offset) && self.disk.is_whole(offset) {
                    return Some(offset);
                }
            }
            from += SEARCHED_BYTES as u64;
        }
        None
    }

    /// The frame that stands here, if it is whole up to `end`, whatever its length says.
    fn reaching(&self, end: u64) -> std::io::Result<Option<(u32, Vec<u8>)>> {
        let bytes = (end - self.at) as usize;
        if bytes <= HEADER || bytes > HEADER + compress_bound(MAX_PAYLOAD_BYTES) {
            return Ok(None);
        }
        let (_, rows, checksum) = self.disk.header_at(self.at);
        if rows == 0 {
            return Ok(None);
        }
        let payload = self.disk.payload_at(self.at, bytes - HEADER, checksum);
        payload.map(|payload| Ok((rows, json(payload)?))).transpose()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn bytes_of(rows: u32, json: &[u8]) -> Vec<u8> {
        Frame::new(rows, json.to_vec()).unwrap().to_bytes()
    }

    fn open(bytes: &[u8]) -> Frames {
        let file = tempfile::NamedTempFile::new().unwrap();
        std::fs::write(file.path(), bytes).unwrap();
        Frames::open(file.path(), u64::MAX).unwrap()
    }

    /// Row counts and JSON of the whole frames, and the bytes behind them.
    fn read(bytes: &[u8]) -> (Vec<(u32, Vec<u8>)>, u64) {
        let (found, frames) = all(bytes);
        (found, frames.rest())
    }

    fn all(bytes: &[u8]) -> (Vec<(u32, Vec<u8>)>, Frames) {
        let mut frames = open(bytes);
        let found = std::iter::from_fn(|| frames.next_frame().unwrap()).collect();
        (found, frames)
    }

    /// A frame whose JSON is compressed.
    fn large(rows: u32) -> Vec<u8> {
        let numbers: Vec<_> = (0..5_000_u32)
            .map(|n| n.wrapping_mul(2_654_435_761).to_string())
            .collect();
        bytes_of(rows, format!("[{}]", numbers.join(",")).as_bytes())
    }

    #[test]
    fn an_end_that_a_crash_cut_off_is_told_from_one_that_was_damaged() {
        for last in [bytes_of(1, b"{\"a\":1}\n"), large(2)] {
            let mut bytes = bytes_of(2, b"{}\n{}\n");
            let whole = bytes.len();
            bytes.extend(last);
            for end in (whole + 1..bytes.len()).step_by(1 + bytes.len() / 97) {
                let (found, frames) = all(&bytes[..end]);
                assert_eq!(found, [(2, b"{}\n{}\n".to_vec())]);
                assert_eq!(frames.rest(), (end - whole) as u64);
                assert!(frames.is_cut_off(), "{end} of {}", bytes.len());
            }
            let end = bytes.len() - 2;
            bytes[end] ^= 1;
            let (found, frames) = all(&bytes);
            assert_eq!((found.len(), frames.rest()), (1, (bytes.len() - whole) as u64));
            assert!(!frames.is_cut_off());
        }
        let (found, frames) = all(&[0; 64]);
        assert!(found.is_empty() && !frames.is_cut_off());
    }

    #[test]
    fn whatever_byte_of_a_frame_is_damaged_no_other_frame_is_lost() {
        let frames = [
            bytes_of(1, b"[1]"),
            large(2),
            bytes_of(3, b"[3, 3, 3]"),
            bytes_of(4, b"[4]"),
        ];
        let whole = all(&frames.concat()).0;
        assert_eq!(whole.len(), frames.len());
        for damaged in 0..frames.len() {
            let start: usize = frames[..damaged].iter().map(Vec::len).sum();
            for place in (0..frames[damaged].len()).filter(|place| *place < 40 || place % 500 == 0) {
                for bit in 0..8 {
                    let mut bytes = frames.concat();
                    bytes[start + place] ^= 1 << bit;
                    let (found, read) = all(&bytes);
                    let others = whole.iter().filter(|(rows, _)| *rows as usize != damaged + 1);
                    assert!(
                        others.clone().all(|frame| found.contains(frame)),
                        "bit {bit} of byte {place} of frame {damaged}: {} found, {:?}",
                        found.len(),
                        read.damage()
                    );
                    // Its length alone can be told from what follows it; its number of rows means nothing.
                    let is_mended = place < 8;
                    assert_eq!(found.len(), if is_mended { 4 } else { 3 }, "bit {bit} of byte {place}");
                    let is_last = damaged == frames.len() - 1;
                    assert_eq!(read.rest() > 0, is_last && !is_mended);
                    assert_eq!(read.damage().places, usize::from(!is_last && !is_mended));
                    assert!(read.rest() == 0 || !read.is_cut_off());
                }
            }
        }
    }

    /// A file of which a page cannot be read.
    struct Worn<'b> {
        bytes: &'b [u8],
        page: u64,
    }

    impl ReadAt for Worn<'_> {
        fn read_exact_at(&self, bytes: &mut [u8], offset: u64) -> std::io::Result<()> {
            let end = offset + bytes.len() as u64;
            if offset < (self.page + 1) * PAGE_BYTES && self.page * PAGE_BYTES < end {
                return Err(std::io::Error::from_raw_os_error(5));
            }
            bytes.copy_from_slice(&self.bytes[offset as usize..end as usize]);
            Ok(())
        }
    }

    #[test]
    fn a_page_that_cannot_be_read_costs_the_frames_in_it_and_no_other() {
        let mut frames = vec![bytes_of(1, b"[1]"), large(2)];
        frames.extend((3..200).map(|rows| bytes_of(rows, b"[3, 3, 3, 3, 3, 3, 3, 3, 3, 3]")));
        frames.extend([large(200), large(201)]);
        let bytes = frames.concat();
        let pages = (bytes.len() as u64).div_ceil(PAGE_BYTES);
        assert!(pages > 10);
        for page in 0..pages {
            let mut read = Frames::of(Worn { bytes: &bytes, page }, bytes.len() as u64);
            let found = std::iter::from_fn(|| read.next_frame().unwrap());
            let found: Vec<_> = found.map(|(rows, _)| rows).collect();
            let (mut expected, mut lost, mut start) = (Vec::new(), 0, 0);
            for (frame, rows) in frames.iter().zip(1..) {
                let end = start + frame.len() as u64;
                if end <= page * PAGE_BYTES || (page + 1) * PAGE_BYTES <= start {
                    expected.push(rows);
                } else {
                    lost += frame.len() as u64;
                }
                start = end;
            }
            assert_eq!(found, expected, "page {page}");
            assert_eq!(read.damage().bytes + read.rest(), lost, "page {page}");
            assert!(read.rest() == 0 || !read.is_cut_off());
            assert!(read.has_disk_failed());
        }
    }

    #[test]
    fn several_damaged_frames_in_a_row_cost_no_whole_one_behind_them() {
        let frames = [bytes_of(1, b"[1]"), large(2), bytes_of(3, b"[3, 3, 3]")];
        let mut bytes = frames.concat();
        let lost = frames[0].len() + frames[1].len();
        bytes[HEADER] ^= 1;
        bytes[frames[0].len() + 1] ^= 1;
        bytes[frames[0].len() + HEADER + 100] ^= 1;
        let (found, read) = all(&bytes);
        assert_eq!(found, [(3, b"[3, 3, 3]".to_vec())]);
        let damage = Damage {
            mended: 0,
            places: 1,
            bytes: lost as u64,
        };
        assert_eq!((read.damage(), read.rest()), (damage, 0));
        // All of them: what is left is no beginning of a frame.
        let last = bytes.len() - 1;
        bytes[last] ^= 1;
        let (found, read) = all(&bytes);
        assert_eq!((found, read.rest()), (Vec::new(), bytes.len() as u64));
        assert!(!read.is_cut_off());
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
        assert_eq!(json_at(&file, 0, second).unwrap(), small);
        assert_eq!(json_at(&file, second, bytes.len() as u64 - second).unwrap(), large);
        assert!(json_at(&file, second + 1, bytes.len() as u64 - second - 1).is_err());
    }

    #[test]
    fn of_an_acknowledged_frame_nothing_else_than_all_of_it_is_taken() {
        let (small, json) = (b"[{\"a\":1}]".to_vec(), b"[2, 2, 2]");
        let mut bytes = bytes_of(1, &small);
        bytes.resize(PAGE_BYTES as usize, b' ');
        let frame = bytes_of(3, json);
        bytes.extend(&frame);
        let length = frame.len() as u64;
        let worn = |page| Worn { bytes: &bytes, page };
        assert_eq!(json_at(&worn(0), PAGE_BYTES, length).unwrap(), json);
        let failed = json_at(&worn(1), PAGE_BYTES, length).unwrap_err();
        assert_eq!(failed.raw_os_error(), Some(5), "{failed}");
        // What a disk may read instead.
        bytes[PAGE_BYTES as usize..].fill(0);
        let worn = Worn { bytes: &bytes, page: 0 };
        assert!(json_at(&worn, PAGE_BYTES, length).is_err());
        assert!(json_at(&worn, PAGE_BYTES, HEADER as u64 + 1).is_err());
    }
}
