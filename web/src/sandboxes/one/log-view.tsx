/** A log as it is written: the last lines, followed, searched. */
import { useEffect, useMemo, useRef, useState, type ReactNode } from "react";

import { open } from "../../api/client";
import { spans, type Span } from "../../lib/ansi";
import { Lines, type Line } from "../../lib/lines";
import { Problem } from "../../ui/problem";

const KEPT = 5000;
/** How often what came is drawn, in milliseconds. */
const DRAWN = 100;

const COLORS = ["#7f8791", "#ff8787", "#69db7c", "#ffd43b", "#74c0fc", "#e599f7", "#66d9e8", "#d8dbe0"];

export function LogView({
  id,
  source,
  follow,
  height,
  label,
  search = "",
}: {
  id: string;
  source: string;
  follow: boolean;
  height: number | string;
  label: string;
  search?: string;
}) {
  const { lines, dropped, error } = useLog(id, source, follow);
  const box = useRef<HTMLDivElement>(null);
  const isAtEnd = useRef(true);
  const found = useMemo(() => {
    const word = search.toLowerCase();
    return word === "" ? lines : lines.filter((line) => line.text.toLowerCase().includes(word));
  }, [lines, search]);
  useEffect(() => {
    if (isAtEnd.current && box.current) box.current.scrollTop = box.current.scrollHeight;
  }, [found]);
  const scrolled = () => {
    const element = box.current;
    if (element) isAtEnd.current = element.scrollHeight - element.scrollTop - element.clientHeight < 24;
  };
  return (
    <>
      {error !== null && <Problem error={error} />}
      <div className="log" role="log" aria-live="off" aria-label={label} tabIndex={0} ref={box} onScroll={scrolled} style={{ height }}>
        {dropped > 0 && <div className="line">… {dropped} earlier lines are not kept here</div>}
        {found.map((line) => (
          <LogLine key={line.number} line={line} search={search} />
        ))}
        {lines.length === 0 && error === null && <div className="line">Nothing was written yet.</div>}
        {lines.length > 0 && found.length === 0 && <div className="line">No line has that in it.</div>}
      </div>
    </>
  );
}

function LogLine({ line, search }: { line: Line; search: string }) {
  const parts = useMemo(() => spans(line.text), [line.text]);
  return (
    <div className="line" dir="ltr">
      {parts.map((span, index) => (
        <span key={index} style={style(span)}>
          {marked(span.text, search)}
        </span>
      ))}
      {parts.length === 0 && " "}
    </div>
  );
}

function style(span: Span) {
  return { color: span.color === null ? undefined : COLORS[span.color % 8], fontWeight: span.bold ? 700 : undefined };
}

function marked(text: string, search: string): ReactNode {
  if (search === "") return text;
  const at = text.toLowerCase().indexOf(search.toLowerCase());
  if (at < 0) return text;
  return (
    <>
      {text.slice(0, at)}
      <mark>{text.slice(at, at + search.length)}</mark>
      {marked(text.slice(at + search.length), search)}
    </>
  );
}

/** The lines of a log; a stream that breaks is opened again. */
function useLog(id: string, source: string, follow: boolean) {
  const [shown, setShown] = useState<{ lines: Line[]; dropped: number }>({ lines: [], dropped: 0 });
  const [error, setError] = useState<unknown>(null);
  const [attempt, setAttempt] = useState(0);
  useEffect(() => {
    const stop = new AbortController();
    const lines = new Lines(KEPT);
    let timer: ReturnType<typeof setTimeout> | undefined;
    const draw = () => {
      timer = undefined;
      setShown({ lines: lines.all, dropped: lines.dropped });
    };
    const read = async () => {
      const query = new URLSearchParams({ source, tail: "2000", follow: String(follow) });
      const response = await open(`/sandboxes/${id}/logs?${query}`, { signal: stop.signal });
      setError(null);
      const decoder = new TextDecoder();
      const reader = response.body?.getReader();
      for (let piece = await reader?.read(); piece && !piece.done; piece = await reader?.read()) {
        lines.push(decoder.decode(piece.value, { stream: true }));
        timer ??= setTimeout(draw, DRAWN);
      }
    };
    let again: ReturnType<typeof setTimeout> | undefined;
    read()
      .then(() => {
        clearTimeout(timer);
        draw();
      })
      .catch((caught: unknown) => {
        if (stop.signal.aborted) return;
        setError(caught);
        again = setTimeout(() => setAttempt((now) => now + 1), 3000);
      });
    return () => {
      stop.abort();
      clearTimeout(timer);
      clearTimeout(again);
    };
  }, [id, source, follow, attempt]);
  return { ...shown, error };
}
