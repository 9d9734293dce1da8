/** One message to an agent and its answer, as `POST /agent-sessions/stream` tells it. */
import { open } from "../../api/client";
import { Failure } from "../../api/failure";
import { events } from "../../api/sse";
import type { Schemas } from "../../api/types";

export interface Turn {
  message: string;
  text: string;
  phase: string;
  state: "running" | "failed";
  error?: unknown;
  isSignedOut: boolean;
}

/** Tells the turn as it goes; the session's id once it is over, null where it failed. */
export async function send(body: Partial<Schemas["SendMessage"]>, tell: (turn: Turn) => void, signal: AbortSignal): Promise<string | null> {
  let turn: Turn = { message: body.message ?? "", text: "", phase: "Sent", state: "running", isSignedOut: false };
  const now = (change: Partial<Turn>) => {
    turn = { ...turn, ...change };
    tell(turn);
  };
  now({});
  try {
    const init = { method: "POST", body: JSON.stringify(body), headers: { "content-type": "application/json", accept: "text/event-stream" }, signal };
    const response = await open("/agent-sessions/stream", init);
    if (response.body === null) throw Failure.unreachable();
    for await (const event of events(response.body)) {
      const data = JSON.parse(event.data) as { phase?: string; text?: string; error?: string; is_error?: boolean; response?: string; session_id?: string };
      if (event.name === "status") now({ phase: data.phase ?? turn.phase });
      else if (event.name === "delta") now({ text: turn.text + (data.text ?? "") });
      else if (event.name === "error") throw new Failure(0, { code: "agent", message: data.error });
      else if (event.name === "done") {
        if (data.is_error === true) throw new Failure(0, { code: "agent", message: data.response ?? "the agent failed" });
        return data.session_id ?? null;
      }
    }
    throw Failure.unreachable();
  } catch (error) {
    if (signal.aborted) return null;
    const text = error instanceof Error ? error.message : "";
    now({ state: "failed", error, isSignedOut: (error instanceof Failure && error.code === "agent_auth") || /sign|auth|log ?in/i.test(text) });
    return null;
  }
}
