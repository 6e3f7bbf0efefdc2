//! # What a container sees: Docker's defaults, asked from inside

mod stage;

use minidock_spec::engine::container::{DeviceMapping, MountRequest, Ulimit};
use stage::{Stage, may_run};

fn strings(words: &[&str]) -> Option<Vec<String>> {
    Some(words.iter().map(|w| w.to_string()).collect())
}

#[tokio::test(flavor = "multi_thread")]
async fn the_default_container_is_dockers() {
    if !may_run() {
        return;
    }
    let stage = Stage::new().await;
    let status = stage.sh("grep -E '^(Cap|NoNewPrivs|Seccomp|Groups)' /proc/self/status").await;
    for line in [
        "CapInh:\t0000000000000000",
        "CapPrm:\t00000000a80425fb",
        "CapEff:\t00000000a80425fb",
        "CapBnd:\t00000000a80425fb",
        "CapAmb:\t0000000000000000",
        "NoNewPrivs:\t0",
        "Seccomp:\t2",
        "Seccomp_filters:\t1",
    ] {
        assert!(status.contains(line), "{line} is not in\n{status}");
    }
    assert!(status.contains("Groups:\t0 10 \n"), "{status}");
    let mounts = stage.sh("cat /proc/self/mountinfo").await;
    let mount = |place: &str| {
        let found = mounts.lines().rfind(|l| l.split(' ').nth(4) == Some(place));
        found.unwrap_or_else(|| panic!("{place} is not mounted:\n{mounts}")).to_string()
    };
    assert!(mount("/").contains(" overlay "));
    assert!(mount("/proc").contains("rw,nosuid,nodev,noexec"));
    assert!(mount("/dev").contains("nosuid") && mount("/dev").contains("size=65536k,mode=755"));
    assert!(mount("/dev/shm").contains("size=65536k") && mount("/dev/shm").contains("nosuid,nodev,noexec"));
    assert!(mount("/dev/pts").contains("gid=5,mode=620,ptmxmode=666"));
    assert!(mount("/sys").contains("ro,nosuid,nodev,noexec") && mount("/sys/fs/cgroup").contains("ro"));
    for read_only in ["/proc/bus", "/proc/fs", "/proc/irq", "/proc/sys"] {
        assert!(mount(read_only).split(' ').nth(5).is_some_and(|o| o.contains("ro")), "{read_only}");
    }
    assert_eq!(
        stage.sh("cat /proc/sys/net/ipv4/ping_group_range /proc/sys/net/ipv4/ip_unprivileged_port_start").await,
        "0\t2147483647\n0\n"
    );
    assert_eq!(stage.sh("ls /proc/self/fd | wc -l").await.trim(), "4", "0, 1, 2 and ls's own");
    assert_eq!(stage.sh("cat /proc/self/oom_score_adj").await, "0\n");
    assert_eq!(
        stage.sh("echo $HOME; tr '\\0' '\\n' < /proc/1/environ | cut -d= -f1 | sort | tr '\\n' ' '").await,
        "/root\nHOME HOSTNAME PATH "
    );
    assert!(stage.sh("ip link show lo | head -1; ip addr show lo | grep -c 127.0.0.1").await.contains("UP"));
    assert_eq!(stage.leaks().await, [String::new(); 0]);
}

#[tokio::test(flavor = "multi_thread")]
async fn fences_move_as_asked() {
    if !may_run() {
        return;
    }
    let stage = Stage::new().await;
    let mut body = stage.body(&["sh", "-c", "grep -E 'CapEff|NoNew|Seccomp:' /proc/self/status"]);
    body.host_config.cap_drop = strings(&["all"]);
    body.host_config.cap_add = strings(&["net_admin", "CAP_CHOWN"]);
    body.host_config.security_opt = strings(&["no-new-privileges", "seccomp=unconfined"]);
    let (out, ..) = stage.run(body).await.expect("it starts");
    assert_eq!(out, "CapEff:\t0000000000001001\nNoNewPrivs:\t1\nSeccomp:\t0\n");

    let mut body = stage.body(&[
        "sh",
        "-c",
        "grep -E 'CapEff|Seccomp:' /proc/self/status; test -w /sys && touch /sys/x 2>&1; ls /dev | wc -l",
    ]);
    body.host_config.privileged = true;
    let (out, ..) = stage.run(body).await.expect("it starts");
    let ours = std::fs::read_to_string("/proc/self/status").expect("procfs");
    let mine = ours.lines().find(|l| l.starts_with("CapPrm")).expect("there").replace("CapPrm", "CapEff");
    assert!(out.contains(&mine) && out.contains("Seccomp:\t0"), "{out}");

    let mut body = stage.body(&["sh", "-c", "touch /x; echo $?; touch /dev/shm/x; echo $?"]);
    body.host_config.readonly_rootfs = true;
    assert_eq!(stage.run(body).await.expect("it starts").0, "1\n0\n");

    let mut body = stage.body(&[
        "sh",
        "-c",
        "ulimit -n; cat /proc/sys/kernel/msgmax; df -k /dev/shm | tail -1 | awk '{print $2}'; cat /proc/self/oom_score_adj",
    ]);
    body.host_config.resources.ulimits = Some(vec![Ulimit { name: "nofile".into(), soft: 99, hard: 100 }]);
    body.host_config.sysctls.insert("kernel.msgmax".into(), "4242".into());
    body.host_config.shm_size = 1 << 20;
    body.host_config.oom_score_adj = 500;
    assert_eq!(stage.run(body).await.expect("it starts").0, "99\n4242\n1024\n500\n");

    let mut body = stage.body(&["true"]);
    body.host_config.resources.ulimits = Some(vec![Ulimit { name: "nofile".into(), soft: 1 << 30, hard: 1 << 30 }]);
    let error = stage.run(body).await.expect_err("higher than the machine");
    assert!(error.message().contains("not permitted") || error.message().contains("EPERM"), "{error}");
    assert_eq!(stage.leaks().await, [String::new(); 0]);
}

#[tokio::test(flavor = "multi_thread")]
async fn limits_are_in_the_cgroup() {
    if !may_run() {
        return;
    }
    let stage = Stage::new().await;
    let script = "for f in memory/memory.limit_in_bytes cpu/cpu.cfs_quota_us pids/pids.max cpu/cpu.shares; do cat /sys/fs/cgroup/$f; done";
    let mut body = stage.body(&["sh", "-c", script]);
    body.host_config.resources.memory = 64 << 20;
    body.host_config.resources.nano_cpus = 500_000_000;
    body.host_config.resources.pids_limit = Some(50);
    body.host_config.resources.cpu_shares = 512;
    if stage.engine.host.cgroup_v2 {
        return println!("SKIP: written for cgroup v1");
    }
    let (out, err, _) = stage.run(body).await.expect("it starts");
    assert_eq!(out, "67108864\n50000\n50\n512\n", "{err}");
    assert_eq!(stage.leaks().await, [String::new(); 0]);
}

#[tokio::test(flavor = "multi_thread")]
async fn users_are_the_images() {
    if !may_run() {
        return;
    }
    let stage = Stage::new().await;
    for (user, want) in [
        ("www", "uid=33(www) gid=33 groups=4(adm),33\n/home\n"),
        ("1000:1000", "uid=1000 gid=1000 groups=1000\n/\n"),
        ("4242", "uid=4242(4242)"),
        ("www:adm", "uid=33(www) gid=4(adm) groups=4(adm)\n/home\n"),
    ] {
        let mut body = stage.body(&["sh", "-c", "id; echo $HOME; grep CapEff /proc/self/status >&2"]);
        body.config.user = user.into();
        let (out, err, _) = stage.run(body).await.expect("it starts");
        if user == "4242" {
            assert!(out.starts_with("uid=4242"), "{out}");
        } else {
            assert_eq!(out, want, "{user}");
        }
        assert!(err.contains("0000000000000000"), "{err}");
    }
    let mut body = stage.body(&["id"]);
    body.config.user = "nobody2".into();
    let error = stage.run(body).await.expect_err("unknown");
    assert!(error.message().contains("unable to find user nobody2: no matching entries in passwd file"), "{error}");
    assert_eq!(stage.leaks().await, [String::new(); 0]);
}

#[tokio::test(flavor = "multi_thread")]
async fn mounts_are_where_they_were_wished() {
    if !may_run() {
        return;
    }
    let stage = Stage::new().await;
    let host = stage.folder.join("host");
    std::fs::create_dir(&host).expect("room");
    std::fs::write(host.join("f"), "hello\n").expect("room");
    let mut body = stage.body(&["sh", "-c", "cat /in/f; touch /in/x; echo $?; cat /data/file; stat -c %a /data; touch /data/y; df /t | tail -1 | awk '{print $2}'; touch /new/z"]);
    let made = stage.folder.join("made");
    body.host_config.binds =
        strings(&[&format!("{}:/in:ro", host.display()), "data:/data", &format!("{}:/new", made.display())]);
    body.host_config.tmpfs.insert("/t".into(), "size=2m".into());
    // a named volume is mounted where the image has files: it is filled
    body.host_config.binds.as_mut().expect("some")[1] = "data:/srv".into();
    body.config.cmd = strings(&[
        "sh",
        "-c",
        "cat /in/f; touch /in/x 2>/dev/null; echo $?; cat /srv/file; stat -c %a /srv; touch /srv/y; df /t | tail -1 | awk '{print $2}'; touch /new/z",
    ]);
    let (out, err, code) = stage.run(body).await.expect("it starts");
    assert_eq!((out.as_str(), code), ("hello\n1\nfrom the image\n750\n2048\n", 0), "{err}");
    assert!(made.join("z").exists(), "a missing bind source is made");
    assert!(stage.engine.paths.volume_data("data").join("y").exists());

    // an anonymous volume goes with its container, --volumes-from sees it before
    let mut body = stage.body(&["sh", "-c", "echo kept > /vol/f"]);
    body.config.volumes = Some([("/vol".to_string(), serde_json::json!({}))].into());
    let first = stage.create(body).await.expect("created");
    stage.run_created(&first).await.expect("it starts");
    let mut body = stage.body(&["sh", "-c", "cat /vol/f; touch /vol/g 2>/dev/null; echo $?"]);
    body.host_config.volumes_from = strings(&[&format!("{first}:ro")]);
    let second = stage.create(body).await.expect("created");
    assert_eq!(stage.run_created(&second).await.expect("it starts").0, "kept\n1\n");
    let volumes = stage.engine.volumes.all().len();
    stage.remove(&first).await.expect("removed");
    assert_eq!(stage.engine.volumes.all().len(), volumes, "the other container still uses it");
    stage.remove(&second).await.expect("removed");

    let mut body = stage.body(&["true"]);
    body.host_config.mounts =
        Some(vec![MountRequest { kind: "bind".into(), source: "/no/such".into(), target: "/x".into(), ..Default::default() }]);
    let error = stage.create(body).await.expect_err("missing");
    assert!(error.message().contains("bind source path does not exist: /no/such"), "{error}");
    assert_eq!(stage.leaks().await, [String::new(); 0]);
}

#[tokio::test(flavor = "multi_thread")]
async fn names_and_namespaces_are_shared_as_asked() {
    if !may_run() {
        return;
    }
    let stage = Stage::new().await;
    let mut body = stage.body(&["sh", "-c", "hostname; cat /etc/hostname; grep db /etc/hosts"]);
    body.config.hostname = "web".into();
    body.host_config.extra_hosts = strings(&["db:10.0.0.5"]);
    assert_eq!(stage.run(body).await.expect("it starts").0, "web\nweb\n10.0.0.5\tdb\n");

    let mut body = stage.body(&["sleep", "100"]);
    body.host_config.ipc_mode = "shareable".into();
    let donor = stage.create(body).await.expect("created");
    minidock_engine::container::start::start(&stage.engine, &donor).await.expect("started");
    let pid = stage.engine.containers.find(&donor).expect("there").record().state.pid;
    let mut body = stage.body(&[
        "sh",
        "-c",
        "for n in pid net ipc; do readlink /proc/self/ns/$n; done; ps | grep -c 'sleep 100'; touch /dev/shm/shared",
    ]);
    body.host_config.network_mode = format!("container:{donor}");
    body.host_config.pid_mode = format!("container:{}", &donor[..12]);
    body.host_config.ipc_mode = format!("container:{donor}");
    let (out, err, _) = stage.run(body).await.expect("it starts");
    for kind in ["pid", "net", "ipc"] {
        let theirs = std::fs::read_link(format!("/proc/{pid}/ns/{kind}")).expect("it runs");
        assert!(out.contains(&theirs.display().to_string()), "{kind}: {out}{err}");
    }
    assert!(std::path::Path::new(&format!("/proc/{pid}/root/dev/shm/shared")).exists(), "one /dev/shm");
    let mut body = stage.body(&[
        "sh",
        "-c",
        "readlink /proc/self/ns/pid; readlink /proc/self/ns/uts; readlink /proc/self/ns/net; readlink /proc/self/ns/ipc",
    ]);
    body.host_config.network_mode = "host".into();
    body.host_config.pid_mode = "host".into();
    body.host_config.uts_mode = "host".into();
    body.host_config.ipc_mode = "host".into();
    let (out, ..) = stage.run(body).await.expect("it starts");
    for kind in ["pid", "uts", "net", "ipc"] {
        assert!(
            out.contains(&std::fs::read_link(format!("/proc/self/ns/{kind}")).expect("procfs").display().to_string()),
            "{out}"
        );
    }
    assert_eq!(stage.leaks().await, [String::new(); 0]);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_reaper_and_a_device_come_when_asked() {
    if !may_run() {
        return;
    }
    let stage = Stage::new().await;
    let mut body = stage.body(&[
        "sh",
        "-c",
        "cat /proc/1/cmdline | tr '\\0' ' '; echo; (sleep 0.1 &) ; sleep 0.3; ps | grep -c 'Z '; exit 5",
    ]);
    body.host_config.init = Some(true);
    let (out, err, code) = stage.run(body).await.expect("it starts");
    assert!(out.starts_with("/sbin/docker-init -- sh -c") && code == 5, "{out}{err}{code}");

    let mut body = stage.body(&["sh", "-c", "ls -l /dev/mynull | cut -c1; echo x > /dev/mynull; echo $?"]);
    body.host_config.resources.devices = Some(vec![DeviceMapping {
        path_on_host: "/dev/null".into(),
        path_in_container: "/dev/mynull".into(),
        cgroup_permissions: "rwm".into(),
    }]);
    assert_eq!(stage.run(body).await.expect("it starts").0, "c\n0\n");
    let mut body = stage.body(&["pwd"]);
    body.config.working_dir = "/a/new/../place".into();
    assert_eq!(stage.run(body).await.expect("it starts").0, "/a/place\n");
    assert_eq!(stage.leaks().await, [String::new(); 0]);
}
