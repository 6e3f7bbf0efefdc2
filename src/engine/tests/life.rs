//! # The life of a container, asked of real ones

mod stage;

use minidock_base::Kind;
use minidock_engine::container::{create, start, stop, wait};
use stage::{Stage, may_run};

#[tokio::test(flavor = "multi_thread")]
async fn create_start_wait_remove_leaves_nothing() {
    if !may_run() {
        return;
    }
    let stage = Stage::new().await;
    let id = stage.create(stage.body(&["sh", "-c", "echo out; echo err >&2; exit 3"])).await.expect("created");
    let (out, err, code) = stage.run_created(&id).await.expect("it starts");
    assert_eq!((out.as_str(), err.as_str(), code), ("out\n", "err\n", 3));
    assert_eq!(stage.logs(&id).await, ("out\n".into(), "err\n".into()));
    let answer = wait::wait(&stage.engine, &id, "").await.expect("it is there").await;
    assert_eq!(answer.status_code, 3);
    stage.remove(&id).await.expect("removed");
    assert_eq!(stage.leaks().await, [String::new(); 0]);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_program_that_cannot_run_leaves_what_docker_leaves() {
    if !may_run() {
        return;
    }
    let stage = Stage::new().await;
    for (program, code, words) in [
        ("nosuch", 127, "executable file not found in $PATH"),
        ("/nosuch", 127, "no such file"),
        ("/etc/notexec", 126, "permission denied"),
    ] {
        let id = stage.create(stage.body(&[program])).await.expect("created");
        let error = start::start(&stage.engine, &id).await.expect_err("it cannot run");
        assert_eq!(error.kind(), Kind::InvalidParameter, "{error}");
        assert!(error.message().contains(words), "{error}");
        let state = stage.engine.containers.find(&id).expect("kept").record().state.clone();
        assert_eq!((state.phase.word(), state.exit_code), ("created", code), "{state:?}");
        assert!(state.error.contains(words));
    }
    assert_eq!(stage.leaks().await, [String::new(); 0]);
}

#[tokio::test(flavor = "multi_thread")]
async fn stop_asks_first_and_insists_later() {
    if !may_run() {
        return;
    }
    let stage = Stage::new().await;
    let polite =
        stage.create(stage.body(&["sh", "-c", "trap 'exit 7' TERM; while :; do sleep 0.05; done"])).await.expect("created");
    start::start(&stage.engine, &polite).await.expect("started");
    assert_eq!(start::start(&stage.engine, &polite).await.expect_err("it runs").kind(), Kind::NotModified);
    tokio::time::sleep(std::time::Duration::from_millis(200)).await;
    stop::stop(&stage.engine, &polite, Some(10), None).await.expect("stopped");
    assert_eq!(stage.engine.containers.find(&polite).expect("kept").record().state.exit_code, 7);
    let deaf = stage.create(stage.body(&["sleep", "1000"])).await.expect("created");
    start::start(&stage.engine, &deaf).await.expect("started");
    stop::stop(&stage.engine, &deaf, Some(1), None).await.expect("killed");
    assert_eq!(stage.engine.containers.find(&deaf).expect("kept").record().state.exit_code, 137);
    assert_eq!(stop::stop(&stage.engine, &deaf, None, None).await.expect_err("it is over").kind(), Kind::NotModified);
    assert_eq!(stage.leaks().await, [String::new(); 0]);
}

#[tokio::test(flavor = "multi_thread")]
async fn names_are_unique_and_the_refusal_is_dockers() {
    if !may_run() {
        return;
    }
    let stage = Stage::new().await;
    let first = create::create(&stage.engine, Some("web"), stage.body(&["true"]), None).await.expect("created").id;
    let error = create::create(&stage.engine, Some("web"), stage.body(&["true"]), None).await.expect_err("taken");
    assert_eq!(error.kind(), Kind::Conflict);
    assert_eq!(
        error.message(),
        format!(
            "Conflict. The container name \"/web\" is already in use by container \"{first}\". You have to remove (or rename) \
             that container to be able to reuse that name."
        )
    );
    let mut body = stage.body(&["true"]);
    body.config.image = "nosuch".into();
    let error = create::create(&stage.engine, None, body, None).await.expect_err("no image");
    assert_eq!((error.kind(), error.message().as_str()), (Kind::NotFound, "No such image: nosuch:latest"));
    assert_eq!(stage.leaks().await, [String::new(); 0]);
}
