//! # Did you mean …?
//!
//! A wrong word is most often a right word with one slip. [`closest`] finds the known word that is the fewest slips away.
//!
//! *Next room:* [`crate::words`]

/// The known word nearest to `typed`, if one is near enough to be meant.
pub fn closest(typed: &str, known: &[&str]) -> Option<String> {
    let near = |word: &&&str| distance(typed, word) <= 1 + typed.chars().count() / 4;
    let prefix = || known.iter().filter(|word| typed.len() > 1 && word.starts_with(typed)).min_by_key(|word| word.len());
    let started = || known.iter().filter(|word| word.len() > 1 && typed.starts_with(**word)).max_by_key(|word| word.len());
    let best = known.iter().filter(near).min_by_key(|word| distance(typed, word));
    best.or_else(prefix).or_else(started).map(|word| word.to_string())
}

/// Insertions, deletions, replacements and swaps of neighbours.
fn distance(a: &str, b: &str) -> usize {
    let (a, b): (Vec<char>, Vec<char>) = (a.chars().collect(), b.chars().collect());
    let mut rows = vec![vec![0; b.len() + 1]; a.len() + 1];
    for (i, row) in rows.iter_mut().enumerate() {
        row[0] = i;
    }
    rows[0] = (0..=b.len()).collect();
    for i in 1..=a.len() {
        for j in 1..=b.len() {
            let replaced = rows[i - 1][j - 1] + usize::from(a[i - 1] != b[j - 1]);
            rows[i][j] = replaced.min(rows[i - 1][j] + 1).min(rows[i][j - 1] + 1);
            if i > 1 && j > 1 && a[i - 1] == b[j - 2] && a[i - 2] == b[j - 1] {
                rows[i][j] = rows[i][j].min(rows[i - 2][j - 2] + 1);
            }
        }
    }
    rows[a.len()][b.len()]
}
