//! # Archive routes: files in and out
//!
//! `docker cp` is a tar stream in one direction or the other, and a header that says what the path is: name, size, mode,
//! time, and where a symbolic link points, as JSON in base64.
//!
//! See: Engine API v1.45, ContainerArchive, PutContainerArchive, ContainerExport. Next room: [`crate::images`]

use crate::{
    answer::{Answer, bytes_once_begun, empty},
    call::Call,
};
use base64::{Engine as _, prelude::BASE64_STANDARD};
use http::{HeaderValue, Method, StatusCode};
use minidock_base::{Error, Result};
use minidock_engine::container::{copy, export};
use minidock_spec::engine::container::PathStat;

const STAT: &str = "x-docker-container-path-stat";
const TAR: &str = "application/x-tar";

/// `HEAD`, `GET` and `PUT /containers/{id}/archive?path=`.
pub async fn archive(call: Call, id: &str) -> Result<Answer> {
    let id = id.to_string();
    let Some(path) = call.query.text("path").map(str::to_string) else {
        return Err(Error::invalid("bad parameter: 'path' cannot be empty"));
    };
    match call.method {
        Method::HEAD => {
            let mut answer = empty(StatusCode::OK);
            note(&mut answer, &copy::stat(&call.engine, &id, &path).await?)?;
            Ok(answer)
        }
        Method::GET => {
            let (stat, stream) = copy::get(&call.engine, &id, &path).await?;
            let mut answer = bytes_once_begun(TAR, stream).await?;
            note(&mut answer, &stat)?;
            Ok(answer)
        }
        _ => {
            let options = copy::PutOptions {
                no_overwrite_dir_non_dir: call.query.flag("noOverwriteDirNonDir"),
                copy_uidgid: call.query.flag("copyUIDGID"),
            };
            let engine = call.engine.clone();
            copy::put(&engine, &id, &path, options, call.stream()).await?;
            Ok(empty(StatusCode::OK))
        }
    }
}

/// `GET /containers/{id}/export`.
pub async fn export(call: Call, id: &str) -> Result<Answer> {
    bytes_once_begun("application/octet-stream", export::export(&call.engine, id).await?).await
}

fn note(answer: &mut Answer, stat: &PathStat) -> Result<()> {
    let text = serde_json::to_vec(stat).map_err(|e| Error::system(e.to_string()))?;
    let value = HeaderValue::try_from(BASE64_STANDARD.encode(text)).map_err(|e| Error::system(e.to_string()))?;
    answer.headers_mut().insert(STAT, value);
    Ok(())
}
