//! # The swarm: many machines as one
//!
//! A person says what shall be (a service of five replicas, reachable at port 8080); the swarm makes it so, and keeps it so when
//! machines die. Its heart are *decisions*: functions from what is wanted and known to what is to be done. Around them: managers that
//! agree ([`manager`]), nodes that join and leave ([`node`]), agents ([`agent`]), and the wire between them ([`wire`]).
//!
//! ```text
//!              the tables (services, tasks, nodes, networks …), the same on every manager        [`store`]
//!                 │ something changed
//!    ┌────────────┼───────────────┬──────────────────┬───────────────┐
//!    ▼            ▼               ▼                  ▼               ▼
//!  orchestrator  allocator       scheduler          reaper          (a node's agent)
//!  service →     NEW → PENDING   PENDING →          old tasks →     ASSIGNED → … → RUNNING → …
//!  tasks         addresses       ASSIGNED           gone
//!    │            │               │                  │
//!    └────────────┴───────┬───────┴──────────────────┘
//!                         ▼
//!                 a batch of actions, agreed on, applied; and everybody looks again
//! ```
//!
//! No loop calls another: each wakes because the tables changed, and reads them whole. Which of them ran first does not matter,
//! nor whether one ran twice, nor whether the manager that did half of it is dead.
//!
//! Laws: no decision reads a clock, a random source, the network or the disk: time and new IDs are handed in. So the same code
//! can run in a model cluster with a clock of its own, and a story that went wrong can be told again. A task never climbs down.
//!
//! *In the real world* SwarmKit is these loops; Kubernetes has the same ones under other names (controllers, scheduler, kubelet).
//!
//! *See:* design.md section 7 and 8 · swarmkit `design/`. *Next room:* [`store`]

pub mod agent;
pub mod allocator;
pub mod ca;
pub mod control;
pub mod dispatcher;
pub mod manager;
pub mod node;
pub mod orchestrator;
pub mod round;
pub mod scheduler;
pub mod seal;
pub mod store;
pub mod why;
pub mod wire;
