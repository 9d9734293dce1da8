//! Plain aligned columns, as `docker ps` prints them.

use std::io::{IsTerminal as _, Write};

use unicode_width::{UnicodeWidthChar as _, UnicodeWidthStr};

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

    /// Writes header and rows. On a terminal that is too narrow for them, lists in cells are folded,
    /// and what still does not fit is wrapped, names last of all.
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
        let gap = room.map_or(GAP, |room| fit(&mut columns, room));
        for row in 0..=self.rows.len() {
            let height = columns.iter().map(|column| column.cells[row].len()).max();
            for line in 0..height.unwrap_or_default() {
                let mut text = String::new();
                for column in &columns {
                    let part = column.cells[row].get(line).map_or("", String::as_str);
                    text.push_str(part);
                    // A character wider than a column stands over.
                    let rest = column.width.saturating_sub(part.width());
                    text.push_str(&" ".repeat(rest + gap));
                }
                writeln!(out, "{}", text.trim_end())?;
            }
        }
        Ok(())
    }
}

/// Blanks between two columns.
const GAP: usize = 3;

/// Makes columns fit, as far as their headers leave room; returns the blanks between two.
fn fit(columns: &mut [Column], room: usize) -> usize {
    let total = |columns: &[Column]| -> usize {
        let widths = columns.iter().map(|column| column.width + GAP);
        widths.sum::<usize>().saturating_sub(GAP)
    };
    while total(columns) > room {
        let foldable = columns.iter_mut().filter(|column| column.can_fold());
        match foldable.max_by_key(|column| column.width) {
            Some(column) => column.fold(),
            None => break,
        }
    }
    let gaps = columns.len().saturating_sub(1);
    let headers: usize = columns.iter().map(Column::header_width).sum();
    let gap = if headers + GAP * gaps > room { 1 } else { GAP };
    let room = room.saturating_sub(gap * gaps);
    let mut widths: Vec<usize> = columns.iter().map(|column| column.width).collect();
    while widths.iter().sum::<usize>() > room {
        let can_shrink = |at: &usize| widths[*at] > columns[*at].header_width();
        // The first column is what people type and copy.
        let widest = (1..columns.len())
            .filter(can_shrink)
            .max_by_key(|at| widths[*at])
            .or_else(|| (0..columns.len()).find(can_shrink));
        match widest {
            Some(at) => widths[at] -= 1,
            None => break,
        }
    }
    for (column, width) in columns.iter_mut().zip(widths) {
        if width < column.width {
            column.wrap(width);
        }
    }
    gap
}

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

    /// Width of its header, below which it does not go.
    fn header_width(&self) -> usize {
        let header = self.cells.first().into_iter().flatten();
        header.map(|line| line.width()).max().unwrap_or_default()
    }

    /// Breaks all lines that are wider than this.
    fn wrap(&mut self, width: usize) {
        let wrap = |cell: &Vec<String>| {
            let lines = cell.iter().flat_map(|line| wrapped(line, width));
            lines.collect()
        };
        *self = Self::of(self.cells.iter().map(wrap).collect());
    }
}

/// A line in parts that are no wider than this, broken after blanks and marks where there are some.
fn wrapped(line: &str, width: usize) -> Vec<String> {
    let mut parts = Vec::new();
    let mut part = String::new();
    for c in line.chars() {
        if !part.is_empty() && part.width() + c.width().unwrap_or_default() > width {
            let marks = |c: char| c.is_whitespace() || matches!(c, ',' | '>' | '/' | ':' | '-');
            // `->` is one mark, as is `://`: the last of them is where it breaks.
            let end = part
                .rfind(marks)
                .map(|at| at + part[at..].chars().next().map_or(0, char::len_utf8))
                .filter(|end| part[..*end].width() * 2 > width)
                .unwrap_or(part.len());
            let rest = part.split_off(end);
            parts.push(part.trim_end().to_owned());
            part = rest;
        }
        part.push(c);
    }
    parts.push(part);
    parts
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

/// Columns of the terminal that standard output is, if it is one; one that does not tell its size,
/// such as a serial line, may have it in `COLUMNS`.
fn room() -> Option<usize> {
    let stdout = std::io::stdout();
    if !stdout.is_terminal() {
        return None;
    }
    let told = rustix::termios::tcgetwinsize(stdout).map_or(0, |size| usize::from(size.ws_col));
    let named = || std::env::var("COLUMNS").ok()?.parse().ok();
    (told > 0)
        .then_some(told)
        .or_else(named)
        .filter(|room| *room > 0)
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
            written(Some(41)),
            "NAME   PORTS       URL          CREATED\n\
             a      1->1/tcp,   http://h:1   5.0 s ago\n       2->2/tcp    http://h:2\n\
             b      -           -            1d 0h ago\n"
        );
    }

    #[test]
    fn what_still_does_not_fit_is_wrapped_and_nothing_is_lost() {
        let mut table = Table::new(["NAME", "STATE", "PORTS", "URL", "CREATED"]);
        let cells = [
            "teal-tokyo",
            "creating (interrupted)",
            "127.0.0.1:49153->3000/tcp",
            "http://localhost:49153",
            "2h 10m ago",
        ];
        table.row(cells.map(str::to_owned).to_vec());
        for room in 28..140 {
            let mut out = Vec::new();
            table
                .write_within(Some(room), &mut out)
                .expect("a vector takes everything");
            let text = String::from_utf8(out).expect("text");
            let widest = text.lines().map(str::len).max().expect("lines");
            assert!(widest <= room, "{widest} in {room}:\n{text}");
            if room >= 60 {
                assert!(text.contains("teal-tokyo"), "{room}:\n{text}");
            }
            let count = |text: &str| text.chars().filter(char::is_ascii_alphanumeric).count();
            let header = "NAMESTATEPORTSURLCREATED";
            let all = cells.iter().map(|cell| count(cell)).sum::<usize>() + header.len();
            assert_eq!(count(&text), all, "{room}:\n{text}");
        }
        assert_eq!(
            wrapped("127.0.0.1:49153->3000/tcp", 18),
            ["127.0.0.1:49153->", "3000/tcp"]
        );
        assert_eq!(
            wrapped("creating (interrupted)", 14),
            ["creating", "(interrupted)"]
        );
        assert_eq!(wrapped("abcdefgh", 3), ["abc", "def", "gh"]);
        assert_eq!(wrapped("", 3), [""]);
    }
}
