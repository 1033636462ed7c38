//! Programs for upkeep and measurements of labimg: see `examples/`. They are examples for one reason: cargo compiles those with
//! the tests in one command and with the same features, so that no dependency is built twice.
