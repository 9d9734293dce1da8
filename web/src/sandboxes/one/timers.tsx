/** When a sandbox stops and is deleted by itself, and why not yet. */
import { Button, Group, TextInput } from "@mantine/core";
import { useState, type SyntheticEvent } from "react";

import { failure } from "../../api/failure";
import type { Sandbox, Schemas } from "../../api/types";
import { minutes, parseMinutes } from "../../lib/time";
import { because } from "../../lib/words";
import { Ago } from "../../ui/ago";
import { Card } from "../../ui/basics";
import { Problem } from "../../ui/problem";
import { change } from "../actions";

const HOURS = 2;

export function Timers({ sandbox: it }: { sandbox: Sandbox }) {
  const [edits, setEdits] = useState(false);
  const [error, setError] = useState<unknown>(null);
  const [busy, setBusy] = useState(false);
  const apply = async (body: Schemas["ChangeSandbox"]) => {
    setBusy(true);
    try {
      await change(it, body);
      setError(null);
      setEdits(false);
    } catch (caught) {
      setError(caught);
    } finally {
      setBusy(false);
    }
  };
  if (it.origin !== "server") {
    return (
      <Card title="Timers">
        <p style={{ margin: 0, fontSize: 13 }}>Timers never touch a sandbox that this server did not make. Adopt it, and they hold.</p>
      </Card>
    );
  }
  return (
    <Card
      title="Timers"
      aside={
        !edits && (
          <Button size="xs" variant="default" onClick={() => setEdits(true)}>
            Change
          </Button>
        )
      }
    >
      {edits ? (
        <Edit sandbox={it} busy={busy} error={error} cancel={() => setEdits(false)} apply={apply} />
      ) : (
        <>
          {error !== null && <Problem error={error} />}
          <dl className="facts">
            <dt>Now</dt>
            <dd>
              <Now sandbox={it} />
            </dd>
            <dt>Stops</dt>
            <dd>{it.auto_stop_interval === 0 ? "never by itself" : `after ${minutes(it.auto_stop_interval)} idle`}</dd>
            {it.auto_stop_at != null && (
              <>
                <dt />
                <dd>
                  next: <Ago at={it.auto_stop_at} />
                </dd>
              </>
            )}
            <dt>Deleted</dt>
            <dd>{deletion(it.auto_delete_interval)}</dd>
            {it.auto_delete_at != null && (
              <>
                <dt />
                <dd>
                  next: <Ago at={it.auto_delete_at} />
                </dd>
              </>
            )}
          </dl>
          {it.state === "started" && it.auto_stop_interval > 0 && (
            <Button
              mt="sm"
              size="xs"
              variant="default"
              loading={busy}
              onClick={() => void apply({ keep_awake_until: new Date(Date.now() + HOURS * 3_600_000).toISOString() })}
            >
              Stay awake for {HOURS} h
            </Button>
          )}
        </>
      )}
    </Card>
  );
}

function deletion(interval: number | null | undefined): string {
  if (interval == null) return "never by itself";
  return interval === 0 ? "as soon as it stopped" : `${minutes(interval)} after it stopped`;
}

function Now({ sandbox: it }: { sandbox: Sandbox }) {
  if (it.state !== "started") return <>does not run</>;
  if (it.active_because.length > 0) return <>active: {because(it.active_because)}</>;
  if (it.last_active_at == null) return <>not measured yet</>;
  return (
    <>
      idle, was active <Ago at={it.last_active_at} />
    </>
  );
}

function Edit({
  sandbox: it,
  busy,
  error,
  cancel,
  apply,
}: {
  sandbox: Sandbox;
  busy: boolean;
  error: unknown;
  cancel: () => void;
  apply: (body: Schemas["ChangeSandbox"]) => Promise<void>;
}) {
  const [stop, setStop] = useState(String(it.auto_stop_interval));
  const [remove, setRemove] = useState(it.auto_delete_interval == null ? "" : String(it.auto_delete_interval));
  const told = error === null ? null : failure(error);
  const stopMinutes = parseMinutes(stop);
  const removeMinutes = remove.trim() === "" ? -1 : parseMinutes(remove);
  const wrong = "A number of minutes, or a time such as 2h or 1d";
  const submit = (event: SyntheticEvent) => {
    event.preventDefault();
    if (stopMinutes === null || removeMinutes === null) return;
    void apply({ auto_stop_interval: stopMinutes, auto_delete_interval: removeMinutes });
  };
  return (
    <form onSubmit={submit} className="stack">
      {told !== null && told.details.length === 0 && <Problem error={told} />}
      <TextInput
        label="Stop after idle minutes"
        description="0 to 10080; 0: never"
        value={stop}
        error={stopMinutes === null ? wrong : told?.of("/auto_stop_interval")}
        onChange={(event) => setStop(event.currentTarget.value)}
        autoFocus
      />
      <TextInput
        label="Delete minutes after the stop"
        description="0 to 10080; empty: never. Volumes with work are kept."
        value={remove}
        error={removeMinutes === null ? wrong : told?.of("/auto_delete_interval")}
        onChange={(event) => setRemove(event.currentTarget.value)}
      />
      <Group justify="flex-end" gap="xs">
        <Button size="xs" variant="default" onClick={cancel}>
          Cancel
        </Button>
        <Button size="xs" type="submit" loading={busy}>
          Save
        </Button>
      </Group>
    </form>
  );
}
