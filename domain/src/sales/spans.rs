//! When units of a line were added or removed, as far as anything tells.

use crate::order_state::{Line, UnitsSince};

/// The points of a line: since when, how many.
pub(super) fn since<'a>(points: &'a [UnitsSince], line: &Line) -> impl Iterator<Item = (i64, i64)> + 'a {
    let id = line.line_item_id;
    let of_line = points.iter().filter(move |point| point.line_item_id == id);
    of_line.map(|point| (point.since, point.units))
}

/// Dates `units` of a line that were added or removed: (when, from unit, to unit). First by `edits`, in their sequence; what
/// they leave by `points`, each by the first body that had more than the edits and `told`, which dates the others, tell of
/// until then; what should still be left at the `last` body. So nothing that is told later, unless it dates these very units,
/// moves them.
pub(super) fn spans(
    units: i64,
    edits: &[(i64, i64)],
    points: impl Iterator<Item = (i64, i64)>,
    told: impl Fn(i64) -> i64,
    last: i64,
) -> Vec<(i64, i64, i64)> {
    let (mut spans, mut done) = (Vec::new(), 0);
    let mut until = |at: i64, to: i64| {
        let to = to.min(units);
        if to > done {
            spans.push((at, done, to));
            done = to;
        }
    };
    let mut of_edits = 0;
    for (at, more) in edits {
        of_edits += more;
        until(*at, of_edits);
    }
    if of_edits < units {
        for (at, count) in points {
            let later = edits.iter().filter(|(of, _)| *of > at).map(|(_, more)| more);
            until(at, count - told(at) + later.sum::<i64>());
        }
        until(last, units);
    }
    spans
}
