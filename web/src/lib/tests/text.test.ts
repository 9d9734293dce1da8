import { describe, expect, it } from "vitest";

import { LONGEST, plain, spans, visible } from "../ansi";
import { bytes, percent } from "../bytes";
import { commandLine, curl, quote } from "../command";
import { Lines } from "../lines";
import { read, show } from "../ports";
import { ago, minutes, parseMinutes } from "../time";
import { because, shortUrl, state } from "../words";

describe("what a program wrote", () => {
  it("keeps its colors and loses whatever else steers a terminal", () => {
    expect(spans("a\x1b[1;31mred\x1b[0m b")).toEqual([
      { text: "a", color: null, bold: false },
      { text: "red", color: 1, bold: true },
      { text: " b", color: null, bold: false },
    ]);
    expect(plain("\x1b]0;title\x07\x1b[2J\x1b[Hx\x1b]8;;http://evil\x1b\\link\x1b]8;;\x1b\\\x1b(B")).toBe("xlink");
    expect(plain("\x1b[38;2;1;2;3mx\x1b[38;5;9my\x1b[48;5;1mz")).toBe("xyz");
  });

  it("shows what would turn text around or not be seen", () => {
    expect(visible("a\u202eb\u0000c")).toBe("a<U+202E>b\u2400c");
    expect(plain("<script>alert(1)</script>")).toBe("<script>alert(1)</script>");
  });

  it("shows the last state of a line that was written over, and no line without end", () => {
    expect(plain("10 %\r20 %\r")).toBe("20 %");
    const long = plain("x".repeat(LONGEST + 7));
    expect(long.startsWith("x".repeat(LONGEST))).toBe(true);
    expect(long.endsWith("7 more characters")).toBe(true);
  });
});

describe("lines of a log", () => {
  it("are put together from pieces, and the last of them are kept", () => {
    const lines = new Lines(2);
    lines.push("a\nb");
    lines.push("c\nd\ne");
    expect(lines.all.map((it) => it.text)).toEqual(["bc", "d", "e"]);
    expect(lines.dropped).toBe(1);
  });

  it("do not grow when there is no end of line", () => {
    const lines = new Lines(5);
    for (let at = 0; at < 100; at += 1) lines.push("x".repeat(100_000));
    lines.push("\nend");
    expect(lines.all).toHaveLength(2);
    expect(lines.all[0]?.text.length).toBeLessThan(70_000);
    expect(lines.all[0]?.text).toContain("more characters");
    expect(lines.all[1]?.text).toBe("end");
  });
});

describe("times", () => {
  it("are told by the largest unit", () => {
    const now = Date.parse("2026-01-01T12:00:00Z");
    expect(ago(now, now)).toBe("now");
    expect(ago(now - 5 * 60_000, now)).toBe("5m ago");
    expect(ago(now + 2 * 3_600_000, now)).toBe("in 2h");
    expect(minutes(30)).toBe("30 min");
    expect(minutes(1530)).toBe("1 d 1 h 30 min");
    expect(minutes(0)).toBe("0 min");
  });

  it("are read as people write them", () => {
    const cases: [string, number | null][] = [["30", 30], ["2h", 120], ["1h 30m", 90], ["1 d", 1440], ["2 hours", 120], ["", null], ["x", null], ["2h x", null], ["-1", null]];
    for (const [text, expected] of cases) expect(parseMinutes(text), text).toBe(expected);
  });
});

describe("a command for the same", () => {
  it("quotes what a shell would take apart", () => {
    expect(quote("a-b_c.d/e:1")).toBe("a-b_c.d/e:1");
    expect(quote("it's $HOME")).toBe(`'it'\\''s $HOME'`);
    const { command, without } = commandLine({ name: "fix", repo_url: "https://h/o/r", env_vars: { A: "x y" }, auto_stop_interval: 5, initial_prompt: "go" });
    expect(command).toBe("amika sandbox create --remote --name fix --git https://h/o/r --env 'A=x y'");
    expect(without).toEqual(["timers", "the first prompt"]);
  });

  it("gives curl all of it", () => {
    expect(curl({ name: "it's" }, "http://h:1")).toContain(`"name": "it'\\''s"`);
  });
});

describe("words", () => {
  it("are short", () => {
    expect(shortUrl("https://github.com/o/r.git")).toBe("o/r");
    expect(shortUrl("git@github.com:o/r.git")).toBe("o/r");
    expect(shortUrl("https://h/o/r/")).toBe("o/r");
    expect(because(["cpu", "new"])).toBe("programs compute, new");
    expect(state({ state: "initializing", setup_status: "setup-running" }).word).toBe("Setting up");
    expect([bytes(0), bytes(1023), bytes(1536), bytes(19 * 2 ** 30)]).toEqual(["0 B", "1.00 KiB", "1.50 KiB", "19.0 GiB"]);
    expect([percent(null), percent(3.21), percent(42.4)]).toEqual(["–", "3.2 %", "42 %"]);
  });

  it("name ports both ways", () => {
    const text = "http 3000, https 8443, 5432, 53/udp";
    expect(show(read(text) ?? [])).toBe(text);
    expect(read("http:3000")).toEqual([{ port: 3000, protocol: "tcp", url_scheme: "http" }]);
    expect(read("ftp 21")).toBeNull();
    expect(read("")).toEqual([]);
  });
});
