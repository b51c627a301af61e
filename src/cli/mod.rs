//! The program's commands, one file each.

pub mod demo;
pub mod replay;
