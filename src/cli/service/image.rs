//! # The image of a service: the same one on every node
//!
//! `alpine:latest` may be one thing today on this machine and another tomorrow on that one. So when a service is made, its registry is asked
//! once what the name means now, and the answer, a digest, is written into the spec: `alpine:latest@sha256:…`. With it come the platforms
//! there are, and no task is sent to a node that could not run it.
//!
//! Laws: a registry that cannot be asked is no reason to refuse; then the name stays as it is, and a warning says what that means.
//! *See:* moby `client/service_create.go` · Engine API, Distribution. *Next room:* [`super::create`]

use crate::registry::accounts::Accounts;
use minidock_base::Result;
use minidock_client::{Docker, Route, Wish};
use minidock_spec::{
    reference::Reference,
    swarm::task::{Platform, TaskSpec},
};
use serde::Deserialize;
use std::path::Path;

/// The answer of `GET /distribution/{name}/json`.
#[derive(Debug, Default, Deserialize)]
#[serde(rename_all = "PascalCase", default)]
struct Distribution {
    descriptor: Descriptor,
    platforms: Option<Vec<Offered>>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default)]
struct Offered {
    #[serde(alias = "Architecture")]
    architecture: String,
    #[serde(alias = "OS")]
    os: String,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default)]
struct Descriptor {
    #[serde(alias = "Digest")]
    digest: String,
}

/// `X-Registry-Auth` for the registry that an image comes from, if an account is known.
///
/// # Errors
/// An image that is no reference; accounts that cannot be read.
pub fn auth(config: &Path, image: &str) -> Result<Option<String>> {
    Accounts::open(config)?.header(&Reference::parse(image)?.domain)
}

/// Asks the registry what the image of `task` means and writes it down; gives a warning if it cannot be asked.
///
/// # Errors
/// An image that is no reference.
pub async fn pin(docker: &Docker, task: &mut TaskSpec, auth: Option<&str>) -> Result<Option<String>> {
    let Some(container) = task.container_spec.as_mut().filter(|container| !container.image.is_empty()) else {
        return Ok(None);
    };
    tag(&mut container.image)?;
    if Reference::parse(&container.image)?.digest.is_some() {
        return Ok(None);
    }
    let request = Wish::get(&Route::new("/distribution/{}/json", [&container.image]));
    let request = auth.into_iter().fold(request, |request, auth| request.header("X-Registry-Auth", auth));
    let asked = async { docker.send(request).await?.json::<Distribution>().await };
    match asked.await {
        Ok(found) if !found.descriptor.digest.is_empty() => {
            container.image = format!("{}@{}", container.image, found.descriptor.digest);
            let platforms: Vec<Platform> = found.platforms.unwrap_or_default().into_iter().map(loose).collect();
            if !platforms.is_empty() {
                task.placement.get_or_insert_default().platforms = platforms;
            }
            Ok(None)
        }
        _ => Ok(Some(format!(
            "image {image} could not be accessed on a registry to record\nits digest. Each node will access {image} independently,\npossibly leading to different nodes running different\nversions of the image.\n",
            image = container.image
        ))),
    }
}

/// `alpine` becomes `alpine:latest`, as it is meant.
///
/// # Errors
/// An image that is no reference.
pub fn tag(image: &mut String) -> Result<()> {
    let reference = Reference::parse_untagged(image)?;
    if reference.tag.is_none() && reference.digest.is_none() {
        image.push_str(":latest");
    }
    Ok(())
}

/// Machines of the family "arm" do not agree on what they call themselves.
fn loose(offered: Offered) -> Platform {
    let is_arm = offered.architecture.eq_ignore_ascii_case("arm");
    Platform { architecture: if is_arm { String::new() } else { offered.architecture }, os: offered.os }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_without_a_tag_means_latest() {
        let tagged = |text: &str| {
            let mut image = text.to_string();
            tag(&mut image).map(|()| image)
        };
        assert_eq!(tagged("alpine").expect("a name"), "alpine:latest");
        assert_eq!(tagged("localhost:5000/a").expect("a name"), "localhost:5000/a:latest");
        assert_eq!(tagged("alpine:3").expect("a name"), "alpine:3");
        assert!(tagged("Alpine").is_err());
    }

    #[test]
    fn the_answer_of_a_registry_is_read() {
        let text = r#"{"Descriptor":{"mediaType":"x","digest":"sha256:1","size":2},"Platforms":[{"architecture":"amd64","os":"linux"}]}"#;
        let found: Distribution = serde_json::from_str(text).expect("JSON");
        let platform = loose(found.platforms.expect("platforms").remove(0));
        assert_eq!(
            (found.descriptor.digest.as_str(), platform.architecture.as_str(), platform.os.as_str()),
            ("sha256:1", "amd64", "linux")
        );
    }
}
