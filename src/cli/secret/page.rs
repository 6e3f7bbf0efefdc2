//! # The page for people: `secret inspect --pretty`
//!
//! *See:* docker/cli `cli/command/{secret,config}/formatter.go`. *Next room:* [`crate::stack`]

use super::What;
use crate::page::{moment, pairs};
use base64::{Engine, engine::general_purpose::STANDARD};
use minidock_base::Result;
use minidock_client::Docker;
use minidock_spec::swarm::secret::Secret;

/// The page of one secret or config.
///
/// # Errors
/// It is not there; the daemon's refusal.
pub async fn of(docker: &Docker, what: What, name: &str) -> Result<String> {
    Ok(page(&docker.get(&what.one(name)?).await?, what))
}

fn page(object: &Secret, what: What) -> String {
    let (created, updated) = (moment(object.created_at), moment(object.updated_at));
    let mut labels = String::new();
    if !object.spec.labels.is_empty() {
        labels += "Labels:
";
        pairs(&mut labels, " - ", "=", &object.spec.labels);
    }
    let (id, name) = (&object.id, &object.spec.name);
    match what {
        What::Secret => {
            let driver = object.spec.driver.as_ref().map_or("", |driver| &driver.name);
            format!(
                "ID:              {id}\nName:              {name}\n{labels}Driver:            {driver}\n\
                 Created at:        {created}\nUpdated at:        {updated}\n"
            )
        }
        What::Config => {
            // what is no text is shown as well as it can be
            let data = STANDARD.decode(&object.spec.data).unwrap_or_default();
            format!(
                "ID:\t\t\t{id}\nName:\t\t\t{name}\n{labels}Created at:            \t{created}\n\
                 Updated at:            \t{updated}\nData:\n{}\n",
                String::from_utf8_lossy(&data)
            )
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_page_shows_a_configs_bytes_and_never_a_secrets() {
        let object: Secret = serde_json::from_value(serde_json::json!({
            "ID": "id1", "CreatedAt": "2026-11-27T10:00:00.123Z", "UpdatedAt": "2026-11-27T11:00:00Z",
            "Spec": {"Name": "n", "Labels": {"a": "b", "c": ""}, "Data": "Zm9vCg=="}
        }))
        .expect("a secret");
        assert_eq!(
            page(&object, What::Secret),
            "ID:              id1\nName:              n\nLabels:\n - a=b\n - c\nDriver:            \nCreated at:        2026-11-27 10:00:00.123 +0000 utc\nUpdated at:        2026-11-27 11:00:00 +0000 utc\n"
        );
        assert_eq!(
            page(&object, What::Config),
            "ID:\t\t\tid1\nName:\t\t\tn\nLabels:\n - a=b\n - c\nCreated at:            \t2026-11-27 10:00:00.123 +0000 utc\nUpdated at:            \t2026-11-27 11:00:00 +0000 utc\nData:\nfoo\n\n"
        );
    }
}
