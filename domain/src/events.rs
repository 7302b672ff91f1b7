//! From a change of state to telemetry events.
