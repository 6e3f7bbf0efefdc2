//! # Many at once: clients that race, and what is left afterwards

mod stage;

use minidock_base::Kind;
use minidock_engine::container::{create, remove, remove::Removal, start, stop};
use stage::{Stage, may_run, wait_for};
use std::{sync::Arc, time::Instant};

#[tokio::test(flavor = "multi_thread")]
async fn ten_clients_make_two_hundred_containers() {
    if !may_run() {
        return;
    }
    let stage = Arc::new(Stage::new().await);
    let began = Instant::now();
    let clients: Vec<_> = (0..10)
        .map(|_| {
            let stage = stage.clone();
            tokio::spawn(async move {
                for _ in 0..20 {
                    let id = stage.create(stage.body(&["true"])).await.expect("created");
                    start::start(&stage.engine, &id).await.expect("started");
                }
            })
        })
        .collect();
    for client in clients {
        client.await.expect("no client fails");
    }
    let took = began.elapsed();
    println!("200 containers in {took:?}: {:.0} a second", 200.0 / took.as_secs_f64());
    let all = stage.engine.containers.all();
    assert_eq!(all.len(), 200);
    wait_for("all end", || all.iter().all(|c| c.has_ended() && c.record().state.exit_code == 0)).await;
    assert_eq!(stage.leaks().await, [String::new(); 0]);
}

#[tokio::test(flavor = "multi_thread")]
async fn of_many_who_want_one_name_one_wins() {
    if !may_run() {
        return;
    }
    let stage = Arc::new(Stage::new().await);
    for _ in 0..5 {
        let clients: Vec<_> = (0..32)
            .map(|_| {
                let stage = stage.clone();
                tokio::spawn(
                    async move { create::create(&stage.engine, Some("prize"), stage.body(&["sleep", "1000"]), None).await },
                )
            })
            .collect();
        let mut winners = Vec::new();
        for client in clients {
            match client.await.expect("no panic") {
                Ok(created) => winners.push(created.id),
                Err(error) => assert_eq!(error.kind(), Kind::Conflict, "{error}"),
            }
        }
        assert_eq!(winners.len(), 1);
        // start, stop and remove it from all sides at once: each call ends, and in the end it is gone
        let calls: Vec<_> = (0..24)
            .map(|n| {
                let stage = stage.clone();
                tokio::spawn(async move {
                    let how = Removal { force: true, volumes: true, link: false };
                    match n % 3 {
                        0 => start::start(&stage.engine, "prize").await,
                        1 => stop::stop(&stage.engine, "prize", Some(0), None).await,
                        _ => remove::remove(&stage.engine, "prize", how).await,
                    }
                })
            })
            .collect();
        for call in calls {
            if let Err(error) = call.await.expect("no panic") {
                let fair = matches!(error.kind(), Kind::NotFound | Kind::Conflict | Kind::NotModified | Kind::Unavailable);
                assert!(fair, "{error}");
            }
        }
        let _ = stage.remove("prize").await;
        assert!(stage.engine.containers.find("prize").is_err());
    }
    assert_eq!(stage.leaks().await, [String::new(); 0]);
}
