//! Where the fields of on-disk structures are: byte offsets, under the names of the specifications, for both writers
//! and readers.

#![allow(
    non_upper_case_globals,
    reason = "a field is called as its specification calls it, so that it can be searched for"
)]

pub mod ext4;
pub mod fat;
pub mod table;
