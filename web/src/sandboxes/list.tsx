/** All sandboxes: found, sorted, several at once; live. */
import { Button, Checkbox, Group, NativeSelect, Switch, TextInput } from "@mantine/core";
import { useLocalStorage } from "@mantine/hooks";
import { useQuery } from "@tanstack/react-query";
import { Link, useNavigate } from "@tanstack/react-router";
import { Plus, Search } from "lucide-react";
import { useEffect, useMemo, useRef, useState } from "react";

import { me, sandboxes } from "../api/queries";
import type { Sandbox } from "../api/types";
import { shown, SORTS, STATES, type Filter, type Sort, type StateFilter } from "../lib/filter";
import { count } from "../lib/words";
import { isTyping } from "../shell/keys";
import { CodeBlock, Empty, Page, useTitle } from "../ui/basics";
import { Problem } from "../ui/problem";
import { start, stop } from "./actions";
import { DeleteSeveral } from "./delete";
import { Row } from "./row";

const FIRST: Filter = { text: "", state: "all", sort: "newest", mine: true };

export function SandboxList(): React.ReactNode {
  useTitle("Sandboxes");
  const all = useQuery(sandboxes);
  const who = useQuery(me);
  const [filter, setFilter] = useLocalStorage<Filter>({ key: "amika.filter", defaultValue: FIRST, getInitialValueInEffect: false });
  const [selected, setSelected] = useState<ReadonlySet<string>>(new Set());
  const rows = useMemo(() => shown(all.data ?? [], filter, who.data ?? { id: "" }), [all.data, filter, who.data]);
  const chosen = rows.filter((it) => selected.has(it.id));
  const toggle = (id: string) =>
    setSelected((now) => {
      const next = new Set(now);
      if (!next.delete(id)) next.add(id);
      return next;
    });
  const list = useRowKeys(rows, toggle);
  const others = who.data?.role === "admin";
  return (
    <Page
      title="Sandboxes"
      actions={
        <Button component={Link} to="/new" leftSection={<Plus size={16} />}>
          New sandbox
        </Button>
      }
    >
      <Group gap="xs" mb="sm">
        <TextInput
          id="search"
          aria-label="Search sandboxes"
          placeholder="Search by name, repository, branch, owner"
          leftSection={<Search size={15} />}
          rightSection={<kbd className="wide-only">/</kbd>}
          value={filter.text}
          onChange={(event) => setFilter({ ...filter, text: event.currentTarget.value })}
          style={{ flex: "1 1 240px" }}
        />
        <NativeSelect
          aria-label="State"
          data={Object.entries(STATES).map(([value, label]) => ({ value, label }))}
          value={filter.state}
          onChange={(event) => setFilter({ ...filter, state: event.currentTarget.value as StateFilter })}
        />
        <NativeSelect
          aria-label="Order"
          data={Object.entries(SORTS).map(([value, label]) => ({ value, label }))}
          value={filter.sort}
          onChange={(event) => setFilter({ ...filter, sort: event.currentTarget.value as Sort })}
        />
        {others && (
          <Switch label="Mine" checked={filter.mine} onChange={(event) => setFilter({ ...filter, mine: event.currentTarget.checked })} />
        )}
      </Group>
      {all.error !== null && <Problem error={all.error} retry={() => void all.refetch()} />}
      {all.data !== undefined && (
        <section className="card" aria-label="Sandboxes">
          <header>
            <Checkbox
              size="xs"
              label={chosen.length > 0 ? `${chosen.length} of ${count(rows.length, "sandbox", "sandboxes")}` : count(rows.length, "sandbox", "sandboxes")}
              disabled={rows.length === 0}
              checked={rows.length > 0 && chosen.length === rows.length}
              indeterminate={chosen.length > 0 && chosen.length < rows.length}
              onChange={() => setSelected(chosen.length === rows.length ? new Set() : new Set(rows.map((it) => it.id)))}
            />
            {chosen.length > 0 && <Several chosen={chosen} done={() => setSelected(new Set())} />}
          </header>
          <div ref={list} role="list" aria-label="Sandboxes">
            {rows.map((it) => (
              <Row key={it.id} sandbox={it} selected={selected.has(it.id)} toggle={toggle} owner={others} />
            ))}
          </div>
          {rows.length === 0 &&
            (filter.text === "" && filter.state === "all" ? (
              <First others={all.data.length > 0 ? () => setFilter({ ...filter, mine: false }) : undefined} />
            ) : (
              <NothingFits reset={() => setFilter({ ...filter, text: "", state: "all" })} />
            ))}
        </section>
      )}
    </Page>
  );
}

function First({ others }: { others: (() => void) | undefined }) {
  return (
    <Empty title="No sandbox yet">
      <p>
        A sandbox is a container with a clone of a repository, in which an agent works and nothing of your machine can be
        reached. <Link to="/new">Make the first one</Link>, or from a command line:
      </p>
      <CodeBlock label="Copy the commands" text={`amika auth login ${location.origin}\namika sandbox create --remote --git`} />
      {others && (
        <Button variant="default" size="xs" mt="md" onClick={others}>
          Show those of others
        </Button>
      )}
    </Empty>
  );
}

function NothingFits({ reset }: { reset: () => void }) {
  return (
    <Empty title="No sandbox fits the filter">
      <Button variant="default" size="xs" onClick={reset}>
        Show all
      </Button>
    </Empty>
  );
}

function Several({ chosen, done }: { chosen: Sandbox[]; done: () => void }) {
  const [deleting, setDeleting] = useState(false);
  const stopped = chosen.filter((it) => it.state === "stopped" || it.state === "failed");
  const running = chosen.filter((it) => it.state === "started" || it.state === "initializing");
  const each = async (those: Sandbox[], act: (it: Sandbox) => Promise<boolean>) => {
    const all = await Promise.all(those.map(act));
    if (all.every(Boolean)) done();
  };
  return (
    <Group gap="xs">
      <Button size="xs" variant="default" disabled={stopped.length === 0} onClick={() => void each(stopped, start)}>
        Start
      </Button>
      <Button size="xs" variant="default" disabled={running.length === 0} onClick={() => void each(running, stop)}>
        Stop
      </Button>
      <Button size="xs" variant="default" c="var(--amika-bad)" onClick={() => setDeleting(true)}>
        Delete…
      </Button>
      {deleting && <DeleteSeveral sandboxes={chosen} onClose={() => setDeleting(false)} done={done} />}
    </Group>
  );
}

/** `j`, `k`, `x`, Enter and `/`: the focus is on the name of a row. */
function useRowKeys(rows: Sandbox[], toggle: (id: string) => void) {
  const list = useRef<HTMLDivElement>(null);
  const navigate = useNavigate();
  useEffect(() => {
    const pressed = (event: KeyboardEvent) => {
      if (event.ctrlKey || event.metaKey || event.altKey || isTyping(event.target)) return;
      if (event.key === "/") {
        event.preventDefault();
        document.getElementById("search")?.focus();
        return;
      }
      const names = [...(list.current?.querySelectorAll<HTMLElement>("a.name") ?? [])];
      const at = names.indexOf(document.activeElement as HTMLElement);
      const step = { j: 1, k: -1, ArrowDown: 1, ArrowUp: -1 }[event.key];
      if (step !== undefined) {
        event.preventDefault();
        names[Math.max(0, Math.min(names.length - 1, at + step))]?.focus();
      } else if (event.key === "x" && rows[at]) {
        event.preventDefault();
        toggle(rows[at].id);
      }
    };
    document.addEventListener("keydown", pressed);
    return () => document.removeEventListener("keydown", pressed);
  }, [rows, toggle, navigate]);
  return list;
}
