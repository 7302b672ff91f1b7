//! Since when lines have their quantity, and since when units of them are removed.
//!
//! A body says how many, not since when; the earliest body that says as many does. Kept are the points that answer this for
//! every number, and no body: they merge in any sequence, and an order that never changed has none.

use serde::{Deserialize, Serialize};

use super::{Line, OrderSnapshot, OrderState};

/// Since when bodies tell so many units of a line.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[allow(missing_docs)]
pub struct UnitsSince {
    pub line_item_id: i64,
    pub units: i64,
    /// `updated_at` of the earliest body with so many.
    pub since: i64,
}

impl OrderState {
    /// Merges the quantities of a body's lines, before these lines take the place of the known ones. A body that is not the
    /// newest may be the first.
    pub(super) fn note_quantities(&mut self, snapshot: &OrderSnapshot, is_newest: bool) {
        let at = snapshot.header.updated_at;
        let known_first = self.first_updated_at.unwrap_or(at);
        let first = known_first.min(at);
        self.first_updated_at = Some(first);
        let told = |line: &Line| (line.line_item_id, line.quantity);
        let is_same = || self.lines.iter().map(told).eq(snapshot.lines.iter().map(told));
        // So it is with almost every body.
        if self.header.is_none() || self.quantity_since.is_empty() && is_same() {
            return;
        }
        let point = |line: &Line, since| UnitsSince {
            line_item_id: line.line_item_id,
            units: line.quantity,
            since,
        };
        let mut points = self.quantity_since.clone();
        let is_left_out = |line: &&Line| {
            let mut points = self.quantity_since.iter();
            !points.any(|point| point.line_item_id == line.line_item_id)
        };
        points.extend(
            self.lines
                .iter()
                .filter(is_left_out)
                .map(|line| point(line, known_first)),
        );
        points.extend(snapshot.lines.iter().map(|line| point(line, at)));
        first_points(&mut points);
        let newest = if is_newest { &snapshot.lines } else { &self.lines };
        let of_lines = points.chunk_by(|one, other| one.line_item_id == other.line_item_id);
        let kept = of_lines.filter(|points| !newest.iter().any(|line| **points == [point(line, first)]));
        self.quantity_since = kept.flatten().cloned().collect();
    }

    /// Merges what the lines of a body no longer have.
    pub(super) fn note_removed(&mut self, snapshot: &OrderSnapshot) {
        let removed = snapshot.lines.iter().filter_map(|line| {
            let units = line.quantity - line.current_quantity?;
            (units > 0).then_some(UnitsSince {
                line_item_id: line.line_item_id,
                units,
                since: snapshot.header.updated_at,
            })
        });
        self.removed_since.extend(removed);
        first_points(&mut self.removed_since);
    }
}

/// Leaves of each line the points that no earlier one with as many units precedes, sorted by line and time: all that is needed
/// to say since when there are so many, whatever the sequence in which points come.
fn first_points(points: &mut Vec<UnitsSince>) {
    points.sort_unstable_by_key(|point| (point.line_item_id, point.since, -point.units));
    let mut most = (None, 0);
    points.retain(|point| {
        let line = Some(point.line_item_id);
        let known = if most.0 == line { most.1 } else { 0 };
        most = (line, known.max(point.units));
        point.units > known
    });
}
