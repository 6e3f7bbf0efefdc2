//! # Grants: nobody can give what he does not have
//!
//! A configuration may ask for a capability that we lack ourselves (a daemon in a container, a machine without
//! CAP_SYS_RESOURCE). The specification says: such a wish is a warning, not a failure; a privileged container on a small
//! machine still runs, with what there is. An unknown *name* is another matter: that was refused when the document was read.
//!
//! Laws: never more than was asked. See: runtime-spec config.md#linux-process (capabilities), capabilities(7).
//! Next room: [`crate::privileges`]

use crate::log;
use minidock_base::{Doing, Result};
use minidock_linux::caps;
use oci_spec::runtime::{Capabilities, Capability, LinuxCapabilities, Process};

/// The process with those of its capabilities that can be granted. In a user namespace of its own it can have all.
///
/// # Errors
/// Our own capabilities cannot be read.
pub fn grantable(mut process: Process, in_user_namespace: bool) -> Result<Process> {
    let Some(asked) = process.capabilities().clone() else { return Ok(process) };
    let (_, own, _) = caps::capget().doing(|| "read our own capabilities")?;
    let have =
        |capability: &Capability| in_user_namespace || caps::number(&capability.to_string()).is_some_and(|n| own.contains(n));
    process.set_capabilities(Some(granted(asked, have)));
    Ok(process)
}

fn granted(mut lists: LinuxCapabilities, have: impl Fn(&Capability) -> bool) -> LinuxCapabilities {
    let lacking: Capabilities = [lists.permitted(), lists.effective(), lists.inheritable(), lists.bounding()]
        .into_iter()
        .flatten()
        .flatten()
        .filter(|capability| !have(capability))
        .copied()
        .collect();
    if !lacking.is_empty() {
        let mut names: Vec<String> = lacking.iter().map(|capability| format!("CAP_{capability}")).collect();
        names.sort();
        log::warn(&format!("cannot grant capabilities that we lack: {}", names.join(", ")));
        let rest = |list: &Option<Capabilities>| list.as_ref().map(|list| list - &lacking);
        let (bounding, effective) = (rest(lists.bounding()), rest(lists.effective()));
        let (permitted, inheritable, ambient) = (rest(lists.permitted()), rest(lists.inheritable()), rest(lists.ambient()));
        lists.set_bounding(bounding).set_effective(effective).set_permitted(permitted);
        lists.set_inheritable(inheritable).set_ambient(ambient);
    }
    lists
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_we_lack_is_left_out_of_every_list() {
        let all = serde_json::json!(["CAP_CHOWN", "CAP_SYS_RESOURCE"]);
        let lists = serde_json::json!({"bounding": all, "permitted": all, "effective": all});
        let lists = granted(serde_json::from_value(lists).expect("lists"), |one| *one != Capability::SysResource);
        let chown: Capabilities = [Capability::Chown].into_iter().collect();
        assert_eq!((lists.bounding(), lists.effective()), (&Some(chown.clone()), &Some(chown)));
    }
}
