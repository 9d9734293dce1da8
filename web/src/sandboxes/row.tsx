/** One line of the list. */
import { ActionIcon, Anchor, Checkbox, Tooltip } from "@mantine/core";
import { useQuery } from "@tanstack/react-query";
import { Link } from "@tanstack/react-router";
import { Play, Square } from "lucide-react";
import { memo, useEffect, useRef, useState } from "react";

import { stats } from "../api/queries";
import type { Sandbox } from "../api/types";
import { bytes, percent } from "../lib/bytes";
import { source } from "../lib/filter";
import { because } from "../lib/words";
import { Ago } from "../ui/ago";
import { State } from "../ui/basics";
import { openPort, start, stop } from "./actions";
import { More } from "./more";

export const Row = memo(function Row({
  sandbox: it,
  selected,
  toggle,
  owner,
}: {
  sandbox: Sandbox;
  selected: boolean;
  toggle: (id: string) => void;
  owner: boolean;
}) {
  const [row, isSeen] = useSeen();
  return (
    <div className="sandbox-row" role="listitem" data-selected={selected} ref={row}>
      <Checkbox size="xs" aria-label={`Select ${it.name}`} checked={selected} onChange={() => toggle(it.id)} />
      <div>
        <Link to="/sandboxes/$ref" params={{ ref: it.id }} className="name clip" style={{ color: "inherit" }}>
          {it.name}
        </Link>
        <span className="dim clip">
          {owner && `${it.created_by.name ?? "nobody"} · `}
          <Ago at={it.created_at} />
          {it.origin !== "server" && ` · ${it.origin === "cli" ? "made by a command line" : "of another server"}`}
        </span>
      </div>
      <div className="stateful">
        <State sandbox={it} />
        {it.setup_status?.endsWith("failed") && <span className="dim clip">{it.setup_status === "git-failed" ? "clone failed" : "setup failed"}</span>}
      </div>
      <div className="from">
        <Tooltip label={it.repo_url ?? "It has no repository"} disabled={it.repo_url == null}>
          <span className="clip">{source(it)}</span>
        </Tooltip>
        <Idle sandbox={it} />
      </div>
      <div className="links">
        <Links sandbox={it} />
      </div>
      <div className="usage">{it.state === "started" && isSeen && <Usage id={it.id} />}</div>
      <div className="row-actions" style={{ display: "flex", justifyContent: "flex-end", gap: 2 }}>
        <StartStop sandbox={it} />
        <More sandbox={it} />
      </div>
    </div>
  );
});

function Idle({ sandbox: it }: { sandbox: Sandbox }) {
  if (it.state === "stopped" && it.auto_delete_at != null) {
    return (
      <span className="dim clip">
        deleted <Ago at={it.auto_delete_at} />
      </span>
    );
  }
  if (it.state !== "started") return <span className="dim clip">{it.error_message ?? ""}</span>;
  if (it.active_because.length > 0) return <span className="dim clip">active: {because(it.active_because)}</span>;
  if (it.auto_stop_at == null) return null;
  return (
    <span className="dim clip">
      idle, stops <Ago at={it.auto_stop_at} />
    </span>
  );
}

function Links({ sandbox: it }: { sandbox: Sandbox }) {
  if (it.state !== "started") return null;
  return (
    <span className="clip">
      {it.services.slice(0, 3).map((service) => (
        <Anchor component="button" size="sm" key={`${service.name}${service.containerPort}`} mr={8} onClick={() => void openPort(it, service.containerPort)}>
          {service.name}
        </Anchor>
      ))}
    </span>
  );
}

function StartStop({ sandbox: it }: { sandbox: Sandbox }) {
  const runs = it.state === "started" || it.state === "initializing";
  const rests = it.state === "stopped" || it.state === "failed";
  const label = runs ? `Stop ${it.name}` : `Start ${it.name}`;
  return (
    <Tooltip label={label}>
      <ActionIcon variant="subtle" color="gray" aria-label={label} disabled={!runs && !rests} onClick={() => void (runs ? stop(it) : start(it))}>
        {runs ? <Square size={14} /> : <Play size={15} />}
      </ActionIcon>
    </Tooltip>
  );
}

/** What it uses now. Only what is seen is asked for. */
function Usage({ id }: { id: string }) {
  const { data } = useQuery(stats(id, 10_000));
  if (!data) return null;
  return (
    <span className="dim" style={{ fontVariantNumeric: "tabular-nums", whiteSpace: "nowrap" }}>
      {percent(data.cpu_percent)} · {bytes(data.memory_bytes)}
    </span>
  );
}

function useSeen() {
  const row = useRef<HTMLDivElement>(null);
  const [isSeen, setSeen] = useState(false);
  useEffect(() => {
    const element = row.current;
    if (!element) return;
    const observer = new IntersectionObserver((entries) => setSeen(entries.some((it) => it.isIntersecting)));
    observer.observe(element);
    return () => observer.disconnect();
  }, []);
  return [row, isSeen] as const;
}
