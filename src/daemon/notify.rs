//! # Notify: telling systemd that we stand
//!
//! A service of `Type=notify` is not up when its process runs, but when it says so: one datagram to the socket named in
//! `$NOTIFY_SOCKET`. That is the whole protocol, so no library is needed. Without the variable nobody wants to know.
//!
//! See: sd_notify(3). Next room: [`crate::listen`]

use std::{
    ffi::OsStr,
    os::{
        linux::net::SocketAddrExt,
        unix::{
            ffi::OsStrExt,
            net::{SocketAddr, UnixDatagram},
        },
    },
};

/// Sends one state (`READY=1`, `STOPPING=1`); nobody listening is no error.
pub fn systemd(state: &str) {
    let Some(name) = std::env::var_os("NOTIFY_SOCKET") else { return };
    if let Err(error) = send(&name, state) {
        tracing::debug!(%error, "systemd was not told {state}");
    }
}

fn send(name: &OsStr, state: &str) -> std::io::Result<()> {
    let address = match name.as_bytes().strip_prefix(b"@") {
        Some(abstract_name) => SocketAddr::from_abstract_name(abstract_name)?,
        None => SocketAddr::from_pathname(name)?,
    };
    UnixDatagram::unbound()?.send_to_addr(state.as_bytes(), &address).map(drop)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn systemd_hears_one_datagram() {
        let folder = tempfile::tempdir().expect("a folder");
        let path = folder.path().join("notify");
        let systemd = UnixDatagram::bind(&path).expect("a fresh name");
        send(path.as_os_str(), "READY=1").expect("somebody listens");
        let mut heard = [0; 16];
        let n = systemd.recv(&mut heard).expect("sent just now");
        assert_eq!(&heard[..n], b"READY=1");
    }
}
