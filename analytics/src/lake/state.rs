//! A table as it was when it was loaded: whoever asks several things of it asks them of one state, and the catalog once.

use iceberg::table::Table;
use iceberg::TableIdent;

use super::Lake;
use crate::Result;

/// The metadata of a table at one moment. What it says is in [`super::changes`], [`super::scan`] and [`super::ranges`].
#[derive(Debug, Clone)]
pub struct State(Table);

impl Lake {
    /// The table as it is now.
    ///
    /// # Errors
    /// As [`Self::load`].
    pub async fn state(&self, table: &TableIdent) -> Result<State> {
        Ok(State(self.load(table).await?))
    }
}

impl State {
    pub(super) fn table(&self) -> &Table {
        &self.0
    }

    /// The current snapshot, if the table has any.
    #[must_use]
    pub fn current_snapshot(&self) -> Option<i64> {
        self.0.metadata().current_snapshot_id()
    }

    /// Whether the table still has this snapshot.
    #[must_use]
    pub fn has_snapshot(&self, snapshot: i64) -> bool {
        self.0.metadata().snapshot_by_id(snapshot).is_some()
    }
}
