import "uplot/dist/uPlot.min.css";

import { useComputedColorScheme } from "@mantine/core";
import { useEffect, useRef } from "react";
import uPlot from "uplot";

import { timeOfDay } from "../../lib/time";

const HEIGHT = 170;
const STROKES = { light: ["#3b5bdb", "#0c8599"], dark: ["#91a7ff", "#66d9e8"] };

interface Drawn {
  title: string;
  now: string;
  of: string;
  times: number[];
  lines: { label: string; values: number[] }[];
  /** What the scale shows at least. */
  least: number;
  shown: (value: number) => string;
}

/** Lines over time. What they show is said in words beside the title; the picture is for eyes alone. */
export default function Chart({ title, now, of, times, lines, least, shown }: Drawn) {
  const box = useRef<HTMLDivElement>(null);
  const plot = useRef<uPlot | null>(null);
  const scheme = useComputedColorScheme();
  const names = lines.map((line) => line.label).join();
  useEffect(() => {
    const element = box.current;
    if (!element) return;
    const pale = scheme === "dark" ? "#a3a8b0" : "#5c636b";
    const grid = { stroke: scheme === "dark" ? "#2b2d31" : "#e3e6ea", width: 1 };
    const strokes = STROKES[scheme];
    const made = new uPlot(
      {
        width: element.clientWidth,
        height: HEIGHT,
        legend: { show: false },
        cursor: { show: false },
        padding: [8, 8, 0, 0],
        scales: {
          // A minute at least, so that the first seconds do not look like all of time.
          x: { range: (_plot, min, max) => [Math.min(min, max - 60), max] },
          y: { range: (_plot, _min, max) => [0, Math.max(max * 1.15, least)] },
        },
        axes: [
          { stroke: pale, grid, ticks: { show: false }, font: "11px system-ui", space: 90, size: 28, values: (_plot, times) => times.map((time) => timeOfDay(time * 1000)) },
          { stroke: pale, grid, ticks: { show: false }, size: 74, font: "11px system-ui", values: (_plot, values) => values.map(shown) },
        ],
        series: [{}, ...names.split(",").map((label, index) => ({ label, stroke: strokes[index], width: 1.5, points: { show: false }, fill: index === 0 ? `${strokes[0]}22` : undefined }))],
      },
      [[], ...names.split(",").map(() => [])] as uPlot.AlignedData,
      element,
    );
    plot.current = made;
    const observer = new ResizeObserver(() => made.setSize({ width: element.clientWidth, height: HEIGHT }));
    observer.observe(element);
    return () => {
      observer.disconnect();
      made.destroy();
      plot.current = null;
    };
  }, [names, scheme, least, shown]);
  useEffect(() => {
    plot.current?.setData([times, ...lines.map((line) => line.values)]);
  });
  return (
    <section className="card" aria-label={title}>
      <header>
        <h2 style={{ fontSize: 15 }}>{title}</h2>
        <span style={{ fontSize: 13, fontVariantNumeric: "tabular-nums" }}>
          {now} <span className="dim">{of}</span>
        </span>
      </header>
      <div ref={box} aria-hidden style={{ padding: "4px 0", minHeight: HEIGHT }} />
    </section>
  );
}
