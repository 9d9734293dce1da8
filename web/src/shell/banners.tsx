/** What must be known before anything on the screen is believed. */
import { useQuery } from "@tanstack/react-query";
import { CloudOff, ServerOff } from "lucide-react";

import { useConnection } from "../api/live";

/** Whether the engine answers: 503 while it does not. */
function useEngine() {
  return useQuery({
    queryKey: ["ready"],
    queryFn: async () => {
      const response = await fetch("/readyz");
      return response.status !== 503;
    },
    refetchInterval: (query) => (query.state.data === false ? 3_000 : 15_000),
    retry: false,
  });
}

export function Banners() {
  const connection = useConnection();
  const engine = useEngine();
  // Without the engine the server has no events to tell either: the cause is said, not what follows from it.
  if (engine.data === false && engine.error === null) {
    return (
      <div className="banner bad" role="status">
        <ServerOff size={16} />
        The container engine does not answer. Sandboxes are shown as they were last seen; an administrator starts the engine.
      </div>
    );
  }
  if (connection === "lost") {
    return (
      <div className="banner" role="status">
        <CloudOff size={16} />
        The connection to the server is lost. What you see may be old; it is tried again by itself.
      </div>
    );
  }
  return null;
}
