//! # Registry: pull and push against a registry that others wrote, and against bad weather
//!
//! The oracle is Debian's `docker-registry`; between it and our client stands a meddler that cuts, flips, lies and refuses. Then the
//! same against our own registry. All of it on loopback.

#[path = "shelf/mod.rs"]
mod shelf;

use minidock_base::Kind;
use minidock_registry::{
    client::{Purpose, listing},
    credentials::Credentials,
    settings::RegistryConfig,
};
use minidock_spec::{digest::Digest, reference::Reference};
use sha2::{Digest as _, Sha512};
use shelf::{Images, Meddler, Oracle, Ours, Prank, skip};
use std::{
    io::{Read, Write},
    net::{SocketAddr, TcpStream},
    process::Command,
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
    time::{Duration, Instant},
};

macro_rules! oracle {
    ($settings:expr) => {
        match Oracle::start($settings) {
            Some(oracle) => oracle,
            None => return skip("docker-registry is not installed"),
        }
    };
}

/// Pushes an image of these layers to a registry and gives its name there.
async fn pushed(address: SocketAddr, name: &str, sizes: &[usize]) -> (Images, String) {
    let images = Images::new();
    let image = images.make("made:1", sizes);
    let there = format!("{address}/{name}");
    images.tag(&image, &there);
    images.push(&there).await.expect("the registry takes it");
    (images, there)
}

fn is_blob(head: &str) -> bool {
    head.starts_with("GET") && head.lines().next().is_some_and(|line| line.contains("/blobs/sha256:"))
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_pushed_is_pulled_again_with_the_same_id_and_digest() {
    let oracle = oracle!(&[]);
    let ours = Ours::start(|_| ()).await;
    for address in [oracle.address(), ours.address] {
        let source = Images::new();
        let image = source.make("made:1", &[1000, 300_000, 50_000, 1000]);
        let name = format!("{address}/team/app:v1");
        source.tag(&image, &name);
        let sent = source.push(&name).await.expect("the registry takes it");
        assert_eq!(source.told()[0], format!("The push refers to repository [{address}/team/app]"));
        assert_eq!(source.told().last().expect("lines"), &format!("v1: digest: {} size: {}", sent.digest, sent.size));
        assert_eq!(source.told().iter().filter(|l| l.ends_with(": Pushed")).count(), 4);

        let target = Images::new();
        let came = target.pull(&name).await.expect("it is there");
        assert_eq!((&came.image.id, &came.digest, came.newer), (&image.id, &sent.digest, true));
        let told = target.told();
        assert_eq!(told[0], "v1: Pulling from team/app");
        for (words, count) in
            [("Pulling fs layer", 4), ("Verifying Checksum", 4), ("Download complete", 4), ("Pull complete", 4)]
        {
            assert_eq!(told.iter().filter(|l| l.ends_with(words)).count(), count, "{words}: {told:#?}");
        }
        assert_eq!(
            told[told.len() - 2..],
            [format!("Digest: {}", sent.digest), format!("Status: Downloaded newer image for {name}")]
        );
        assert_eq!(target.store.lower_dirs(&came.image).expect("unpacked").len(), 4);
        assert!(target.clean().is_empty());

        // again: nothing is fetched, nothing is sent
        target.lines.lock().expect("no panic").clear();
        assert!(!target.pull(&name).await.expect("it is there").newer);
        assert_eq!(target.told().last().expect("lines"), &format!("Status: Image is up to date for {name}"));
        source.lines.lock().expect("no panic").clear();
        assert_eq!(source.push(&name).await.expect("it is there").digest, sent.digest);
        assert_eq!(source.told().iter().filter(|l| l.ends_with("Layer already exists")).count(), 4);

        // by digest, without a tag
        let by_digest = format!("{address}/team/app@{}", sent.digest);
        let other = Images::new();
        let came = other.pull(&by_digest).await.expect("it is there");
        assert_eq!((came.image.tags.len(), came.image.digests.len()), (0, 1));
        assert_eq!(other.store.resolve(&by_digest).expect("known by it").id, image.id);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn plain_layers_are_compressed_once_and_the_id_stays() {
    let ours = Ours::start(|_| ()).await;
    let source = Images::new();
    let archive = shelf::archive("plain:1", &[3_000_000, 10, 3_000_000], false);
    let image = source.store.load(&archive[..], &mut |_| ()).expect("a good archive").remove(0).image;
    let name = format!("{}/plain:1", ours.address);
    source.tag(&image, &name);
    let sent = source.push(&name).await.expect("the registry takes it");
    let now = source.store.resolve(&name).expect("still here");
    assert_eq!((&now.id, &now.manifest), (&image.id, &sent.digest));
    assert!(now.layers.iter().all(|layer| layer.blob.media_type.ends_with("+gzip")));
    assert_eq!(source.store.resolve("plain:1").expect("both names").id, image.id);
    assert!(source.clean().is_empty(), "the plain blobs are gone");
    let source = source.reopened();
    assert_eq!(source.push(&name).await.expect("again").digest, sent.digest);
    let target = Images::new();
    assert_eq!(target.pull(&name).await.expect("it is there").image.id, image.id);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_download_that_is_cut_goes_on_where_it_stopped() {
    let oracle = oracle!(&[]);
    let (source, name) = pushed(oracle.address(), "cut", &[3_000_000, 2_000_000]).await;
    let sizes: u64 = source.store.list()[0].layers.iter().map(|l| l.blob.size).sum();
    let cuts = Arc::new(AtomicUsize::new(0));
    let counted = cuts.clone();
    let meddler = Meddler::start(oracle.address(), move |head, before| {
        (is_blob(head) && before < 3 && !head.contains("range: bytes=29")).then(|| {
            counted.fetch_add(1, Ordering::Relaxed);
            Prank::Cut(700_000)
        })
    });
    let target = Images::new();
    let name = name.replace(&oracle.address().to_string(), &meddler.address.to_string());
    target.pull(&name).await.expect("in the end");
    assert!(cuts.load(Ordering::Relaxed) >= 4 && meddler.count("range: bytes=700000-") >= 2, "{:#?}", meddler.seen());
    let config = 2000;
    let came = meddler.bytes.load(Ordering::Relaxed) as u64;
    assert!(came < sizes + config + 100_000, "no byte twice: {came} of {sizes}");
    assert!(target.clean().is_empty());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_registry_that_knows_no_ranges_sends_all_of_it_and_the_known_part_is_passed_over() {
    let oracle = oracle!(&[]);
    let (_source, name) = pushed(oracle.address(), "ranges", &[1_500_000]).await;
    let meddler = Meddler::start(oracle.address(), |head, before| match (is_blob(head), before) {
        (true, 0) => Some(Prank::Cut(400_000)),
        (true, _) => Some(Prank::NoRange),
        _ => None,
    });
    let target = Images::new();
    target.pull(&name.replace(&oracle.address().to_string(), &meddler.address.to_string())).await.expect("in the end");
}

#[tokio::test(flavor = "multi_thread")]
async fn busy_registries_are_asked_again_and_told_times_are_kept() {
    let oracle = oracle!(&[]);
    let (_source, name) = pushed(oracle.address(), "busy", &[10_000, 20_000]).await;
    let meddler = Meddler::start(oracle.address(), |head, before| match before {
        0 if head.contains("/manifests/") => Some(Prank::Instead(429, "Retry-After: 1\r\n", "")),
        0 if is_blob(head) => Some(Prank::Instead(503, "", "busy")),
        1 if is_blob(head) => Some(Prank::Instead(500, "", "")),
        _ => None,
    });
    let target = Images::new();
    let began = Instant::now();
    target.pull(&name.replace(&oracle.address().to_string(), &meddler.address.to_string())).await.expect("in the end");
    assert!(began.elapsed() >= Duration::from_secs(1), "a second was asked for");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_wrong_byte_is_found_and_leaves_nothing() {
    let oracle = oracle!(&[]);
    let (source, name) = pushed(oracle.address(), "flip", &[200_000, 500_000]).await;
    let victim = source.store.list()[0].layers[1].blob.digest.clone();
    let wanted = victim.to_string();
    let meddler = Meddler::start(oracle.address(), move |head, _| {
        (is_blob(head) && head.contains(&wanted)).then_some(Prank::Flip(300_000))
    });
    let target = Images::new();
    let error = target
        .pull(&name.replace(&oracle.address().to_string(), &meddler.address.to_string()))
        .await
        .expect_err("it is not that");
    assert!(error.message().contains(&format!("filesystem layer verification failed for digest {victim}")), "{error}");
    assert!(target.store.list().is_empty());
    assert!(!target.clean().iter().any(|(half, _)| half == victim.hex()), "wrong bytes are not kept");
}

#[tokio::test(flavor = "multi_thread")]
async fn lies_about_sizes_are_refused() {
    let oracle = oracle!(&[]);
    let (source, name) = pushed(oracle.address(), "lies", &[200_000]).await;
    let layer = source.store.list()[0].layers[0].blob.clone();
    for (prank, words) in [
        (Prank::Header("content-length", (layer.size + 7).to_string()), "size mismatch"),
        (Prank::Header("content-length", (layer.size - 7).to_string()), "size mismatch"),
        (Prank::Instead(206, "Content-Range: bytes 0-9/10\r\n", "0123456789"), "size mismatch"),
        (Prank::Instead(206, "", "0123456789"), "without its Content-Range"),
        (
            Prank::Instead(404, "", r#"{"errors":[{"code":"BLOB_UNKNOWN","message":"blob unknown to registry"}]}"#),
            "blob unknown",
        ),
    ] {
        let wanted = layer.digest.to_string();
        let meddler =
            Meddler::start(oracle.address(), move |head, _| (is_blob(head) && head.contains(&wanted)).then(|| prank.clone()));
        let target = Images::new();
        let error =
            target.pull(&name.replace(&oracle.address().to_string(), &meddler.address.to_string())).await.expect_err(words);
        assert!(error.message().contains(words), "{words}: {error}");
        assert!(target.store.list().is_empty() && target.clean().is_empty());
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_manifest_that_is_not_what_it_is_called_is_refused() {
    let oracle = oracle!(&[]);
    let (_source, name) = pushed(oracle.address(), "manifest", &[1000]).await;
    for (prank, words) in [
        (Prank::Flip(40), "manifest verification failed"),
        (Prank::Instead(200, "", "{\"manifests\":[],\"layers\":[]}"), "manifest and index at once"),
        (Prank::Instead(200, "", "<html>"), "read the manifest"),
        (
            Prank::Instead(404, "", r#"{"errors":[{"code":"MANIFEST_UNKNOWN","message":"manifest unknown"}]}"#),
            "not found: manifest unknown",
        ),
    ] {
        let meddler = Meddler::start(oracle.address(), move |head, _| {
            (head.starts_with("GET") && head.contains("/manifests/")).then(|| prank.clone())
        });
        let target = Images::new();
        let error =
            target.pull(&name.replace(&oracle.address().to_string(), &meddler.address.to_string())).await.expect_err(words);
        assert!(error.message().contains(words), "{words}: {error}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_pull_that_is_broken_off_leaves_a_clean_store_and_the_next_one_goes_on() {
    let oracle = oracle!(&[]);
    let (source, name) = pushed(oracle.address(), "broken", &[600_000, 4_000_000]).await;
    let big = source.store.list()[0].layers[1].blob.clone();
    let stalled = big.digest.to_string();
    let meddler = Meddler::start(oracle.address(), move |head, before| {
        (before == 0 && head.contains(&stalled) && is_blob(head)).then_some(Prank::Stall(2_500_000))
    });
    let name = name.replace(&oracle.address().to_string(), &meddler.address.to_string());
    let target = Images::new();
    {
        let (images, told) = (&target, target.lines.clone());
        let pulling = images.pull(&name);
        tokio::pin!(pulling);
        let half = target.data().join("partial").join(big.digest.hex());
        let settled = async {
            let all_that_comes = || std::fs::metadata(&half).is_ok_and(|facts| facts.len() == 2_500_000);
            while !told.lock().expect("no panic").iter().any(|l| l.status.as_deref() == Some("Pull complete"))
                || !all_that_comes()
            {
                tokio::time::sleep(Duration::from_millis(5)).await;
            }
        };
        tokio::select! {
            done = &mut pulling => panic!("it cannot end: {done:?}"),
            () = settled => {}
        }
        // dropped here: Ctrl-C
    }
    assert!(target.store.list().is_empty());
    let half = target.clean();
    let left = half.iter().find(|(name, _)| name == big.digest.hex()).expect("half of it is kept").1;
    assert_eq!(left, 2_500_000, "{half:?}");
    assert_eq!(half.len(), 2, "and the whole first layer: {half:?}");
    let target = target.reopened();
    let before = meddler.bytes.load(Ordering::Relaxed);
    target.pull(&name).await.expect("in the end");
    assert!(meddler.count(&format!("range: bytes={left}-")) == 1, "{:#?}", meddler.seen());
    assert!((meddler.bytes.load(Ordering::Relaxed) - before) as u64 <= big.size - left + 100_000, "only the rest came");
    assert!(target.clean().is_empty());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_full_disk_is_named_and_given_back() {
    let ours = Ours::start(|_| ()).await;
    let (_source, name) = pushed(ours.address, "full", &[200_000, 9_000_000]).await;
    let (_small, fits) = pushed(ours.address, "fits", &[100_000]).await;
    let Some(target) = Images::on_small_disk(6000) else { return skip("no tmpfs can be mounted") };
    let error = target.pull(&name).await.expect_err("it cannot fit");
    // whichever write met the full disk: a blob's (by its errno), or a record's (in the library's words)
    let named = ["ENOSPC", "No space left on device"].iter().any(|words| error.message().contains(words));
    assert!(named, "{error}");
    assert!(target.store.list().is_empty());
    let left: u64 = target.clean().iter().map(|(_, size)| size).sum();
    assert!(left < 300_000, "the large one is gone, the small one may wait: {left}");
    target.pull(&fits).await.expect("there is room again");
    assert_eq!(target.store.list().len(), 1);
    target.unmount();
}

#[tokio::test(flavor = "multi_thread")]
async fn two_pulls_of_one_image_share_the_work() {
    let oracle = oracle!(&[]);
    let (_source, name) = pushed(oracle.address(), "shared", &[1_000_000, 1_000_000]).await;
    let meddler = Meddler::start(oracle.address(), |_, _| None);
    let name = name.replace(&oracle.address().to_string(), &meddler.address.to_string());
    let target = Images::new();
    let (one, two, three) = tokio::join!(target.pull(&name), target.pull(&name), target.pull(&name));
    let ids = [one, two, three].map(|pulled| pulled.expect("it is there").image.id);
    assert!(ids[0] == ids[1] && ids[1] == ids[2]);
    let blobs: Vec<String> =
        meddler.seen().into_iter().filter(|head| is_blob(head)).map(|h| h.lines().next().unwrap_or_default().into()).collect();
    let once: std::collections::BTreeSet<&String> = blobs.iter().collect();
    assert_eq!(once.len(), blobs.len(), "each blob once: {blobs:#?}");
    assert!(target.clean().is_empty());
}

#[tokio::test(flavor = "multi_thread")]
async fn images_that_share_layers_in_another_order_do_not_wait_in_a_circle() {
    let ours = Ours::start(|_| ()).await;
    let source = Images::new();
    let mut names = Vec::new();
    for (nth, sizes) in [[400_000, 500_000, 600_000], [600_000, 500_000, 400_000]].iter().enumerate() {
        // the same files in both, so the same layers: their names carry nothing but the size
        let image = source.make(&format!("o{nth}:1"), sizes);
        let name = format!("{}/order{nth}:1", ours.address);
        source.tag(&image, &name);
        source.push(&name).await.expect("the registry takes it");
        names.push(name);
    }
    let target = Images::new();
    let both =
        async { tokio::join!(target.pull(&names[0]), target.pull(&names[1]), target.pull(&names[0]), target.pull(&names[1])) };
    let (a, b, c, d) = tokio::time::timeout(Duration::from_secs(60), both).await.expect("no circle");
    assert!(a.is_ok() && b.is_ok() && c.is_ok() && d.is_ok());
    assert!(target.clean().is_empty());
}

#[tokio::test(flavor = "multi_thread")]
async fn an_upload_that_is_cut_goes_on_where_it_stopped() {
    let oracle = oracle!(&[]);
    let ours = Ours::start(|_| ()).await;
    for upstream in [oracle.address(), ours.address] {
        // ours goes on in the middle of a request; distribution forgets the upload and begins anew
        let cuts = AtomicUsize::new(0);
        let meddler = Meddler::start(upstream, move |head, _| {
            (head.starts_with("PATCH") && cuts.fetch_add(1, Ordering::Relaxed) == 0).then_some(Prank::Cut(900_000))
        });
        let source = Images::new();
        let image = source.make("made:1", &[3_000_000]);
        let name = format!("{}/upload:1", meddler.address);
        source.tag(&image, &name);
        source.push(&name).await.expect("in the end");
        assert!(upstream != ours.address || meddler.count("content-range: ") == 1, "{:#?}", meddler.seen());
        let target = Images::new();
        assert_eq!(
            target.pull(&name.replace(&meddler.address.to_string(), &upstream.to_string())).await.expect("whole").image.id,
            image.id
        );
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn what_another_repository_has_is_mounted() {
    let oracle = oracle!(&[]);
    let ours = Ours::start(|_| ()).await;
    for address in [oracle.address(), ours.address] {
        let (source, name) = pushed(address, "first", &[100_000, 100_001]).await;
        let image = source.store.resolve(&name).expect("here");
        let second = format!("{address}/second");
        source.tag(&image, &second);
        source.lines.lock().expect("no panic").clear();
        source.push(&second).await.expect("it takes it");
        assert_eq!(source.told().iter().filter(|l| l.ends_with("Mounted from first")).count(), 2, "{:#?}", source.told());
        Images::new().pull(&second).await.expect("all of it is there");
    }
}

fn htpasswd(folder: &std::path::Path) -> Option<std::path::PathBuf> {
    let made = Command::new("htpasswd").args(["-Bbn", "ann", "s3cret"]).output().ok()?;
    let file = folder.join("htpasswd");
    std::fs::write(&file, made.stdout).ok()?;
    Some(file)
}

#[tokio::test(flavor = "multi_thread")]
async fn names_and_passwords_are_asked_for_and_told_only_where_they_belong() {
    let folder = tempfile::tempdir().expect("a folder");
    let Some(file) = htpasswd(folder.path()) else { return skip("htpasswd is not installed") };
    let path = file.display().to_string();
    let oracle = oracle!(&[
        ("REGISTRY_AUTH", "htpasswd"),
        ("REGISTRY_AUTH_HTPASSWD_REALM", "lab"),
        ("REGISTRY_AUTH_HTPASSWD_PATH", &path)
    ]);
    let ours = Ours::start(|options| options.htpasswd = Some(file.clone())).await;
    let (ann, wrong) = (Credentials::basic("ann", "s3cret"), Credentials::basic("ann", "wrong"));
    for address in [oracle.address(), ours.address] {
        let source = Images::new();
        let image = source.make("made:1", &[1000]);
        let name = format!("{address}/private:1");
        source.tag(&image, &name);
        assert_eq!(source.push(&name).await.expect_err("nobody may").kind(), Kind::Forbidden);
        assert_eq!(source.push_as(&name, &wrong).await.expect_err("not so").kind(), Kind::Forbidden);
        source.push_as(&name, &ann).await.expect("ann may");
        let error = Images::new().pull(&name).await.expect_err("nobody may");
        assert!(error.message().contains("no basic auth credentials"), "{error}");
        assert!(Images::new().pull_as(&name, &wrong).await.expect_err("not so").message().contains("pull access denied"));
        Images::new().pull_as(&name, &ann).await.expect("ann may");
        let place = Reference::parse(&name).expect("a name");
        let opened = source.client.repository(&place, &Purpose::LogIn, &ann).await.expect("it answers");
        assert_eq!(opened.session.log_in().await.expect("a login"), "");
        let opened = source.client.repository(&place, &Purpose::LogIn, &wrong).await.expect("it answers");
        assert_eq!(opened.session.log_in().await.expect_err("a wrong password").kind(), Kind::Forbidden);
    }
    // a redirect to another host gets no Authorization
    let elsewhere = Meddler::start(ours.address, |_, _| Some(Prank::Instead(404, "", "")));
    let address = elsewhere.address;
    let target: &'static str = Box::leak(format!("Location: http://{address}/stolen\r\n").into_boxed_str());
    let meddler = Meddler::start(ours.address, move |head, _| is_blob(head).then_some(Prank::Instead(307, target, "")));
    let _ = Images::new().pull_as(&format!("{}/private:1", meddler.address), &ann).await.expect_err("nothing is there");
    assert!(meddler.count("authorization: Basic") > 0 && elsewhere.count("GET /stolen") > 0);
    assert_eq!(elsewhere.count("authorization:"), 0, "{:#?}", elsewhere.seen());
}

#[tokio::test(flavor = "multi_thread")]
async fn tokens_are_fetched_for_a_scope_and_fetched_anew_when_they_expire() {
    let ours = Ours::start(|_| ()).await;
    let (_source, name) = pushed(ours.address, "token", &[10_000, 20_000]).await;
    let served = Arc::new(AtomicUsize::new(0));
    let issued = served.clone();
    let auth = Meddler::start(ours.address, move |_, _| {
        let n = issued.fetch_add(1, Ordering::Relaxed);
        let body: &'static str = Box::leak(format!("{{\"access_token\":\"t{n}\",\"expires_in\":300}}").into_boxed_str());
        Some(Prank::Instead(200, "Content-Type: application/json\r\n", body))
    });
    let challenge: &'static str = Box::leak(
        format!("WWW-Authenticate: Bearer realm=\"http://{}/token?a=b\",service=\"lab\"\r\n", auth.address).into_boxed_str(),
    );
    // the first token is good for manifests only: the blobs find it expired
    let meddler = Meddler::start(ours.address, move |head, _| {
        let good = match is_blob(head) {
            true => head.contains("authorization: Bearer t1"),
            false => head.contains("authorization: Bearer t"),
        };
        (!good).then_some(Prank::Instead(401, challenge, ""))
    });
    let target = Images::new();
    let name = name.replace(&ours.address.to_string(), &meddler.address.to_string());
    target.pull_as(&name, &Credentials::basic("ann", "pw")).await.expect("in the end");
    let asked = auth.seen().remove(0);
    assert!(asked.starts_with("GET /token?a=b&service=lab&scope=repository%3Atoken%3Apull&account=ann HTTP/1.1"), "{asked}");
    assert!(asked.contains("authorization: Basic YW5uOnB3"));
    assert!(served.load(Ordering::Relaxed) <= 4);
    let identity = Credentials::from_json(br#"{"identitytoken":"r3fresh"}"#).expect("good");
    let before = auth.seen().len();
    served.store(1, Ordering::Relaxed);
    Images::new().pull_as(&name, &identity).await.expect("a token for a token");
    assert!(auth.seen()[before].starts_with("POST /token"));
}

/// A CA, a server's certificate for 127.0.0.1 and a client's, made by openssl.
fn certificates(folder: &std::path::Path) -> bool {
    let script = "set -e
        openssl req -x509 -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes -days 2 -subj /CN=ca -keyout ca.key -out ca.crt
        for who in server client; do
            openssl req -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes -subj /CN=$who -keyout $who.key -out $who.csr
            printf 'subjectAltName=IP:127.0.0.1,DNS:localhost' >$who.ext
            openssl x509 -req -in $who.csr -CA ca.crt -CAkey ca.key -CAcreateserial -days 2 -extfile $who.ext -out $who.crt
        done";
    Command::new("sh").args(["-c", script]).current_dir(folder).output().is_ok_and(|made| made.status.success())
}

#[tokio::test(flavor = "multi_thread")]
async fn a_ca_of_ones_own_is_believed_where_it_was_laid_down_and_a_client_shows_its_certificate() {
    let folder = tempfile::tempdir().expect("a folder");
    if !certificates(folder.path()) {
        return skip("openssl is not installed");
    }
    let file = |name: &str| folder.path().join(name).display().to_string();
    let (certificate, key, ca) = (file("server.crt"), file("server.key"), file("ca.crt"));
    let oracle = oracle!(&[
        ("REGISTRY_HTTP_TLS_CERTIFICATE", &certificate),
        ("REGISTRY_HTTP_TLS_KEY", &key),
        ("REGISTRY_HTTP_TLS_CLIENTCAS", &format!("[{ca}]"))
    ]);
    let ours = Ours::start(|options| options.tls = Some((certificate.clone().into(), key.clone().into()))).await;
    let certs = folder.path().join("certs.d");
    let lay = |host: String, files: &[(&str, &str)]| {
        let home = certs.join(host);
        std::fs::create_dir_all(&home).expect("room");
        for (from, to) in files {
            std::fs::copy(folder.path().join(from), home.join(to)).expect("room");
        }
    };
    let with = || RegistryConfig { certs: vec![certs.clone()], ..RegistryConfig::default() };
    // loopback: an unknown CA is passed over, until one is laid down for this host
    let source = Images::with(with());
    let image = source.make("made:1", &[1000]);
    let name = format!("{}/tls:1", ours.address);
    source.tag(&image, &name);
    source.push(&name).await.expect("loopback needs no CA");
    lay(ours.address.to_string(), &[("client.crt", "ca.crt")]);
    let error = Images::with(with()).pull(&name).await.expect_err("another CA");
    assert!(error.message().contains("tls: invalid peer certificate"), "{error}");
    lay(ours.address.to_string(), &[("ca.crt", "ca.crt")]);
    Images::with(with()).pull(&name).await.expect("its CA is believed");
    // a registry that wants to see who we are
    let there = format!("{}/tls:1", oracle.address());
    source.tag(&image, &there);
    assert!(source.push(&there).await.is_err(), "no certificate, no entry");
    lay(oracle.address().to_string(), &[("ca.crt", "ca.crt"), ("client.crt", "client.cert")]);
    let error = Images::with(with()).pull(&there).await.expect_err("half of it is missing");
    assert!(error.message().contains("missing key"), "{error}");
    lay(oracle.address().to_string(), &[("client.key", "client.key")]);
    let source = Images::with(with());
    let image = source.make("made:1", &[1000]);
    source.tag(&image, &there);
    source.push(&there).await.expect("who we are is known");
    Images::with(with()).pull(&there).await.expect("and may read");
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_refused_by_tls_is_neither_asked_for_in_the_clear_nor_answered_by_a_stand_in() {
    let folder = tempfile::tempdir().expect("a folder");
    if !certificates(folder.path()) {
        return skip("openssl is not installed");
    }
    let Some(passwords) = htpasswd(folder.path()) else { return skip("htpasswd is not installed") };
    let file = |name: &str| folder.path().join(name);
    let ours = Ours::start(|options| {
        options.tls = Some((file("server.crt"), file("server.key")));
        options.htpasswd = Some(passwords.clone());
    })
    .await;
    let target = Images::new();
    let name = format!("{}/alpine:latest", ours.address);
    let changes = [format!("LABEL {}=yes", minidock_registry::pull::stand_in::LABEL)];
    let empty = tar::Builder::new(Vec::new()).into_inner().expect("memory");
    target.store.import(&empty[..], Some(Reference::parse(&name).expect("a name")), &changes, "").expect("an image");
    for wanted in [name, format!("{}/other:1", ours.address)] {
        let error = target.pull(&wanted).await.expect_err("nobody said who asks");
        let told = error.message();
        assert!(told.contains("https://") && told.contains("no basic auth credentials"), "{told}");
        assert_eq!(error.kind(), Kind::Forbidden);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_mirror_is_asked_first_and_told_whose_content_is_meant() {
    let ours = Ours::start(|_| ()).await;
    let source = Images::new();
    let image = source.make("made:1", &[5000]);
    let name = format!("{}/library/alpine:latest", ours.address);
    source.tag(&image, &name);
    source.push(&name).await.expect("the mirror takes it");
    let meddler = Meddler::start(ours.address, |_, _| None);
    let hub = format!("http://127.0.0.1:{}", shelf::free_port()); // nobody is there, and nobody beyond loopback is asked
    let mirrors = vec![format!("http://127.0.0.1:{}", shelf::free_port()), format!("http://{}", meddler.address)];
    let config = RegistryConfig { mirrors, hub, certs: Vec::new(), ..RegistryConfig::default() };
    let target = Images::with(config);
    let hub = Credentials::basic("ann", "hub-password");
    let came = target.pull_as("alpine", &hub).await.expect("the mirror has it");
    assert_eq!((came.image.id, target.told()[0].as_str()), (image.id, "latest: Pulling from library/alpine"));
    assert!(meddler.count("?ns=docker.io") > 0);
    assert_eq!(meddler.count("authorization:"), 0, "the Hub's password is not the mirror's business");
}

#[tokio::test(flavor = "multi_thread")]
async fn lists_are_read_page_by_page_and_searched() {
    let oracle = oracle!(&[]);
    let ours = Ours::start(|_| ()).await;
    for address in [oracle.address(), ours.address] {
        let source = Images::new();
        let image = source.make("made:1", &[100]);
        for name in ["web:1", "web:2", "web:3", "team/web:1", "db:1"] {
            let name = format!("{address}/{name}");
            source.tag(&image, &name);
            source.push(&name).await.expect("it takes it");
        }
        let paged = Meddler::start(address, |_, _| None);
        let web = Reference::parse(&format!("{}/web", paged.address)).expect("a name");
        let nobody = Credentials::default();
        let mut tags =
            source.client.repository(&web, &Purpose::Pull, &nobody).await.expect("there").tags().await.expect("a list");
        tags.sort();
        assert_eq!(tags, ["1", "2", "3"]);
        let domain = paged.address.to_string();
        assert_eq!(listing::repositories(&source.client, &domain, &nobody).await.expect("a list"), ["db", "team/web", "web"]);
        let found = listing::search(&source.client, &format!("{domain}/web"), 9, &nobody).await.expect("a list");
        assert_eq!(
            found.into_iter().map(|f| f.name).collect::<Vec<_>>(),
            [format!("{domain}/team/web"), format!("{domain}/web")]
        );
        let all = source.client.repository(&web, &Purpose::Pull, &nobody).await.expect("there");
        assert_eq!(
            all.resolve("1").await.expect("there").0,
            source.store.resolve(&format!("{address}/web:1")).expect("here").manifest
        );
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn nobody_there_is_said_at_once_and_a_stand_in_answers_for_itself() {
    let port = shelf::free_port();
    let target = Images::new();
    let began = Instant::now();
    let error = target.pull(&format!("127.0.0.1:{port}/x")).await.expect_err("nobody is there");
    assert_eq!(error.kind(), Kind::Unavailable);
    assert!(error.message().contains("connection refused") && began.elapsed() < Duration::from_secs(2), "{error}");
    assert!(error.hint_text().is_some_and(|hint| hint.contains("make images")), "{error}");
    // the same name, built here and labelled so
    let name = format!("127.0.0.1:{port}/alpine:latest");
    let changes = [format!("LABEL {}=yes", minidock_registry::pull::stand_in::LABEL)];
    let empty = tar::Builder::new(Vec::new()).into_inner().expect("memory");
    let image =
        target.store.import(&empty[..], Some(Reference::parse(&name).expect("a name")), &changes, "").expect("an image");
    let came = target.pull(&name).await.expect("the stand-in");
    assert_eq!((came.image.id, came.newer), (image.id.clone(), false));
    let told = target.told();
    assert_eq!(told.last().expect("lines"), &format!("Status: Image is up to date for {name}"));
    assert!(
        told.iter().any(|l| l.contains("is a stand-in built on this machine") && l.contains("could not be asked")),
        "{told:#?}"
    );
    // an image without the label is not good enough
    let other = format!("127.0.0.1:{port}/other:latest");
    target.store.import(&empty[..], Some(Reference::parse(&other).expect("a name")), &[], "").expect("an image");
    assert!(target.pull(&other).await.is_err());
}

#[tokio::test(flavor = "multi_thread")]
async fn our_registry_keeps_uploads_and_names_apart() {
    let ours = Ours::start(|_| ()).await;
    let (_source, name) = pushed(ours.address, "a", &[1000]).await;
    // what one repository has, another does not hand out
    let images = Images::new();
    let layer = images.make("made:1", &[1000]).layers[0].blob.digest.clone();
    let other = Reference::parse(&name.replace("/a", "/b")).expect("a name");
    let repository = images.client.repository(&other, &Purpose::Pull, &Credentials::default()).await.expect("it answers");
    assert!(!repository.has_blob(&layer).await.expect("an answer"));
    let unknown = Digest::of(b"never seen");
    assert!(repository.manifest(unknown.as_str()).await.is_err());
    assert!(repository.put_manifest("x", "application/vnd.oci.image.manifest.v1+json", br#"{"config":{"digest":"sha256:0000000000000000000000000000000000000000000000000000000000000000"},"layers":[]}"#).await.is_err());
}

/// One request to a registry in so many words: status, header lines in lower case, body.
fn asked(address: SocketAddr, words: &str, body: &[u8]) -> (u16, String, Vec<u8>) {
    let mut stream = TcpStream::connect(address).expect("it listens");
    let head = format!("{words} HTTP/1.1\r\nHost: {address}\r\nConnection: close\r\nContent-Length: {}\r\n\r\n", body.len());
    stream.write_all(head.as_bytes()).and_then(|()| stream.write_all(body)).expect("it takes it");
    let mut all = Vec::new();
    stream.read_to_end(&mut all).expect("it answers");
    let end = all.windows(4).position(|four| four == b"\r\n\r\n").expect("a head");
    let head = String::from_utf8_lossy(&all[..end]).to_ascii_lowercase();
    let status = head.split(' ').nth(1).and_then(|code| code.parse().ok()).expect("a status");
    (status, head, all[end + 4..].to_vec())
}

#[tokio::test(flavor = "multi_thread")]
async fn our_registry_keeps_what_is_known_by_the_longer_hash_too() {
    let ours = Ours::start(|_| ()).await;
    let at = |words: &str, body: &[u8]| asked(ours.address, words, body);
    let name = |bytes: &[u8]| format!("sha512:{}", hex::encode(Sha512::digest(bytes)));
    let (blob, config) = (b"a layer".to_vec(), b"{}".to_vec());
    for bytes in [&blob, &config] {
        let (status, head, _) = at(&format!("POST /v2/a/blobs/uploads/?digest={}", name(bytes)), bytes);
        assert!(status == 201 && head.contains(&format!("docker-content-digest: {}", name(bytes))), "{head}");
        assert_eq!(at(&format!("GET /v2/a/blobs/{}", name(bytes)), b"").2, *bytes);
    }
    let wrong = at(&format!("POST /v2/a/blobs/uploads/?digest={}", name(b"other")), &blob);
    assert_eq!(wrong.0, 400, "{}", wrong.1);
    let short = at(&format!("GET /v2/a/blobs/{}", Digest::of(&blob)), b"");
    assert_eq!(short.0, 404, "it was never pushed under that name");
    let mounted = at(&format!("POST /v2/b/blobs/uploads/?mount={}&from=a", name(&blob)), b"");
    assert_eq!(mounted.0, 201, "{}", mounted.1);
    let manifest = format!(
        r#"{{"schemaVersion":2,"mediaType":"application/vnd.oci.image.manifest.v1+json","config":{{"digest":"{}","size":2}},"layers":[{{"digest":"{}","size":7}}]}}"#,
        name(&config),
        name(&blob)
    );
    let place = format!("/v2/a/manifests/{}", name(manifest.as_bytes()));
    assert_eq!(at(&format!("PUT {place}"), manifest.as_bytes()).0, 201);
    assert_eq!(at(&format!("GET {place}"), b"").2, manifest.as_bytes());
    let (status, head, _) = at(&format!("PUT {place}?tag=1.2&tag=latest"), manifest.as_bytes());
    assert!(status == 201 && head.contains("oci-tag: 1.2, latest"), "{head}");
    for tag in ["1.2", "latest"] {
        let (_, head, _) = at(&format!("HEAD /v2/a/manifests/{tag}"), b"");
        assert!(head.contains(&format!("docker-content-digest: {}", name(manifest.as_bytes()))), "{head}");
    }
    assert_eq!(at(&format!("PUT {place}?tag=.x"), manifest.as_bytes()).0, 400);
    assert_eq!(at(&format!("PUT /v2/a/manifests/{}", name(b"another")), manifest.as_bytes()).0, 400);
    assert_eq!(at(&format!("DELETE {place}"), b"").0, 202);
    assert_eq!(at(&format!("GET {place}"), b"").0, 404);
    assert_eq!(at(&format!("GET /v2/a/blobs/sha512:{}", &Digest::of(&blob).hex()), b"").0, 400, "too short for that hash");
}
