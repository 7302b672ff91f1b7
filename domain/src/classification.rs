//! The reference classification rule; the SQL must equal it.
