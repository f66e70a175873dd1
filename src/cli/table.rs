//! Columns that stand below each other.

/// A column's side to which its cells keep.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Side {
    /// For words.
    Left,
    /// For numbers.
    Right,
}

/// The rows with every column as wide as its widest cell and two spaces between, a line each.
pub(super) fn aligned(rows: &[Vec<String>], sides: &[Side]) -> String {
    let columns = rows.iter().map(Vec::len).max().unwrap_or(0);
    let width = |column: usize| {
        let cells = rows.iter().filter_map(|row| row.get(column));
        cells.map(|cell| cell.chars().count()).max().unwrap_or(0)
    };
    let widths: Vec<usize> = (0..columns).map(width).collect();
    let line = |row: &Vec<String>| {
        let cells = row
            .iter()
            .zip(&widths)
            .enumerate()
            .map(|(at, (cell, &width))| match sides.get(at) {
                Some(Side::Right) => format!("{cell:>width$}"),
                _ => format!("{cell:<width$}"),
            });
        let line: Vec<_> = cells.collect();
        line.join("  ").trim_end().to_owned()
    };
    let lines: Vec<_> = rows.iter().map(line).collect();
    lines.join("\n")
}

/// Names and what they are worth, indented below a sentence.
pub(super) fn below(sentence: &str, facts: &[(&str, String)]) -> String {
    if facts.is_empty() {
        return sentence.to_owned();
    }
    let rows: Vec<_> = facts
        .iter()
        .map(|(name, worth)| vec![format!("  {name}"), worth.clone()])
        .collect();
    format!("{sentence}\n{}", aligned(&rows, &[Side::Left, Side::Left]))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn columns_stand_below_each_other() {
        let rows = [
            vec!["a".into(), "limit".into()],
            vec!["bcd".into(), "7".into()],
        ];
        assert_eq!(
            aligned(&rows, &[Side::Left, Side::Right]),
            "a    limit\nbcd      7"
        );
        assert_eq!(below("x", &[("a", "1".into())]), "x\n  a  1");
        assert_eq!(below("x", &[]), "x");
    }
}
