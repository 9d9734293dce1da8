//! Plain aligned columns, as `docker ps` prints them.

use std::io::Write;

use unicode_width::UnicodeWidthStr;

/// Rows under a header.
pub struct Table {
    header: Vec<&'static str>,
    rows: Vec<Vec<String>>,
}

impl Table {
    /// An empty table.
    pub fn new(header: impl Into<Vec<&'static str>>) -> Self {
        Self {
            header: header.into(),
            rows: Vec::new(),
        }
    }

    /// Adds a row; an empty cell is shown as `-`.
    pub fn row(&mut self, cells: Vec<String>) {
        let cells = cells
            .into_iter()
            .map(|cell| if cell.is_empty() { "-".into() } else { cell });
        self.rows.push(cells.collect());
    }

    /// Writes header and rows; the last column is not padded.
    ///
    /// # Errors
    /// Those of the writer.
    pub fn write(&self, out: &mut dyn Write) -> std::io::Result<()> {
        let header: Vec<String> = self.header.iter().map(|word| (*word).to_owned()).collect();
        let widths: Vec<usize> = (0..header.len())
            .map(|column| {
                std::iter::once(&header)
                    .chain(&self.rows)
                    .filter_map(|row| row.get(column).map(|cell| cell.width()))
                    .max()
                    .unwrap_or_default()
            })
            .collect();
        for row in std::iter::once(&header).chain(&self.rows) {
            let mut line = String::new();
            for (cell, width) in row.iter().zip(&widths) {
                line.push_str(cell);
                line.push_str(&" ".repeat(width - cell.width() + 3));
            }
            writeln!(out, "{}", line.trim_end())?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn columns_are_aligned_by_display_width() {
        let mut table = Table::new(["NAME", "STATE"]);
        table.row(vec!["zürich".into(), "running".into()]);
        table.row(vec!["京".into(), String::new()]);
        let mut out = Vec::new();
        table.write(&mut out).expect("a vector takes everything");
        let text = String::from_utf8(out).expect("text");
        assert_eq!(text, "NAME     STATE\nzürich   running\n京       -\n");
    }
}
