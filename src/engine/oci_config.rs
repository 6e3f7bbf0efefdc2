//! # oci_config
