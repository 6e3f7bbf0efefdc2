//! # cluster partition, cut, heal, skew: the cable, and the clock
//!
//! ```text
//!   cut node1 node2              neither hears the other        cut --one-way node1 node2    node2 does not hear node1
//!   partition node1,node2 node3  two sides (| works, too: "node1,node2|node3"); who is not named is on a side of its own
//!   heal                         all cables are whole
//!   skew node2 +1h               what node2 takes for now is an hour ahead     skew node2 0    its clock is right again
//! ```
//!
//! * A clock is wrong for everything of minidock's in the node: dates, certificates, `minidock` in its shell. Programs in containers, and `date`, ask the
//!   kernel, which has one real-time clock for all.
//!
//! *See:* `src/cluster/faults.rs`. *Next room:* [`crate::cluster::shell`]

use crate::{flag, session::Session, terminal};
use clap::ArgMatches;
use minidock_base::{Error, Result, units};
use minidock_client::{Route, Wish};
use minidock_spec::cluster::{Cut, CutRequest, PartitionRequest, SkewRequest};

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

/// `minidock cluster skew`.
pub fn skew_command() -> clap::Command {
    flag::command("skew", "NODE OFFSET", "Set the clock of a node off: +1h, -90s, or right again: 0")
        .arg(flag::name("NODE"))
        .arg(flag::name("OFFSET").allow_hyphen_values(true))
}

/// Sets a clock off. It stays so when the node, or its daemon, is started again.
///
/// # Errors
/// No such node; an offset that is none; no cluster.
pub async fn skew(m: &ArgMatches, session: &mut Session) -> Result<i32> {
    let node = flag::text_of(m, "NODE").unwrap_or_default();
    let wish = SkewRequest { skew: offset(flag::text_of(m, "OFFSET").unwrap_or_default())? };
    let route = Route::new("/minidock/cluster/nodes/{}/skew", [node]);
    session.host().await?.send(Wish::post(&route).json(&wish)?).await?.bytes().await?;
    terminal::print(&format!("{node}\n"));
    Ok(0)
}

/// `+1h`, `-90s`, `0`: nanoseconds.
fn offset(text: &str) -> Result<i64> {
    let bad = || Error::invalid(format!("invalid offset {text:?}")).hint("+1h, -90s, 1h30m, or 0 for a clock that is right");
    let (sign, length) = match text.strip_prefix('-') {
        Some(length) if length.starts_with(|first: char| first.is_ascii_digit() || first == '.') => (-1, length),
        Some(_) => return Err(bad()),
        None => (1, text),
    };
    let length = units::parse_duration(length).map_err(|_| bad())?;
    i64::try_from(length.as_nanos()).map(|nanoseconds| sign * nanoseconds).map_err(|_| bad())
}

/// How far a clock is set off, for people: `+1h0m0s`.
pub fn shown(skew: i64) -> String {
    let sign = if skew < 0 { "" } else { "+" };
    format!("{sign}{}", units::go_duration(skew))
}

fn show(cuts: &[Cut]) {
    for cut in cuts {
        terminal::print(&format!("{} → {}\n", cut.from, cut.to));
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn groups_are_words_or_stand_between_bars() {
        let wanted = vec![vec!["node1".to_string(), "node2".into()], vec!["node3".into()]];
        assert_eq!(groups(&["node1,node2|node3".into()]), wanted);
        assert_eq!(groups(&["node1, node2".into(), "node3".into()]), wanted);
    }
    #[test]
    fn an_offset_has_a_direction() {
        const SECOND: i64 = 1_000_000_000;
        for (text, wanted) in [("+1h", 3600 * SECOND), ("-90s", -90 * SECOND), ("0", 0), ("1m30s", 90 * SECOND), ("-0", 0)] {
            assert_eq!(offset(text).expect(text), wanted);
        }
        for text in ["", "-", "+", "--1h", "-+1h", "+-1h", "1", "an hour", "1h ago", "999999999h"] {
            assert!(offset(text).is_err_and(|e| e.message().contains("invalid offset")), "{text}");
        }
        assert_eq!((shown(3600 * SECOND), shown(-1500 * SECOND / 1000)), ("+1h0m0s".into(), "-1.5s".into()));
    }

    proptest! {
        #[test]
        fn what_is_shown_is_read_again(skew in -1_000_000_000_000i64..1_000_000_000_000) {
            let skew = skew * 1000; // µ is not what people type
            if skew == 0 || skew.abs() >= 1_000_000 {
                prop_assert!((offset(&shown(skew)).expect("an offset") - skew).abs() <= 1000);
            }
        }
    }
}
