//! # The builder, from outside
//!
//! Whole builds through the command line and the API: what is built, what is cached, what fails and how, what is left behind.
//! Compared with Docker's own builder in `tests/peers/build.sh`.

#[path = "props/mod.rs"]
mod props;

use props::{Daemon, Printed, skip, wait_for};
use std::{
    fs,
    io::{BufRead, BufReader, Read, Write},
    net::TcpListener,
    os::unix::ffi::OsStrExt,
    path::PathBuf,
};

/// A folder with a Dockerfile and these files; names that end in a slash are folders.
fn context(daemon: &Daemon, name: &str, dockerfile: &str, files: &[(&str, &str)]) -> PathBuf {
    let folder = daemon.folder.join(name);
    fs::create_dir_all(&folder).expect("room");
    for (file, content) in [("Dockerfile", dockerfile)].iter().chain(files) {
        let path = folder.join(file);
        match file.ends_with('/') {
            true => fs::create_dir_all(path).expect("room"),
            false => {
                fs::create_dir_all(path.parent().expect("a folder")).expect("room");
                fs::write(path, content).expect("room");
            }
        }
    }
    folder
}

fn build(daemon: &Daemon, folder: &std::path::Path, words: &[&str]) -> Printed {
    let folder = folder.display().to_string();
    let mut all = vec!["build", "-t", "it"];
    all.extend(words);
    all.push(&folder);
    daemon.run(&all)
}

/// Which steps were found in the cache.
fn cached(out: &str) -> Vec<bool> {
    let steps: Vec<&str> = out.split("Step ").skip(1).collect();
    steps.iter().map(|step| step.contains("---> Using cache")).collect()
}

#[test]
fn one_changed_byte_is_never_served_stale_and_a_touched_file_is() {
    let daemon = Daemon::start();
    let file = "FROM alpine\nRUN echo 1 > /one\nCOPY a /a\nRUN cat /a > /b\n";
    let folder = context(&daemon, "c", file, &[("a", "x")]);
    assert_eq!(cached(&build(&daemon, &folder, &[]).ok()), [false; 4]);
    assert_eq!(cached(&build(&daemon, &folder, &[]).ok()), [false, true, true, true]);
    fs::write(folder.join("a"), "x").expect("room"); // another time, the same content
    assert_eq!(cached(&build(&daemon, &folder, &[]).ok()), [false, true, true, true]);
    fs::write(folder.join("a"), "y").expect("room");
    assert_eq!(cached(&build(&daemon, &folder, &[]).ok()), [false, true, false, false]);
    assert_eq!(daemon.ok(&["run", "--rm", "it", "cat", "/b"]), "y");
    assert_eq!(cached(&build(&daemon, &folder, &["--no-cache"]).ok()), [false; 4]);
}

#[test]
fn a_failing_step_gives_its_code_names_its_command_and_tags_nothing() {
    let daemon = Daemon::start();
    let folder = context(&daemon, "c", "FROM alpine\nRUN echo before\nRUN echo said && exit 7\n", &[]);
    let failed = build(&daemon, &folder, &["--force-rm"]);
    assert_eq!(failed.status, 7, "{failed:?}");
    assert!(failed.err.contains("The command '/bin/sh -c echo said && exit 7' returned a non-zero code: 7"), "{failed:?}");
    assert!(failed.err.contains("line 3 of Dockerfile") && failed.out.contains("said"), "{failed:?}");
    assert_ne!(daemon.run(&["image", "inspect", "it"]).status, 0);
    assert_eq!(daemon.ok(&["ps", "-aq"]), "", "--force-rm leaves no container");
    assert_eq!(cached(&build(&daemon, &folder, &[]).out), [false, true, false], "what was finished stays as cache");
    assert_eq!(daemon.ok(&["ps", "-aq"]).lines().count(), 1, "without it the failed one stays for a look, as in Docker");
}

#[test]
fn only_needed_stages_are_built_and_files_come_from_others() {
    let daemon = Daemon::start();
    let file = "FROM alpine AS build\nRUN mkdir /out && echo made > /out/x\nFROM alpine AS unneeded\nRUN exit 1\nFROM alpine AS beside\nRUN echo 2 > /y\n\
                FROM scratch\nCOPY --from=build /out /bin/\nCOPY --from=beside /y /\nCOPY --from=busybox /bin/busybox /bin/sh\nCMD [\"/bin/sh\", \"-c\", \"echo fine\"]\n";
    let folder = context(&daemon, "c", file, &[]);
    let out = build(&daemon, &folder, &[]).ok();
    assert!(out.contains("Step 9/9") && !out.contains("exit 1"), "{out}");
    assert_eq!(daemon.ok(&["run", "--rm", "it"]), "fine");
    let target = build(&daemon, &folder, &["--target", "build"]).ok();
    assert!(target.contains("Step 2/2"), "{target}");
    let wrong = build(&daemon, &folder, &["--target", "biuld"]);
    assert!(wrong.err.contains("did you mean build?"), "{wrong:?}");
}

#[test]
fn mounts_of_a_run_leave_no_trace_and_caches_survive() {
    let daemon = Daemon::start();
    let file = "FROM alpine AS src\nRUN echo from-src > /f\nFROM alpine\n\
                RUN --mount=type=cache,target=/var/mycache --mount=type=secret,id=token --mount=type=tmpfs,target=/t --mount=type=bind,from=src,source=/f,target=/in/f \
                echo again >> /var/mycache/n; cp /var/mycache/n /n; cat /run/secrets/token > /len; cat /in/f >> /len; touch /t/x\n";
    let folder = context(&daemon, "c", file, &[]);
    fs::write(daemon.folder.join("secret"), "s3cret\n").expect("room");
    let secret = format!("id=token,src={}", daemon.folder.join("secret").display());
    let out = build(&daemon, &folder, &["--secret", &secret]).ok();
    assert!(!out.contains("s3cret"), "{out}");
    assert_eq!(
        daemon.ok(&["run", "--rm", "it", "sh", "-c", "cat /len; ls -d /var/mycache /t /in /run/secrets 2>/dev/null; cat /n"]),
        "s3cret\nfrom-src\nagain"
    );
    build(&daemon, &folder, &["--no-cache", "--secret", &secret]).ok();
    assert_eq!(daemon.ok(&["run", "--rm", "it", "cat", "/n"]), "again\nagain", "the cache's folder survives");
    assert!(!daemon.ok(&["history", "--no-trunc", "it"]).contains("s3cret"));
    let caches = |daemon: &Daemon| daemon.ok(&["system", "df", "--format", "{{.Type}} {{.TotalCount}}"]);
    assert!(caches(&daemon).contains("Build Cache 1"), "{}", caches(&daemon));
    let pruned = daemon.ok(&["builder", "prune", "-f"]);
    assert!(caches(&daemon).contains("Build Cache 0"), "{}", caches(&daemon));
    assert!(pruned.contains("Total reclaimed space"), "{pruned}");
    build(&daemon, &folder, &["--no-cache", "--secret", &secret]).ok();
    assert_eq!(daemon.ok(&["run", "--rm", "it", "cat", "/n"]), "again");
}

#[test]
fn heredocs_are_scripts_and_files() {
    let daemon = Daemon::start();
    let file = "FROM alpine\nARG WHO=you\nRUN <<EOF\necho one > /o\necho two >> /o\nEOF\nRUN cat <<'X' > /raw\n$HOME\nX\n\
                COPY <<EOF <<\"RAW\" /docs/\nhello $WHO\nEOF\n$WHO\nRAW\nCOPY --chmod=755 <<script /bin/hi\n#!/bin/sh\necho hi\nscript\n\
                RUN <<EOF\n#!/bin/busybox sh\necho own > /own\nEOF\n";
    let folder = context(&daemon, "c", file, &[]);
    build(&daemon, &folder, &[]).ok();
    let seen = daemon.ok(&["run", "--rm", "it", "sh", "-c", "cat /o /raw /docs/EOF /docs/RAW /own; hi"]);
    assert_eq!(seen, "one\ntwo\n$HOME\nhello you\n$WHO\nown\nhi");
}

#[test]
fn the_same_context_from_an_empty_cache_gives_the_same_image() {
    let daemon = Daemon::start();
    let file = "FROM alpine\nCOPY . /app/\nRUN date > /dev/null; mkdir /made && echo x > /made/x\nENV A=1\n";
    let folder = context(&daemon, "c", file, &[("a", "1"), ("b/c", "2")]);
    let id = |daemon: &Daemon| {
        build(daemon, &folder, &["--reproducible", "--no-cache"]).ok();
        daemon.ok(&["image", "inspect", "-f", "{{.Id}}", "it"])
    };
    let first = id(&daemon);
    fs::write(folder.join("a"), "1").expect("room");
    assert_eq!(id(&daemon), first, "times of files do not count");
    fs::write(folder.join("a"), "3").expect("room");
    assert_ne!(id(&daemon), first);
}

#[test]
fn contexts_come_from_standard_input_and_dockerfiles_from_elsewhere() {
    let daemon = Daemon::start();
    let folder =
        context(&daemon, "c", "FROM alpine\nCOPY . /all/\n", &[("a", "1"), (".dockerignore", "*ocker*\nskip"), ("skip/x", "")]);
    fs::write(daemon.folder.join("Other"), "FROM alpine\nCOPY . /other/\n").expect("room");
    build(&daemon, &folder, &[]).ok();
    assert_eq!(daemon.ok(&["run", "--rm", "it", "find", "/all", "-type", "f"]), "/all/a");
    build(&daemon, &folder, &["-f", &daemon.folder.join("Other").display().to_string()]).ok();
    assert!(daemon.ok(&["run", "--rm", "it", "ls", "-A", "/other"]).lines().any(|l| l == "a"));
    let piped = daemon.sh("printf 'FROM alpine\\nRUN echo piped > /p\\n' | minidock build -t it -").ok();
    assert!(piped.contains("Successfully tagged it:latest"), "{piped}");
    let tar = daemon.sh(&format!("tar -C {} -cz . | minidock build -t it -", folder.display())).ok();
    assert!(tar.contains("Successfully built"), "{tar}");
    let quiet = daemon.sh("printf 'FROM alpine\\nRUN echo noise\\n' | minidock build -q --iidfile id -").ok();
    assert_eq!(quiet.trim(), fs::read_to_string(daemon.folder.join("id")).expect("written"));
    assert!(quiet.starts_with("sha256:"), "{quiet}");
}

#[test]
fn a_mistake_names_file_line_and_word() {
    let daemon = Daemon::start();
    for (file, words) in [
        ("FROM alpine\nRUNN x\n", "on line 2 of Dockerfile: unknown instruction: RUNN (did you mean RUN?)"),
        (
            "FROM alpine\nCOPY nosuch /x\n",
            "COPY failed: file not found in build context or excluded by .dockerignore: stat nosuch",
        ),
        ("FROM alpine\nCOPY ../x /x\n", "forbidden path outside the build context"),
        ("FROM alpine\nENV A=$A$A\nENV B=${A:?gone}\n", "A: gone"),
    ] {
        let folder = context(&daemon, "c", file, &[]);
        let failed = build(&daemon, &folder, &[]);
        assert!(failed.status != 0 && failed.err.contains(words), "{file}: {failed:?}");
    }
    let none = daemon.run(&["build", "-t", "x", "/nonexistent"]);
    assert!(none.err.contains("unable to prepare context"), "{none:?}");
    let two = daemon.run(&["build", "x", "."]);
    assert!(two.err.contains("requires exactly 1 argument") && two.err.contains("-t"), "A33: {two:?}");
}

#[test]
fn a_client_that_goes_away_leaves_no_container_and_no_half_layer() {
    let daemon = Daemon::start();
    let folder = context(&daemon, "c", "FROM alpine\nRUN sleep 1000\n", &[]);
    let mut client = daemon.command(&["build", "-t", "it", &folder.display().to_string()]);
    let mut child = client.stdout(std::process::Stdio::null()).spawn().expect("starts");
    wait_for("its container", || !daemon.ok(&["ps", "-q"]).is_empty());
    child.kill().expect("running");
    child.wait().expect("ended");
    wait_for("no container", || daemon.ok(&["ps", "-aq"]).is_empty());
    wait_for("an empty scratch folder", || fs::read_dir(daemon.data_root().join("tmp")).expect("there").next().is_none());
    assert_ne!(daemon.run(&["image", "inspect", "it"]).status, 0);
}

#[test]
fn a_daemon_that_is_killed_in_a_step_sweeps_it_away() {
    let mut daemon = Daemon::start();
    let folder = context(&daemon, "c", "FROM alpine\nRUN sleep 1000\n", &[]);
    let mut client = daemon.command(&["build", &folder.display().to_string()]);
    let mut child = client.stdout(std::process::Stdio::null()).stderr(std::process::Stdio::null()).spawn().expect("starts");
    wait_for("its container", || !daemon.ok(&["ps", "-q"]).is_empty());
    daemon.kill();
    child.wait().expect("ended");
    daemon.up();
    wait_for("no container", || daemon.ok(&["ps", "-aq"]).is_empty());
}

#[test]
fn concurrent_builds_share_what_is_there_and_do_not_disturb_each_other() {
    let daemon = Daemon::start();
    let folder = context(&daemon, "c", "FROM alpine\nRUN echo shared > /s\nCOPY a /a\n", &[("a", "1")]);
    build(&daemon, &folder, &[]).ok();
    let folder = folder.display().to_string();
    let all: Vec<Printed> = std::thread::scope(|scope| {
        let daemon = &daemon;
        let one = |nth: usize| {
            let (folder, name) = (folder.clone(), format!("n{nth}"));
            scope.spawn(move || daemon.run(&["build", "-t", &name, &folder]))
        };
        let running: Vec<_> = (0..6).map(one).collect();
        running.into_iter().map(|thread| thread.join().expect("no panic")).collect()
    });
    for out in all {
        assert_eq!(cached(&out.ok()), [false, true, true]);
    }
}

#[test]
fn image_prune_takes_nothing_from_a_build_that_is_under_way() {
    let daemon = Daemon::start();
    let file =
        "FROM alpine\nRUN echo 1 > /one\nRUN --network=none while [ ! -e /gate/open ]; do sleep 0.01; done\nRUN cat /one\n";
    let file = file.replace("RUN --network=none", "RUN --mount=type=cache,target=/gate");
    let folder = context(&daemon, "c", &file, &[]);
    let gate = "FROM alpine\nRUN --mount=type=cache,target=/gate touch /gate/open\n";
    let opens = context(&daemon, "gate", gate, &[]);
    std::thread::scope(|scope| {
        let building = scope.spawn(|| build(&daemon, &folder, &[]));
        wait_for("the step that waits", || !daemon.ok(&["ps", "-q"]).is_empty());
        daemon.ok(&["image", "prune", "-f"]);
        daemon.ok(&["build", &opens.display().to_string()]);
        building.join().expect("no panic").ok();
    });
    assert_eq!(daemon.ok(&["run", "--rm", "it", "cat", "/one"]), "1");
}

#[test]
fn a_run_on_scratch_may_borrow_its_tools_from_another_image() {
    let daemon = Daemon::start();
    let run = "RUN --mount=type=bind,from=alpine,target=/tools [\"/tools/bin/busybox\", \"sh\", \"-c\", \"echo made > /it\"]";
    let folder = context(&daemon, "c", &format!("FROM scratch\n{run}\nCMD [\"/none\"]\n"), &[]);
    build(&daemon, &folder, &[]).ok();
    let tree = daemon.ok(&["create", "it"]);
    daemon.ok(&["cp", &format!("{}:/it", tree.trim()), &daemon.folder.join("out").display().to_string()]);
    assert_eq!(fs::read_to_string(daemon.folder.join("out")).expect("a file"), "made\n");
    let changed = daemon.ok(&["export", "-o", &daemon.folder.join("x.tar").display().to_string(), tree.trim()]);
    assert_eq!(changed, "");
    let names = std::process::Command::new("tar").arg("-tf").arg(daemon.folder.join("x.tar")).output().expect("tar");
    assert!(!String::from_utf8_lossy(&names.stdout).contains("busybox"), "what was borrowed stayed");
}

/// A tar of these files.
fn tar_of(files: &[(&str, &str)]) -> Vec<u8> {
    let mut tar = tar::Builder::new(Vec::new());
    for (name, content) in files {
        let mut header = tar::Header::new_gnu();
        header.set_size(content.len() as u64);
        header.set_mode(0o644);
        tar.append_data(&mut header, name, content.as_bytes()).expect("memory");
    }
    tar.into_inner().expect("memory")
}

/// The same bytes, packed in every way that Docker unpacks, by the usual end of the name.
fn packed(bytes: &[u8]) -> Vec<(&'static str, Vec<u8>)> {
    let mut gzip = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
    gzip.write_all(bytes).expect("memory");
    let mut bzip2 = Vec::new();
    bzip2::read::BzEncoder::new(bytes, bzip2::Compression::fast()).read_to_end(&mut bzip2).expect("memory");
    let mut xz = lzma_rust2::XzWriter::new(Vec::new(), lzma_rust2::XzOptions::with_preset(1)).expect("memory");
    xz.write_all(bytes).expect("memory");
    vec![
        ("tar", bytes.to_vec()),
        ("tar.gz", gzip.finish().expect("memory")),
        ("tar.zst", ruzstd::encoding::compress_to_vec(bytes, ruzstd::encoding::CompressionLevel::Fastest)),
        ("tar.bz2", bzip2),
        ("tar.xz", xz.finish().expect("memory")),
    ]
}

#[test]
fn an_archive_of_every_kind_is_unpacked_by_add_and_taken_as_a_context_or_an_image() {
    let daemon = Daemon::start();
    let inner = packed(&tar_of(&[("in/file", "the content\n")]));
    let folder = context(&daemon, "c", "FROM alpine\nADD a.* /to/\nADD damaged.xz /to/\n", &[]);
    fs::write(folder.join("damaged.xz"), &inner[4].1[..20]).expect("room");
    for (end, bytes) in &inner {
        fs::write(folder.join(format!("a.{end}")), bytes).expect("room");
        build(&daemon, &folder, &[]).ok();
        let found = daemon.ok(&["run", "--rm", "it", "sh", "-c", "cd /to && find . -type f | sort && cat in/file"]);
        assert_eq!(found, "./damaged.xz\n./in/file\nthe content", "{end}");
        fs::remove_file(folder.join(format!("a.{end}"))).expect("there");
    }
    for (end, bytes) in packed(&tar_of(&[("Dockerfile", "FROM alpine\nCOPY x /x\n"), ("x", end_of_x())])) {
        fs::write(daemon.folder.join(end), bytes).expect("room");
        daemon.sh(&format!("minidock build -t it - < {end}")).ok();
        assert_eq!(daemon.ok(&["run", "--rm", "it", "cat", "/x"]), end_of_x(), "{end}");
    }
    // a root filesystem, and a whole archive of images
    daemon.ok(&["create", "--name", "box", "alpine"]);
    daemon.sh("minidock export box > root && minidock save alpine > saved").ok();
    for (end, bytes) in packed(&fs::read(daemon.folder.join("root")).expect("exported")) {
        fs::write(daemon.folder.join("root.packed"), bytes).expect("room");
        daemon.ok(&["import", &daemon.folder.join("root.packed").display().to_string(), "taken"]);
        assert_eq!(daemon.ok(&["run", "--rm", "taken", "echo", "runs"]), "runs", "{end}");
    }
    for (end, bytes) in packed(&fs::read(daemon.folder.join("saved")).expect("saved")) {
        fs::write(daemon.folder.join("saved.packed"), bytes).expect("room");
        let saved = daemon.folder.join("saved.packed").display().to_string();
        assert_eq!(daemon.ok(&["load", "-i", &saved]), "Loaded image: alpine:latest", "{end}");
    }
}

#[test]
fn a_context_whose_last_file_has_no_padding_is_whole() {
    let daemon = Daemon::start();
    let whole = tar_of(&[("Dockerfile", "FROM alpine\nCOPY x /x\n"), ("x", "last")]);
    let build = |end: usize| {
        fs::write(daemon.folder.join("cut"), &whole[..end]).expect("room");
        daemon.sh("minidock build -t it - < cut")
    };
    // so Docker's client sends it when the Dockerfile comes from elsewhere
    build(3 * 512 + 4).ok();
    assert_eq!(daemon.ok(&["run", "--rm", "it", "cat", "/x"]), "last");
    assert!(build(3 * 512 + 3).fails(1).contains("still promises 1 bytes"));
}

#[test]
fn an_image_goes_by_its_name_though_an_older_build_stands_on_the_same_steps() {
    let daemon = Daemon::start();
    let before = daemon.ok(&["images", "-aq"]);
    let folder = context(&daemon, "c", "FROM alpine\nLABEL shared=1\nCOPY x /x\n", &[("x", "one")]);
    build(&daemon, &folder, &[]).ok();
    fs::write(folder.join("x"), "two").expect("room");
    build(&daemon, &folder, &[]).ok();
    let told = daemon.ok(&["rmi", "it"]);
    assert!(told.starts_with("Untagged: it:latest\nDeleted: sha256:"), "{told}");
    assert_eq!(daemon.ok(&["images", "-q", "-f", "dangling=true"]).lines().count(), 1, "the older one stays");
    daemon.ok(&["image", "prune", "-f"]);
    assert_eq!(daemon.ok(&["images", "-aq"]), before);
}

#[test]
fn whoever_hears_the_last_word_of_a_build_may_prune_at_once() {
    let daemon = Daemon::start();
    let before = daemon.ok(&["images", "-aq"]);
    let folder = context(&daemon, "c", "FROM alpine\nLABEL a=1\nCOPY x /x\nRUN cat /x\n", &[("x", "one")]);
    for _ in 0..5 {
        let mut command = daemon.command(&["build", "--no-cache", &folder.display().to_string()]);
        let mut building = command.stdout(std::process::Stdio::piped()).spawn().expect("a program");
        let said = BufReader::new(building.stdout.take().expect("a pipe")).lines();
        let last = said.map_while(Result::ok).find(|line| line.starts_with("Successfully built"));
        daemon.ok(&["image", "prune", "-f"]);
        assert_eq!(daemon.ok(&["images", "-aq"]), before, "{last:?}");
        assert!(building.wait().expect("our own child").success());
    }
}

fn end_of_x() -> &'static str {
    "a context"
}

#[test]
fn names_of_one_file_are_one_file_in_the_image_and_odd_names_arrive() {
    let daemon = Daemon::start();
    let folder = context(&daemon, "c", "FROM alpine\nCOPY in /to\nCOPY in/b /b\n", &[("in/a", "content"), ("in/sub/", "")]);
    fs::hard_link(folder.join("in/a"), folder.join("in/b")).expect("a link");
    fs::hard_link(folder.join("in/a"), folder.join("in/sub/c")).expect("a link");
    fs::write(folder.join("in").join(std::ffi::OsStr::from_bytes(b"new\nline\xff")), "odd").expect("room");
    build(&daemon, &folder, &[]).ok();
    let counts = daemon.ok(&["run", "--rm", "it", "stat", "-c", "%h %s", "/to/a", "/to/b", "/to/sub/c", "/b"]);
    assert_eq!(counts.lines().collect::<Vec<_>>(), ["3 7", "3 7", "3 7", "1 7"]);
    assert_eq!(daemon.ok(&["run", "--rm", "it", "sh", "-c", "cat /to/new*"]), "odd");
    // the cache knows the difference
    fs::remove_file(folder.join("in/b")).expect("there");
    fs::write(folder.join("in/b"), "content").expect("room");
    assert_eq!(cached(&build(&daemon, &folder, &[]).ok()), [false, false, false]);
    assert_eq!(daemon.ok(&["run", "--rm", "it", "stat", "-c", "%h", "/to/a", "/to/b"]), "2\n1");
}

/// Gives these pages on a port of the daemon's own loopback, for as long as the test lasts.
fn serve(daemon: &Daemon, pages: Vec<(String, Vec<u8>)>) -> u16 {
    let listener = daemon.home.enter(|| TcpListener::bind("127.0.0.1:0")).expect("a port");
    let port = listener.local_addr().expect("bound").port();
    std::thread::spawn(move || {
        for stream in listener.incoming() {
            let Ok(mut stream) = stream else { return };
            let (mut head, mut byte) = (Vec::new(), [0]);
            while !head.ends_with(b"\r\n\r\n") && stream.read_exact(&mut byte).is_ok() {
                head.push(byte[0]);
            }
            let head = String::from_utf8_lossy(&head).into_owned();
            let path = head.split([' ', '?']).nth(1).unwrap_or_default();
            let page = pages.iter().find(|(name, _)| *name == path);
            let (status, body) = page.map_or(("404 Not Found", &b""[..]), |(_, body)| ("200 OK", &body[..]));
            let _ = write!(stream, "HTTP/1.1 {status}\r\nContent-Length: {}\r\nConnection: close\r\n\r\n", body.len());
            let _ = stream.write_all(body);
        }
    });
    port
}

#[test]
fn a_context_may_be_fetched_and_a_repository_to_add_is_refused_clearly() {
    let daemon = Daemon::start();
    let archives = packed(&tar_of(&[("sub/Other", "FROM alpine\nCOPY x /x\n"), ("x", "fetched")]));
    let plain = b"FROM alpine\nRUN echo alone > /x\n".to_vec();
    let pages = [("/c.tar.xz", archives[4].1.clone()), ("/c.tar", archives[0].1.clone()), ("/file", plain)];
    let port = serve(&daemon, pages.map(|(name, page)| (name.to_string(), page)).into());
    let at = |path: &str| format!("http://127.0.0.1:{port}{path}");
    for path in ["/c.tar", "/c.tar.xz"] {
        let said = daemon.ok(&["build", "-t", "it", "-f", "sub/Other", &at(path)]);
        assert!(said.starts_with(&format!("Downloading build context from remote url: {}", at(path))), "{said}");
        assert_eq!(daemon.ok(&["run", "--rm", "it", "cat", "/x"]), "fetched");
    }
    daemon.ok(&["build", "-t", "it", &at("/file")]);
    assert_eq!(daemon.ok(&["run", "--rm", "it", "cat", "/x"]), "alone");
    let missing = daemon.run(&["build", "-t", "it", &at("/none")]).fails(1);
    assert!(missing.contains("the server says 404"), "{missing}");
    let folder = context(&daemon, "c", "FROM alpine\nADD git@host:x /x\n", &[]);
    assert!(build(&daemon, &folder, &[]).fails(1).contains("does not fetch the repository git@host:x"));
}

#[test]
fn a_repository_is_fetched_by_git_and_the_folder_in_it_is_the_context() {
    let daemon = Daemon::start();
    let make = "git init -q work && cd work && mkdir app && echo one > app/x && printf 'FROM alpine\\nCOPY . /c\\n' > app/Dockerfile\n\
                commit() { git -c user.name=a -c user.email=a@example.org commit -qam $1; }\n\
                git add . && commit 1 && git tag v1 && echo two > app/x && commit 2 && git clone -q --bare . ../it.git && git -C ../it.git update-server-info";
    let made = daemon.sh(make);
    if made.status != 0 {
        return skip(&format!("no git here: {}", made.err));
    }
    let mut pages = Vec::new();
    let mut folders = vec![daemon.folder.join("it.git")];
    while let Some(folder) = folders.pop() {
        for entry in fs::read_dir(folder).expect("there").flatten() {
            let (path, name) = (entry.path(), entry.path().strip_prefix(&daemon.folder).expect("below").display().to_string());
            match path.is_dir() {
                true => folders.push(path),
                false => pages.push((format!("/{name}"), fs::read(path).expect("readable"))),
            }
        }
    }
    let port = serve(&daemon, pages);
    let build = |what: &str| daemon.sh(&format!("TMPDIR=$PWD minidock build -t it 'http://127.0.0.1:{port}/it.git{what}'"));
    assert_eq!(cached(&build("#v1:app").ok()), [false, false]);
    assert_eq!(daemon.ok(&["run", "--rm", "it", "cat", "/c/x"]), "one");
    assert_eq!(cached(&build("#v1:app").ok()), [false, true], "fetched twice, it is the same");
    build("#:app").ok();
    assert_eq!(daemon.ok(&["run", "--rm", "it", "sh", "-c", "cat /c/x; ls -A /c"]), "two\nDockerfile\nx");
    for (what, why) in
        [("#nosuch", "git fetch said: "), ("#:nosuch", "there is no folder \"nosuch\""), ("#:../..", "there is no folder")]
    {
        let refused = build(what).fails(1);
        assert!(refused.contains(why), "{refused}");
    }
    let left = fs::read_dir(&daemon.folder).expect("there").flatten();
    assert!(left.into_iter().all(|entry| !entry.file_name().to_string_lossy().starts_with("minidock-git-")));
}
