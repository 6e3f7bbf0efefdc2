//! # cluster partition, cut, heal: the cable
//!
//! ```text
//!   cut node1 node2              neither hears the other        cut --one-way node1 node2    node2 does not hear node1
//!   partition node1,node2 node3  two sides (| works, too: "node1,node2|node3"); who is not named is on a side of its own
//!   heal                         all cables are whole
//! ```
//!
//! *See:* `src/cluster/faults.rs`. *Next room:* [`crate::cluster::shell`]

use crate::{flag, session::Session, terminal};
use clap::ArgMatches;
use minidock_base::Result;
use minidock_client::Route;
use minidock_spec::cluster::{Cut, CutRequest, PartitionRequest};

/// `minidock cluster cut`.
pub fn cut_command() -> clap::Command {
    flag::command("cut", "[OPTIONS] FROM TO", "Cut the cable between two nodes")
        .arg(flag::switch("one-way", "Only what FROM sends is lost"))
        .arg(flag::name("FROM"))
        .arg(flag::name("TO"))
}

/// Cuts one.
///
/// # Errors
/// No such node; no cluster.
pub async fn cut(m: &ArgMatches, session: &mut Session) -> Result<i32> {
    let word = |name: &str| flag::text_of(m, name).unwrap_or_default().to_string();
    let wish = CutRequest { from: word("FROM"), to: word("TO"), one_way: m.get_flag("one-way") };
    let cuts: Vec<Cut> = session.host().await?.post(&Route::new("/minidock/cluster/cut", []), &wish).await?;
    show(&cuts);
    Ok(0)
}

/// `minidock cluster partition`.
pub fn partition_command() -> clap::Command {
    flag::command("partition", "GROUP [GROUP...]", "Cut every cable between groups of nodes: node1,node2 node3")
        .arg(flag::names("GROUP"))
}

/// Cuts all between the groups.
///
/// # Errors
/// No such node; groups that are none; no cluster.
pub async fn partition(m: &ArgMatches, session: &mut Session) -> Result<i32> {
    let wish = PartitionRequest { groups: groups(&flag::list_of(m, "GROUP")) };
    let cuts: Vec<Cut> = session.host().await?.post(&Route::new("/minidock/cluster/partition", []), &wish).await?;
    show(&cuts);
    Ok(0)
}

/// `node1,node2|node3` and `node1,node2 node3` are the same.
fn groups(words: &[String]) -> Vec<Vec<String>> {
    let names =
        |group: &str| group.split(',').map(str::trim).filter(|name| !name.is_empty()).map(String::from).collect::<Vec<_>>();
    words.iter().flat_map(|word| word.split('|')).map(names).filter(|group| !group.is_empty()).collect()
}

/// `minidock cluster heal`.
pub fn heal_command() -> clap::Command {
    flag::command("heal", "", "Mend every cable that was cut")
}

/// Mends all.
///
/// # Errors
/// No cluster.
pub async fn heal(_m: &ArgMatches, session: &mut Session) -> Result<i32> {
    let _none: Vec<Cut> = session.host().await?.post(&Route::new("/minidock/cluster/heal", []), &()).await?;
    Ok(0)
}

fn show(cuts: &[Cut]) {
    for cut in cuts {
        terminal::print(&format!("{} → {}\n", cut.from, cut.to));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn groups_are_words_or_stand_between_bars() {
        let wanted = vec![vec!["node1".to_string(), "node2".into()], vec!["node3".into()]];
        assert_eq!(groups(&["node1,node2|node3".into()]), wanted);
        assert_eq!(groups(&["node1, node2".into(), "node3".into()]), wanted);
    }
}
