/** Text that a program wrote for a terminal, as lines to read: colors are kept, whatever else steers a terminal is not. */

export interface Span {
  text: string;
  /** 0 to 15: a color of the terminal's palette. */
  color: number | null;
  bold: boolean;
}

/** Characters of a line that are shown; of a longer one it is said how many more there are. */
export const LONGEST = 4000;

// CSI, OSC (to BEL or ST), DCS and the like, and two-character escapes.
const ESCAPE = /\x1b(?:\[([0-9;:?<=>]*)[ -/]*([@-~])|\][^\x07\x1b]*(?:\x07|\x1b\\|$)|[PX^_][^\x1b]*(?:\x1b\\|$)|[ -/]*[0-~])/g;
// Controls, and what turns the direction of text around.
const CONTROL = /[\x00-\x08\x0b-\x1f\x7f-\x9f\u061c\u200e\u200f\u202a-\u202e\u2066-\u2069]/g;

/** Makes what would not be seen, or would turn text around, visible. */
export function visible(text: string): string {
  return text.replace(CONTROL, (it) => {
    const code = it.charCodeAt(0);
    if (code < 0x20) return String.fromCharCode(0x2400 + code);
    return code === 0x7f ? "\u2421" : `<U+${code.toString(16).toUpperCase().padStart(4, "0")}>`;
  });
}

/** The spans of one line. A carriage return begins it anew, as progress bars do. */
export function spans(line: string): Span[] {
  let text = line.endsWith("\r") ? line.slice(0, -1) : line;
  const again = text.lastIndexOf("\r");
  if (again >= 0) text = text.slice(again + 1);
  const more = text.length - LONGEST;
  if (more > 0) text = text.slice(0, LONGEST);
  const found: Span[] = [];
  let style: Omit<Span, "text"> = { color: null, bold: false };
  let from = 0;
  const add = (piece: string) => {
    if (piece !== "") found.push({ text: visible(piece), ...style });
  };
  for (const match of text.matchAll(ESCAPE)) {
    add(text.slice(from, match.index));
    from = match.index + match[0].length;
    if (match[2] === "m") style = restyled(style, match[1] ?? "");
  }
  add(text.slice(from));
  if (more > 0) found.push({ text: ` … ${more} more characters`, color: null, bold: true });
  return found;
}

function restyled(style: Omit<Span, "text">, parameters: string): Omit<Span, "text"> {
  let { color, bold } = style;
  const codes = parameters.split(/[;:]/).map(Number);
  for (let at = 0; at < codes.length; at += 1) {
    const code = codes[at] ?? 0;
    if (code === 0) [color, bold] = [null, false];
    else if (code === 1) bold = true;
    else if (code === 22) bold = false;
    else if (code === 39) color = null;
    else if (code >= 30 && code <= 37) color = code - 30;
    else if (code >= 90 && code <= 97) color = code - 82;
    // Of 256 and of all colors the first 16 are shown, the others as plain text.
    else if (code === 38) {
      if (codes[at + 1] === 5) {
        const index = codes[at + 2] ?? 0;
        color = index < 16 ? index : null;
        at += 2;
      } else at += 4;
    } else if (code === 48) at += codes[at + 1] === 5 ? 2 : 4;
  }
  return { color, bold };
}

/** The line as plain text, for searching. */
export function plain(line: string): string {
  return spans(line)
    .map((it) => it.text)
    .join("");
}
