//! # A project on one machine: `compose up`
//!
//! A stack is what a *swarm* wants; a project is what *this machine* wants, now. The same kind of file, but other questions: how is the
//! image built, who waits for whom, which containers are there already and must be left alone. This chapter answers them without asking
//! anybody anything: files and variables, and a list of what exists, go in; values come out.
//!
//! ```text
//!   compose.yaml + override ─read─► tree ─project─► Project { services, networks, volumes … }
//!        .env, env_file ─dotenv─┘     └─render─► compose config         │
//!                                                                       │      containers with our labels
//!                                             order: who before whom ◄──┤            │
//!                                             hash: what makes it another            ▼
//!                                                                       └──────► plan ──► Keep · Create · Recreate · Remove
//!                                                                                              │
//!                                             body: limits · mounts · places ◄─────────────────┘
//!                                                └─► POST /containers/create
//! ```
//!
//! * [`tables`], [`short`], [`ports`], [`dotenv`]: what can be written. [`read`](mod@read): files to a tree, [`undo`]: what one takes back. [`name`]: whose it is.
//! * [`project`](mod@project): a tree to values. [`order`]: its graph. [`render`]: what was understood.
//! * [`body`](mod@body) with [`limits`], [`mounts`], [`places`]: a service to a container. [`hash`]: to see a change.
//! * [`plan`](mod@plan): the difference between what is and what shall be.
//!
//! Laws: everything is checked before anything is made; names and labels are those of Docker's `compose`, so that either can look at,
//! stop or remove what the other has made; what is not understood is a fault with its place, and what this engine cannot do is said.
//!
//! *In the real world* there are also remote files, watching of sources, models and providers: none of them is about containers.
//! *See:* compose-spec; docker/compose. *Next room:* [`tables`]

pub mod body;
pub mod dotenv;
pub mod hash;
pub mod limits;
pub mod mounts;
pub mod name;
pub mod order;
pub mod places;
pub mod plan;
pub mod ports;
pub mod project;
pub mod read;
pub mod render;
pub mod short;
pub mod tables;
pub mod undo;
