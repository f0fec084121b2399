//! Integration tests of the template engine.

mod golden;
mod limits;
mod mutation;
mod support;
