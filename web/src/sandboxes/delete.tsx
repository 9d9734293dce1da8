/** Deleting, with what would be lost shown first. */
import { Button, Group, Modal, Text } from "@mantine/core";
import { useNavigate, useRouterState } from "@tanstack/react-router";
import { useState } from "react";

import { failure, sentence } from "../api/failure";
import type { Sandbox } from "../api/types";
import { count } from "../lib/words";
import { done, failed } from "../ui/notify";
import { Problem } from "../ui/problem";
import { remove } from "./actions";

/** Asks the server to delete it if nothing would be lost. Where something would, it says what, and two ways are offered. */
export function Delete({ sandbox: it, onClose }: { sandbox: Sandbox; onClose: () => void }) {
  const [busy, setBusy] = useState<"clean" | "keep" | "all" | null>(null);
  const [error, setError] = useState<unknown>(null);
  const navigate = useNavigate();
  const isHere = useRouterState({ select: (state) => state.location.pathname.startsWith(`/sandboxes/${it.id}`) });
  const work = error !== null && failure(error).status === 409 ? failure(error) : null;
  const run = async (how: "clean" | "keep" | "all") => {
    setBusy(how);
    try {
      const deleted = await remove(it, how);
      onClose();
      const kept = deleted.kept_volumes;
      done(kept.length === 0 ? `${it.name} is deleted` : `${it.name} is deleted; ${count(kept.length, "volume")} with work kept`);
      if (isHere) await navigate({ to: "/" });
    } catch (caught) {
      setError(caught);
      setBusy(null);
    }
  };
  return (
    <Modal opened onClose={onClose} title={`Delete ${it.name}?`}>
      {error !== null && work === null && <Problem error={error} />}
      {work === null ? (
        <Text size="sm">
          It is looked first whether work would be lost that is nowhere else: commits that are not pushed, changed files. If
          there is none, the sandbox is deleted at once.
        </Text>
      ) : (
        <div role="alert">
          <Text size="sm" fw={600} mb={4}>
            {sentence(work.message)}
          </Text>
          <ul style={{ margin: "4px 0", paddingInlineStart: 20, fontSize: 13 }}>
            {[...work.details.map((detail) => detail.message), ...work.hints].map((text) => (
              <li key={text}>{text}</li>
            ))}
          </ul>
          <Text size="sm" c="dimmed">
            Volumes that are kept are listed under Administration, and can be removed there.
          </Text>
        </div>
      )}
      <Group justify="flex-end" mt="md">
        <Button variant="default" data-autofocus onClick={onClose}>
          Cancel
        </Button>
        {work === null ? (
          <Button color="red.9" loading={busy === "clean"} onClick={() => void run("clean")}>
            Look, then delete
          </Button>
        ) : (
          <>
            <Button color="red.9" variant="default" loading={busy === "keep"} onClick={() => void run("keep")}>
              Delete, keep the work
            </Button>
            <Button color="red.9" loading={busy === "all"} onClick={() => void run("all")}>
              Delete all of it
            </Button>
          </>
        )}
      </Group>
    </Modal>
  );
}

/** Several at once: what holds work stays behind as a volume. */
export function DeleteSeveral({ sandboxes, onClose, done: over }: { sandboxes: Sandbox[]; onClose: () => void; done: () => void }) {
  const [busy, setBusy] = useState(false);
  const run = async () => {
    setBusy(true);
    const all = await Promise.allSettled(sandboxes.map((it) => remove(it, "keep")));
    all.forEach((one, index) => {
      if (one.status === "rejected") failed(`${sandboxes[index]?.name} was not deleted`, one.reason);
    });
    const kept = all.flatMap((one) => (one.status === "fulfilled" ? one.value.kept_volumes : []));
    const gone = all.filter((one) => one.status === "fulfilled").length;
    if (gone > 0) done(`${count(gone, "sandbox", "sandboxes")} deleted; ${count(kept.length, "volume")} with work kept`);
    onClose();
    over();
  };
  return (
    <Modal opened onClose={onClose} title={`Delete ${count(sandboxes.length, "sandbox", "sandboxes")}?`}>
      <ul style={{ margin: 0, paddingInlineStart: 20, fontSize: 13 }}>
        {sandboxes.map((it) => (
          <li key={it.id}>{it.name}</li>
        ))}
      </ul>
      <Text size="sm" mt="xs">
        Volumes with work that is nowhere else are kept, the clones among them.
      </Text>
      <Group justify="flex-end" mt="md">
        <Button variant="default" data-autofocus onClick={onClose}>
          Cancel
        </Button>
        <Button color="red.9" loading={busy} onClick={() => void run()}>
          Delete
        </Button>
      </Group>
    </Modal>
  );
}
