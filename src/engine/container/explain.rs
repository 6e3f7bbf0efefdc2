//! # Explain: the container's kernel calls, told
//!
//! Reads the recorded actions beside the record.
//!
//! *See:* design.md section 6. *Next room:* `minidock_explain`
