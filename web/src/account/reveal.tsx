/** Showing a secret: it is asked for first, and noted in the audit. */
import { Button, Group, Modal, Text } from "@mantine/core";
import { useState } from "react";

import { CodeBlock } from "../ui/basics";
import { Problem } from "../ui/problem";

export function Reveal({ name, reveal, onClose }: { name: string; reveal: () => Promise<{ value: string }>; onClose: () => void }) {
  const [value, setValue] = useState<string | null>(null);
  const [error, setError] = useState<unknown>(null);
  const [busy, setBusy] = useState(false);
  const show = async () => {
    setBusy(true);
    try {
      setValue((await reveal()).value);
    } catch (caught) {
      setError(caught);
    } finally {
      setBusy(false);
    }
  };
  return (
    <Modal opened onClose={onClose} title={`Reveal ${name}?`}>
      {error !== null && <Problem error={error} />}
      {value === null ? (
        <>
          <Text size="sm">The value is shown on this screen, and the audit notes that you looked at it.</Text>
          <Group justify="flex-end" mt="md">
            <Button variant="default" onClick={onClose} data-autofocus>
              Cancel
            </Button>
            <Button loading={busy} onClick={() => void show()}>
              Reveal
            </Button>
          </Group>
        </>
      ) : (
        <CodeBlock text={value} label="Copy the value" />
      )}
    </Modal>
  );
}
