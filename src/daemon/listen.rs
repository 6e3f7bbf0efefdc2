//! # Listen: addresses become listeners
//!
//! Who can talk to the daemon is root on this machine: `run -v /:/host` is enough. So the socket's file mode *is* the security of
//! the API: 0660, root, and a group (`minidock` or `docker`) only if the administrator made one. TCP has no file mode, so it
//! is refused anywhere but on loopback.
//!
//! ```text
//!   bind  sock.4711        nobody knows the name yet
//!   chmod 0660, chown :minidock
//!   rename ► sock          from here on it can be found, and was never open too wide
//! ```
//!
//! * A stale socket file, left by a daemon that was killed, answers nobody and is replaced; one that answers is a
//!   refusal, not a fight.
//! * When a [`Listener`] goes, its file goes, if it is still its own.
//!
//! See: unix(7) · moby `daemon/listeners`. Next room: [`crate::settings`]

use minidock_api::door::Peer;
use minidock_base::{Doing, Error, Result};
use minidock_linux::{
    poll::{self, Want},
    sockets,
};
use std::{
    fs, io,
    net::SocketAddr,
    os::{
        fd::AsFd,
        unix::fs::{MetadataExt, PermissionsExt, chown},
    },
    path::{Path, PathBuf},
    pin::Pin,
    task::{Context, Poll},
    time::Duration,
};
use tokio::{
    io::{AsyncRead, AsyncWrite, ReadBuf},
    net::{TcpListener, TcpStream, UnixListener, UnixStream},
};

/// One open door.
pub enum Listener {
    Unix { listener: UnixListener, path: PathBuf, inode: u64 },
    Tcp(TcpListener, SocketAddr),
}

/// One connection.
pub enum Socket {
    Unix(UnixStream),
    Tcp(TcpStream),
}

impl Peer for Socket {
    fn unread(&self) -> Option<u32> {
        match self {
            Socket::Unix(socket) => sockets::unread(socket).ok(),
            Socket::Tcp(_) => None,
        }
    }

    fn is_gone(&self) -> bool {
        match self {
            // both halves closed: poll(2) says so unasked
            Socket::Unix(socket) => poll::until_ready(socket.as_fd(), Want::NOTHING, Some(Duration::ZERO)).unwrap_or(true),
            Socket::Tcp(_) => true,
        }
    }
}

impl AsyncRead for Socket {
    fn poll_read(self: Pin<&mut Self>, cx: &mut Context<'_>, buffer: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        match self.get_mut() {
            Socket::Unix(socket) => Pin::new(socket).poll_read(cx, buffer),
            Socket::Tcp(socket) => Pin::new(socket).poll_read(cx, buffer),
        }
    }
}

impl AsyncWrite for Socket {
    fn poll_write(self: Pin<&mut Self>, cx: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        match self.get_mut() {
            Socket::Unix(socket) => Pin::new(socket).poll_write(cx, bytes),
            Socket::Tcp(socket) => Pin::new(socket).poll_write(cx, bytes),
        }
    }

    fn poll_flush(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        match self.get_mut() {
            Socket::Unix(socket) => Pin::new(socket).poll_flush(cx),
            Socket::Tcp(socket) => Pin::new(socket).poll_flush(cx),
        }
    }

    fn poll_shutdown(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        match self.get_mut() {
            Socket::Unix(socket) => Pin::new(socket).poll_shutdown(cx),
            Socket::Tcp(socket) => Pin::new(socket).poll_shutdown(cx),
        }
    }
}

/// Opens `unix:///path` or `tcp://127.0.0.1:2375`.
///
/// # Errors
/// Another daemon answers there; an address that is not loopback; what bind(2) says.
pub async fn open(host: &str, group: &Option<String>) -> Result<Listener> {
    match host.split_once("://") {
        Some(("unix", path)) if path.starts_with('/') => open_unix(Path::new(path), group).await,
        Some(("tcp", address)) => open_tcp(address).await,
        _ => {
            Err(Error::invalid(format!("cannot listen on {host:?}")).hint("unix:///run/minidock.sock or tcp://127.0.0.1:2375"))
        }
    }
}

async fn open_unix(path: &Path, group: &Option<String>) -> Result<Listener> {
    if UnixStream::connect(path).await.is_ok() {
        return Err(Error::conflict(format!("another daemon already answers on {}", path.display()))
            .hint("minidock system stop ends it; -H chooses another socket"));
    }
    if fs::symlink_metadata(path).is_ok_and(|facts| facts.is_dir()) {
        return Err(Error::conflict(format!("{} is a folder, not a socket", path.display())));
    }
    let beside = path.with_extension(std::process::id().to_string());
    let made = || -> io::Result<(UnixListener, u64)> {
        if let Some(folder) = path.parent() {
            fs::create_dir_all(folder)?;
        }
        let _ = fs::remove_file(&beside);
        let listener = UnixListener::bind(&beside)?;
        fs::set_permissions(&beside, fs::Permissions::from_mode(0o660))?;
        Ok((listener, fs::metadata(&beside)?.ino()))
    };
    let give_to_group = || -> Result<()> {
        let groups = fs::read_to_string("/etc/group").unwrap_or_default();
        let gid = match group {
            Some(name) => Some(gid_of(name, &groups).ok_or_else(|| Error::not_found(format!("there is no group {name}")))?),
            None => gid_of("minidock", &groups).or_else(|| gid_of("docker", &groups)),
        };
        let Some(gid) = gid else { return Ok(()) };
        match chown(&beside, None, Some(gid)) {
            // a group that nobody asked for, and that a daemon without root, or in a user namespace, cannot give anything to
            Err(e) if group.is_none() && matches!(e.kind(), io::ErrorKind::InvalidInput | io::ErrorKind::PermissionDenied) => {
                Ok(())
            }
            given => given.doing(|| "give the socket to its group"),
        }
    };
    let opened = made().doing(|| format!("listen on unix://{}", path.display())).and_then(|made| {
        give_to_group()?;
        fs::rename(&beside, path).doing(|| format!("listen on unix://{}", path.display()))?;
        Ok(made)
    });
    let (listener, inode) = opened.inspect_err(|_| drop(fs::remove_file(&beside)))?;
    Ok(Listener::Unix { listener, path: path.to_path_buf(), inode })
}

async fn open_tcp(address: &str) -> Result<Listener> {
    let address = if address.is_empty() { "127.0.0.1:2375" } else { address };
    let found = tokio::net::lookup_host(address).await.doing(|| format!("find the address tcp://{address}"))?;
    let found: Vec<SocketAddr> = found.collect();
    if let Some(open) = found.iter().find(|a| !a.ip().is_loopback()) {
        return Err(Error::forbidden(format!("refusing to listen on tcp://{open}: whoever reaches it would be root here"))
            .hint("a loopback address such as tcp://127.0.0.1:2375, and ssh -L from elsewhere; TLS is not there yet"));
    }
    let listener = TcpListener::bind(found.as_slice()).await.doing(|| format!("listen on tcp://{address}"))?;
    let bound = listener.local_addr().doing(|| "ask for the address")?;
    Ok(Listener::Tcp(listener, bound))
}

/// The number of a group, by the text of `/etc/group`.
fn gid_of(name: &str, groups: &str) -> Option<u32> {
    groups.lines().find_map(|line| {
        let mut fields = line.split(':');
        (fields.next() == Some(name)).then(|| fields.nth(1)?.parse().ok()).flatten()
    })
}

impl Listener {
    /// The address as a client writes it.
    pub fn address(&self) -> String {
        match self {
            Listener::Unix { path, .. } => format!("unix://{}", path.display()),
            Listener::Tcp(_, address) => format!("tcp://{address}"),
        }
    }

    /// The next client.
    ///
    /// # Errors
    /// As accept(2).
    pub async fn accept(&self) -> io::Result<Socket> {
        match self {
            Listener::Unix { listener, .. } => Ok(Socket::Unix(listener.accept().await?.0)),
            Listener::Tcp(listener, _) => {
                let socket = listener.accept().await?.0;
                socket.set_nodelay(true)?;
                Ok(Socket::Tcp(socket))
            }
        }
    }
}

impl Drop for Listener {
    fn drop(&mut self) {
        if let Listener::Unix { path, inode, .. } = self
            && fs::symlink_metadata(&*path).is_ok_and(|facts| facts.ino() == *inode)
        {
            let _ = fs::remove_file(path);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn a_stale_socket_is_replaced_and_a_living_one_is_not() {
        let folder = tempfile::tempdir().expect("a folder");
        let path = folder.path().join("sock");
        drop(std::os::unix::net::UnixListener::bind(&path).expect("a fresh name"));
        let host = format!("unix://{}", path.display());
        let first = open(&host, &None).await.expect("nobody answers");
        assert_eq!(fs::metadata(&path).expect("bound").mode() & 0o777, 0o660);
        let refused = open(&host, &None).await.err().expect("somebody answers");
        assert!(refused.message().contains("already answers"), "{refused}");
        drop(first);
        assert!(!path.exists());
    }

    #[tokio::test]
    async fn the_world_cannot_connect() {
        let refused = open("tcp://0.0.0.0:0", &None).await.err().expect("no TLS");
        assert!(refused.message().contains("would be root here"), "{refused}");
        assert!(open("tcp://127.0.0.1:0", &None).await.is_ok());
        assert!(open("unix://relative", &None).await.is_err());
    }

    #[test]
    fn groups_are_found_by_name() {
        assert_eq!(gid_of("docker", "root:x:0:\ndocker:x:998:a,b\n"), Some(998));
        assert_eq!(gid_of("minidock", "root:x:0:\n"), None);
    }
}
