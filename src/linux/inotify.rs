//! # inotify
