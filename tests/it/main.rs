//! One binary for all tests through the front door, a module per capability.

mod allocation;
