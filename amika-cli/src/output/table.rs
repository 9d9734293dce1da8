//! Plain aligned columns, as `docker ps` prints them.

use std::io::IsTerminal as _;

use amika_core::untrusted::Untrusted;
use anstyle::Style;
use unicode_width::{UnicodeWidthChar as _, UnicodeWidthStr as _};

use super::Page;

/// Rows under a header.
pub struct Table {
    header: Vec<&'static str>,
    rows: Vec<Vec<Cell>>,
    /// Columns whose cells may be cut on a terminal.
    cut: Vec<&'static str>,
}

/// A cell of a table.
#[derive(Clone, Debug, Default)]
pub struct Cell {
    text: String,
    /// What may stand in its place where the room is scarce.
    short: Option<String>,
    style: Style,
}

impl Cell {
    /// A cell with this text; an empty one is shown as `-`.
    pub fn new(text: &str) -> Self {
        Self {
            text: shown(text),
            ..Self::default()
        }
    }

    /// The same in a style.
    #[must_use]
    pub fn styled(self, style: Style) -> Self {
        Self { style, ..self }
    }

    /// The same, which may be told in fewer words.
    #[must_use]
    pub fn or(self, short: &str) -> Self {
        let short = Some(shown(short));
        Self { short, ..self }
    }
}

fn shown(text: &str) -> String {
    if text.is_empty() {
        "-".into()
    } else {
        Untrusted::new(text).to_string()
    }
}

impl Table {
    /// An empty table.
    pub fn new(header: impl Into<Vec<&'static str>>) -> Self {
        Self {
            header: header.into(),
            rows: Vec::new(),
            cut: Vec::new(),
        }
    }

    /// The same, in which cells of these columns may be cut on a terminal that is too narrow.
    #[must_use]
    pub fn may_cut(mut self, columns: &[&'static str]) -> Self {
        self.cut = columns.to_vec();
        self
    }

    /// Adds a row; an empty cell is shown as `-`.
    pub fn row(&mut self, cells: Vec<String>) {
        self.cells(cells.into_iter().map(|cell| Cell::new(&cell)).collect());
    }

    /// Adds a row of cells that have more than a text.
    pub fn cells(&mut self, cells: Vec<Cell>) {
        self.rows.push(cells);
    }

    /// Writes header and rows. On a terminal that is too narrow for them, cells are told in fewer words and cut,
    /// where they may be; then lists in cells are folded, and what still does not fit is broken at blanks and
    /// arrows. Where words would have to be broken, each row is written for itself: a line for each cell, with its
    /// header before it.
    ///
    /// # Errors
    /// Those of the writer.
    pub fn write(&self, out: &mut Page<'_>) -> std::io::Result<()> {
        self.write_within(room(), out)
    }

    fn write_within(&self, room: Option<usize>, out: &mut Page<'_>) -> std::io::Result<()> {
        let (columns, gap) = match room {
            None => (self.columns(|cell| &cell.text), GAP),
            Some(room) => match self.fitted(room) {
                Some(fitted) => fitted,
                None => return self.write_blocks(room, out),
            },
        };
        for row in 0..=self.rows.len() {
            let height = columns.iter().map(|column| column.cells[row].len()).max();
            for line in 0..height.unwrap_or_default() {
                let parts: Vec<&str> = columns
                    .iter()
                    .map(|column| column.cells[row].get(line).map_or("", String::as_str))
                    .collect();
                // Nothing stands behind the last.
                let last = parts.iter().rposition(|part| !part.is_empty());
                for (at, part) in parts
                    .iter()
                    .enumerate()
                    .take(last.map_or(0, |last| last + 1))
                {
                    let cell = row.checked_sub(1).and_then(|row| self.rows[row].get(at));
                    match cell.map(|cell| cell.style) {
                        Some(style) if style != Style::new() => out.styled(style, part)?,
                        _ => out.part(part)?,
                    }
                    if Some(at) != last {
                        let rest = columns[at].width.saturating_sub(part.width());
                        out.part(" ".repeat(rest + gap))?;
                    }
                }
                writeln!(out)?;
            }
        }
        Ok(())
    }

    fn columns(&self, text: impl Fn(&Cell) -> &String) -> Vec<Column> {
        let column = |(at, header): (usize, &&str)| {
            let cells = self
                .rows
                .iter()
                .map(|row| row.get(at).map_or("", |cell| text(cell)));
            Column::new(std::iter::once(*header).chain(cells))
        };
        self.header.iter().enumerate().map(column).collect()
    }

    /// Columns that fit, and the blanks between two; none where that cannot be.
    fn fitted(&self, room: usize) -> Option<(Vec<Column>, usize)> {
        let whole = self.columns(|cell| &cell.text);
        if total(&whole, GAP) <= room {
            return Some((whole, GAP));
        }
        let mut columns = self.columns(|cell| cell.short.as_ref().unwrap_or(&cell.text));
        let gap = if self.cut.is_empty() { GAP } else { NARROW_GAP };
        while total(&columns, gap) > room {
            let can_cut =
                |at: &usize| self.cut.contains(&self.header[*at]) && columns[*at].width > LEAST_CUT;
            let widest = (0..columns.len())
                .filter(can_cut)
                .max_by_key(|at| columns[*at].width);
            match widest {
                Some(at) => {
                    let width = columns[at].width - 1;
                    columns[at].cut(width);
                }
                None => break,
            }
        }
        if !self.cut.is_empty() {
            let mut gaps = [GAP, NARROW_GAP].into_iter();
            if let Some(gap) = gaps.find(|gap| total(&columns, *gap) <= room) {
                return Some((columns, gap));
            }
        }
        let gap = fit(&mut columns, room)?;
        Some((columns, gap))
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
                let text = &cell.text;
                let lines = if text.width() <= width {
                    vec![text.clone()]
                } else {
                    let items = items(text).into_iter();
                    items.flat_map(|item| wrapped(&item, width)).collect()
                };
                for (at, line) in lines.iter().enumerate() {
                    let label = if at == 0 { label } else { "" };
                    out.part(format!("{label:<indent$}"))?;
                    out.styled(cell.style, line)?;
                    writeln!(out)?;
                }
            }
        }
        Ok(())
    }
}

/// Blanks between two columns, and where the room is scarce. One would be taken for that of a cell.
const GAP: usize = 3;
const NARROW_GAP: usize = 2;
/// What is left of a cell that is cut, at the least.
const LEAST_CUT: usize = 6;
/// A line that is no wider is not broken.
const SHORT: usize = 12;

/// Width of a line.
fn total(columns: &[Column], gap: usize) -> usize {
    let widths = columns.iter().map(|column| column.width).sum::<usize>();
    widths + gap * columns.len().saturating_sub(1)
}

/// Makes columns fit without breaking a word; returns the blanks between two. None when that cannot be.
fn fit(columns: &mut [Column], room: usize) -> Option<usize> {
    let gaps = columns.len().saturating_sub(1);
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

    /// Cuts what is wider than this, and says so.
    fn cut(&mut self, width: usize) {
        let cut = |line: &String| {
            if line.width() <= width {
                return line.clone();
            }
            let mut left = width.saturating_sub(1);
            let kept = line.chars().take_while(|found| {
                let rest = left.checked_sub(found.width().unwrap_or(0));
                left = rest.unwrap_or(0);
                rest.is_some()
            });
            let kept: String = kept.collect();
            kept + "…"
        };
        let cells = self.cells.iter();
        *self = Self::of(cells.map(|cell| cell.iter().map(cut).collect()).collect());
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
mod tests;
