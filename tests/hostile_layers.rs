//! # Hostile layers: archives that try to leave their directory
//!
//! Beside the directory that layers are unpacked into lies a folder `victim` with a secret in it. Whatever an archive says,
//! afterwards the victim is exactly as it was and no file in the result holds the secret. Whether the archive is refused or
//! its files end up inside is both fine, except where this list says which. The corpus is conformance.md 2.5: layouts that
//! have broken moby, containerd, umoci, podman and kaniko.
//!
//! Needs root (device nodes, trusted.* attributes); says SKIP without. See: moby `pkg/archive` breakout tests.

use minidock_image::layer::{below, unpack};
use minidock_linux::files;
use std::{
    collections::BTreeMap,
    fs,
    io::Write,
    os::unix::fs::{FileTypeExt, MetadataExt, PermissionsExt},
    path::{Path, PathBuf},
};

const SECRET: &str = "6e0d7b1c-the-victims-secret";

/// One raw entry: the header says exactly what the test wants, however senseless.
#[derive(Clone)]
struct Raw {
    name: Vec<u8>,
    flag: u8,
    link: Vec<u8>,
    content: Vec<u8>,
    mode: u32,
    records: Vec<(Vec<u8>, Vec<u8>)>,
    patch: Vec<(usize, Vec<u8>)>,
}

fn raw(flag: u8, name: &str, link: &str, content: &str) -> Raw {
    let mode = if flag == b'5' { 0o755 } else { 0o644 };
    Raw { name: name.into(), flag, link: link.into(), content: content.into(), mode, records: Vec::new(), patch: Vec::new() }
}
fn file(name: &str, content: &str) -> Raw {
    raw(b'0', name, "", content)
}
fn dir(name: &str) -> Raw {
    raw(b'5', name, "", "")
}
fn link(name: &str, target: &str) -> Raw {
    raw(b'2', name, target, "")
}
fn hard(name: &str, target: &str) -> Raw {
    raw(b'1', name, target, "")
}
impl Raw {
    fn pax(mut self, key: &str, value: impl AsRef<[u8]>) -> Raw {
        self.records.push((key.into(), value.as_ref().to_vec()));
        self
    }
    fn mode(mut self, mode: u32) -> Raw {
        self.mode = mode;
        self
    }
    fn patch(mut self, at: usize, bytes: &[u8]) -> Raw {
        self.patch.push((at, bytes.to_vec()));
        self
    }
}

fn header(raw: &Raw, flag: u8, name: &[u8], size: usize) -> Vec<u8> {
    let mut block = vec![0u8; 512];
    let put = |block: &mut Vec<u8>, at: usize, bytes: &[u8]| block[at..at + bytes.len()].copy_from_slice(bytes);
    put(&mut block, 0, &name[..name.len().min(100)]);
    put(&mut block, 100, format!("{:07o}\0", raw.mode).as_bytes());
    put(&mut block, 108, b"0000000\x000000000\0");
    put(&mut block, 124, format!("{size:011o}\0").as_bytes());
    put(&mut block, 136, b"14000000000\0");
    block[156] = flag;
    put(&mut block, 157, &raw.link[..raw.link.len().min(100)]);
    put(&mut block, 257, b"ustar\x0000");
    for (at, bytes) in &raw.patch {
        put(&mut block, *at, bytes);
    }
    put(&mut block, 148, b"        ");
    let sum: u32 = block.iter().map(|b| u32::from(*b)).sum();
    put(&mut block, 148, format!("{sum:06o}\0 ").as_bytes());
    block
}

fn padded(mut bytes: Vec<u8>) -> Vec<u8> {
    bytes.resize(bytes.len().next_multiple_of(512), 0);
    bytes
}

fn archive(entries: &[Raw]) -> Vec<u8> {
    let mut all = Vec::new();
    for entry in entries {
        let long = |bytes: &[u8]| padded([bytes, b"\0"].concat());
        if entry.name.len() > 100 {
            all.extend(header(entry, b'L', b"././@LongLink", entry.name.len() + 1));
            all.extend(long(&entry.name));
        }
        if entry.link.len() > 100 {
            all.extend(header(entry, b'K', b"././@LongLink", entry.link.len() + 1));
            all.extend(long(&entry.link));
        }
        if !entry.records.is_empty() {
            let mut records = Vec::new();
            for (key, value) in &entry.records {
                let rest = key.len() + value.len() + 3;
                let mut length = rest + 1;
                while length != rest + length.to_string().len() {
                    length = rest + length.to_string().len();
                }
                records.extend([length.to_string().as_bytes(), b" ", key, b"=", value, b"\n"].concat());
            }
            all.extend(header(entry, b'x', b"pax", records.len()));
            all.extend(padded(records));
        }
        all.extend(header(entry, entry.flag, &entry.name, entry.content.len()));
        all.extend(padded(entry.content.clone()));
    }
    all.extend([0; 1024]);
    all
}

/// A world with a victim in it.
struct World {
    folder: tempfile::TempDir,
    before: Vec<String>,
    layers: Vec<PathBuf>,
}

impl World {
    fn new() -> World {
        let folder = tempfile::tempdir().expect("room");
        for victim in ["victim", "layers/victim", "layers/0-evil"] {
            let victim = folder.path().join(victim);
            fs::create_dir_all(&victim).expect("room");
            fs::write(victim.join("hello"), SECRET).expect("room");
            fs::set_permissions(victim.join("hello"), fs::Permissions::from_mode(0o600)).expect("ours");
        }
        let mut world = World { folder, before: Vec::new(), layers: Vec::new() };
        world.before = world.victims();
        world
    }

    fn victim(&self) -> String {
        self.folder.path().join("layers/victim").display().to_string()
    }

    fn victims(&self) -> Vec<String> {
        let mut all = Vec::new();
        for victim in ["victim", "layers/victim", "layers/0-evil"] {
            let folder = self.folder.path().join(victim);
            let mut names: Vec<_> = fs::read_dir(&folder).expect("still there").flatten().map(|e| e.file_name()).collect();
            names.sort();
            let facts = |p: &Path| {
                let m = fs::symlink_metadata(p).expect("still there");
                format!("{:o} {} {} {} {}.{}", m.mode(), m.uid(), m.gid(), m.nlink(), m.mtime(), m.mtime_nsec())
            };
            let hello = fs::read_to_string(folder.join("hello")).expect("still there");
            all.push(format!("{names:?} {} {} {hello}", facts(&folder), facts(&folder.join("hello"))));
        }
        all
    }

    fn layer(&mut self, archive: &[u8]) -> minidock_base::Result<PathBuf> {
        let diff = self.folder.path().join("layers").join(self.layers.len().to_string());
        fs::create_dir(&diff).expect("room");
        let lower: Vec<PathBuf> = self.layers.iter().rev().cloned().collect();
        self.layers.push(diff.clone());
        let (unpacked, _) = unpack::unpack(archive, files::open_directory(&diff).expect("just made"))?;
        below::lean(&diff, &unpacked, &lower)?;
        Ok(diff)
    }

    fn check(&self, case: &str) {
        assert_eq!(self.victims(), self.before, "{case}: the victim was touched");
        for layer in &self.layers {
            for path in walk(layer) {
                let facts = fs::symlink_metadata(&path).expect("just listed");
                if facts.file_type().is_file() && facts.len() < 1 << 20 {
                    let content = fs::read(&path).expect("ours");
                    assert!(
                        !content.windows(SECRET.len()).any(|w| w == SECRET.as_bytes()),
                        "{case}: {path:?} holds the secret"
                    );
                }
            }
        }
    }
}

fn walk(folder: &Path) -> Vec<PathBuf> {
    let mut all = Vec::new();
    for entry in fs::read_dir(folder).into_iter().flatten().flatten() {
        all.push(entry.path());
        if entry.file_type().is_ok_and(|t| t.is_dir()) {
            all.extend(walk(&entry.path()));
        }
    }
    all
}

fn is_root() -> bool {
    let root = rustix::process::geteuid().is_root();
    if !root {
        println!("SKIP: needs root");
    }
    root
}

/// Names and links in which `V` stands for the victim's absolute path.
fn corpus(v: &str) -> BTreeMap<String, Vec<Vec<Raw>>> {
    let mut all = BTreeMap::new();
    let mut add = |name: &str, layers: Vec<Vec<Raw>>| drop(all.insert(name.to_string(), layers));
    let base = || vec![dir("etc"), file("etc/passwd", "root"), dir("usr/lib"), dir("localetc/sub")];
    for (n, name) in ["../victim/hello", "/../victim/hello", "..", "../hello", "../../victim/hello", &format!("{v}/hello")]
        .iter()
        .enumerate()
    {
        add(&format!("name {n} file"), vec![base(), vec![file(name, "x")]]);
        add(&format!("name {n} link"), vec![base(), vec![link(name, "/etc")]]);
        add(&format!("name {n} pax"), vec![base(), vec![file("fine", "x").pax("path", name)]]);
        add(&format!("name {n} hard link"), vec![base(), vec![hard("h", name), file("h/x", "x"), file("h", "y")]]);
        add(&format!("name {n} hard link pax"), vec![base(), vec![hard("h", "etc/passwd").pax("linkpath", name)]]);
        add(&format!("name {n} then write"), vec![vec![link("l", name), file("l", "over")]]);
        add(&format!("name {n} then chmod"), vec![vec![link("l", name), hard("m", "l"), file("m", "x").mode(0o4777)]]);
    }
    let ups = "../".repeat(12);
    add("twelve ups", vec![vec![file(&format!("{ups}{v}/hello"), "x")]]);
    for dot in [".", "./", "/", ""] {
        add(&format!("root {dot:?} file"), vec![vec![file(dot, "x")]]);
        add(&format!("root {dot:?} link"), vec![vec![link(dot, v)]]);
    }
    for (n, target) in [v, "../victim", &format!("{ups}{v}"), "../../layers/victim"].iter().enumerate() {
        let through = |last: Raw| vec![link("vic", target), last];
        add(&format!("through {n} new"), vec![through(file("vic/new", "x"))]);
        add(&format!("through {n} overwrite"), vec![through(file("vic/hello", "x"))]);
        add(&format!("through {n} folder"), vec![through(dir("vic/sub"))]);
        add(&format!("through {n} becomes folder"), vec![through(dir("vic")), vec![file("vic/hello", "x")]]);
        add(&format!("through {n} hard link"), vec![through(hard("stolen", "vic/hello"))]);
        add(&format!("through {n} link to link"), vec![vec![link("a", "vic"), link("vic", target), file("a/hello", "x")]]);
        add(&format!("through {n} whiteout"), vec![through(file("vic/.wh.hello", ""))]);
        add(&format!("through {n} opaque"), vec![through(file("vic/.wh..wh..opq", ""))]);
        add(&format!("lower {n} new"), vec![vec![link("vic", target)], vec![file("vic/new", "x")]]);
        add(&format!("lower {n} overwrite"), vec![vec![link("vic", target)], vec![file("vic/hello", "x")]]);
        add(&format!("lower {n} folder"), vec![vec![link("vic", target)], vec![dir("vic"), file("vic/hello", "x")]]);
        add(&format!("lower {n} steal"), vec![vec![link("vic", target)], vec![hard("stolen", "vic/hello")]]);
        add(&format!("lower {n} whiteout"), vec![vec![link("vic", target)], vec![file("vic/.wh.hello", "")]]);
        add(&format!("override {n}"), vec![vec![dir("d"), link("d", target), file("d/hello", "x"), dir("d"), file("d/f", "")]]);
    }
    add(
        "two hops",
        vec![vec![dir("inner"), link("inner/go_up", ".."), link("inner/go_up/escape", "../victim"), file("escape/hello", "x")]],
    );
    add("prefix sibling", vec![vec![hard("h", "../0-evil/hello"), link("l", "../0-evil"), file("l/hello", "x")]]);
    add("loop", vec![vec![link("a", "b"), link("b", "a"), file("a/x", "x")]]);
    add("parent is a file", vec![vec![file("nd", "x"), file("nd/foo/bar", "x")]]);
    add("whiteout up", vec![vec![file("../victim/.wh.hello", ""), file("dne/../.wh.etc", "")]]);
    add("dead whiteout", vec![vec![link("dead", "/nowhere/at/all"), file("dead/.wh.x", "")]]);
    add("hard link before target", vec![vec![hard("b", "a"), file("a", "x")]]);
    add("plnk", vec![vec![dir(".wh..wh.plnk"), file(".wh..wh.plnk/1.2", "x"), hard("f", ".wh..wh.plnk/1.2")]]);
    all
}

#[test]
fn no_archive_leaves_its_directory() {
    if !is_root() {
        return;
    }
    let (mut accepted, mut refused) = (0, 0);
    let names: Vec<String> = corpus("").into_keys().collect();
    for name in names {
        let mut world = World::new();
        for layer in &corpus(&world.victim())[&name] {
            match world.layer(&archive(layer)) {
                Ok(_) => accepted += 1,
                Err(_) => refused += 1,
            }
        }
        world.check(&name);
    }
    println!("{accepted} layers accepted, {refused} refused, none escaped");
}

#[test]
fn malformed_whiteouts_are_refused_before_anything_is_deleted() {
    if !is_root() {
        return;
    }
    for name in [".wh.", ".wh..", ".wh...", "etc/.wh.", "etc/.wh..", "etc/.wh..."] {
        let mut world = World::new();
        let error = world.layer(&archive(&[dir("etc"), file("etc/kept", "x"), file(name, "")])).expect_err(name);
        assert!(error.message().contains("malformed whiteout"), "{error}");
        assert!(world.layers[0].join("etc/kept").exists());
        world.check(name);
    }
}

#[test]
fn what_must_work_works_inside() {
    if !is_root() {
        return;
    }
    let mut world = World::new();
    let one = world
        .layer(&archive(&[
            link("var/run", "/run"),
            file("var/run/pid", "1"),
            link("lib", "usr/lib"),
            file("lib/in-same-layer", "x"),
            file("bin/busybox", "b"),
            hard("bin/ls", "/bin/busybox"),
            dir("tmp").mode(0o1777),
            file(".wh.etc/somefile", "an ordinary folder name"),
        ]))
        .expect("inside");
    assert_eq!(fs::read_to_string(one.join("run/pid")).expect("followed inside"), "1");
    assert!(one.join("usr/lib/in-same-layer").exists());
    assert_eq!(fs::metadata(one.join("bin/ls")).expect("linked").nlink(), 2);
    let two = world
        .layer(&archive(&[file("lib/x.so", "s"), file("tmp/y", "y"), hard("bin/cat", "bin/busybox"), file("tmp/.wh.z", "")]))
        .expect("inside");
    assert!(two.join("usr/lib/x.so").exists() && !two.join("lib").exists(), "the lower link decides");
    assert_eq!(fs::metadata(two.join("tmp")).expect("implied").mode() & 0o7777, 0o1777, "the lower folder's mode");
    assert_eq!(fs::read_to_string(two.join("bin/cat")).expect("copied up"), "b");
    world.check("inside");
    let mut world = World::new();
    world.layer(&archive(&[dir("./").mode(0o700), dir("a")])).expect("a root of its own kind");
    let above = world.layer(&archive(&[dir("b")])).expect("says nothing of the root");
    assert_eq!(fs::metadata(above).expect("there").mode() & 0o7777, 0o700, "the root below decides");
}

#[test]
fn whiteouts_hide_what_is_below_and_nothing_of_their_own_layer() {
    if !is_root() {
        return;
    }
    let mut world = World::new();
    let at = world
        .layer(&archive(&[
            file(".wh.gone", ""),
            file("kept", "k"),
            file(".wh.kept", ""),
            dir("d"),
            file("d/f", "x"),
            file("d/.wh..wh..opq", ""),
            file("d/.wh.inside", ""),
            file(".wh.again", ""),
            file("again/f", "x"),
            file(".wh.twice", ""),
            file(".wh.twice", ""),
        ]))
        .expect("fine");
    let mark = fs::symlink_metadata(at.join("gone")).expect("a device");
    assert!(mark.file_type().is_char_device() && mark.rdev() == 0);
    assert!(at.join("kept").is_file() && at.join("d/f").is_file());
    assert!(fs::symlink_metadata(at.join("d/inside")).is_err(), "below an opaque folder there is nothing to hide");
    let opaque = |name: &str| {
        let dir = files::open_directory(&at.join(name)).expect("a folder");
        minidock_linux::xattr::fgetxattr(&dir, minidock_linux::overlayfs::OPAQUE).expect("readable")
    };
    assert_eq!(opaque("d").as_deref(), Some(&b"y"[..]));
    assert_eq!(opaque("again").as_deref(), Some(&b"y"[..]));
    let error = world.layer(&archive(&[file("f", ""), file("f/.wh..wh..opq", "")])).expect_err("no folder");
    assert!(error.message().contains("not a directory"), "{error}");
}

#[test]
fn kinds_sizes_and_times_are_kept_or_refused() {
    if !is_root() {
        return;
    }
    let long = "n".repeat(255);
    let deep = vec!["d"; 200].join("/");
    let mut world = World::new();
    let at = world
        .layer(&archive(&[
            raw(b'6', "fifo", "", ""),
            raw(b'4', "block", "", "").patch(329, b"0000010\x000000000\0"),
            file("setuid", "x").mode(0o4755),
            file("old", "x").pax("mtime", "-1.5"),
            file("huge-uid", "x").pax("uid", "2147483653").pax("gid", "70000"),
            file(&long, "x"),
            file(&deep, "x"),
            file("twice", "first"),
            file("twice", "second"),
            dir("was-dir"),
            file("was-dir/x", "x"),
            file("was-dir", "now a file"),
            file("was-file", "x"),
            dir("was-file"),
            raw(b'g', "pax_global_header", "", "").pax("path", "../victim/global"),
            file("sparse", "ab")
                .pax("GNU.sparse.map", "0,1,1000000,1")
                .pax("GNU.sparse.size", "2000000")
                .pax("GNU.sparse.name", "holes"),
            file("cap", "x")
                .pax("SCHILY.xattr.security.capability", b"\x01\0\0\x02\0\x20\0\0\0\0\0\0\0\0\0\0\0\0\0\0")
                .pax("SCHILY.xattr.trusted.overlay.redirect", "/etc")
                .pax("SCHILY.xattr.trusted.overlay.opaque", "y")
                .pax("SCHILY.xattr.user.kept", "v"),
        ]))
        .expect("all fine");
    let facts = |name: &str| fs::symlink_metadata(at.join(name)).unwrap_or_else(|e| panic!("{name}: {e}"));
    assert!(facts("fifo").file_type().is_fifo() && facts("block").file_type().is_block_device());
    assert_eq!(facts("block").rdev(), rustix::fs::makedev(8, 0));
    assert_eq!(facts("setuid").mode() & 0o7777, 0o4755);
    assert_eq!((facts("old").mtime(), facts("old").mtime_nsec()), (-2, 500_000_000));
    assert_eq!((facts("huge-uid").uid(), facts("huge-uid").gid()), (2_147_483_653, 70_000));
    assert!(facts(&long).is_file() && facts(&deep).is_file());
    assert_eq!(fs::read_to_string(at.join("twice")).expect("there"), "second");
    assert!(facts("was-dir").is_file() && facts("was-file").is_dir());
    assert!(facts("holes").len() == 2_000_000 && facts("holes").blocks() < 100, "holes stay holes");
    let held = files::open_directory(&at).expect("a folder");
    let names = minidock_linux::xattr::llistxattr(&held, "cap").expect("readable");
    assert_eq!(names.len(), 2, "{names:?}");
    for (why, bad) in [
        ("256 bytes", vec![file(&"n".repeat(256), "x")]),
        ("huge major", vec![raw(b'3', "dev", "", "").patch(329, b"\x80\0\0\x01\0\0\0\0")]),
        ("negative major", vec![raw(b'3', "dev", "", "").patch(329, &[0xff; 8])]),
        ("negative size", vec![file("f", "").patch(124, &[0xff; 12])]),
        ("a TiB promised", vec![file("f", "").patch(124, b"\x80\0\0\0\0\0\x01\0\0\0\0\0")]),
        ("uid of 2^32-1", vec![file("f", "x").pax("uid", "4294967295")]),
        ("sparse beyond the end", vec![file("f", "ab").pax("GNU.sparse.map", "0,1,9,1").pax("GNU.sparse.size", "5")]),
        ("name with NUL", vec![file("f", "x").pax("path", b"a\0b")]),
        ("link to nothing", vec![hard("h", "nowhere")]),
        ("link to a folder", vec![dir("d"), hard("h", "d")]),
        ("records without end", vec![file("f", "x").pax("comment", vec![b'c'; 2 << 20])]),
        ("an unknown kind", vec![raw(b'Q', "q", "", "")]),
    ] {
        let error = World::new().layer(&archive(&bad)).expect_err(why);
        assert!(!error.message().is_empty(), "{why}");
    }
}

#[test]
fn bombs_stay_small_in_memory() {
    if !is_root() {
        return;
    }
    // zeros behind the end mark (CVE-2017-14992): 2 GiB of them in a gzip of 2 MB
    let mut packed = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
    packed.write_all(&archive(&[file("f", "x")])).expect("memory");
    let zeros = vec![0u8; 1 << 20];
    for _ in 0..512 {
        packed.write_all(&zeros).expect("memory");
    }
    let packed = packed.finish().expect("memory");
    let before = peak();
    let folder = tempfile::tempdir().expect("room");
    let root = files::open_directory(folder.path()).expect("just made");
    let source = minidock_image::compression::inflate(&packed[..]).expect("gzip");
    let (_, _, bytes) =
        minidock_image::compression::ahead(source, true, |b| unpack::unpack(b, root).map(|_| ())).expect("fine");
    assert!(bytes > 512 << 20);
    assert!(peak() - before < 32 << 10, "{} KiB more", peak() - before);
}

/// The most memory this process ever had, in KiB.
fn peak() -> u64 {
    let status = fs::read_to_string("/proc/self/status").expect("procfs");
    let line = status.lines().find(|l| l.starts_with("VmHWM")).expect("a line");
    line.split_whitespace().nth(1).and_then(|n| n.parse().ok()).expect("a number")
}

#[test]
fn bytes_from_anywhere_never_panic() {
    use proptest::prelude::*;
    let good =
        archive(&[dir("a"), file("a/b", "content"), link("l", "a"), hard("h", "a/b"), file("p", "x").pax("mtime", "1.5")]);
    let mut runner =
        proptest::test_runner::TestRunner::new(ProptestConfig { cases: 300, failure_persistence: None, ..Default::default() });
    let flips = proptest::collection::vec((0..good.len(), any::<u8>()), 0..12);
    let outcome = runner.run(&(flips, 0..good.len()), |(flips, cut)| {
        let mut bytes = good.clone();
        flips.iter().for_each(|(at, byte)| bytes[*at] = *byte);
        bytes.truncate(if cut % 3 == 0 { cut } else { good.len() });
        let mut world = World::new();
        let _ = world.layer(&bytes);
        world.check("random bytes");
        Ok(())
    });
    outcome.expect("no panic");
}
