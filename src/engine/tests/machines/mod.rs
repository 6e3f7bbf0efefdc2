//! # Several machines, each with an engine of its own
//!
//! ```text
//!   home 192.0.2.254 ── br-under ──┬── machine 1  192.0.2.1   a network namespace, and threads that live in it
//!                                  └── machine 2  192.0.2.2
//! ```
//!
//! What the managers of a swarm would decide is said by [`Plan`]: who is where, and which services there are; each machine is told all
//! of it, as its agent would.

#![allow(dead_code)] // each test binary uses its own part

#[path = "../stage/mod.rs"]
pub mod stage;

use minidock_engine::networks::overlay::{
    self,
    wish::{MeshPort, Neighbour, OverlayWish, ServiceWish, Underlay, Wishes},
};
use minidock_network::{
    bridge,
    home::Home,
    model::{Bridge, Endpoint, Mac, Protocol, Subnet},
    sandbox::Sandbox,
};
use minidock_spec::{
    engine::{
        container::CreateBody,
        network::{EndpointIpamConfig, EndpointSettings},
    },
    swarm::network::{IpamConfig, IpamOptions, Network, VXLAN_ID},
};
use stage::Stage;
use std::{
    net::Ipv4Addr,
    path::{Path, PathBuf},
    process::Command,
    sync::Arc,
};
use tokio::runtime::Runtime;

/// A place where several machines are plugged together.
pub struct Lab {
    pub home: Sandbox,
    folder: tempfile::TempDir,
}

impl Lab {
    /// `None` without root.
    pub fn open() -> Option<Lab> {
        if !stage::may_run() {
            return None;
        }
        let folder = tempfile::tempdir().expect("a folder");
        let home = Sandbox::create(&folder.path().join("home")).expect("a namespace");
        home.visit(|| bridge::ensure(&Home::open().expect("a socket"), &under()).expect("a bridge")).expect("root may visit");
        Some(Lab { home, folder })
    }

    /// A machine without an engine.
    pub fn machine(&self, number: u8) -> Machine {
        let address = Ipv4Addr::new(192, 0, 2, number);
        let pin = self.folder.path().join(format!("machine{number}"));
        let place = Sandbox::create(&pin).expect("a namespace");
        let cable = Endpoint {
            id: format!("m{number}"),
            network_id: "under".into(),
            host_link: format!("vethm{number}"),
            inside: "uplink".into(),
            mac: Mac::of(address),
            v4: Some((address, 24)),
            v6: None,
            gateway_v4: None,
            gateway_v6: None,
        };
        self.home
            .visit(|| place.plug(&Home::open().expect("a socket"), &under(), &cable).expect("plugged"))
            .expect("root may visit");
        let threads = || tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build().expect("threads");
        let runtime = place.visit(threads).expect("root may visit");
        Machine { number, address, runtime: Some(runtime), place, pin }
    }
}

impl Drop for Lab {
    fn drop(&mut self) {
        let _ = Sandbox::remove(self.home.place());
    }
}

fn under() -> Bridge {
    let subnet = Subnet {
        subnet: "192.0.2.0/24".parse().expect("a block"),
        gateway: Some([192, 0, 2, 254].into()),
        range: None,
        aux: Default::default(),
    };
    Bridge {
        network_id: "under".into(),
        link: "br-under".into(),
        subnets: vec![subnet],
        internal: false,
        icc: true,
        masquerade: false,
        mtu: 0,
        host_binding: Ipv4Addr::UNSPECIFIED.into(),
    }
}

/// A network namespace that plays a machine.
pub struct Machine {
    pub number: u8,
    pub address: Ipv4Addr,
    /// Its threads were born in there, and so are theirs.
    runtime: Option<Runtime>,
    pub place: Sandbox,
    pin: PathBuf,
}

impl Machine {
    /// Does the work on the machine.
    pub fn run<T: Send + 'static>(&self, work: impl Future<Output = T> + Send + 'static) -> T {
        let runtime = self.runtime.as_ref().expect("there until the end");
        let (say, hear) = std::sync::mpsc::channel();
        let task = runtime.spawn(async move { drop(say.send(work.await)) });
        match hear.recv() {
            Ok(answer) => answer,
            Err(_) => match runtime.handle().clone().block_on(task) {
                Err(failed) if failed.is_panic() => std::panic::resume_unwind(failed.into_panic()),
                other => panic!("{other:?}"),
            },
        }
    }

    pub fn engine(&self) -> Arc<Stage> {
        self.run(async { Arc::new(Stage::connected().await) })
    }

    /// What a command says there.
    pub fn ask(&self, command: &str) -> String {
        ask(self.place.place(), command)
    }

    /// Tells its engine what the swarm wants.
    pub fn told(&self, stage: &Arc<Stage>, plan: &Plan) {
        let (stage, wishes) = (stage.clone(), plan.of(self));
        self.run(async move { overlay::realize(&stage.engine, wishes).await }).expect("made true");
    }
}

impl Drop for Machine {
    fn drop(&mut self) {
        if let Some(runtime) = self.runtime.take() {
            runtime.shutdown_background();
        }
        let _ = Sandbox::remove(&self.pin);
    }
}

/// What a command says in a namespace.
pub fn ask(place: &Path, command: &str) -> String {
    let net = format!("--net={}", place.display());
    let done = Command::new("nsenter").args([&net, "sh", "-c", command]).output().expect("util-linux");
    String::from_utf8_lossy(&done.stdout).into_owned() + &String::from_utf8_lossy(&done.stderr)
}

/// What the managers know.
#[derive(Clone, Default)]
pub struct Plan {
    /// Network, address, name, number of the machine.
    pub members: Vec<(&'static str, Ipv4Addr, &'static str, u8)>,
    pub services: Vec<(&'static str, ServiceWish)>,
    pub mesh: Vec<MeshPort>,
    /// Those that are wanted everywhere.
    pub networks: Vec<Network>,
}

impl Plan {
    /// What one machine is told.
    pub fn of(&self, machine: &Machine) -> Wishes {
        self.of_number(machine.number)
    }

    pub fn of_number(&self, machine: u8) -> Wishes {
        let at = |number: u8| Ipv4Addr::new(192, 0, 2, number).into();
        let neighbour = |(_, address, name, number): &(&str, Ipv4Addr, &str, u8)| Neighbour {
            address: *address,
            name: name.to_string(),
            machine: format!("node{number}"),
            machine_address: at(*number),
        };
        let wish = |network: &Network| {
            let own = |number: u8| (Ipv4Addr::new(10, 0, 0, 200 + number), 24);
            let ingress = network.spec.ingress;
            let others = [1, 2].into_iter().filter(|n| ingress && *n != machine);
            let others = others.map(|n| ("", own(n).0, "", n)).collect::<Vec<_>>();
            OverlayWish {
                network: network.clone(),
                neighbours: self.members.iter().filter(|m| m.0 == network.spec.name).chain(&others).map(neighbour).collect(),
                services: self.services.iter().filter(|s| s.0 == network.spec.name).map(|s| s.1.clone()).collect(),
                own_address: ingress.then(|| own(machine)),
            }
        };
        Wishes {
            underlay: Some(Underlay { name: format!("node{machine}"), address: at(machine), port: 0 }),
            networks: self.networks.iter().map(wish).collect(),
            mesh: self.mesh.clone(),
        }
    }
}

/// `10.0.N.0/24`, with 4096 + N as its number.
pub fn network(name: &str, n: u8) -> Network {
    let pool = IpamConfig { subnet: format!("10.0.{n}.0/24"), gateway: format!("10.0.{n}.1"), range: String::new() };
    let mut network = Network { id: format!("{name}0123456789abcdefghijklmn"), ..Network::default() };
    network.spec.name = name.into();
    network.spec.ingress = name == "ingress";
    network.ipam_options = Some(IpamOptions { configs: vec![pool], ..IpamOptions::default() });
    network.driver_state.options.insert(VXLAN_ID.into(), (4096 + u32::from(n)).to_string());
    network
}

pub fn service(name: &str, vip: Option<Ipv4Addr>, backends: &[Ipv4Addr]) -> ServiceWish {
    ServiceWish {
        id: format!("id-of-{name}"),
        name: name.into(),
        virtual_ip: vip,
        backends: backends.to_vec(),
        ..ServiceWish::default()
    }
}

pub fn port(published: u16, target: u16, backends: &[Ipv4Addr]) -> MeshPort {
    MeshPort { protocol: Protocol::Tcp, published, target, backends: backends.to_vec() }
}

/// A container's place, as the swarm asks for it.
pub fn placed(mut body: CreateBody, network: &Network, address: Ipv4Addr) -> CreateBody {
    body.host_config.network_mode = "default".into();
    let ipam = EndpointIpamConfig { ipv4_address: address.to_string(), ..EndpointIpamConfig::default() };
    let settings = EndpointSettings { ipam_config: Some(ipam), ..EndpointSettings::default() };
    body.networking_config.endpoints_config.insert(network.id.clone(), Some(settings));
    body.config.labels.insert("com.docker.swarm.task.id".into(), "a-task".into());
    body
}
