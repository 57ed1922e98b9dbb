//! Rows of text in columns: for a million of them, too.

use std::fmt::{Display, Write as _};
use std::iter::repeat_n;

/// Cells one behind the other, row by row; the last column stands at its right edge.
pub(super) struct Columns<const N: usize> {
    text: String,
    /// Of the text where each cell ends.
    ends: Vec<usize>,
    widths: [usize; N],
}

impl<const N: usize> Columns<N> {
    pub(super) fn new(header: [&str; N]) -> Self {
        let mut columns = Self { text: String::new(), ends: Vec::new(), widths: [0; N] };
        columns.row(|cell, text| text.push_str(header[cell]));
        columns
    }

    /// Adds a row; `write` appends the cell of a column.
    pub(super) fn row(&mut self, write: impl Fn(usize, &mut String)) {
        for (column, width) in self.widths.iter_mut().enumerate() {
            let start = self.text.len();
            write(column, &mut self.text);
            self.ends.push(self.text.len());
            *width = (self.text.len() - start).max(*width);
        }
    }

    pub(super) fn text(&self) -> String {
        let rows = self.ends.len() / N;
        let width = self.widths.iter().sum::<usize>() + N;
        let mut out = String::with_capacity(rows * width);
        let mut start = 0;
        for row in self.ends.chunks_exact(N) {
            for (column, (end, width)) in row.iter().zip(self.widths).enumerate() {
                let cell = &self.text[start..*end];
                start = *end;
                let pad = repeat_n(' ', width - cell.len());
                if column + 1 == N {
                    out.extend(pad);
                    out.push_str(cell);
                } else {
                    out.push_str(cell);
                    out.extend(pad);
                    out.push(' ');
                }
            }
            out.push('\n');
        }
        out
    }
}

/// Appends to a cell.
pub(super) fn append(cell: &mut String, what: impl Display) {
    // A string takes everything.
    write!(cell, "{what}").unwrap_or_default();
}

/// Likewise seconds, with a digit behind the point.
pub(super) fn append_seconds(cell: &mut String, seconds: f64) {
    let tenths = (seconds * 10.0).round() as u64;
    write!(cell, "{}.{}", tenths / 10, tenths % 10).unwrap_or_default();
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn columns_are_as_wide_as_their_widest_cell() {
        let mut columns = Columns::new(["A", "LONG", "N"]);
        for (first, last) in [("one", 9.96), ("seven", 123.0)] {
            columns.row(|column, cell| match column {
                0 => append(cell, first),
                1 => append(cell, '-'),
                _ => append_seconds(cell, last),
            });
        }
        let expected = ["A     LONG     N", "one   -     10.0", "seven -    123.0"];
        assert_eq!(columns.text().lines().collect::<Vec<_>>(), expected);
    }
}
