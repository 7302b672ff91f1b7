//! What a line is for good, whichever body says it: its product and variant, and whether it is a tip.
//!
//! Shopify names no product once it is deleted, and bulk operations do not say that a line is a tip. So a line keeps what any
//! body said of it. Of lines that the newest body does not have it is kept apart, for they may come back.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use super::{Line, OrderSnapshot, OrderState};

/// What some body said of a line. Bodies that contradict each other are none of Shopify's; the greater value holds then, so
/// that the sequence of deliveries does not matter.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[allow(missing_docs)]
pub struct LineOrigin {
    pub line_item_id: i64,
    pub product_id: Option<i64>,
    pub variant_id: Option<i64>,
    pub is_tip: bool,
}

impl LineOrigin {
    fn of(line: &Line) -> Self {
        Self {
            line_item_id: line.line_item_id,
            product_id: line.product_id,
            variant_id: line.variant_id,
            is_tip: line.is_tip,
        }
    }

    fn merge(&mut self, other: &Self) {
        self.product_id = self.product_id.max(other.product_id);
        self.variant_id = self.variant_id.max(other.variant_id);
        self.is_tip |= other.is_tip;
    }

    fn says_something(&self) -> bool {
        self.product_id.is_some() || self.variant_id.is_some() || self.is_tip
    }
}

impl OrderState {
    /// Takes the lines of a body, if it is the newest, and of any body what its lines are for good.
    pub(super) fn take_lines(&mut self, snapshot: &OrderSnapshot, is_newest: bool) {
        let told = &snapshot.lines;
        let is_first = self.lines.is_empty() && is_newest;
        let says_nothing_new = || {
            self.lines
                .iter()
                .map(LineOrigin::of)
                .eq(told.iter().map(LineOrigin::of))
        };
        // So it is with almost every body.
        if self.absent_lines.is_empty() && (is_first || says_nothing_new()) {
            if is_newest {
                self.lines.clone_from(told);
            }
            return;
        }
        let mut known: BTreeMap<i64, LineOrigin> = BTreeMap::new();
        let said = self.lines.iter().chain(told).map(LineOrigin::of);
        for one in said.chain(self.absent_lines.iter().cloned()) {
            known.entry(one.line_item_id).or_insert_with(|| one.clone()).merge(&one);
        }
        if is_newest {
            self.lines.clone_from(told);
        }
        for line in &mut self.lines {
            if let Some(origin) = known.remove(&line.line_item_id) {
                (line.product_id, line.variant_id, line.is_tip) = (origin.product_id, origin.variant_id, origin.is_tip);
            }
        }
        self.absent_lines = known.into_values().filter(LineOrigin::says_something).collect();
    }
}
