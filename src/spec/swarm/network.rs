//! # Network: an overlay, as the managers keep it
//!
//! A swarm's network is one subnet over many machines. Its spec is what was asked for; the allocator adds the subnet it was
//! given ([`Network::ipam_options`]) and the number by which its frames are told apart on the wire (`vxlanid_list` in the
//! driver's state). A task carries the network as it was when its address was given.
//!
//! *See:* moby `api/types/swarm/network.go`; RFC 7348 (VXLAN). *Next room:* [`super::secret`]

use super::{Version, not, null_is_default, task::Driver};
use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;

/// Docker's option that names a network's VXLAN number.
pub const VXLAN_ID: &str = "com.docker.network.driver.overlay.vxlanid_list";

#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "PascalCase", default)]
pub struct Network {
    #[serde(rename = "ID")]
    pub id: String,
    pub version: Version,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub created_at: Option<Timestamp>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub updated_at: Option<Timestamp>,
    pub spec: NetworkSpec,
    pub driver_state: Driver,
    #[serde(rename = "IPAMOptions", skip_serializing_if = "Option::is_none")]
    pub ipam_options: Option<IpamOptions>,
    /// On the ingress network each node has an address of its own. Not in Docker's body.
    #[serde(skip_serializing_if = "BTreeMap::is_empty", deserialize_with = "null_is_default")]
    pub node_addresses: BTreeMap<String, String>,
}

impl Network {
    /// The allocator has been here: it has a subnet and a number.
    pub fn is_allocated(&self) -> bool {
        self.ipam_options.as_ref().is_some_and(|i| !i.configs.is_empty()) && self.vxlan_id().is_some()
    }

    pub fn vxlan_id(&self) -> Option<u32> {
        self.driver_state.options.get(VXLAN_ID)?.parse().ok()
    }

    /// `10.0.1.0/24`
    pub fn subnet(&self) -> Option<&str> {
        self.ipam_options.as_ref()?.configs.first().map(|c| c.subnet.as_str())
    }

    pub fn gateway(&self) -> Option<&str> {
        self.ipam_options.as_ref()?.configs.first().map(|c| c.gateway.as_str())
    }
}

#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "PascalCase", default)]
pub struct NetworkSpec {
    pub name: String,
    #[serde(deserialize_with = "null_is_default")]
    pub labels: BTreeMap<String, String>,
    pub driver_configuration: Driver,
    #[serde(rename = "IPv6Enabled", skip_serializing_if = "not")]
    pub ipv6_enabled: bool,
    #[serde(skip_serializing_if = "not")]
    pub internal: bool,
    #[serde(skip_serializing_if = "not")]
    pub attachable: bool,
    #[serde(skip_serializing_if = "not")]
    pub ingress: bool,
    #[serde(rename = "IPAMOptions", skip_serializing_if = "Option::is_none")]
    pub ipam_options: Option<IpamOptions>,
    pub scope: String,
}

#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "PascalCase", default)]
pub struct IpamOptions {
    pub driver: Driver,
    #[serde(deserialize_with = "null_is_default")]
    pub configs: Vec<IpamConfig>,
}

#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "PascalCase", default)]
pub struct IpamConfig {
    #[serde(skip_serializing_if = "String::is_empty")]
    pub subnet: String,
    #[serde(skip_serializing_if = "String::is_empty")]
    pub range: String,
    #[serde(skip_serializing_if = "String::is_empty")]
    pub gateway: String,
}
