/** Lines of a log as they come: the last of them alone are kept, so that a page that is left open does not grow. */

export interface Line {
  number: number;
  text: string;
}

/** More of one line is not kept, whatever a program writes without an end of line. */
const LONGEST = 64 * 1024;

export class Lines {
  readonly #most: number;
  #lines: Line[] = [];
  #next = 1;
  #partial = "";
  #cut = 0;

  constructor(most: number) {
    this.#most = most;
  }

  push(text: string) {
    const pieces = (this.#partial + text).split("\n");
    this.#partial = pieces.pop() ?? "";
    for (const piece of pieces) this.#add(piece);
    if (this.#partial.length > LONGEST) {
      this.#cut += this.#partial.length - LONGEST;
      this.#partial = this.#partial.slice(0, LONGEST);
    }
    if (this.#lines.length > this.#most) this.#lines = this.#lines.slice(-this.#most);
  }

  #add(text: string) {
    const cut = this.#cut;
    this.#cut = 0;
    const kept = text.length > LONGEST ? text.slice(0, LONGEST) : text;
    const lost = cut + text.length - kept.length;
    this.#lines.push({ number: this.#next, text: lost > 0 ? `${kept} … ${lost} more characters` : kept });
    this.#next += 1;
  }

  /** What is there now; the one that has no end yet is the last. */
  get all(): Line[] {
    return this.#partial === "" ? this.#lines : [...this.#lines, { number: this.#next, text: this.#partial }];
  }

  /** How many went by that are not kept any more. */
  get dropped(): number {
    return this.#next - 1 - this.#lines.length;
  }
}
