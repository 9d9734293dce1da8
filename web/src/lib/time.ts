/** Times as people read them; the exact one, in the reader's zone, is for whoever hovers. */

const UNITS: [Intl.RelativeTimeFormatUnit, number][] = [
  ["day", 86_400],
  ["hour", 3600],
  ["minute", 60],
];

const relative = new Intl.RelativeTimeFormat("en", { numeric: "auto", style: "narrow" });

/** `5 min ago`, `in 2 h`, `now`. */
export function ago(at: number, now: number): string {
  const seconds = Math.round((at - now) / 1000);
  for (const [unit, size] of UNITS) {
    if (Math.abs(seconds) >= size) return relative.format(Math.trunc(seconds / size), unit);
  }
  // The page looks at the clock each 10 s: what is newer than that has just happened.
  return Math.abs(seconds) < 15 ? "now" : relative.format(seconds, "second");
}

const full = new Intl.DateTimeFormat(undefined, { dateStyle: "medium", timeStyle: "long" });

export function exact(at: number): string {
  return full.format(at);
}

const clock = new Intl.DateTimeFormat(undefined, { hour: "2-digit", minute: "2-digit", second: "2-digit" });

export function timeOfDay(at: number): string {
  return clock.format(at);
}

/** Minutes: `30 min`, `2 h`, `1 h 30 min`, `3 d`. */
export function minutes(count: number): string {
  const parts: string[] = [];
  const days = Math.floor(count / 1440);
  const hours = Math.floor((count % 1440) / 60);
  if (days > 0) parts.push(`${days} d`);
  if (hours > 0) parts.push(`${hours} h`);
  if (count % 60 > 0 || parts.length === 0) parts.push(`${count % 60} min`);
  return parts.join(" ");
}

/** `30`, `30m`, `2h`, `1h 30m`, `1 d`: minutes; null for what is no length of time. */
export function parseMinutes(text: string): number | null {
  const trimmed = text.trim().toLowerCase();
  if (/^\d+$/.test(trimmed)) return Number(trimmed);
  const all = [...trimmed.matchAll(/(\d+)\s*(d|h|m)[a-z]*\s*/g)];
  if (all.length === 0 || all.map((it) => it[0]).join("") !== trimmed) return null;
  const sizes: Record<string, number> = { d: 1440, h: 60, m: 1 };
  return all.reduce((sum, [, count, unit]) => sum + Number(count) * (sizes[unit ?? ""] ?? 0), 0);
}
