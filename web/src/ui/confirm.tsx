import { Button, Group, Modal, Text } from "@mantine/core";
import { useState, type ReactNode } from "react";

import { Problem } from "./problem";

/** Asks before something that cannot be taken back; the answer "no" has the focus. */
export function Confirm({
  title,
  children,
  action,
  onClose,
  run,
}: {
  title: string;
  children: ReactNode;
  action: string;
  onClose: () => void;
  run: () => Promise<unknown>;
}) {
  const [busy, setBusy] = useState(false);
  const [error, setError] = useState<unknown>(null);
  const confirm = async () => {
    setBusy(true);
    setError(null);
    try {
      await run();
      onClose();
    } catch (caught) {
      setError(caught);
    } finally {
      setBusy(false);
    }
  };
  return (
    <Modal opened onClose={onClose} title={title}>
      <Text size="sm" component="div">
        {children}
      </Text>
      {error !== null && <Problem error={error} />}
      <Group justify="flex-end" mt="md">
        <Button variant="default" data-autofocus onClick={onClose}>
          Cancel
        </Button>
        <Button color="red.9" loading={busy} onClick={confirm}>
          {action}
        </Button>
      </Group>
    </Modal>
  );
}
