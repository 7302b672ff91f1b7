//! What a queue consumer decides for each message.

/// What to do with a message.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Decision {
    /// Done: acknowledge.
    Acknowledge,
    /// Keep in the quarantine under this reason, then acknowledge.
    Quarantine {
        /// Reason class.
        reason: String,
        /// What and where.
        detail: String,
    },
    /// Deliver again later.
    Retry {
        /// For the log.
        cause: String,
    },
}

impl Decision {
    /// [`Decision::Quarantine`] for `reason` with `detail`.
    #[must_use]
    pub fn quarantine(reason: &str, detail: impl Into<String>) -> Self {
        Self::Quarantine {
            reason: reason.to_owned(),
            detail: detail.into(),
        }
    }
}
