//! Integration tests of the template engine.

mod golden;
mod support;
