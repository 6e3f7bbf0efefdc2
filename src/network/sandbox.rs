//! # Sandbox: a container's network stack
//!
//! A network namespace lives as long as a process is in it or something holds on to it. Docker's and our containers get
//! theirs *before* they exist: the daemon makes the namespace, hangs it on a file (its *pin*), plugs the cables in, and the
//! runtime joins it by that path. Whoever comes later (`network connect`, a daemon that was restarted) finds it there.
//!
//! ```text
//!   create(pin)   fresh thread: unshare(CLONE_NEWNET) ─ netlink socket ─ lo up       the thread ends, the descriptors stay
//!                 open_tree(ns) ─ move_mount ─► /run/minidock/netns/<id>
//!   plug          1  at home  ip link add vethA master br… up type veth peer name eth0 address 02:42:… netns PIN
//!                 2  inside   ip link set eth0 up; ip addr add 172.17.0.2/16 dev eth0; ip route replace default via 172.17.0.1 dev eth0
//!                 3  at home  ip link show vethA; ip link show br…                       see below
//!   leave         at home     ip link set vethA down                                  silent at once
//!   remove(pin)   umount, unlink: with the last process the kernel takes the whole namespace apart, cables and all
//! ```
//!
//! * **Three datagrams**, each one system call in which the kernel takes its lock of links once, are what an endpoint costs, way out
//!   included; several requests travel in one, as `ip -batch` would send them one by one. Fewer cannot be: the far end has no number before
//!   the cable is made, and the near end carries nothing before the far one is up.
//! * The socket that was opened inside works from any thread: only [`Sandbox::visit`] and the sysctls of IPv6 need a thread in there.
//! * A cable that has just been completed carries nothing until the kernel's *linkwatch* work has run: the bridge starts its port
//!   only then, and on a busy machine the container's first packets would be lost (and its first ARP question asked again a
//!   second later). Looking at a link makes the kernel do that work at once (`rtnl_getlink`, Linux 6.2): hence the `show`s.
//! * IPv6 is off on new links (as in Docker) until an endpoint has an IPv6 address.
//! * An endpoint with a MAC of the user's choice announces it (RFC 5227): its address may have had another MAC a moment ago, and
//!   neighbours believe what they know for half a minute. A MAC made from the address needs no such shout.
//! * [`leave`] must come before an address is given to somebody else: a dying namespace answers ARP until the kernel gets round to
//!   it, tens of milliseconds later.
//!
//! Laws: a namespace is entered on a thread made for it, which ends there and never goes back to a pool; nothing waits
//! for the kernel to delete a link, except [`Sandbox::unplug`], for the container goes on living.
//! See: network_namespaces(7), setns(2), moby `libnetwork/osl`. Next room: [`crate::shelf`]

use crate::{
    findable,
    home::{GROUP, Home},
    model::{Bridge, Endpoint, Mac},
    settings,
};
use minidock_base::{Doing, Result};
use minidock_linux::{
    action, arp,
    errno::{CallFailed, EINVAL, ENODEV, ENOENT, ESRCH, EXFULL},
    mount,
    namespaces::{self, Namespace},
    netlink::{
        Family, Socket, address, bridge, link,
        route::{self, Route},
        veth, word,
    },
};
use std::{
    fs,
    io::ErrorKind,
    net::{IpAddr, Ipv4Addr, Ipv6Addr},
    os::fd::{AsFd, BorrowedFd, OwnedFd},
    panic,
    path::{Path, PathBuf},
    sync::Mutex,
    thread,
    time::{Duration, Instant},
};

/// A bridge port's state: frames go in and out.
const FORWARDING: u8 = 3;
const OWN_NAMESPACE: &str = "/proc/thread-self/ns/net";

/// A network namespace that we can work in. Dropping it lets go of the descriptors; the pin stays.
pub struct Sandbox {
    namespace: OwnedFd,
    /// How people get there: the pin, or `/proc/PID/ns/net`.
    place: PathBuf,
    /// Opened inside when it is first needed.
    socket: Mutex<Option<Socket>>,
    /// Made by us just now: no route of anybody's is in there that would have to be replaced.
    fresh: bool,
}

/// A fresh namespace, with `lo` up, that hangs nowhere yet and is gone when it is dropped.
pub(crate) struct Blank {
    namespace: OwnedFd,
    socket: Socket,
}

impl Blank {
    /// Makes one; `place` is where it will hang, for the record.
    pub(crate) fn make(place: &Path) -> Result<Blank> {
        let (namespace, socket, quiet) = on_a_thread_of_its_own(|| {
            namespaces::unshare([Namespace::Network].into_iter().collect())?;
            let namespace = namespaces::open(Path::new(OWN_NAMESPACE), Namespace::Network)?;
            let mut socket = Socket::open(Family::Route)?.named(prefix(place));
            const LO: u32 = 1;
            link::set_up(&mut socket, LO, "lo")?;
            Ok((namespace, socket, settings::of_link(6, "default", "disable_ipv6", "1")))
        })
        .doing(|| "make a network namespace")?;
        quiet?;
        Ok(Blank { namespace, socket })
    }

    /// Hangs it on `pin`.
    pub(crate) fn hang(self, pin: &Path) -> Result<Sandbox> {
        let shown = || format!("pin a network namespace to {}", pin.display());
        let hang = || -> Result<(), CallFailed> {
            let target = mount::open_path(pin)?;
            let tree = mount::open_tree(self.namespace.as_fd(), OWN_NAMESPACE, false)?;
            mount::move_mount(tree.as_fd(), OWN_NAMESPACE, mount::Target { fd: target.as_fd(), shown: pin })
        };
        fs::File::create_new(pin).doing(shown)?;
        hang().doing(shown).inspect_err(|_| drop(fs::remove_file(pin)))?;
        let socket = Mutex::new(Some(self.socket.named(prefix(pin))));
        Ok(Sandbox { namespace: self.namespace, place: pin.to_path_buf(), socket, fresh: true })
    }
}

impl Sandbox {
    /// Makes a fresh one, with `lo` up, and hangs it on `pin`.
    ///
    /// # Errors
    /// EPERM without CAP_SYS_ADMIN; ENOSPC beyond `/proc/sys/user/max_net_namespaces`; a pin that exists.
    pub fn create(pin: &Path) -> Result<Sandbox> {
        Blank::make(pin)?.hang(pin)
    }

    /// The one that hangs on `pin`.
    ///
    /// # Errors
    /// [`minidock_base::Kind::System`]: no such file, or one that is no network namespace (a reboot leaves empty files).
    pub fn open(pin: &Path) -> Result<Sandbox> {
        let namespace = namespaces::open(pin, Namespace::Network).doing(|| format!("open the sandbox {}", pin.display()))?;
        Ok(Sandbox { namespace, place: pin.to_path_buf(), socket: Mutex::default(), fresh: false })
    }

    /// The one a process is in.
    ///
    /// # Errors
    /// No such process.
    pub fn of_pid(pid: i32) -> Result<Sandbox> {
        Sandbox::open(Path::new(&format!("/proc/{pid}/ns/net")))
    }

    /// Takes the pin away; with the last process inside the namespace is gone. Nothing pinned there is no failure.
    ///
    /// # Errors
    /// EPERM; a folder that may not be written.
    pub fn remove(pin: &Path) -> Result<()> {
        match mount::umount2(&pin.to_string_lossy(), mount::MNT_DETACH) {
            Err(failed) if !failed.is(EINVAL) && !failed.is(ENOENT) => {
                return Err(failed).doing(|| format!("unpin {}", pin.display()));
            }
            _ => {}
        }
        match fs::remove_file(pin) {
            Err(e) if e.kind() != ErrorKind::NotFound => Err(e).doing(|| format!("remove {}", pin.display())),
            _ => Ok(()),
        }
    }

    /// The namespace itself.
    pub fn fd(&self) -> BorrowedFd<'_> {
        self.namespace.as_fd()
    }

    /// A second hold on it, for a room that keeps one (the name server).
    ///
    /// # Errors
    /// No descriptors left.
    pub fn duplicate(&self) -> Result<Sandbox> {
        let namespace = self.namespace.try_clone().doing(|| format!("hold on to the sandbox {}", self.place.display()))?;
        Ok(Sandbox { namespace, place: self.place.clone(), socket: Mutex::default(), fresh: false })
    }

    /// Where it hangs: the path for `config.json`.
    pub fn place(&self) -> &Path {
        &self.place
    }

    /// Runs `f` inside, on a thread that ends there; sockets that it makes belong to the sandbox for good.
    ///
    /// # Errors
    /// EPERM without CAP_SYS_ADMIN over the namespace.
    pub fn visit<T: Send>(&self, f: impl FnOnce() -> T + Send) -> Result<T> {
        let shown = action::quoted(&self.place);
        on_a_thread_of_its_own(|| {
            namespaces::setns(self.namespace.as_fd(), [Namespace::Network].into_iter().collect(), &shown)?;
            Ok(f())
        })
        .doing(|| format!("visit the sandbox {}", self.place.display()))
    }

    /// Talks to the kernel about this namespace.
    #[track_caller]
    pub(crate) fn ask<T>(&self, with: impl FnOnce(&mut Socket) -> Result<T, CallFailed>) -> Result<T> {
        let mut socket = self.socket.lock().expect("no holder panics");
        if socket.is_none() {
            let opened = self.visit(|| Socket::open(Family::Route))?.doing(|| "open a netlink socket in the sandbox")?;
            *socket = Some(opened.named(prefix(&self.place)));
        }
        let socket = socket.as_mut().expect("opened just now");
        with(socket).doing(|| format!("set up the sandbox {}", self.place.display()))
    }

    /// Lays the cable of an endpoint: its far end with MAC and addresses in here, its near end in the bridge. On failure
    /// nothing of it is left.
    ///
    /// # Errors
    /// A bridge that is gone or full, a name in use, an address that the link has already.
    pub fn plug(&self, home: &Home, bridge: &Bridge, endpoint: &Endpoint) -> Result<()> {
        self.plug_and_lead_out(home, bridge, endpoint, &[])
    }

    /// As [`Sandbox::plug`], and sends everything else over these gateways, at most one of each family, which are on the endpoint's network.
    ///
    /// # Errors
    /// As [`Sandbox::plug`]; ENETUNREACH for a gateway that is not there.
    pub fn plug_and_lead_out(&self, home: &Home, bridge: &Bridge, endpoint: &Endpoint, gateways: &[IpAddr]) -> Result<()> {
        let doing = || format!("plug {} into {}", endpoint.inside, bridge.link);
        let laid = self.lay(home, bridge, endpoint);
        let full = laid.as_ref().is_err_and(|failed| failed.is(EXFULL));
        let far = laid.doing(doing).map_err(|e| match full {
            true => e.hint("a bridge has room for 1,023 cables: make another network"),
            false => e,
        })?;
        self.configure(home, bridge, endpoint, far, gateways).map_err(|e| e.during(doing())).inspect_err(|_| {
            // the cable is useless now; what went wrong first is what the user must read
            drop(home.delete_link(&endpoint.host_link));
        })
    }

    /// One message. Gives back the number of the far end, if the kernel tells it.
    fn lay(&self, home: &Home, bridge: &Bridge, endpoint: &Endpoint) -> Result<Option<u32>, CallFailed> {
        let place = self.place.to_string_lossy();
        let lay = || {
            let index = home.bridge_index(&bridge.link)?;
            let veth = veth::Veth {
                name: &endpoint.host_link,
                master: Some((index, &bridge.link)),
                group: GROUP,
                mtu: bridge.mtu,
                peer: &endpoint.inside,
                peer_mac: Some(endpoint.mac.0),
                peer_namespace: Some((self.namespace.as_fd(), &place)),
            };
            home.ask(|socket| veth::add(socket, &veth))
        };
        let laid = lay().or_else(|failed| match failed.errno {
            // the number we remember may be that of a bridge that somebody removed and made anew
            ENODEV | EINVAL => {
                home.forget(&bridge.link);
                lay()
            }
            _ => Err(failed),
        })?;
        Ok(laid.map(|(_, far)| far))
    }

    fn configure(
        &self,
        home: &Home,
        bridge: &Bridge,
        endpoint: &Endpoint,
        far: Option<u32>,
        gateways: &[IpAddr],
    ) -> Result<()> {
        if !bridge.icc {
            let alone = bridge::Port { isolated: Some(true), ..bridge::Port::default() };
            home.ask(|socket| bridge::set_port(socket, &endpoint.host_link, alone)).doing(|| "isolate the bridge's port")?;
        }
        let name = endpoint.inside.as_str();
        let index = match far {
            Some(index) => index,
            None => self.index_of(name)?,
        };
        self.dress(index, endpoint, gateways)?;
        alive(home, bridge, endpoint)?;
        if let Some((v6, _)) = endpoint.v6 {
            self.visit(|| findable::wait(name, v6))?;
        }
        match endpoint.v4 {
            // whoever remembers the address remembers this MAC already
            Some((v4, _)) if endpoint.mac == Mac::of(v4) => Ok(()),
            None => Ok(()),
            Some((v4, _)) => self.visit(|| arp::announce(index, name, endpoint.mac.0, v4))?.doing(|| "announce its MAC"),
        }
    }

    /// Switches an endpoint's link on and gives it its addresses and the way out over them, in one datagram.
    pub(crate) fn dress(&self, index: u32, endpoint: &Endpoint, gateways: &[IpAddr]) -> Result<()> {
        let name = endpoint.inside.as_str();
        let mut steps = vec![link::up(index, name)];
        steps.extend(endpoint.v4.map(|(v4, prefix)| address::adding(index, name, v4.into(), prefix)));
        if let Some((v6, prefix)) = endpoint.v6 {
            self.visit(|| {
                settings::of_link(6, name, "accept_dad", "0")?;
                settings::of_link(6, name, "accept_ra", "0")?;
                settings::of_link(6, name, "disable_ipv6", "0")
            })??;
            // looked at, for IPv6 begins on a link only when the kernel has noticed that the other end is up
            steps.extend([link::look(name), address::adding(index, name, v6.into(), prefix)]);
        }
        steps.extend(gateways.iter().map(|gateway| route::replacing(&Route::default_via(*gateway, index), name)));
        self.ask(|socket| socket.batch(steps)).map(drop)
    }

    pub(crate) fn index_of(&self, name: &str) -> Result<u32> {
        let gone = || CallFailed::new("netlink", vec![format!("ip link show {name}")], ENODEV);
        self.ask(|socket| link::by_name(socket, name)?.map(|link| link.index).ok_or_else(gone))
    }

    /// Sends everything else over these gateways; `None`: there is no way out (any more) in that family.
    ///
    /// # Errors
    /// ENETUNREACH for a gateway on no link of this sandbox.
    pub fn set_default_routes(&self, v4: Option<Ipv4Addr>, v6: Option<Ipv6Addr>) -> Result<()> {
        self.default_route(v4.map(IpAddr::from), Ipv4Addr::UNSPECIFIED.into())?;
        self.default_route(v6.map(IpAddr::from), Ipv6Addr::UNSPECIFIED.into())
    }

    fn default_route(&self, via: Option<IpAddr>, anywhere: IpAddr) -> Result<()> {
        let route = Route { to: (anywhere, 0), via, index: None };
        if via.is_some() {
            return self.ask(|socket| route::replace(socket, &route, ""));
        }
        if self.fresh {
            return Ok(());
        }
        let routes = self.ask(route::all)?;
        if !routes.iter().any(|r| r.to == route.to) {
            return Ok(());
        }
        self.ask(|socket| match route::remove(socket, &route, "") {
            Err(failed) if !failed.is(ESRCH) => Err(failed),
            _ => Ok(()),
        })
    }

    /// How many datagrams were sent to the kernel about this sandbox, since it was opened.
    pub fn datagrams(&self) -> u64 {
        self.socket.lock().expect("no holder panics").as_ref().map_or(0, Socket::datagrams)
    }

    /// Takes the cable of an endpoint out of a sandbox that lives on (`network disconnect`): some 30 ms. A cable that is
    /// gone is no failure.
    ///
    /// # Errors
    /// The kernel's refusal.
    pub fn unplug(&self, home: &Home, endpoint: &Endpoint) -> Result<()> {
        leave(home, std::slice::from_ref(endpoint))?;
        home.delete_link(&endpoint.host_link)
    }
}

/// Makes sure that the bridge's port forwards; a kernel before 6.2 does it in its own time, which is looked for with patience.
fn alive(home: &Home, bridge: &Bridge, endpoint: &Endpoint) -> Result<()> {
    const PATIENCE: Duration = Duration::from_millis(200);
    let began = Instant::now();
    loop {
        let seen =
            home.ask(|socket| link::look_at(socket, &[&endpoint.host_link, &bridge.link])).doing(|| "look at the cable")?;
        if seen.first().is_none_or(|near| near.port_state.is_none_or(|state| state == FORWARDING)) || began.elapsed() > PATIENCE
        {
            return Ok(());
        }
        thread::sleep(Duration::from_micros(500));
    }
}

/// Switches these endpoints' cables off at the near end: nothing goes in or out any more, and their addresses may be given to
/// others, though their sandbox takes a while to die. Cables that are gone already are silent enough.
///
/// # Errors
/// The first refusal; the others are switched off all the same.
pub fn leave(home: &Home, endpoints: &[Endpoint]) -> Result<()> {
    let mut first = Ok(());
    for endpoint in endpoints {
        match home.ask(|socket| link::set_down(socket, &endpoint.host_link)) {
            Err(failed) if !failed.is(ENODEV) && first.is_ok() => {
                first = Err(failed).doing(|| format!("switch off {}", endpoint.host_link));
            }
            _ => {}
        }
    }
    first
}

/// Lets an endpoint reach its own published ports, by the host's address, where that needs help.
///
/// Where frames inside a bridge pass the IP filters too (`br_netfilter`, which Docker loads), a container that knocks at its own
/// published port is turned back by the bridge itself, through the port it came from; only a hairpin port lets that out.
/// Elsewhere nothing is done: a hairpin port also echoes each broadcast to its sender. To be called for endpoints that publish ports.
///
/// # Errors
/// The cable is gone.
pub fn allow_hairpin(home: &Home, endpoint: &Endpoint) -> Result<()> {
    let knob = "/proc/sys/net/bridge/bridge-nf-call-iptables";
    if !fs::read_to_string(knob).is_ok_and(|value| value.trim() == "1") {
        return Ok(());
    }
    let hairpin = bridge::Port { hairpin: Some(true), ..bridge::Port::default() };
    home.ask(|socket| bridge::set_port(socket, &endpoint.host_link, hairpin)).doing(|| "make the bridge's port a hairpin")
}

/// How a shell gets there.
pub(crate) fn prefix(place: &Path) -> String {
    format!("nsenter --net={}", word(&place.to_string_lossy()))
}

/// Runs `f` on a fresh thread that ends with it; what it records is told by the calling thread.
#[track_caller]
fn on_a_thread_of_its_own<T: Send>(f: impl FnOnce() -> Result<T, CallFailed> + Send) -> Result<T, CallFailed> {
    let recording = action::recording();
    let (answer, actions) = thread::scope(|scope| {
        let work = || {
            recording.inspect(|actor| action::start(*actor));
            (f(), action::stop())
        };
        let started = thread::Builder::new().name("sandbox".into()).spawn_scoped(scope, work);
        let no_thread =
            |e: std::io::Error| CallFailed::new("clone3", vec!["CLONE_THREAD".into()], e.raw_os_error().unwrap_or(0));
        match started {
            Ok(thread) => Ok(thread.join().unwrap_or_else(|panic| panic::resume_unwind(panic))),
            Err(e) => Err(no_thread(e)),
        }
    })?;
    action::adopt(actions);
    answer
}
