//! Plain aligned columns, as `docker ps` prints them.

use std::io::IsTerminal as _;

use amika_core::untrusted::Untrusted;
use unicode_width::UnicodeWidthStr as _;

use super::Page;

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
        let cells = cells.into_iter().map(|cell| {
            if cell.is_empty() {
                "-".into()
            } else {
                Untrusted::new(&cell).to_string()
            }
        });
        self.rows.push(cells.collect());
    }

    /// Writes header and rows. On a terminal that is too narrow for them, lists in cells are folded,
    /// and what still does not fit is broken at blanks and arrows. Where words would have to be
    /// broken, each row is written for itself: a line for each cell, with its header before it.
    ///
    /// # Errors
    /// Those of the writer.
    pub fn write(&self, out: &mut Page<'_>) -> std::io::Result<()> {
        self.write_within(room(), out)
    }

    fn write_within(&self, room: Option<usize>, out: &mut Page<'_>) -> std::io::Result<()> {
        let header: Vec<String> = self.header.iter().map(|word| (*word).to_owned()).collect();
        let mut columns: Vec<Column> = (0..header.len())
            .map(|at| {
                let rows = std::iter::once(&header).chain(&self.rows);
                Column::new(rows.map(|row| row.get(at).map_or("", String::as_str)))
            })
            .collect();
        let gap = match room {
            None => GAP,
            Some(room) => match fit(&mut columns, room) {
                Some(gap) => gap,
                None => return self.write_blocks(room, out),
            },
        };
        for row in 0..=self.rows.len() {
            let height = columns.iter().map(|column| column.cells[row].len()).max();
            for line in 0..height.unwrap_or_default() {
                let mut text = String::new();
                for column in &columns {
                    let part = column.cells[row].get(line).map_or("", String::as_str);
                    text.push_str(part);
                    let rest = column.width.saturating_sub(part.width());
                    text.push_str(&" ".repeat(rest + gap));
                }
                writeln!(out, "{}", text.trim_end())?;
            }
        }
        Ok(())
    }

    /// Writes each row for itself. A word that does not fit stays whole: the terminal breaks it, and it
    /// can be copied.
    fn write_blocks(&self, room: usize, out: &mut Page<'_>) -> std::io::Result<()> {
        let labels = self.header.iter().map(|word| word.width()).max();
        let indent = labels.unwrap_or_default() + 2;
        let width = room.saturating_sub(indent);
        for (at, row) in self.rows.iter().enumerate() {
            if at > 0 {
                writeln!(out)?;
            }
            for (label, cell) in self.header.iter().zip(row) {
                let lines = if cell.width() <= width {
                    vec![cell.clone()]
                } else {
                    let items = items(cell).into_iter();
                    items.flat_map(|item| wrapped(&item, width)).collect()
                };
                for (at, line) in lines.iter().enumerate() {
                    let label = if at == 0 { label } else { "" };
                    writeln!(out, "{label:<indent$}{line}")?;
                }
            }
        }
        Ok(())
    }
}

/// Blanks between two columns, and where the room is scarce. One would be taken for that of a cell.
const GAP: usize = 3;
const NARROW_GAP: usize = 2;
/// A line that is no wider is not broken.
const SHORT: usize = 12;

/// Makes columns fit without breaking a word; returns the blanks between two. None when that cannot be.
fn fit(columns: &mut [Column], room: usize) -> Option<usize> {
    let gaps = columns.len().saturating_sub(1);
    let total = |columns: &[Column], gap: usize| -> usize {
        columns.iter().map(|column| column.width).sum::<usize>() + gap * gaps
    };
    while total(columns, GAP) > room {
        let foldable = columns.iter_mut().filter(|column| column.can_fold());
        match foldable.max_by_key(|column| column.width) {
            Some(column) => column.fold(),
            None => break,
        }
    }
    let least: Vec<usize> = columns.iter().map(Column::least_width).collect();
    let least_sum: usize = least.iter().sum();
    let gap = [GAP, NARROW_GAP]
        .into_iter()
        .find(|gap| least_sum + gap * gaps <= room)?;
    let mut widths: Vec<usize> = columns.iter().map(|column| column.width).collect();
    while widths.iter().sum::<usize>() + gap * gaps > room {
        let can_shrink = |at: &usize| widths[*at] > least[*at];
        let widest = (0..columns.len())
            .filter(can_shrink)
            .max_by_key(|at| widths[*at])?;
        widths[widest] -= 1;
    }
    for (column, width) in columns.iter_mut().zip(widths) {
        if width < column.width {
            column.wrap(width);
        }
    }
    Some(gap)
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

    /// Width of its widest word, its header's words among them.
    fn least_width(&self) -> usize {
        let words = self.cells.iter().flatten().flat_map(|line| words(line));
        words
            .map(|word| word.trim_end().width())
            .max()
            .unwrap_or_default()
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

/// A line in parts that are no wider than this, unless a word is.
fn wrapped(line: &str, width: usize) -> Vec<String> {
    let mut parts: Vec<String> = Vec::new();
    for word in words(line) {
        match parts.last_mut() {
            Some(part) if part.width() + word.trim_end().width() <= width => part.push_str(word),
            _ => parts.push(word.to_owned()),
        }
    }
    if parts.is_empty() {
        parts.push(String::new());
    }
    for part in &mut parts {
        part.truncate(part.trim_end().len());
    }
    parts
}

/// What a line may be broken between: it ends with a blank, or with the arrow of a port. A short line,
/// such as a size or an age, is one word: a number without its unit says nothing.
fn words(line: &str) -> Vec<&str> {
    if line.width() <= SHORT {
        return vec![line];
    }
    line.split_inclusive(' ')
        .flat_map(|part| part.split_inclusive("->"))
        .collect()
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
pub fn room() -> Option<usize> {
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
        table
            .write(&mut Page::text(&mut out))
            .expect("a vector takes everything");
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
                .write_within(room, &mut Page::text(&mut out))
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

    const CELLS: [&str; 5] = [
        "teal-tokyo",
        "creating (interrupted)",
        "127.0.0.1:49153->3000/tcp",
        "http://localhost:49153",
        "2h 10m ago",
    ];

    fn within(room: usize, rows: usize) -> String {
        let mut table = Table::new(["NAME", "STATE", "PORTS", "URL", "CREATED"]);
        for _ in 0..rows {
            table.row(CELLS.map(str::to_owned).to_vec());
        }
        let mut out = Vec::new();
        table
            .write_within(Some(room), &mut Page::text(&mut out))
            .expect("a vector takes everything");
        String::from_utf8(out).expect("text")
    }

    #[test]
    fn what_still_does_not_fit_is_wrapped_and_no_word_is_broken() {
        for room in 34..140 {
            let text = within(room, 2);
            let widest = text.lines().map(str::len).max().expect("lines");
            assert!(widest <= room, "{widest} in {room}:\n{text}");
            for word in CELLS.iter().flat_map(|cell| words(cell)) {
                assert!(text.contains(word.trim_end()), "{word} in {room}:\n{text}");
            }
        }
        assert_eq!(
            wrapped("127.0.0.1:49153->3000/tcp", 18),
            ["127.0.0.1:49153->", "3000/tcp"]
        );
        assert_eq!(
            wrapped("creating (interrupted)", 14),
            ["creating", "(interrupted)"]
        );
        assert_eq!(wrapped("abcdefgh", 3), ["abcdefgh"]);
        assert_eq!(wrapped("2h 10m ago", 3), ["2h 10m ago"]);
        assert_eq!(wrapped("", 3), [""]);
    }

    #[test]
    fn where_words_would_be_broken_each_row_stands_for_itself() {
        let header =
            "NAME        STATE          PORTS              URL                     CREATED\n";
        let table = within(80, 1);
        assert!(table.starts_with(header), "{table}");
        let block = "NAME     teal-tokyo\n\
                     STATE    creating (interrupted)\n\
                     PORTS    127.0.0.1:49153->3000/tcp\n\
                     URL      http://localhost:49153\n\
                     CREATED  2h 10m ago\n";
        assert_eq!(within(60, 2), format!("{block}\n{block}"));
        let narrow = within(28, 1);
        assert!(
            narrow.contains("PORTS    127.0.0.1:49153->\n         3000/tcp\n"),
            "{narrow}"
        );
    }
}
