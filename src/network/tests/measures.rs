//! # How long sandboxes and cables take
//!
//! Not a claim but a ruler: `cargo test --release -p minidock-network --test measures -- --ignored --nocapture`.

mod bridges;

use minidock_linux::action;
use minidock_network::{
    bridge,
    home::Home,
    model::{Bridge, Endpoint, Mac},
    sandbox::{self, Sandbox},
};
use std::{collections::BTreeMap, net::Ipv4Addr, path::Path, sync::Mutex, time::Instant};

fn network() -> Bridge {
    bridges::network("br-measure", &[("172.30.0.0/16", "172.30.0.1")])
}

fn endpoint(number: u16) -> Endpoint {
    let [high, low] = number.to_be_bytes();
    let v4 = Ipv4Addr::new(172, 30, high, low);
    Endpoint {
        id: format!("{number:064x}"),
        network_id: "n".repeat(64),
        host_link: format!("veth{number:07x}"),
        inside: "eth0".into(),
        mac: Mac::of(v4),
        v4: Some((v4, 16)),
        v6: None,
        gateway_v4: Some(Ipv4Addr::new(172, 30, 0, 1)),
        gateway_v6: None,
    }
}

/// Runs `work` and notes how many microseconds it took.
fn timed<T>(times: &Mutex<Vec<u128>>, work: impl FnOnce() -> T) -> T {
    let began = Instant::now();
    let done = work();
    times.lock().expect("no holder panics").push(began.elapsed().as_micros());
    done
}

fn tell(what: &str, times: &Mutex<Vec<u128>>) {
    let mut times = times.lock().expect("no holder panics");
    times.sort();
    let at = |share: f64| times[((times.len() - 1) as f64 * share) as usize];
    println!("{what:<46} median {:>6} us   p10 {:>6}   p90 {:>6}   n {}", at(0.5), at(0.1), at(0.9), times.len());
}

fn in_a_home(work: impl FnOnce(&Home, &Path) + Send) {
    let folder = tempfile::tempdir().expect("a folder");
    let stage = Sandbox::create(&folder.path().join("home")).expect("root");
    stage.visit(|| work(&Home::open().expect("a socket"), folder.path())).expect("root may visit");
    Sandbox::remove(stage.place()).expect("ours to remove");
}

#[test]
#[ignore = "a measurement"]
fn one_after_the_other() {
    in_a_home(|home, folder| {
        bridge::ensure(home, &network()).expect("a bridge");
        let [create, plug, route, leave, remove, drops]: [Mutex<Vec<u128>>; 6] = Default::default();
        let mut parts: BTreeMap<String, Mutex<Vec<u128>>> = BTreeMap::new();
        for number in 2..202 {
            action::start(action::Actor::Daemon);
            let pin = folder.join(number.to_string());
            let cable = endpoint(number);
            let made = timed(&create, || Sandbox::create(&pin).expect("a sandbox"));
            timed(&plug, || made.plug(home, &network(), &cable).expect("plugged"));
            timed(&route, || made.set_default_routes(cable.gateway_v4, None).expect("a way out"));
            timed(&leave, || sandbox::leave(home, &[cable]).expect("silenced"));
            timed(&remove, || Sandbox::remove(&pin).expect("unpinned"));
            timed(&drops, || drop(made));
            for action in action::stop() {
                let words = action
                    .args
                    .last()
                    .map(|a| a.split(' ').filter(|w| !w.starts_with("--") && *w != "nsenter"))
                    .into_iter()
                    .flatten();
                let what = format!("  {} {}", action.call, words.take(3).collect::<Vec<_>>().join(" "));
                let what = what.replace(&number.to_string(), "N").replace(&format!("{number:07x}"), "N");
                parts.entry(what.chars().take(44).collect()).or_default().get_mut().expect("ours").push(action.took_us.into());
            }
        }
        parts.iter().for_each(|(what, times)| tell(what, times));
        for (what, times) in
            [("create", create), ("plug", plug), ("default route", route), ("leave", leave), ("unpin", remove), ("drop", drops)]
        {
            tell(what, &times);
        }
    });
}

#[test]
#[ignore = "a measurement"]
fn two_hundred_by_ten_threads() {
    in_a_home(|home, folder| {
        bridge::ensure(home, &network()).expect("a bridge");
        let began = Instant::now();
        let [create, plug]: [Mutex<Vec<u128>>; 2] = Default::default();
        std::thread::scope(|scope| {
            for worker in 0..10u16 {
                let (create, plug) = (&create, &plug);
                scope.spawn(move || {
                    for n in 0..20u16 {
                        let number = 2 + worker * 20 + n;
                        let pin = folder.join(number.to_string());
                        let made = timed(create, || Sandbox::create(&pin).expect("a sandbox"));
                        timed(plug, || {
                            made.plug(home, &network(), &endpoint(number)).expect("plugged");
                            made.set_default_routes(Some(Ipv4Addr::new(172, 30, 0, 1)), None).expect("a way out");
                        });
                    }
                });
            }
        });
        let took = began.elapsed();
        println!("200 sandboxes by 10 threads in {took:?}: {:.0} a second", 200.0 / took.as_secs_f64());
        tell("create", &create);
        tell("plug and route", &plug);
        for number in 2..202u16 {
            Sandbox::remove(&folder.join(number.to_string())).expect("unpinned");
        }
    });
}
