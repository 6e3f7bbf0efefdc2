//! # Lines: who is next, whatever service asks
//!
//! A thousand services of one task each ask a thousand times for the same: a node that is ready and has room. To look at every node for each of
//! them would cost a million looks. So the nodes that can give what was asked stand in a line, fewest tasks first, and the next
//! group that asks the same finds the line as the last one left it.
//!
//! ```text
//!   [needs 1 CPU, disk==ssd]   n4 (2 tasks)  n1 (3)  n2 (3)   ◄─ web, db, cache, each in its turn
//!   [needs nothing]            n3 (0)  n4 (2)  n1 (3)  n2 (3)
//! ```
//!
//! A node stands in several lines, and only the one it was taken from hears of its new task; the others notice when it is at
//! their head. That is right because within a round nodes only fill: a number that is too small can only bring a node forward
//! too early, and there it is looked at. For the same reason who cannot give what is asked leaves the line for good.
//!
//! Laws: a line lives for one round, in which no node comes, goes or changes; not more than 64 are kept, for each is as long as the
//! swarm is wide. *Next room:* [`super::spread`]

use super::{
    filter::{self, Wish},
    node_info::Machines,
};
use std::{
    cmp::Reverse,
    collections::{BinaryHeap, binary_heap::PeekMut},
};

/// Lines that are kept in a round; the one that was not used for longest goes first.
const MOST: usize = 64;

/// The nodes that can give what was asked.
pub struct Line {
    /// Who asked first.
    wish: Wish,
    /// How many tasks each had when it was last looked at, and its place.
    nodes: BinaryHeap<Reverse<(usize, usize)>>,
}

impl Line {
    fn new(wish: &Wish, machines: &Machines) -> Line {
        let fit = machines.iter().enumerate().filter(|(_, machine)| match filter::check(wish, machine) {
            Ok(()) => true,
            Err(reason) => reason.is_of_service(),
        });
        Line { wish: wish.clone(), nodes: fit.map(|(place, machine)| Reverse((machine.lasting, place))).collect() }
    }

    /// The node with fewest tasks, of equals the first in order of ID, taken out: its place.
    pub fn pop(&mut self, machines: &Machines) -> Option<usize> {
        loop {
            let mut head = self.nodes.peek_mut()?;
            let Reverse((told, place)) = *head;
            let lasting = machines.at(place).lasting;
            if told == lasting {
                PeekMut::pop(head);
                return Some(place);
            }
            *head = Reverse((lasting, place)); // it goes where it belongs
        }
    }

    /// Takes a node in again.
    pub fn push(&mut self, place: usize, machines: &Machines) {
        self.nodes.push(Reverse((machines.at(place).lasting, place)));
    }

    /// Those who stand in it, in no order: some may have filled since.
    pub fn places(&self) -> impl Iterator<Item = usize> {
        self.nodes.iter().map(|Reverse((_, place))| *place)
    }
}

/// The lines of a round, the one that was used last at the end.
#[derive(Default)]
pub struct Lines(Vec<Line>);

impl Lines {
    /// The line for a wish: whoever takes it puts it back.
    pub fn take(&mut self, wish: &Wish, machines: &Machines) -> Line {
        match self.0.iter().rposition(|line| line.wish.asks_as(wish)) {
            Some(at) => self.0.remove(at),
            None => Line::new(wish, machines),
        }
    }

    pub fn put_back(&mut self, line: Line) {
        if self.0.len() == MOST {
            self.0.remove(0);
        }
        self.0.push(line);
    }
}
