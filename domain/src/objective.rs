//! Objective specifications: thresholds and precedence.
