import { Button, Group, Modal } from "@mantine/core";
import { useState, type SyntheticEvent, type ReactNode } from "react";

import { failure } from "../api/failure";
import { Problem } from "./problem";

/** A few fields over the page. What is refused is said where the field is, else above. */
export function FormModal({
  title,
  action,
  onClose,
  run,
  fields,
  children,
}: {
  title: string;
  action: string;
  onClose: () => void;
  run: () => Promise<unknown>;
  /** Members of the request that have a field. */
  fields: string[];
  children: (error: (field: string) => string | undefined) => ReactNode;
}) {
  const [busy, setBusy] = useState(false);
  const [error, setError] = useState<unknown>(null);
  const told = error === null ? null : failure(error);
  const submit = async (event: SyntheticEvent) => {
    event.preventDefault();
    setBusy(true);
    try {
      await run();
      onClose();
    } catch (caught) {
      setError(caught);
      setBusy(false);
    }
  };
  return (
    <Modal opened onClose={onClose} title={title}>
      <form onSubmit={submit} className="stack">
        {told !== null && !fields.some((field) => told.of(field) !== undefined) && <Problem error={told} />}
        {children((field) => told?.of(field))}
        <Group justify="flex-end">
          <Button variant="default" onClick={onClose}>
            Cancel
          </Button>
          <Button type="submit" loading={busy}>
            {action}
          </Button>
        </Group>
      </form>
    </Modal>
  );
}
