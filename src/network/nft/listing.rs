//! # Listing: the table as `nft list table` prints it
//!
//! People read firewalls with `nft list ruleset`. What minidock prints (`explain`, golden files, `why reach`) looks exactly
//! like that, to the last tab, so that both can be laid side by side; and the tests do: they apply commands by netlink, let nft
//! list what the kernel holds, and compare.
//!
//! ```text
//!   [add table, add chain …, add set …, add rule …, add element …]  ──listing()──►  table inet minidock {
//!                                                                                     set bridges { … }
//! ```
//!
//! * nft prints sets before chains, both in the order of their making, and the elements of a set sorted by their bytes *read
//!   from behind* (it compares them as numbers of the machine's order): so a port sorts by its lower byte first. Sets of
//!   blocks it prints in the order of their making.
//!
//! See: nftables `src/rule.c`, `src/mergesort.c`. Next room: [`crate::nft::table`]

use minidock_linux::netfilter::{
    command::{Chain, Command},
    rule::Rule,
    set::{Element, Set},
};
use std::fmt::Write;

/// What `nft list table` prints after these commands, if there was nothing before.
pub fn listing(commands: &[Command]) -> String {
    let mut tables = String::new();
    let names = commands.iter().filter_map(|c| match c {
        Command::AddTable(table) => Some(table),
        _ => None,
    });
    for table in names {
        let mut parts = Vec::new();
        for command in commands {
            match command {
                Command::AddSet(its, set) if its == table => parts.push(set_text(set, &members(commands, set))),
                _ => {}
            }
        }
        for command in commands {
            match command {
                Command::AddChain(its, chain) if its == table => parts.push(chain_text(chain, &rules(commands, &chain.name))),
                _ => {}
            }
        }
        write!(tables, "table {table} {{\n{}}}\n", parts.join("\n")).expect("a String takes everything");
    }
    tables
}

fn members<'a>(commands: &'a [Command], set: &Set) -> Vec<&'a Element> {
    let mut all: Vec<&Element> = commands
        .iter()
        .filter_map(|c| match c {
            Command::AddElements(_, its, elements) if its == set => Some(elements),
            _ => None,
        })
        .flatten()
        .collect();
    if !set.interval {
        all.sort_by_key(|element| element.key_bytes().into_iter().rev().collect::<Vec<u8>>());
    }
    all.dedup();
    all
}

fn rules<'a>(commands: &'a [Command], chain: &str) -> Vec<&'a Rule> {
    commands
        .iter()
        .filter_map(|c| match c {
            Command::AddRule(_, its, rule) if its == chain => Some(rule),
            _ => None,
        })
        .collect()
}

fn set_text(set: &Set, members: &[&Element]) -> String {
    let mut text = format!("\t{} {} {{\n\t\ttype {}\n", set.word(), set.name, set.types());
    if set.interval {
        text.push_str("\t\tflags interval\n");
    }
    if !members.is_empty() {
        let lines: Vec<String> = members.iter().map(|m| m.to_string()).collect();
        let _ = writeln!(text, "\t\telements = {{ {} }}", lines.join(",\n\t\t\t     "));
    }
    text + "\t}\n"
}

fn chain_text(chain: &Chain, rules: &[&Rule]) -> String {
    let mut text = format!("\tchain {} {{\n", chain.name);
    for line in chain.hook_line().into_iter().chain(rules.iter().map(|rule| rule.to_string())) {
        let _ = writeln!(text, "\t\t{line}");
    }
    text + "\t}\n"
}
