//! # device_filter
