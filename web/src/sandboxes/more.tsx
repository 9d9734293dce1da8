/** What else can be done to a sandbox. */
import { ActionIcon, Button, Group, Menu, Modal, TextInput } from "@mantine/core";
import { useNavigate } from "@tanstack/react-router";
import { Ellipsis } from "lucide-react";
import { useState, type SyntheticEvent } from "react";

import { failure } from "../api/failure";
import type { Sandbox } from "../api/types";
import { Problem } from "../ui/problem";
import { change, restart } from "./actions";
import { Adopt } from "./adopt";
import { Delete } from "./delete";

export function More({ sandbox: it }: { sandbox: Sandbox }) {
  const [asks, setAsks] = useState<"rename" | "delete" | "adopt" | null>(null);
  const navigate = useNavigate();
  const close = () => setAsks(null);
  return (
    <>
      <Menu width={180}>
        <Menu.Target>
          <ActionIcon variant="subtle" color="gray" aria-label={`More for ${it.name}`}>
            <Ellipsis size={16} />
          </ActionIcon>
        </Menu.Target>
        <Menu.Dropdown>
          <Menu.Item disabled={it.state !== "started"} onClick={() => void navigate({ to: "/sandboxes/$ref/terminal", params: { ref: it.id } })}>
            Terminal
          </Menu.Item>
          <Menu.Item onClick={() => void navigate({ to: "/sandboxes/$ref/logs", params: { ref: it.id } })}>Logs</Menu.Item>
          <Menu.Divider />
          <Menu.Item disabled={it.state !== "started"} onClick={() => void restart(it)}>
            Restart
          </Menu.Item>
          <Menu.Item onClick={() => setAsks("rename")}>Rename…</Menu.Item>
          {it.origin !== "server" && <Menu.Item onClick={() => setAsks("adopt")}>Adopt…</Menu.Item>}
          <Menu.Item color="var(--amika-bad)" disabled={it.state === "deleting"} onClick={() => setAsks("delete")}>
            Delete…
          </Menu.Item>
        </Menu.Dropdown>
      </Menu>
      {asks === "rename" && <Rename sandbox={it} onClose={close} />}
      {asks === "delete" && <Delete sandbox={it} onClose={close} />}
      {asks === "adopt" && <Adopt sandbox={it} onClose={close} />}
    </>
  );
}

function Rename({ sandbox: it, onClose }: { sandbox: Sandbox; onClose: () => void }) {
  const [name, setName] = useState(it.name);
  const [busy, setBusy] = useState(false);
  const [error, setError] = useState<unknown>(null);
  const field = error === null ? undefined : failure(error).of("/name");
  const submit = async (event: SyntheticEvent) => {
    event.preventDefault();
    setBusy(true);
    try {
      await change(it, { name });
      onClose();
    } catch (caught) {
      setError(caught);
      setBusy(false);
    }
  };
  return (
    <Modal opened onClose={onClose} title={`Rename ${it.name}`}>
      <form onSubmit={submit} className="stack">
        {error !== null && field === undefined && <Problem error={error} />}
        <TextInput label="Name" value={name} error={field} onChange={(event) => setName(event.currentTarget.value)} data-autofocus required />
        <Group justify="flex-end">
          <Button variant="default" onClick={onClose}>
            Cancel
          </Button>
          <Button type="submit" loading={busy}>
            Rename
          </Button>
        </Group>
      </form>
    </Modal>
  );
}
