//! Self-hosted Pipelines: from a POST to a durable journal to Iceberg.
