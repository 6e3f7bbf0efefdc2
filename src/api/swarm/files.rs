//! # Secrets and configs
//!
//! The same five routes for both, but for one thing: a config may be read back, a secret never. Its bytes are taken off here, before
//! anybody has a chance to write them into an answer.
//!
//! *See:* moby `daemon/cluster/{secrets,configs}.go`. *Next room:* [`super::networks`]

use super::{narrow, version};
use crate::{
    answer::{Answer, done, empty, json, json_with},
    call::Call,
};
use base64::{Engine as _, engine::general_purpose::STANDARD};
use http::StatusCode;
use minidock_base::{Error, Result};
use minidock_spec::swarm::secret::{Secret, SecretSpec};
use minidock_swarm::{
    control::{Wish, find},
    store::Table,
};

/// `secrets` or `configs`, as a path says it.
pub fn table(word: &str) -> Table {
    if word == "configs" { Table::Config } else { Table::Secret }
}

fn shown(table: Table, file: &Secret) -> Secret {
    let mut file = file.clone();
    if table == Table::Secret {
        file.spec.data.clear();
    }
    file
}

/// `GET /secrets?filters=`, `GET /configs?filters=`.
pub async fn list(call: Call, table: Table) -> Result<Answer> {
    let manager = call.manager()?;
    let filters = call.query.filters()?;
    narrow::check_files(&filters, table)?;
    let files: Vec<Secret> = manager.view(|tables| {
        let all = tables.rows(table).filter_map(|row| tables.file(table, row.id()));
        all.filter(|file| narrow::file(&filters, file)).map(|file| shown(table, file)).collect()
    });
    json(&files)
}

/// `GET /secrets/{id or name}`.
pub async fn inspect(call: Call, table: Table, text: &str) -> Result<Answer> {
    let file = call.manager()?.view(|tables| {
        let id = find(tables, table, text)?;
        Ok::<_, Error>(tables.file(table, &id).map(|file| shown(table, file)))
    })?;
    json(&file.ok_or_else(|| Error::not_found(format!("{table} {text} not found")))?)
}

/// `POST /secrets/create`.
pub async fn create(mut call: Call, table: Table) -> Result<Answer> {
    let spec: SecretSpec = call.json().await?;
    let manager = call.manager()?;
    readable(&spec.data)?;
    json_with(StatusCode::CREATED, &manager.wish(Wish::CreateFile { table, spec: Box::new(spec) }).await?)
}

/// Data is base 64.
fn readable(data: &str) -> Result<()> {
    let bare: String = data.chars().filter(|c| !matches!(c, '\r' | '\n')).collect();
    STANDARD.decode(bare).map(|_| ()).map_err(|error| {
        let at = match error {
            base64::DecodeError::InvalidByte(at, _) | base64::DecodeError::InvalidLastSymbol(at, _) => at,
            _ => data.len(),
        };
        Error::invalid(format!("illegal base64 data at input byte {at}"))
    })
}

/// `POST /secrets/{id or name}/update?version=`: labels alone can change.
pub async fn update(mut call: Call, table: Table, text: &str) -> Result<Answer> {
    let spec: SecretSpec = call.json().await?;
    let manager = call.manager()?;
    let version = version(&call, if table == Table::Secret { "secret" } else { "config" })?;
    readable(&spec.data)?;
    manager.wish(Wish::UpdateFile { table, id: text.to_string(), version, spec: Box::new(spec) }).await?;
    Ok(empty(StatusCode::OK))
}

/// `DELETE /secrets/{id or name}`.
pub async fn remove(call: Call, table: Table, text: &str) -> Result<Answer> {
    call.manager()?.wish(Wish::RemoveFile { table, id: text.to_string() }).await?;
    done()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn data_that_is_no_base_64_is_refused_in_gos_words() {
        assert_eq!(readable("***").expect_err("no base 64").message(), "illegal base64 data at input byte 0");
        readable("aGVsbG8=").expect("base 64");
        readable("").expect("nothing: the leader says what it thinks of that");
    }

    #[test]
    fn a_secret_never_goes_out() {
        let file = Secret { spec: SecretSpec { data: "aGVsbG8=".into(), ..SecretSpec::default() }, ..Secret::default() };
        assert!(!serde_json::to_string(&shown(Table::Secret, &file)).expect("plain data").contains("aGVsbG8"));
        assert!(serde_json::to_string(&shown(Table::Config, &file)).expect("plain data").contains("aGVsbG8"));
    }
}
