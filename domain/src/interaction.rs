//! Interactions of visitors with published items: what a sender may say, what is kept of it, and what never is.
//!
//! | step | where |
//! |---|---|
//! | the kinds, and which of them reach PostgreSQL | [`Kind`] |
//! | a sender's event, read and refused field by field | [`given`] |
//! | pages without query, values that look like an e-mail | [`address`], [`text`] |
//! | device class and bots | [`device`] |
//! | visitor and session as rotating keyed hashes | [`visitor`] |
//! | publisher, item and program from the published catalogue | [`catalogue`] |
//! | signed redirects | [`link`] |
//! | the row of `publication_v1` | [`record`] |

pub mod address;
pub mod catalogue;
pub mod device;
pub mod given;
mod kind;
pub mod link;
pub mod record;
pub mod text;
pub mod visitor;

pub use kind::Kind;
