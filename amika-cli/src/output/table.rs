//! Plain aligned columns, as `docker ps` prints them.

use std::io::{IsTerminal as _, Write};

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

    /// Writes header and rows. On a terminal that is too narrow for them, lists in cells are folded.
    ///
    /// # Errors
    /// Those of the writer.
    pub fn write(&self, out: &mut dyn Write) -> std::io::Result<()> {
        self.write_within(room(), out)
    }

    fn write_within(&self, room: Option<usize>, out: &mut dyn Write) -> std::io::Result<()> {
        let header: Vec<String> = self.header.iter().map(|word| (*word).to_owned()).collect();
        let mut columns: Vec<Column> = (0..header.len())
            .map(|at| {
                let rows = std::iter::once(&header).chain(&self.rows);
                Column::new(rows.map(|row| row.get(at).map_or("", String::as_str)))
            })
            .collect();
        while let Some(room) = room
            && columns
                .iter()
                .map(|column| column.width + GAP)
                .sum::<usize>()
                > room + GAP
        {
            let foldable = columns.iter_mut().filter(|column| column.can_fold());
            match foldable.max_by_key(|column| column.width) {
                Some(column) => column.fold(),
                None => break,
            }
        }
        for row in 0..=self.rows.len() {
            let height = columns.iter().map(|column| column.cells[row].len()).max();
            for line in 0..height.unwrap_or_default() {
                let mut text = String::new();
                for column in &columns {
                    let part = column.cells[row].get(line).map_or("", String::as_str);
                    text.push_str(part);
                    text.push_str(&" ".repeat(column.width - part.width() + GAP));
                }
                writeln!(out, "{}", text.trim_end())?;
            }
        }
        Ok(())
    }
}

/// Blanks between two columns.
const GAP: usize = 3;

/// The cells of a column, each of one line, or of more once it is folded.
struct Column {
    cells: Vec<Vec<String>>,
    width: usize,
}

impl Column {
    fn new<'a>(cells: impl Iterator<Item = &'a str>) -> Self {
        Self::of(cells.map(|cell| vec![cell.to_owned()]).collect())
    }

    fn of(cells: Vec<Vec<String>>) -> Self {
        let width = cells.iter().flatten().map(|line| line.width()).max();
        Self {
            width: width.unwrap_or_default(),
            cells,
        }
    }

    fn folded(&self) -> Self {
        let fold = |cell: &Vec<String>| cell.iter().flat_map(|line| items(line)).collect();
        Self::of(self.cells.iter().map(fold).collect())
    }

    fn can_fold(&self) -> bool {
        self.folded().width < self.width
    }

    fn fold(&mut self) {
        *self = self.folded();
    }
}

/// The items of a list in a cell: after commas, and before URLs.
fn items(line: &str) -> Vec<String> {
    let mut items: Vec<String> = Vec::new();
    for word in line.split_inclusive(',').flat_map(|part| part.split(' ')) {
        match items.last_mut() {
            Some(last) if !last.ends_with(',') && !word.contains("://") => {
                last.push(' ');
                last.push_str(word);
            }
            _ => items.push(word.to_owned()),
        }
    }
    items
}

/// Columns of the terminal that standard output is, if it is one.
fn room() -> Option<usize> {
    let stdout = std::io::stdout();
    if !stdout.is_terminal() {
        return None;
    }
    let size = rustix::termios::tcgetwinsize(stdout).ok()?;
    (size.ws_col > 0).then_some(usize::from(size.ws_col))
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

    #[test]
    fn lists_are_folded_where_they_do_not_fit_and_nothing_else_is() {
        let mut table = Table::new(["NAME", "PORTS", "URL", "CREATED"]);
        table.row(vec![
            "a".into(),
            "1->1/tcp,2->2/tcp".into(),
            "http://h:1 http://h:2".into(),
            "5.0 s ago".into(),
        ]);
        table.row(vec![
            "b".into(),
            String::new(),
            String::new(),
            "1d 0h ago".into(),
        ]);
        let written = |room| {
            let mut out = Vec::new();
            table
                .write_within(room, &mut out)
                .expect("a vector takes everything");
            String::from_utf8(out).expect("text")
        };
        let whole = written(None);
        assert_eq!(whole.lines().count(), 3, "{whole}");
        let widest = whole.lines().map(str::len).max().expect("lines");
        assert_eq!(written(Some(widest)), whole);
        let urls = written(Some(widest - 1));
        assert!(
            urls.contains("1->1/tcp,2->2/tcp   http://h:1   5.0 s ago"),
            "{urls}"
        );
        assert_eq!(
            written(Some(10)),
            "NAME   PORTS       URL          CREATED\n\
             a      1->1/tcp,   http://h:1   5.0 s ago\n       2->2/tcp    http://h:2\n\
             b      -           -            1d 0h ago\n"
        );
    }
}
