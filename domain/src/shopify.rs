//! Shopify's inbound shapes.
