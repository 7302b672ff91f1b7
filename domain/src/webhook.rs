//! A webhook delivery: signature, topic, envelope.
