import type { Sandbox } from "../api/types";
import { api, ask } from "../api/client";
import { put } from "../api/live";
import { client, sandboxes } from "../api/queries";
import { Confirm } from "../ui/confirm";

export function Adopt({ sandbox: it, onClose }: { sandbox: Sandbox; onClose: () => void }) {
  const run = async () => {
    const params = { path: { ref: it.id } };
    const adopted = await ask(api.POST("/api/v0beta1/sandboxes/{ref}/adopt", { params, body: {} }));
    client.setQueryData(sandboxes.queryKey, (known) => known && put(known, adopted));
  };
  return (
    <Confirm title={`Adopt ${it.name}?`} action="Adopt" onClose={onClose} run={run}>
      The sandbox becomes yours on this server, and the server's timers hold for it: it is stopped after 30 idle minutes
      unless you change that.
    </Confirm>
  );
}
