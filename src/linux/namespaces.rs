//! # namespaces
