//! # Image archives: what is loaded is what was meant, or nothing is
//!
//! Archives that contradict themselves, point at files of the host, are cut short or changed by a byte: each is refused with
//! a reason, reads nothing of the host and leaves nothing behind, and the store goes on working. Good ones come back out as
//! they went in. The cases are conformance.md 2.6. Needs root; says SKIP without.

use minidock_base::paths::Paths;
use minidock_image::{
    Store,
    commit::Commit,
    remove::{Removal, User},
};
use minidock_spec::{digest::Digest, reference::Reference};
use serde_json::{Value, json};
use std::{fs, io::Write, path::Path};

type Files = Vec<(String, Vec<u8>)>;

fn is_root() -> bool {
    let root = rustix::process::geteuid().is_root();
    if !root {
        println!("SKIP: needs root");
    }
    root
}

struct Home {
    folder: tempfile::TempDir,
    store: Store,
}

impl Home {
    fn new() -> Home {
        let folder = tempfile::tempdir().expect("room");
        let store = Store::open(&Self::paths(folder.path())).expect("a new store");
        Home { folder, store }
    }

    fn paths(folder: &Path) -> Paths {
        Paths::new(folder.join("data"), folder.join("run"))
    }

    fn reopened(self) -> Home {
        let store = Store::open(&Self::paths(self.folder.path())).expect("opens again");
        Home { store, folder: self.folder }
    }

    fn load(&self, archive: &[u8]) -> minidock_base::Result<Vec<String>> {
        let loaded = self.store.load(archive, &mut |_| {})?;
        Ok(loaded.into_iter().flat_map(|l| l.names).map(|n| n.familiar()).collect())
    }

    /// Everything below the data root that is not the empty store's own.
    fn leftovers(&self) -> Vec<String> {
        let data = self.folder.path().join("data");
        let list = |below: &str| fs::read_dir(data.join(below)).into_iter().flatten().flatten().map(|e| e.path());
        let all = list("blobs/sha256").chain(list("tmp")).chain(list("layers").filter(|p| !p.ends_with("l")));
        all.map(|p| p.display().to_string()).collect()
    }
}

fn tar_of(files: &Files) -> Vec<u8> {
    let mut builder = tar::Builder::new(Vec::new());
    for (name, content) in files {
        let mut header = tar::Header::new_gnu();
        header.set_mode(0o644);
        match content.strip_prefix(b"-> ") {
            Some(target) => {
                header.set_entry_type(tar::EntryType::Symlink);
                header.set_size(0);
                header.set_link_name(std::str::from_utf8(target).expect("text")).expect("short");
                builder.append_data(&mut header, name, std::io::empty()).expect("memory");
            }
            None => {
                header.set_size(content.len() as u64);
                builder.append_data(&mut header, name, &content[..]).expect("memory");
            }
        }
    }
    builder.into_inner().expect("memory")
}

fn layer(name: &str) -> Vec<u8> {
    tar_of(&vec![(name.to_string(), vec![b'x'; 3000])])
}

fn gzip(bytes: &[u8]) -> Vec<u8> {
    let mut encoder = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
    encoder.write_all(bytes).expect("memory");
    encoder.finish().expect("memory")
}

fn config(layers: &[&[u8]]) -> Value {
    let diff_ids: Vec<String> = layers.iter().map(|l| Digest::of(l).to_string()).collect();
    json!({"architecture": "amd64", "os": "linux", "config": {"Cmd": ["/a"], "Labels": {"k": "v"}},
           "created": "2024-01-01T00:00:00Z", "rootfs": {"type": "layers", "diff_ids": diff_ids}, "history": []})
}

/// An archive as `docker save` has always written it: the list last, a layer shared by a symlink.
fn docker() -> Files {
    let (one, two) = (layer("a"), layer("b"));
    let (first, second) = (config(&[&one]).to_string(), config(&[&one, &two]).to_string());
    let list = json!([
        {"Config": "first.json", "RepoTags": ["one:1", "localhost:5000/team/one:latest"], "Layers": ["l1/layer.tar"]},
        {"Config": "second.json", "RepoTags": null, "Layers": ["l1b/layer.tar", "l2/layer.tar"]},
    ]);
    vec![
        ("l1/layer.tar".into(), one),
        ("l1b/layer.tar".into(), b"-> ../l1/layer.tar".to_vec()),
        ("l2/layer.tar".into(), two),
        ("first.json".into(), first.into()),
        ("second.json".into(), second.into()),
        ("manifest.json".into(), list.to_string().into()),
    ]
}

fn oci() -> Files {
    let diff = layer("a");
    let blob = gzip(&diff);
    let config = config(&[&diff]).to_string().into_bytes();
    let descriptor =
        |kind: &str, bytes: &[u8]| json!({"mediaType": kind, "digest": Digest::of(bytes).to_string(), "size": bytes.len()});
    let manifest = json!({
        "schemaVersion": 2, "mediaType": "application/vnd.oci.image.manifest.v1+json",
        "config": descriptor("application/vnd.oci.image.config.v1+json", &config),
        "layers": [descriptor("application/vnd.oci.image.layer.v1.tar+gzip", &blob)],
    })
    .to_string()
    .into_bytes();
    let mut entry = descriptor("application/vnd.oci.image.manifest.v1+json", &manifest);
    entry["annotations"] = json!({"io.containerd.image.name": "docker.io/library/oci:1"});
    let index = json!({"schemaVersion": 2, "manifests": [entry]}).to_string();
    let path = |bytes: &[u8]| format!("blobs/sha256/{}", Digest::of(bytes).hex());
    vec![
        (path(&blob), blob.clone()),
        (path(&config), config.clone()),
        (path(&manifest), manifest.clone()),
        ("index.json".into(), index.into()),
        ("oci-layout".into(), b"{\"imageLayoutVersion\":\"1.0.0\"}".to_vec()),
    ]
}

#[test]
fn archives_of_both_kinds_and_all_wrappings_are_loaded() {
    if !is_root() {
        return;
    }
    let zstd = |b: &[u8]| ruzstd::encoding::compress_to_vec(b, ruzstd::encoding::CompressionLevel::Fastest);
    for (wrapping, wrap) in [("plain", None), ("gzip", Some(&gzip as &dyn Fn(&[u8]) -> Vec<u8>)), ("zstd", Some(&zstd))] {
        let home = Home::new();
        let wrapped = |files: &Files| wrap.map_or(tar_of(files), |wrap| wrap(&tar_of(files)));
        assert_eq!(home.load(&wrapped(&docker())).expect(wrapping), ["one:1", "localhost:5000/team/one:latest"]);
        assert_eq!(home.load(&wrapped(&oci())).expect(wrapping), ["oci:1"]);
        assert_eq!(home.store.list().len(), 2, "the OCI image is the same configuration as one:1");
        let two = home.store.list().into_iter().find(|i| i.layers.len() == 2).expect("loaded");
        let dirs = home.store.lower_dirs(&two).expect("unpacked");
        assert!(dirs[0].join("b").exists() && dirs[1].join("a").exists(), "topmost first");
        assert!(fs::read_dir(home.folder.path().join("data/tmp")).expect("scratch").next().is_none());
    }
}

#[test]
fn what_is_saved_is_loaded_elsewhere_and_is_the_same() {
    if !is_root() {
        return;
    }
    let (here, there) = (Home::new(), Home::new());
    here.load(&tar_of(&docker())).expect("good");
    let mut archive = Vec::new();
    let ids: Vec<String> = here.store.list().iter().map(|i| i.id.to_string()).collect();
    here.store.save(&ids, &mut archive).expect("memory");
    assert!(there.load(&archive).expect("ours").is_empty(), "by ID: no names");
    let mut named = Vec::new();
    here.store.save(&["one:1".into(), "localhost:5000/team/one".into()], &mut named).expect("memory");
    assert_eq!(there.load(&named).expect("ours").len(), 2);
    let sorted = |home: &Home| {
        let mut all: Vec<_> = home.store.list().into_iter().map(|i| (i.id, i.manifest, i.size)).collect();
        all.sort();
        all
    };
    assert_eq!(sorted(&here), sorted(&there));
    assert!(here.store.save(&["nosuch".into()], std::io::sink()).is_err_and(|e| e.message() == "No such image: nosuch:latest"));
}

#[test]
fn a_byte_changed_anywhere_is_a_digest_mismatch_or_a_refusal() {
    if !is_root() {
        return;
    }
    let good = oci();
    for (nth, (name, content)) in good.iter().enumerate().filter(|(_, (name, _))| name.starts_with("blobs")) {
        for at in [0, content.len() / 2, content.len() - 1] {
            let mut bad = good.clone();
            bad[nth].1[at] ^= 0x01;
            let home = Home::new();
            let error = home.load(&tar_of(&bad)).expect_err(name).message();
            assert!(
                error.contains("mismatch") || error.contains("lacks") || error.contains("not in the archive"),
                "{name} {at}: {error}"
            );
            assert!(home.leftovers().is_empty(), "{name} {at}: {:?}", home.leftovers());
        }
        let mut longer = good.clone();
        longer[nth].1.push(b' ');
        assert!(Home::new().load(&tar_of(&longer)).is_err(), "{name} with a byte more");
    }
    let whole = tar_of(&good);
    for cut in [1, 511, 700, whole.len() / 2, whole.len() - 1536] {
        let home = Home::new();
        assert!(home.load(&whole[..cut]).is_err(), "cut at {cut}");
        assert!(home.leftovers().is_empty());
    }
    assert!(Home::new().load(&whole[..whole.len() - 1500]).is_ok(), "what pads the last file is nobody's content");
}

#[test]
fn archives_that_contradict_themselves_are_refused_and_leave_nothing() {
    if !is_root() {
        return;
    }
    let secret = tempfile::NamedTempFile::new().expect("room");
    fs::write(secret.path(), "{\"secret\": \"of the host\"}").expect("room");
    let host = secret.path().display().to_string();
    let with = |name: &str, content: Vec<u8>| {
        let mut files = docker();
        files.retain(|(n, _)| n != name);
        files.push((name.into(), content));
        tar_of(&files)
    };
    let list = |value: Value| with("manifest.json", value.to_string().into());
    let item = |config: &str, layers: Value, tags: Value| list(json!([{"Config": config, "RepoTags": tags, "Layers": layers}]));
    let one = json!(["l1/layer.tar"]);
    let altered = |change: &dyn Fn(&mut Value)| {
        let mut value = config(&[&layer("a")]);
        change(&mut value);
        with("first.json", value.to_string().into())
    };
    let cases: Vec<(&str, Vec<u8>)> = vec![
        ("config outside", item(&format!("../../../..{host}"), one.clone(), json!([]))),
        ("config absolute", item(&host, one.clone(), json!([]))),
        ("config a link to the host", with("first.json", format!("-> {host}").into())),
        ("layer outside", item("first.json", json!([format!("../../..{host}")]), json!([]))),
        ("layer a link to the host", with("l1/layer.tar", format!("-> {host}").into())),
        ("links in a circle", with("l1/layer.tar", b"-> ../l1b/layer.tar".to_vec())),
        ("no such layer", item("first.json", json!(["nosuch.tar"]), json!([]))),
        ("a layer too many", item("first.json", json!(["l1/layer.tar", "l2/layer.tar"]), json!([]))),
        ("a layer too few", item("second.json", one.clone(), json!([]))),
        ("wrong diff ID", item("first.json", json!(["l2/layer.tar"]), json!([]))),
        ("rootfs null", altered(&|v| v["rootfs"] = Value::Null)),
        ("another system", altered(&|v| v["os"] = json!("windows"))),
        ("history of more layers", altered(&|v| v["history"] = json!([{}, {}, {}]))),
        ("a tag that climbs", item("first.json", one.clone(), json!(["../../x"]))),
        ("a tag in capitals", item("first.json", one.clone(), json!(["UPPER"]))),
        ("a tag that poses as a digest", item("first.json", one.clone(), json!([format!("sha256:{}", "a".repeat(64))]))),
        ("an empty list", list(json!([]))),
        ("null", list(Value::Null)),
        ("a broken list", with("manifest.json", b"{{{".to_vec())),
        ("an object", list(json!({}))),
        ("a list of null", list(json!([null]))),
        ("brackets", with("manifest.json", "[".repeat(200_000).into())),
        ("no list", {
            let mut files = docker();
            files.retain(|(n, _)| n != "manifest.json");
            tar_of(&files)
        }),
        ("nothing", Vec::new()),
        ("no tar", b"hello, world".repeat(100)),
        ("zeros", vec![0; 4096]),
    ];
    for (case, archive) in cases {
        let home = Home::new();
        let error = home.load(&archive).expect_err(case);
        assert!(!error.message().contains("of the host"), "{case}: {error}");
        assert!(home.leftovers().is_empty(), "{case}: {:?}", home.leftovers());
        home.load(&tar_of(&docker())).expect("the store goes on working");
    }
}

#[test]
fn a_document_that_is_manifest_and_index_at_once_is_refused() {
    if !is_root() {
        return;
    }
    let mut files = oci();
    let mut both: Value = serde_json::from_slice(&files[2].1).expect("ours");
    both["manifests"] = json!([]);
    let both = both.to_string().into_bytes();
    let mut index: Value = serde_json::from_slice(&files[3].1).expect("ours");
    index["manifests"][0]["digest"] = json!(Digest::of(&both).to_string());
    index["manifests"][0]["size"] = json!(both.len());
    files[2] = (format!("blobs/sha256/{}", Digest::of(&both).hex()), both);
    files[3].1 = index.to_string().into();
    let error = Home::new().load(&tar_of(&files)).expect_err("ambiguous");
    assert!(error.message().contains("manifest and index at once"), "{error}");
}

#[test]
fn names_and_ids_find_their_image_and_nothing_else() {
    if !is_root() {
        return;
    }
    let home = Home::new();
    home.load(&tar_of(&docker())).expect("good");
    let store = &home.store;
    let one = store.resolve("one:1").expect("by name");
    for text in ["docker.io/library/one:1", one.id.as_str(), one.id.hex(), &one.id.hex()[..6], &format!("one@{}", one.manifest)]
    {
        assert_eq!(store.resolve(text).unwrap_or_else(|e| panic!("{text}: {e}")).id, one.id);
    }
    for (text, said) in
        [("one", "No such image: one:latest"), ("one:2", "No such image: one:2"), ("UPPER", "must be lowercase")]
    {
        assert!(store.resolve(text).is_err_and(|e| e.message().contains(said)), "{text}");
    }
    let other = store.list().into_iter().find(|i| i.id != one.id).expect("two images");
    store.tag(&other.id, &Reference::parse("one:1").expect("a name")).expect("taken over");
    assert_eq!(store.resolve("one:1").expect("by name").id, other.id);
    let posing = Reference::parse(&format!("sha256:{}", "a".repeat(64))).expect("parses");
    assert!(store.tag(&other.id, &posing).is_err());
}

#[test]
fn images_in_use_stay_and_shared_layers_too() {
    if !is_root() {
        return;
    }
    let home = Home::new();
    home.load(&tar_of(&docker())).expect("good");
    let store = &home.store;
    let one = store.resolve("one:1").expect("there");
    let running = |id: &Digest| if *id == one.id { vec![User { container: "c".repeat(64), running: true }] } else { vec![] };
    let stopped = |id: &Digest| if *id == one.id { vec![User { container: "c".repeat(64), running: false }] } else { vec![] };
    let nobody = |_: &Digest| Vec::new();
    let force = Removal { force: true, no_prune: false };
    let said = |r: minidock_base::Result<minidock_image::remove::Removed>| r.expect_err("refused").message();
    let lines = |r: minidock_image::remove::Removed| -> Vec<String> {
        r.lines
            .into_iter()
            .map(|l| l.untagged.map(|u| format!("-{u}")).unwrap_or_else(|| l.deleted.expect("one of both")))
            .collect()
    };
    assert_eq!(
        lines(store.remove("localhost:5000/team/one", Removal::default(), &running).expect("one of two names")).len(),
        1
    );
    let conflict = said(store.remove("one:1", Removal::default(), &stopped));
    let short = one.id.short();
    assert_eq!(
        conflict,
        format!(
            "conflict: unable to remove repository reference \"one:1\" (must force) - container cccccccccccc is using its referenced image {short}"
        )
    );
    let conflict = said(store.remove(one.id.hex(), force, &running));
    assert_eq!(
        conflict,
        format!(
            "conflict: unable to delete {short} (cannot be forced) - image is being used by running container cccccccccccc"
        )
    );
    let conflict = said(store.remove(one.id.hex(), Removal::default(), &stopped));
    assert_eq!(
        conflict,
        format!("conflict: unable to delete {short} (must be forced) - image is being used by stopped container cccccccccccc")
    );
    let gone = lines(store.remove("one:1", force, &stopped).expect("forced"));
    assert_eq!(gone, ["-one:1".to_string(), one.id.to_string()]);
    assert!(store.resolve(one.id.hex()).is_err(), "out of every list");
    assert!(store.by_id(&one.id).is_ok_and(|i| store.lower_dirs(&i).is_ok()), "but there for its container");
    store.release(&nobody).expect("released");
    assert!(store.by_id(&one.id).is_err());
    let two = store.list().pop().expect("the other image");
    assert!(store.lower_dirs(&two).expect("shared layer kept").iter().all(|d| d.exists()));
    let gone = lines(store.remove(two.id.hex(), Removal::default(), &nobody).expect("nobody needs it"));
    assert_eq!(gone.len(), 3, "{gone:?}");
    assert!(home.leftovers().is_empty(), "{:?}", home.leftovers());
}

#[test]
fn an_image_that_is_only_kept_for_its_container_holds_no_other_back() {
    if !is_root() {
        return;
    }
    let home = Home::new();
    home.load(&tar_of(&oci())).expect("good");
    let (store, upper) = (&home.store, tempfile::tempdir().expect("room"));
    fs::write(upper.path().join("more"), "more").expect("room");
    let base = store.resolve("oci:1").expect("there");
    let child = store
        .commit(&Commit {
            base: &base,
            upper: upper.path(),
            config: base.config.config.clone(),
            author: "",
            comment: "",
            created_by: "",
            name: None,
        })
        .expect("committed");
    let (force, nobody) = (Removal { force: true, no_prune: true }, |_: &Digest| Vec::new());
    let stopped = |id: &Digest| if *id == child.id { vec![User { container: "c".repeat(64), running: false }] } else { vec![] };
    let refused = store.remove("oci:1", force, &nobody).map(|_| store.resolve(base.id.hex()).is_ok());
    assert!(refused.expect("only its name goes"), "it has a child");
    store.remove(child.id.hex(), force, &stopped).expect("forced");
    store.remove(base.id.hex(), force, &stopped).expect("nobody sees the child any more");
    assert!(store.by_id(&child.id).is_ok_and(|image| store.lower_dirs(&image).is_ok()), "its container has all it needs");
    store.release(&nobody).expect("released");
    assert!(home.leftovers().is_empty(), "{:?}", home.leftovers());
}

#[test]
fn a_store_cut_off_anywhere_opens_again() {
    if !is_root() {
        return;
    }
    let home = Home::new();
    home.load(&tar_of(&docker())).expect("good");
    let data = home.folder.path().join("data");
    // what a kill leaves: a blob and a layer that no list names, half-made things in the scratch folder
    fs::write(data.join(format!("blobs/sha256/{}", "e".repeat(64))), "half").expect("room");
    fs::create_dir_all(data.join(format!("layers/{}/diff", "e".repeat(64)))).expect("room");
    fs::create_dir_all(data.join("tmp/layer-9/diff/a")).expect("room");
    let before = home.store.list().len();
    let home = home.reopened();
    assert_eq!(home.store.list().len(), before);
    assert!(home.leftovers().iter().all(|l| !l.contains("eeee") && !l.contains("layer-9")), "{:?}", home.leftovers());
    // a layer directory that got lost is unpacked again from its blob
    let one = home.store.resolve("one:1").expect("there");
    fs::remove_dir_all(data.join("layers").join(one.diff_ids()[0].hex())).expect("ours");
    let home = home.reopened();
    assert!(home.store.lower_dirs(&one).expect("unpacked again")[0].join("a").exists());
    // a damaged configuration is reported by name; the other image lives, and nothing is swept
    fs::write(data.join("blobs/sha256").join(one.id.hex()), "{").expect("room");
    let home = home.reopened();
    let broken = home.store.broken();
    assert!(broken.len() == 2 && broken[0].1.message().contains(one.id.as_str()), "{broken:?}");
    assert_eq!(home.store.list().len(), 1);
    assert!(data.join("layers").join(one.diff_ids()[0].hex()).exists());
}
