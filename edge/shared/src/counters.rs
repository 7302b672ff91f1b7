//! Counters in Analytics Engine: how much of what, by the minute, without a database.
//!
//! Equal points of one invocation are added up before they are written, so that a batch of a hundred events of one page
//! is one point. A counter is a gauge for people: it never holds up or fails what it counts.

use std::collections::BTreeMap;
use std::future::Future;

/// Most text fields of a point (Cloudflare's "Analytics Engine limits", as the next three).
pub const MAX_BLOBS: usize = 20;
/// Most numbers of a point.
pub const MAX_DOUBLES: usize = 20;
/// Most bytes of the index.
pub const MAX_INDEX_BYTES: usize = 96;
/// Most bytes of all blobs of a point.
pub const MAX_BLOB_BYTES: usize = 16_000;
/// Most points that one invocation may write.
pub const MAX_POINTS: usize = 250;

/// First blob of the point that stands for those which had no room.
pub const OVERFLOW: &str = "overflow";

/// A data point as `writeDataPoint` takes it.
#[derive(Debug, Clone, PartialEq, serde::Serialize)]
pub struct DataPoint {
    /// The sampling key: exactly one, the shop.
    pub indexes: [String; 1],
    /// What is counted, by position.
    pub blobs: Vec<String>,
    /// Sums, by position; the first is the count.
    pub doubles: Vec<f64>,
}

/// Where points go: the Analytics Engine binding in the Worker, a double in tests.
pub trait CounterSink {
    /// Writes points. There is no outcome: what counts is never more important than what is counted.
    fn write(&self, points: &[DataPoint]) -> impl Future<Output = ()>;
}

/// Points of one invocation, equal ones added up.
#[derive(Debug, Clone, Default)]
pub struct Counters {
    points: BTreeMap<(String, Vec<String>), Vec<f64>>,
}

impl Counters {
    /// Counts one occurrence of `blobs` in `index`, with further `amounts` to add up beside the count.
    ///
    /// Whatever is beyond the platform's limits is cut, since it would discard the whole point without a word.
    pub fn count(&mut self, index: &str, blobs: &[&str], amounts: &[f64]) {
        let mut room = MAX_BLOB_BYTES;
        let blobs = blobs.iter().take(MAX_BLOBS).map(|blob| {
            let cut = cut(blob, room).to_owned();
            room -= cut.len();
            cut
        });
        let key = (cut(index, MAX_INDEX_BYTES).to_owned(), blobs.collect());
        let sums = self.points.entry(key).or_default();
        for (at, amount) in std::iter::once(&1.0).chain(amounts).take(MAX_DOUBLES).enumerate() {
            match sums.get_mut(at) {
                Some(sum) => *sum += amount,
                None => sums.push(*amount),
            }
        }
    }

    /// The points, at most [`MAX_POINTS`]: the last one then holds the count of all that had no room.
    #[must_use]
    pub fn points(&self) -> Vec<DataPoint> {
        let point = |((index, blobs), doubles): (&(String, Vec<String>), &Vec<f64>)| DataPoint {
            indexes: [index.clone()],
            blobs: blobs.clone(),
            doubles: doubles.clone(),
        };
        if self.points.len() <= MAX_POINTS {
            return self.points.iter().map(point).collect();
        }
        let kept = MAX_POINTS - 1;
        let overflow = self.points.values().skip(kept).filter_map(|sums| sums.first()).sum();
        let mut points: Vec<_> = self.points.iter().take(kept).map(point).collect();
        points.push(DataPoint {
            indexes: [OVERFLOW.into()],
            blobs: vec![OVERFLOW.into()],
            doubles: vec![overflow],
        });
        points
    }
}

/// The longest beginning of `text` of at most `max_bytes`, whole characters.
fn cut(text: &str, max_bytes: usize) -> &str {
    let mut end = text.len().min(max_bytes);
    while !text.is_char_boundary(end) {
        end -= 1;
    }
    &text[..end]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn equal_points_are_one() {
        let mut counters = Counters::default();
        counters.count("shop", &["engagement", "i-1"], &[2.5]);
        counters.count("shop", &["engagement", "i-1"], &[4.0]);
        counters.count("shop", &["click", "i-1"], &[]);
        let points = counters.points();
        assert_eq!(points.len(), 2);
        assert_eq!((points[0].blobs[0].as_str(), &points[0].doubles), ("click", &vec![1.0]));
        assert_eq!(
            (points[1].blobs[0].as_str(), &points[1].doubles),
            ("engagement", &vec![2.0, 6.5])
        );
    }

    #[test]
    fn no_point_is_beyond_the_limits() {
        let mut counters = Counters::default();
        let long = "é".repeat(MAX_BLOB_BYTES);
        counters.count(&long, &[long.as_str(); 30], &[1.0; 30]);
        let [point] = &counters.points()[..] else {
            panic!("one point")
        };
        assert!(point.indexes[0].len() <= MAX_INDEX_BYTES && !point.indexes[0].is_empty());
        assert_eq!((point.blobs.len(), point.doubles.len()), (MAX_BLOBS, MAX_DOUBLES));
        assert!(point.blobs.iter().map(String::len).sum::<usize>() <= MAX_BLOB_BYTES);
    }

    #[test]
    fn what_has_no_room_is_still_counted() {
        let mut counters = Counters::default();
        for number in 0..300 {
            counters.count("shop", &[&format!("{number:03}")], &[]);
        }
        let points = counters.points();
        assert_eq!(points.len(), MAX_POINTS);
        assert_eq!(points[MAX_POINTS - 1].blobs, [OVERFLOW]);
        assert_eq!(
            points.iter().map(|point| point.doubles[0]).sum::<f64>().to_string(),
            "300"
        );
    }
}
