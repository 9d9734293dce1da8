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
    let header = "NAME        STATE          PORTS              URL                     CREATED\n";
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

/// A row of a list of sandboxes, as long as most are.
fn usual(name: &str, repository: &str, branch: &str) -> Table {
    let header = ["NAME", "STATE", "REPO", "BRANCH", "PORTS", "URL", "CREATED"];
    let mut table = Table::new(header).may_cut(&["REPO", "BRANCH"]);
    let mut cells: Vec<Cell> = [name, "running", repository, branch]
        .map(Cell::new)
        .to_vec();
    cells.push(Cell::new("127.0.0.1:49153->3000/tcp").or("3000"));
    cells.push(Cell::new("http://localhost:49153"));
    cells.push(Cell::new("2h 10m ago").or("2h ago"));
    table.cells(cells);
    table
}

#[test]
fn a_usual_row_fits_80_columns_and_is_whole_where_there_is_room() {
    let written = |table: &Table, room| {
        let mut out = Vec::new();
        table
            .write_within(room, &mut Page::text(&mut out))
            .expect("a vector takes everything");
        String::from_utf8(out).expect("text")
    };
    let short = usual("teal-tokyo", "amika", "main");
    assert_eq!(
        written(&short, Some(80)),
        "NAME         STATE     REPO    BRANCH   PORTS   URL                      CREATED\n\
         teal-tokyo   running   amika   main     3000    http://localhost:49153   2h ago\n"
    );
    let long = usual(
        "crimson-lima",
        "a-repository",
        "fix/a-branch-with-a-long-name",
    );
    assert_eq!(
        written(&long, Some(80)),
        "NAME          STATE    REPO      BRANCH   PORTS  URL                     CREATED\n\
         crimson-lima  running  a-repos…  fix/a-…  3000   http://localhost:49153  2h ago\n"
    );
    for room in [None, Some(160)] {
        let whole = written(&long, room);
        for part in [
            "a-repository ",
            "fix/a-branch-with-a-long-name ",
            "->3000/tcp",
            "10m ago",
        ] {
            assert!(whole.contains(part), "{whole}");
        }
    }
}

#[test]
fn what_is_cut_fits_however_wide_its_characters() {
    for (text, width, cut) in [
        ("abcdef", 6, "abcdef"),
        ("abcdefg", 6, "abcde…"),
        ("世界世界", 6, "世界…"),
        ("größer", 3, "gr…"),
    ] {
        let mut column = Column::new([text].into_iter());
        column.cut(width);
        assert_eq!(column.cells[0][0], cut);
        assert!(column.width <= width, "{cut}");
    }
}

#[test]
fn a_style_colours_its_cell_and_nothing_beside_it() {
    let green = anstyle::AnsiColor::Green.on_default();
    let mut table = Table::new(["A", "B"]);
    table.cells(vec![Cell::new("x").styled(green), Cell::new("y")]);
    let mut out = Vec::new();
    table
        .write_within(None, &mut Page::text(&mut out))
        .expect("a vector takes everything");
    let text = String::from_utf8(out).expect("text");
    assert_eq!(text, format!("A   B\n{green}x{green:#}   y\n"));
}
