//! The PostgreSQL extension `weir`.
