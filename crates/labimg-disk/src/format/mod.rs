//! Where the fields of on-disk structures lie: byte offsets, under the names that the specifications give them, for those
//! who write and those who read.

#![allow(
    non_upper_case_globals,
    reason = "a field is called as its specification calls it, so that it can be searched for"
)]

pub mod ext4;
pub mod fat;
pub mod table;
