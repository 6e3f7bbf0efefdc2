//! # The lab: a folder, variables and files that are only said to be there
//!
//! What the claims about projects of one machine share: files are handed in as texts, the world around them is made up, and a container
//! that is linked to or lived with is always there.

#![allow(dead_code)] // each test binary uses its own part of the lab

use minidock_compose::{
    load::{Around, Source},
    local::{
        body::{self, Peer, Seat},
        project::{Project, Wanted, project},
        read::read,
    },
};
use minidock_spec::engine::container::{CreateBody, MountPoint};
use std::{io, path::Path};

pub fn variable(name: &str) -> Option<String> {
    match name {
        "TAG" => Some("1.2".into()),
        "PORT" => Some("8081".into()),
        _ => None,
    }
}

pub fn file(path: &Path) -> io::Result<Vec<u8>> {
    match path.to_str() {
        Some("/lab/a.env") => Ok(b"A=file\nB=\"two words\" # c\nC=${A}-${TAG}\n".to_vec()),
        Some("/lab/common/base.yml") => Ok(
            b"services:\n  base: {image: base, volumes: [./data:/data], environment: {A: base, B: base}, extends: {service: root}}\n  root: {image: root, cap_add: [NET_ADMIN]}\n".to_vec(),
        ),
        Some("/lab/more/extra.yml") => Ok(b"services:\n  extra: {image: x, build: .}\n".to_vec()),
        _ => Err(io::ErrorKind::NotFound.into()),
    }
}

pub fn loaded(texts: &[&str], wanted: &Wanted) -> minidock_base::Result<Project> {
    let sources: Vec<Source> =
        texts.iter().enumerate().map(|(n, text)| Source { name: format!("{n}.yml"), text: text.to_string() }).collect();
    let around =
        Around { folder: "/lab".into(), home: Some("/root".into()), variable: &variable, read: &file, interpolated: true };
    project(read(&sources, &around, None, "My App")?, wanted)
}

pub fn wanted(profiles: &[&str], named: &[&str]) -> Wanted {
    let texts = |list: &[&str]| list.iter().map(|text| text.to_string()).collect();
    Wanted { folder: "/lab".into(), files: vec!["/lab/0.yml".into()], profiles: texts(profiles), named: texts(named) }
}

pub fn of(texts: &[&str]) -> Project {
    loaded(texts, &wanted(&[], &[])).unwrap_or_else(|error| panic!("{error}"))
}

pub fn why(text: &str) -> String {
    loaded(&[text], &wanted(&[], &[])).err().unwrap_or_else(|| panic!("not refused: {text}")).message()
}

pub fn body_of(project: &Project, name: &str) -> CreateBody {
    made(project, name, &[], &[])
}

pub fn made(project: &Project, name: &str, inherited: &[MountPoint], declared: &[String]) -> CreateBody {
    let service = project.named(name).expect("a service");
    let others = |name: &str| vec![Peer { id: format!("id-of-{name}"), name: format!("myapp-{name}-1"), number: 1 }];
    let seat = Seat {
        number: 1,
        name: body::container_name(&project.name, service, 1),
        oneoff: false,
        aliases: true,
        ports: true,
        others: &others,
        inherited,
        declared,
        image_id: "sha256:1",
    };
    body::body(project, service, &seat).unwrap_or_else(|error| panic!("{error}"))
}
