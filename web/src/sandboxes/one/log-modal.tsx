/** A log in a window of its own. */
import { Modal } from "@mantine/core";

import type { Sandbox } from "../../api/types";
import { LogView } from "./log-view";

export function LogModal({ sandbox: it, source, title, onClose }: { sandbox: Sandbox; source: string; title: string; onClose: () => void }) {
  return (
    <Modal opened onClose={onClose} title={title} size="xl" closeButtonProps={{ "aria-label": "Close" }}>
      <LogView key={`${source}${it.state === "started"}`} id={it.id} source={source} follow={it.state === "started"} height="60dvh" label={title} />
    </Modal>
  );
}
