//! # Shelf: registries for tests, and a man in the middle
//!
//! [`Oracle`] is Debian's `docker-registry`, a registry that others wrote, on a port of loopback; [`Ours`] is our own. [`Meddler`] stands
//! between a client and a registry and does to its answers what networks and bad registries do. [`Images`] makes images of
//! given layers. Nothing here ever leaves 127.0.0.1.

#![allow(dead_code)] // each test binary uses its own part of it

use minidock_base::paths::Paths;
use minidock_image::{ImageRecord, Store};
use minidock_registry::{
    client::Client,
    credentials::Credentials,
    pull::{PullOptions, Pulled, Teller, pull},
    push::{Pushed, push},
    server::{Bound, options::Options},
    settings::RegistryConfig,
};
use minidock_spec::{digest::Digest, engine::image::Progress, reference::Reference};
use std::{
    io::{Read, Write},
    net::{SocketAddr, TcpListener, TcpStream},
    path::{Path, PathBuf},
    process::{Child, Command, Stdio},
    sync::{
        Arc, Mutex,
        atomic::{AtomicUsize, Ordering},
    },
    time::{Duration, Instant},
};

/// A port that was free a moment ago.
pub fn free_port() -> u16 {
    TcpListener::bind("127.0.0.1:0").expect("loopback").local_addr().expect("bound").port()
}

/// Waits for a fact, at most twenty seconds.
pub fn wait_for(what: &str, mut fact: impl FnMut() -> bool) {
    let deadline = Instant::now() + Duration::from_secs(20);
    while !fact() {
        assert!(Instant::now() < deadline, "waited 20 s for {what}");
        std::thread::sleep(Duration::from_millis(5));
    }
}

/// Debian's docker-registry.
pub struct Oracle {
    pub port: u16,
    pub folder: tempfile::TempDir,
    child: Child,
}

impl Oracle {
    /// Starts one, with more settings as environment variables; `None` where it is not installed.
    pub fn start(settings: &[(&str, &str)]) -> Option<Oracle> {
        let folder = tempfile::Builder::new().prefix("minidock-oracle-").tempdir().expect("a folder");
        for _ in 0..5 {
            let port = free_port();
            let config = folder.path().join("config.yml");
            let text = format!(
                "version: 0.1\nlog:\n  level: error\nstorage:\n  filesystem:\n    rootdirectory: {}\n  delete:\n    enabled: true\nhttp:\n  addr: 127.0.0.1:{port}\n",
                folder.path().join("data").display()
            );
            std::fs::write(&config, text).expect("room");
            let mut command = Command::new("docker-registry");
            command.arg("serve").arg(&config).envs(settings.iter().copied());
            let log = std::fs::File::create(folder.path().join("log")).expect("room");
            let mut child = command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(log).spawn().ok()?;
            wait_for("docker-registry to listen", || {
                TcpStream::connect(("127.0.0.1", port)).is_ok() || child.try_wait().expect("our own child").is_some()
            });
            if child.try_wait().expect("our own child").is_none() {
                return Some(Oracle { port, folder, child });
            }
            // the port was taken meanwhile: another one
        }
        panic!("docker-registry: {}", std::fs::read_to_string(folder.path().join("log")).unwrap_or_default());
    }

    pub fn address(&self) -> SocketAddr {
        ([127, 0, 0, 1], self.port).into()
    }
}

impl Drop for Oracle {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// Our own registry, in this process.
pub struct Ours {
    pub address: SocketAddr,
    pub folder: tempfile::TempDir,
    task: tokio::task::JoinHandle<()>,
}

impl Ours {
    pub async fn start(change: impl FnOnce(&mut Options)) -> Ours {
        let folder = tempfile::Builder::new().prefix("minidock-ours-").tempdir().expect("a folder");
        let mut options = Options::read(&["--listen=127.0.0.1:0".into(), "--quiet".into()]).expect("good flags");
        options.root = folder.path().join("registry");
        change(&mut options);
        let bound = Bound::new(&options).await.expect("a registry");
        let address = bound.address().expect("bound");
        Ours { address, folder, task: tokio::spawn(bound.run()) }
    }
}

impl Drop for Ours {
    fn drop(&mut self) {
        self.task.abort();
    }
}

/// What the man in the middle does to one answer.
#[derive(Clone, Debug)]
pub enum Prank {
    /// Only so many bytes of the body arrive, then the connection is gone.
    Cut(usize),
    /// One byte of the body is another one.
    Flip(usize),
    /// This answer instead, without asking the registry: status, headers, body.
    Instead(u16, &'static str, &'static str),
    /// A header of the answer is replaced.
    Header(&'static str, String),
    /// The request's Range is forgotten on its way.
    NoRange,
    /// The body stops for good after so many bytes, the connection stays.
    Stall(usize),
}

type Decide = dyn Fn(&str, usize) -> Option<Prank> + Send + Sync;

/// Stands between clients and a registry.
pub struct Meddler {
    pub address: SocketAddr,
    /// Request lines and the headers that matter here, as they came.
    pub seen: Arc<Mutex<Vec<String>>>,
    /// Bytes of bodies that were let through.
    pub bytes: Arc<AtomicUsize>,
}

impl Meddler {
    /// `decide` is asked for each request: its head, and how many with the same first line came before.
    pub fn start(upstream: SocketAddr, decide: impl Fn(&str, usize) -> Option<Prank> + Send + Sync + 'static) -> Meddler {
        let listener = TcpListener::bind("127.0.0.1:0").expect("loopback");
        let address = listener.local_addr().expect("bound");
        let (seen, bytes): (Arc<Mutex<Vec<String>>>, Arc<AtomicUsize>) = (Arc::default(), Arc::default());
        let decide: Arc<Decide> = Arc::new(decide);
        let (heard, counted) = (seen.clone(), bytes.clone());
        std::thread::spawn(move || {
            for client in listener.incoming().flatten() {
                let (heard, counted, decide) = (heard.clone(), counted.clone(), decide.clone());
                std::thread::spawn(move || meddle(client, upstream, &heard, &counted, &*decide));
            }
        });
        Meddler { address, seen, bytes }
    }

    pub fn seen(&self) -> Vec<String> {
        self.seen.lock().expect("no panic").clone()
    }

    /// How many requests had this in their head.
    pub fn count(&self, what: &str) -> usize {
        self.seen().iter().filter(|head| head.contains(what)).count()
    }
}

/// Reads a head up to the empty line.
fn head(from: &mut TcpStream) -> Option<String> {
    let (mut all, mut byte) = (Vec::new(), [0u8; 1]);
    while !all.ends_with(b"\r\n\r\n") {
        if from.read(&mut byte).ok()? == 0 || all.len() > 64 << 10 {
            return None;
        }
        all.push(byte[0]);
        if all.len() == 1 && byte[0] == 0x16 {
            return None; // a TLS hello: this one speaks plain
        }
    }
    String::from_utf8(all).ok()
}

fn length(head: &str) -> usize {
    let value = |line: &str| line.to_ascii_lowercase().strip_prefix("content-length:").map(|n| n.trim().parse().unwrap_or(0));
    head.lines().find_map(value).unwrap_or(0)
}

/// One connection: one request, one answer.
fn meddle(mut client: TcpStream, upstream: SocketAddr, seen: &Mutex<Vec<String>>, bytes: &AtomicUsize, decide: &Decide) {
    let Some(request) = head(&mut client) else { return };
    let first = request.lines().next().unwrap_or_default().to_string();
    let before = {
        let mut seen = seen.lock().expect("no panic");
        let before = seen.iter().filter(|known| known.lines().next() == Some(first.as_str())).count();
        seen.push(request.clone());
        before
    };
    let prank = decide(&request, before);
    if let Some(Prank::Instead(status, headers, body)) = &prank {
        let _ =
            write!(client, "HTTP/1.1 {status} X\r\nConnection: close\r\nContent-Length: {}\r\n{headers}\r\n{body}", body.len());
        return;
    }
    let mut server = TcpStream::connect(upstream).expect("the registry is there");
    let mut sent = String::new();
    for line in request.trim_end().lines() {
        let lower = line.to_ascii_lowercase();
        let dropped =
            lower.starts_with("connection:") || (matches!(prank, Some(Prank::NoRange)) && lower.starts_with("range:"));
        if !dropped {
            sent += &format!("{line}\r\n");
        }
    }
    let _ = write!(server, "{sent}Connection: close\r\n\r\n");
    let (mut left, mut buffer) = (length(&request), vec![0u8; 64 << 10]);
    while left > 0 {
        let most = left.min(buffer.len());
        match client.read(&mut buffer[..most]) {
            Ok(0) | Err(_) => return,
            Ok(n) => {
                left -= n;
                // going out, a cut is a cut of the request
                if let Some(Prank::Cut(at)) = prank
                    && request.starts_with("PATCH")
                    && length(&request) - left >= at
                {
                    let _ = server.write_all(&buffer[..n]);
                    return;
                }
                if server.write_all(&buffer[..n]).is_err() {
                    break;
                }
            }
        }
    }
    let Some(answer) = head(&mut server) else { return };
    let mut out = String::new();
    for line in answer.trim_end().lines() {
        let lower = line.to_ascii_lowercase();
        match &prank {
            _ if lower.starts_with("connection:") => {}
            Some(Prank::Header(name, _)) if lower.starts_with(&format!("{name}:")) => {}
            _ => out += &format!("{line}\r\n"),
        }
    }
    if let Some(Prank::Header(name, value)) = &prank {
        out += &format!("{name}: {value}\r\n");
    }
    let _ = write!(client, "{out}Connection: close\r\n\r\n");
    let mut at = 0;
    loop {
        let n = match server.read(&mut buffer) {
            Ok(0) | Err(_) => return,
            Ok(n) => n,
        };
        match prank {
            Some(Prank::Cut(most)) if at + n >= most => {
                let _ = client.write_all(&buffer[..most - at]);
                bytes.fetch_add(most - at, Ordering::Relaxed);
                return;
            }
            Some(Prank::Stall(most)) if at + n >= most => {
                let _ = client.write_all(&buffer[..most - at]);
                let _ = client.read(&mut buffer); // until the client has enough of it
                return;
            }
            Some(Prank::Flip(place)) if (at..at + n).contains(&place) => buffer[place - at] ^= 0x40,
            _ => {}
        }
        at += n;
        bytes.fetch_add(n, Ordering::Relaxed);
        if client.write_all(&buffer[..n]).is_err() {
            return;
        }
    }
}

/// A store in a folder of its own.
pub struct Images {
    pub folder: tempfile::TempDir,
    pub store: Arc<Store>,
    pub client: Arc<Client>,
    pub lines: Arc<Mutex<Vec<Progress>>>,
}

impl Images {
    pub fn new() -> Images {
        Images::with(RegistryConfig { certs: Vec::new(), ..RegistryConfig::default() })
    }

    pub fn with(config: RegistryConfig) -> Images {
        let folder = tempfile::Builder::new().prefix("minidock-images-").tempdir().expect("a folder");
        let store = Arc::new(Store::open(&Paths::new(folder.path().join("data"), folder.path().join("exec"))).expect("room"));
        Images { folder, store, client: Client::new(config), lines: Arc::default() }
    }

    /// A store on a file system of its own with so many KiB; `None` where none can be mounted. It is unmounted by [`Images::unmount`].
    pub fn on_small_disk(kib: u32) -> Option<Images> {
        let images = Images::new();
        let data = images.data();
        let mounted = Command::new("mount").args(["-t", "tmpfs", "-o", &format!("size={kib}k"), "tmpfs"]).arg(&data).status();
        mounted.is_ok_and(|status| status.success()).then(|| images.reopened())
    }

    /// Takes the small disk away.
    pub fn unmount(self) {
        let data = self.data();
        drop(self.store);
        let _ = Command::new("umount").arg("-l").arg(data).status();
    }

    /// The same folder, opened by a later life of the daemon.
    pub fn reopened(self) -> Images {
        let Images { folder, store, client, lines } = self;
        drop(store);
        let store = Arc::new(Store::open(&Paths::new(folder.path().join("data"), folder.path().join("exec"))).expect("room"));
        Images { folder, store, client, lines }
    }

    pub fn data(&self) -> PathBuf {
        self.folder.path().join("data")
    }

    pub fn tell(&self) -> Teller {
        let lines = self.lines.clone();
        Arc::new(move |line| lines.lock().expect("no panic").push(line))
    }

    pub async fn pull(&self, name: &str) -> minidock_base::Result<Pulled> {
        self.pull_as(name, &Credentials::default()).await
    }

    pub async fn pull_as(&self, name: &str, credentials: &Credentials) -> minidock_base::Result<Pulled> {
        let options = PullOptions { credentials: credentials.clone(), platform: None };
        pull(&self.client, &self.store, &Reference::parse(name).expect("a name"), &options, &self.tell()).await
    }

    pub async fn push(&self, name: &str) -> minidock_base::Result<Pushed> {
        self.push_as(name, &Credentials::default()).await
    }

    pub async fn push_as(&self, name: &str, credentials: &Credentials) -> minidock_base::Result<Pushed> {
        push(&self.client, &self.store, &Reference::parse(name).expect("a name"), credentials, &self.tell()).await
    }

    /// An image with a layer for each size, of bytes that do not compress, under this name.
    pub fn make(&self, name: &str, sizes: &[usize]) -> ImageRecord {
        let archive = archive(name, sizes, true);
        self.store.load(&archive[..], &mut |_| ()).expect("a good archive").remove(0).image
    }

    pub fn tag(&self, image: &ImageRecord, name: &str) {
        self.store.tag(&image.id, &Reference::parse(name).expect("a name")).expect("room");
    }

    /// What was told, one `id: status` a line, bars left out.
    pub fn told(&self) -> Vec<String> {
        let lines = self.lines.lock().expect("no panic");
        let words = lines.iter().filter(|line| line.progress.is_none() && line.aux.is_none());
        let one = |line: &Progress| {
            let status = line.status.clone().unwrap_or_default();
            line.id.as_ref().map_or(status.clone(), |id| format!("{id}: {status}"))
        };
        words.map(one).collect()
    }

    /// Nothing half-made is there: blobs and layers of images in the list, scratch empty. Gives the names of half blobs.
    pub fn clean(&self) -> Vec<(String, u64)> {
        let files = |folder: &Path| -> Vec<(String, u64)> {
            let entries = std::fs::read_dir(folder).expect("a folder");
            let mut all: Vec<(String, u64)> = entries
                .flatten()
                .map(|e| (e.file_name().to_string_lossy().into_owned(), e.metadata().map_or(0, |m| m.len())))
                .collect();
            all.sort();
            all
        };
        wait_for("scratch to be empty", || files(&self.data().join("tmp")).is_empty());
        let known: Vec<ImageRecord> = self.store.list();
        let wanted: Vec<String> = known
            .iter()
            .flat_map(|i| i.layers.iter().map(|l| l.blob.digest.clone()).chain([i.id.clone(), i.manifest.clone()]))
            .map(|d: Digest| d.hex().to_string())
            .collect();
        wait_for("the blobs to be those of images", || {
            files(&self.data().join("blobs/sha256")).iter().all(|(name, _)| wanted.contains(name))
        });
        let diffs: Vec<String> = known.iter().flat_map(|i| i.diff_ids().to_vec()).map(|d| d.hex().to_string()).collect();
        wait_for("the layers to be those of images", || {
            files(&self.data().join("layers")).iter().all(|(name, _)| name == "l" || diffs.contains(name))
        });
        files(&self.data().join("partial"))
    }
}

/// Bytes that no compressor makes smaller, the same for the same seed.
pub fn noise(seed: u64, size: usize) -> Vec<u8> {
    let mut state = seed.wrapping_mul(0x9E37_79B9_7F4A_7C15) | 1;
    let mut bytes = Vec::with_capacity(size + 8);
    while bytes.len() < size {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        bytes.extend_from_slice(&state.to_le_bytes());
    }
    bytes.truncate(size);
    bytes
}

fn gzip(bytes: &[u8]) -> Vec<u8> {
    let mut encoder = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
    encoder.write_all(bytes).expect("memory");
    encoder.finish().expect("memory")
}

/// An archive of `docker save` with one image.
pub fn archive(name: &str, sizes: &[usize], packed: bool) -> Vec<u8> {
    let add = |to: &mut tar::Builder<Vec<u8>>, name: &str, bytes: &[u8]| {
        let mut header = tar::Header::new_gnu();
        header.set_size(bytes.len() as u64);
        header.set_mode(0o644);
        header.set_mtime(1);
        to.append_data(&mut header, name, bytes).expect("memory");
    };
    let (mut outer, mut diff_ids, mut layers) = (tar::Builder::new(Vec::new()), Vec::new(), Vec::new());
    for (nth, size) in sizes.iter().enumerate() {
        let mut layer = tar::Builder::new(Vec::new());
        add(&mut layer, &format!("file-{nth}-{size}"), &noise(nth as u64 + *size as u64, *size));
        let bytes = layer.into_inner().expect("memory");
        diff_ids.push(Digest::of(&bytes).to_string());
        let file = format!("layer-{nth}.tar");
        add(&mut outer, &file, &if packed { gzip(&bytes) } else { bytes });
        layers.push(file);
    }
    let arch = minidock_spec::image::host_architecture();
    let config = serde_json::json!({"architecture": arch, "os": "linux", "config": {"Cmd": ["/x"], "Env": [format!("NAME={name}")]},
        "rootfs": {"type": "layers", "diff_ids": diff_ids}});
    add(&mut outer, "config.json", config.to_string().as_bytes());
    let manifest = serde_json::json!([{"Config": "config.json", "RepoTags": [name], "Layers": layers}]);
    add(&mut outer, "manifest.json", manifest.to_string().as_bytes());
    outer.into_inner().expect("memory")
}

/// Counts this test as skipped, with the reason.
pub fn skip(reason: &str) {
    eprintln!("SKIP {reason}");
    if let Some(path) = std::env::var_os("MINIDOCK_SKIPS")
        && let Ok(mut file) = std::fs::OpenOptions::new().append(true).create(true).open(path)
    {
        let _ = writeln!(file, "{reason}");
    }
}
