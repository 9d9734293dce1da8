/** What git prints of the difference of a file, read into rows; and the rows side by side. */

export interface Row {
  kind: "same" | "added" | "deleted" | "note";
  /** Its line in the file as it was; none of a new one. */
  old: number | null;
  /** Its line in the file as it is; none of one that is gone. */
  now: number | null;
  text: string;
}

export interface Hunk {
  /** Where in the file, in git's words. */
  header: string;
  rows: Row[];
}

export interface FileText {
  /** What git says before the first line that differs: modes, a rename, a binary file. */
  notes: string[];
  hunks: Hunk[];
  /** Whether there is more than was read. */
  cut: boolean;
}

/** Rows of one file at most: more make a browser slow, and nobody reads them. */
const MOST = 3_000;

const HUNK = /^@@ -(\d+)(?:,\d+)? \+(\d+)(?:,\d+)? @@/;
/** Lines of git's head that say what the list of files says too. */
const KNOWN = /^(?:diff --git |index |--- |\+\+\+ |new file mode |deleted file mode )/;

/** Reads what `git diff` printed of one file. `cut`: it was not read to its end. */
export function parse(printed: string, cut = false): FileText {
  const found: FileText = { notes: [], hunks: [], cut };
  let hunk: Hunk | null = null;
  let [old, now, rows] = [0, 0, 0];
  const lines = printed.split("\n");
  // What follows the last end of line is nothing, or half a line.
  lines.pop();
  for (const line of lines) {
    const start = HUNK.exec(line);
    if (start) {
      [old, now] = [Number(start[1]), Number(start[2])];
      hunk = { header: line, rows: [] };
      found.hunks.push(hunk);
      continue;
    }
    const text = line.slice(1);
    let row: Row | null = null;
    if (hunk !== null && line.startsWith(" ")) row = { kind: "same", old: old++, now: now++, text };
    else if (hunk !== null && line.startsWith("+")) row = { kind: "added", old: null, now: now++, text };
    else if (hunk !== null && line.startsWith("-")) row = { kind: "deleted", old: old++, now: null, text };
    else if (hunk !== null && line.startsWith("\\")) row = { kind: "note", old: null, now: null, text: text.trim() };
    if (row === null || hunk === null) {
      hunk = null;
      if (line !== "" && !KNOWN.test(line)) found.notes.push(line);
      continue;
    }
    rows += 1;
    if (rows > MOST) return { ...found, cut: true };
    hunk.rows.push(row);
  }
  return found;
}

/** The rows of a hunk in two columns: what is gone stands beside what came in its place. */
export function sides(rows: Row[]): [Row | null, Row | null][] {
  const pairs: [Row | null, Row | null][] = [];
  let [gone, came]: [Row[], Row[]] = [[], []];
  const flush = () => {
    for (let at = 0; at < Math.max(gone.length, came.length); at += 1) pairs.push([gone[at] ?? null, came[at] ?? null]);
    [gone, came] = [[], []];
  };
  for (const row of rows) {
    if (row.kind === "deleted") {
      if (came.length > 0) flush();
      gone.push(row);
    } else if (row.kind === "added") came.push(row);
    else if (row.kind === "note" && came.length === 0 && gone.length > 0) gone.push(row);
    else if (row.kind === "note" && came.length > 0) came.push(row);
    else {
      flush();
      pairs.push([row, row]);
    }
  }
  flush();
  return pairs;
}

/** Characters that show nothing, or turn what follows round: a reader would see another text than a compiler. */
const HIDDEN = /(?!\t)[\p{Cc}\p{Cf}\p{Zl}\p{Zp}\p{Default_Ignorable_Code_Point}]/gu;

/** Text with what cannot be seen in it shown by its number. */
export function visible(text: string): string {
  return text.replace(HIDDEN, (it) => `\\u${(it.codePointAt(0) ?? 0).toString(16).padStart(4, "0")}`);
}

/** The words for git that mean this path and nothing else, whatever is in its name. */
export function literal(paths: (string | null | undefined)[]): string {
  return paths.flatMap((path) => (path == null ? [] : [`:(top,literal)${path}`])).join("\n");
}
