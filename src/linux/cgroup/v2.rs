//! # cgroup
