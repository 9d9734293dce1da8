const UNITS = ["B", "KiB", "MiB", "GiB", "TiB"];

/** `1.5 GiB`: three digits at most. */
export function bytes(count: number): string {
  let unit = 0;
  let value = count;
  while (value >= 1000 && unit < UNITS.length - 1) {
    value /= 1024;
    unit += 1;
  }
  const digits = unit === 0 || value >= 100 ? 0 : value >= 10 ? 1 : 2;
  return `${value.toFixed(digits)} ${UNITS[unit]}`;
}

/** `12 %`: of one core. */
export function percent(value: number | null): string {
  if (value === null) return "–";
  return `${value < 10 ? value.toFixed(1) : value.toFixed(0)} %`;
}
