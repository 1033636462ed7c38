//! Programs for upkeep and measurements of labimg: see `examples/`. They are examples because cargo compiles those
//! together with the tests and with the same features, so that no dependency is built twice.
