//! Integration tests of the template engine.

mod cases;
mod differential;
mod generator;
mod golden;
mod support;
