//! # The daemon
/// The daemon's costume: `args` are the words behind `minidock daemon`.
pub fn main(args: Vec<std::ffi::OsString>) -> i32 {
    let _ = args;
    1
}
