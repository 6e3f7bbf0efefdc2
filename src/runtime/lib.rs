//! # The runtime
/// The runtime's costume: `args` are the words behind `minidock runtime`.
pub fn main(args: Vec<std::ffi::OsString>) -> i32 {
    let _ = args;
    1
}
