//! # IPAM: who gets which address
//!
//! Two questions, both answered by pure functions of what is taken. *Which block does a new network get?* The first of Docker's
//! predefined pools that overlaps neither another network nor a place the host can reach already: a bridge on a block
//! that the office uses, too, would cut the host off from the office. *Which address does an endpoint get?* The lowest free
//! one, which makes small networks easy to read; never the network's own, the broadcast, the gateway's or one that is set aside.
//!
//! ```text
//!   172.28.0.0/16, --ip-range 172.28.5.0/24, --gateway 172.28.0.1, --aux-address router=172.28.5.2
//!
//!   .0.0   .0.1      …      .5.0   .5.1   .5.2   .5.3 …            .5.255   …          .255.255
//!   network gateway        └──── drawn from here: 5.0, 5.1, (5.2 set aside), 5.3 … ┘    broadcast
//!   └──────────────────── a wish (--ip) may lie anywhere in here ───────────────────────────────┘
//! ```
//!
//! * [`choose_v4`], [`choose_v6`], [`refuse_overlap`]: blocks. [`check`]: does a subnet's description make sense? [`gateway_of`].
//! * [`Leases`]: addresses. A book of a subnet knows the lowest number never given out and the holes below it, so the next
//!   free address costs the same in a network of ten and of sixty thousand.
//!
//! Laws: nothing here reads or writes anything; after a restart the engine fills the book from its records. The words of the
//! refusals are Docker's: clients match on them.
//! See: RFC 1918, RFC 4193, moby `libnetwork/ipams/defaultipam`, `libnetwork/ipamutils`. Next room: [`crate::nft`]

use crate::model::{Net, Subnet};
use minidock_base::{Error, Result};
use std::{
    collections::{BTreeMap, BTreeSet},
    net::{IpAddr, Ipv4Addr, Ipv6Addr},
};

/// Docker's predefined pools: a block, and the size of what is cut from it.
const POOLS: [([u8; 4], u8, u8); 7] = [
    ([172, 17, 0, 0], 16, 16),
    ([172, 18, 0, 0], 16, 16),
    ([172, 19, 0, 0], 16, 16),
    ([172, 20, 0, 0], 14, 16),
    ([172, 24, 0, 0], 14, 16),
    ([172, 28, 0, 0], 14, 16),
    ([192, 168, 0, 0], 16, 20),
];

/// All blocks that may be chosen, in Docker's order: 172.17.0.0/16 to 172.31.0.0/16, then 192.168.0.0/20 and so on.
pub fn default_blocks() -> impl Iterator<Item = Net> {
    POOLS.iter().flat_map(|(first, whole, cut)| {
        let first = u32::from_be_bytes(*first);
        (0..1u32 << (cut - whole)).map(move |n| Net::around(IpAddr::V4(Ipv4Addr::from_bits(first + (n << (32 - cut)))), *cut))
    })
}

/// The block of a new network: the first default one that overlaps nothing.
///
/// # Errors
/// [`minidock_base::Kind::InvalidParameter`], in Docker's words, when all are in use.
pub fn choose_v4(taken: &[Net], host_routes: &[Net]) -> Result<Net> {
    let free = |net: &Net| !taken.iter().chain(host_routes).any(|other| other.overlaps(net));
    default_blocks().find(free).ok_or_else(|| {
        Error::invalid("all predefined address pools have been fully subnetted")
            .hint("remove networks that nobody uses (minidock network prune) or choose a block yourself: --subnet 10.1.0.0/24")
    })
}

/// The IPv6 block of a new network: a /64 of the /48 that belongs to this engine (RFC 4193: `fd`, then 40 bits that nobody
/// else is likely to have drawn, here from `seed`, the engine's id).
///
/// # Errors
/// As [`choose_v4`].
pub fn choose_v6(taken: &[Net], host_routes: &[Net], seed: &str) -> Result<Net> {
    let mut hash: u64 = 0xcbf2_9ce4_8422_2325;
    for byte in seed.bytes() {
        hash = (hash ^ u64::from(byte)).wrapping_mul(0x0100_0000_01b3);
    }
    let site = 0xfd_u128 << 120 | u128::from(hash >> 24) << 80;
    let mut blocks = (0..1u128 << 16).map(|n| Net::around(IpAddr::V6(Ipv6Addr::from_bits(site | n << 64)), 64));
    let free = |net: &Net| !taken.iter().chain(host_routes).any(|other| other.overlaps(net));
    blocks.find(free).ok_or_else(|| Error::invalid("all predefined address pools have been fully subnetted"))
}

/// Refuses a block that a person asked for when it overlaps another network's, or a place the host reaches by another way.
///
/// # Errors
/// [`minidock_base::Kind::Forbidden`]: `Pool overlaps with other one on this address space`.
pub fn refuse_overlap(wanted: &Net, taken: &[Net], host_routes: &[Net]) -> Result<()> {
    const DOCKERS: &str = "Pool overlaps with other one on this address space";
    if let Some(other) = taken.iter().find(|other| other.overlaps(wanted)) {
        return Err(Error::forbidden(DOCKERS).hint(format!("another network has {other}")));
    }
    match host_routes.iter().find(|other| other.overlaps(wanted)) {
        Some(other) => Err(Error::forbidden(format!("{DOCKERS}: this machine has a route to {other}"))
            .hint("choose a block that the machine does not reach yet: see ip route")),
        None => Ok(()),
    }
}

/// Whether these subnets make sense: ranges, gateways and set-aside addresses inside their subnet, and no overlaps among them.
///
/// # Errors
/// [`minidock_base::Kind::InvalidParameter`]: `invalid network config:` and every complaint on a line of its own.
pub fn check(subnets: &[Subnet]) -> Result<()> {
    let mut complaints = Vec::new();
    for (n, Subnet { subnet, gateway, range, aux }) in subnets.iter().enumerate() {
        let family = if subnet.is_v4() { "IPv4" } else { "IPv6" };
        let misplaced = |address: &IpAddr| match address.is_ipv4() == subnet.is_v4() {
            false => Some(format!("parent subnet is an {family} block")),
            true if !subnet.contains(*address) => Some(format!("parent subnet {subnet} doesn't contain this address")),
            true => None,
        };
        if let Some(range) = range {
            let complaint = match range.is_v4() == subnet.is_v4() {
                false => Some(format!("parent subnet is an {family} block")),
                true if range.prefix() < subnet.prefix() => {
                    Some(format!("CIDR block is bigger than its parent subnet {subnet}"))
                }
                true if !subnet.covers(range) => Some(format!("parent subnet {subnet} doesn't contain ip-range")),
                true => None,
            };
            complaints.extend(complaint.map(|c| format!("invalid ip-range {range}: {c}")));
        }
        complaints.extend(gateway.and_then(|g| Some(format!("invalid gateway {g}: {}", misplaced(&g)?))));
        complaints.extend(aux.values().filter_map(|a| Some(format!("invalid auxiliary address {a}: {}", misplaced(a)?))));
        complaints.extend(
            subnets[..n]
                .iter()
                .filter(|other| other.subnet.overlaps(subnet))
                .map(|other| format!("invalid subnet {subnet}: it overlaps {} of the same network", other.subnet)),
        );
    }
    match complaints.is_empty() {
        true => Ok(()),
        false => Err(Error::invalid(format!("invalid network config:\n{}", complaints.join("\n")))),
    }
}

/// The gateway of a subnet that names none: the first address that may be given out, of the range if there is one.
///
/// # Errors
/// A subnet too small to hold one.
pub fn gateway_of(subnet: &Subnet) -> Result<IpAddr> {
    let mut book = Book::new(subnet);
    book.draw().ok_or_else(|| exhausted(&subnet.subnet))
}

/// Who has which address, of all subnets.
#[derive(Clone, Debug, Default)]
pub struct Leases {
    books: BTreeMap<Net, Book>,
}

impl Leases {
    /// Opens the book of a subnet; its gateway and set-aside addresses are taken. A book that is open stays as it is.
    pub fn add(&mut self, subnet: &Subnet) {
        self.books.entry(subnet.subnet).or_insert_with(|| Book::new(subnet));
    }

    /// Closes the book of a subnet.
    pub fn drop_subnet(&mut self, subnet: &Net) {
        self.books.remove(subnet);
    }

    /// Takes an address: the wish, anywhere in the subnet, or the lowest free one of its range.
    ///
    /// # Errors
    /// In Docker's words: [`minidock_base::Kind::Forbidden`] `Address already in use`, [`minidock_base::Kind::InvalidParameter`]
    /// `Requested address is out of range`, [`minidock_base::Kind::Unavailable`]
    /// `no available IPv4 addresses on this network's address pools`.
    pub fn take(&mut self, subnet: &Subnet, wish: Option<IpAddr>) -> Result<IpAddr> {
        let book = self.books.entry(subnet.subnet).or_insert_with(|| Book::new(subnet));
        match wish {
            Some(address) => book.claim(address).map(|()| address),
            None => book.draw().ok_or_else(|| exhausted(&subnet.subnet)),
        }
    }

    /// Gives an address back. Gateways and set-aside addresses stay taken; what was not given out is no failure.
    pub fn give_back(&mut self, address: IpAddr) {
        for book in self.books.values_mut().filter(|book| book.net.contains(address)) {
            book.release(address);
        }
    }

    /// How many addresses of this subnet are given out.
    pub fn given(&self, subnet: &Net) -> usize {
        self.books.get(subnet).map_or(0, |book| book.taken.len())
    }
}

fn exhausted(subnet: &Net) -> Error {
    let family = if subnet.is_v4() { "IPv4" } else { "IPv6" };
    Error::unavailable(format!("no available {family} addresses on this network's address pools"))
        .hint(format!("all of {subnet} is given out: remove containers, or make a network with a larger --subnet"))
}

/// The book of one subnet. Addresses are numbers from the subnet's first one on.
#[derive(Clone, Debug)]
struct Book {
    net: Net,
    /// First and last that may be drawn.
    drawn_from: (u128, u128),
    /// Never given out: gateway and set-aside addresses.
    reserved: BTreeSet<u128>,
    taken: BTreeSet<u128>,
    /// Everything drawable below this is reserved, taken or a hole.
    fresh: u128,
    /// Given back, or jumped over.
    holes: BTreeSet<u128>,
}

impl Book {
    fn new(subnet: &Subnet) -> Book {
        let net = subnet.subnet;
        let range = subnet.range.unwrap_or(net);
        let first = net.offset_of(range.address()).unwrap_or(0);
        let last = net.offset_of(range.last()).unwrap_or_else(|| net.size_less_one());
        let (low, high) = usable(&net);
        let drawn_from = (first.max(low), last.min(high));
        let set_aside = subnet.aux.values().chain(&subnet.gateway);
        let reserved = set_aside.filter_map(|address| net.offset_of(*address)).collect();
        Book { net, drawn_from, reserved, taken: BTreeSet::new(), fresh: drawn_from.0, holes: BTreeSet::new() }
    }

    fn draw(&mut self) -> Option<IpAddr> {
        if let Some(number) = self.holes.pop_first() {
            self.taken.insert(number);
            return self.net.nth(number);
        }
        while self.fresh <= self.drawn_from.1 {
            let number = self.fresh;
            self.fresh = number.checked_add(1)?;
            if !self.reserved.contains(&number) && self.taken.insert(number) {
                return self.net.nth(number);
            }
        }
        None
    }

    fn claim(&mut self, address: IpAddr) -> Result<()> {
        let (low, high) = usable(&self.net);
        let number = self.net.offset_of(address).ok_or_else(|| {
            Error::invalid("Requested address is out of range")
                .hint(format!("{address} is no address for a container of {}", self.net))
        })?;
        // Docker takes the network's own and the broadcast address for itself, and says the same of them
        if !(low..=high).contains(&number) || self.reserved.contains(&number) || !self.taken.insert(number) {
            return Err(
                Error::forbidden("Address already in use").hint(format!("choose another address than {address}, or none"))
            );
        }
        self.holes.remove(&number);
        Ok(())
    }

    fn release(&mut self, address: IpAddr) {
        let Some(number) = self.net.offset_of(address) else { return };
        let drawable = (self.drawn_from.0..self.fresh).contains(&number);
        if self.taken.remove(&number) && drawable {
            self.holes.insert(number);
        }
    }
}

/// First and last number a host may have: IPv4 keeps the first for the network and the last for broadcasts, except in blocks of
/// one or two (RFC 3021); IPv6 keeps the first for "any router" (RFC 4291 §2.6.1).
fn usable(net: &Net) -> (u128, u128) {
    let last = net.size_less_one();
    match (net.is_v4(), last) {
        (_, 0 | 1) => (0, last),
        (true, _) => (1, last - 1),
        (false, _) => (1, last),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn net(text: &str) -> Net {
        text.parse().expect("a block")
    }

    fn ip(text: &str) -> IpAddr {
        text.parse().expect("an address")
    }

    fn subnet(block: &str, gateway: Option<&str>) -> Subnet {
        Subnet { subnet: net(block), gateway: gateway.map(ip), range: None, aux: BTreeMap::new() }
    }

    #[test]
    fn blocks_come_in_dockers_order_and_around_what_the_host_can_reach() {
        let all: Vec<String> = default_blocks().map(|b| b.to_string()).collect();
        assert_eq!((all.len(), all[0].as_str(), all[14].as_str()), (31, "172.17.0.0/16", "172.31.0.0/16"));
        assert_eq!((all[15].as_str(), all[30].as_str()), ("192.168.0.0/20", "192.168.240.0/20"));
        assert_eq!(choose_v4(&[], &[]).expect("free"), net("172.17.0.0/16"));
        let (taken, routes) = ([net("172.17.0.0/16")], [net("172.18.4.0/24"), net("172.16.0.0/32"), net("fd00::/8")]);
        assert_eq!(choose_v4(&taken, &routes).expect("free"), net("172.19.0.0/16"));
        let full = choose_v4(&[net("172.16.0.0/12")], &[net("192.168.0.0/16")]).expect_err("nothing left");
        assert_eq!(full.message(), "all predefined address pools have been fully subnetted");
        let (one, other) = (choose_v6(&[], &[], "a").expect("free"), choose_v6(&[], &[], "b").expect("free"));
        assert!(one != other && net("fd00::/8").covers(&one) && one.prefix() == 64);
        assert!(!choose_v6(&[one], &[], "a").expect("free").overlaps(&one));
    }

    #[test]
    fn overlaps_are_refused_in_dockers_words() {
        let wanted = net("10.1.0.0/16");
        assert!(refuse_overlap(&wanted, &[net("10.2.0.0/16")], &[net("10.0.0.0/24")]).is_ok());
        let other = refuse_overlap(&wanted, &[net("10.1.2.0/24")], &[]).expect_err("taken");
        assert_eq!(other.message(), "Pool overlaps with other one on this address space");
        let route = refuse_overlap(&wanted, &[], &[net("10.0.0.0/8")]).expect_err("reachable");
        assert!(route.message().starts_with("Pool overlaps") && route.message().contains("10.0.0.0/8"));
    }

    #[test]
    fn a_senseless_subnet_is_told_everything_at_once() {
        let mut odd = subnet("172.28.0.0/16", Some("172.29.0.1"));
        odd.range = Some(net("172.0.0.0/8"));
        odd.aux.insert("router".into(), ip("fd00::1"));
        let complaint = check(&[odd.clone(), odd]).expect_err("nonsense").message();
        for line in [
            "invalid ip-range 172.0.0.0/8: CIDR block is bigger than its parent subnet 172.28.0.0/16",
            "invalid gateway 172.29.0.1: parent subnet 172.28.0.0/16 doesn't contain this address",
            "invalid auxiliary address fd00::1: parent subnet is an IPv4 block",
            "invalid subnet 172.28.0.0/16: it overlaps 172.28.0.0/16 of the same network",
        ] {
            assert!(complaint.starts_with("invalid network config:\n") && complaint.contains(line), "{complaint}");
        }
        assert!(check(&[subnet("172.28.0.0/16", None), subnet("fd00::/64", Some("fd00::1"))]).is_ok());
    }

    #[test]
    fn the_lowest_free_address_comes_first() {
        let net = subnet("172.17.0.0/16", Some("172.17.0.1"));
        let mut leases = Leases::default();
        let mut take = |wish: Option<&str>| leases.take(&net, wish.map(ip)).map(|a| a.to_string());
        assert_eq!((take(None).expect("free"), take(None).expect("free")), ("172.17.0.2".into(), "172.17.0.3".into()));
        assert_eq!(take(Some("172.17.0.5")).expect("free"), "172.17.0.5");
        assert_eq!((take(None).expect("free"), take(None).expect("free")), ("172.17.0.4".into(), "172.17.0.6".into()));
        for (wish, words) in [
            ("172.17.0.5", "Address already in use"),
            ("172.17.0.1", "Address already in use"),
            ("172.18.0.5", "Requested address is out of range"),
            ("172.17.0.0", "Address already in use"),
            ("172.17.255.255", "Address already in use"),
            ("fd00::5", "Requested address is out of range"),
        ] {
            assert_eq!(take(Some(wish)).expect_err(wish).message(), words, "{wish}");
        }
        leases.give_back(ip("172.17.0.3"));
        leases.give_back(ip("172.17.0.1"));
        assert_eq!(leases.take(&net, None).expect("free"), ip("172.17.0.3"));
        assert_eq!(leases.take(&net, None).expect("free"), ip("172.17.0.7"));
    }

    #[test]
    fn small_blocks_and_ranges_are_used_up_to_the_last_address() {
        let count = |net: &Subnet| {
            let mut leases = Leases::default();
            (0..1000).take_while(|_| leases.take(net, None).is_ok()).count()
        };
        assert_eq!(count(&subnet("10.0.0.0/29", Some("10.0.0.1"))), 5);
        assert_eq!((count(&subnet("10.0.0.0/31", None)), count(&subnet("10.0.0.0/32", None))), (2, 1));
        assert_eq!((count(&subnet("fd00::/126", None)), count(&subnet("fd00::/64", None))), (3, 1000));
        let mut ranged = subnet("172.28.0.0/16", Some("172.28.0.1"));
        ranged.range = Some(net("172.28.5.0/29"));
        ranged.aux.insert("router".into(), ip("172.28.5.2"));
        assert_eq!(count(&ranged), 7);
        let mut leases = Leases::default();
        assert_eq!(leases.take(&ranged, None).expect("free"), ip("172.28.5.0"));
        assert!(leases.take(&ranged, Some(ip("172.28.9.9"))).is_ok(), "a wish may lie outside the range");
        let full = Leases::default().take(&subnet("10.0.0.0/32", Some("10.0.0.0")), None).expect_err("the gateway has it");
        assert_eq!(full.message(), "no available IPv4 addresses on this network's address pools");
        assert_eq!(gateway_of(&subnet("172.28.0.0/16", None)).expect("room"), ip("172.28.0.1"));
        assert_eq!(gateway_of(&subnet("fd00::/64", None)).expect("room"), ip("fd00::1"));
        assert_eq!(gateway_of(&ranged).expect("room"), ip("172.28.5.0"));
    }

    #[test]
    fn sixty_thousand_addresses_are_given_out_in_no_time() {
        let net = subnet("172.17.0.0/16", Some("172.17.0.1"));
        let mut leases = Leases::default();
        while leases.take(&net, None).is_ok() {}
        assert_eq!(leases.given(&net.subnet), 65_533);
        leases.give_back(ip("172.17.99.99"));
        assert_eq!(leases.take(&net, None).expect("one is free"), ip("172.17.99.99"));
    }

    proptest! {
        #[test]
        fn nobody_shares_an_address_and_nobody_gets_a_reserved_one(
            v4: bool, prefix in 24u8..=32, range in proptest::option::of((0u8..8, any::<u8>())),
            gateway in any::<u8>(), aux in proptest::collection::vec(any::<u8>(), 0..4),
            steps in proptest::collection::vec((0u8..4, any::<u8>()), 0..400),
        ) {
            let (base, prefix) = if v4 { (ip("10.7.3.0"), prefix) } else { (ip("fd00::"), prefix + 96) };
            let whole = Net::around(base, prefix);
            let at = |n: u8| whole.nth(u128::from(n).min(whole.size_less_one())).expect("inside");
            let subnet = Subnet {
                subnet: whole,
                gateway: Some(at(gateway)),
                range: range.map(|(more, n)| Net::around(at(n), prefix + more)),
                aux: aux.iter().enumerate().map(|(n, a)| (n.to_string(), at(*a))).collect(),
            };
            let (mut leases, mut held) = (Leases::default(), BTreeSet::new());
            for (step, n) in steps {
                match step {
                    0 | 1 => {
                        let before = held.clone();
                        match leases.take(&subnet, None) {
                            Ok(address) => {
                                prop_assert!(subnet.range.unwrap_or(whole).contains(address));
                                prop_assert!(held.insert(address), "{} twice", address);
                            }
                            Err(e) => {
                                prop_assert!(e.message().starts_with("no available IPv"));
                                let range = subnet.range.unwrap_or(whole);
                                let free = (0..=range.size_less_one()).filter_map(|n| range.nth(n)).find(|a| {
                                    let (low, high) = usable(&whole);
                                    let number = whole.offset_of(*a).expect("inside");
                                    (low..=high).contains(&number) && !before.contains(a)
                                        && Some(*a) != subnet.gateway && !subnet.aux.values().any(|x| x == a)
                                });
                                prop_assert_eq!(free, None, "exhausted, but one is free");
                            }
                        }
                    }
                    2 => if let Ok(address) = leases.take(&subnet, Some(at(n))) {
                        prop_assert!(held.insert(address), "{} twice", address);
                    },
                    _ => {
                        held.remove(&at(n));
                        leases.give_back(at(n));
                    }
                }
                for address in &held {
                    prop_assert!(whole.contains(*address) && Some(*address) != subnet.gateway);
                    prop_assert!(!subnet.aux.values().any(|aux| aux == address));
                    if v4 && prefix < 31 {
                        prop_assert!(*address != whole.address() && *address != whole.last());
                    }
                }
            }
        }
    }
}
